//! Operands of loads and stores.

use std::fmt::{Formatter, Result};

use super::{EXTENDS, r, x, xsp};

/// A base register.
pub(in crate::aarch64) fn base(f: &mut Formatter<'_>, rn: u8) -> Result {
    f.write_str("[")?;
    xsp(f, rn)?;
    f.write_str("]")
}

/// A base register and an offset, unless that is 0.
pub(in crate::aarch64) fn base_plus(f: &mut Formatter<'_>, rn: u8, offset: i64) -> Result {
    f.write_str("[")?;
    xsp(f, rn)?;
    if offset != 0 {
        write!(f, ", #{offset}")?;
    }
    f.write_str("]")
}

/// An address with offset (mode 0), post-index (1) or pre-index (2).
pub(in crate::aarch64) fn at(f: &mut Formatter<'_>, rn: u8, offset: i64, mode: u8) -> Result {
    match mode {
        0 => base_plus(f, rn, offset),
        1 => {
            base(f, rn)?;
            write!(f, ", #{offset}")
        }
        _ => {
            f.write_str("[")?;
            xsp(f, rn)?;
            write!(f, ", #{offset}]!")
        }
    }
}

/// The same of LDRAA and LDRAB, whose offset need not be written even before `!`.
pub(in crate::aarch64) fn at_auth(f: &mut Formatter<'_>, rn: u8, offset: i64, mode: u8) -> Result {
    base_plus(f, rn, offset)?;
    f.write_str(if mode == 2 { "!" } else { "" })
}

/// An address with a register as offset, which is extended and scaled.
pub(in crate::aarch64) fn at_register(
    f: &mut Formatter<'_>,
    rn: u8,
    rm: u8,
    option: u8,
    shift: bool,
    scale: u8,
) -> Result {
    const LSL: u8 = 3;
    f.write_str("[")?;
    xsp(f, rn)?;
    f.write_str(", ")?;
    r(f, option & 1 == 1, rm)?;
    match (option, shift) {
        (LSL, false) => {}
        (LSL, true) => write!(f, ", lsl #{scale}")?,
        (_, false) => write!(f, ", {}", EXTENDS[usize::from(option & 7)])?,
        (_, true) => write!(f, ", {} #{scale}", EXTENDS[usize::from(option & 7)])?,
    }
    f.write_str("]")
}

/// The address of LD1 to LD4 of whole registers: with post-index, by their size if rm is 31.
pub(in crate::aarch64) fn at_structure(
    f: &mut Formatter<'_>,
    q: bool,
    rn: u8,
    rm: u8,
    mode: u8,
    regs: u8,
) -> Result {
    at_post(f, rn, rm, mode, if q { 16 * regs } else { 8 * regs })
}

/// The same of one element of each register.
pub(in crate::aarch64) fn at_elements(
    f: &mut Formatter<'_>,
    size: u8,
    rn: u8,
    rm: u8,
    mode: u8,
    regs: u8,
) -> Result {
    at_post(f, rn, rm, mode, regs << size)
}

fn at_post(f: &mut Formatter<'_>, rn: u8, rm: u8, mode: u8, bytes: u8) -> Result {
    base(f, rn)?;
    match (mode, rm) {
        (0, _) => Ok(()),
        (_, 31) => write!(f, ", #{bytes}"),
        _ => {
            f.write_str(", ")?;
            x(f, rm)
        }
    }
}

/// The part of a mnemonic that says how wide an access is.
pub(in crate::aarch64) fn bh(f: &mut Formatter<'_>, size: u8) -> Result {
    f.write_str(match size {
        0 => "b",
        1 => "h",
        _ => "",
    })
}

/// The part of a mnemonic that says how an access is ordered.
pub(in crate::aarch64) fn order(f: &mut Formatter<'_>, acquire: bool, release: bool) -> Result {
    f.write_str(match (acquire, release) {
        (false, false) => "",
        (true, false) => "a",
        (false, true) => "l",
        (true, true) => "al",
    })
}

/// What to prefetch, where to, and for how long.
pub(in crate::aarch64) fn prefetch(f: &mut Formatter<'_>, operation: u8) -> Result {
    let (kind, level) = (operation >> 3 & 3, operation >> 1 & 3);
    if kind == 3 || level == 3 {
        return write!(f, "#{operation:#04x}");
    }
    let kind = ["pld", "pli", "pst"][usize::from(kind)];
    let policy = if operation & 1 == 0 { "keep" } else { "strm" };
    write!(f, "{kind}l{}{policy}", level + 1)
}

/// The part of a mnemonic that says how CPY* reads and writes: unprivileged, non-temporal.
pub(in crate::aarch64) fn copy_options(f: &mut Formatter<'_>, options: u8) -> Result {
    const UNPRIVILEGED: [&str; 4] = ["", "wt", "rt", "t"];
    const NON_TEMPORAL: [&str; 4] = ["", "wn", "rn", "n"];
    f.write_str(UNPRIVILEGED[usize::from(options & 3)])?;
    f.write_str(NON_TEMPORAL[usize::from(options >> 2 & 3)])
}

/// The same of SET*.
pub(in crate::aarch64) fn set_options(f: &mut Formatter<'_>, options: u8) -> Result {
    f.write_str(["", "t", "n", "tn"][usize::from(options & 3)])
}
