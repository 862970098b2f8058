//! fusedMultiplyAdd (IEEE 754-2019 §5.4.1).

use super::add_mul::{add_exact, invalid_product, product, zero_sum};
use super::nan::{invalid, propagate_fma};
use super::round::{infinity, round_pack, zero};
use super::unpack::{Kind, Unpacked, report_denormals, unpack};
use crate::float::{Env, Format};

/// fusedMultiplyAdd: `a * b + c`, rounded once.
///
/// The negated forms are had by flipping the signs of `a` and `c`: with
/// [`negate`](crate::float::negate) for RISC-V and Arm, where a NaN operand changes its sign, too,
/// with [`negate_number`](crate::float::negate_number) for x86, where it does not.
pub fn fma<F: Format>(a: F::Bits, b: F::Bits, c: F::Bits, env: &mut Env) -> F::Bits {
    const { assert!(2 * F::PRECISION < 127, "the exact product must leave a bit of headroom") };
    let (x, y, z) = (unpack::<F>(a, env), unpack::<F>(b, env), unpack::<F>(c, env));
    if x.is_nan() || y.is_nan() || z.is_nan() {
        return propagate_fma::<F>([a, b, c], invalid_product(x, y), env);
    }
    let negative = x.negative != y.negative;
    let infinite = x.is_infinite() || y.is_infinite();
    if invalid_product(x, y) || infinite && z.is_infinite() && negative != z.negative {
        return invalid::<F>(env);
    }
    report_denormals::<F>(&[x, y, z], env);
    if infinite {
        return infinity::<F>(negative);
    }
    if x.is_zero() || y.is_zero() {
        return add_to_zero::<F>(negative, z, env);
    }
    let product = product(x, y);
    match z.kind {
        Kind::Finite => match add_exact(product, z.exact()) {
            Some(total) => round_pack::<F>(total, env),
            None => zero_sum::<F>(env),
        },
        Kind::Infinity => infinity::<F>(z.negative),
        _ => round_pack::<F>(product, env),
    }
}

/// A zero product of the given sign, plus `z`.
fn add_to_zero<F: Format>(negative: bool, z: Unpacked, env: &mut Env) -> F::Bits {
    match z.kind {
        Kind::Finite => round_pack::<F>(z.exact(), env),
        Kind::Infinity => infinity::<F>(z.negative),
        _ if z.negative == negative => zero::<F>(negative),
        _ => zero_sum::<F>(env),
    }
}
