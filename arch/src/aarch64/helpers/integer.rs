//! Advanced SIMD: counting and reversing bits, and products of bytes, of matrices and of polynomials.

use super::arg::Arg;
use super::lane::{Lane, lanes};
use crate::crypto::carryless_product;

macro_rules! counting {
    ($($(#[$doc:meta])* $name:ident |$x:ident| $body:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(arg: Arg, n: u128) -> u128 {
            lanes!(unsigned arg.size(), T => T::map(n, |$x| T::wrap(i128::from($body))))
        })*
    };
}

counting! {
    /// CLZ.
    clz |x| x.leading_zeros();
    /// RBIT.
    rbit |x| x.reverse_bits();
}

/// CLS: how many bits below the sign bit are like it.
pub(super) fn cls(arg: Arg, n: u128) -> u128 {
    lanes!(signed arg.size(), T => T::map(n, |x| {
        T::wrap(i128::from((x ^ (x >> 1)).unsigned_abs_bits().leading_zeros()) - 1)
    }))
}

/// The bits of a lane as an unsigned number.
trait UnsignedBits {
    type Bits;
    fn unsigned_abs_bits(self) -> Self::Bits;
}

macro_rules! unsigned_bits {
    ($($signed:ident $unsigned:ident;)*) => {
        $(impl UnsignedBits for $signed {
            type Bits = $unsigned;
            fn unsigned_abs_bits(self) -> $unsigned {
                self as $unsigned
            }
        })*
    };
}

unsigned_bits! {
    i8 u8;
    i16 u16;
    i32 u32;
    i64 u64;
}

/// The signedness of the two factors of a product of bytes.
trait Factors {
    fn product(n: u8, m: u8) -> i32;
}

enum Signed {}
enum Unsigned {}
/// `n` unsigned, `m` signed.
enum Mixed {}

impl Factors for Signed {
    fn product(n: u8, m: u8) -> i32 {
        i32::from(n as i8) * i32::from(m as i8)
    }
}

impl Factors for Unsigned {
    fn product(n: u8, m: u8) -> i32 {
        i32::from(n) * i32::from(m)
    }
}

impl Factors for Mixed {
    fn product(n: u8, m: u8) -> i32 {
        i32::from(n) * i32::from(m as i8)
    }
}

fn dot<F: Factors>(n: u128, m: u128, d: u128) -> u128 {
    let (n, m, d) = (u8::split(n), u8::split(m), i32::split(d));
    i32::join(|i| (4 * i..4 * i + 4).fold(d[i], |sum, k| sum.wrapping_add(F::product(n[k], m[k]))))
}

/// SDOT: products of four bytes each, added to `d`.
pub(super) fn sdot(_: Arg, n: u128, m: u128, d: u128) -> u128 {
    dot::<Signed>(n, m, d)
}

/// UDOT.
pub(super) fn udot(_: Arg, n: u128, m: u128, d: u128) -> u128 {
    dot::<Unsigned>(n, m, d)
}

/// USDOT: `n` unsigned, `m` signed. SUDOT has them the other way round.
pub(super) fn usdot(_: Arg, n: u128, m: u128, d: u128) -> u128 {
    dot::<Mixed>(n, m, d)
}

/// A 2×8 matrix of bytes by the transpose of another.
fn matrix<F: Factors>(n: u128, m: u128, d: u128) -> u128 {
    let (n, m, d) = (u8::split(n), u8::split(m), i32::split(d));
    i32::join(|i| {
        let (row, column) = (i / 2 * 8, i % 2 * 8);
        (0..8).fold(d[i], |sum, k| sum.wrapping_add(F::product(n[row + k], m[column + k])))
    })
}

/// SMMLA.
pub(super) fn smmla(_: Arg, n: u128, m: u128, d: u128) -> u128 {
    matrix::<Signed>(n, m, d)
}

/// UMMLA.
pub(super) fn ummla(_: Arg, n: u128, m: u128, d: u128) -> u128 {
    matrix::<Unsigned>(n, m, d)
}

/// USMMLA: `n` unsigned, `m` signed.
pub(super) fn usmmla(_: Arg, n: u128, m: u128, d: u128) -> u128 {
    matrix::<Mixed>(n, m, d)
}

/// The product of two polynomials over GF(2).
fn byte_product(n: u8, m: u8) -> u16 {
    (0..8).fold(0, |sum, bit| sum ^ if m >> bit & 1 != 0 { u16::from(n) << bit } else { 0 })
}

/// PMUL: the low halves of the products of bytes.
pub(super) fn pmul(_: Arg, n: u128, m: u128) -> u128 {
    u8::zip(n, m, |n, m| byte_product(n, m) as u8)
}

/// PMULL of bytes: of the lower halves.
pub(super) fn pmull(n: u128, m: u128) -> u128 {
    let (n, m) = (u8::split(n), u8::split(m));
    u16::join(|i| byte_product(n[i], m[i]))
}

/// PMULL2 of bytes: of the upper halves.
pub(super) fn pmull2(n: u128, m: u128) -> u128 {
    pmull(n >> 64, m >> 64)
}

/// PMULL of doublewords: of the lower ones.
pub(super) fn pmull_d(n: u128, m: u128) -> u128 {
    carryless_product(n as u64, m as u64)
}

/// PMULL2 of doublewords: of the upper ones.
pub(super) fn pmull2_d(n: u128, m: u128) -> u128 {
    pmull_d(n >> 64, m >> 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_bits() {
        let bytes = Arg::lanes(0, 16);
        assert_eq!(cls(bytes, 0xff_80_7f_01_00) & 0xff_ffff_ffff, 0x07_00_00_06_07);
        assert_eq!(clz(bytes, 0xff_80_7f_01_00) & 0xff_ffff_ffff, 0x00_00_01_07_08);
    }

    #[test]
    fn products_of_polynomials() {
        assert_eq!(byte_product(0xff, 0xff), 0x5555);
        assert_eq!(pmull_d(3, 3), 5);
        assert_eq!(pmull2_d(3 << 64 | 1, 3 << 64), 5);
        assert_eq!(pmull2(0x0102 << 64, 0xffff << 64), 0xff_01fe);
    }
}
