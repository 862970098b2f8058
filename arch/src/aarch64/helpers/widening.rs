//! FEAT_FHM and FEAT_BF16: products of half precision and bfloat16 that are added in single precision.

use base::float::{
    BF16, Env, F16, F32, Flags, Format, NanRule, Round, Rules, fast, is_subnormal, soft,
};
use base::float::{DenormalsIn, DenormalsOut, negate};

use super::arg::Arg;
use super::env::FpEnv;
use super::float::{join, lane};
use crate::aarch64::fpcr;

/// A half as single precision as FPMulAddH sees it: flushed by FZ16, and a NaN remains signalling.
fn widened(a: u16, flush: bool) -> u32 {
    let (sign, magnitude) = (u32::from(a & 0x8000) << 16, u32::from(a & 0x7fff));
    let fraction = F32::FRAC_BITS - F16::FRAC_BITS;
    if u64::from(magnitude) >= F16::INFINITY {
        return sign | F32::INFINITY as u32 | magnitude << fraction;
    }
    if is_subnormal::<F16>(a) && flush {
        return sign;
    }
    sign | soft::convert::<F16, F32>(a & 0x7fff, &mut Env::new(Rules::ARM))
}

/// FMLAL, FMLAL2: `d + n * m`, of the lanes of half precision in the low halves; with 1 as first number `n` is negated
/// (FMLSL).
pub(super) fn fmlal(fp: &mut FpEnv, arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    let flush = fp.is_set(fpcr::FZ16);
    let env = fp.within::<F32>();
    join::<F32>(arg, |i| {
        let (n, m) = (lane::<F16>(n, i), lane::<F16>(m, i));
        let n = if arg.first() == 0 { n } else { negate::<F16>(n) };
        fast::fma::<F32>(widened(n, flush), widened(m, flush), lane::<F32>(d, i), env)
    })
}

/// BFMLALB, and BFMLALT with a first number of 1: `d + n * m` of the even or odd lanes.
pub(super) fn bfmlal(fp: &mut FpEnv, arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    let env = fp.within::<F32>();
    let odd = arg.first() as usize & 1;
    let single = |vector, i| u32::from(lane::<BF16>(vector, 2 * i + odd)) << 16;
    join::<F32>(arg, |i| fast::fma::<F32>(single(n, i), single(m, i), lane::<F32>(d, i), env))
}

/// The environment of BFDOT and BFMMLA, with FPCR.EBF = 0: whatever FPCR says, rounding to odd, no subnormals, default
/// NaNs and no flags.
fn bf16_env() -> Env {
    let rules = Rules {
        nan: NanRule::Default,
        denormals_in: DenormalsIn::Flush,
        denormals_out: DenormalsOut::Flush,
        ..Rules::ARM
    };
    Env { round: Round::Odd, ..Env::new(rules) }
}

/// An operation of BFDOT. Where it overflows the result is infinity, which rounding to odd otherwise avoids.
fn bf16_op(op: impl FnOnce(&mut Env) -> u32) -> u32 {
    let mut env = bf16_env();
    let result = op(&mut env);
    if env.flags.contains(Flags::OF) {
        return result & F32::SIGN as u32 | F32::INFINITY as u32;
    }
    result
}

/// `d` and the two products of pairs number `n_pair` and `m_pair` (Arm ARM, BFDotAdd).
fn bf16_dot(d: u32, (n, n_pair): (u128, usize), (m, m_pair): (u128, usize)) -> u32 {
    let product = |k: usize| {
        let single = |vector, pair| u32::from(lane::<BF16>(vector, 2 * pair + k)) << 16;
        bf16_op(|env| soft::mul::<F32>(single(n, n_pair), single(m, m_pair), env))
    };
    let sum = bf16_op(|env| soft::add::<F32>(product(0), product(1), env));
    bf16_op(|env| soft::add::<F32>(d, sum, env))
}

/// BFDOT: by element, `m` is that element in all lanes.
pub(super) fn bfdot(arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    join::<F32>(arg, |i| bf16_dot(lane::<F32>(d, i), (n, i), (m, i)))
}

/// BFMMLA: a 2×4 matrix by the transpose of another.
pub(super) fn bfmmla(arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    join::<F32>(arg, |i| {
        let (row, column) = (i / 2 * 2, i % 2 * 2);
        let step = |sum, k| bf16_dot(sum, (n, row + k), (m, column + k));
        (0..2).fold(lane::<F32>(d, i), step)
    })
}
