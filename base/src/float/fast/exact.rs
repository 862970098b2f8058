//! Whether rounding lost anything, decided on significands. The results asked about are rounded to
//! nearest and normal.

use crate::float::format::magnitude;
use crate::float::{Format, RawBits};

/// The significand as an integer; the exponent does not matter to these questions.
#[inline]
fn significand<F: Format>(a: F::Bits) -> u64 {
    let fraction = a.to_u64() & (F::MIN_NORMAL - 1);
    if magnitude::<F>(a) < F::MIN_NORMAL { fraction } else { fraction | F::MIN_NORMAL }
}

/// The product of two significands, its leading one at bit 127.
#[inline]
fn aligned_product<F: Format>(a: F::Bits, b: F::Bits) -> u128 {
    let product = u128::from(significand::<F>(a)) * u128::from(significand::<F>(b));
    product << (product.leading_zeros() & 127)
}

/// Whether a finite product is exact, its rounding being normal.
#[inline]
pub(super) fn product<F: Format>(a: F::Bits, b: F::Bits) -> bool {
    aligned_product::<F>(a, b) << F::PRECISION == 0
}

/// Whether the quotient `a / b`, rounded to `q`, is exact.
#[inline]
pub(super) fn quotient<F: Format>(a: F::Bits, b: F::Bits, q: F::Bits) -> bool {
    let dividend = u128::from(significand::<F>(a));
    aligned_product::<F>(q, b) == dividend << (dividend.leading_zeros() & 127)
}

/// Whether an integer of this magnitude is a number of format F.
#[inline]
pub(super) fn integer<F: Format>(magnitude: u64) -> bool {
    (magnitude << (magnitude.leading_zeros() & 63)).unbounded_shl(F::PRECISION) == 0
}
