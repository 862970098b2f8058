//! Arm's alternative half precision (FPCR.AHP): binary16 without infinities and NaNs, whose
//! greatest exponent field holds numbers like any other. A format for conversions only.

use super::round::{round_pack, round_significand, round_tiny, signed, zero};
use super::unpack::{Exact, Kind, unpack};
use crate::float::{Env, F16, Flags, Format};

const FRACTION: u16 = (1 << F16::FRAC_BITS) - 1;

/// convertFormat from alternative half precision.
pub fn from_alternative_half<G: Format>(a: u16, env: &mut Env) -> G::Bits {
    if a & F16::INFINITY as u16 != F16::INFINITY as u16 {
        let x = unpack::<F16>(a, env);
        return match x.kind {
            Kind::Zero => zero::<G>(x.negative),
            _ => round_pack::<G>(x.exact(), env),
        };
    }
    let sig = u128::from(a & FRACTION | 1 << F16::FRAC_BITS);
    let lowest = F16::EMAX + 1 - F16::FRAC_BITS as i32;
    round_pack::<G>(Exact::normalised(a >> 15 != 0, lowest + 127, sig), env)
}

/// convertFormat to alternative half precision. A NaN becomes zero; what is too great, the greatest number; both
/// are invalid.
pub fn to_alternative_half<F: Format>(a: F::Bits, env: &mut Env) -> u16 {
    let x = unpack::<F>(a, env);
    match x.kind {
        Kind::Zero => return zero::<F16>(x.negative),
        Kind::Nan => {
            env.raise(Flags::NV);
            return zero::<F16>(x.negative);
        }
        Kind::Finite if x.exp < F16::EMIN => return round_tiny::<F16>(x.exact(), env),
        Kind::Finite if x.exp <= F16::EMAX + 1 => {}
        Kind::Finite | Kind::Infinity => return too_great(x.negative, env),
    }
    let (sig, inexact) = round_significand::<F16>(x.exact().sig, x.negative, env.round);
    let raw = (((x.exp - F16::EMIN) as u64) << F16::FRAC_BITS) + sig;
    if raw >= F16::SIGN {
        return too_great(x.negative, env);
    }
    if inexact {
        env.raise(Flags::NX);
    }
    signed::<F16>(x.negative, raw)
}

#[cold]
fn too_great(negative: bool, env: &mut Env) -> u16 {
    env.raise(Flags::NV);
    signed::<F16>(negative, F16::SIGN - 1)
}
