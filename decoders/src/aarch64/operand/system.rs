//! Operands of system instructions.

use std::fmt::{Formatter, Result};

use super::super::sys_reg::name;
use super::x;

/// The option of a barrier.
pub(in crate::aarch64) fn barrier(f: &mut Formatter<'_>, option: u8) -> Result {
    f.write_str(match option {
        1 => "oshld",
        2 => "oshst",
        3 => "osh",
        5 => "nshld",
        6 => "nshst",
        7 => "nsh",
        9 => "ishld",
        10 => "ishst",
        11 => "ish",
        13 => "ld",
        14 => "st",
        15 => "sy",
        _ => return write!(f, "#{option:#04x}"),
    })
}

/// The same of DSB nXS.
pub(in crate::aarch64) fn barrier_nxs(f: &mut Formatter<'_>, domain: u8) -> Result {
    f.write_str(["oshnxs", "nshnxs", "ishnxs", "synxs"][usize::from(domain & 3)])
}

/// The option of CLREX and ISB, unless it is the usual one.
pub(in crate::aarch64) fn unless_15(f: &mut Formatter<'_>, option: u8) -> Result {
    if option == 15 { Ok(()) } else { write!(f, " #{option:#x}") }
}

/// BTI as the hint that it is, from the kinds of jump that may come to it.
pub(in crate::aarch64) fn bti(f: &mut Formatter<'_>, targets: u8) -> Result {
    write!(f, "#{:#x}", 0x20 + 2 * u32::from(targets))
}

/// The register of SYS, unless it is the zero register.
pub(in crate::aarch64) fn sys_rt(f: &mut Formatter<'_>, rt: u8) -> Result {
    if rt == 31 {
        return Ok(());
    }
    f.write_str(", ")?;
    x(f, rt)
}

/// A system register, by its name or, if it has none, by its encoding.
pub(in crate::aarch64) fn sys_reg(f: &mut Formatter<'_>, register: u16) -> Result {
    if let Some(name) = name(register) {
        return f.write_str(name);
    }
    let [op0, op1, op2] = [register >> 14, register >> 11 & 7, register & 7];
    let [crn, crm] = [register >> 7 & 15, register >> 3 & 15];
    write!(f, "s{op0}_{op1}_c{crn}_c{crm}_{op2}")
}
