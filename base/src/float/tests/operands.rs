//! Operands where errors hide: corners of the format, sparse significands (which make halfway
//! cases), pairs of related exponents (cancellation, results around the subnormal range).

use crate::float::{Format, RawBits};

/// A stream of pseudo-random operands (SplitMix64).
pub(super) struct Operands {
    state: u64,
}

impl Operands {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An integer with a random number of significant bits, or one next to a power of two.
    pub(super) fn integer(&mut self) -> u64 {
        let shift = self.below(64);
        match self.below(4) {
            0 => (1u64 << shift).wrapping_add(self.below(5)).wrapping_sub(2),
            1 => (self.next_u64() >> shift).wrapping_neg(),
            _ => self.next_u64() >> shift,
        }
    }

    /// One operand.
    pub(super) fn one<F: Format>(&mut self) -> F::Bits {
        F::Bits::from_u64(self.raw::<F>())
    }

    fn raw<F: Format>(&mut self) -> u64 {
        let magnitude = match self.below(8) {
            0 | 1 => self.corner::<F>(),
            2 => self.next_u64() & (F::SIGN - 1),
            3 => self.small_integer::<F>(),
            4 => self.sparse::<F>() | (F::EMAX as u64 + self.below(8) - 4) << F::FRAC_BITS,
            _ => {
                let exponent = self.below((F::INFINITY >> F::FRAC_BITS) + 1);
                self.sparse::<F>() | exponent << F::FRAC_BITS
            }
        };
        magnitude | if self.below(2) == 0 { 0 } else { F::SIGN }
    }

    /// A magnitude at or next to a boundary of the format.
    fn corner<F: Format>(&mut self) -> u64 {
        let one = (F::EMAX as u64) << F::FRAC_BITS;
        let payload = 1 + self.below(F::QUIET - 1);
        let corners = [
            0,
            1,
            2,
            F::MIN_NORMAL / 2,
            F::MIN_NORMAL - 1,
            F::MIN_NORMAL,
            F::MIN_NORMAL + 1,
            one - 1,
            one,
            one + 1,
            one + F::MIN_NORMAL,
            one - F::MIN_NORMAL,
            F::MAX_FINITE - 1,
            F::MAX_FINITE,
            F::INFINITY,
            F::INFINITY | 1,
            F::INFINITY | payload,
            F::QUIET_NAN,
            F::QUIET_NAN | payload,
            // 2^31, 2^32, 2^63 and 2^64, where the format has them, and their neighbours.
            one + (31 << F::FRAC_BITS) - self.below(2),
            one + (32 << F::FRAC_BITS) - self.below(2),
            one + (63 << F::FRAC_BITS) - self.below(2),
            one + (64 << F::FRAC_BITS) - self.below(2),
        ];
        corners[self.below(corners.len() as u64) as usize] & (F::SIGN - 1)
    }

    /// A trailing significand with long runs of equal bits.
    fn sparse<F: Format>(&mut self) -> u64 {
        let mask = F::MIN_NORMAL - 1;
        let bits = self.next_u64();
        let shift = self.below(u64::from(F::FRAC_BITS));
        let value = match self.below(5) {
            0 => bits,
            1 => 1 << shift,
            2 => mask << shift,
            3 => mask >> shift,
            _ => (1 << shift) ^ (1 << self.below(u64::from(F::FRAC_BITS))),
        };
        value & mask
    }

    /// The encoding of a small integer or a small multiple of one half.
    fn small_integer<F: Format>(&mut self) -> u64 {
        let value = 1 + self.below(1 << (F::PRECISION / 2));
        let top = value.ilog2();
        let fraction = (value << (F::FRAC_BITS - top)) & (F::MIN_NORMAL - 1);
        let exponent = F::EMAX as u64 + u64::from(top) - self.below(2);
        exponent << F::FRAC_BITS | fraction
    }

    /// Two operands, often related.
    pub(super) fn two<F: Format>(&mut self) -> (F::Bits, F::Bits) {
        let a = self.raw::<F>();
        let b = match self.below(4) {
            0 => self.near::<F>(a),
            1 => self.reciprocal::<F>(a),
            _ => self.raw::<F>(),
        };
        (F::Bits::from_u64(a), F::Bits::from_u64(b))
    }

    /// Three operands; the third often about as great as the product of the others.
    pub(super) fn three<F: Format>(&mut self) -> (F::Bits, F::Bits, F::Bits) {
        let (a, b) = self.two::<F>();
        let c = match self.below(3) {
            0 => self.raw::<F>(),
            1 => self.near::<F>(a.to_u64()),
            _ => {
                let exponent = |x: F::Bits| (x.to_u64() & F::INFINITY) >> F::FRAC_BITS;
                let product = (exponent(a) + exponent(b)).saturating_sub(F::EMAX as u64);
                let near = (product + self.below(2 * u64::from(F::PRECISION)))
                    .saturating_sub(u64::from(F::PRECISION));
                let clamped = near.min(F::INFINITY >> F::FRAC_BITS) << F::FRAC_BITS;
                clamped | self.sparse::<F>() | if self.below(2) == 0 { 0 } else { F::SIGN }
            }
        };
        (a, b, F::Bits::from_u64(c))
    }

    /// A number whose exponent is within a significand's length of that of `a`, of any sign.
    fn near<F: Format>(&mut self, a: u64) -> u64 {
        let exponent = (a & F::INFINITY) >> F::FRAC_BITS;
        let reach = match self.below(2) {
            0 => 2,
            _ => u64::from(F::PRECISION) + 3,
        };
        let exponent = (exponent + self.below(2 * reach))
            .saturating_sub(reach)
            .min(F::INFINITY >> F::FRAC_BITS);
        let fraction =
            if self.below(3) == 0 { a & (F::MIN_NORMAL - 1) } else { self.sparse::<F>() };
        let sign = if self.below(2) == 0 { 0 } else { F::SIGN };
        sign | exponent << F::FRAC_BITS | fraction
    }

    /// A number that brings the product or the quotient with `a` to an end of the exponent range.
    fn reciprocal<F: Format>(&mut self, a: u64) -> u64 {
        let exponent = (a & F::INFINITY) >> F::FRAC_BITS;
        let (bias, width) = (F::EMAX as u64, u64::from(F::PRECISION));
        let target = match self.below(4) {
            // Product around EMIN, product around EMAX, quotient around either.
            0 => bias.wrapping_sub(exponent),
            1 => (3 * bias).wrapping_sub(exponent),
            2 => exponent.wrapping_add(bias),
            _ => exponent.wrapping_sub(bias),
        };
        let spread = self.below(width + 6);
        let exponent = target.wrapping_sub(spread).wrapping_add(4);
        let field = F::INFINITY >> F::FRAC_BITS;
        let sign = if self.below(2) == 0 { 0 } else { F::SIGN };
        sign | (exponent & field) << F::FRAC_BITS | self.sparse::<F>()
    }
}
