//! Locks that `fork` can hold.
//!
//! A lock that another thread holds while this one forks stays locked in the child for ever. So
//! every lock of a process has a rank, threads take them in ascending order only (checked in debug
//! builds), and `fork` takes them all, in the same order, before it splits the process.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The order in which locks are taken, outermost first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Rank {
    /// The list of the process's tasks.
    Tasks,
    /// Signal dispositions and process-wide pending signals.
    Signals,
    /// Current directory, root and path tables.
    Fs,
    /// Resource limits.
    Limits,
    /// The guest's memory map.
    Memory,
    /// What is written of an execution.
    Recording,
}

thread_local! {
    /// A bit for each rank that this thread holds.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// The ranks that this thread holds, to be kept while another process borrows the thread's storage.
pub(crate) fn held() -> u32 {
    HELD.get()
}

/// Restores what [`held`] returned.
pub(crate) fn set_held(held: u32) {
    HELD.set(held);
}

/// A mutual-exclusion lock with a rank. A panic while it is held does not poison it: Ferry's
/// release builds abort on panic.
#[derive(Debug)]
pub(crate) struct Lock<T> {
    rank: Rank,
    inner: Mutex<T>,
}

impl<T> Lock<T> {
    pub(crate) const fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: Mutex::new(value) }
    }

    /// Waits for the lock. In debug builds, panics if this thread holds one of the same or a higher
    /// rank: another thread might take the two in the other order.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let bit = 1 << self.rank as u32;
        debug_assert!(HELD.get() < bit, "{:?} after {:#b}", self.rank, HELD.get());
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        HELD.set(HELD.get() | bit);
        Guard { inner, bit }
    }
}

/// Holds a [`Lock`] until dropped; in a forked child, dropping it releases the child's copy.
#[derive(Debug)]
pub(crate) struct Guard<'a, T> {
    inner: MutexGuard<'a, T>,
    bit: u32,
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        HELD.set(HELD.get() & !self.bit);
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascending_order_is_accepted() {
        let (outer, inner) = (Lock::new(Rank::Tasks, 1), Lock::new(Rank::Memory, 2));
        let (a, b) = (outer.lock(), inner.lock());
        assert_eq!(*a + *b, 3);
        drop((a, b));
        assert_eq!(*inner.lock(), 2);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "Tasks after")]
    fn descending_order_is_refused() {
        let (outer, inner) = (Lock::new(Rank::Tasks, 1), Lock::new(Rank::Memory, 2));
        let _held = inner.lock();
        let _ = outer.lock();
    }
}
