//! AArch64's helpers against qemu-user, instruction by instruction, on random operands and in the modes of FPCR.
//!
//! Needs `aarch64-linux-gnu-gcc` and `qemu-aarch64` 10.0 or later (`FERRY_TEST_QEMU_AARCH64` names another); says so
//! and passes without. 1,000 operands an instruction, 100,000 with `FERRY_TEST_LONG=1`.

mod convert;
mod crypto;
mod float;
mod integer;
mod operands;
mod reference;
mod saturate;
mod shift;

use base::HelperId;
use ferry_arch::aarch64::helpers::Arg;

use operands::{DOUBLE, HALF, Kind, SINGLE};
use reference::Rows;

/// An arrangement of lanes: how it is written after a register, the binary logarithm of a lane's bytes, and how many
/// lanes there are.
type Arrangement = (&'static str, u32, u32);

/// Adds to what a helper is told.
type With = fn(Arg) -> Arg;

const BYTES: &[Arrangement] = &[("8b", 0, 8), ("16b", 0, 16)];
const HALVES: &[Arrangement] = &[("4h", 1, 4), ("8h", 1, 8)];
const WORDS: &[Arrangement] = &[("2s", 2, 2), ("4s", 2, 4)];
const DOUBLES: &[Arrangement] = &[("2d", 3, 2)];
/// Written before the number of a register.
const SCALARS: &[Arrangement] = &[("b", 0, 1), ("h", 1, 1), ("s", 2, 1), ("d", 3, 1)];

/// Register `n` in an arrangement; scalars have one lane.
fn reg(n: u32, (name, size, count): Arrangement) -> String {
    if count == 1 && !(name == "1d" && size == 3) {
        format!("{name}{n}")
    } else {
        format!("v{n}.{name}")
    }
}

/// The low lanes of a vector.
fn low(vector: u128, (_, size, count): Arrangement) -> u128 {
    let bits = (8 * count) << size;
    if bits >= 128 { vector } else { vector & ((1 << bits) - 1) }
}

/// The kind of an instruction's operands.
fn float_kind(size: u32) -> Kind {
    Kind::Float(match size {
        1 => HALF,
        2 => SINGLE,
        _ => DOUBLE,
    })
}

/// `op vd, vn, vm` in arrangements; the helper gets n, m and d.
fn three(
    rows: &mut Rows,
    op: &str,
    id: HelperId,
    kind: impl Fn(u32) -> Kind,
    all: &[&[Arrangement]],
) {
    for &arrangement in all.iter().copied().flatten() {
        let (_, size, count) = arrangement;
        let text = format!(
            "{op} {}, {}, {}",
            reg(0, arrangement),
            reg(1, arrangement),
            reg(2, arrangement)
        );
        rows.add(text, kind(size), move |cpu| {
            let result = cpu.wide(id, Arg::lanes(size, count), [cpu.v[1], cpu.v[2], cpu.v[0]]);
            cpu.v[0] = low(result, arrangement);
        });
    }
}

/// `op vd, vn` with `tail`; the helper gets n and d.
fn two(
    rows: &mut Rows,
    op: &str,
    tail: &str,
    (id, arg): (HelperId, With),
    kind: impl Fn(u32) -> Kind,
    all: &[&[Arrangement]],
) {
    for &arrangement in all.iter().copied().flatten() {
        let (_, size, count) = arrangement;
        let text = format!("{op} {}, {}{tail}", reg(0, arrangement), reg(1, arrangement));
        rows.add(text, kind(size), move |cpu| {
            let result = cpu.wide(id, arg(Arg::lanes(size, count)), [cpu.v[1], cpu.v[0], 0]);
            cpu.v[0] = low(result, arrangement);
        });
    }
}

fn same(arg: Arg) -> Arg {
    arg
}

fn integer(_: u32) -> Kind {
    Kind::Integer
}
