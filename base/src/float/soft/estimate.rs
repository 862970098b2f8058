//! Arm's estimates, of eight bits and the same on every implementation: FRECPE, FRSQRTE, FRECPX,
//! URECPE, URSQRTE.

use super::nan::{invalid, propagate};
use super::round::{infinity, overflow, zero};
use super::unpack::{Kind, Unpacked, unpack};
use crate::float::format::magnitude;
use crate::float::{DenormalsOut, Env, Flags, Format, RawBits};

/// Bits of an estimate below its leading one.
const ESTIMATE_BITS: u32 = 8;

/// An estimate of 2^17 / (a + 1/2), for `a` from 256 to 511. Arm ARM, RecipEstimate.
fn recip(a: u32) -> u32 {
    ((1 << 19) / (a * 2 + 1)).div_ceil(2)
}

/// An estimate of 2^13 / sqrt(a), for `a` from 128 to 511. Arm ARM, RecipSqrtEstimate.
fn rsqrt(a: u32) -> u32 {
    // The middle of the interval that `a` stands for; from 256 on the interval is twice as long.
    let middle = if a < 256 { a * 2 + 1 } else { ((a & !1) + 1) * 2 };
    // The greatest b with middle * b^2 < 2^28.
    ((1_u32 << 28) - 1).div_euclid(middle).isqrt().div_ceil(2)
}

/// The `bits` bits of a normalised significand below its leading one, and that one.
fn leading(x: Unpacked, bits: u32) -> u32 {
    (x.sig >> (63 - bits)) as u32
}

/// An estimate of 1 / a. Arm ARM, FPRecipEstimate.
pub fn recip_estimate<F: Format>(a: F::Bits, env: &mut Env) -> F::Bits {
    let x = unpack::<F>(a, env);
    match x.kind {
        Kind::Nan => return propagate::<F>(&[a], env),
        Kind::Infinity => return zero::<F>(x.negative),
        Kind::Zero => {
            env.raise(Flags::DZ);
            return infinity::<F>(x.negative);
        }
        Kind::Finite => {}
    }
    if x.exp < -F::EMAX - 1 {
        return overflow::<F>(x.negative, env);
    }
    // The result would be tiny.
    if x.exp >= -F::EMIN && env.rules.denormals_out != DenormalsOut::Keep {
        env.raise(Flags::UF);
        return zero::<F>(x.negative);
    }
    let estimate = u64::from(recip(leading(x, ESTIMATE_BITS)));
    encode::<F>(x.negative, -1 - x.exp, estimate)
}

/// An estimate from 256 to 511 as a significand with this exponent; cut off if that is subnormal.
fn encode<F: Format>(negative: bool, exp: i32, estimate: u64) -> F::Bits {
    let field = exp + F::EMAX;
    const { assert!(F::FRAC_BITS >= ESTIMATE_BITS, "an estimate is a number of the format") };
    let sig = estimate << (F::FRAC_BITS - ESTIMATE_BITS);
    let magnitude =
        if field > 0 { sig + ((field as u64 - 1) << F::FRAC_BITS) } else { sig >> (1 - field) };
    F::Bits::from_u64(if negative { F::SIGN | magnitude } else { magnitude })
}

/// An estimate of 1 / sqrt(a). Arm ARM, FPRSqrtEstimate.
pub fn rsqrt_estimate<F: Format>(a: F::Bits, env: &mut Env) -> F::Bits {
    let x = unpack::<F>(a, env);
    match x.kind {
        Kind::Nan => return propagate::<F>(&[a], env),
        Kind::Zero => {
            env.raise(Flags::DZ);
            return infinity::<F>(x.negative);
        }
        _ if x.negative => return invalid::<F>(env),
        Kind::Infinity => return zero::<F>(false),
        Kind::Finite => {}
    }
    // a = m * 4^k with m from 1/4 up to 1: an odd exponent has one bit less.
    let scaled = leading(x, if x.exp & 1 == 0 { ESTIMATE_BITS - 1 } else { ESTIMATE_BITS });
    let estimate = u64::from(rsqrt(scaled));
    encode::<F>(false, (-1 - x.exp).div_euclid(2), estimate)
}

/// A power of two about as great as 1 / a, to scale by. Arm ARM, FPRecpX.
pub fn recip_exponent<F: Format>(a: F::Bits, env: &mut Env) -> F::Bits {
    let x = unpack::<F>(a, env);
    if x.is_nan() {
        return propagate::<F>(&[a], env);
    }
    let field = magnitude::<F>(a) & F::INFINITY;
    let inverse = if field == 0 { F::INFINITY - F::MIN_NORMAL } else { F::INFINITY - field };
    F::Bits::from_u64(a.to_u64() & F::SIGN | inverse)
}

/// An estimate of 2^63 / a, for `a` of 2^31 or more; all ones for less. Arm ARM,
/// UnsignedRecipEstimate.
#[must_use]
pub fn unsigned_recip_estimate(a: u32) -> u32 {
    if a >> 31 == 0 { u32::MAX } else { recip(a >> 23) << 23 }
}

/// An estimate of 2^47 / sqrt(a), for `a` of 2^30 or more; all ones for less. Arm ARM,
/// UnsignedRSqrtEstimate.
#[must_use]
pub fn unsigned_rsqrt_estimate(a: u32) -> u32 {
    if a >> 30 == 0 { u32::MAX } else { rsqrt(a >> 23) << 23 }
}
