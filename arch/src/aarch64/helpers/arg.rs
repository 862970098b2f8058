//! What a vector helper is told besides its vectors, packed into one word.

/// Size and number of lanes, and up to two small numbers. From bit 0, a byte each: the binary logarithm of a lane's
/// bytes, the number of lanes, the first number, the second.
///
/// Lanes beyond the number neither raise flags nor saturate, and are zero in the result of every helper that
/// raises flags or saturates; so a scalar instruction is a vector one of one lane. Other helpers compute all 128
/// bits, unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg(u64);

impl Arg {
    /// `count` lanes of `1 << size` bytes. Where a helper narrows or widens, its description says of what.
    #[must_use]
    pub const fn lanes(size: u32, count: u32) -> Self {
        Self((size & 3) as u64 | (count as u64 & 0x1f) << 8)
    }

    /// With the first number: a shift amount, an index, a rotation in quarter turns, a rounding mode, …
    #[must_use]
    pub const fn with(self, number: u8) -> Self {
        Self(self.0 & !(0xff << 16) | (number as u64) << 16)
    }

    /// With the second number.
    #[must_use]
    pub const fn and(self, number: u8) -> Self {
        Self(self.0 & !(0xff << 24) | (number as u64) << 24)
    }

    /// As it is passed to a helper.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    pub(super) const fn size(self) -> u32 {
        self.0 as u32 & 3
    }

    /// Lanes of `1 << size` bytes, as many as fit.
    pub(super) const fn count(self, size: u32) -> usize {
        let (wanted, all) = ((self.0 >> 8 & 0x1f) as usize, 16 >> size);
        if wanted < all { wanted } else { all }
    }

    /// What stands where otherwise the number of lanes does.
    pub(super) const fn kind(self) -> u32 {
        (self.0 >> 8 & 0x1f) as u32
    }

    pub(super) const fn first(self) -> u32 {
        (self.0 >> 16 & 0xff) as u32
    }

    pub(super) const fn second(self) -> u32 {
        (self.0 >> 24 & 0xff) as u32
    }
}

impl From<u64> for Arg {
    /// As a helper gets it.
    fn from(raw: u64) -> Self {
        Self(raw)
    }
}

impl From<Arg> for u64 {
    fn from(arg: Arg) -> Self {
        arg.raw()
    }
}
