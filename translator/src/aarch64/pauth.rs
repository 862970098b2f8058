//! Pointer authentication: which keys, and what signs and authenticates (Arm ARM, D8.10).

use arch::aarch64::{helpers, slot};
use base::RegSlot;
use ir::Val;

use super::Insn;

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// APIAKey_EL1
    Ia,
    /// APIBKey_EL1
    Ib,
    /// APDAKey_EL1
    Da,
    /// APDBKey_EL1
    Db,
    /// APGAKey_EL1
    Ga,
}

impl Key {
    /// Where its halves lie.
    const fn slots(self) -> (RegSlot, RegSlot) {
        match self {
            Key::Ia => (slot::APIAKEY_LO, slot::APIAKEY_HI),
            Key::Ib => (slot::APIBKEY_LO, slot::APIBKEY_HI),
            Key::Da => (slot::APDAKEY_LO, slot::APDAKEY_HI),
            Key::Db => (slot::APDBKEY_LO, slot::APDBKEY_HI),
            Key::Ga => (slot::APGAKEY_LO, slot::APGAKEY_HI),
        }
    }
}

impl<'b> Insn<'b> {
    /// The halves of a key.
    pub(super) fn key(&self, key: Key) -> (Val<'b>, Val<'b>) {
        let (low, high) = key.slots();
        (self.b.slot(low), self.b.slot(high))
    }

    /// AddPACIA and its like: a pointer with its code.
    pub(super) fn sign(&self, key: Key, pointer: Val<'b>, modifier: Val<'b>) -> Val<'b> {
        let (low, high) = self.key(key);
        self.call(helpers::PAC, &[pointer, modifier, low, high])
    }

    /// AuthIA and its like: the pointer without its code, or one that cannot be used.
    pub(super) fn authenticate(&self, key: Key, pointer: Val<'b>, modifier: Val<'b>) -> Val<'b> {
        let (low, high) = self.key(key);
        self.call(helpers::AUT, &[pointer, modifier, low, high])
    }
}
