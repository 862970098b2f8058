//! Comparisons (IEEE 754-2019 §5.6.1, §5.11) and class (§5.7.2).

use std::cmp::Ordering;

use super::unpack::flush_input;
use crate::float::format::magnitude;
use crate::float::{
    DenormalsIn, Env, Flags, Format, is_nan, is_negative, is_signaling, is_subnormal,
};

/// A key that orders encodings other than NaNs as their values, both zeros alike.
#[inline]
pub(super) fn order_key<F: Format>(a: F::Bits) -> i64 {
    let magnitude = magnitude::<F>(a) as i64;
    if is_negative::<F>(a) { -magnitude } else { magnitude }
}

/// The relation of two operands that are not NaNs, with what the rules say about subnormals.
#[inline]
fn ordered<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> Ordering {
    report_subnormals::<F>(a, b, env);
    let (a, b) = (flush_input::<F>(a, env), flush_input::<F>(b, env));
    order_key::<F>(a).cmp(&order_key::<F>(b))
}

/// Raises [`Flags::ID`] under [`DenormalsIn::Report`].
#[inline]
pub(super) fn report_subnormals<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) {
    if env.rules.denormals_in == DenormalsIn::Report
        && (is_subnormal::<F>(a) || is_subnormal::<F>(b))
    {
        env.raise(Flags::ID);
    }
}

/// compareQuiet…: `None` if unordered; only a signalling NaN is invalid. x86 UCOMISD.
#[inline]
pub fn compare_quiet<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> Option<Ordering> {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        unordered::<F>(a, b, env);
        return None;
    }
    Some(ordered::<F>(a, b, env))
}

#[cold]
fn unordered<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) {
    flush_input::<F>(a, env);
    flush_input::<F>(b, env);
    if is_signaling::<F>(a) || is_signaling::<F>(b) {
        env.raise(Flags::NV);
    }
}

/// compareSignaling…: `None` if unordered; any NaN is invalid. x86 COMISD.
#[inline]
pub fn compare_signaling<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> Option<Ordering> {
    let relation = compare_quiet::<F>(a, b, env);
    if relation.is_none() {
        env.raise(Flags::NV);
    }
    relation
}

/// compareQuietEqual: RISC-V FEQ.
#[inline]
pub fn eq<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> bool {
    compare_quiet::<F>(a, b, env) == Some(Ordering::Equal)
}

/// compareSignalingLess: RISC-V FLT.
#[inline]
pub fn lt<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> bool {
    compare_signaling::<F>(a, b, env) == Some(Ordering::Less)
}

/// compareSignalingLessEqual: RISC-V FLE.
#[inline]
pub fn le<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> bool {
    compare_signaling::<F>(a, b, env).is_some_and(Ordering::is_le)
}

/// compareQuietLess: RISC-V FLTQ.
#[inline]
pub fn lt_quiet<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> bool {
    compare_quiet::<F>(a, b, env) == Some(Ordering::Less)
}

/// compareQuietLessEqual: RISC-V FLEQ.
#[inline]
pub fn le_quiet<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> bool {
    compare_quiet::<F>(a, b, env).is_some_and(Ordering::is_le)
}

/// The bits of a RISC-V FCLASS result.
pub mod class {
    /// −∞.
    pub const NEGATIVE_INFINITY: u16 = 1 << 0;
    /// A negative normal number.
    pub const NEGATIVE_NORMAL: u16 = 1 << 1;
    /// A negative subnormal number.
    pub const NEGATIVE_SUBNORMAL: u16 = 1 << 2;
    /// −0.
    pub const NEGATIVE_ZERO: u16 = 1 << 3;
    /// +0.
    pub const POSITIVE_ZERO: u16 = 1 << 4;
    /// A positive subnormal number.
    pub const POSITIVE_SUBNORMAL: u16 = 1 << 5;
    /// A positive normal number.
    pub const POSITIVE_NORMAL: u16 = 1 << 6;
    /// +∞.
    pub const POSITIVE_INFINITY: u16 = 1 << 7;
    /// A signalling NaN.
    pub const SIGNALING_NAN: u16 = 1 << 8;
    /// A quiet NaN.
    pub const QUIET_NAN: u16 = 1 << 9;
}

/// class, as the one-hot mask of RISC-V FCLASS (see [`class`]); raises nothing.
#[must_use]
pub fn classify<F: Format>(a: F::Bits) -> u16 {
    let (negative, positive) = match magnitude::<F>(a) {
        0 => (class::NEGATIVE_ZERO, class::POSITIVE_ZERO),
        m if m < F::MIN_NORMAL => (class::NEGATIVE_SUBNORMAL, class::POSITIVE_SUBNORMAL),
        m if m < F::INFINITY => (class::NEGATIVE_NORMAL, class::POSITIVE_NORMAL),
        m if m == F::INFINITY => (class::NEGATIVE_INFINITY, class::POSITIVE_INFINITY),
        _ if is_signaling::<F>(a) => return class::SIGNALING_NAN,
        _ => return class::QUIET_NAN,
    };
    if is_negative::<F>(a) { negative } else { positive }
}
