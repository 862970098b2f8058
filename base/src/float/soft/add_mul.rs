//! addition, subtraction, multiplication (IEEE 754-2019 §5.4.1).

use super::nan::{invalid, propagate};
use super::round::{infinity, round_pack, zero};
use super::unpack::{Exact, Kind, Unpacked, report_denormals, shift_right_sticky, unpack};
use crate::float::{Env, Format, Round};

/// addition: `a + b`.
pub fn add<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let (x, y) = (unpack::<F>(a, env), unpack::<F>(b, env));
    if x.is_nan() || y.is_nan() {
        return propagate::<F>(&[a, b], env);
    }
    sum::<F>(x, y, env)
}

/// subtraction: `a - b`.
pub fn sub<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let (x, y) = (unpack::<F>(a, env), unpack::<F>(b, env));
    if x.is_nan() || y.is_nan() {
        return propagate::<F>(&[a, b], env);
    }
    sum::<F>(x, y.with_sign(!y.negative), env)
}

/// The sum of two operands that are not NaNs.
#[inline]
fn sum<F: Format>(x: Unpacked, y: Unpacked, env: &mut Env) -> F::Bits {
    if x.is_infinite() && y.is_infinite() && x.negative != y.negative {
        return invalid::<F>(env);
    }
    report_denormals::<F>(&[x, y], env);
    match (x.kind, y.kind) {
        (Kind::Finite, Kind::Finite) => match add_exact(x.exact(), y.exact()) {
            Some(total) => round_pack::<F>(total, env),
            None => zero_sum::<F>(env),
        },
        (Kind::Infinity, _) => infinity::<F>(x.negative),
        (_, Kind::Infinity) => infinity::<F>(y.negative),
        (Kind::Finite, _) => round_pack::<F>(x.exact(), env),
        (_, Kind::Finite) => round_pack::<F>(y.exact(), env),
        _ if x.negative == y.negative => zero::<F>(x.negative),
        _ => zero_sum::<F>(env),
    }
}

/// The zero that a sum of opposite numbers is (§6.3).
pub(super) fn zero_sum<F: Format>(env: &Env) -> F::Bits {
    zero::<F>(env.round == Round::Down)
}

/// `x + y`, or `None` if that is zero. Neither operand may have bit 0 of its significand set.
#[inline]
pub(super) fn add_exact(x: Exact, y: Exact) -> Option<Exact> {
    let (big, small) = if (x.exp, x.sig) >= (y.exp, y.sig) { (x, y) } else { (y, x) };
    // One bit of headroom for the carry.
    let high = big.sig >> 1;
    let low = shift_right_sticky(small.sig >> 1, big.exp.abs_diff(small.exp));
    let sig = if x.negative == y.negative { high + low } else { high - low };
    (sig != 0).then(|| Exact::normalised(big.negative, big.exp + 1, sig))
}

/// multiplication: `a * b`.
pub fn mul<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let (x, y) = (unpack::<F>(a, env), unpack::<F>(b, env));
    if x.is_nan() || y.is_nan() {
        return propagate::<F>(&[a, b], env);
    }
    if invalid_product(x, y) {
        return invalid::<F>(env);
    }
    report_denormals::<F>(&[x, y], env);
    let negative = x.negative != y.negative;
    match (x.kind, y.kind) {
        (Kind::Finite, Kind::Finite) => round_pack::<F>(product(x, y), env),
        (Kind::Infinity, _) | (_, Kind::Infinity) => infinity::<F>(negative),
        _ => zero::<F>(negative),
    }
}

/// Whether the operands are an infinity and a zero.
#[inline]
pub(super) fn invalid_product(x: Unpacked, y: Unpacked) -> bool {
    x.is_infinite() && y.is_zero() || x.is_zero() && y.is_infinite()
}

/// The exact product of two finite operands.
#[inline]
pub(super) fn product(x: Unpacked, y: Unpacked) -> Exact {
    let sig = u128::from(x.sig) * u128::from(y.sig);
    Exact::normalised(x.negative != y.negative, x.exp + y.exp + 1, sig)
}
