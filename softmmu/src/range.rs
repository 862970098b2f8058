//! Ranges of guest-physical addresses: never empty, never wrapping, up to the last byte of the
//! address space.

use std::fmt;

use base::GuestPhys;

/// Why there is no such range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RangeError {
    /// No bytes.
    #[error("an empty range at {0}")]
    Empty(GuestPhys),
    /// It would go on at address zero.
    #[error("{len:#x} bytes from {start} reach beyond the last address")]
    Wraps {
        /// The first byte.
        start: GuestPhys,
        /// How many.
        len: u64,
    },
}

/// At least one byte, from the first to the last. (An end could lie one past the last address.)
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PhysRange {
    start: GuestPhys,
    last: GuestPhys,
}

impl PhysRange {
    /// `len` bytes from `start` on.
    ///
    /// # Errors
    /// None at all, or more than there are.
    pub fn new(start: GuestPhys, len: u64) -> Result<Self, RangeError> {
        let before_end = len.checked_sub(1).ok_or(RangeError::Empty(start))?;
        let last = start.checked_add(before_end).ok_or(RangeError::Wraps { start, len })?;
        Ok(Self { start, last })
    }

    /// The first byte.
    #[must_use]
    pub fn start(self) -> GuestPhys {
        self.start
    }

    /// The last byte.
    #[must_use]
    pub fn last(self) -> GuestPhys {
        self.last
    }

    /// How many bytes come after the first: one less than the length, which always fits.
    #[must_use]
    pub fn bytes_after_first(self) -> u64 {
        self.last.0 - self.start.0
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(self, addr: GuestPhys) -> bool {
        self.start <= addr && addr <= self.last
    }

    /// Whether they have a byte in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    /// The bytes that both have.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        let both = Self { start: self.start.max(other.start), last: self.last.min(other.last) };
        self.overlaps(other).then_some(both)
    }

    /// Bytes from its start to an address in it.
    #[must_use]
    pub fn offset_of(self, addr: GuestPhys) -> Option<u64> {
        self.contains(addr).then(|| addr.0 - self.start.0)
    }
}

impl fmt::Debug for PhysRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.start, self.last)
    }
}

impl fmt::Display for PhysRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, len: u64) -> PhysRange {
        PhysRange::new(GuestPhys(start), len).unwrap()
    }

    #[test]
    fn ranges_reach_the_last_address_and_no_further() {
        let top = range(u64::MAX, 1);
        assert_eq!((top.last(), top.bytes_after_first()), (GuestPhys(u64::MAX), 0));
        let wrapping = PhysRange::new(GuestPhys(u64::MAX), 2);
        assert!(matches!(wrapping, Err(RangeError::Wraps { .. })));
        assert_eq!(PhysRange::new(GuestPhys(5), 0), Err(RangeError::Empty(GuestPhys(5))));
    }

    #[test]
    fn neighbours_do_not_overlap() {
        let (low, high) = (range(0, 0x1000), range(0x1000, 0x1000));
        assert!(!low.overlaps(high) && low.intersection(high).is_none());
        let across = range(0xfff, 2);
        assert_eq!(low.intersection(across), Some(range(0xfff, 1)));
        assert_eq!(high.intersection(across), Some(range(0x1000, 1)));
        assert_eq!(
            (high.offset_of(GuestPhys(0x1004)), high.offset_of(GuestPhys(4))),
            (Some(4), None)
        );
    }
}
