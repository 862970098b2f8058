//! The operations of [`soft`](super::soft) for `f32` and `f64` by host arithmetic, wherever the
//! host's result and the flags it would raise are certain; otherwise by `soft`.
//!
//! Rounding to nearest even with [`Flags::NX`] already raised, a result raises nothing new unless
//! it is zero, subnormal, the least normal number (to which a tiny number may have been rounded),
//! infinite or a NaN: [`result_stands`]. That is the path in front, inlined. With NX still clear,
//! exactness is decided by an error term or by integer arithmetic on the significands.
//!
//! The host's sticky flags are never read: the compiler may have folded, moved or dropped operations.

mod arith;
mod convert;
mod exact;
mod host;
mod integral;

pub use arith::{add, div, fma, mul, sqrt, sub};
pub use convert::{HostInt, from_int, narrow, to_int, widen};
pub use host::HostFormat;
pub use integral::round_to_integral;

pub use super::soft::{
    classify, compare_quiet, compare_signaling, eq, le, le_quiet, lt, lt_quiet, max_num, max_x86,
    maximum, maximum_number, min_num, min_x86, minimum, minimum_number, to_i32_modular,
};

use super::format::magnitude;
use super::{DenormalsIn, DenormalsOut, Env, Flags, Format, Round, is_subnormal};

/// Whether the host's result `r` of any operation may be taken without a look at flags.
///
/// It may if rounding is to nearest even, NX is already raised, and the rules do not care about
/// subnormal operands (or none is). Inlined by generated code, which calls the function of this
/// module (not of `soft`: zeros are common and handled here) when the test fails. The same in one
/// subtraction and one unsigned comparison, on the encoding without its sign:
/// `magnitude - (MIN_NORMAL + 1) < INFINITY - (MIN_NORMAL + 1)`.
///
/// It is *not* enough that the exponent field is neither zero nor all ones: the least normal number
/// may be the rounding of a tiny product, quotient or narrowed number, which underflows.
#[must_use]
#[inline]
pub fn result_stands<F: Format>(r: F::Bits) -> bool {
    magnitude::<F>(r).wrapping_sub(F::MIN_NORMAL + 1) < F::INFINITY - F::MIN_NORMAL - 1
}

/// As [`result_stands`], for the result of a sum, difference, square root or widening: there zero
/// and subnormal results are always exact, so only infinities and NaNs need another look. Generated
/// code tests the exponent field for all ones. Needs [`DenormalsOut::Keep`].
#[must_use]
#[inline]
pub fn exact_when_tiny_stands<F: Format>(r: F::Bits) -> bool {
    magnitude::<F>(r) < F::INFINITY
}

/// Whether the mode alone lets host results that pass [`result_stands`] be taken.
#[inline]
fn settled(env: &Env) -> bool {
    env.flags.contains(Flags::NX)
        && env.round == Round::NearestEven
        && env.rules.denormals_in == DenormalsIn::Keep
        && env.rules.denormals_out == DenormalsOut::Keep
}

/// Whether the rules do something about subnormal operands that is not yet done.
#[inline]
fn watches_denormals(env: &Env) -> bool {
    match env.rules.denormals_in {
        DenormalsIn::Keep => false,
        DenormalsIn::Report => !env.flags.contains(Flags::ID),
        DenormalsIn::Flush | DenormalsIn::FlushAndReport => true,
    }
}

/// Whether the host computes with the same operands as the guest, and rounds as it does.
#[inline]
fn host_agrees<F: Format, const N: usize>(operands: [F::Bits; N], env: &Env) -> bool {
    env.round == Round::NearestEven && operands_agree::<F, N>(operands, env)
}

/// Whether the host computes with the same operands as the guest.
#[inline]
fn operands_agree<F: Format, const N: usize>(operands: [F::Bits; N], env: &Env) -> bool {
    !watches_denormals(env) || !operands.iter().any(|&a| is_subnormal::<F>(a))
}

/// Takes a result that is known to be rounded to a normal number or exact.
#[inline]
fn take<B>(r: B, exact: impl FnOnce() -> bool, env: &mut Env) -> B {
    if !env.flags.contains(Flags::NX) && !exact() {
        env.raise(Flags::NX);
    }
    r
}
