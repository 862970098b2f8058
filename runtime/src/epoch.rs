//! When what was dropped may be freed.
//!
//! The epoch counts drops. A CPU announces the epoch it has seen when it begins to run, and
//! [`IDLE`] when it stops; what is dropped gets the epoch of its drop. It may be freed once every
//! CPU is idle or has announced that epoch or a later one: by then none remembers it.

#![expect(unsafe_code, reason = "frees dropped blocks")]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::block::TbRef;
use crate::tb_cache::Table;

/// Announced by a CPU that is not running.
pub(crate) const IDLE: u64 = u64::MAX;

/// An engine's epoch.
#[derive(Debug, Default)]
pub(crate) struct Epoch(AtomicU64);

impl Epoch {
    /// Begins the epoch in which what has been dropped just now is gone, and returns it. The caller
    /// holds the lock of the translations.
    pub(crate) fn advance(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The current epoch.
    pub(crate) fn current(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Announces the current epoch in `seen`, and returns it. Whatever it finds from then on lives
    /// until `seen` changes.
    pub(crate) fn announce(&self, seen: &AtomicU64) -> u64 {
        loop {
            let epoch = self.0.load(Ordering::SeqCst);
            seen.store(epoch, Ordering::SeqCst);
            // Whoever advanced in between may not have noticed.
            if self.0.load(Ordering::SeqCst) == epoch {
                return epoch;
            }
        }
    }
}

/// What was dropped, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    dead: Vec<(u64, Dead)>,
}

#[derive(Debug)]
enum Dead {
    Block(TbRef),
    Table(#[expect(dead_code, reason = "kept for its destructor")] Box<Table>),
}

impl Graveyard {
    pub(crate) fn bury_block(&mut self, epoch: u64, tb: TbRef) {
        self.dead.push((epoch, Dead::Block(tb)));
    }

    pub(crate) fn bury_table(&mut self, epoch: u64, table: Box<Table>) {
        self.dead.push((epoch, Dead::Table(table)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.dead.is_empty()
    }

    /// Frees what was dropped in epochs up to `seen`, the oldest that any CPU has announced.
    ///
    /// # Safety
    /// All CPUs that ever ran on these translations were asked, after the drops.
    pub(crate) unsafe fn free(&mut self, seen: u64) {
        self.dead.retain(|(epoch, dead)| {
            let free = *epoch <= seen;
            if let (true, Dead::Block(tb)) = (free, dead) {
                // SAFETY: by the caller's promise nobody remembers the block.
                unsafe { tb.free() };
            }
            !free
        });
    }
}

impl Drop for Graveyard {
    fn drop(&mut self) {
        // SAFETY: the engine is gone, and every CPU, which would keep it, before it.
        unsafe { self.free(IDLE) };
    }
}
