//! Random operands with a taste for corner values, which depend on the instruction's text only.

/// A generator (SplitMix64: Steele, Lea, Flood, 2014).
pub(super) struct Rng(u64);

/// Widths of a floating-point format's exponent and fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format(u32, u32);

pub(super) const HALF: Format = Format(5, 10);
pub(super) const BRAIN: Format = Format(8, 7);
pub(super) const SINGLE: Format = Format(8, 23);
pub(super) const DOUBLE: Format = Format(11, 52);

/// What an instruction computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Float(Format),
}

impl Kind {
    /// Six vectors, of which neighbouring ones are now and then related.
    pub(super) fn vectors(self, rng: &mut Rng) -> [u128; 6] {
        let mut vectors = [0; 6];
        let width = match self {
            Self::Integer => 8 << rng.below(4),
            Self::Float(Format(exponent, fraction)) => 1 + exponent + fraction,
        };
        for lane in 0..128 / width {
            let mut last = 0_u64;
            for vector in &mut vectors {
                last = match (self, rng.below(5)) {
                    (_, 0) => last.wrapping_add(rng.bits() % 5).wrapping_sub(2),
                    (Self::Float(_), 1) => last ^ 1 << (width - 1),
                    (Self::Integer, _) => rng.integer(width),
                    (Self::Float(format), _) => rng.float(format),
                };
                let mask = u64::MAX >> (64 - width);
                *vector |= u128::from(last & mask) << (lane * width);
            }
        }
        vectors
    }

    pub(super) fn number(self, rng: &mut Rng) -> u64 {
        match self {
            Self::Integer => rng.integer(64),
            Self::Float(_) if rng.below(2) == 0 => rng.integer(32),
            Self::Float(_) => rng.integer(64),
        }
    }
}

impl Rng {
    pub(super) fn new(text: &str) -> Self {
        Self(
            text.bytes()
                .fold(0, |seed: u64, byte| seed.wrapping_mul(257).wrapping_add(byte.into())),
        )
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// Small, near a power of two, or any.
    fn integer(&mut self, width: u32) -> u64 {
        let near = (self.bits() % 5).wrapping_sub(2);
        let power = 1_u64 << self.below(width as usize);
        match self.below(6) {
            0 => near,
            1 => power.wrapping_add(near),
            2 => power.wrapping_neg().wrapping_add(near),
            3 => (1_u64 << (width - 1)).wrapping_add(near),
            4 => (self.bits() >> (64 - width)) >> self.below(width as usize),
            _ => self.bits(),
        }
    }

    /// Zeros, subnormals, ones, powers of two, overflow's edge, infinities, NaNs, integers, anything.
    fn float(&mut self, Format(exponent_bits, fraction_bits): Format) -> u64 {
        let greatest = (1_u64 << exponent_bits) - 1;
        let fraction_mask = (1_u64 << fraction_bits) - 1;
        let bias = greatest >> 1;
        let exponent = match self.below(9) {
            0 => 0,
            1 => greatest,
            2 => bias.wrapping_add(self.bits() % 3).wrapping_sub(1),
            3 => 1 + self.bits() % 3,
            4 => greatest - 1 - self.bits() % 3,
            5 => (bias + self.bits() % u64::from(fraction_bits + 3)).min(greatest),
            6 => (bias + self.bits() % 66).min(greatest),
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
