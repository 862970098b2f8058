//! The host's own arithmetic on encodings.

use crate::float::{F32, F64, Format, sys};

/// A format in which the host computes.
pub trait HostFormat: Format {
    /// `a + b`.
    fn host_add(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// `a - b`.
    fn host_sub(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// `a * b`.
    fn host_mul(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// `a / b`.
    fn host_div(a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// The square root.
    fn host_sqrt(a: Self::Bits) -> Self::Bits;
    /// `a * b + c`, if the host has an instruction for it.
    fn host_fma(a: Self::Bits, b: Self::Bits, c: Self::Bits) -> Option<Self::Bits>;
    /// Whether `a + b`, rounded to the finite `sum`, is exact.
    fn sum_is_exact(a: Self::Bits, b: Self::Bits, sum: Self::Bits) -> bool;
    /// The value as `f64`.
    fn to_f64(a: Self::Bits) -> f64;
    /// The nearest to `value`, ties to even.
    fn from_f64(value: f64) -> Self::Bits;
    /// The nearest to `value`, ties to even.
    fn from_i64(value: i64) -> Self::Bits;
    /// The nearest to `value`, ties to even.
    fn from_u64(value: u64) -> Self::Bits;
}

macro_rules! host {
    ($format:ty, $native:ty, $fma:path) => {
        impl HostFormat for $format {
            #[inline]
            fn host_add(a: Self::Bits, b: Self::Bits) -> Self::Bits {
                (<$native>::from_bits(a) + <$native>::from_bits(b)).to_bits()
            }
            #[inline]
            fn host_sub(a: Self::Bits, b: Self::Bits) -> Self::Bits {
                (<$native>::from_bits(a) - <$native>::from_bits(b)).to_bits()
            }
            #[inline]
            fn host_mul(a: Self::Bits, b: Self::Bits) -> Self::Bits {
                (<$native>::from_bits(a) * <$native>::from_bits(b)).to_bits()
            }
            #[inline]
            fn host_div(a: Self::Bits, b: Self::Bits) -> Self::Bits {
                (<$native>::from_bits(a) / <$native>::from_bits(b)).to_bits()
            }
            #[inline]
            fn host_sqrt(a: Self::Bits) -> Self::Bits {
                <$native>::from_bits(a).sqrt().to_bits()
            }
            #[inline]
            fn host_fma(a: Self::Bits, b: Self::Bits, c: Self::Bits) -> Option<Self::Bits> {
                $fma(<$native>::from_bits(a), <$native>::from_bits(b), <$native>::from_bits(c))
                    .map(<$native>::to_bits)
            }
            #[inline]
            fn sum_is_exact(a: Self::Bits, b: Self::Bits, sum: Self::Bits) -> bool {
                // Knuth's TwoSum. Of an exact sum each step is exact, so none overflows there;
                // where one does, the error is not zero (it may be a NaN).
                let [a, b, sum] = [a, b, sum].map(<$native>::from_bits);
                let b_part = sum - a;
                let a_part = sum - b_part;
                (a - a_part) + (b - b_part) == 0.0
            }
            #[inline]
            fn to_f64(a: Self::Bits) -> f64 {
                f64::from(<$native>::from_bits(a))
            }
            #[inline]
            fn from_f64(value: f64) -> Self::Bits {
                (value as $native).to_bits()
            }
            #[inline]
            fn from_i64(value: i64) -> Self::Bits {
                (value as $native).to_bits()
            }
            #[inline]
            fn from_u64(value: u64) -> Self::Bits {
                (value as $native).to_bits()
            }
        }
    };
}

host!(F32, f32, sys::fma_f32);
host!(F64, f64, sys::fma_f64);
