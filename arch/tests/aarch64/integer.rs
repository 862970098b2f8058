//! Integers.

use ferry_arch::aarch64::helpers as h;
use ferry_arch::aarch64::helpers::Arg;

use super::operands::Kind;
use super::reference::Rows;
use super::{BYTES, HALVES, WORDS, integer, low, same, three, two};

#[test]
fn lanes() {
    let mut rows = Rows::default();
    let narrow = &[BYTES, HALVES, WORDS];
    three(&mut rows, "pmul", h::PMUL, integer, &[BYTES]);
    two(&mut rows, "cls", "", (h::CLS, same), integer, narrow);
    two(&mut rows, "clz", "", (h::CLZ, same), integer, narrow);
    two(&mut rows, "rbit", "", (h::RBIT, same), integer, &[BYTES]);
    rows.check("lanes");
}

#[test]
fn polynomials() {
    let mut rows = Rows::default();
    for (text, id) in [
        ("pmull v0.8h, v1.8b, v2.8b", h::PMULL),
        ("pmull2 v0.8h, v1.16b, v2.16b", h::PMULL2),
        ("pmull v0.1q, v1.1d, v2.1d", h::PMULL_D),
        ("pmull2 v0.1q, v1.2d, v2.2d", h::PMULL2_D),
    ] {
        rows.add(text, Kind::Integer, move |cpu| {
            cpu.v[0] = cpu.wide(id, Arg::lanes(0, 16), [cpu.v[1], cpu.v[2], 0]);
        });
    }
    rows.check("polynomials");
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
