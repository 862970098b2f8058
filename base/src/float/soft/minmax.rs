//! minimum and maximum in the flavours that guests have (IEEE 754-2019 §9.6 and what preceded it).

use super::compare::{order_key, report_subnormals};
use super::nan::propagate;
use super::unpack::flush_input;
use crate::float::{Env, Flags, Format, is_nan, is_negative, is_signaling};

/// Which of the two operands is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Smaller,
    Greater,
}

/// minimum: a NaN operand makes the result a NaN; −0 is less than +0. RISC-V FMINM, Arm FMIN.
pub fn minimum<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    nan_wins::<F>(a, b, Want::Smaller, env)
}

/// maximum: as [`minimum`]. RISC-V FMAXM, Arm FMAX.
pub fn maximum<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    nan_wins::<F>(a, b, Want::Greater, env)
}

/// minimumNumber: a number wins over any NaN, a signalling NaN being invalid all the same.
/// RISC-V FMIN (since version 2.2 of F).
pub fn minimum_number<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    number_wins::<F>(a, b, Want::Smaller, env)
}

/// maximumNumber: as [`minimum_number`]. RISC-V FMAX.
pub fn maximum_number<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    number_wins::<F>(a, b, Want::Greater, env)
}

/// minNum of IEEE 754-2008 §5.3.1: a number wins over a quiet NaN, a signalling NaN over all.
/// Arm FMINNM.
pub fn min_num<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    quiet_loses::<F>(a, b, Want::Smaller, env)
}

/// maxNum of IEEE 754-2008: as [`min_num`]. Arm FMAXNM.
pub fn max_num<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    quiet_loses::<F>(a, b, Want::Greater, env)
}

/// x86 MINSD: `a < b ? a : b`; the second operand, not made quiet, if either is a NaN (which is invalid)
/// or both are zeros.
pub fn min_x86<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    second_unless::<F>(a, b, Want::Smaller, env)
}

/// x86 MAXSD: `a > b ? a : b`; as [`min_x86`].
pub fn max_x86<F: Format>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    second_unless::<F>(a, b, Want::Greater, env)
}

fn nan_wins<F: Format>(a: F::Bits, b: F::Bits, want: Want, env: &mut Env) -> F::Bits {
    let (x, y) = (flush_input::<F>(a, env), flush_input::<F>(b, env));
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return propagate::<F>(&[a, b], env);
    }
    report_subnormals::<F>(a, b, env);
    pick::<F>(x, y, want)
}

fn number_wins<F: Format>(a: F::Bits, b: F::Bits, want: Want, env: &mut Env) -> F::Bits {
    if is_nan::<F>(a) == is_nan::<F>(b) {
        return nan_wins::<F>(a, b, want, env);
    }
    let (number, nan) = if is_nan::<F>(a) { (b, a) } else { (a, b) };
    if is_signaling::<F>(nan) {
        env.raise(Flags::NV);
    }
    flush_input::<F>(number, env)
}

fn quiet_loses<F: Format>(a: F::Bits, b: F::Bits, want: Want, env: &mut Env) -> F::Bits {
    if is_signaling::<F>(a) || is_signaling::<F>(b) {
        return nan_wins::<F>(a, b, want, env);
    }
    number_wins::<F>(a, b, want, env)
}

fn second_unless<F: Format>(a: F::Bits, b: F::Bits, want: Want, env: &mut Env) -> F::Bits {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        env.raise(Flags::NV);
        return flush_input::<F>(b, env);
    }
    report_subnormals::<F>(a, b, env);
    let (a, b) = (flush_input::<F>(a, env), flush_input::<F>(b, env));
    let (x, y) = (order_key::<F>(a), order_key::<F>(b));
    let first = if want == Want::Smaller { x < y } else { x > y };
    if first { a } else { b }
}

/// The wanted one of two operands that are not NaNs.
fn pick<F: Format>(a: F::Bits, b: F::Bits, want: Want) -> F::Bits {
    // −0 before +0.
    let key = |v| (order_key::<F>(v), !is_negative::<F>(v));
    let a_smaller = key(a) < key(b);
    if a_smaller == (want == Want::Smaller) { a } else { b }
}
