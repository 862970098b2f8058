//! Pointer authentication: which keys, and what signs and authenticates (Arm ARM, D8.10).

use arch::aarch64::helpers::pauth::NOT_AUTHENTIC;
use arch::aarch64::{helpers, slot};
use base::RegSlot;
use decoders::aarch64::Extension;
use ir::{Type, Val};

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
        let is_second = self.frontend.extensions.contains(Extension::PAuth2);
        let helper = if is_second { helpers::PAC } else { helpers::PAC_FIRST };
        self.call(helper, &[pointer, modifier, low, high])
    }

    /// AuthIA and its like, by instructions that do no more: the pointer without its code, or an error: an exception by
    /// FEAT_FPAC, else a pointer that cannot be used.
    pub(super) fn authenticate(&self, key: Key, pointer: Val<'b>, modifier: Val<'b>) -> Val<'b> {
        self.authenticated(key, pointer, modifier, Extension::FPAC)
    }

    /// The same by instructions that use the pointer: here it is FEAT_FPACCOMBINE that makes it an exception.
    pub(super) fn authenticate_to_use(
        &self,
        key: Key,
        pointer: Val<'b>,
        modifier: Val<'b>,
    ) -> Val<'b> {
        self.authenticated(key, pointer, modifier, Extension::FPACCOMBINE)
    }

    fn authenticated(
        &self,
        key: Key,
        pointer: Val<'b>,
        modifier: Val<'b>,
        faulting: Extension,
    ) -> Val<'b> {
        let has = |extension| self.frontend.extensions.contains(extension);
        let helper = match key {
            _ if has(faulting) => helpers::AUT_OR_FAIL,
            _ if has(Extension::PAuth2) => helpers::AUT,
            Key::Ia | Key::Da | Key::Ga => helpers::AUT_FIRST_A,
            Key::Ib | Key::Db => helpers::AUT_FIRST_B,
        };
        let (low, high) = self.key(key);
        let result = self.call(helper, &[pointer, modifier, low, high]);
        if has(faulting) {
            // Leaves before the instruction, as if an access at address 1 had to be aligned.
            let failed = result.eq(self.konst(NOT_AUTHENTIC));
            self.b.align_check(Type::I16, failed);
        }
        result
    }
}
