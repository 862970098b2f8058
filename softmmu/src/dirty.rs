//! Which pages were written to: one bit each, set by any thread, taken by whoever copies the
//! memory (snapshots, migration, a display).

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use base::addr::PAGE_SIZE;

/// The bits of some memory's pages.
///
/// A page is marked *after* it was written to. Whoever takes the bits reads pages afterwards, and
/// so either sees a write or finds its mark the next time.
#[derive(Debug)]
pub struct DirtyPages {
    words: Box<[AtomicU64]>,
    pages: u64,
}

impl DirtyPages {
    /// For memory of so many pages; none is marked.
    #[must_use]
    pub fn new(pages: u64) -> Self {
        let words = (0..pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { words, pages }
    }

    /// Marks the pages that hold `len` bytes from `offset` on. Bytes beyond the end do not count.
    pub fn mark(&self, offset: u64, len: u64) {
        let Some(before_end) = len.checked_sub(1) else { return };
        let last = offset.saturating_add(before_end) / PAGE_SIZE;
        for page in offset / PAGE_SIZE..last.saturating_add(1).min(self.pages) {
            let (word, bit) = (&self.words[(page / 64) as usize], 1 << (page % 64));
            // Most writes are to pages that are marked already: those share the cache line.
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Release);
            }
        }
    }

    /// Whether a page is marked. There is none beyond the end.
    #[must_use]
    pub fn is_marked(&self, page: u64) -> bool {
        let word = usize::try_from(page / 64).ok().and_then(|index| self.words.get(index));
        word.is_some_and(|word| word.load(Ordering::Acquire) >> (page % 64) & 1 != 0)
    }

    /// The marked pages in ascending order; they are unmarked.
    pub fn take(&self) -> Vec<u64> {
        let mut pages = Vec::new();
        for (index, word) in self.words.iter().enumerate() {
            // Reading first spares the clean words a write.
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::AcqRel);
            while bits != 0 {
                pages.push(index as u64 * 64 + u64::from(bits.trailing_zeros()));
                bits &= bits - 1;
            }
        }
        pages
    }

    /// How many pages there are, marked or not, by number.
    #[must_use]
    pub fn pages(&self) -> Range<u64> {
        0..self.pages
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_write_across_pages_marks_both() {
        let dirty = DirtyPages::new(200);
        dirty.mark(64 * PAGE_SIZE - 1, 2);
        dirty.mark(5, 0);
        assert!(dirty.is_marked(63) && dirty.is_marked(64) && !dirty.is_marked(0));
        assert_eq!(dirty.take(), [63, 64]);
        assert_eq!(dirty.take(), [0; 0]);
        dirty.mark(199 * PAGE_SIZE, u64::MAX);
        assert_eq!(dirty.take(), [199]);
        assert!(!dirty.is_marked(u64::MAX));
    }

    #[test]
    fn no_mark_is_lost_between_threads() {
        let dirty = DirtyPages::new(64);
        let mut seen = BTreeSet::new();
        std::thread::scope(|scope| {
            let marking = scope.spawn(|| (0..64).for_each(|page| dirty.mark(page * PAGE_SIZE, 1)));
            while !marking.is_finished() {
                seen.extend(dirty.take());
            }
        });
        seen.extend(dirty.take());
        assert_eq!(seen.len(), 64);
    }

    proptest! {
        #[test]
        fn marks_are_those_of_every_byte(writes in prop::collection::vec((0u64..300 * PAGE_SIZE, 0u64..3 * PAGE_SIZE), 0..20)) {
            let dirty = DirtyPages::new(256);
            let mut expected = BTreeSet::new();
            for &(offset, len) in &writes {
                dirty.mark(offset, len);
                expected.extend((offset..offset + len).map(|byte| byte / PAGE_SIZE).filter(|&page| page < 256));
            }
            prop_assert_eq!(dirty.take(), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
