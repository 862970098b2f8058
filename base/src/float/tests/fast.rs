//! The fast layer against the integer one: the same result and the same flags, whatever the rules,
//! the rounding mode and the flags raised before.

use std::fmt::Debug;

use super::{Operands, ROUNDS, operands};
use crate::float::soft::Inexact;
use crate::float::{
    DenormalsIn, DenormalsOut, Env, F32, F64, Flags, Format, NanRule, Round, Rules, fast, is_nan,
    soft,
};

const ROUNDINGS: [Round; 6] =
    [Round::NearestEven, Round::TowardZero, Round::Down, Round::Up, Round::NearestAway, Round::Odd];

/// Every guest's rules, with and without flushing of operands and results.
const RULES: [Rules; 8] = [
    Rules::RISCV,
    Rules::ARM,
    Rules { nan: NanRule::Default, ..Rules::ARM },
    Rules {
        denormals_in: DenormalsIn::FlushAndReport,
        denormals_out: DenormalsOut::Flush,
        ..Rules::ARM
    },
    Rules { denormals_out: DenormalsOut::Flush, ..Rules::RISCV },
    Rules::X86,
    Rules { denormals_out: DenormalsOut::FlushInexact, ..Rules::X86 },
    Rules {
        denormals_in: DenormalsIn::Flush,
        denormals_out: DenormalsOut::FlushInexact,
        ..Rules::X86
    },
];

/// An environment; to nearest with NX raised, or with no flag, more often than not.
fn environment(operands: &mut Operands) -> Env {
    let round = match operands.below(2) {
        0 => Round::NearestEven,
        _ => ROUNDINGS[operands.below(6) as usize],
    };
    let flags = match operands.below(3) {
        0 => Flags::NONE,
        1 => Flags::NX,
        _ => Flags(operands.below(64) as u8),
    };
    let rules = RULES[operands.below(RULES.len() as u64) as usize];
    Env { round, flags, ..Env::new(rules) }
}

fn check<A: Copy + Debug, R: Eq + Debug>(
    name: &str,
    draw: impl Fn(&mut Operands) -> A,
    fast: impl Fn(A, &mut Env) -> R,
    soft: impl Fn(A, &mut Env) -> R,
) {
    let mut operands = operands(name);
    for _ in 0..6 * ROUNDS {
        let args = draw(&mut operands);
        let before = environment(&mut operands);
        let (mut left, mut right) = (before, before);
        let results = (fast(args, &mut left), soft(args, &mut right));
        assert_eq!(
            (&results.0, left.flags),
            (&results.1, right.flags),
            "{name} {args:x?} {before:?}"
        );
    }
}

macro_rules! same {
    ($($test:ident: $op:ident, $draw:ident, ($($arg:ident),+);)*) => {$(
        #[test]
        fn $test() {
            check("f32", Operands::$draw::<F32>, |($($arg),+), env| fast::$op::<F32>($($arg),+, env), |($($arg),+), env| soft::$op::<F32>($($arg),+, env));
            check("f64", Operands::$draw::<F64>, |($($arg),+), env| fast::$op::<F64>($($arg),+, env), |($($arg),+), env| soft::$op::<F64>($($arg),+, env));
        }
    )*};
}

same! {
    add: add, two, (a, b);
    sub: sub, two, (a, b);
    mul: mul, two, (a, b);
    div: div, two, (a, b);
    fma: fma, three, (a, b, c);
}

#[test]
fn sqrt() {
    check("f32", Operands::one::<F32>, fast::sqrt::<F32>, soft::sqrt::<F32>);
    check("f64", Operands::one::<F64>, fast::sqrt::<F64>, soft::sqrt::<F64>);
}

#[test]
fn sqrt_of_squares() {
    let square = |o: &mut Operands| {
        let root = o.one::<F32>();
        let mut env = Env::new(Rules::RISCV);
        let wide = soft::convert::<F32, F64>(root, &mut env);
        soft::mul::<F64>(wide, wide, &mut env)
    };
    check("f64", square, fast::sqrt::<F64>, soft::sqrt::<F64>);
}

#[test]
fn div_of_products() {
    let product = |o: &mut Operands| {
        let (a, b) = o.two::<F32>();
        let mut env = Env::new(Rules::RISCV);
        let [a, b] = [a, b].map(|x| soft::convert::<F32, F64>(x, &mut env));
        (soft::mul::<F64>(a, b, &mut env), b)
    };
    check(
        "f64",
        product,
        |(a, b), env| fast::div::<F64>(a, b, env),
        |(a, b), env| soft::div::<F64>(a, b, env),
    );
}

#[test]
fn widen_and_narrow() {
    check("widen", Operands::one::<F32>, fast::widen, soft::convert::<F32, F64>);
    check("narrow", Operands::one::<F64>, fast::narrow, soft::convert::<F64, F32>);
}

/// A direction of rounding that depends on the operand.
fn direction(raw: u64) -> Round {
    ROUNDINGS[(raw.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % 6]
}

macro_rules! integers {
    ($($test:ident: $int:ty;)*) => {$(
        #[test]
        fn $test() {
            check(
                "f64 to",
                Operands::one::<F64>,
                |a, env| fast::to_int::<F64, $int>(a, direction(a), env),
                |a, env| soft::to_int::<F64, $int>(a, direction(a), env),
            );
            check(
                "f32 to",
                Operands::one::<F32>,
                |a, env| fast::to_int::<F32, $int>(a, direction(a.into()), env),
                |a, env| soft::to_int::<F32, $int>(a, direction(a.into()), env),
            );
            check(
                "truncate",
                Operands::one::<F64>,
                |a, env| fast::to_int::<F64, $int>(a, Round::TowardZero, env),
                |a, env| soft::to_int::<F64, $int>(a, Round::TowardZero, env),
            );
            let draw = |o: &mut Operands| o.integer() as $int;
            check("to f64", draw, fast::from_int::<F64, $int>, soft::from_int::<F64, $int>);
            check("to f32", draw, fast::from_int::<F32, $int>, soft::from_int::<F32, $int>);
        }
    )*};
}

integers! {
    converts_i32: i32;
    converts_u32: u32;
    converts_i64: i64;
    converts_u64: u64;
}

#[test]
fn round_to_integral() {
    for inexact in [Inexact::Signal, Inexact::Suppress] {
        check(
            "f64",
            Operands::one::<F64>,
            |a, env| fast::round_to_integral::<F64>(a, direction(a), inexact, env),
            |a, env| soft::round_to_integral::<F64>(a, direction(a), inexact, env),
        );
        check(
            "f32",
            Operands::one::<F32>,
            |a, env| fast::round_to_integral::<F32>(a, direction(a.into()), inexact, env),
            |a, env| soft::round_to_integral::<F32>(a, direction(a.into()), inexact, env),
        );
    }
}

/// What generated code relies on: where the predicate holds, the soft result with NX raised is the
/// host's, and nothing else is raised.
#[test]
fn results_that_stand_raise_nothing_new() {
    let mut operands = operands("stands");
    for _ in 0..ROUNDS {
        let (a, b) = operands.two::<F64>();
        let host = f64::from_bits(a) * f64::from_bits(b);
        if fast::result_stands::<F64>(host.to_bits()) {
            let mut env = Env { flags: Flags::NX, ..Env::new(Rules::RISCV) };
            assert_eq!(soft::mul::<F64>(a, b, &mut env), host.to_bits(), "{a:x} {b:x}");
            assert_eq!(env.flags, Flags::NX, "{a:x} {b:x}");
        }
    }
}

#[test]
fn predicates_draw_the_line_where_they_say() {
    let stands = fast::result_stands::<F32>;
    assert!(stands(F32::MIN_NORMAL as u32 + 1) && stands(0x8080_0001) && stands(0x7f7f_ffff));
    assert!(!stands(F32::MIN_NORMAL as u32) && !stands(0) && !stands(1) && !stands(0x7f80_0000));
    assert!(!stands(0xff80_0000) && !stands(0x7fc0_0000) && !stands(0xffff_ffff));
    let exact = fast::exact_when_tiny_stands::<F32>;
    assert!(exact(0) && exact(1) && exact(0x8000_0000) && exact(0x7f7f_ffff));
    assert!(!exact(0x7f80_0000) && !exact(0xff80_0001) && is_nan::<F32>(0xff80_0001));
}
