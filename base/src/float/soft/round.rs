//! Rounding to a format (IEEE 754-2019 §4.3) with overflow and underflow (§7.4, §7.5).

use std::cmp::Ordering;

use super::unpack::{Exact, shift_right_sticky};
use crate::float::{DenormalsOut, Env, Flags, Format, RawBits, Round, Tininess};

/// Half a unit in the last place, for remainders aligned at bit 127.
const HALF: u128 = 1 << 127;

/// Whether a truncated magnitude must be incremented. `rest` is what was cut off, its highest bit
/// of weight one half; `odd` is the lowest bit kept.
#[inline]
pub(super) fn increments(round: Round, negative: bool, odd: bool, rest: u128) -> bool {
    match round {
        Round::NearestEven => match rest.cmp(&HALF) {
            Ordering::Less => false,
            Ordering::Equal => odd,
            Ordering::Greater => true,
        },
        Round::NearestAway => rest >= HALF,
        Round::TowardZero => false,
        Round::Down => negative && rest != 0,
        Round::Up => !negative && rest != 0,
        Round::Odd => !odd && rest != 0,
    }
}

/// Zero of the given sign.
#[inline]
pub(super) fn zero<F: Format>(negative: bool) -> F::Bits {
    signed::<F>(negative, 0)
}

/// Infinity of the given sign.
#[inline]
pub(super) fn infinity<F: Format>(negative: bool) -> F::Bits {
    signed::<F>(negative, F::INFINITY)
}

#[inline]
pub(super) fn signed<F: Format>(negative: bool, magnitude: u64) -> F::Bits {
    F::Bits::from_u64(if negative { F::SIGN | magnitude } else { magnitude })
}

/// The significand cut to the format's precision and rounded, and whether that lost anything.
#[inline]
pub(super) fn round_significand<F: Format>(sig: u128, negative: bool, round: Round) -> (u64, bool) {
    let kept = (sig >> (128 - F::PRECISION)) as u64;
    let rest = sig << F::PRECISION;
    (kept + u64::from(increments(round, negative, kept & 1 != 0, rest)), rest != 0)
}

/// Rounds `x` to the format and encodes it, raising what that raises.
#[inline]
pub(super) fn round_pack<F: Format>(x: Exact, env: &mut Env) -> F::Bits {
    if x.exp < F::EMIN {
        return round_tiny::<F>(x, env);
    }
    let (sig, inexact) = round_significand::<F>(x.sig, x.negative, env.round);
    // The leading one of `sig` adds one to the exponent field, and so does a carry out of it.
    let exp = (x.exp - F::EMIN).min(F::EMAX - F::EMIN + 1) as u64;
    let raw = (exp << F::FRAC_BITS) + sig;
    if raw >= F::INFINITY {
        if env.trapping.contains(Flags::OF) {
            return interrupted::<F>(Flags::OF, inexact, env);
        }
        return overflow::<F>(x.negative, env);
    }
    if inexact {
        env.raise(Flags::NX);
    }
    signed::<F>(x.negative, raw)
}

/// What an operation that is interrupted leaves: flags ([`Env::trapping`]).
#[cold]
fn interrupted<F: Format>(flag: Flags, inexact: bool, env: &mut Env) -> F::Bits {
    env.raise(if inexact { flag | Flags::NX } else { flag });
    zero::<F>(false)
}

/// The result of an overflow (§7.4).
#[cold]
pub(super) fn overflow<F: Format>(negative: bool, env: &mut Env) -> F::Bits {
    env.raise(Flags::OF | Flags::NX);
    let to_infinity = match env.round {
        Round::NearestEven | Round::NearestAway => true,
        Round::TowardZero | Round::Odd => false,
        Round::Down => negative,
        Round::Up => !negative,
    };
    signed::<F>(negative, if to_infinity { F::INFINITY } else { F::MAX_FINITE })
}

/// [`round_pack`] of a magnitude below the least normal number (§7.5).
#[cold]
pub(super) fn round_tiny<F: Format>(x: Exact, env: &mut Env) -> F::Bits {
    let tiny = match env.rules.tininess {
        Tininess::BeforeRounding => true,
        Tininess::AfterRounding => stays_tiny::<F>(x, env.round),
    };
    if tiny && env.trapping.contains(Flags::UF) {
        let (_, inexact) = round_significand::<F>(x.sig, x.negative, env.round);
        return interrupted::<F>(Flags::UF, inexact, env);
    }
    match env.rules.denormals_out {
        DenormalsOut::Flush if tiny => {
            env.raise(Flags::UF);
            return zero::<F>(x.negative);
        }
        DenormalsOut::FlushInexact if tiny => {
            env.raise(Flags::UF | Flags::NX);
            return zero::<F>(x.negative);
        }
        _ => {}
    }
    let sig = shift_right_sticky(x.sig, (F::EMIN - x.exp) as u32);
    let (raw, inexact) = round_significand::<F>(sig, x.negative, env.round);
    if inexact {
        env.raise(if tiny { Flags::UF | Flags::NX } else { Flags::NX });
    }
    signed::<F>(x.negative, raw)
}

/// Whether `x`, below the least normal number, stays below it when rounded with unbounded exponent.
fn stays_tiny<F: Format>(x: Exact, round: Round) -> bool {
    let (sig, _) = round_significand::<F>(x.sig, x.negative, round);
    x.exp < F::EMIN - 1 || sig >> F::PRECISION == 0
}
