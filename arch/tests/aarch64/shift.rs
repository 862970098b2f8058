//! Shifts.

use base::HelperId;
use ferry_arch::aarch64::helpers as h;
use ferry_arch::aarch64::helpers::Arg;

use super::integer::put;
use super::operands::Kind;
use super::reference::Rows;
use super::saturate::NARROW;
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

/// Amounts of a shift from `first` on, of lanes of `bits` bits.
fn amounts(first: u32, bits: u32) -> [u32; 3] {
    [first, bits / 2 + 1, first + bits - 1]
}

#[test]
fn by_immediate() {
    let mut rows = Rows::default();
    let mut add = |op: &str, id: HelperId, first, all: &[&[Arrangement]]| {
        for &arrangement in all.iter().copied().flatten() {
            let (_, size, count) = arrangement;
            for amount in amounts(first, 8 << size) {
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
    };
    add("srshr", h::SRSHR, 1, VECTORS);
    add("urshr", h::URSHR, 1, VECTORS);
    add("sqshlu", h::SQSHLU, 0, ALL);
    add("sqshl", h::SQSHL, 0, ALL);
    add("uqshl", h::UQSHL, 0, ALL);
    rows.check("by_immediate");
}

#[test]
fn narrowing() {
    let mut rows = Rows::default();
    for (to, from, size, count, high) in NARROW {
        for (op, id) in [
            ("shrn", h::SHRN),
            ("rshrn", h::RSHRN),
            ("sqshrn", h::SQSHRN),
            ("sqrshrn", h::SQRSHRN),
            ("uqshrn", h::UQSHRN),
            ("uqrshrn", h::UQRSHRN),
            ("sqshrun", h::SQSHRUN),
            ("sqrshrun", h::SQRSHRUN),
        ] {
            if count == 1 && matches!(op, "shrn" | "rshrn") {
                continue;
            }
            for amount in amounts(1, 8 << size) {
                let second = if high { "2" } else { "" };
                rows.add(
                    format!("{op}{second} {to}, {from}, #{amount}"),
                    Kind::Integer,
                    move |cpu| {
                        let arg = Arg::lanes(size, count).with(amount as u8);
                        cpu.v[0] = put(cpu.v[0], cpu.wide(id, arg, [cpu.v[1], 0, 0]), high);
                    },
                );
            }
        }
    }
    rows.check("narrowing_shifts");
}
