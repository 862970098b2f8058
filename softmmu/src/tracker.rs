//! What is known of each page of RAM: whether it was written to since somebody last asked, and
//! whether translations were made from it.
//!
//! It is a `vm-memory` bitmap, so that every write by way of that crate (a device's DMA, a loader) is
//! noted by itself. CPUs note their own: they may hold a page writable in a TLB only while it is
//! marked as written to and holds no translated code.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use base::GuestPhys;
use base::addr::PAGE_SIZE;
use vm_memory::bitmap::{Bitmap, RefSlice, WithBitmapSlice};

/// Set once a page was written to.
const DIRTY: u8 = 1;
/// Set while translations of the page's bytes are kept.
const CODE: u8 = 2;
/// Set for good once somebody wants to know of CPUs' stores to the page.
const WATCHED: u8 = 4;

/// Whoever keeps translations of code in RAM.
pub trait CodeWatch: Send + Sync {
    /// `len` bytes from `at` on were written to by something that is no CPU. They lie on a page with
    /// translated code, and on no other.
    fn written(&self, at: GuestPhys, len: u64);
}

/// The flags of some memory's pages, set and read by any thread.
///
/// A page is marked as dirty *after* it was written to. Whoever takes the marks reads pages
/// afterwards, and so either sees a write or finds its mark the next time.
pub struct PageTracker {
    base: GuestPhys,
    flags: Box<[AtomicU8]>,
    watch: OnceLock<Arc<dyn CodeWatch>>,
}

impl std::fmt::Debug for PageTracker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (base, pages) = (self.base, self.flags.len());
        f.debug_struct("PageTracker").field("base", &base).field("pages", &pages).finish()
    }
}

impl PageTracker {
    /// For memory of so many pages at an address; nothing is marked.
    #[must_use]
    pub fn new(base: GuestPhys, pages: u64) -> Self {
        let flags = (0..pages).map(|_| AtomicU8::new(0)).collect();
        Self { base, flags, watch: OnceLock::new() }
    }

    /// Says who keeps translations. Once; later calls change nothing.
    pub fn set_watch(&self, watch: Arc<dyn CodeWatch>) {
        let _ = self.watch.set(watch);
    }

    /// Marks the pages that hold `len` bytes from `offset` on as written to. Bytes beyond the end
    /// do not count. For CPUs: nobody is told about code.
    pub fn mark(&self, offset: u64, len: u64) {
        self.touched(offset, len).for_each(|(_, flags, _)| {
            // Most writes are to pages that are marked already: those share the cache line.
            if flags.load(Ordering::Relaxed) & DIRTY == 0 {
                flags.fetch_or(DIRTY, Ordering::Release);
            }
        });
    }

    /// The pages that hold `len` bytes from `offset` on: each one's own bytes, as offset and
    /// length, and its flags.
    fn touched(&self, offset: u64, len: u64) -> impl Iterator<Item = (u64, &AtomicU8, u64)> {
        let end = offset.saturating_add(len).min(self.flags.len() as u64 * PAGE_SIZE);
        let pages = if offset < end { offset / PAGE_SIZE..end.div_ceil(PAGE_SIZE) } else { 0..0 };
        pages.map(move |page| {
            let start = offset.max(page * PAGE_SIZE);
            let len = end.min((page + 1) * PAGE_SIZE) - start;
            (start, &self.flags[page as usize], len)
        })
    }

    /// Whether a page is marked as written to. There is none beyond the end.
    #[must_use]
    pub fn is_dirty(&self, page: u64) -> bool {
        self.flag(page, DIRTY)
    }

    /// The pages that were written to, ascending; they are unmarked.
    pub fn take_dirty(&self) -> Vec<u64> {
        let dirty = (0..).zip(&self.flags).filter(|(_, flags)| {
            // Reading first spares the clean ones a write.
            flags.load(Ordering::Relaxed) & DIRTY != 0
                && flags.fetch_and(!DIRTY, Ordering::AcqRel) & DIRTY != 0
        });
        dirty.map(|(page, _)| page).collect()
    }

    /// Notes that translations of a page's bytes are kept from now on. Pages beyond the end are
    /// nobody's.
    pub fn set_code(&self, page: u64) {
        if let Some(flags) = self.page(page) {
            flags.fetch_or(CODE, Ordering::SeqCst);
        }
    }

    /// Notes that none are kept any more.
    pub fn clear_code(&self, page: u64) {
        if let Some(flags) = self.page(page) {
            flags.fetch_and(!CODE, Ordering::SeqCst);
        }
    }

    /// From now on, CPUs tell of every store to a page, as if it held code.
    pub fn watch(&self, page: u64) {
        if let Some(flags) = self.page(page) {
            flags.fetch_or(WATCHED, Ordering::SeqCst);
        }
    }

    /// Whether CPUs must tell of their stores to a page: translations of its bytes are kept, or it is
    /// watched.
    #[must_use]
    pub fn has_code(&self, page: u64) -> bool {
        self.flag(page, CODE | WATCHED)
    }

    fn flag(&self, page: u64, flag: u8) -> bool {
        self.page(page).is_some_and(|flags| flags.load(Ordering::SeqCst) & flag != 0)
    }

    fn page(&self, page: u64) -> Option<&AtomicU8> {
        self.flags.get(usize::try_from(page).ok()?)
    }
}

impl<'a> WithBitmapSlice<'a> for PageTracker {
    type S = RefSlice<'a, Self>;
}

impl Bitmap for PageTracker {
    fn mark_dirty(&self, offset: usize, len: usize) {
        self.mark(offset as u64, len as u64);
        let Some(watch) = self.watch.get() else { return };
        for (offset, flags, len) in self.touched(offset as u64, len as u64) {
            if flags.load(Ordering::SeqCst) & CODE != 0 {
                watch.written(self.base.wrapping_add(offset), len);
            }
        }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        self.is_dirty(offset as u64 / PAGE_SIZE)
    }

    fn slice_at(&self, offset: usize) -> RefSlice<'_, Self> {
        RefSlice::new(self, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_write_across_pages_marks_both() {
        let tracker = PageTracker::new(GuestPhys(0), 200);
        tracker.mark(64 * PAGE_SIZE - 1, 2);
        tracker.mark(5, 0);
        assert!(tracker.is_dirty(63) && tracker.is_dirty(64) && !tracker.is_dirty(0));
        assert_eq!(tracker.take_dirty(), [63, 64]);
        assert_eq!(tracker.take_dirty(), [0; 0]);
        tracker.mark(199 * PAGE_SIZE, u64::MAX);
        assert_eq!(tracker.take_dirty(), [199]);
        assert!(!tracker.is_dirty(u64::MAX));
    }

    #[test]
    fn no_mark_is_lost_between_threads() {
        let tracker = PageTracker::new(GuestPhys(0), 64);
        let mut seen = BTreeSet::new();
        std::thread::scope(|scope| {
            let marking =
                scope.spawn(|| (0..64).for_each(|page| tracker.mark(page * PAGE_SIZE, 1)));
            while !marking.is_finished() {
                seen.extend(tracker.take_dirty());
            }
        });
        seen.extend(tracker.take_dirty());
        assert_eq!(seen.len(), 64);
    }

    #[derive(Default)]
    struct Seen(Mutex<Vec<(u64, u64)>>);

    impl CodeWatch for Seen {
        fn written(&self, at: GuestPhys, len: u64) {
            self.0.lock().unwrap().push((at.0, len));
        }
    }

    #[test]
    fn writes_to_code_are_told_page_by_page() {
        let tracker = PageTracker::new(GuestPhys(0x8000_0000), 4);
        let seen = Arc::new(Seen::default());
        tracker.set_watch(Arc::clone(&seen) as Arc<dyn CodeWatch>);
        tracker.set_code(1);
        tracker.set_code(2);
        tracker.slice_at(0xff0).mark_dirty(8, 0x1010);
        tracker.clear_code(2);
        tracker.mark_dirty(0x2000, 1);
        assert!(tracker.has_code(1) && !tracker.has_code(2) && tracker.dirty_at(0xfff));
        assert_eq!(*seen.0.lock().unwrap(), [(0x8000_1000, 0x1000), (0x8000_2000, 8)]);
    }

    proptest! {
        #[test]
        fn marks_are_those_of_every_byte(writes in prop::collection::vec((0u64..300 * PAGE_SIZE, 0u64..3 * PAGE_SIZE), 0..20)) {
            let tracker = PageTracker::new(GuestPhys(0), 256);
            let mut expected = BTreeSet::new();
            for &(offset, len) in &writes {
                tracker.mark(offset, len);
                expected.extend((offset..offset + len).map(|byte| byte / PAGE_SIZE).filter(|&page| page < 256));
            }
            prop_assert_eq!(tracker.take_dirty(), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
