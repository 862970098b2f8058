//! Sets of register slots.

use base::RegSlot;
use base::cpu::SLOT_COUNT;

const WORDS: usize = SLOT_COUNT / 64;

/// A set of register slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotSet([u64; WORDS]);

impl SlotSet {
    /// No slot.
    pub const NONE: Self = Self([0; WORDS]);
    /// Every slot.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// Whether a slot is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, slot: RegSlot) -> bool {
        self.0[slot.index() / 64] >> (slot.0 % 64) & 1 != 0
    }

    /// Adds a slot.
    #[inline]
    pub fn insert(&mut self, slot: RegSlot) {
        self.0[slot.index() / 64] |= 1 << (slot.0 % 64);
    }

    /// Takes a slot out.
    #[inline]
    pub fn remove(&mut self, slot: RegSlot) {
        self.0[slot.index() / 64] &= !(1 << (slot.0 % 64));
    }

    /// The slots of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// The slots of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }
}

impl FromIterator<RegSlot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = RegSlot>>(slots: I) -> Self {
        let mut set = Self::NONE;
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        let (a, b, c) = (RegSlot(0), RegSlot(63), RegSlot(511));
        let mut set: SlotSet = [a, c].into_iter().collect();
        assert!(set.contains(a) && !set.contains(b) && set.contains(c));
        set.remove(a);
        let other: SlotSet = [b].into_iter().collect();
        assert_eq!(set.union(&other), [b, c].into_iter().collect());
        assert_eq!(set.intersection(&other), SlotSet::NONE);
        assert_eq!(SlotSet::ALL.intersection(&set), set);
    }
}
