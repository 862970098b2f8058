//! Sets of register slots.

use base::RegSlot;
use base::cpu::SLOT_COUNT;

const WORDS: usize = SLOT_COUNT / 64;

/// A set of register slots.
#[derive(Clone, Copy, PartialEq, Eq)]
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

    /// Adds all of another set; whether that changed anything.
    pub fn add_all(&mut self, other: &Self) -> bool {
        let before = std::mem::replace(self, self.union(other));
        *self != before
    }

    /// Its slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = RegSlot> + use<> {
        let words = self.0;
        (0..SLOT_COUNT as u16)
            .filter(move |&n| words[usize::from(n) / 64] >> (n % 64) & 1 != 0)
            .map(RegSlot)
    }

    /// The slots of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }
}

impl Default for SlotSet {
    fn default() -> Self {
        Self::NONE
    }
}

impl std::fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(|slot| slot.0)).finish()
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
        assert!(set.add_all(&other) && !set.add_all(&other));
        assert_eq!(set.iter().collect::<Vec<_>>(), [b, c]);
    }
}
