//! Which translations were made from which guest page.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use ir::BlockKey;
use smallvec::SmallVec;

use crate::block::TbRef;
use crate::epoch::Graveyard;
use crate::promote::{Entries, RegionId};
use crate::settle::Settling;

/// What the lock of the translations guards. Links between blocks are guarded by it, too.
#[derive(Debug, Default)]
pub(crate) struct Translations {
    pub(crate) pages: BTreeMap<GuestVirt, Page>,
    /// Dropped blocks that a CPU may still be executing.
    pub(crate) graveyard: Graveyard,
    /// Host bytes of the blocks in the cache.
    pub(crate) bytes: usize,
    /// Counts invalidations: the time of [`Page::changed`].
    pub(crate) clock: u64,
    /// Pages that a CPU may still write to without being noticed.
    pub(crate) settling: BTreeMap<GuestVirt, Settling>,
    /// Compiled regions that may be entered.
    pub(crate) regions: HashMap<RegionId, Region>,
}

/// A compiled region, as far as invalidation is concerned. Most are blocks of the baseline compiler.
#[derive(Debug)]
pub(crate) struct Region {
    /// The guest code that it was made from.
    pub(crate) code: SmallVec<[Range<GuestVirt>; 1]>,
    /// Where it is entered: the address of host code.
    pub(crate) entries: SmallVec<[(BlockKey, usize); 1]>,
}

/// How many pieces of a page are told apart when it is asked quickly whether a write hits code: as
/// many as a word has bits.
const GRAINS: usize = u64::BITS as usize;
const GRAIN: u64 = PAGE_SIZE / GRAINS as u64;

/// Writes to a page's code that are further apart than this are no thrashing.
const THRASH_WINDOW: Duration = Duration::from_millis(100);

/// After so many writes that dropped translations, with none made meanwhile, a page is being filled with
/// something else.
const MOST_LOST: u32 = 8;

/// A guest page from which something was translated at some time.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Blocks that lie on it, in whole or in part.
    pub(crate) blocks: Vec<TbRef>,
    /// Compiled regions with code from it.
    pub(crate) regions: Vec<RegionId>,
    /// In which grains of it there is code that something was made from: these, or fewer.
    grains: u64,
    /// If a write left translations of the page alone: when each grain was last written to.
    written: Option<Box<[u64; GRAINS]>>,
    /// How many writes have dropped translations since the last one was made from it.
    lost: u32,
    /// Whether writes to it are known to fault.
    pub(crate) protected: bool,
    /// Whether it may be written through other mappings, where no write faults.
    pub(crate) shared: bool,
    /// Whether it is written so often that its blocks are validated and it is not protected.
    pub(crate) validate: bool,
    /// How many threads are about to make it writable: nothing may be translated from it then.
    pub(crate) releasing: u32,
    /// Writes that dropped translations, one soon after the other.
    pub(crate) write_faults: u32,
    /// The last of them.
    pub(crate) last_write: Option<Instant>,
    /// When all of its translations were last dropped.
    pub(crate) changed: u64,
}

impl Page {
    /// A page that something is to be fetched from for the first time.
    pub(crate) fn first_seen(moment: u64) -> Self {
        Self { changed: moment, ..Self::default() }
    }

    /// Whether nothing was made from it.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.regions.is_empty()
    }

    /// Whether what was fetched from some grains of it after a moment still holds, as far as writes are
    /// noticed.
    pub(crate) fn holds_since(&self, moment: u64, grains: u64) -> bool {
        let is_old = |written: &[u64; GRAINS]| {
            (0..GRAINS).all(|n| grains >> n & 1 == 0 || written[n] <= moment)
        };
        self.releasing == 0 && self.changed <= moment && self.written.as_deref().is_none_or(is_old)
    }

    /// Notes that a translation was made from some grains of it.
    pub(crate) fn add_code(&mut self, grains: u64) {
        self.grains |= grains;
        self.lost = 0;
    }

    /// Says in which grains of it there is code that something was made from.
    pub(crate) fn set_code(&mut self, grains: u64) {
        self.grains = grains;
    }

    /// Notes that some grains of it were written to. Whether there is code in them.
    pub(crate) fn note_write(&mut self, moment: u64, grains: u64) -> bool {
        let written = self.written.get_or_insert_with(|| Box::new([0; GRAINS]));
        (0..GRAINS).filter(|n| grains >> n & 1 != 0).for_each(|n| written[n] = moment);
        grains & self.grains != 0
    }

    /// Notes that all of its translations are gone.
    pub(crate) fn clear(&mut self, moment: u64) {
        (self.changed, self.written) = (moment, None);
        (self.protected, self.grains) = (false, 0);
    }

    /// Whether what is left of its translations is better dropped at once than write by write.
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_empty() || self.validate || self.lost >= MOST_LOST
    }

    /// Counts a write that dropped translations. Too many in a short time, with new ones made after each,
    /// and the page is not protected any more.
    pub(crate) fn count_drop(&mut self, thrash_limit: u32) {
        self.lost = self.lost.saturating_add(1);
        if self.lost > 1 {
            return;
        }
        if self.last_write.is_none_or(|last| last.elapsed() > THRASH_WINDOW) {
            self.write_faults = 0;
        }
        self.last_write = Some(Instant::now());
        self.write_faults += 1;
        self.validate |= self.write_faults >= thrash_limit;
    }
}

impl Region {
    pub(crate) fn new(code: &[Range<GuestVirt>], entries: Entries<'_>) -> Self {
        let mut code: SmallVec<[Range<GuestVirt>; 1]> = code.iter().cloned().collect();
        code.sort_by_key(|range| range.start);
        code.dedup_by(|next, range| {
            let joined = next.start <= range.end;
            if joined {
                range.end = range.end.max(next.end);
            }
            joined
        });
        let entry = |&(key, code): &(BlockKey, NonNull<u8>)| (key, code.addr().get());
        Self { code, entries: entries.iter().map(entry).collect() }
    }

    /// Whether it was made from some of these bytes.
    pub(crate) fn overlaps(&self, bytes: &Range<GuestVirt>) -> bool {
        self.code.iter().any(|code| overlap(code, bytes))
    }

    /// The pages with its code, and in which grains of them it lies.
    pub(crate) fn pages(&self) -> BTreeMap<GuestVirt, u64> {
        let mut pages = BTreeMap::new();
        for (page, grains) in self.code.iter().flat_map(grains_by_page) {
            *pages.entry(page).or_default() |= grains;
        }
        pages
    }
}

/// Whether they have a byte in common.
pub(crate) fn overlap(one: &Range<GuestVirt>, other: &Range<GuestVirt>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Some bytes of guest memory, as far as there are any so far up.
pub(crate) fn bytes_at(start: GuestVirt, len: u64) -> Range<GuestVirt> {
    start..GuestVirt(start.0.saturating_add(len))
}

/// The grains of a page in which bytes lie.
pub(crate) fn grains(page: GuestVirt, bytes: &Range<GuestVirt>) -> u64 {
    let first = bytes.start.0.saturating_sub(page.0);
    let end = bytes.end.0.saturating_sub(page.0).min(PAGE_SIZE);
    if first >= end {
        return 0;
    }
    let (first, last) = (first / GRAIN, (end - 1) / GRAIN);
    (u64::MAX >> (GRAINS as u64 - 1 - (last - first))) << first
}

/// The pages on which bytes lie, and the grains.
fn grains_by_page(bytes: &Range<GuestVirt>) -> impl Iterator<Item = (GuestVirt, u64)> + use<> {
    let (bytes, first) = (bytes.clone(), bytes.start.page());
    let pages = bytes.end.0.saturating_sub(first.0).div_ceil(PAGE_SIZE);
    (0..pages).map(move |n| {
        let page = first.wrapping_add(n * PAGE_SIZE);
        (page, grains(page, &bytes))
    })
}

impl Translations {
    /// The known pages that overlap a range.
    pub(crate) fn pages_in(&self, range: &Range<GuestVirt>) -> Vec<GuestVirt> {
        if range.is_empty() {
            return Vec::new();
        }
        let last = GuestVirt(range.end.0 - 1).page();
        self.pages.range(range.start.page()..=last).map(|(&page, _)| page).collect()
    }
}

/// The whole guest address space.
pub(crate) const EVERYWHERE: Range<GuestVirt> = GuestVirt(0)..GuestVirt(u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(start: u64, len: u64) -> Range<GuestVirt> {
        bytes_at(GuestVirt(start), len)
    }

    #[test]
    fn grains_are_those_of_every_byte() {
        let page = GuestVirt(0x5000);
        for (start, len) in
            [(0x5000, 1), (0x503f, 2), (0x4fff, 1), (0x4fff, 2), (0x5ffe, 9), (0, !0)]
        {
            let range = bytes(start, len);
            let slowly = (0..PAGE_SIZE).filter(|at| range.contains(&GuestVirt(page.0 + at)));
            let slowly = slowly.fold(0, |grains, at| grains | 1_u64 << (at / GRAIN));
            assert_eq!(grains(page, &range), slowly, "{range:?}");
        }
        let by_page: Vec<_> = grains_by_page(&bytes(0x5fff, 2)).collect();
        assert_eq!(by_page, [(page, 1 << 63), (GuestVirt(0x6000), 1)]);
    }

    #[test]
    fn what_was_fetched_holds_until_its_grains_are_written_to() {
        let mut page = Page { changed: 3, ..Page::default() };
        page.add_code(0b0110);
        assert!(page.holds_since(3, u64::MAX) && !page.holds_since(2, 1));
        assert!(!page.note_write(4, 0b1001), "no code there");
        assert!(page.holds_since(3, 0b0110) && page.holds_since(4, 0b1001));
        assert!(!page.holds_since(3, 0b0011));
        assert!(page.note_write(5, 0b0100));
        assert!(!page.holds_since(4, 0b0110) && page.holds_since(4, 0b0010));
        page.clear(6);
        assert!(page.holds_since(6, u64::MAX) && !page.holds_since(5, 0));
        page.releasing = 1;
        assert!(!page.holds_since(6, 0));
    }

    #[test]
    fn only_drops_of_new_translations_count() {
        let mut page = Page { regions: vec![RegionId(1)], ..Page::default() };
        page.add_code(1);
        for _ in 1..MOST_LOST {
            page.count_drop(2);
        }
        assert!(!page.validate && !page.is_given_up());
        page.count_drop(2);
        assert!(!page.validate && page.is_given_up());
        page.add_code(1);
        assert!(!page.is_given_up());
        page.count_drop(2);
        assert!(page.validate && page.is_given_up());
    }

    #[test]
    fn a_region_knows_its_bytes_and_pages() {
        let code = [bytes(0x1010, 8), bytes(0x1000, 0x10), bytes(0x1100, 4), bytes(0x1ffc, 8)];
        let region = Region::new(&code, &[]);
        assert_eq!(region.code[..], [bytes(0x1000, 0x18), bytes(0x1100, 4), bytes(0x1ffc, 8)]);
        let pages =
            BTreeMap::from([(GuestVirt(0x1000), 1 | 1 << 4 | 1 << 63), (GuestVirt(0x2000), 1)]);
        assert_eq!(region.pages(), pages);
        assert!(region.overlaps(&bytes(0x1017, 1)) && region.overlaps(&bytes(0x10ff, 2)));
        assert!(!region.overlaps(&bytes(0x1018, 0xe8)));
    }
}
