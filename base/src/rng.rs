//! Pseudo-random numbers that depend on their seed only, with a taste for corner values: for fuzzing, and for tests.

/// A generator (SplitMix64: Steele, Lea, Flood, 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Less than `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// An integer: small, near a power of two, or any.
    pub fn integer(&mut self) -> u64 {
        let near = (self.bits() % 5).wrapping_sub(2);
        match self.below(6) {
            0 => near,
            1 => (1_u64 << self.below(64)).wrapping_add(near),
            2 => (1_u64 << self.below(64)).wrapping_neg().wrapping_add(near),
            3 => self.bits() >> self.below(64),
            4 => (self.bits() as i64 >> self.below(64)) as u64,
            _ => self.bits(),
        }
    }

    /// A floating-point register: a binary64, or a NaN-boxed binary32 or binary16.
    pub fn float(&mut self) -> u64 {
        match self.below(4) {
            0 => self.float_of(5, 10) | !0xffff,
            1 => self.float_of(8, 23) | !0xffff_ffff,
            2 => self.float_of(11, 52),
            _ => self.bits(),
        }
    }

    /// An encoding of a format: zeros, subnormals, ones, powers of two, overflow's edge,
    /// infinities, NaNs, integers, anything.
    pub fn float_of(&mut self, exponent_bits: u32, fraction_bits: u32) -> u64 {
        let greatest = (1_u64 << exponent_bits) - 1;
        let fraction_mask = (1_u64 << fraction_bits) - 1;
        let bias = greatest >> 1;
        let exponent = match self.below(8) {
            0 => 0,
            1 => greatest,
            2 => bias.wrapping_add(self.bits() % 3).wrapping_sub(1),
            3 => 1 + self.bits() % 3,
            4 => greatest - 1 - self.bits() % 3,
            5 => (bias + self.bits() % u64::from(fraction_bits + 3)).min(greatest),
            _ => self.bits() & greatest,
        };
        let fraction = match self.below(6) {
            0 => 0,
            1 => fraction_mask,
            2 => 1 << self.below(fraction_bits as usize),
            3 => self.bits() & 3,
            4 => fraction_mask & !(self.bits() & 3),
            _ => self.bits(),
        };
        let sign = self.bits() & 1;
        sign << (exponent_bits + fraction_bits)
            | exponent << fraction_bits
            | fraction & fraction_mask
    }
}
