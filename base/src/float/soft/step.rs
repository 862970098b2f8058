//! The multiplications that Arm's Newton-Raphson iterations are made of: FMULX, FRECPS, FRSQRTS.
//!
//! Where a factor is infinite and the other zero, they deliver a number instead of being invalid, so
//! that an iteration which starts from an estimate of zero or infinity ends there.

use super::add_mul::{add_exact, invalid_product, mul, product, zero_sum};
use super::nan::propagate;
use super::round::{infinity, round_pack};
use super::unpack::{Exact, Kind, unpack};
use crate::float::{Env, Format, RawBits, is_negative, negate};

/// Multiplication extended: an infinity times a zero is 2, with the sign of the product. Arm ARM,
/// FPMulX.
pub fn mul_extended<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let mut quiet = *env;
    if invalid_product(unpack::<F>(a, &mut quiet), unpack::<F>(b, &mut quiet)) {
        env.flags = quiet.flags;
        let sign = if is_negative::<F>(a) == is_negative::<F>(b) { 0 } else { F::SIGN };
        return F::Bits::from_u64(sign | (F::EMAX as u64 + 1) << F::FRAC_BITS);
    }
    mul::<F>(a, b, env)
}

/// `2 - a * b`, rounded once. Arm ARM, FPRecipStepFused.
pub fn recip_step<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    step::<F>(a, b, Step { constant: 2, halvings: 0 }, env)
}

/// `(3 - a * b) / 2`, rounded once. Arm ARM, FPRSqrtStepFused.
pub fn rsqrt_step<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    step::<F>(a, b, Step { constant: 3, halvings: 1 }, env)
}

/// `(constant - a * b) / 2^halvings`.
#[derive(Clone, Copy)]
struct Step {
    constant: u128,
    halvings: i32,
}

impl Step {
    fn start(self) -> Exact {
        Exact::normalised(false, 127, self.constant)
    }

    fn finish<F: Format>(self, sum: Exact, env: &mut Env) -> F::Bits {
        round_pack::<F>(Exact { exp: sum.exp - self.halvings, ..sum }, env)
    }
}

fn step<F: Format>(a: F::Bits, b: F::Bits, step: Step, env: &mut Env) -> F::Bits {
    // The sign goes first: a NaN in `a` changes it, too.
    let a = negate::<F>(a);
    let (x, y) = (unpack::<F>(a, env), unpack::<F>(b, env));
    if x.is_nan() || y.is_nan() {
        return propagate::<F>(&[a, b], env);
    }
    if (x.is_infinite() || y.is_infinite()) && !invalid_product(x, y) {
        return infinity::<F>(x.negative != y.negative);
    }
    if x.kind != Kind::Finite || y.kind != Kind::Finite {
        return step.finish::<F>(step.start(), env);
    }
    match add_exact(product(x, y), step.start()) {
        Some(sum) => step.finish::<F>(sum, env),
        None => zero_sum::<F>(env),
    }
}
