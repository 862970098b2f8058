//! Operations with NaN operands (IEEE 754-2019 §6.2).

use crate::float::{Env, Flags, Format, NanRule, RawBits, is_nan, is_signaling};

/// The NaN an invalid operation delivers, and NaN operands too under [`NanRule::Default`].
#[inline]
pub(super) fn default_nan<F: Format>(env: &Env) -> F::Bits {
    F::Bits::from_u64(match env.rules.nan {
        NanRule::Default | NanRule::Arm => F::QUIET_NAN,
        NanRule::X86 => F::SIGN | F::QUIET_NAN,
    })
}

/// An invalid operation without NaN operand (§7.2).
#[cold]
pub(super) fn invalid<F: Format>(env: &mut Env) -> F::Bits {
    env.raise(Flags::NV);
    default_nan::<F>(env)
}

fn quieted<F: Format>(a: F::Bits) -> F::Bits {
    F::Bits::from_u64(a.to_u64() | F::QUIET)
}

/// The result of an operation on `operands`, of which at least one is a NaN, in the order in which
/// the rules look at them.
#[cold]
pub(super) fn propagate<F: Format>(operands: &[F::Bits], env: &mut Env) -> F::Bits {
    let signaling = operands.iter().find(|&&a| is_signaling::<F>(a));
    if signaling.is_some() {
        env.raise(Flags::NV);
    }
    let first = operands.iter().find(|&&a| is_nan::<F>(a));
    let chosen = match env.rules.nan {
        NanRule::Default => None,
        NanRule::Arm => signaling.or(first),
        NanRule::X86 => first,
    };
    chosen.map_or(default_nan::<F>(env), |&a| quieted::<F>(a))
}

/// The NaN of `a * b + c`; `invalid_product` says that a and b are an infinity and a zero.
#[cold]
pub(super) fn propagate_fma<F: Format>(
    [a, b, c]: [F::Bits; 3],
    invalid_product: bool,
    env: &mut Env,
) -> F::Bits {
    match env.rules.nan {
        NanRule::X86 => propagate::<F>(&[a, b, c], env),
        NanRule::Default | NanRule::Arm if invalid_product && !is_signaling::<F>(c) => {
            invalid::<F>(env)
        }
        NanRule::Default | NanRule::Arm => propagate::<F>(&[c, a, b], env),
    }
}

/// The NaN `a` in another format: sign and the high bits of the payload are kept.
#[cold]
pub(super) fn convert_nan<F: Format, G: Format>(a: F::Bits, env: &mut Env) -> G::Bits {
    if is_signaling::<F>(a) {
        env.raise(Flags::NV);
    }
    if env.rules.nan == NanRule::Default {
        return default_nan::<G>(env);
    }
    let payload = a.to_u64() << (64 - F::FRAC_BITS) >> (64 - G::FRAC_BITS);
    let sign = if a.to_u64() & F::SIGN != 0 { G::SIGN } else { 0 };
    G::Bits::from_u64(sign | G::QUIET_NAN | payload)
}
