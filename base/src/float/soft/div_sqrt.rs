//! division and squareRoot (IEEE 754-2019 §5.4.1).

use super::nan::{invalid, propagate};
use super::round::{infinity, round_pack, zero};
use super::unpack::{Exact, Kind, Unpacked, report_denormals, unpack};
use crate::float::{Env, Flags, Format};

/// division: `a / b`.
pub fn div<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let (x, y) = (unpack::<F>(a, env), unpack::<F>(b, env));
    if x.is_nan() || y.is_nan() {
        return propagate::<F>(&[a, b], env);
    }
    if x.is_zero() && y.is_zero() || x.is_infinite() && y.is_infinite() {
        return invalid::<F>(env);
    }
    let negative = x.negative != y.negative;
    if y.is_zero() && x.kind == Kind::Finite {
        env.raise(Flags::DZ);
        return infinity::<F>(negative);
    }
    report_denormals::<F>(&[x, y], env);
    match (x.kind, y.kind) {
        (Kind::Finite, Kind::Finite) => round_pack::<F>(quotient(x, y, negative), env),
        (Kind::Infinity, _) | (_, Kind::Zero) => infinity::<F>(negative),
        _ => zero::<F>(negative),
    }
}

/// The quotient of two finite operands to 63 bits or more, the remainder as sticky bit.
fn quotient(x: Unpacked, y: Unpacked, negative: bool) -> Exact {
    let (dividend, divisor) = (u128::from(x.sig) << 63, u128::from(y.sig));
    let quotient = dividend / divisor;
    let rest = dividend - quotient * divisor;
    Exact::normalised(negative, x.exp - y.exp, quotient << 64 | u128::from(rest != 0))
}

/// squareRoot.
pub fn sqrt<F: Format>(a: F::Bits, env: &mut Env) -> F::Bits {
    let x = unpack::<F>(a, env);
    match x.kind {
        Kind::Nan => propagate::<F>(&[a], env),
        Kind::Zero => zero::<F>(x.negative),
        _ if x.negative => invalid::<F>(env),
        Kind::Infinity => infinity::<F>(false),
        Kind::Finite => {
            report_denormals::<F>(&[x], env);
            round_pack::<F>(root(x), env)
        }
    }
}

/// The square root of a positive finite operand to 64 bits, the remainder as sticky bit.
fn root(x: Unpacked) -> Exact {
    let radicand = u128::from(x.sig) << if x.exp & 1 == 0 { 63 } else { 64 };
    let root = radicand.isqrt();
    let inexact = root * root != radicand;
    Exact { negative: false, exp: x.exp >> 1, sig: root << 64 | u128::from(inexact) }
}
