//! The second level of a TLB: what walking the guest's page tables gave, whatever was accessed
//! there.

use base::addr::PAGE_SIZE;
use base::{GuestPhys, GuestVirt};

use crate::tlb::Space;

/// Sets, a power of two.
const SETS: usize = 1024;
/// Entries in a set.
const WAYS: usize = 4;
/// Ranges of large pages that are told apart.
const LARGE_RANGES: usize = 16;

/// What a walk gave for one page of 4 KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walk {
    /// Where the page lies.
    pub phys: GuestPhys,
    /// How many bytes the guest mapped at once, 4 KiB or more.
    pub size: u64,
    /// It may be read.
    pub readable: bool,
    /// It may be written, and is marked as written to where the guest's tables say so.
    pub writable: bool,
    /// It may be executed.
    pub executable: bool,
    /// It is the same in all address spaces.
    pub global: bool,
    /// The whole page is like that, and may be remembered.
    pub whole: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    page: u64,
    asid: u32,
    /// The context; for global pages, none.
    context: u64,
    view: u8,
    /// Flushes of everything that it has survived.
    generation: u64,
    walk: Walk,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Walks {
    sets: Box<[[Option<Entry>; WAYS]]>,
    victim: usize,
    generation: u64,
    /// Where pages larger than 4 KiB were seen: first and last byte.
    large: Vec<(u64, u64)>,
}

impl Walks {
    pub(crate) fn new() -> Self {
        Self { sets: vec![[None; WAYS]; SETS].into(), victim: 0, generation: 0, large: Vec::new() }
    }

    pub(crate) fn clear(&mut self) {
        self.sets.fill([None; WAYS]);
        self.large.clear();
    }

    fn set(&mut self, page: u64) -> &mut [Option<Entry>; WAYS] {
        let hash = (page / PAGE_SIZE).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        &mut self.sets[hash as usize % SETS]
    }

    pub(crate) fn find(&mut self, space: Space, context: u64, addr: GuestVirt) -> Option<Walk> {
        let (page, generation) = (addr.page().0, self.generation);
        let found = self.set(page).iter().flatten().find(|entry| {
            let same_space = entry.context == context || entry.walk.global;
            entry.page == page
                && same_space
                && entry.view == space.view
                && entry.generation == generation
        });
        found.map(|entry| entry.walk)
    }

    pub(crate) fn insert(&mut self, space: Space, context: u64, addr: GuestVirt, walk: Walk) {
        if walk.size > PAGE_SIZE {
            self.note_large(addr, walk.size);
        }
        let (page, generation, view) = (addr.page().0, self.generation, space.view);
        self.victim = self.victim.wrapping_add(1);
        let victim = self.victim % WAYS;
        let set = self.set(page);
        let old = set.iter().position(|entry| {
            entry.is_none_or(|e| {
                e.generation != generation
                    || e.page == page && e.view == view && (e.context == context || e.walk.global)
            })
        });
        let context = if walk.global { 0 } else { context };
        let entry = Entry { page, asid: space.asid, context, view, generation, walk };
        set[old.unwrap_or(victim)] = Some(entry);
    }

    fn note_large(&mut self, addr: GuestVirt, size: u64) {
        let first = addr.0 & !(size - 1);
        let last = first + (size - 1);
        let near = |&(f, l): &(u64, u64)| {
            first <= l.saturating_add(size) && last >= f.saturating_sub(size)
        };
        if let Some(range) = self.large.iter_mut().find(|range| near(range)) {
            *range = (range.0.min(first), range.1.max(last));
        } else if self.large.len() < LARGE_RANGES {
            self.large.push((first, last));
        } else if let Some(range) = self.large.first_mut() {
            *range = (range.0.min(first), range.1.max(last));
        }
    }

    /// Whether an address may lie on a page of more than 4 KiB: other pages then share its walk.
    pub(crate) fn is_large(&self, addr: GuestVirt) -> bool {
        self.large.iter().any(|&(first, last)| (first..=last).contains(&addr.0))
    }

    pub(crate) fn flush_page(&mut self, addr: GuestVirt, asid: Option<u32>) {
        let page = addr.page().0;
        for entry in self.set(page) {
            let dropped = |e: &Entry| {
                let own = asid.is_none_or(|asid| e.asid == asid && !e.walk.global);
                e.page == page && own
            };
            if entry.as_ref().is_some_and(dropped) {
                *entry = None;
            }
        }
    }

    /// Forgets everything, or an address space. Its entries match no more because its contexts get new
    /// numbers; global ones stay.
    pub(crate) fn flush(&mut self, asid: Option<u32>) {
        if asid.is_none() {
            self.generation += 1;
            self.large.clear();
        }
    }
}
