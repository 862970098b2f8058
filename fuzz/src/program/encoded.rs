//! The bytes of one instruction.

/// Bytes of the longest instruction of any guest.
const LONGEST: usize = 15;

/// An instruction as it lies in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    length: u8,
    bytes: [u8; LONGEST],
}

impl Encoded {
    /// One of a word of four bytes.
    #[must_use]
    pub const fn word(word: u32) -> Self {
        let [a, b, c, d] = word.to_le_bytes();
        Self { length: 4, bytes: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// One of so many bytes of a word, the lowest.
    #[must_use]
    pub const fn low(word: u32, length: usize) -> Self {
        let kept = if length < 4 { word & ((1 << (8 * length)) - 1) } else { word };
        Self { length: if length < 4 { length as u8 } else { 4 }, ..Self::word(kept) }
    }

    /// One of these bytes; `None` if there are none, or more than instructions have.
    #[must_use]
    pub fn of(code: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..code.len())?.copy_from_slice(code);
        (!code.is_empty()).then_some(Self { length: code.len() as u8, bytes })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    /// How many it has: at least one.
    #[expect(clippy::len_without_is_empty, reason = "an instruction is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Its first four bytes as a word, with zeros for those that it does not have.
    #[must_use]
    pub fn as_word(&self) -> u32 {
        let [a, b, c, d, ..] = self.bytes;
        u32::from_le_bytes([a, b, c, d])
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
