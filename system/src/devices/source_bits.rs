//! A bit for each interrupt source of a platform-level interrupt controller.

/// Sources that PLIC and APLIC have room for: source 0 does not exist.
pub(super) const MAX_SOURCES: usize = 1024;
/// Registers of 32 bits that hold them.
pub(super) const WORDS: usize = MAX_SOURCES / 32;

/// Bits of sources, in registers as both specifications have them: source `i` is bit `i % 32` of `i / 32`.
/// Sources beyond are never set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SourceBits([u32; WORDS]);

impl SourceBits {
    pub(super) const NONE: Self = Self([0; WORDS]);

    /// Sources from 1 to the last.
    pub(super) fn up_to(last: usize) -> Self {
        let mut bits = Self::NONE;
        (1..=last).for_each(|source| bits.set(source, true));
        bits
    }

    pub(super) fn get(&self, source: usize) -> bool {
        self.word(source / 32) >> (source % 32) & 1 != 0
    }

    pub(super) fn set(&mut self, source: usize, to: bool) {
        if let Some(word) = self.0.get_mut(source / 32) {
            let mask = 1 << (source % 32);
            *word = if to { *word | mask } else { *word & !mask };
        }
    }

    pub(super) fn word(&self, index: usize) -> u32 {
        self.0.get(index).copied().unwrap_or(0)
    }

    pub(super) fn set_word(&mut self, index: usize, to: u32) {
        if let Some(word) = self.0.get_mut(index) {
            *word = to;
        }
    }

    /// The sources that are set in both, in order.
    pub(super) fn both<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let words = self.0.iter().zip(&other.0).enumerate();
        words.flat_map(|(index, (one, other))| sources_of(index, one & other))
    }
}

/// The sources whose bits are set in a register.
pub(super) fn sources_of(index: usize, mut word: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (bit < 32).then_some(32 * index + bit)
    })
}
