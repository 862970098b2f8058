//! SSE and AVX floating point that IR has no operation for, and what precedes and follows all of it while exceptions are unmasked.

use std::cmp::Ordering;

use base::float::{
    DenormalsIn, DenormalsOut, Env, F16, F32, F64, Flags, Format, RawBits, Round, soft,
};

use super::FrameRef;
use crate::lane::Lane;
use crate::sys;
use crate::x86_64::{mxcsr, slot};

/// What a helper here is told: an immediate byte in bits 7:0, whether elements are doubles in bit 8, and how many there are from
/// bit 16 on. Elements beyond that are zero in the result, and raise nothing.
#[must_use]
pub const fn arg(imm: u8, is_double: bool, count: u32) -> u64 {
    imm as u64 | (is_double as u64) << 8 | (count as u64) << 16
}

fn count(arg: u64) -> usize {
    (arg >> 16 & 0xf) as usize
}

/// For which relations the predicates 0 to 15 of CMPPS hold: less 1, equal 2, greater 4, unordered 8. Bit 4 of a predicate
/// exchanges what is quiet and what signals.
const PREDICATES: [u8; 16] = [
    0b0010, 0b0001, 0b0011, 0b1000, 0b1101, 0b1110, 0b1100, 0b0111, 0b1010, 0b1001, 0b1011, 0,
    0b0101, 0b0110, 0b0100, 0b1111,
];
/// Which of them signal.
const SIGNALING: u16 = 0b0110_0110_0110_0110;

fn holds<F: Format>(predicate: u64, a: F::Bits, b: F::Bits, env: &mut Env) -> bool {
    let signals = (SIGNALING >> (predicate & 15) & 1 != 0) != (predicate & 16 != 0);
    let relation = match signals {
        true => soft::compare_signaling::<F>(a, b, env),
        false => soft::compare_quiet::<F>(a, b, env),
    };
    let bit = match relation {
        Some(Ordering::Less) => 0,
        Some(Ordering::Equal) => 1,
        Some(Ordering::Greater) => 2,
        None => 3,
    };
    PREDICATES[predicate as usize & 15] >> bit & 1 != 0
}

/// CMPPS, CMPPD, and of one element CMPSS, CMPSD.
pub(super) fn compare(env: &mut Env, arg: u64, a: u128, b: u128) -> u128 {
    if arg >> 8 & 1 != 0 {
        let (a, b) = (u64::split(a), u64::split(b));
        return u64::join(|n| {
            let inside = n < count(arg);
            u64::from(inside && holds::<F64>(arg & 31, a[n], b[n], env)).wrapping_neg()
        });
    }
    let (a, b) = (u32::split(a), u32::split(b));
    u32::join(|n| {
        let inside = n < count(arg);
        u32::from(inside && holds::<F32>(arg & 31, a[n], b[n], env)).wrapping_neg()
    })
}

/// Arithmetic of which the result may be too large or too small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Arithmetic {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// `a * b + c`, rounded once.
    Fma,
}

/// Arithmetic as [`arg`]'s immediate names it. While exceptions are not masked, it gives the flags of what raises them, which IR's operations
/// do not.
pub(super) fn arithmetic(env: &mut Env, arg: u64, a: u128, b: u128, c: u128) -> u128 {
    if arg >> 8 & 1 != 0 {
        let [a, b, c] = [a, b, c].map(u64::split);
        return u64::join(|n| {
            if n < count(arg) { element::<F64>(arg, a[n], b[n], c[n], env) } else { 0 }
        });
    }
    let [a, b, c] = [a, b, c].map(u32::split);
    u32::join(|n| if n < count(arg) { element::<F32>(arg, a[n], b[n], c[n], env) } else { 0 })
}

fn element<F: Format>(arg: u64, a: F::Bits, b: F::Bits, c: F::Bits, env: &mut Env) -> F::Bits {
    const ADD: u8 = Arithmetic::Add as u8;
    const SUB: u8 = Arithmetic::Sub as u8;
    const MUL: u8 = Arithmetic::Mul as u8;
    const DIV: u8 = Arithmetic::Div as u8;
    match arg as u8 {
        ADD => soft::add::<F>(a, b, env),
        SUB => soft::sub::<F>(a, b, env),
        MUL => soft::mul::<F>(a, b, env),
        DIV => soft::div::<F>(a, b, env),
        _ => soft::fma::<F>(a, b, c, env),
    }
}

/// CVTPD2PS, CVTSD2SS, as [`arithmetic`] does.
pub(super) fn narrow(env: &mut Env, arg: u64, a: u128) -> u128 {
    let doubles = u64::split(a);
    u32::join(|n| if n < count(arg) { soft::convert::<F64, F32>(doubles[n], env) } else { 0 })
}

/// DPPS, DPPD: the sum of the products that bits 7:4 of the immediate choose, where bits 3:0 do. Sums are not formed after an
/// exception that is not masked.
pub(super) fn dot_product(env: &mut Env, arg: u64, a: u128, b: u128) -> u128 {
    if arg >> 8 & 1 != 0 {
        let products = products::<F64, 2>(arg, u64::split(a), u64::split(b), env);
        if has_trapped(env) {
            return 0;
        }
        let sums: [u64; 2] =
            std::array::from_fn(|n| soft::add::<F64>(products[n], products[n ^ 1], env));
        return u64::join(|n| if arg >> n & 1 != 0 { sums[n] } else { 0 });
    }
    let products = products::<F32, 4>(arg, u32::split(a), u32::split(b), env);
    if has_trapped(env) {
        return 0;
    }
    // Which NaN comes out is another for each element: its own neighbours come first.
    let pairs: [u32; 4] =
        std::array::from_fn(|n| soft::add::<F32>(products[n ^ 1], products[n], env));
    if has_trapped(env) {
        return 0;
    }
    let sums: [u32; 4] = std::array::from_fn(|n| soft::add::<F32>(pairs[n], pairs[n ^ 2], env));
    u32::join(|n| if arg >> n & 1 != 0 { sums[n] } else { 0 })
}

/// Whether an exception that is not masked has been raised.
fn has_trapped(env: &Env) -> bool {
    env.flags.0 & env.trapping.0 != 0
}

fn products<F: Format, const N: usize>(
    arg: u64,
    a: [F::Bits; N],
    b: [F::Bits; N],
    env: &mut Env,
) -> [F::Bits; N] {
    std::array::from_fn(|n| match arg >> (4 + n) & 1 {
        0 => F::Bits::from_u64(0),
        _ => soft::mul::<F>(a[n], b[n], env),
    })
}

/// VCVTPH2PS: of the low halves. Subnormal ones are neither flushed nor reported.
pub(super) fn vcvtph2ps(env: &mut Env, _: u64, a: u128) -> u128 {
    let halves = u16::split(a);
    let rules = env.rules;
    env.rules.denormals_in = DenormalsIn::Keep;
    let result = u32::join(|n| soft::convert::<F16, F32>(halves[n], env));
    env.rules = rules;
    result
}

/// VCVTPS2PH: to the low halves, rounded as the immediate says or, by its bit 2, as MXCSR does. Tiny results are not flushed.
pub(super) fn vcvtps2ph(env: &mut Env, arg: u64, a: u128) -> u128 {
    const MODES: [Round; 4] = [Round::NearestEven, Round::Down, Round::Up, Round::TowardZero];
    let words = u32::split(a);
    let round = if arg & 4 != 0 { env.round } else { MODES[arg as usize & 3] };
    let rules = env.rules;
    env.rules.denormals_out = DenormalsOut::Keep;
    let result =
        env.rounding(round, |env| u16::join(|n| if n < 4 { half_of(words[n], env) } else { 0 }));
    env.rules = rules;
    result
}

/// A float to half precision. The processor takes subnormal operands for inexact even where underflow is not masked, so that
/// the exponent should have no bounds.
fn half_of(word: u32, env: &mut Env) -> u16 {
    let before = env.flags;
    env.flags = Flags::NONE;
    let half = soft::convert::<F32, F16>(word, env);
    let flags = env.flags;
    env.flags = before | flags;
    if flags.contains(Flags::ID | Flags::UF) {
        env.raise(Flags::NX);
    }
    half
}

/// RCPPS, as the host computes it: the manual leaves the result's lower bits open, and processors differ.
pub(super) fn rcp(a: u128) -> u128 {
    sys::reciprocal_estimate(a)
}

/// RSQRTPS, as the host computes it.
pub(super) fn rsqrt(a: u128) -> u128 {
    sys::reciprocal_root_estimate(a)
}

/// Before an instruction that may raise unmasked exceptions: clears the flags, and gives what they were.
pub(super) fn begin_unmasked(mut frame: FrameRef) -> u64 {
    let before = frame.get(slot::FP_FLAGS);
    frame.set(slot::FP_FLAGS, 0);
    before
}

/// Behind its arithmetic, and before it writes anything: whether it is to raise #XM.
pub(super) fn end_unmasked(mut frame: FrameRef, before: u64) -> u64 {
    let (raised, is_unmasked) = raised(&frame, Flags(frame.get(slot::FP_FLAGS) as u8));
    frame.set(slot::FP_FLAGS, before | u64::from(raised.0));
    u64::from(is_unmasked)
}

/// Of the flags that arithmetic gave those that become set, and whether one of them is not masked (SDM vol. 1, 11.5.2 and
/// 11.5.3). What an operand causes is known before there is a result, whose flags stay as they are then.
fn raised(frame: &FrameRef, flags: Flags) -> (Flags, bool) {
    const OF_OPERANDS: u8 = Flags::NV.0 | Flags::ID.0 | Flags::DZ.0;
    let masks =
        mxcsr::flags_of((frame.get(slot::MXCSR) as u32 & mxcsr::MASKS) >> mxcsr::MASKS_SHIFT);
    let unmasked = flags.0 & !masks.0;
    let seen = if unmasked & OF_OPERANDS != 0 { OF_OPERANDS } else { u8::MAX };
    (Flags(flags.0 & seen), unmasked != 0)
}
