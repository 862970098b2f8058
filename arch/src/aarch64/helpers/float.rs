//! Floating-point arithmetic lane by lane, exactly: what IR's operations do not do, and what they do where FPCR
//! asks for more than rounding to nearest. The size is that of half, single or double precision: 1, 2
//! or 3. A scalar instruction is one lane.

use std::cmp::Ordering;

use base::float::fast;
use base::float::soft::{self, Inexact};
use base::float::{Env, F16, F32, F64, Format, RawBits, Round, is_nan, negate};

use super::arg::Arg;
use super::env::{ArmFormat, FpEnv};

/// The operations that the host may help with.
pub(super) trait Arithmetic: ArmFormat {
    fn add(a: Self::Bits, b: Self::Bits, env: &mut Env) -> Self::Bits;
    fn sub(a: Self::Bits, b: Self::Bits, env: &mut Env) -> Self::Bits;
    fn mul(a: Self::Bits, b: Self::Bits, env: &mut Env) -> Self::Bits;
    fn div(a: Self::Bits, b: Self::Bits, env: &mut Env) -> Self::Bits;
    fn sqrt(a: Self::Bits, env: &mut Env) -> Self::Bits;
    /// `a * b + c`.
    fn fma(a: Self::Bits, b: Self::Bits, c: Self::Bits, env: &mut Env) -> Self::Bits;
    fn integral(a: Self::Bits, round: Round, inexact: Inexact, env: &mut Env) -> Self::Bits;
}

macro_rules! arithmetic {
    ($($format:ident $layer:ident;)*) => {$(
        impl Arithmetic for $format {
            fn add(a: Self::Bits, b: Self::Bits, env: &mut Env) -> Self::Bits {
                $layer::add::<Self>(a, b, env)
            }
            fn sub(a: Self::Bits, b: Self::Bits, env: &mut Env) -> Self::Bits {
                $layer::sub::<Self>(a, b, env)
            }
            fn mul(a: Self::Bits, b: Self::Bits, env: &mut Env) -> Self::Bits {
                $layer::mul::<Self>(a, b, env)
            }
            fn div(a: Self::Bits, b: Self::Bits, env: &mut Env) -> Self::Bits {
                $layer::div::<Self>(a, b, env)
            }
            fn sqrt(a: Self::Bits, env: &mut Env) -> Self::Bits {
                $layer::sqrt::<Self>(a, env)
            }
            fn fma(a: Self::Bits, b: Self::Bits, c: Self::Bits, env: &mut Env) -> Self::Bits {
                $layer::fma::<Self>(a, b, c, env)
            }
            fn integral(
                a: Self::Bits,
                round: Round,
                inexact: Inexact,
                env: &mut Env,
            ) -> Self::Bits {
                $layer::round_to_integral::<Self>(a, round, inexact, env)
            }
        }
    )*};
}

arithmetic! {
    F16 soft;
    F32 fast;
    F64 fast;
}

/// An expression with `$format` the format of the size.
macro_rules! formats {
    ($arg:expr, $format:ident => $body:expr) => {
        match $arg.size() {
            0 | 1 => {
                type $format = F16;
                $body
            }
            2 => {
                type $format = F32;
                $body
            }
            _ => {
                type $format = F64;
                $body
            }
        }
    };
}
pub(super) use formats;

/// Binary logarithm of a format's bytes.
pub(super) const fn size_of<F: Format>() -> u32 {
    size_of_bits::<F::Bits>()
}

const fn size_of_bits<B>() -> u32 {
    std::mem::size_of::<B>().trailing_zeros()
}

/// Lane `i`.
pub(super) fn lane<F: Format>(vector: u128, i: usize) -> F::Bits {
    F::Bits::from_u64((vector >> (i << (3 + size_of::<F>()))) as u64)
}

/// The vector of the lanes that count, the others zero.
pub(super) fn join<F: Format>(arg: Arg, mut value: impl FnMut(usize) -> F::Bits) -> u128 {
    let size = size_of::<F>();
    (0..arg.count(size))
        .fold(0, |vector, i| vector | u128::from(value(i).to_u64()) << (i << (3 + size)))
}

macro_rules! lanewise {
    ($($(#[$doc:meta])* $name:ident ($($x:ident),*) |$env:ident, $F:ident| $body:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(fp: &mut FpEnv, arg: Arg, $($x: u128),*) -> u128 {
            formats!(arg, $F => {
                let $env = fp.within::<$F>();
                join::<$F>(arg, |i| {
                    $(let $x = lane::<$F>($x, i);)*
                    $body
                })
            })
        })*
    };
}

lanewise! {
    /// FADD.
    fadd (n, m) |env, F| F::add(n, m, env);
    /// FSUB.
    fsub (n, m) |env, F| F::sub(n, m, env);
    /// FMUL.
    fmul (n, m) |env, F| F::mul(n, m, env);
    /// FDIV.
    fdiv (n, m) |env, F| F::div(n, m, env);
    /// FSQRT.
    fsqrt (n) |env, F| F::sqrt(n, env);
    /// FMULX.
    fmulx (n, m) |env, F| soft::mul_extended::<F>(n, m, env);
    /// FABD.
    fabd (n, m) |env, F| abs::<F>(F::sub(n, m, env));
    /// FMAX.
    fmax (n, m) |env, F| soft::maximum::<F>(n, m, env);
    /// FMIN.
    fmin (n, m) |env, F| soft::minimum::<F>(n, m, env);
    /// FMAXNM.
    fmaxnm (n, m) |env, F| soft::max_num::<F>(n, m, env);
    /// FMINNM.
    fminnm (n, m) |env, F| soft::min_num::<F>(n, m, env);
    /// FRECPS.
    frecps (n, m) |env, F| soft::recip_step::<F>(n, m, env);
    /// FRSQRTS.
    frsqrts (n, m) |env, F| soft::rsqrt_step::<F>(n, m, env);
    /// FRECPE.
    frecpe (n) |env, F| soft::recip_estimate::<F>(n, env);
    /// FRSQRTE.
    frsqrte (n) |env, F| soft::rsqrt_estimate::<F>(n, env);
    /// FRECPX.
    frecpx (n) |env, F| soft::recip_exponent::<F>(n, env);
    /// FCMEQ. FCMEQ, FCMGE, FCMGT with zero have it as `m`; FCMLE and FCMLT, as `n`.
    fcmeq (n, m) |env, F| all_ones::<F>(soft::eq::<F>(n, m, env));
    /// FCMGE.
    fcmge (n, m) |env, F| all_ones::<F>(soft::le::<F>(m, n, env));
    /// FCMGT.
    fcmgt (n, m) |env, F| all_ones::<F>(soft::lt::<F>(m, n, env));
    /// FACGE.
    facge (n, m) |env, F| all_ones::<F>(soft::le::<F>(abs::<F>(m), abs::<F>(n), env));
    /// FACGT.
    facgt (n, m) |env, F| all_ones::<F>(soft::lt::<F>(abs::<F>(m), abs::<F>(n), env));
}

/// FABS: of NaNs, too.
fn abs<F: Format>(a: F::Bits) -> F::Bits {
    F::Bits::from_u64(a.to_u64() & !F::SIGN)
}

fn all_ones<F: Format>(yes: bool) -> F::Bits {
    F::Bits::from_u64(if yes { u64::MAX } else { 0 })
}

/// FMLA and the scalar fused multiply-adds: `d + n * m`; bit 0 of the first number negates `n` (FMLS, FMSUB), bit 1
/// negates `d` (FNMSUB), both are FNMADD.
pub(super) fn fmla(fp: &mut FpEnv, arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    formats!(arg, F => {
        let env = fp.within::<F>();
        let sign = |value, bit| if arg.first() & bit != 0 { negate::<F>(value) } else { value };
        join::<F>(arg, |i| {
            let (n, d) = (sign(lane::<F>(n, i), 1), sign(lane::<F>(d, i), 2));
            F::fma(n, lane::<F>(m, i), d, env)
        })
    })
}

macro_rules! pairwise {
    ($($(#[$doc:meta])* $name:ident $reduced:ident |$a:ident, $b:ident, $env:ident, $F:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name(fp: &mut FpEnv, arg: Arg, n: u128, m: u128) -> u128 {
            formats!(arg, $F => {
                let $env = fp.within::<$F>();
                let count = arg.count(size_of::<$F>());
                let at = |i: usize| {
                    if i < count { lane::<$F>(n, i) } else { lane::<$F>(m, i - count) }
                };
                join::<$F>(arg, |i| {
                    let ($a, $b) = (at(2 * i), at(2 * i + 1));
                    $body
                })
            })
        }
        /// The same across the lanes that count, which are a power of two, by halves: in lane 0 alone.
        pub(super) fn $reduced(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
            formats!(arg, $F => {
                let $env = fp.within::<$F>();
                let mut lanes: [_; 8] = std::array::from_fn(|i| {
                    if i < 16 >> size_of::<$F>() { lane::<$F>(n, i) } else { <$F as Format>::Bits::from_u64(0) }
                });
                let mut count = arg.count(size_of::<$F>());
                while count > 1 {
                    count /= 2;
                    for i in 0..count {
                        let ($a, $b) = (lanes[2 * i], lanes[2 * i + 1]);
                        lanes[i] = $body;
                    }
                }
                u128::from(lanes[0].to_u64())
            })
        }
    )*};
}

pairwise! {
    /// FADDP (vector); [`faddv`] of two lanes is FADDP (scalar), and so on.
    faddp faddv |a, b, env, F| F::add(a, b, env);
    /// FMAXP; [`fmaxv`] is FMAXV.
    fmaxp fmaxv |a, b, env, F| soft::maximum::<F>(a, b, env);
    /// FMINP; [`fminv`] is FMINV.
    fminp fminv |a, b, env, F| soft::minimum::<F>(a, b, env);
    /// FMAXNMP; [`fmaxnmv`] is FMAXNMV.
    fmaxnmp fmaxnmv |a, b, env, F| soft::max_num::<F>(a, b, env);
    /// FMINNMP; [`fminnmv`] is FMINNMV.
    fminnmp fminnmv |a, b, env, F| soft::min_num::<F>(a, b, env);
}

/// The rounding modes of instructions that name their own, by number; others are FPCR's.
pub(super) fn mode(number: u32, fp: &FpEnv) -> Round {
    match number {
        0 => Round::NearestEven,
        1 => Round::Up,
        2 => Round::Down,
        3 => Round::TowardZero,
        4 => Round::NearestAway,
        _ => fp.round(),
    }
}

/// FRINTN, P, M, Z, A are rounding modes 0 to 4 as first number, FRINTI is 5; with 1 as second number
/// inexact is raised: FRINTX.
pub(super) fn frint(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
    let (round, inexact) = (mode(arg.first(), fp), inexact(arg.second()));
    formats!(arg, F => {
        let env = fp.within::<F>();
        join::<F>(arg, |i| F::integral(lane::<F>(n, i), round, inexact, env))
    })
}

fn inexact(number: u32) -> Inexact {
    if number == 0 { Inexact::Suppress } else { Inexact::Signal }
}

/// FRINT32Z, FRINT32X, FRINT64Z, FRINT64X: the first number is the rounding mode (as of [`frint`]), the second is
/// the width of the integers.
pub(super) fn frintts(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
    let round = mode(arg.first(), fp);
    let bits = if arg.second() <= 32 { 32 } else { 64 };
    formats!(arg, F => {
        let env = fp.within::<F>();
        join::<F>(arg, |i| {
            soft::round_to_sized::<F>(lane::<F>(n, i), bits, round, Inexact::Signal, env)
        })
    })
}

/// URECPE: lanes of 4 bytes.
pub(super) fn urecpe(arg: Arg, n: u128) -> u128 {
    join::<F32>(arg, |i| soft::unsigned_recip_estimate(lane::<F32>(n, i)))
}

/// URSQRTE: lanes of 4 bytes.
pub(super) fn ursqrte(arg: Arg, n: u128) -> u128 {
    join::<F32>(arg, |i| soft::unsigned_rsqrt_estimate(lane::<F32>(n, i)))
}

/// FCMP, and FCMPE with a first number of 1: condition flags as in NZCV.
pub(super) fn fcmp(fp: &mut FpEnv, arg: u64, n: u64, m: u64) -> u64 {
    let arg = Arg::from(arg);
    formats!(arg, F => {
        let env = fp.within::<F>();
        let (n, m) = (lane::<F>(n.into(), 0), lane::<F>(m.into(), 0));
        let relation = if arg.first() == 0 {
            soft::compare_quiet::<F>(n, m, env)
        } else {
            soft::compare_signaling::<F>(n, m, env)
        };
        debug_assert_eq!(relation.is_none(), is_nan::<F>(n) || is_nan::<F>(m));
        match relation {
            Some(Ordering::Equal) => 0b0110 << 28,
            Some(Ordering::Less) => 0b1000 << 28,
            Some(Ordering::Greater) => 0b0010 << 28,
            None => 0b0011 << 28,
        }
    })
}

/// FCADD: the first number is the rotation in quarter turns, 1 or 3.
pub(super) fn fcadd(fp: &mut FpEnv, arg: Arg, n: u128, m: u128) -> u128 {
    formats!(arg, F => {
        let env = fp.within::<F>();
        let real_negated = arg.first() == 3;
        join::<F>(arg, |i| {
            let other = lane::<F>(m, i ^ 1);
            let negated = (i % 2 == 0) != real_negated;
            F::add(lane::<F>(n, i), if negated { negate::<F>(other) } else { other }, env)
        })
    })
}

/// FCMLA: `d + n * m` of complex numbers, one half of it; the first number is the rotation in quarter turns. By
/// element, `m` is that element in all lanes.
pub(super) fn fcmla(fp: &mut FpEnv, arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    formats!(arg, F => {
        let env = fp.within::<F>();
        let rotation = arg.first() as usize & 3;
        join::<F>(arg, |i| {
            let imaginary = i % 2;
            let n = lane::<F>(n, i - imaginary + rotation % 2);
            let m = lane::<F>(m, i ^ (rotation % 2));
            // Rotations by 1 and 2 quarters negate the real part, those by 2 and 3 the imaginary.
            let negated = if imaginary == 0 { matches!(rotation, 1 | 2) } else { rotation >= 2 };
            F::fma(n, if negated { negate::<F>(m) } else { m }, lane::<F>(d, i), env)
        })
    })
}
