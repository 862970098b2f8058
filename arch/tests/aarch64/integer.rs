//! Integers.

use ferry_arch::aarch64::helpers as h;
use ferry_arch::aarch64::helpers::Arg;

use super::operands::Kind;
use super::reference::Rows;
use super::{BYTES, DOUBLES, HALVES, WORDS, integer, low, same, three, two};

/// A vector of narrow lanes and the one of wide lanes that goes with it: names, size, number of narrow lanes.
const LONG: [(&str, &str, u32, u32); 6] = [
    ("8b", "8h", 0, 8),
    ("16b", "8h", 0, 16),
    ("4h", "4s", 1, 4),
    ("8h", "4s", 1, 8),
    ("2s", "2d", 2, 2),
    ("4s", "2d", 2, 4),
];

#[test]
fn lanes() {
    let mut rows = Rows::default();
    let narrow = &[BYTES, HALVES, WORDS];
    for (op, id) in [
        ("shadd", h::SHADD),
        ("uhadd", h::UHADD),
        ("srhadd", h::SRHADD),
        ("urhadd", h::URHADD),
        ("shsub", h::SHSUB),
        ("uhsub", h::UHSUB),
        ("sabd", h::SABD),
        ("uabd", h::UABD),
        ("smaxp", h::SMAXP),
        ("sminp", h::SMINP),
        ("umaxp", h::UMAXP),
        ("uminp", h::UMINP),
    ] {
        three(&mut rows, op, id, integer, narrow);
    }
    three(&mut rows, "addp", h::ADDP, integer, &[BYTES, HALVES, WORDS, DOUBLES]);
    three(&mut rows, "pmul", h::PMUL, integer, &[BYTES]);
    two(&mut rows, "cls", "", (h::CLS, same), integer, narrow);
    two(&mut rows, "clz", "", (h::CLZ, same), integer, narrow);
    two(&mut rows, "cnt", "", (h::CNT, same), integer, &[BYTES]);
    two(&mut rows, "rbit", "", (h::RBIT, same), integer, &[BYTES]);
    rows.check("lanes");
}

#[test]
fn long_and_narrow() {
    let mut rows = Rows::default();
    for (narrow, wide, size, count) in LONG {
        let (high, second) = (count << size == 16, if count << size == 16 { "2" } else { "" });
        let arg = Arg::lanes(size, 8 >> size);
        let source = move |vector: u128| if high { vector >> 64 } else { vector };
        for (op, id) in [
            ("smull", h::SMULL),
            ("umull", h::UMULL),
            ("saddl", h::SADDL),
            ("uaddl", h::UADDL),
            ("ssubl", h::SSUBL),
            ("usubl", h::USUBL),
            ("sabdl", h::SABDL),
            ("uabdl", h::UABDL),
        ] {
            let text = format!("{op}{second} v0.{wide}, v1.{narrow}, v2.{narrow}");
            rows.add(text, Kind::Integer, move |cpu| {
                cpu.v[0] = cpu.wide(id, arg, [source(cpu.v[1]), source(cpu.v[2]), 0]);
            });
        }
        for (op, id) in [("sxtl", h::SXTL), ("uxtl", h::UXTL)] {
            let text = format!("{op}{second} v0.{wide}, v1.{narrow}");
            rows.add(text, Kind::Integer, move |cpu| {
                cpu.v[0] = cpu.wide(id, arg, [source(cpu.v[1]), 0, 0]);
            });
        }
        for (op, id) in
            [("addhn", h::ADDHN), ("raddhn", h::RADDHN), ("subhn", h::SUBHN), ("rsubhn", h::RSUBHN)]
        {
            let text = format!("{op}{second} v0.{narrow}, v1.{wide}, v2.{wide}");
            rows.add(text, Kind::Integer, move |cpu| {
                let result = cpu.wide(id, arg, [cpu.v[1], cpu.v[2], 0]);
                cpu.v[0] = put(cpu.v[0], result, high);
            });
        }
    }
    for (text, size, part) in [
        ("pmull v0.8h, v1.8b, v2.8b", 0, 0),
        ("pmull2 v0.8h, v1.16b, v2.16b", 0, 1),
        ("pmull v0.1q, v1.1d, v2.1d", 3, 0),
        ("pmull2 v0.1q, v1.2d, v2.2d", 3, 1),
    ] {
        rows.add(text, Kind::Integer, move |cpu| {
            let arg = Arg::lanes(size, 1).with(part);
            cpu.v[0] = cpu.wide(h::PMULL, arg, [cpu.v[1], cpu.v[2], 0]);
        });
    }
    rows.check("long_and_narrow");
}

/// The result of a narrowing instruction, or of its second form.
pub(super) fn put(d: u128, result: u128, high: bool) -> u128 {
    if high { d & u128::from(u64::MAX) | result << 64 } else { result }
}

#[test]
fn across() {
    let mut rows = Rows::default();
    let names = ["b", "h", "s", "d"];
    for (narrow, _, size, count) in LONG {
        let arg = Arg::lanes(size, count);
        if narrow != "2s" {
            for (op, id) in [
                ("addv", h::ADDV),
                ("smaxv", h::SMAXV),
                ("sminv", h::SMINV),
                ("umaxv", h::UMAXV),
                ("uminv", h::UMINV),
            ] {
                let text = format!("{op} {}0, v1.{narrow}", names[size as usize]);
                rows.add(text, Kind::Integer, move |cpu| {
                    cpu.v[0] = cpu.wide(id, arg, [cpu.v[1], 0, 0]);
                });
            }
            for (op, id) in [("saddlv", h::SADDLV), ("uaddlv", h::UADDLV)] {
                let text = format!("{op} {}0, v1.{narrow}", names[size as usize + 1]);
                rows.add(text, Kind::Integer, move |cpu| {
                    cpu.v[0] = cpu.wide(id, arg, [cpu.v[1], 0, 0]);
                });
            }
        }
        let pairs = ["4h", "8h", "2s", "4s", "1d", "2d"];
        let at = LONG.iter().position(|row| row.0 == narrow).unwrap();
        for (op, id) in [("saddlp", h::SADDLP), ("uaddlp", h::UADDLP)] {
            let text = format!("{op} v0.{}, v1.{narrow}", pairs[at]);
            rows.add(text, Kind::Integer, move |cpu| {
                let result = cpu.wide(id, arg, [cpu.v[1], 0, 0]);
                cpu.v[0] = low(result, ("", size, count));
            });
        }
    }
    rows.check("across");
}

#[test]
fn products() {
    let mut rows = Rows::default();
    for (to, from, count) in [("2s", "8b", 2), ("4s", "16b", 4)] {
        for (op, id) in [("sdot", h::SDOT), ("udot", h::UDOT), ("usdot", h::USDOT)] {
            let text = format!("{op} v0.{to}, v1.{from}, v2.{from}");
            rows.add(text, Kind::Integer, move |cpu| {
                let result = cpu.wide(id, Arg::lanes(2, count), [cpu.v[1], cpu.v[2], cpu.v[0]]);
                cpu.v[0] = low(result, ("", 2, count));
            });
        }
    }
    for (op, id) in [("smmla", h::SMMLA), ("ummla", h::UMMLA), ("usmmla", h::USMMLA)] {
        rows.add(format!("{op} v0.4s, v1.16b, v2.16b"), Kind::Integer, move |cpu| {
            cpu.v[0] = cpu.wide(id, Arg::lanes(2, 4), [cpu.v[1], cpu.v[2], cpu.v[0]]);
        });
    }
    rows.check("products");
}
