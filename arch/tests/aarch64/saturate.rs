//! Saturating arithmetic.

use ferry_arch::aarch64::helpers as h;
use ferry_arch::aarch64::helpers::Arg;

use super::operands::Kind;
use super::reference::Rows;
use super::{BYTES, DOUBLES, HALVES, SCALARS, WORDS, integer, same, three, two};

#[test]
fn saturating() {
    let mut rows = Rows::default();
    let all = &[BYTES, HALVES, WORDS, DOUBLES, SCALARS];
    for (op, id) in [("suqadd", h::SUQADD), ("usqadd", h::USQADD)] {
        two(&mut rows, op, "", (id, same), integer, all);
    }
    let some = &[HALVES, WORDS, &SCALARS[1..3]];
    for (op, id) in [
        ("sqdmulh", h::SQDMULH),
        ("sqrdmulh", h::SQRDMULH),
        ("sqrdmlah", h::SQRDMLAH),
        ("sqrdmlsh", h::SQRDMLSH),
    ] {
        three(&mut rows, op, id, integer, some);
    }
    rows.check("saturating");
}

#[test]
fn doubling_long() {
    let mut rows = Rows::default();
    for (wide, narrow, size, count, high) in [
        ("v0.4s", ["v1.4h", "v2.4h"], 1, 4, false),
        ("v0.4s", ["v1.8h", "v2.8h"], 1, 4, true),
        ("v0.2d", ["v1.2s", "v2.2s"], 2, 2, false),
        ("v0.2d", ["v1.4s", "v2.4s"], 2, 2, true),
        ("s0", ["h1", "h2"], 1, 1, false),
        ("d0", ["s1", "s2"], 2, 1, false),
    ] {
        for (op, id) in [("sqdmull", h::SQDMULL), ("sqdmlal", h::SQDMLAL), ("sqdmlsl", h::SQDMLSL)]
        {
            let second = if high { "2" } else { "" };
            let text = format!("{op}{second} {wide}, {}, {}", narrow[0], narrow[1]);
            rows.add(text, Kind::Integer, move |cpu| {
                let source = |vector: u128| if high { vector >> 64 } else { vector };
                let vectors = [source(cpu.v[1]), source(cpu.v[2]), cpu.v[0]];
                cpu.v[0] = cpu.wide(id, Arg::lanes(size, count), vectors);
            });
        }
    }
    rows.check("doubling_long");
}
