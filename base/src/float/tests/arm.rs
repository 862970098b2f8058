//! What Arm alone has: steps and estimates, fixed point, integers of a size, alternative half precision. Compared with
//! `f64` where that is exact; `arch` compares the instructions with another implementation.

use super::operands;
use crate::float::soft::{self, Inexact};
use crate::float::{
    DenormalsOut, Env, F16, F32, F64, Flags, Format, RawBits, Round, Rules, is_nan,
};

const ROUNDS: u32 = 50_000;
const FLUSHING: Rules = Rules { denormals_out: DenormalsOut::Flush, ..Rules::ARM };

fn run<R>(rules: Rules, op: impl FnOnce(&mut Env) -> R) -> (R, Flags) {
    let mut env = Env::new(rules);
    let result = op(&mut env);
    (result, env.flags)
}

fn single(a: f32) -> u32 {
    a.to_bits()
}

#[test]
fn extended_products_of_infinity_and_zero_are_two() {
    let product = |a: f32, b: f32| {
        let (r, flags) =
            run(Rules::ARM, |env| soft::mul_extended::<F32>(single(a), single(b), env));
        (f32::from_bits(r), flags)
    };
    assert_eq!(product(f32::INFINITY, 0.0), (2.0, Flags::NONE));
    assert_eq!(product(-0.0, f32::INFINITY), (-2.0, Flags::NONE));
    assert_eq!(product(3.0, -0.5), (-1.5, Flags::NONE));
    assert_eq!(product(f32::INFINITY, -1.0), (f32::NEG_INFINITY, Flags::NONE));
    let half = run(Rules::ARM, |env| soft::mul_extended::<F16>(0x7c00, 0x8000, env));
    assert_eq!(half, (0xc000, Flags::NONE));
}

#[test]
fn steps_are_fused() {
    let step = |op: fn(u32, u32, &mut Env) -> u32, a: f32, b: f32| {
        let (r, flags) = run(Rules::ARM, |env| op(single(a), single(b), env));
        (f32::from_bits(r), flags)
    };
    let (recip, rsqrt) = (soft::recip_step::<F32>, soft::rsqrt_step::<F32>);
    assert_eq!(step(recip, 1.0, 1.0), (1.0, Flags::NONE));
    assert_eq!(step(recip, f32::INFINITY, 0.0), (2.0, Flags::NONE));
    assert_eq!(step(recip, 0.0, 5.0), (2.0, Flags::NONE));
    assert_eq!(step(recip, f32::INFINITY, 5.0), (f32::NEG_INFINITY, Flags::NONE));
    assert_eq!(step(rsqrt, 0.0, f32::INFINITY), (1.5, Flags::NONE));
    assert_eq!(step(rsqrt, 1.0, -1.0), (2.0, Flags::NONE));
    // 2 - (1 + 2^-23)^2: rounded before the subtraction, the last term would be lost.
    let above = 1.0 + f32::EPSILON;
    let exact = 2.0 - f64::from(above) * f64::from(above);
    assert_eq!(step(recip, above, above), (exact as f32, Flags::NX));
    // A sum of zero, and half of what would overflow.
    assert_eq!(step(recip, 2.0, 1.0), (0.0, Flags::NONE));
    assert_eq!(step(rsqrt, -f32::MAX, 1.5), (f32::MAX * 0.75, Flags::NX));
    // The first operand is negated, and NaNs with it.
    let nan = run(Rules::ARM, |env| recip(0x7fc0_0001, single(1.0), env));
    assert_eq!(nan, (0xffc0_0001, Flags::NONE));
}

#[test]
fn steps_are_as_in_a_wider_format() {
    let mut operands = operands("steps");
    for _ in 0..ROUNDS {
        let (a, b) = operands.two::<F16>();
        if is_nan::<F16>(a) || is_nan::<F16>(b) {
            continue;
        }
        let [x, y] =
            [a, b].map(|a| f64::from_bits(soft::convert::<F16, F64>(a, &mut Env::new(Rules::ARM))));
        if x.is_infinite() || y.is_infinite() {
            continue;
        }
        // A product of halves is exact in binary64; the sum is not where they are far apart, but then it only
        // has to keep its direction.
        let far = (x * y).abs() < 2f64.powi(-40) && x * y != 0.0;
        let product = if far { 2f64.powi(-40).copysign(x * y) } else { x * y };
        for (op, exact) in [
            (soft::recip_step::<F16> as fn(u16, u16, &mut Env) -> u16, 2.0 - product),
            (soft::rsqrt_step::<F16>, (3.0 - product) / 2.0),
        ] {
            let result = run(Rules::ARM, |env| op(a, b, env));
            let expected = run(Rules::ARM, |env| soft::convert::<F64, F16>(exact.to_bits(), env));
            assert_eq!(result, expected, "{a:x} {b:x}");
        }
    }
}

#[test]
fn estimates_are_those_of_the_manual_s_tables() {
    let recip = |a: f32| run(Rules::ARM, |env| soft::recip_estimate::<F32>(single(a), env));
    let rsqrt = |a: f32| run(Rules::ARM, |env| soft::rsqrt_estimate::<F32>(single(a), env));
    assert_eq!(recip(1.0), (0x3f7f_8000, Flags::NONE));
    assert_eq!(recip(-2.0), (0xbeff_8000, Flags::NONE));
    assert_eq!(recip(f32::INFINITY), (0, Flags::NONE));
    assert_eq!(recip(-0.0), (single(f32::NEG_INFINITY), Flags::DZ));
    assert_eq!(recip(f32::from_bits(0x001f_ffff)), (single(f32::INFINITY), Flags::OF | Flags::NX));
    assert_eq!(recip(f32::MAX).1, Flags::NONE);
    let flushed = run(FLUSHING, |env| soft::recip_estimate::<F32>(single(-f32::MAX), env));
    assert_eq!(flushed, (0x8000_0000, Flags::UF));
    assert_eq!(rsqrt(1.0), (0x3f7f_8000, Flags::NONE));
    assert_eq!(rsqrt(4.0), (0x3eff_8000, Flags::NONE));
    assert_eq!(rsqrt(-0.0), (single(f32::NEG_INFINITY), Flags::DZ));
    assert_eq!(rsqrt(-1.0), (F32::QUIET_NAN as u32, Flags::NV));
    assert_eq!(soft::unsigned_recip_estimate(0x8000_0000), 0xff80_0000);
    assert_eq!(soft::unsigned_recip_estimate(0x7fff_ffff), u32::MAX);
    assert_eq!(soft::unsigned_rsqrt_estimate(0x4000_0000), 0xff80_0000);
    assert_eq!(soft::unsigned_rsqrt_estimate(0x3fff_ffff), u32::MAX);
    assert_eq!(soft::unsigned_rsqrt_estimate(u32::MAX), 0x8000_0000);
}

/// An estimate is right to about one part in 2^8.
#[test]
fn estimates_are_near() {
    fn check<F: Format>(to_f64: fn(F::Bits) -> f64) {
        let mut operands = operands("estimates");
        for _ in 0..ROUNDS {
            let a = operands.one::<F>();
            let value = to_f64(a);
            let recip = to_f64(soft::recip_estimate::<F>(a, &mut Env::new(Rules::ARM)));
            if value.is_normal() && recip.is_normal() && recip.abs() > 2f64.powi(F::EMIN) {
                assert!((recip * value - 1.0).abs() < 1.0 / 250.0, "{a:x?}");
            }
            let rsqrt = to_f64(soft::rsqrt_estimate::<F>(a, &mut Env::new(Rules::ARM)));
            if value.is_normal() && value > 0.0 {
                assert!((rsqrt * value.sqrt() - 1.0).abs() < 1.0 / 250.0, "{a:x?}");
            }
        }
    }
    check::<F16>(|a| f64::from_bits(soft::convert::<F16, F64>(a, &mut Env::new(Rules::ARM))));
    check::<F32>(|a| f64::from(f32::from_bits(a)));
    check::<F64>(f64::from_bits);
}

#[test]
fn exponents_are_inverted() {
    let inverted = |a: u32| run(Rules::ARM, |env| soft::recip_exponent::<F32>(a, env)).0;
    assert_eq!(inverted(single(1.5)), single(2.0));
    assert_eq!(inverted(single(-8.0)), single(-0.25));
    assert_eq!(inverted(1), 0x7f00_0000);
    assert_eq!(inverted(0x8000_0000), 0xff00_0000);
    assert_eq!(inverted(single(f32::NEG_INFINITY)), 0x8000_0000);
    assert_eq!(inverted(0x7f80_0001), 0x7fc0_0001);
}

#[test]
fn fixed_point_is_scaled() {
    let mut operands = operands("fixed");
    for _ in 0..ROUNDS {
        let (a, fraction) = (operands.one::<F32>(), 1 + operands.below(32) as u32);
        let scaled = f64::from(f32::from_bits(a)) * 2f64.powi(fraction as i32);
        let round = [Round::NearestEven, Round::TowardZero, Round::Down, Round::NearestAway]
            [operands.below(4) as usize];
        let fixed = run(Rules::ARM, |env| soft::to_fixed::<F32, i32>(a, fraction, round, env));
        let expected =
            run(Rules::ARM, |env| soft::to_int::<F64, i32>(scaled.to_bits(), round, env));
        if !is_nan::<F32>(a) {
            assert_eq!(fixed, expected, "{a:x} {fraction}");
        }
        let integer = operands.integer() as u32;
        let scaled = f64::from(integer) / 2f64.powi(fraction as i32);
        let back = run(Rules::ARM, |env| soft::from_fixed::<F32, u32>(integer, fraction, env));
        let expected = run(Rules::ARM, |env| soft::convert::<F64, F32>(scaled.to_bits(), env));
        assert_eq!(back, expected, "{integer:x} {fraction}");
    }
    let tiny = run(Rules::ARM, |env| soft::from_fixed::<F16, i16>(-1, 16, env));
    assert_eq!(tiny, (0x8100, Flags::NONE));
}

#[test]
fn integers_of_a_size() {
    let round = |a: f64, bits, direction| {
        let (r, flags) = run(Rules::ARM, |env| {
            soft::round_to_sized::<F64>(a.to_bits(), bits, direction, Inexact::Signal, env)
        });
        (f64::from_bits(r), flags)
    };
    let (least, zero) = (-2_147_483_648.0, Round::TowardZero);
    assert_eq!(round(2_147_483_647.5, 32, zero), (2_147_483_647.0, Flags::NX));
    assert_eq!(round(2_147_483_647.5, 32, Round::NearestEven), (least, Flags::NV));
    assert_eq!(round(least - 0.5, 32, zero), (least, Flags::NX));
    assert_eq!(round(least - 1.0, 32, zero), (least, Flags::NV));
    assert_eq!(round(2_147_483_648.0, 64, zero), (2_147_483_648.0, Flags::NONE));
    assert_eq!(round(2f64.powi(63), 64, zero), (-(2f64.powi(63)), Flags::NV));
    assert_eq!(round(-(2f64.powi(63)), 64, zero), (-(2f64.powi(63)), Flags::NONE));
    assert_eq!(round(f64::NAN, 32, zero), (least, Flags::NV));
    assert_eq!(round(f64::NEG_INFINITY, 32, zero), (least, Flags::NV));
    let (minus_zero, flags) = round(-0.25, 32, zero);
    assert_eq!((minus_zero.to_bits(), flags), (F64::SIGN, Flags::NX));
}

#[test]
fn alternative_half_precision_has_one_more_exponent() {
    for raw in 0..=u16::MAX {
        let mut env = Env::new(Rules::ARM);
        let value = f64::from_bits(soft::from_alternative_half::<F64>(raw, &mut env));
        let (exponent, fraction) = (i32::from(raw >> 10 & 31), f64::from(raw & 1023) / 1024.0);
        let magnitude = match exponent {
            0 => fraction * 2f64.powi(-14),
            _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
        };
        assert_eq!(value.to_bits(), magnitude.copysign(value).to_bits(), "{raw:x}");
        assert_eq!(value.is_sign_negative(), raw >> 15 != 0, "{raw:x}");
        assert_eq!(soft::to_alternative_half::<F64>(value.to_bits(), &mut env), raw, "{raw:x}");
        assert_eq!(env.flags, Flags::NONE, "{raw:x}");
    }
    let narrowed = |a: f32| run(Rules::ARM, |env| soft::to_alternative_half::<F32>(single(a), env));
    assert_eq!(narrowed(131_008.0), (0x7fff, Flags::NONE));
    assert_eq!(narrowed(131_039.0), (0x7fff, Flags::NX));
    assert_eq!(narrowed(-131_040.0), (0xffff, Flags::NV));
    assert_eq!(narrowed(f32::INFINITY), (0x7fff, Flags::NV));
    assert_eq!(narrowed(-f32::NAN.abs()), (0x8000, Flags::NV));
    assert_eq!(narrowed(2f32.powi(-26)), (0, Flags::UF | Flags::NX));
    assert_eq!(
        soft::from_alternative_half::<F32>(0x7c00, &mut Env::new(Rules::ARM)).to_u64(),
        u64::from(single(65536.0))
    );
}
