//! How operands are printed: one function for each kind that the tables' templates name.

use std::fmt::{Formatter, Result, Write};

use base::GuestVirt;

/// Names of the integer registers in the psABI.
const X: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// Names of the floating-point registers in the psABI.
const F: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
    "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
    "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

/// An integer register.
pub(super) fn x(f: &mut Formatter<'_>, register: u8) -> Result {
    f.write_str(X[usize::from(register & 31)])
}

/// A floating-point register.
pub(super) fn f(f: &mut Formatter<'_>, register: u8) -> Result {
    f.write_str(F[usize::from(register & 31)])
}

/// A shift amount or another small number in hexadecimal.
pub(super) fn hex(f: &mut Formatter<'_>, value: u8) -> Result {
    write!(f, "{value:#x}")
}

/// The upper 20 bits of a 32-bit value.
pub(super) fn upper(f: &mut Formatter<'_>, value: i64) -> Result {
    write!(f, "{:#x}", (value >> 12) & 0xf_ffff)
}

/// The target of a branch.
pub(super) fn target(f: &mut Formatter<'_>, pc: GuestVirt, offset: i64) -> Result {
    write!(f, "{:#x}", pc.wrapping_offset(offset).0)
}

/// Nothing for 0, a further operand otherwise.
pub(super) fn unless_zero(f: &mut Formatter<'_>, value: i64) -> Result {
    if value == 0 { Ok(()) } else { write!(f, " {value}") }
}

/// The manual's number of a `c.mop`.
pub(super) fn odd(f: &mut Formatter<'_>, index: u8) -> Result {
    write!(f, "{}", 2 * u32::from(index) + 1)
}

/// A rounding mode, unless it is the dynamic one.
pub(super) fn rm(f: &mut Formatter<'_>, mode: u8) -> Result {
    f.write_str(match mode {
        0 => ",rne",
        1 => ",rtz",
        2 => ",rdn",
        3 => ",rup",
        4 => ",rmm",
        7 => "",
        _ => ",unknown",
    })
}

/// The suffix of an atomic instruction.
pub(super) fn ordering(f: &mut Formatter<'_>, acquire: bool, release: bool) -> Result {
    f.write_str(match (acquire, release) {
        (false, false) => "",
        (true, false) => ".aq",
        (false, true) => ".rl",
        (true, true) => ".aqrl",
    })
}

/// One set of a fence.
pub(super) fn fence(f: &mut Formatter<'_>, set: u8) -> Result {
    if set & 15 == 0 {
        return f.write_str("unknown");
    }
    [(8, 'i'), (4, 'o'), (2, 'r'), (1, 'w')]
        .into_iter()
        .filter(|(bit, _)| set & bit != 0)
        .try_for_each(|(_, name)| f.write_char(name))
}

/// The constant of `fli`, by the manual's table (Zfa, "Load-immediate instructions").
pub(super) fn fli(f: &mut Formatter<'_>, index: u8) -> Result {
    const CONSTANTS: [&str; 32] = [
        "-1.0", "min", "0x1p-16", "0x1p-15", "0x1p-8", "0x1p-7", "0.0625", "0.125", "0.25",
        "0.3125", "0.375", "0.4375", "0.5", "0.625", "0.75", "0.875", "1.0", "1.25", "1.5", "1.75",
        "2.0", "2.5", "3.0", "4.0", "8.0", "16.0", "128.0", "256.0", "32768.0", "65536.0", "inf",
        "nan",
    ];
    f.write_str(CONSTANTS[usize::from(index & 31)])
}

/// A control and status register, by its name in the manual.
pub(super) fn csr(f: &mut Formatter<'_>, number: u16) -> Result {
    match super::csr::name(number) {
        Some(name) => f.write_str(name),
        None => match super::csr::numbered(number) {
            Some((stem, index)) => write!(f, "{stem}{index}"),
            None => write!(f, "{number:#x}"),
        },
    }
}
