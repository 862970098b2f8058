//! Arithmetic (IEEE 754-2019 §5.4.1).

use super::host::HostFormat;
use super::{exact, exact_when_tiny_stands, host_agrees, result_stands, settled, take};
use crate::float::format::magnitude;
use crate::float::{DenormalsOut, Env, Flags, negate, soft};

/// addition: as [`soft::add`].
#[inline]
pub fn add<F: HostFormat>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let r = F::host_add(a, b);
    if settled(env) && exact_when_tiny_stands::<F>(r) { r } else { add_slow::<F>(a, b, r, env) }
}

/// subtraction: as [`soft::sub`].
#[inline]
pub fn sub<F: HostFormat>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let r = F::host_sub(a, b);
    if settled(env) && exact_when_tiny_stands::<F>(r) { r } else { sub_slow::<F>(a, b, r, env) }
}

/// multiplication: as [`soft::mul`].
#[inline]
pub fn mul<F: HostFormat>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let r = F::host_mul(a, b);
    if settled(env) && result_stands::<F>(r) { r } else { mul_slow::<F>(a, b, r, env) }
}

/// division: as [`soft::div`].
#[inline]
pub fn div<F: HostFormat>(a: F::Bits, b: F::Bits, env: &mut Env) -> F::Bits {
    let r = F::host_div(a, b);
    if settled(env) && result_stands::<F>(r) { r } else { div_slow::<F>(a, b, r, env) }
}

/// squareRoot: as [`soft::sqrt`].
#[inline]
pub fn sqrt<F: HostFormat>(a: F::Bits, env: &mut Env) -> F::Bits {
    let r = F::host_sqrt(a);
    if settled(env) && exact_when_tiny_stands::<F>(r) { r } else { sqrt_slow::<F>(a, r, env) }
}

/// fusedMultiplyAdd: as [`soft::fma`].
#[inline]
pub fn fma<F: HostFormat>(a: F::Bits, b: F::Bits, c: F::Bits, env: &mut Env) -> F::Bits {
    match F::host_fma(a, b, c) {
        Some(r) if settled(env) && result_stands::<F>(r) => r,
        r => fma_slow::<F>(a, b, c, r, env),
    }
}

#[inline(never)]
fn add_slow<F: HostFormat>(a: F::Bits, b: F::Bits, r: F::Bits, env: &mut Env) -> F::Bits {
    take_sum::<F>(a, b, r, env).unwrap_or_else(|| soft::add::<F>(a, b, env))
}

#[inline(never)]
fn sub_slow<F: HostFormat>(a: F::Bits, b: F::Bits, r: F::Bits, env: &mut Env) -> F::Bits {
    take_sum::<F>(a, negate::<F>(b), r, env).unwrap_or_else(|| soft::sub::<F>(a, b, env))
}

/// The host's sum `r`, if it can be taken.
#[inline]
fn take_sum<F: HostFormat>(a: F::Bits, b: F::Bits, r: F::Bits, env: &mut Env) -> Option<F::Bits> {
    let kept = env.rules.denormals_out == DenormalsOut::Keep
        || result_stands::<F>(r)
        || magnitude::<F>(r) == 0;
    if !(host_agrees::<F, 2>([a, b], env) && exact_when_tiny_stands::<F>(r) && kept) {
        return None;
    }
    Some(take(r, || F::sum_is_exact(a, b, r), env))
}

#[inline(never)]
fn mul_slow<F: HostFormat>(a: F::Bits, b: F::Bits, r: F::Bits, env: &mut Env) -> F::Bits {
    if host_agrees::<F, 2>([a, b], env) {
        if result_stands::<F>(r) {
            return take(r, || exact::product::<F>(a, b), env);
        }
        if magnitude::<F>(r) == 0 && (magnitude::<F>(a) == 0 || magnitude::<F>(b) == 0) {
            return r;
        }
    }
    soft::mul::<F>(a, b, env)
}

#[inline(never)]
fn div_slow<F: HostFormat>(a: F::Bits, b: F::Bits, r: F::Bits, env: &mut Env) -> F::Bits {
    if host_agrees::<F, 2>([a, b], env) {
        if result_stands::<F>(r) {
            return take(r, || exact::quotient::<F>(a, b, r), env);
        }
        if magnitude::<F>(r) == 0 && magnitude::<F>(a) == 0 {
            return r;
        }
    }
    soft::div::<F>(a, b, env)
}

#[inline(never)]
fn sqrt_slow<F: HostFormat>(a: F::Bits, r: F::Bits, env: &mut Env) -> F::Bits {
    if host_agrees::<F, 1>([a], env) && exact_when_tiny_stands::<F>(r) {
        return take(r, || exact::quotient::<F>(a, r, r), env);
    }
    soft::sqrt::<F>(a, env)
}

#[inline(never)]
fn fma_slow<F: HostFormat>(
    a: F::Bits,
    b: F::Bits,
    c: F::Bits,
    r: Option<F::Bits>,
    env: &mut Env,
) -> F::Bits {
    r.and_then(|r| take_fma::<F>(a, b, c, r, env)).unwrap_or_else(|| soft::fma::<F>(a, b, c, env))
}

/// The host's `a * b + c`, if it can be taken.
#[inline]
fn take_fma<F: HostFormat>(
    a: F::Bits,
    b: F::Bits,
    c: F::Bits,
    r: F::Bits,
    env: &mut Env,
) -> Option<F::Bits> {
    if !(host_agrees::<F, 3>([a, b, c], env) && result_stands::<F>(r)) {
        return None;
    }
    if env.flags.contains(Flags::NX) {
        return Some(r);
    }
    let product = F::host_mul(a, b);
    let zero_product = magnitude::<F>(a) == 0 || magnitude::<F>(b) == 0;
    let exact_product = result_stands::<F>(product) && exact::product::<F>(a, b);
    (zero_product || exact_product).then(|| take_sum::<F>(product, c, r, env))?
}
