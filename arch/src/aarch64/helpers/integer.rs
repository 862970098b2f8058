//! Advanced SIMD: integers across and between lanes, halving, counting bits, long and narrow arithmetic, and
//! products of matrices.

use super::arg::Arg;
use super::lane::{Lane, Narrow, lanes, narrow_lanes};

macro_rules! halving {
    ($($(#[$doc:meta])* $name:ident $sign:ident |$a:ident, $b:ident| $body:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(arg: Arg, n: u128, m: u128) -> u128 {
            narrow_lanes!($sign arg.size(), T => T::zip(n, m, |n, m| {
                let ($a, $b) = (n.long(), m.long());
                T::wrap_long($body)
            }))
        })*
    };
}

halving! {
    /// SHADD. Lanes of up to 4 bytes, here and below.
    shadd signed |a, b| (a + b) >> 1;
    /// UHADD.
    uhadd unsigned |a, b| (a + b) >> 1;
    /// SRHADD.
    srhadd signed |a, b| (a + b + 1) >> 1;
    /// URHADD.
    urhadd unsigned |a, b| (a + b + 1) >> 1;
    /// SHSUB.
    shsub signed |a, b| (a - b) >> 1;
    /// UHSUB.
    uhsub unsigned |a, b| (a - b) >> 1;
    /// SABD: the absolute difference.
    sabd signed |a, b| (a - b).abs();
    /// UABD.
    uabd unsigned |a, b| (a - b).abs();
}

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
    /// CNT.
    cnt |x| x.count_ones();
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

/// The high halves of lanes of twice the size given, in the low half of the result.
fn high_halves(arg: Arg, n: u128, m: u128, value: impl Fn(i128, i128, u32) -> i128) -> u128 {
    narrow_lanes!(unsigned arg.size(), T => {
        let (n, m) = (<T as Narrow>::Wide::split(n), <T as Narrow>::Wide::split(m));
        let bits = <T as Lane>::BITS;
        T::join(|i| match (n.get(i), m.get(i)) {
            (Some(n), Some(m)) => T::wrap(value(n.wide(), m.wide(), bits) >> bits),
            _ => 0,
        })
    })
}

/// ADDHN: the high halves of sums, in the low half of the result.
pub(super) fn addhn(arg: Arg, n: u128, m: u128) -> u128 {
    high_halves(arg, n, m, |n, m, _| n + m)
}

/// RADDHN: rounded.
pub(super) fn raddhn(arg: Arg, n: u128, m: u128) -> u128 {
    high_halves(arg, n, m, |n, m, bits| n + m + (1 << (bits - 1)))
}

/// SUBHN: the high halves of differences.
pub(super) fn subhn(arg: Arg, n: u128, m: u128) -> u128 {
    high_halves(arg, n, m, |n, m, _| n - m)
}

/// RSUBHN: rounded.
pub(super) fn rsubhn(arg: Arg, n: u128, m: u128) -> u128 {
    high_halves(arg, n, m, |n, m, bits| n - m + (1 << (bits - 1)))
}

macro_rules! long {
    ($($(#[$doc:meta])* $name:ident $sign:ident |$a:ident, $b:ident| $body:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(arg: Arg, n: u128, m: u128) -> u128 {
            narrow_lanes!($sign arg.size(), T => {
                let (n, m) = (T::split(n), T::split(m));
                <T as Narrow>::Wide::join(|i| {
                    let ($a, $b) = (n[i].wide(), m[i].wide());
                    <T as Narrow>::Wide::wrap($body)
                })
            })
        })*
    };
}

long! {
    /// SMULL: of the lanes of the size given in the low halves, here and below.
    smull signed |a, b| a * b;
    /// UMULL.
    umull unsigned |a, b| a * b;
    /// SADDL.
    saddl signed |a, b| a + b;
    /// UADDL.
    uaddl unsigned |a, b| a + b;
    /// SSUBL.
    ssubl signed |a, b| a - b;
    /// USUBL.
    usubl unsigned |a, b| a - b;
    /// SABDL.
    sabdl signed |a, b| (a - b).abs();
    /// UABDL.
    uabdl unsigned |a, b| (a - b).abs();
}

/// SXTL: the lanes of the size given in the low half, widened.
pub(super) fn sxtl(arg: Arg, n: u128) -> u128 {
    saddl(arg, n, 0)
}

/// UXTL.
pub(super) fn uxtl(arg: Arg, n: u128) -> u128 {
    uaddl(arg, n, 0)
}

macro_rules! pairwise {
    ($($(#[$doc:meta])* $name:ident $sign:ident $reduced:ident |$a:ident, $b:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(arg: Arg, n: u128, m: u128) -> u128 {
            lanes!($sign arg.size(), T => {
                pairs::<T>(arg, n, m, |$a, $b| $body)
            })
        }
        /// The same across the lanes that count, in lane 0 alone.
        pub(super) fn $reduced(arg: Arg, n: u128) -> u128 {
            lanes!($sign arg.size(), T => {
                let lanes = T::split(n);
                let first = lanes[0];
                let all = lanes[1..arg.count(<T as Lane>::SIZE).max(1)].iter();
                let result: T = all.fold(first, |$a, &$b| $body);
                T::join(|i| if i == 0 { result } else { 0 })
            })
        }
    )*};
}

/// `f` of neighbours, first those of `n`, then those of `m`.
fn pairs<T: Lane>(arg: Arg, n: u128, m: u128, f: impl Fn(T, T) -> T) -> u128 {
    let (n, m) = (T::split(n), T::split(m));
    let count = arg.count(T::SIZE);
    let at = |i: usize| if i < count { n.as_ref()[i] } else { m.as_ref()[i - count] };
    T::join(|i| if i < count { f(at(2 * i), at(2 * i + 1)) } else { T::wrap(0) })
}

pairwise! {
    /// ADDP; [`addv`] is ADDV.
    addp unsigned addv |a, b| a.wrapping_add(b);
    /// SMAXP; [`smaxv`] is SMAXV.
    smaxp signed smaxv |a, b| a.max(b);
    /// SMINP; [`sminv`] is SMINV.
    sminp signed sminv |a, b| a.min(b);
    /// UMAXP; [`umaxv`] is UMAXV.
    umaxp unsigned umaxv |a, b| a.max(b);
    /// UMINP; [`uminv`] is UMINV.
    uminp unsigned uminv |a, b| a.min(b);
}

/// SADDLV: the sum of the lanes that count, of twice their width.
pub(super) fn saddlv(arg: Arg, n: u128) -> u128 {
    narrow_lanes!(signed arg.size(), T => sum_long::<T>(arg, n))
}

/// UADDLV.
pub(super) fn uaddlv(arg: Arg, n: u128) -> u128 {
    narrow_lanes!(unsigned arg.size(), T => sum_long::<T>(arg, n))
}

fn sum_long<T: Narrow>(arg: Arg, n: u128) -> u128 {
    let lanes = T::split(n);
    let sum = lanes.as_ref()[..arg.count(T::SIZE)].iter().map(|lane| lane.wide()).sum();
    T::Wide::join(|i| T::Wide::wrap(if i == 0 { sum } else { 0 }))
}

/// SADDLP: sums of neighbours of the size given, of twice that.
pub(super) fn saddlp(arg: Arg, n: u128) -> u128 {
    narrow_lanes!(signed arg.size(), T => sum_pairs::<T>(n))
}

/// UADDLP.
pub(super) fn uaddlp(arg: Arg, n: u128) -> u128 {
    narrow_lanes!(unsigned arg.size(), T => sum_pairs::<T>(n))
}

fn sum_pairs<T: Narrow>(n: u128) -> u128 {
    let n = T::split(n);
    let n = n.as_ref();
    T::Wide::join(|i| T::Wide::wrap(n[2 * i].wide() + n[2 * i + 1].wide()))
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

/// PMULL, PMULL2: of the first lane that counts and those after it; the first number is that lane's.
pub(super) fn pmull(arg: Arg, n: u128, m: u128) -> u128 {
    let shift = if arg.first() == 0 { 0 } else { 64 };
    let (n, m) = (n >> shift, m >> shift);
    if arg.size() == 3 {
        return crate::crypto::carryless_product(n as u64, m as u64);
    }
    let (n, m) = (u8::split(n), u8::split(m));
    u16::join(|i| byte_product(n[i], m[i]))
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
    fn sums_across_lanes() {
        assert_eq!(addv(Arg::lanes(0, 8), 0x0102_0304_0506_07ff_0102_0304_0506_07ff), 0x1b);
        assert_eq!(uaddlv(Arg::lanes(0, 16), u128::MAX), 255 * 16);
        assert_eq!(saddlv(Arg::lanes(1, 8), u128::MAX), 0xffff_fff8);
        assert_eq!(addp(Arg::lanes(3, 2), 1 | 2 << 64, 3 | 4 << 64), 3 | 7 << 64);
    }

    #[test]
    fn products_of_polynomials() {
        assert_eq!(byte_product(0xff, 0xff), 0x5555);
        assert_eq!(pmull(Arg::lanes(3, 1), 3, 3), 5);
    }
}
