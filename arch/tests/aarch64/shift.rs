//! Shifts.

use ferry_arch::aarch64::helpers as h;
use ferry_arch::aarch64::helpers::Arg;

use super::operands::Kind;
use super::reference::Rows;
use super::{Arrangement, BYTES, DOUBLES, HALVES, SCALARS, WORDS, integer, low, reg, three};

const VECTORS: &[&[Arrangement]] = &[BYTES, HALVES, WORDS, DOUBLES, &[("d", 3, 1)]];
const ALL: &[&[Arrangement]] = &[BYTES, HALVES, WORDS, DOUBLES, SCALARS];

#[test]
fn by_register() {
    let mut rows = Rows::default();
    for (op, id) in [("sshl", h::SSHL), ("ushl", h::USHL), ("srshl", h::SRSHL), ("urshl", h::URSHL)]
    {
        three(&mut rows, op, id, integer, VECTORS);
    }
    for (op, id) in
        [("sqshl", h::SQSHL), ("uqshl", h::UQSHL), ("sqrshl", h::SQRSHL), ("uqrshl", h::UQRSHL)]
    {
        three(&mut rows, op, id, integer, ALL);
    }
    rows.check("by_register");
}

#[test]
fn by_immediate() {
    let mut rows = Rows::default();
    for (op, id) in [("sqshlu", h::SQSHLU), ("sqshl", h::SQSHL), ("uqshl", h::UQSHL)] {
        for &arrangement in ALL.iter().copied().flatten() {
            let (_, size, count) = arrangement;
            let bits = 8_u32 << size;
            for amount in [0, bits / 2 + 1, bits - 1] {
                let text =
                    format!("{op} {}, {}, #{amount}", reg(0, arrangement), reg(1, arrangement));
                rows.add(text, Kind::Integer, move |cpu| {
                    let arg = Arg::lanes(size, count).with(amount as u8);
                    // The register forms serve for immediates, too.
                    let same: u128 =
                        (0..16 >> size).map(|i| u128::from(amount) << ((i * 8) << size)).sum();
                    cpu.v[0] = low(cpu.wide(id, arg, [cpu.v[1], same, 0]), arrangement);
                });
            }
        }
    }
    rows.check("by_immediate");
}
