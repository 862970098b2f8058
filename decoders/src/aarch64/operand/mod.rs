//! How operands are printed: one function for each kind that the tables' templates name.

mod memory;
mod simd;
mod system;
mod vector;

pub(super) use self::memory::*;
pub(super) use self::simd::*;
pub(super) use self::system::*;
pub(super) use self::vector::*;

use std::fmt::{Display, Formatter, LowerHex, Result};

use base::GuestVirt;

/// A 64-bit register; 31 is the zero register.
pub(super) fn x(f: &mut Formatter<'_>, register: u8) -> Result {
    r(f, true, register)
}

/// A 32-bit register; 31 is the zero register.
pub(super) fn w(f: &mut Formatter<'_>, register: u8) -> Result {
    r(f, false, register)
}

/// A register of the size that `sf` says; 31 is the zero register.
pub(super) fn r(f: &mut Formatter<'_>, sf: bool, register: u8) -> Result {
    match (sf, register) {
        (true, 31) => f.write_str("xzr"),
        (false, 31) => f.write_str("wzr"),
        (true, n) => write!(f, "x{n}"),
        (false, n) => write!(f, "w{n}"),
    }
}

/// A 64-bit register; 31 is the stack pointer.
pub(super) fn xsp(f: &mut Formatter<'_>, register: u8) -> Result {
    rsp(f, true, register)
}

/// A register of the size that `sf` says; 31 is the stack pointer.
pub(super) fn rsp(f: &mut Formatter<'_>, sf: bool, register: u8) -> Result {
    match (sf, register) {
        (true, 31) => f.write_str("sp"),
        (false, 31) => f.write_str("wsp"),
        _ => r(f, sf, register),
    }
}

/// An immediate in decimal.
pub(super) fn dec(f: &mut Formatter<'_>, value: impl Display) -> Result {
    write!(f, "#{value}")
}

/// An immediate in hexadecimal.
pub(super) fn hex(f: &mut Formatter<'_>, value: impl LowerHex) -> Result {
    write!(f, "#{value:#x}")
}

/// The target of a branch or of ADR.
pub(super) fn target(f: &mut Formatter<'_>, pc: GuestVirt, offset: i64) -> Result {
    write!(f, "{:#x}", pc.wrapping_offset(offset).0)
}

/// The page that ADRP names.
pub(super) fn page(f: &mut Formatter<'_>, pc: GuestVirt, offset: i64) -> Result {
    target(f, GuestVirt(pc.0 & !0xfff), offset)
}

/// The shift of an arithmetic immediate.
pub(super) fn shift12(f: &mut Formatter<'_>, shifted: bool) -> Result {
    f.write_str(if shifted { ", lsl #12" } else { "" })
}

/// The shift of a wide move.
pub(super) fn move_shift(f: &mut Formatter<'_>, halfword: u8) -> Result {
    match halfword {
        0 => Ok(()),
        n => write!(f, ", lsl #{}", 16 * u32::from(n)),
    }
}

/// A register of the size that a field of a load or store says: X for 3, W for what is narrower.
pub(super) fn r_of(f: &mut Formatter<'_>, size: u8, register: u8) -> Result {
    r(f, size == 3, register)
}

/// A register and the one after it.
pub(super) fn pair_of(f: &mut Formatter<'_>, sf: bool, register: u8) -> Result {
    r(f, sf, register)?;
    f.write_str(", ")?;
    r(f, sf, register + 1)
}

/// A further operand, unless it is the zero register.
pub(super) fn unless_xzr(f: &mut Formatter<'_>, register: u8) -> Result {
    if register == 31 {
        return Ok(());
    }
    f.write_str(", ")?;
    x(f, register)
}

/// The operand of RET, unless it is the link register.
pub(super) fn unless_lr(f: &mut Formatter<'_>, register: u8) -> Result {
    if register == 30 {
        return Ok(());
    }
    f.write_str(" ")?;
    x(f, register)
}

/// The only operand, unless it is 0.
pub(super) fn unless_0(f: &mut Formatter<'_>, value: u16) -> Result {
    if value == 0 { Ok(()) } else { write!(f, " #{value:#x}") }
}

/// The register whose bit is tested: as narrow as the bit's number allows.
pub(super) fn bit_of(f: &mut Formatter<'_>, bit: u8, register: u8) -> Result {
    r(f, bit >= 32, register)
}

/// A condition.
pub(super) fn cond(f: &mut Formatter<'_>, condition: u8) -> Result {
    const NAMES: [&str; 16] = [
        "eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al",
        "nv",
    ];
    f.write_str(NAMES[usize::from(condition & 15)])
}

/// The shift of a register, unless it has no effect.
pub(super) fn shifted(f: &mut Formatter<'_>, shift: u8, amount: u8) -> Result {
    const NAMES: [&str; 4] = ["lsl", "lsr", "asr", "ror"];
    match (shift, amount) {
        (0, 0) => Ok(()),
        _ => write!(f, ", {} #{amount}", NAMES[usize::from(shift & 3)]),
    }
}

/// Names of the register extensions.
pub(super) const EXTENDS: [&str; 8] =
    ["uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"];

/// An extended register. The extension that has no effect is called LSL if one of the registers
/// `a` and `b` is the stack pointer.
pub(super) fn extended(
    f: &mut Formatter<'_>,
    sf: bool,
    register: u8,
    option: u8,
    amount: u8,
    a: u8,
    b: u8,
) -> Result {
    r(f, sf && option & 3 == 3, register)?;
    let plain = option == if sf { 3 } else { 2 };
    match (plain && (a == 31 || b == 31), amount) {
        (true, 0) => Ok(()),
        (true, n) => write!(f, ", lsl #{n}"),
        (false, 0) => write!(f, ", {}", EXTENDS[usize::from(option & 7)]),
        (false, n) => write!(f, ", {} #{n}", EXTENDS[usize::from(option & 7)]),
    }
}
