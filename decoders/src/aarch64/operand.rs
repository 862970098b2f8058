//! How operands are printed: one function for each kind that the tables' templates name.

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
