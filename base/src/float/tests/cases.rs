//! Single cases, each with the rule it stands for.

use std::cmp::Ordering;

use crate::float::soft::{self, Inexact, class};
use crate::float::{
    BF16, DenormalsIn, DenormalsOut, Env, F16, F32, F64, Flags, Format, NanRule, Round, Rules,
    negate, negate_number,
};

const ONE: u32 = 0x3f80_0000;
const TWO: u32 = 0x4000_0000;
const INF: u32 = 0x7f80_0000;
const QNAN: u32 = 0x7fc0_0000;
const MINUS: u32 = 0x8000_0000;
const MIN_NORMAL: u32 = 0x0080_0000;
/// Quiet and signalling NaNs with payloads.
const Q1: u32 = 0x7fc0_0001;
const Q2: u32 = 0xffc0_0002;
const Q3: u32 = 0x7fc0_0003;
const S1: u32 = 0x7f80_0001;
const S2: u32 = 0xff80_0002;
const QUIET: u32 = 0x0040_0000;

const ARM_DN: Rules = Rules { nan: NanRule::Default, ..Rules::ARM };
const ARM_FZ: Rules = Rules {
    denormals_in: DenormalsIn::FlushAndReport,
    denormals_out: DenormalsOut::Flush,
    ..Rules::ARM
};

/// Runs `op` with no flag raised and gives the flags with the result.
fn run<R>(rules: Rules, op: impl FnOnce(&mut Env) -> R) -> (R, Flags) {
    let mut env = Env::new(rules);
    let result = op(&mut env);
    (result, env.flags)
}

fn add(rules: Rules, a: u32, b: u32) -> (u32, Flags) {
    run(rules, |env| soft::add::<F32>(a, b, env))
}

fn fma(rules: Rules, a: u32, b: u32, c: u32) -> (u32, Flags) {
    run(rules, |env| soft::fma::<F32>(a, b, c, env))
}

#[test]
fn two_nans() {
    // A signalling NaN goes first on Arm; the first operand on x86; nothing survives on RISC-V.
    assert_eq!(add(Rules::ARM, Q1, S2), (S2 | QUIET, Flags::NV));
    assert_eq!(add(Rules::ARM, Q1, Q2), (Q1, Flags::NONE));
    assert_eq!(add(Rules::ARM, ONE, Q2), (Q2, Flags::NONE));
    assert_eq!(add(Rules::ARM, S1, S2), (S1 | QUIET, Flags::NV));
    assert_eq!(add(ARM_DN, Q1, S2), (QNAN, Flags::NV));
    assert_eq!(add(Rules::X86, Q1, S2), (Q1, Flags::NV));
    assert_eq!(add(Rules::X86, S2, Q1), (S2 | QUIET, Flags::NV));
    assert_eq!(add(Rules::RISCV, Q2, ONE), (QNAN, Flags::NONE));
    assert_eq!(add(Rules::RISCV, Q2, S1), (QNAN, Flags::NV));
}

#[test]
fn default_nans() {
    assert_eq!(add(Rules::RISCV, INF, INF | MINUS), (QNAN, Flags::NV));
    assert_eq!(add(Rules::ARM, INF, INF | MINUS), (QNAN, Flags::NV));
    assert_eq!(add(Rules::X86, INF, INF | MINUS), (QNAN | MINUS, Flags::NV));
}

#[test]
fn three_nans() {
    // Arm looks at the addend first, x86 last.
    assert_eq!(fma(Rules::ARM, Q1, Q2, Q3), (Q3, Flags::NONE));
    assert_eq!(fma(Rules::ARM, S1, Q2, Q3), (S1 | QUIET, Flags::NV));
    assert_eq!(fma(Rules::ARM, Q1, S2, S1), (S1 | QUIET, Flags::NV));
    assert_eq!(fma(Rules::X86, ONE, Q2, Q3), (Q2, Flags::NONE));
    assert_eq!(fma(Rules::X86, ONE, Q2, S1), (Q2, Flags::NV));
}

#[test]
fn invalid_product_with_a_nan_addend() {
    // RISC-V: NV even for a quiet NaN. Arm: the default NaN. x86: the NaN, and no flag.
    assert_eq!(fma(Rules::RISCV, INF, 0, Q1), (QNAN, Flags::NV));
    assert_eq!(fma(Rules::ARM, 0, INF, Q1), (QNAN, Flags::NV));
    assert_eq!(fma(ARM_DN, 0, INF, Q1), (QNAN, Flags::NV));
    assert_eq!(fma(Rules::X86, INF, 0, Q1), (Q1, Flags::NONE));
    assert_eq!(fma(Rules::ARM, INF, 0, S1), (S1 | QUIET, Flags::NV));
    assert_eq!(fma(Rules::ARM, INF, 0, ONE), (QNAN, Flags::NV));
}

#[test]
fn negation() {
    assert_eq!(negate::<F32>(Q1), Q1 | MINUS);
    assert_eq!(negate_number::<F32>(Q1), Q1);
    assert_eq!(negate_number::<F32>(ONE), ONE | MINUS);
    assert_eq!(negate::<F16>(0x3c00), 0xbc00);
    assert_eq!(negate::<BF16>(0x3f80), 0xbf80);
}

#[test]
fn zero_sums() {
    assert_eq!(add(Rules::RISCV, ONE, ONE | MINUS), (0, Flags::NONE));
    assert_eq!(add(Rules::RISCV, MINUS, MINUS), (MINUS, Flags::NONE));
    let down = |a: u32, b: u32| {
        run(Rules::RISCV, |env| env.rounding(Round::Down, |env| soft::add::<F32>(a, b, env)))
    };
    assert_eq!(down(ONE, ONE | MINUS), (MINUS, Flags::NONE));
    assert_eq!(down(0, MINUS), (MINUS, Flags::NONE));
    assert_eq!(down(0, 0), (0, Flags::NONE));
}

/// The greatest number below 1 times the least normal number is halfway to it: tiny, and inexact.
#[test]
fn tiny_rounded_to_the_least_normal_number_underflows() {
    let product = |rules, a| run(rules, |env| soft::mul::<F32>(a, MIN_NORMAL, env));
    assert_eq!(product(Rules::RISCV, ONE - 1), (MIN_NORMAL, Flags::UF | Flags::NX));
    // With one more bit unbounded rounding would have reached it as well: here the moments differ.
    let quotient = |rules| run(rules, |env| soft::fma::<F32>(1, 0x3f40_0000, MIN_NORMAL - 1, env));
    assert_eq!(quotient(Rules::RISCV), (MIN_NORMAL, Flags::NX));
    assert_eq!(quotient(Rules::ARM), (MIN_NORMAL, Flags::UF | Flags::NX));
}

#[test]
fn arm_flush_to_zero() {
    // Operands: zero with IDC, next to a NaN, too. Results: zero with UFC alone, though exact.
    assert_eq!(add(ARM_FZ, 1, MINUS | 1), (0, Flags::ID));
    assert_eq!(add(ARM_FZ, 1, Q1), (Q1, Flags::ID));
    let half = 0x3f00_0000 | MINUS;
    assert_eq!(run(ARM_FZ, |env| soft::mul::<F32>(half, MIN_NORMAL, env)), (MINUS, Flags::UF));
    assert_eq!(run(ARM_FZ, |env| soft::eq::<F32>(1, 0, env)), (true, Flags::ID));
    assert_eq!(run(ARM_FZ, |env| soft::maximum::<F32>(1, MINUS, env)), (0, Flags::ID));
}

#[test]
fn overflow_by_mode() {
    let sum = |round, sign: u32| {
        run(Rules::RISCV, |env| {
            env.round = round;
            soft::add::<F32>((INF - 1) | sign, (INF - 1) | sign, env)
        })
    };
    let raised = Flags::OF | Flags::NX;
    assert_eq!(sum(Round::NearestEven, MINUS), (INF | MINUS, raised));
    assert_eq!(sum(Round::NearestAway, 0), (INF, raised));
    assert_eq!(sum(Round::TowardZero, 0), (INF - 1, raised));
    assert_eq!(sum(Round::Odd, MINUS), ((INF - 1) | MINUS, raised));
    assert_eq!(sum(Round::Down, 0), (INF - 1, raised));
    assert_eq!(sum(Round::Down, MINUS), (INF | MINUS, raised));
    assert_eq!(sum(Round::Up, MINUS), ((INF - 1) | MINUS, raised));
}

#[test]
fn extrema() {
    type MinMax = fn(u32, u32, &mut Env) -> u32;
    let check = |op: MinMax, a, b, result, flags| {
        assert_eq!(run(Rules::ARM, |env| op(a, b, env)), (result, flags), "{a:x} {b:x}");
    };
    let minus_one = ONE | MINUS;
    for op in
        [soft::minimum::<F32>, soft::minimum_number::<F32>, soft::min_num::<F32>] as [MinMax; 3]
    {
        check(op, ONE, TWO, ONE, Flags::NONE);
        check(op, minus_one, ONE, minus_one, Flags::NONE);
        check(op, 0, MINUS, MINUS, Flags::NONE);
        check(op, MINUS, 0, MINUS, Flags::NONE);
    }
    for op in
        [soft::maximum::<F32>, soft::maximum_number::<F32>, soft::max_num::<F32>] as [MinMax; 3]
    {
        check(op, ONE, TWO, TWO, Flags::NONE);
        check(op, 0, MINUS, 0, Flags::NONE);
        check(op, MINUS, 0, 0, Flags::NONE);
    }
    check(soft::minimum::<F32>, ONE, Q1, Q1, Flags::NONE);
    check(soft::minimum::<F32>, S1, ONE, S1 | QUIET, Flags::NV);
    check(soft::minimum_number::<F32>, Q1, ONE, ONE, Flags::NONE);
    check(soft::minimum_number::<F32>, ONE, S1, ONE, Flags::NV);
    check(soft::min_num::<F32>, ONE, Q1, ONE, Flags::NONE);
    check(soft::max_num::<F32>, ONE, S1, S1 | QUIET, Flags::NV);
    check(soft::max_num::<F32>, Q1, Q2, Q1, Flags::NONE);
    assert_eq!(
        run(Rules::RISCV, |env| soft::minimum_number::<F32>(Q1, Q2, env)),
        (QNAN, Flags::NONE)
    );
    assert_eq!(
        run(Rules::RISCV, |env| soft::maximum_number::<F32>(Q1, S2, env)),
        (QNAN, Flags::NV)
    );
    assert_eq!(run(Rules::RISCV, |env| soft::maximum::<F32>(ONE, Q2, env)), (QNAN, Flags::NONE));
}

#[test]
fn comparisons() {
    assert_eq!(run(Rules::RISCV, |env| soft::eq::<F32>(0, MINUS, env)), (true, Flags::NONE));
    assert_eq!(run(Rules::RISCV, |env| soft::eq::<F32>(Q1, Q1, env)), (false, Flags::NONE));
    assert_eq!(run(Rules::RISCV, |env| soft::eq::<F32>(S1, ONE, env)), (false, Flags::NV));
    assert_eq!(run(Rules::RISCV, |env| soft::lt::<F32>(ONE, Q1, env)), (false, Flags::NV));
    assert_eq!(run(Rules::RISCV, |env| soft::le::<F32>(ONE, ONE, env)), (true, Flags::NONE));
    assert_eq!(run(Rules::RISCV, |env| soft::lt::<F32>(INF | MINUS, 1, env)), (true, Flags::NONE));
    assert_eq!(run(Rules::RISCV, |env| soft::lt_quiet::<F32>(ONE, Q1, env)), (false, Flags::NONE));
    assert_eq!(run(Rules::RISCV, |env| soft::le_quiet::<F32>(S1, ONE, env)), (false, Flags::NV));
    let greater = run(Rules::X86, |env| soft::compare_quiet::<F32>(ONE, 1, env));
    assert_eq!(greater, (Some(Ordering::Greater), Flags::ID));
}

#[test]
fn classes() {
    let table = [
        (INF | MINUS, class::NEGATIVE_INFINITY),
        (ONE | MINUS, class::NEGATIVE_NORMAL),
        (MINUS | 1, class::NEGATIVE_SUBNORMAL),
        (MINUS, class::NEGATIVE_ZERO),
        (0, class::POSITIVE_ZERO),
        (MIN_NORMAL - 1, class::POSITIVE_SUBNORMAL),
        (MIN_NORMAL, class::POSITIVE_NORMAL),
        (INF, class::POSITIVE_INFINITY),
        (S2, class::SIGNALING_NAN),
        (Q2, class::QUIET_NAN),
    ];
    for (bit, (raw, expected)) in table.into_iter().enumerate() {
        assert_eq!((soft::classify::<F32>(raw), expected), (1 << bit, 1 << bit), "{raw:x}");
    }
}

#[test]
fn invalid_integers() {
    let to_i32 = |rules, a| run(rules, |env| soft::to_int::<F32, i32>(a, Round::TowardZero, env));
    let to_u64 = |rules, a| run(rules, |env| soft::to_int::<F32, u64>(a, Round::TowardZero, env));
    assert_eq!(to_i32(Rules::RISCV, Q2), (i32::MAX, Flags::NV));
    assert_eq!(to_i32(Rules::ARM, Q1), (0, Flags::NV));
    assert_eq!(to_i32(Rules::X86, INF), (i32::MIN, Flags::NV));
    assert_eq!(to_i32(Rules::RISCV, INF | MINUS), (i32::MIN, Flags::NV));
    assert_eq!(to_u64(Rules::RISCV, ONE | MINUS), (0, Flags::NV));
    assert_eq!(to_u64(Rules::X86, ONE | MINUS), (u64::MAX, Flags::NV));
    assert_eq!(to_u64(Rules::ARM, INF), (u64::MAX, Flags::NV));
    // −0.5 truncated is zero, which an unsigned type has.
    assert_eq!(to_u64(Rules::RISCV, 0xbf00_0000), (0, Flags::NX));
}

#[test]
fn modular_conversion() {
    let check = |value: f64, expected: (i32, bool), flags| {
        let result = run(Rules::ARM, |env| soft::to_i32_modular(value.to_bits(), env));
        assert_eq!(result, (expected, flags), "{value}");
    };
    check(0.0, (0, true), Flags::NONE);
    check(-0.0, (0, false), Flags::NONE);
    check(-7.0, (-7, true), Flags::NONE);
    check(-7.9, (-7, false), Flags::NX);
    check(0.5, (0, false), Flags::NX);
    check(2_147_483_648.0, (i32::MIN, false), Flags::NV);
    check(-2_147_483_648.0, (i32::MIN, true), Flags::NONE);
    check(-2_147_483_648.5, (i32::MIN, false), Flags::NX);
    check(4_294_967_301.5, (5, false), Flags::NV);
    check(-4_294_967_301.0, (-5, false), Flags::NV);
    check(f64::from_bits(0x4400_0000_0000_0003), (3 << 13, false), Flags::NV);
    check(f64::from_bits(0xc400_0000_0000_0003), (-3 << 13, false), Flags::NV);
    check(f64::from_bits(0x4520_0000_0000_0001), (i32::MIN, false), Flags::NV);
    check(2f64.powi(84), (0, false), Flags::NV);
    check(f64::MAX, (0, false), Flags::NV);
    check(f64::NEG_INFINITY, (0, false), Flags::NV);
    check(f64::NAN, (0, false), Flags::NV);
}

#[test]
fn modular_conversion_is_that_of_wide_integers() {
    let mut operands = super::operands("modular");
    for _ in 0..super::ROUNDS {
        let a = operands.one::<F64>();
        let value = f64::from_bits(a);
        if value.abs() < 2f64.powi(126) {
            let (low, raised) = run(Rules::RISCV, |env| soft::to_i32_modular(a, env));
            let whole = value as i128;
            assert_eq!(low.0, whole as i32, "{a:x}");
            let in_range = i32::try_from(whole).is_ok();
            assert_eq!(raised.contains(Flags::NV), !in_range, "{a:x}");
            assert_eq!(raised.contains(Flags::NX), in_range && whole as f64 != value, "{a:x}");
        }
    }
}

#[test]
fn nan_conversion_keeps_the_high_payload() {
    let narrowed = run(Rules::ARM, |env| soft::convert::<F64, F32>(0xfff0_0000_2000_0001, env));
    assert_eq!(narrowed, (0xffc0_0001, Flags::NV));
    let widened = run(Rules::X86, |env| soft::convert::<F16, F64>(0x7e01, env));
    assert_eq!(widened, (0x7ff8_0400_0000_0000, Flags::NONE));
    assert_eq!(
        run(Rules::RISCV, |env| soft::convert::<F32, F64>(Q2, env)),
        (F64::QUIET_NAN, Flags::NONE)
    );
}

#[test]
fn integral_values() {
    let round = |a: f32, direction, inexact| {
        let (r, raised) = run(Rules::RISCV, |env| {
            soft::round_to_integral::<F32>(a.to_bits(), direction, inexact, env)
        });
        (f32::from_bits(r), raised)
    };
    assert_eq!(round(2.5, Round::NearestEven, Inexact::Signal), (2.0, Flags::NX));
    assert_eq!(round(2.5, Round::NearestAway, Inexact::Suppress), (3.0, Flags::NONE));
    assert_eq!(round(8_388_607.5, Round::Up, Inexact::Signal), (8_388_608.0, Flags::NX));
    let (zero, raised) = round(-0.25, Round::NearestEven, Inexact::Signal);
    assert_eq!((zero.to_bits(), raised), (MINUS, Flags::NX));
}

/// SDM vol. 1, 4.9.1.4 and 4.9.1.5: what is exact but for its exponent is not inexact.
#[test]
fn interrupted_operations_are_inexact_only_by_precision() {
    let product = |a: f32, b: f32| {
        let mut env = Env { trapping: Flags::UF | Flags::OF, ..Env::new(Rules::X86) };
        let _ = soft::mul::<F32>(a.to_bits(), b.to_bits(), &mut env);
        env.flags
    };
    assert_eq!(product(f32::MIN_POSITIVE, 0.5), Flags::UF);
    assert_eq!(product(f32::MAX, 2.0), Flags::OF);
    assert_eq!(product(f32::MIN_POSITIVE * 1.7, 0.1), Flags::UF | Flags::NX);
    assert_eq!(product(f32::MAX, 3.3), Flags::OF | Flags::NX);
}
