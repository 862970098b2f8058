//! SIMD and floating-point registers.

use std::fmt::{Formatter, Result};

/// Letters of the sizes of registers and elements, by the logarithm of their bytes.
const SIZES: [&str; 5] = ["b", "h", "s", "d", "q"];

fn size_letter(size: u8) -> &'static str {
    SIZES.get(usize::from(size)).copied().unwrap_or("?")
}

/// A scalar register of 2^size bytes.
pub(in crate::aarch64) fn scalar(f: &mut Formatter<'_>, size: u8, register: u8) -> Result {
    write!(f, "{}{register}", size_letter(size))
}

/// A vector register with elements of 2^size bytes, of 128 bits if q, else 64.
pub(in crate::aarch64) fn v(f: &mut Formatter<'_>, q: bool, size: u8, register: u8) -> Result {
    let bytes = if q { 16u8 } else { 8 };
    write!(f, "v{register}.{}{}", bytes >> size, size_letter(size))
}

/// A list of vector registers with consecutive numbers, 0 following 31.
pub(in crate::aarch64) fn v_list(
    f: &mut Formatter<'_>,
    q: bool,
    size: u8,
    first: u8,
    regs: u8,
) -> Result {
    list(f, first, regs, |f, register| v(f, q, size, register))
}

/// The same, of which one element each is meant.
pub(in crate::aarch64) fn v_lanes(
    f: &mut Formatter<'_>,
    size: u8,
    first: u8,
    regs: u8,
    index: u8,
) -> Result {
    let letter = size_letter(size);
    list(f, first, regs, |f, register| write!(f, "v{register}.{letter}"))?;
    write!(f, "[{index}]")
}

/// Two registers are listed, more are a range unless 0 follows 31 in it.
fn list(
    f: &mut Formatter<'_>,
    first: u8,
    regs: u8,
    print: impl Fn(&mut Formatter<'_>, u8) -> Result,
) -> Result {
    let last = first + regs - 1;
    f.write_str("{")?;
    print(f, first)?;
    if regs > 2 && last <= 31 {
        f.write_str("-")?;
        print(f, last)?;
    } else {
        for register in first + 1..=last {
            f.write_str(", ")?;
            print(f, register % 32)?;
        }
    }
    f.write_str("}")
}
