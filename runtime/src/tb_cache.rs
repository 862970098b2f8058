//! The translation-block cache: a hash table that is read without a lock.
//!
//! One writer at a time, under the lock of the translations, and any number of readers. A table
//! that became too small is retired like a block: freed when no CPU can be reading it.

#![expect(unsafe_code, reason = "readers follow pointers that the epochs keep alive")]

use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use ir::BlockKey;

use crate::block::TbRef;

/// An entry whose block was removed: a search goes on behind it.
const REMOVED: u64 = 1;
const FIRST_CAPACITY: usize = 1 << 12;
/// Bits of an entry above a block's address: part of the key's hash, so that a search looks at
/// other blocks' memory rarely.
const TAG: u64 = 0xffff << 48;

/// One table: open addressing, linear probing, at most two thirds full. An entry is null,
/// [`REMOVED`], or a block's address with a tag.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Box<[AtomicU64]>,
    /// Entries that are not null. Only the writer looks at it.
    used: AtomicUsize,
}

/// The cache. Readers must be in an epoch ([`crate::epoch`]).
#[derive(Debug)]
pub(crate) struct TbCache {
    table: AtomicPtr<Table>,
}

fn hash(key: BlockKey) -> u64 {
    key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn block_of(entry: u64) -> Option<TbRef> {
    TbRef::from_ptr(std::ptr::with_exposed_provenance_mut((entry & !TAG & !REMOVED) as usize))
}

impl Table {
    fn with_capacity(capacity: usize) -> Box<Self> {
        let entries = (0..capacity).map(|_| AtomicU64::default()).collect();
        Box::new(Self { entries, used: AtomicUsize::new(0) })
    }

    /// Entries in the order of a search.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = &AtomicU64> {
        let mask = self.entries.len() - 1;
        let start = (hash >> 24) as usize;
        (0..self.entries.len()).map(move |step| &self.entries[start.wrapping_add(step) & mask])
    }

    /// # Safety
    /// The table's blocks must live: the caller is in an epoch, or holds the lock.
    #[inline]
    unsafe fn find(&self, key: BlockKey) -> Option<(&AtomicU64, TbRef)> {
        let hash = hash(key);
        for place in self.probe(hash) {
            let entry = place.load(Ordering::Acquire);
            if entry == 0 {
                return None;
            }
            if (entry ^ hash) & TAG != 0 {
                continue;
            }
            // SAFETY: by the caller's promise.
            let found = block_of(entry).filter(|tb| unsafe { tb.get() }.key() == key);
            if let Some(tb) = found {
                return Some((place, tb));
            }
        }
        None
    }

    fn insert(&self, key: BlockKey, tb: TbRef) {
        let hash = hash(key);
        let entry = tb.as_ptr().expose_provenance() as u64 | hash & TAG;
        if let Some(place) = self.probe(hash).find(|place| place.load(Ordering::Relaxed) == 0) {
            place.store(entry, Ordering::Release);
            self.used.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_crowded(&self) -> bool {
        self.used.load(Ordering::Relaxed) * 3 >= self.entries.len() * 2
    }

    fn blocks(&self) -> impl Iterator<Item = TbRef> + '_ {
        self.entries.iter().filter_map(|entry| block_of(entry.load(Ordering::Relaxed)))
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
            if let Some((place, found)) = table.find(tb.get().key())
                && found == tb
            {
                place.store(REMOVED, Ordering::Release);
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

#[cfg(test)]
mod tests {
    use base::GuestVirt;
    use ir::interp::Lowerer;
    use ir::{BlockKey, Builder};
    use translator::Frontend as _;

    use super::*;
    use crate::block::Tb;

    fn block(pc: u64) -> TbRef {
        let frontend = translator::riscv64::Frontend::new("max".parse().unwrap());
        let builder = Builder::new();
        builder.begin(BlockKey::new(GuestVirt(pc), 0));
        builder.begin_insn(GuestVirt(pc), 4);
        let block = builder.finish(GuestVirt(pc + 4));
        let code = Lowerer::new().lower(frontend.guest(), &block, 1).unwrap();
        TbRef::from_box(Tb::new(code, 4, None))
    }

    fn key(pc: u64) -> BlockKey {
        BlockKey::new(GuestVirt(pc), 0)
    }

    #[test]
    fn blocks_are_found_until_they_are_removed() {
        let cache = TbCache::new();
        // More than fit the first table, at pcs that differ in few bits and in many.
        let pcs: Vec<u64> = (0..4000).map(|i| i * 4).chain((0..4000).map(|i| i << 24)).collect();
        let mut tables = Vec::new();
        let mut blocks = Vec::new();
        // SAFETY: one thread; blocks and tables are freed at the end.
        unsafe {
            for &pc in pcs.iter().skip(1) {
                let tb = block(pc);
                assert!(cache.find(key(pc)).is_none() || pc == 0);
                tables.extend(cache.insert(key(pc), tb));
                blocks.push((pc, tb));
            }
            assert!(!tables.is_empty(), "it grew");
            assert!(blocks.iter().all(|&(pc, tb)| pc == 0 || cache.find(key(pc)) == Some(tb)));
            for (_, tb) in blocks.iter().step_by(2) {
                cache.remove(*tb);
            }
            for (index, &(pc, tb)) in blocks.iter().enumerate() {
                assert_eq!(cache.find(key(pc)), (index % 2 != 0).then_some(tb), "{pc:#x}");
            }
            assert_eq!(cache.blocks().len(), blocks.len() / 2);
            blocks.iter().step_by(2).for_each(|(_, tb)| tb.free());
        }
    }
}
