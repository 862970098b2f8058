//! Direct-mapped caches of a CPU's indirect jumps: one for tier 0, and the one that compiled code
//! probes inline.

#![expect(unsafe_code, reason = "entries are code addresses that the epochs keep alive")]

use std::cell::Cell;

use base::cpu::{Approach, JumpCacheEntry};
use base::{CpuFrame, GuestVirt};
use ir::BlockKey;
use ir::interp::{Entry, Jumps};

/// A key, salted ([`Approach::salt`]), and its code.
type Slot = Cell<Option<(u64, Entry)>>;

/// Tier 0's.
#[derive(Debug)]
pub(crate) struct JumpCache {
    entries: Box<[Slot; JumpCacheEntry::COUNT]>,
}

impl JumpCache {
    pub(crate) fn new() -> Self {
        let entries: Box<[_]> =
            vec![None; JumpCacheEntry::COUNT].into_iter().map(Cell::new).collect();
        match entries.try_into() {
            Ok(entries) => Self { entries },
            Err(_) => unreachable!("it was made of that length"),
        }
    }

    pub(crate) fn insert(&self, key: BlockKey, approach: Approach, entry: Entry) {
        let key = salted(key, approach.salt());
        self.entries[JumpCacheEntry::index(key)].set(Some((key, entry)));
    }

    /// The code of a key, for direct jumps.
    #[inline(always)]
    pub(crate) fn find(&self, key: BlockKey) -> Option<Entry> {
        self.find_salted(key.0)
    }

    #[inline(always)]
    fn find_salted(&self, key: u64) -> Option<Entry> {
        match self.entries[JumpCacheEntry::index(key)].get() {
            Some((found, entry)) if found == key => Some(entry),
            _ => None,
        }
    }

    pub(crate) fn clear(&self) {
        self.entries.iter().for_each(|entry| entry.set(None));
    }
}

#[inline(always)]
fn salted(key: BlockKey, salt: u64) -> u64 {
    key.0.wrapping_add(salt)
}

impl Jumps for JumpCache {
    const FOLLOW: bool = true;

    #[inline(always)]
    fn probe(&self, frame: &mut CpuFrame, target: GuestVirt, salt: u64) -> Option<Entry> {
        let key = BlockKey::new(target, frame.key_flags);
        if BlockKey::can_name(target) { self.find_salted(salted(key, salt)) } else { None }
    }
}

/// Compiled code's: a frame points at it.
#[derive(Debug)]
pub(crate) struct CompiledJumpCache {
    entries: Box<[JumpCacheEntry]>,
}

// SAFETY: the pointers in it are used by the thread that runs the CPU only.
unsafe impl Send for CompiledJumpCache {}

/// An entry that no target is found in: its key belongs to another one. Compiled code asks for any target that a
/// guest may have in a register.
fn empty(index: usize) -> JumpCacheEntry {
    let is_own = index == JumpCacheEntry::index(JumpCacheEntry::EMPTY_KEY);
    let key = if is_own { 0 } else { JumpCacheEntry::EMPTY_KEY };
    JumpCacheEntry { key, code: std::ptr::null() }
}

impl CompiledJumpCache {
    pub(crate) fn new() -> Self {
        Self { entries: (0..JumpCacheEntry::COUNT).map(empty).collect() }
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut JumpCacheEntry {
        self.entries.as_mut_ptr()
    }

    pub(crate) fn insert(&mut self, key: BlockKey, approach: Approach, code: *const u8) {
        let key = salted(key, approach.salt());
        self.entries[JumpCacheEntry::index(key)] = JumpCacheEntry { key, code };
    }

    pub(crate) fn clear(&mut self) {
        self.entries.iter_mut().enumerate().for_each(|(index, entry)| *entry = empty(index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_found_in_an_empty_cache() {
        let cache = CompiledJumpCache::new();
        let own =
            |(index, entry): (usize, &JumpCacheEntry)| JumpCacheEntry::index(entry.key) == index;
        assert!(!cache.entries.iter().enumerate().any(own));
    }
}
