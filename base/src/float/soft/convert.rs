//! convertFormat, convertToInteger… and convertFromInt (IEEE 754-2019 §5.4.1, §5.4.2, §5.8).

use super::integral::to_units;
use super::nan::convert_nan;
use super::round::{infinity, round_pack, zero};
use super::unpack::{Exact, Kind, report_denormals, unpack};
use crate::float::{Env, Flags, Format, InvalidInt, Round};

/// convertFormat: `a`, a number of format F, in format G.
pub fn convert<F: Format, G: Format>(a: F::Bits, env: &mut Env) -> G::Bits {
    let x = unpack::<F>(a, env);
    match x.kind {
        Kind::Nan => convert_nan::<F, G>(a, env),
        Kind::Infinity => infinity::<G>(x.negative),
        Kind::Zero => zero::<G>(x.negative),
        Kind::Finite => {
            report_denormals::<F>(&[x], env);
            round_pack::<G>(x.exact(), env)
        }
    }
}

/// An integer type that numbers are converted to and from.
pub trait Int: Copy + Eq {
    /// The least value.
    const MIN: i128;
    /// The greatest value.
    const MAX: i128;
    /// What x86 delivers for an invalid conversion.
    const INDEFINITE: Self;
    /// Truncates to the type's width.
    fn wrap(value: i128) -> Self;
    /// The value.
    fn widen(self) -> i128;
}

macro_rules! int {
    ($type:ty, $indefinite:expr) => {
        impl Int for $type {
            const MIN: i128 = <$type>::MIN as i128;
            const MAX: i128 = <$type>::MAX as i128;
            const INDEFINITE: Self = $indefinite;
            #[inline]
            fn wrap(value: i128) -> Self {
                value as $type
            }
            #[inline]
            fn widen(self) -> i128 {
                i128::from(self)
            }
        }
    };
}

int!(i16, i16::MIN);
int!(u16, u16::MAX);
int!(i32, i32::MIN);
int!(u32, u32::MAX);
int!(i64, i64::MIN);
int!(u64, u64::MAX);

/// convertToIntegerExact…: `a` rounded in direction `round`; what does not fit is invalid and
/// delivers what [`InvalidInt`] says. Never reports a subnormal operand (nor does x86).
pub fn to_int<F: Format, I: Int>(a: F::Bits, round: Round, env: &mut Env) -> I {
    to_fixed::<F, I>(a, 0, round, env)
}

/// [`to_int`] of `a * 2^fraction`: to a fixed-point number with that many bits behind the point. Arm
/// ARM, FPToFixed.
pub fn to_fixed<F: Format, I: Int>(a: F::Bits, fraction: u32, round: Round, env: &mut Env) -> I {
    let mut x = unpack::<F>(a, env);
    x.exp += fraction as i32;
    let (magnitude, inexact) = match x.kind {
        Kind::Zero => return I::wrap(0),
        Kind::Nan => return invalid_int(None, env),
        Kind::Finite if x.exp < 64 => to_units(x, round),
        Kind::Finite | Kind::Infinity => return invalid_int(Some(x.negative), env),
    };
    let value = if x.negative { -(magnitude as i128) } else { magnitude as i128 };
    if !(I::MIN..=I::MAX).contains(&value) {
        return invalid_int(Some(x.negative), env);
    }
    if inexact {
        env.raise(Flags::NX);
    }
    I::wrap(value)
}

/// The result for a number of the given sign that is out of range, or for a NaN.
#[cold]
fn invalid_int<I: Int>(negative: Option<bool>, env: &mut Env) -> I {
    env.raise(Flags::NV);
    match (env.rules.invalid_int, negative) {
        (InvalidInt::Indefinite, _) => I::INDEFINITE,
        (_, Some(true)) => I::wrap(I::MIN),
        (InvalidInt::SaturateNanZero, None) => I::wrap(0),
        (_, Some(false)) | (InvalidInt::SaturateNanMax, None) => I::wrap(I::MAX),
    }
}

/// convertFromInt.
pub fn from_int<F: Format, I: Int>(value: I, env: &mut Env) -> F::Bits {
    from_fixed::<F, I>(value, 0, env)
}

/// `value / 2^fraction`: of a fixed-point number with that many bits behind the point. Arm ARM,
/// FixedToFP.
pub fn from_fixed<F: Format, I: Int>(value: I, fraction: u32, env: &mut Env) -> F::Bits {
    let value = value.widen();
    if value == 0 {
        return zero::<F>(false);
    }
    let exp = 127 - fraction as i32;
    round_pack::<F>(Exact::normalised(value < 0, exp, value.unsigned_abs()), env)
}
