//! Against the host's SSE and FMA units with MXCSR set for each single operation: results, NaN
//! payloads and all six flags, in every rounding mode, with and without DAZ and FTZ.

#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "sets MXCSR around single instructions, which Rust cannot")]

use std::arch::asm;
use std::cmp::Ordering;
use std::fmt::Debug;

use super::{Operands, ROUNDS, operands};
use crate::float::soft::{self, Inexact};
use crate::float::{
    DenormalsIn, DenormalsOut, Env, F32, F64, Flags, Format, Round, Rules, is_nan, negate_number,
};

/// All exceptions masked, round to nearest.
const MXCSR_DEFAULT: u32 = 0x1f80;
const DAZ: u32 = 1 << 6;
const FTZ: u32 = 1 << 15;

/// The rounding modes SSE has, with their place in MXCSR.
const MODES: [(Round, u32); 4] = [
    (Round::NearestEven, 0),
    (Round::Down, 1 << 13),
    (Round::Up, 2 << 13),
    (Round::TowardZero, 3 << 13),
];

/// MXCSR's exception bits as [`Flags`].
fn flags(mxcsr: u32) -> Flags {
    let order = [Flags::NV, Flags::ID, Flags::DZ, Flags::OF, Flags::UF, Flags::NX];
    let raised = order.into_iter().enumerate().filter(|&(bit, _)| mxcsr >> bit & 1 != 0);
    raised.fold(Flags::NONE, |all, (_, flag)| all | flag)
}

/// Runs `instruction` under `mxcsr` with operands as declared; `{csr}` and `{default}` are taken.
/// Gives MXCSR after it as [`Flags`].
macro_rules! under_mxcsr {
    ($mxcsr:expr, [$($instruction:literal),+], $($operands:tt)*) => {{
        let mut mxcsr: u32 = $mxcsr;
        // SAFETY: only the registers and the two words named are touched; MXCSR is put back to the
        // state Rust assumes before the block ends.
        unsafe {
            asm!(
                "ldmxcsr [{csr}]",
                $($instruction,)+
                "stmxcsr [{csr}]",
                "ldmxcsr [{default}]",
                $($operands)*,
                csr = in(reg) &raw mut mxcsr,
                default = in(reg) &raw const MXCSR_DEFAULT_CELL,
                options(nostack)
            );
        }
        flags(mxcsr)
    }};
}

/// `a = a op b`.
macro_rules! sse {
    ($instruction:literal, $mxcsr:expr, $x:ty, $a:expr, $b:expr) => {{
        let (mut a, b): ($x, $x) = ($a, $b);
        let raised = under_mxcsr!($mxcsr, [$instruction], a = inout(xmm_reg) a, b = in(xmm_reg) b);
        (a, raised)
    }};
}

/// The relation that UCOMISD or COMISD leaves in ZF, PF and CF.
macro_rules! compare {
    ($instruction:literal, $mxcsr:expr, $a:expr, $b:expr) => {{
        let (zero, parity, carry): (u8, u8, u8);
        let raised = under_mxcsr!(
            $mxcsr,
            [$instruction, "setz {z}", "setp {p}", "setc {c}"],
            a = in(xmm_reg) $a, b = in(xmm_reg) $b,
            z = out(reg_byte) zero, p = out(reg_byte) parity, c = out(reg_byte) carry
        );
        let relation = match (zero, parity, carry) {
            (_, 1, _) => None,
            (1, _, _) => Some(Ordering::Equal),
            (_, _, 1) => Some(Ordering::Less),
            _ => Some(Ordering::Greater),
        };
        (relation, raised)
    }};
}

macro_rules! convert {
    ($instruction:literal, $mxcsr:expr, $to:ty, $b:expr, $bits:expr) => {{
        let mut a: $to = 0.0;
        let raised = under_mxcsr!($mxcsr, [$instruction], a = inout(xmm_reg) a, b = in(xmm_reg) $b);
        ($bits(a), raised)
    }};
}

macro_rules! to_int {
    ($instruction:literal, $mxcsr:expr, $to:ty, $b:expr) => {{
        let a: $to;
        let raised = under_mxcsr!($mxcsr, [$instruction], a = out(reg) a, b = in(xmm_reg) $b);
        (a, raised)
    }};
}

macro_rules! from_int {
    ($instruction:literal, $mxcsr:expr, $to:ty, $b:expr) => {{
        let mut a: $to = 0.0;
        let raised = under_mxcsr!($mxcsr, [$instruction], a = inout(xmm_reg) a, b = in(reg) $b);
        (a.to_bits(), raised)
    }};
}

/// `a = a * b + c`; in the 213 form the multiplicand is the *second* operand, so they are swapped.
macro_rules! fma {
    ($instruction:literal, $mxcsr:expr, $x:ty, $a:expr, $b:expr, $c:expr) => {{
        let (mut a, b, c) = (<$x>::from_bits($b), <$x>::from_bits($a), <$x>::from_bits($c));
        let raised = under_mxcsr!(
            $mxcsr, [$instruction], a = inout(xmm_reg) a, b = in(xmm_reg) b, c = in(xmm_reg) c
        );
        (a.to_bits(), raised)
    }};
}

static MXCSR_DEFAULT_CELL: u32 = MXCSR_DEFAULT;

macro_rules! binary {
    ($name:ident, $f32:literal, $f64:literal) => {
        mod $name {
            use super::*;
            pub(super) fn f32(a: u32, b: u32, csr: u32) -> (u32, Flags) {
                let (r, raised) = sse!($f32, csr, f32, f32::from_bits(a), f32::from_bits(b));
                (r.to_bits(), raised)
            }
            pub(super) fn f64(a: u64, b: u64, csr: u32) -> (u64, Flags) {
                let (r, raised) = sse!($f64, csr, f64, f64::from_bits(a), f64::from_bits(b));
                (r.to_bits(), raised)
            }
        }
    };
}

binary!(add, "addss {a}, {b}", "addsd {a}, {b}");
binary!(sub, "subss {a}, {b}", "subsd {a}, {b}");
binary!(mul, "mulss {a}, {b}", "mulsd {a}, {b}");
binary!(div, "divss {a}, {b}", "divsd {a}, {b}");
binary!(min, "minss {a}, {b}", "minsd {a}, {b}");
binary!(max, "maxss {a}, {b}", "maxsd {a}, {b}");
binary!(sqrt, "sqrtss {a}, {b}", "sqrtsd {a}, {b}");
binary!(round_nearest, "roundss {a}, {b}, 0", "roundsd {a}, {b}, 0");
binary!(round_down, "roundss {a}, {b}, 1", "roundsd {a}, {b}, 1");
binary!(round_up, "roundss {a}, {b}, 2", "roundsd {a}, {b}, 2");
binary!(round_zero, "roundss {a}, {b}, 3", "roundsd {a}, {b}, 3");
binary!(round_quiet, "roundss {a}, {b}, 12", "roundsd {a}, {b}, 12");

/// The rules of x86 under the given MXCSR bits.
fn rules(mxcsr: u32) -> Rules {
    Rules {
        denormals_in: if mxcsr & DAZ == 0 { DenormalsIn::Report } else { DenormalsIn::Flush },
        denormals_out: if mxcsr & FTZ == 0 {
            DenormalsOut::Keep
        } else {
            DenormalsOut::FlushInexact
        },
        ..Rules::X86
    }
}

/// Compares `ours` with `host` on [`ROUNDS`] operands from `draw` in every rounding and flush mode.
fn check<A: Copy + Debug, R: Eq + Debug>(
    name: &str,
    draw: impl Fn(&mut Operands) -> A,
    ours: impl Fn(A, &mut Env) -> R,
    host: impl Fn(A, u32) -> (R, Flags),
) {
    let mut operands = operands(name);
    for (round, mode) in MODES {
        for i in 0..ROUNDS {
            let flush = if i % 4 == 0 { [0, DAZ, FTZ, DAZ | FTZ][(i / 4 % 4) as usize] } else { 0 };
            let args = draw(&mut operands);
            let mut env = Env { round, ..Env::new(rules(flush)) };
            let result = ours(args, &mut env);
            let expected = host(args, MXCSR_DEFAULT | mode | flush);
            let shown = (name, round, flush, args);
            assert_eq!((result, env.flags), expected, "{shown:x?}");
        }
    }
}

macro_rules! binary_tests {
    ($($test:ident: $op:ident, $host:ident;)*) => {$(
        #[test]
        fn $test() {
            check("f32", Operands::two::<F32>, |(a, b), env| soft::$op::<F32>(a, b, env), |(a, b), csr| $host::f32(a, b, csr));
            check("f64", Operands::two::<F64>, |(a, b), env| soft::$op::<F64>(a, b, env), |(a, b), csr| $host::f64(a, b, csr));
        }
    )*};
}

binary_tests! {
    add_is_addss_and_addsd: add, add;
    sub_is_subss_and_subsd: sub, sub;
    mul_is_mulss_and_mulsd: mul, mul;
    div_is_divss_and_divsd: div, div;
    min_is_minss_and_minsd: min_x86, min;
    max_is_maxss_and_maxsd: max_x86, max;
}

#[test]
fn sqrt_is_sqrtss_and_sqrtsd() {
    check("f32", Operands::one::<F32>, soft::sqrt::<F32>, |a, csr| sqrt::f32(0, a, csr));
    check("f64", Operands::one::<F64>, soft::sqrt::<F64>, |a, csr| sqrt::f64(0, a, csr));
}

macro_rules! integral_tests {
    ($($test:ident: $round:expr, $inexact:ident, $host:ident;)*) => {$(
        #[test]
        fn $test() {
            let round = |env: &Env| -> Round { let direction: fn(&Env) -> Round = $round; direction(env) };
            check(
                "f32",
                Operands::one::<F32>,
                |a, env| soft::round_to_integral::<F32>(a, round(env), Inexact::$inexact, env),
                |a, csr| $host::f32(0, a, csr),
            );
            check(
                "f64",
                Operands::one::<F64>,
                |a, env| soft::round_to_integral::<F64>(a, round(env), Inexact::$inexact, env),
                |a, csr| $host::f64(0, a, csr),
            );
        }
    )*};
}

integral_tests! {
    round_to_integral_nearest_is_roundss: |_| Round::NearestEven, Signal, round_nearest;
    round_to_integral_down_is_roundss: |_| Round::Down, Signal, round_down;
    round_to_integral_up_is_roundss: |_| Round::Up, Signal, round_up;
    round_to_integral_zero_is_roundss: |_| Round::TowardZero, Signal, round_zero;
    round_to_integral_quiet_is_roundss: |env| env.round, Suppress, round_quiet;
}

#[test]
fn compare_quiet_is_ucomisd() {
    check(
        "f32",
        Operands::two::<F32>,
        |(a, b), env| soft::compare_quiet::<F32>(a, b, env),
        |(a, b), csr| compare!("ucomiss {a}, {b}", csr, f32::from_bits(a), f32::from_bits(b)),
    );
    check(
        "f64",
        Operands::two::<F64>,
        |(a, b), env| soft::compare_quiet::<F64>(a, b, env),
        |(a, b), csr| compare!("ucomisd {a}, {b}", csr, f64::from_bits(a), f64::from_bits(b)),
    );
}

#[test]
fn compare_signaling_is_comisd() {
    check(
        "f32",
        Operands::two::<F32>,
        |(a, b), env| soft::compare_signaling::<F32>(a, b, env),
        |(a, b), csr| compare!("comiss {a}, {b}", csr, f32::from_bits(a), f32::from_bits(b)),
    );
    check(
        "f64",
        Operands::two::<F64>,
        |(a, b), env| soft::compare_signaling::<F64>(a, b, env),
        |(a, b), csr| compare!("comisd {a}, {b}", csr, f64::from_bits(a), f64::from_bits(b)),
    );
}

#[test]
fn convert_is_cvtss2sd_and_cvtsd2ss() {
    check("widen", Operands::one::<F32>, soft::convert::<F32, F64>, |a, csr| {
        convert!("cvtss2sd {a}, {b}", csr, f64, f32::from_bits(a), |r: f64| r.to_bits())
    });
    check("narrow", Operands::one::<F64>, soft::convert::<F64, F32>, |a, csr| {
        convert!("cvtsd2ss {a}, {b}", csr, f32, f64::from_bits(a), |r: f32| r.to_bits())
    });
}

#[test]
fn to_int_is_cvtsd2si() {
    check(
        "f64 i32",
        Operands::one::<F64>,
        |a, env| soft::to_int::<F64, i32>(a, env.round, env),
        |a, csr| to_int!("cvtsd2si {a:e}, {b}", csr, i32, f64::from_bits(a)),
    );
    check(
        "f64 i64",
        Operands::one::<F64>,
        |a, env| soft::to_int::<F64, i64>(a, env.round, env),
        |a, csr| to_int!("cvtsd2si {a:r}, {b}", csr, i64, f64::from_bits(a)),
    );
    check(
        "f32 i32",
        Operands::one::<F32>,
        |a, env| soft::to_int::<F32, i32>(a, env.round, env),
        |a, csr| to_int!("cvtss2si {a:e}, {b}", csr, i32, f32::from_bits(a)),
    );
    check(
        "f32 i64",
        Operands::one::<F32>,
        |a, env| soft::to_int::<F32, i64>(a, env.round, env),
        |a, csr| to_int!("cvtss2si {a:r}, {b}", csr, i64, f32::from_bits(a)),
    );
}

#[test]
fn from_int_is_cvtsi2sd() {
    check(
        "f64 i32",
        |o| o.integer() as i32,
        soft::from_int::<F64, i32>,
        |i, csr| from_int!("cvtsi2sd {a}, {b:e}", csr, f64, i),
    );
    check(
        "f64 i64",
        |o| o.integer() as i64,
        soft::from_int::<F64, i64>,
        |i, csr| from_int!("cvtsi2sd {a}, {b:r}", csr, f64, i),
    );
    check(
        "f32 i32",
        |o| o.integer() as i32,
        soft::from_int::<F32, i32>,
        |i, csr| from_int!("cvtsi2ss {a}, {b:e}", csr, f32, i),
    );
    check(
        "f32 i64",
        |o| o.integer() as i64,
        soft::from_int::<F32, i64>,
        |i, csr| from_int!("cvtsi2ss {a}, {b:r}", csr, f32, i),
    );
}

#[test]
fn fma_is_vfmadd() {
    if !std::arch::is_x86_feature_detected!("fma") {
        return;
    }
    check(
        "f32",
        Operands::three::<F32>,
        |(a, b, c), env| soft::fma::<F32>(a, b, c, env),
        |(a, b, c), csr| fma!("vfmadd213ss {a}, {b}, {c}", csr, f32, a, b, c),
    );
    check(
        "f64",
        Operands::three::<F64>,
        |(a, b, c), env| soft::fma::<F64>(a, b, c, env),
        |(a, b, c), csr| fma!("vfmadd213sd {a}, {b}, {c}", csr, f64, a, b, c),
    );
}

#[test]
fn negated_numbers_make_vfnmsub() {
    if !std::arch::is_x86_feature_detected!("fma") {
        return;
    }
    let ours = |(a, b, c), env: &mut Env| {
        soft::fma::<F64>(negate_number::<F64>(a), b, negate_number::<F64>(c), env)
    };
    check("f64", Operands::three::<F64>, ours, |(a, b, c), csr| {
        fma!("vfnmsub213sd {a}, {b}, {c}", csr, f64, a, b, c)
    });
}

/// RISC-V and x86 agree on everything but which NaN is delivered, the denormal flag, and an
/// invalid product with a quiet NaN as addend.
#[test]
fn riscv_rules_are_those_of_x86_without_nans() {
    let ours = |(a, b), env: &mut Env| {
        env.rules = Rules::RISCV;
        soft::mul::<F64>(a, b, env)
    };
    check("f64", Operands::two::<F64>, ours, |(a, b), csr| {
        let (r, raised) = mul::f64(a, b, csr & !(DAZ | FTZ));
        (if is_nan::<F64>(r) { F64::QUIET_NAN } else { r }, raised.without(Flags::ID))
    });
}
