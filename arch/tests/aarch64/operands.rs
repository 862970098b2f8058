//! Random operands with a taste for corner values, which depend on the instruction's text only.

use base::rng::Rng;

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
                    (Self::Integer, _) => integer(rng, width),
                    (Self::Float(format), _) => float(rng, format),
                };
                let mask = u64::MAX >> (64 - width);
                *vector |= u128::from(last & mask) << (lane * width);
            }
        }
        vectors
    }

    pub(super) fn number(self, rng: &mut Rng) -> u64 {
        match self {
            Self::Integer => integer(rng, 64),
            Self::Float(_) if rng.below(2) == 0 => integer(rng, 32),
            Self::Float(_) => integer(rng, 64),
        }
    }
}

/// The operands' generator for an instruction.
pub(super) fn of_text(text: &str) -> Rng {
    let fold = |seed: u64, byte: u8| seed.wrapping_mul(257).wrapping_add(byte.into());
    Rng::new(text.bytes().fold(0, fold))
}

/// Small, near a power of two, or any.
fn integer(rng: &mut Rng, width: u32) -> u64 {
    let near = (rng.bits() % 5).wrapping_sub(2);
    let power = 1_u64 << rng.below(width as usize);
    match rng.below(6) {
        0 => near,
        1 => power.wrapping_add(near),
        2 => power.wrapping_neg().wrapping_add(near),
        3 => (1_u64 << (width - 1)).wrapping_add(near),
        4 => (rng.bits() >> (64 - width)) >> rng.below(width as usize),
        _ => rng.bits(),
    }
}

/// Zeros, subnormals, ones, powers of two, overflow's edge, infinities, NaNs, integers, anything.
fn float(rng: &mut Rng, Format(exponent_bits, fraction_bits): Format) -> u64 {
    let greatest = (1_u64 << exponent_bits) - 1;
    let fraction_mask = (1_u64 << fraction_bits) - 1;
    let bias = greatest >> 1;
    let exponent = match rng.below(9) {
        0 => 0,
        1 => greatest,
        2 => bias.wrapping_add(rng.bits() % 3).wrapping_sub(1),
        3 => 1 + rng.bits() % 3,
        4 => greatest - 1 - rng.bits() % 3,
        5 => (bias + rng.bits() % u64::from(fraction_bits + 3)).min(greatest),
        6 => (bias + rng.bits() % 66).min(greatest),
        _ => rng.bits() & greatest,
    };
    let fraction = match rng.below(6) {
        0 => 0,
        1 => fraction_mask,
        2 => 1 << rng.below(fraction_bits as usize),
        3 => rng.bits() & 3,
        4 => fraction_mask & !(rng.bits() & 3),
        _ => rng.bits(),
    };
    let sign = rng.bits() & 1;
    sign << (exponent_bits + fraction_bits) | exponent << fraction_bits | fraction & fraction_mask
}
