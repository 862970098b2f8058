//! Operands of floating point and Advanced SIMD. `size` is 0 = B, 1 = H, 2 = S, 3 = D, 4 = Q; `t`
//! is an arrangement, twice the size of an element plus 1 if it fills the register.

use std::fmt::{Formatter, Result};

use super::{r, scalar};

const LETTERS: [char; 5] = ['b', 'h', 's', 'd', 'q'];

fn letter(size: u8) -> char {
    LETTERS[usize::from(size).min(4)]
}

fn arranged(f: &mut Formatter<'_>, count: u8, size: u8, register: u8) -> Result {
    write!(f, "v{register}.{count}{}", letter(size))
}

/// A scalar register of twice this size.
pub(in crate::aarch64) fn fp_wide(f: &mut Formatter<'_>, size: u8, register: u8) -> Result {
    scalar(f, size + 1, register)
}

/// A scalar register of an element's size.
pub(in crate::aarch64) fn fp_t(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    scalar(f, t / 2, register)
}

/// A scalar register of twice an element's size.
pub(in crate::aarch64) fn fp_t_wide(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    scalar(f, t / 2 + 1, register)
}

/// A halfword register.
pub(in crate::aarch64) fn h(f: &mut Formatter<'_>, register: u8) -> Result {
    scalar(f, 1, register)
}

/// A single-precision register.
pub(in crate::aarch64) fn s(f: &mut Formatter<'_>, register: u8) -> Result {
    scalar(f, 2, register)
}

/// A double-precision register.
pub(in crate::aarch64) fn d(f: &mut Formatter<'_>, register: u8) -> Result {
    scalar(f, 3, register)
}

/// A quadword register.
pub(in crate::aarch64) fn q(f: &mut Formatter<'_>, register: u8) -> Result {
    scalar(f, 4, register)
}

/// A vector of this arrangement.
pub(in crate::aarch64) fn vt(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    arranged(f, (8 << (t & 1)) >> (t / 2), t / 2, register)
}

/// The whole vector of elements twice as wide.
pub(in crate::aarch64) fn v_wide(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    vt(f, (t / 2 + 1) * 2 + 1, register)
}

/// The vector of half as many elements twice as wide.
pub(in crate::aarch64) fn v_pairs(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    vt(f, t + 2, register)
}

/// The vector of twice as many elements half as wide.
pub(in crate::aarch64) fn v_halves(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    vt(f, t - 2, register)
}

/// The vector of four times as many elements a quarter as wide.
pub(in crate::aarch64) fn v_quarters(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    vt(f, t - 4, register)
}

/// As many elements half as wide, for widening multiplications: 2H or 4H.
pub(in crate::aarch64) fn v_half_count(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    arranged(f, 2 << (t & 1), 1, register)
}

/// The two lower elements of this size.
pub(in crate::aarch64) fn pair(f: &mut Formatter<'_>, size: u8, register: u8) -> Result {
    arranged(f, 2, size, register)
}

/// 8B or 16B.
pub(in crate::aarch64) fn vb(f: &mut Formatter<'_>, q: bool, register: u8) -> Result {
    vt(f, u8::from(q), register)
}

/// 1D or 2D.
pub(in crate::aarch64) fn vd(f: &mut Formatter<'_>, q: bool, register: u8) -> Result {
    vt(f, 6 + u8::from(q), register)
}

/// 2D, or a D register for the arrangement 1D.
pub(in crate::aarch64) fn vd_or_d(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    if t == 6 { d(f, register) } else { vt(f, t, register) }
}

pub(in crate::aarch64) fn v16b(f: &mut Formatter<'_>, register: u8) -> Result {
    vt(f, 1, register)
}

pub(in crate::aarch64) fn v8h(f: &mut Formatter<'_>, register: u8) -> Result {
    vt(f, 3, register)
}

pub(in crate::aarch64) fn v4s(f: &mut Formatter<'_>, register: u8) -> Result {
    vt(f, 5, register)
}

pub(in crate::aarch64) fn v2d(f: &mut Formatter<'_>, register: u8) -> Result {
    vt(f, 7, register)
}

pub(in crate::aarch64) fn v1q(f: &mut Formatter<'_>, register: u8) -> Result {
    arranged(f, 1, 4, register)
}

/// The upper half of a vector register.
pub(in crate::aarch64) fn v_d1(f: &mut Formatter<'_>, register: u8) -> Result {
    elem(f, 3, 1, register)
}

/// An element of this size.
pub(in crate::aarch64) fn elem(f: &mut Formatter<'_>, size: u8, index: u8, register: u8) -> Result {
    write!(f, "v{register}.{}[{index}]", letter(size))
}

/// An element of an arrangement.
pub(in crate::aarch64) fn elem_t(f: &mut Formatter<'_>, t: u8, index: u8, register: u8) -> Result {
    elem(f, t / 2, index, register)
}

/// A halfword.
pub(in crate::aarch64) fn elem_h(f: &mut Formatter<'_>, index: u8, register: u8) -> Result {
    elem(f, 1, index, register)
}

/// A word.
pub(in crate::aarch64) fn elem_s(f: &mut Formatter<'_>, index: u8, register: u8) -> Result {
    elem(f, 2, index, register)
}

/// Four bytes.
pub(in crate::aarch64) fn elem_4b(f: &mut Formatter<'_>, index: u8, register: u8) -> Result {
    write!(f, "v{register}.4b[{index}]")
}

/// Two halfwords.
pub(in crate::aarch64) fn elem_2h(f: &mut Formatter<'_>, index: u8, register: u8) -> Result {
    write!(f, "v{register}.2h[{index}]")
}

/// The general register that holds an element of an arrangement.
pub(in crate::aarch64) fn x_of_t(f: &mut Formatter<'_>, t: u8, register: u8) -> Result {
    x_of_size(f, t / 2, register)
}

/// The general register that holds an element of this size.
pub(in crate::aarch64) fn x_of_size(f: &mut Formatter<'_>, size: u8, register: u8) -> Result {
    r(f, size == 3, register)
}

/// `2` if the arrangement stands for the upper half.
pub(in crate::aarch64) fn two(f: &mut Formatter<'_>, t: u8) -> Result {
    two_q(f, t & 1 != 0)
}

/// `2` for the upper half.
pub(in crate::aarch64) fn two_q(f: &mut Formatter<'_>, q: bool) -> Result {
    f.write_str(if q { "2" } else { "" })
}

/// BFMLALB or BFMLALT, which multiply the even or the odd elements.
pub(in crate::aarch64) fn bfmlal(f: &mut Formatter<'_>, top: bool) -> Result {
    f.write_str(if top { "bfmlalt" } else { "bfmlalb" })
}

/// The table of TBL: one register more than `len`, modulo 32.
pub(in crate::aarch64) fn list(f: &mut Formatter<'_>, len: u8, first: u8) -> Result {
    let last = (first + len) % 32;
    if len >= 2 && last > first {
        return write!(f, "{{v{first}.16b-v{last}.16b}}");
    }
    f.write_str("{")?;
    for n in 0..=len {
        f.write_str(if n == 0 { "" } else { ", " })?;
        v16b(f, (first + n) % 32)?;
    }
    f.write_str("}")
}

/// The width of an element, as the shift of SHLL.
pub(in crate::aarch64) fn width(f: &mut Formatter<'_>, t: u8) -> Result {
    write!(f, "#{}", 8 << (t / 2))
}

/// A left shift, unless it is zero.
pub(in crate::aarch64) fn lsl(f: &mut Formatter<'_>, shift: u8) -> Result {
    if shift == 0 { Ok(()) } else { write!(f, ", lsl #{shift}") }
}

/// A multiple of 90 degrees.
pub(in crate::aarch64) fn degrees(f: &mut Formatter<'_>, rot: u8) -> Result {
    write!(f, "#{}", 90 * u16::from(rot))
}

/// 90 or 270 degrees.
pub(in crate::aarch64) fn degrees_odd(f: &mut Formatter<'_>, rot: u8) -> Result {
    degrees(f, 2 * rot + 1)
}

/// A floating-point number of 8 bits (Arm ARM, `VFPExpandImm`).
pub(in crate::aarch64) fn fimm(f: &mut Formatter<'_>, imm8: u8) -> Result {
    let exponent = i32::from((imm8 >> 4 & 7) ^ 4) - 3;
    let magnitude = f64::from(16 + (imm8 & 15)) / 16.0 * 2f64.powi(exponent);
    let value = if imm8 & 0x80 == 0 { magnitude } else { -magnitude };
    let text = format!("{value:.18e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    write!(f, "#{digits}e{sign}{exponent:0>2}")
}

/// A byte for each bit.
pub(in crate::aarch64) fn bytes(f: &mut Formatter<'_>, imm8: u8) -> Result {
    let bytes =
        (0..8).filter(|bit| imm8 >> bit & 1 != 0).fold(0, |all, bit| all | 0xffu64 << (8 * bit));
    write!(f, "#{bytes:#x}")
}
