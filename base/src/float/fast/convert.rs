//! Conversions (IEEE 754-2019 §5.4.1, §5.4.2, §5.8).

use super::host::HostFormat;
use super::{exact, host_agrees, operands_agree, result_stands, settled, take};
use crate::float::format::magnitude;
use crate::float::soft::{self, Int};
use crate::float::{Env, F32, F64, Round, is_nan};

/// An integer type the host converts numbers to and from.
pub trait HostInt: Int {
    /// `value` without its fraction, if that is certain to be in range; never for a NaN.
    fn truncate(value: f64) -> Option<Self>;
    /// The nearest number, ties to even.
    fn nearest<F: HostFormat>(self) -> F::Bits;
    /// The absolute value.
    fn magnitude(self) -> u64;
}

const TWO_31: f64 = 2_147_483_648.0;
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

macro_rules! host_int {
    ($type:ty, $from:ident, $magnitude:expr, $in_range:expr) => {
        impl HostInt for $type {
            #[inline]
            fn truncate(value: f64) -> Option<Self> {
                let in_range: fn(f64) -> bool = $in_range;
                in_range(value).then_some(value as $type)
            }
            #[inline]
            fn nearest<F: HostFormat>(self) -> F::Bits {
                F::$from(self.into())
            }
            #[inline]
            fn magnitude(self) -> u64 {
                let magnitude: fn($type) -> u64 = $magnitude;
                magnitude(self)
            }
        }
    };
}

host_int!(i32, from_i64, |i| u64::from(i.unsigned_abs()), |v| v.abs() < TWO_31);
host_int!(u32, from_u64, u64::from, |v| (0.0..2.0 * TWO_31).contains(&v));
host_int!(i64, from_i64, i64::unsigned_abs, |v| v.abs() < TWO_63);
host_int!(u64, from_u64, |i| i, |v| (0.0..2.0 * TWO_63).contains(&v));

/// convertFromInt: as [`soft::from_int`].
#[inline]
pub fn from_int<F: HostFormat, I: HostInt>(value: I, env: &mut Env) -> F::Bits {
    if env.round != Round::NearestEven {
        return soft::from_int::<F, I>(value, env);
    }
    take(value.nearest::<F>(), || exact::integer::<F>(value.magnitude()), env)
}

/// convertToIntegerExact…: as [`soft::to_int`].
#[inline]
pub fn to_int<F: HostFormat, I: HostInt>(a: F::Bits, round: Round, env: &mut Env) -> I {
    let value = F::to_f64(a);
    if round == Round::TowardZero
        && operands_agree::<F, 1>([a], env)
        && let Some(integer) = I::truncate(value)
    {
        // No NaN, and below 2^64: the way back through f64 rounds only what is exact anyway.
        return take(
            integer,
            || I::nearest::<F64>(integer) == value.to_bits() || value == 0.0,
            env,
        );
    }
    to_int_slow::<F, I>(a, round, env)
}

#[inline(never)]
fn to_int_slow<F: HostFormat, I: HostInt>(a: F::Bits, round: Round, env: &mut Env) -> I {
    if operands_agree::<F, 1>([a], env)
        && let Some(rounded) = super::integral::host_round(F::to_f64(a), round)
        && let Some(integer) = I::truncate(rounded)
    {
        return take(integer, || rounded == F::to_f64(a), env);
    }
    soft::to_int::<F, I>(a, round, env)
}

/// convertFormat from binary32 to binary64, as [`soft::convert`].
#[inline]
pub fn widen(a: u32, env: &mut Env) -> u64 {
    if is_nan::<F32>(a) || !operands_agree::<F32, 1>([a], env) {
        return soft::convert::<F32, F64>(a, env);
    }
    F32::to_f64(a).to_bits()
}

/// convertFormat from binary64 to binary32, as [`soft::convert`].
#[inline]
pub fn narrow(a: u64, env: &mut Env) -> u32 {
    let r = F32::from_f64(f64::from_bits(a));
    if settled(env) && result_stands::<F32>(r) { r } else { narrow_slow(a, r, env) }
}

#[inline(never)]
fn narrow_slow(a: u64, r: u32, env: &mut Env) -> u32 {
    let certain = result_stands::<F32>(r) || magnitude::<F64>(a) == 0;
    if host_agrees::<F64, 1>([a], env) && certain {
        return take(r, || F32::to_f64(r).to_bits() == a, env);
    }
    soft::convert::<F64, F32>(a, env)
}
