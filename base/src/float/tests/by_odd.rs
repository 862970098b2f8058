//! The narrow formats through binary64: an operation rounded to odd in a format with at least two
//! more significant bits, then rounded to the narrow one, is as if rounded once (Boldo and
//! Melquiond). Reaches what the other references lack: square roots, rounding to odd, tininess before
//! rounding, and every flag of binary16 and bfloat16.

use super::{ROUNDS, operands};
use crate::float::{
    BF16, Env, F16, F32, F64, Flags, Format, RawBits, Round, Rules, Tininess, is_nan, soft,
};

const MODES: [Round; 6] =
    [Round::NearestEven, Round::TowardZero, Round::Down, Round::Up, Round::NearestAway, Round::Odd];

/// An operation on three operands, of which it may ignore some.
type Op<B> = fn(B, B, B, &mut Env) -> B;

fn check<F: Format>(narrow: Op<F::Bits>, wide: Op<u64>) {
    let mut operands = operands("by odd");
    for round in MODES {
        for _ in 0..ROUNDS {
            let (a, b, c) = operands.three::<F>();
            if [a, b, c].into_iter().any(is_nan::<F>) {
                continue;
            }
            for tininess in [Tininess::AfterRounding, Tininess::BeforeRounding] {
                let rules = Rules { tininess, ..Rules::RISCV };
                let mut env = Env { round, ..Env::new(rules) };
                let result = narrow(a, b, c, &mut env);
                let expected = through_f64::<F>(wide, [a, b, c], round, tininess);
                assert_eq!(
                    (result, env.flags),
                    expected,
                    "{round:?} {tininess:?} {a:x?} {b:x?} {c:x?}"
                );
            }
        }
    }
}

/// What the operation in binary64, rounded to odd, gives when that is rounded to F.
fn through_f64<F: Format>(
    wide: Op<u64>,
    args: [F::Bits; 3],
    round: Round,
    tininess: Tininess,
) -> (F::Bits, Flags) {
    // A zero sum takes its sign from the mode of the narrow operation.
    let zero_sign = if round == Round::Down { Round::Down } else { Round::Odd };
    let mut env = Env { round: Round::Odd, ..Env::new(Rules::RISCV) };
    let [a, b, c] = args.map(|x| soft::convert::<F, F64>(x, &mut env));
    let mut exact = wide(a, b, c, &mut env);
    if exact & !F64::SIGN == 0 {
        env.round = zero_sign;
        exact = wide(a, b, c, &mut env);
    }
    env.round = round;
    let result = soft::convert::<F64, F>(exact, &mut env);
    if tininess == Tininess::BeforeRounding {
        let tiny = f64::from_bits(exact).abs() < 2f64.powi(F::EMIN);
        env.flags = env.flags.without(Flags::UF);
        if tiny && env.flags.contains(Flags::NX) {
            env.raise(Flags::UF);
        }
    }
    (result, env.flags)
}

macro_rules! by_odd {
    ($($test:ident: |$a:tt, $b:tt, $c:tt, $env:ident| $op:ident($($arg:ident),+);)*) => {$(
        #[test]
        fn $test() {
            fn run<F: Format>() {
                check::<F>(
                    |$a, $b, $c, $env| soft::$op::<F>($($arg),+),
                    |$a, $b, $c, $env| soft::$op::<F64>($($arg),+),
                );
            }
            run::<F16>();
            run::<BF16>();
            run::<F32>();
        }
    )*};
}

by_odd! {
    add: |a, b, _, env| add(a, b, env);
    sub: |a, b, _, env| sub(a, b, env);
    mul: |a, b, _, env| mul(a, b, env);
    div: |a, b, _, env| div(a, b, env);
    sqrt: |a, _, _, env| sqrt(a, env);
    fma: |a, b, c, env| fma(a, b, c, env);
}

/// All of binary16: nothing is left to chance where everything can be tried.
#[test]
fn every_half() {
    for raw in 0..=u16::MAX {
        let mut env = Env::new(Rules::ARM);
        let wide = soft::convert::<F16, F32>(raw, &mut env);
        let back = soft::convert::<F32, F16>(wide, &mut env);
        let quieted = if is_nan::<F16>(raw) { raw | F16::QUIET as u16 } else { raw };
        assert_eq!(back, quieted, "{raw:x}");
        assert_eq!(env.flags.without(Flags::NV), Flags::NONE, "{raw:x}");
        if !is_nan::<F16>(raw) {
            assert_eq!(
                soft::convert::<F16, F64>(raw, &mut env).to_u64(),
                half_value(raw).to_bits(),
                "{raw:x}"
            );
        }
    }
}

/// The value of a binary16 encoding by the definition in IEEE 754-2019 §3.4.
fn half_value(raw: u16) -> f64 {
    let (exponent, fraction) = (i32::from(raw >> 10 & 31), f64::from(raw & 1023) / 1024.0);
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-14),
        31 => f64::INFINITY,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if raw >> 15 != 0 { -magnitude } else { magnitude }
}
