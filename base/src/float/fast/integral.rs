//! roundToIntegral… (IEEE 754-2019 §5.9).

use super::host::HostFormat;
use super::{operands_agree, take};
use crate::float::soft::{self, Inexact};
use crate::float::{Env, RawBits, Round, is_nan};

/// `value` rounded to an integer; `None` for [`Round::Odd`].
#[inline]
pub(super) fn host_round(value: f64, round: Round) -> Option<f64> {
    Some(match round {
        Round::NearestEven => value.round_ties_even(),
        Round::TowardZero => value.trunc(),
        Round::Down => value.floor(),
        Round::Up => value.ceil(),
        Round::NearestAway => value.round(),
        Round::Odd => return None,
    })
}

/// roundToIntegral…: as [`soft::round_to_integral`].
pub fn round_to_integral<F: HostFormat>(
    a: F::Bits,
    round: Round,
    inexact: Inexact,
    env: &mut Env,
) -> F::Bits {
    if !is_nan::<F>(a)
        && operands_agree::<F, 1>([a], env)
        && let Some(rounded) = host_round(F::to_f64(a), round)
    {
        // An integral value below 2^24 or 2^53, or `a` itself: converting it back is exact.
        let r = F::from_f64(rounded);
        return match inexact {
            Inexact::Suppress => r,
            Inexact::Signal => take(r, || r.to_u64() == a.to_u64(), env),
        };
    }
    soft::round_to_integral::<F>(a, round, inexact, env)
}
