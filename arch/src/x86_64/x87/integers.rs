//! Arithmetic with integers: whoever asks the host's FPU waits for its status word longer than this takes.
//!
//! Operands are normal numbers or zeros, and so are results; for anything else there is none. Rounding is to nearest even, to 64
//! bits.

use std::hint::cold_path;

use super::{C0, C1, C3};

/// A number as a register has it: its significand, and above it sign and exponent.
pub(super) type Number = [u64; 2];

/// A result, and what it raises in the status word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rounded {
    pub(super) number: Number,
    pub(super) status: u16,
}

/// PE
const PRECISION: u16 = 1 << 5;
/// Where the upper part of a number has the sign.
const SIGN: u64 = 1 << 15;
/// The highest exponent of a number that is finite is the one below.
const INFINITE: u64 = 0x7fff;
const BIAS: u64 = 0x3fff;
/// A significand's integer bit.
const INTEGER: u64 = 1 << 63;

impl Rounded {
    /// Without any rounding.
    const fn exact(number: Number) -> Option<Self> {
        Some(Self { number, status: 0 })
    }
}

const fn exponent(number: Number) -> u64 {
    number[1] & INFINITE
}

const fn sign(number: Number) -> u64 {
    number[1] & SIGN
}

#[inline(always)]
const fn is_normal(number: Number) -> bool {
    number[0] >= INTEGER && exponent(number).wrapping_sub(1) < INFINITE - 1
}

const fn is_zero(number: Number) -> bool {
    number[0] == 0 && exponent(number) == 0
}

/// The number with this sign whose significand is `bits`, the highest of which is set, if its exponent is that of a normal
/// number. The highest of all is left out as well: rounding could make it an infinity.
#[inline(always)]
fn round(sign: u64, exponent: u64, bits: u128) -> Option<Rounded> {
    if exponent.wrapping_sub(1) >= INFINITE - 2 {
        return None;
    }
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    let is_up = is_rounded_up(high, low);
    let (significand, carry) = high.overflowing_add(u64::from(is_up));
    let number = [significand | u64::from(carry) << 63, sign | (exponent + u64::from(carry))];
    Some(Rounded { number, status: flags(low, is_up) })
}

/// Whether a significand is rounded up, of which `low` is what is beyond the last bit.
#[inline(always)]
const fn is_rounded_up(high: u64, low: u64) -> bool {
    const HALF: u64 = 1 << 63;
    low > HALF - (high & 1)
}

#[inline(always)]
fn flags(low: u64, is_up: bool) -> u16 {
    (u16::from(low != 0) * PRECISION) | (u16::from(is_up) * C1)
}

/// FADD: a + b
#[inline(always)]
pub(super) fn add(a: Number, b: Number) -> Option<Rounded> {
    if !is_normal(a) || !is_normal(b) {
        cold_path();
        return add_zero(a, b);
    }
    let magnitude = |[low, high]: Number| u128::from(high & INFINITE) << 64 | u128::from(low);
    let is_less = magnitude(a) < magnitude(b);
    let pick = |yes, no| std::hint::select_unpredictable(is_less, yes, no);
    let (great, small) =
        ([pick(b[0], a[0]), pick(b[1], a[1])], [pick(a[0], b[0]), pick(a[1], b[1])]);
    // A bit above for the carry, and 63 below.
    let shifted = align(small[0], exponent(great) - exponent(small));
    let negative = u128::from(sign(a) != sign(b)).wrapping_neg();
    let sum =
        (u128::from(great[0]) << 63).wrapping_add((shifted ^ negative).wrapping_sub(negative));
    let (sum, exponent) = match (sum >> 64) as u64 {
        0 if sum == 0 => return Rounded::exact([0, 0]),
        0 => (sum << 64, exponent(great).wrapping_sub(63)),
        _ => (sum, exponent(great).wrapping_add(1)),
    };
    let zeros = ((sum >> 64) as u64).leading_zeros();
    round(sign(great), exponent.wrapping_sub(zeros.into()), sum << zeros)
}

/// A significand with 63 bits below it, shifted so far to the right; what is lost sets the lowest bit.
#[inline(always)]
fn align(significand: u64, by: u64) -> u128 {
    if by < 64 {
        // What is shifted out of the upper half is what the lower half gets.
        return u128::from(significand >> 1 >> by) << 64 | u128::from(significand << (63 - by));
    }
    match significand.checked_shr((by - 63) as u32) {
        Some(kept) => u128::from(kept) | u128::from(kept << (by - 63) != significand),
        _ => 1,
    }
}

/// The sum of numbers one of which is zero.
#[inline(always)]
fn add_zero(a: Number, b: Number) -> Option<Rounded> {
    match (is_zero(a), is_zero(b)) {
        (true, true) => Rounded::exact([0, a[1] & b[1]]),
        (true, false) if is_normal(b) => Rounded::exact(b),
        (false, true) if is_normal(a) => Rounded::exact(a),
        _ => None,
    }
}

/// FSUB: a - b
#[inline(always)]
pub(super) fn subtract(a: Number, [low, high]: Number) -> Option<Rounded> {
    add(a, [low, high ^ SIGN])
}

/// FSUBR: b - a
#[inline(always)]
pub(super) fn subtract_from(a: Number, b: Number) -> Option<Rounded> {
    subtract(b, a)
}

/// FMUL: a × b
#[inline(always)]
pub(super) fn multiply(a: Number, b: Number) -> Option<Rounded> {
    if !is_normal(a) || !is_normal(b) {
        cold_path();
        return multiply_zero(a, b);
    }
    let product = u128::from(a[0]) * u128::from(b[0]);
    let zeros = (product >> 127) as u64 ^ 1;
    let exponent = (exponent(a) + exponent(b) + 1).wrapping_sub(BIAS + zeros);
    round((a[1] ^ b[1]) & SIGN, exponent, product << zeros)
}

/// The product of numbers one of which is zero.
#[inline(always)]
fn multiply_zero(a: Number, b: Number) -> Option<Rounded> {
    let is_finite = |number| is_zero(number) || is_normal(number);
    (is_finite(a) && is_finite(b))
        .then_some(Rounded { number: [0, (a[1] ^ b[1]) & SIGN], status: 0 })
}

/// FCOM: C3 if they are equal, C0 if a < b.
#[inline(always)]
pub(super) fn compare(a: Number, b: Number) -> Option<u16> {
    let is_finite = |number| is_normal(number) || is_zero(number);
    if !is_finite(a) || !is_finite(b) {
        return None;
    }
    let ordered = |number: Number| {
        let magnitude = i128::from(exponent(number)) << 64 | i128::from(number[0]);
        if sign(number) == 0 { magnitude } else { -magnitude }
    };
    let (a, b) = (ordered(a), ordered(b));
    Some((u16::from(a < b) * C0) | (u16::from(a == b) * C3))
}

/// From 32 bits.
#[inline(always)]
pub(super) fn of_single(bits: u64) -> Option<Number> {
    of_float::<8, 23>(bits)
}

/// From 64 bits.
#[inline(always)]
pub(super) fn of_double(bits: u64) -> Option<Number> {
    of_float::<11, 52>(bits)
}

#[inline(always)]
fn of_float<const EXPONENT_BITS: u32, const FRACTION_BITS: u32>(bits: u64) -> Option<Number> {
    let infinite = (1 << EXPONENT_BITS) - 1;
    let sign = (bits >> (EXPONENT_BITS + FRACTION_BITS) & 1) << 15;
    let exponent = bits >> FRACTION_BITS & infinite;
    let fraction = bits << (63 - FRACTION_BITS) & !INTEGER;
    if exponent.wrapping_sub(1) < infinite - 1 {
        Some([INTEGER | fraction, sign | (exponent + BIAS - (infinite >> 1))])
    } else {
        (exponent == 0 && fraction == 0).then_some([0, sign])
    }
}

/// From an integer.
#[inline(always)]
pub(super) fn of_integer(value: i64) -> Number {
    let magnitude = value.unsigned_abs();
    if magnitude == 0 {
        return [0, 0];
    }
    let zeros = magnitude.leading_zeros();
    let sign = u64::from(value < 0) << 15;
    [magnitude << zeros, sign | (BIAS + 63 - u64::from(zeros))]
}

/// From an integer of 16 bits.
#[inline(always)]
pub(super) fn of_short(bits: u64) -> Option<Number> {
    Some(of_integer((bits as i16).into()))
}

/// From an integer of 32 bits.
#[inline(always)]
pub(super) fn of_int(bits: u64) -> Option<Number> {
    Some(of_integer((bits as i32).into()))
}

/// From an integer of 64 bits.
#[inline(always)]
pub(super) fn of_long(bits: u64) -> Option<Number> {
    Some(of_integer(bits as i64))
}

/// To 32 bits.
#[inline(always)]
pub(super) fn to_single(number: Number) -> Option<(u64, u16)> {
    to_float::<8, 23>(number)
}

/// To 64 bits.
#[inline(always)]
pub(super) fn to_double(number: Number) -> Option<(u64, u16)> {
    to_float::<11, 52>(number)
}

#[inline(always)]
fn to_float<const EXPONENT_BITS: u32, const FRACTION_BITS: u32>(
    number: Number,
) -> Option<(u64, u16)> {
    let infinite = (1 << EXPONENT_BITS) - 1;
    let sign = sign(number) >> 15 << (EXPONENT_BITS + FRACTION_BITS);
    if !is_normal(number) {
        return is_zero(number).then_some((sign, 0));
    }
    let exponent = exponent(number).wrapping_sub(BIAS - (infinite >> 1));
    if exponent.wrapping_sub(1) >= infinite - 2 {
        return None;
    }
    let (high, low) = (number[0] >> (63 - FRACTION_BITS), number[0] << (FRACTION_BITS + 1));
    let is_up = is_rounded_up(high, low);
    // A carry out of the fraction is the exponent's.
    let magnitude = (exponent << FRACTION_BITS | high & !(1 << FRACTION_BITS)) + u64::from(is_up);
    Some((sign | magnitude, flags(low, is_up)))
}
