//! Against rustc_apfloat, in all four formats and the five rounding modes of IEEE 754.
//!
//! Two things it does not report are left out of the comparison (the host's unit shows them for the
//! formats it has): underflow where a tiny number was rounded to the least normal one, and overflow
//! where the result is the greatest finite number.

use std::fmt::Debug;

use rustc_apfloat::ieee::{BFloat, Double, Half, Single};
use rustc_apfloat::{Float, FloatConvert, Status, StatusAnd};

use super::{Operands, ROUNDS, operands};
use crate::float::soft::{self, Inexact, Int};
use crate::float::{
    BF16, Env, F16, F32, F64, Flags, Format, RawBits, Round, Rules, is_nan, is_signaling,
};

/// A format together with its reference type.
trait Reference: Format {
    type Ap: Float;
}

impl Reference for F16 {
    type Ap = Half;
}
impl Reference for BF16 {
    type Ap = BFloat;
}
impl Reference for F32 {
    type Ap = Single;
}
impl Reference for F64 {
    type Ap = Double;
}

const MODES: [(Round, rustc_apfloat::Round); 5] = [
    (Round::NearestEven, rustc_apfloat::Round::NearestTiesToEven),
    (Round::TowardZero, rustc_apfloat::Round::TowardZero),
    (Round::Down, rustc_apfloat::Round::TowardNegative),
    (Round::Up, rustc_apfloat::Round::TowardPositive),
    (Round::NearestAway, rustc_apfloat::Round::NearestTiesToAway),
];

fn ap<F: Reference>(a: F::Bits) -> F::Ap {
    F::Ap::from_bits(a.to_u64().into())
}

fn flags(status: Status) -> Flags {
    let pairs = [
        (Status::INVALID_OP, Flags::NV),
        (Status::DIV_BY_ZERO, Flags::DZ),
        (Status::OVERFLOW, Flags::OF),
        (Status::UNDERFLOW, Flags::UF),
        (Status::INEXACT, Flags::NX),
    ];
    let raised = pairs.into_iter().filter(|&(bit, _)| status.contains(bit));
    raised.fold(Flags::NONE, |all, (_, flag)| all | flag)
}

/// A reference result as encoding and flags, every NaN as the default one.
fn plain<F: Reference>(result: StatusAnd<F::Ap>) -> (u64, Flags) {
    let raw = if result.value.is_nan() { F::QUIET_NAN } else { result.value.to_bits() as u64 };
    (raw, flags(result.status))
}

/// The flags of which the reference says nothing when the result is `raw`.
fn unasked<F: Format>(raw: u64) -> Flags {
    match raw & !F::SIGN {
        magnitude if magnitude == F::MIN_NORMAL => Flags::UF,
        magnitude if magnitude == F::MAX_FINITE => Flags::OF,
        _ => Flags::NONE,
    }
}

/// Compares `ours` with `reference` on [`ROUNDS`] operands in every mode.
fn check<F: Reference, A: Copy + Debug>(
    name: &str,
    draw: impl Fn(&mut Operands) -> A,
    ours: impl Fn(A, &mut Env) -> F::Bits,
    reference: impl Fn(A, rustc_apfloat::Round) -> StatusAnd<F::Ap>,
) {
    let mut operands = operands(name);
    for (round, mode) in MODES {
        for _ in 0..ROUNDS {
            let args = draw(&mut operands);
            let mut env = Env { round, ..Env::new(Rules::RISCV) };
            let result = ours(args, &mut env).to_u64();
            let (expected, mut raised) = plain::<F>(reference(args, mode));
            raised |= Flags(env.flags.0 & unasked::<F>(result).0);
            assert_eq!(
                (result, env.flags),
                (expected, raised),
                "{name} {:?} {round:?} {args:x?}",
                F::EXP_BITS
            );
        }
    }
}

macro_rules! binary {
    ($($test:ident: $op:ident, $reference:ident;)*) => {$(
        #[test]
        fn $test() {
            fn run<F: Reference>() {
                check::<F, _>(
                    stringify!($op),
                    Operands::two::<F>,
                    |(a, b), env| soft::$op::<F>(a, b, env),
                    |(a, b), mode| ap::<F>(a).$reference(ap::<F>(b), mode),
                );
            }
            run::<F16>();
            run::<BF16>();
            run::<F32>();
            run::<F64>();
        }
    )*};
}

binary! {
    add: add, add_r;
    sub: sub, sub_r;
    mul: mul, mul_r;
    div: div, div_r;
}

#[test]
fn fma() {
    fn run<F: Reference>() {
        check::<F, _>(
            "fma",
            Operands::three::<F>,
            |(a, b, c), env| soft::fma::<F>(a, b, c, env),
            |(a, b, c), mode| ap::<F>(a).mul_add_r(ap::<F>(b), ap::<F>(c), mode),
        );
    }
    run::<F16>();
    run::<BF16>();
    run::<F32>();
    run::<F64>();
}

#[test]
fn convert() {
    fn run<F: Reference, G: Reference>()
    where
        F::Ap: FloatConvert<G::Ap>,
    {
        check::<G, _>("convert", Operands::one::<F>, soft::convert::<F, G>, |a, mode| {
            ap::<F>(a).convert_r(mode, &mut false)
        });
    }
    fn from<F: Reference>()
    where
        F::Ap:
            FloatConvert<Half> + FloatConvert<BFloat> + FloatConvert<Single> + FloatConvert<Double>,
    {
        run::<F, F16>();
        run::<F, BF16>();
        run::<F, F32>();
        run::<F, F64>();
    }
    from::<F16>();
    from::<BF16>();
    from::<F32>();
    from::<F64>();
}

/// The reference rounds to any integer; what fits a type is decided here.
fn to_int<F: Reference, I: Int + Debug>() {
    let mut operands = operands("to_int");
    for (round, mode) in MODES {
        for _ in 0..ROUNDS {
            let a = operands.one::<F>();
            let wide = ap::<F>(a).to_i128_r(100, mode, &mut false);
            let fits = wide.status & Status::INVALID_OP == Status::OK
                && (I::MIN..=I::MAX).contains(&wide.value);
            let expected = match fits {
                true => (I::wrap(wide.value), flags(wide.status)),
                false if is_nan::<F>(a) || !ap::<F>(a).is_negative() => {
                    (I::wrap(I::MAX), Flags::NV)
                }
                false => (I::wrap(I::MIN), Flags::NV),
            };
            let mut env = Env::new(Rules::RISCV);
            let result = soft::to_int::<F, I>(a, round, &mut env);
            assert_eq!((result, env.flags), expected, "{round:?} {a:x?}");
        }
    }
}

#[test]
fn to_int_is_exact_or_saturates() {
    fn run<F: Reference>() {
        to_int::<F, i32>();
        to_int::<F, u32>();
        to_int::<F, i64>();
        to_int::<F, u64>();
    }
    run::<F16>();
    run::<BF16>();
    run::<F32>();
    run::<F64>();
}

#[test]
fn from_int() {
    fn run<F: Reference>() {
        check::<F, _>(
            "from i64",
            |o| o.integer() as i64,
            soft::from_int::<F, i64>,
            |i, mode| F::Ap::from_i128_r(i.into(), mode),
        );
        check::<F, _>("from u64", Operands::integer, soft::from_int::<F, u64>, |i, mode| {
            F::Ap::from_u128_r(i.into(), mode)
        });
    }
    run::<F16>();
    run::<BF16>();
    run::<F32>();
    run::<F64>();
}

#[test]
fn round_to_integral() {
    fn run<F: Reference>() {
        check::<F, _>(
            "round_to_integral",
            Operands::one::<F>,
            |a, env| soft::round_to_integral::<F>(a, env.round, Inexact::Signal, env),
            |a, mode| ap::<F>(a).round_to_integral(mode),
        );
    }
    run::<F16>();
    run::<BF16>();
    run::<F32>();
    run::<F64>();
}

#[test]
fn comparisons_and_extrema() {
    fn run<F: Reference>() {
        let mut operands = operands("compare");
        for _ in 0..ROUNDS {
            let (a, b) = operands.two::<F>();
            let (x, y) = (ap::<F>(a), ap::<F>(b));
            let mut env = Env::new(Rules::RISCV);
            assert_eq!(
                soft::compare_quiet::<F>(a, b, &mut env),
                x.partial_cmp(&y),
                "{a:x?} {b:x?}"
            );
            let plain = |v: F::Ap| if v.is_nan() { F::QUIET_NAN } else { v.to_bits() as u64 };
            assert_eq!(
                soft::minimum::<F>(a, b, &mut env).to_u64(),
                plain(x.minimum(y)),
                "{a:x?} {b:x?}"
            );
            assert_eq!(
                soft::maximum::<F>(a, b, &mut env).to_u64(),
                plain(x.maximum(y)),
                "{a:x?} {b:x?}"
            );
            let signaling = is_signaling::<F>(a) || is_signaling::<F>(b);
            assert_eq!(env.flags.contains(Flags::NV), signaling, "{a:x?} {b:x?}");
        }
    }
    run::<F16>();
    run::<BF16>();
    run::<F32>();
    run::<F64>();
}
