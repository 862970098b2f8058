//! Which translations were made from which guest page.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use base::GuestVirt;

use crate::block::TbRef;
use crate::epoch::Graveyard;
use crate::promote::RegionId;
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
}

/// A guest page from which something was translated at some time.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Blocks that lie on it, in whole or in part.
    pub(crate) blocks: Vec<TbRef>,
    /// Compiled regions with code from it.
    pub(crate) regions: Vec<RegionId>,
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
    /// When its translations were last dropped.
    pub(crate) changed: u64,
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
