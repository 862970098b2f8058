//! The translation-block cache: a hash table that is read without a lock.
//!
//! One writer at a time, under the lock of the translations, and any number of readers. A table
//! that became too small is retired like a block: freed when no CPU can be reading it.

#![expect(unsafe_code, reason = "readers follow pointers that the epochs keep alive")]

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use ir::BlockKey;

use crate::block::{Tb, TbRef};

/// Marks an entry whose block was removed: a search goes on behind it.
const REMOVED: *mut Tb = std::ptr::without_provenance_mut(1);
const FIRST_CAPACITY: usize = 1 << 12;

/// One table: open addressing, linear probing, at most two thirds full.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Box<[AtomicPtr<Tb>]>,
    /// Entries that are not null. Only the writer looks at it.
    used: AtomicUsize,
}

/// The cache. Readers must be in an epoch ([`crate::epoch`]).
#[derive(Debug)]
pub(crate) struct TbCache {
    table: AtomicPtr<Table>,
}

impl Table {
    fn with_capacity(capacity: usize) -> Box<Self> {
        let entries = (0..capacity).map(|_| AtomicPtr::default()).collect();
        Box::new(Self { entries, used: AtomicUsize::new(0) })
    }

    /// Indices in the order of a search for `key`.
    fn probe(&self, key: BlockKey) -> impl Iterator<Item = usize> + use<> {
        let mask = self.entries.len() - 1;
        let start = (key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        (0..self.entries.len()).map(move |step| start.wrapping_add(step) & mask)
    }

    /// # Safety
    /// The table's blocks must live: the caller is in an epoch, or holds the lock.
    unsafe fn find(&self, key: BlockKey) -> Option<(usize, TbRef)> {
        for index in self.probe(key) {
            match self.entries[index].load(Ordering::Acquire) {
                REMOVED => {}
                found => {
                    let tb = TbRef::from_ptr(found)?;
                    // SAFETY: by the caller's promise.
                    if unsafe { tb.get() }.key() == key {
                        return Some((index, tb));
                    }
                }
            }
        }
        None
    }

    fn insert(&self, key: BlockKey, tb: TbRef) {
        let free = |&index: &usize| self.entries[index].load(Ordering::Relaxed).is_null();
        if let Some(index) = self.probe(key).find(free) {
            self.entries[index].store(tb.as_ptr(), Ordering::Release);
            self.used.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_crowded(&self) -> bool {
        self.used.load(Ordering::Relaxed) * 3 >= self.entries.len() * 2
    }

    fn blocks(&self) -> impl Iterator<Item = TbRef> + '_ {
        let entries = self.entries.iter().map(|entry| entry.load(Ordering::Relaxed));
        entries.filter(|&entry| entry != REMOVED).filter_map(TbRef::from_ptr)
    }
}

impl TbCache {
    pub(crate) fn new() -> Self {
        Self { table: AtomicPtr::new(Box::into_raw(Table::with_capacity(FIRST_CAPACITY))) }
    }

    /// Finds a block.
    ///
    /// # Safety
    /// The caller is in an epoch, and uses the block in the same one.
    pub(crate) unsafe fn find(&self, key: BlockKey) -> Option<TbRef> {
        // SAFETY: tables are retired as blocks are.
        unsafe { (*self.table.load(Ordering::Acquire)).find(key) }.map(|(_, tb)| tb)
    }

    /// Adds a block whose key is not there. Returns a table that became too small.
    ///
    /// # Safety
    /// The caller holds the lock of the translations.
    pub(crate) unsafe fn insert(&self, key: BlockKey, tb: TbRef) -> Option<Box<Table>> {
        // SAFETY: the lock makes this the only writer.
        let table = unsafe { &*self.table.load(Ordering::Relaxed) };
        if !table.is_crowded() {
            table.insert(key, tb);
            return None;
        }
        let live = table.blocks().count();
        let larger = Table::with_capacity((live * 4).next_power_of_two().max(FIRST_CAPACITY));
        for old in table.blocks() {
            // SAFETY: blocks in the table live.
            larger.insert(unsafe { old.get() }.key(), old);
        }
        larger.insert(key, tb);
        let old = self.table.swap(Box::into_raw(larger), Ordering::AcqRel);
        // SAFETY: it came from a box, and the caller keeps it until no reader can have it.
        Some(unsafe { Box::from_raw(old) })
    }

    /// Removes a block.
    ///
    /// # Safety
    /// The caller holds the lock of the translations.
    pub(crate) unsafe fn remove(&self, tb: TbRef) {
        // SAFETY: the lock keeps table and blocks.
        unsafe {
            let table = &*self.table.load(Ordering::Relaxed);
            if let Some((index, found)) = table.find(tb.get().key())
                && found == tb
            {
                table.entries[index].store(REMOVED, Ordering::Release);
            }
        }
    }

    /// All blocks.
    ///
    /// # Safety
    /// The caller holds the lock of the translations.
    pub(crate) unsafe fn blocks(&self) -> Vec<TbRef> {
        // SAFETY: the lock keeps the table.
        unsafe { (*self.table.load(Ordering::Relaxed)).blocks().collect() }
    }
}

impl Drop for TbCache {
    fn drop(&mut self) {
        // SAFETY: nobody else has the cache any more; table and blocks came from boxes.
        unsafe {
            let table = Box::from_raw(*self.table.get_mut());
            table.blocks().for_each(|tb| tb.free());
        }
    }
}
