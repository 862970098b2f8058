//! roundToIntegral… (IEEE 754-2019 §5.9) and the modular conversion that JavaScript wants.

use super::nan::propagate;
use super::round::{increments, infinity, round_pack, zero};
use super::unpack::{Exact, Kind, Unpacked, shift_right_sticky, unpack};
use crate::float::{Env, F64, Flags, Format, RawBits, Round};

/// Whether rounding to an integral value may raise inexact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inexact {
    /// roundToIntegralExact: RISC-V FROUNDNX, Arm FRINTX.
    Signal,
    /// roundToIntegralTiesToEven and its like: RISC-V FROUND, Arm FRINTN.
    Suppress,
}

/// The magnitude of a finite operand below 2^64 as an integer, and whether rounding changed it.
#[inline]
pub(super) fn to_units(x: Unpacked, round: Round) -> (u128, bool) {
    // Fixed point: the integer part above bit 64.
    let fixed = shift_right_sticky(u128::from(x.sig) << 64, (63 - x.exp) as u32);
    let (units, rest) = (fixed >> 64, fixed << 64);
    (units + u128::from(increments(round, x.negative, units & 1 != 0, rest)), rest != 0)
}

/// roundToIntegral… in direction `round`. Never reports a subnormal operand (nor does x86).
pub fn round_to_integral<F: Format>(
    a: F::Bits,
    round: Round,
    inexact: Inexact,
    env: &mut Env,
) -> F::Bits {
    let x = unpack::<F>(a, env);
    match x.kind {
        Kind::Nan => return propagate::<F>(&[a], env),
        Kind::Zero => return zero::<F>(x.negative),
        Kind::Infinity => return infinity::<F>(x.negative),
        Kind::Finite if x.exp >= F::FRAC_BITS as i32 => return a,
        Kind::Finite => {}
    }
    let (units, changed) = to_units(x, round);
    if changed && inexact == Inexact::Signal {
        env.raise(Flags::NX);
    }
    if units == 0 {
        return zero::<F>(x.negative);
    }
    round_pack::<F>(Exact::normalised(x.negative, 127, units), env)
}

/// roundToIntegral… of what must be a signed integer of `bits` bits, 32 or 64; what is not is invalid and
/// delivers the least one. Arm FRINT32Z and its like (Arm ARM, FPRoundIntN).
pub fn round_to_sized<F: Format>(
    a: F::Bits,
    bits: u32,
    round: Round,
    inexact: Inexact,
    env: &mut Env,
) -> F::Bits {
    let x = unpack::<F>(a, env);
    let limit = 1_u128 << (bits - 1);
    match x.kind {
        Kind::Zero => return zero::<F>(x.negative),
        Kind::Finite if x.exp < 64 => {
            let (units, _) = to_units(x, round);
            if units < limit || x.negative && units == limit {
                return round_to_integral::<F>(a, round, inexact, env);
            }
        }
        Kind::Finite | Kind::Infinity | Kind::Nan => {}
    }
    env.raise(Flags::NV);
    F::Bits::from_u64(F::SIGN | (F::EMAX as u64 + u64::from(bits) - 1) << F::FRAC_BITS)
}

/// The low 32 bits of `a` rounded toward zero, and whether that is exactly `a` (−0 is not: Arm
/// counts it as a change). Out of range is invalid; NaN and infinities give zero.
///
/// RISC-V FCVTMOD.W.D (Zfa); Arm FJCVTZS, whose Z flag is the second result.
pub fn to_i32_modular(a: u64, env: &mut Env) -> (i32, bool) {
    let x = unpack::<F64>(a, env);
    match x.kind {
        Kind::Zero => return (0, a == 0),
        Kind::Finite if x.exp < 64 => {}
        Kind::Finite => {
            env.raise(Flags::NV);
            return (low_units(x), false);
        }
        Kind::Nan | Kind::Infinity => {
            env.raise(Flags::NV);
            return (0, false);
        }
    }
    let (units, inexact) = to_units(x, Round::TowardZero);
    let value = if x.negative { -(units as i128) } else { units as i128 };
    let in_range = i32::try_from(value).is_ok();
    match (in_range, inexact) {
        (false, _) => env.raise(Flags::NV),
        (true, true) => env.raise(Flags::NX),
        (true, false) => {}
    }
    (value as i32, in_range && !inexact)
}

/// The low 32 bits of a number of 2^64 or more.
fn low_units(x: Unpacked) -> i32 {
    let low = x.sig.checked_shl((x.exp - 63) as u32).unwrap_or(0) as i32;
    if x.negative { low.wrapping_neg() } else { low }
}
