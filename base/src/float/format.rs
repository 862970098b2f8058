//! The interchange formats (IEEE 754-2019 §3.4) and bfloat16.
//!
//! Significands are computed in 64 bits and their products in 128, which also holds the 64-bit
//! significand of x87's extended format; that one will need its own packing (explicit integer bit).

use std::fmt::Debug;

/// An unsigned integer that carries the encoding of a floating-point number.
pub trait RawBits: Copy + Eq + Debug {
    /// Zero-extends.
    fn to_u64(self) -> u64;
    /// Truncates.
    fn from_u64(raw: u64) -> Self;
}

impl RawBits for u16 {
    #[inline]
    fn to_u64(self) -> u64 {
        u64::from(self)
    }
    #[inline]
    fn from_u64(raw: u64) -> Self {
        raw as u16
    }
}

impl RawBits for u32 {
    #[inline]
    fn to_u64(self) -> u64 {
        u64::from(self)
    }
    #[inline]
    fn from_u64(raw: u64) -> Self {
        raw as u32
    }
}

impl RawBits for u64 {
    #[inline]
    fn to_u64(self) -> u64 {
        self
    }
    #[inline]
    fn from_u64(raw: u64) -> Self {
        raw
    }
}

/// A binary format with an implicit leading significand bit.
///
/// The associated masks are encodings of positive numbers, zero-extended to 64 bits.
pub trait Format: Copy + Debug + 'static {
    /// Carrier of the encoding, of exactly the format's width.
    type Bits: RawBits;
    /// Width of the biased exponent.
    const EXP_BITS: u32;
    /// Width of the trailing significand field.
    const FRAC_BITS: u32;

    /// Significant bits, the implicit one included: *p* in IEEE 754.
    const PRECISION: u32 = Self::FRAC_BITS + 1;
    /// Greatest exponent of a finite number; also the bias.
    const EMAX: i32 = (1 << (Self::EXP_BITS - 1)) - 1;
    /// Least exponent of a normal number.
    const EMIN: i32 = 1 - Self::EMAX;
    /// The sign bit.
    const SIGN: u64 = 1 << (Self::EXP_BITS + Self::FRAC_BITS);
    /// Positive infinity; also the mask of the exponent field.
    const INFINITY: u64 = ((1 << Self::EXP_BITS) - 1) << Self::FRAC_BITS;
    /// The greatest finite number.
    const MAX_FINITE: u64 = Self::INFINITY - 1;
    /// The least normal number.
    const MIN_NORMAL: u64 = 1 << Self::FRAC_BITS;
    /// The bit that tells a quiet NaN from a signalling one.
    const QUIET: u64 = 1 << (Self::FRAC_BITS - 1);
    /// The positive quiet NaN without payload.
    const QUIET_NAN: u64 = Self::INFINITY | Self::QUIET;
}

/// binary16, half precision.
#[derive(Clone, Copy, Debug)]
pub enum F16 {}
/// bfloat16: binary32 with the low half of its significand cut off.
#[derive(Clone, Copy, Debug)]
pub enum BF16 {}
/// binary32, single precision.
#[derive(Clone, Copy, Debug)]
pub enum F32 {}
/// binary64, double precision.
#[derive(Clone, Copy, Debug)]
pub enum F64 {}

impl Format for F16 {
    type Bits = u16;
    const EXP_BITS: u32 = 5;
    const FRAC_BITS: u32 = 10;
}

impl Format for BF16 {
    type Bits = u16;
    const EXP_BITS: u32 = 8;
    const FRAC_BITS: u32 = 7;
}

impl Format for F32 {
    type Bits = u32;
    const EXP_BITS: u32 = 8;
    const FRAC_BITS: u32 = 23;
}

impl Format for F64 {
    type Bits = u64;
    const EXP_BITS: u32 = 11;
    const FRAC_BITS: u32 = 52;
}

/// The encoding without its sign: orders finite numbers and infinity as their magnitudes.
#[inline]
pub(super) fn magnitude<F: Format>(a: F::Bits) -> u64 {
    a.to_u64() & !F::SIGN
}

/// The sign bit, as `isSignMinus` (IEEE 754-2019 §5.7.2).
#[must_use]
#[inline]
pub fn is_negative<F: Format>(a: F::Bits) -> bool {
    a.to_u64() & F::SIGN != 0
}

/// `isNaN` (IEEE 754-2019 §5.7.2).
#[must_use]
#[inline]
pub fn is_nan<F: Format>(a: F::Bits) -> bool {
    magnitude::<F>(a) > F::INFINITY
}

/// `isSignaling` (IEEE 754-2019 §5.7.2).
#[must_use]
#[inline]
pub fn is_signaling<F: Format>(a: F::Bits) -> bool {
    is_nan::<F>(a) && a.to_u64() & F::QUIET == 0
}

/// `isSubnormal` (IEEE 754-2019 §5.7.2).
#[must_use]
#[inline]
pub fn is_subnormal<F: Format>(a: F::Bits) -> bool {
    magnitude::<F>(a).wrapping_sub(1) < F::MIN_NORMAL - 1
}

/// `negate` (IEEE 754-2019 §5.5.1): flips the sign of anything, NaNs included, raising nothing.
///
/// RISC-V and Arm define their negated fused multiply-adds by it.
#[must_use]
#[inline]
pub fn negate<F: Format>(a: F::Bits) -> F::Bits {
    F::Bits::from_u64(a.to_u64() ^ F::SIGN)
}

/// Flips the sign of everything but NaNs: what x86's VFNMADD and VFMSUB do to their operands.
#[must_use]
#[inline]
pub fn negate_number<F: Format>(a: F::Bits) -> F::Bits {
    if is_nan::<F>(a) { a } else { negate::<F>(a) }
}
