//! Dropping translations whose code changed.

#![expect(unsafe_code, reason = "follows the links between blocks under the lock")]

use std::ops::Range;
use std::sync::atomic::Ordering;

use base::sys::fault::HostFault;
use base::{GuestPhys, GuestVirt};

use crate::block::{ExitRef, OutLink, Tb, TbRef};
use crate::engine::Engine;
use crate::pages::{EVERYWHERE, Page, Translations, bytes_at, grains};
use crate::promote::RegionId;

/// What was dropped, to be told when the lock is released.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Dropped {
    blocks: u64,
    regions: Vec<RegionId>,
}

impl Dropped {
    pub(crate) fn is_nothing(&self) -> bool {
        self.blocks == 0 && self.regions.is_empty()
    }
}

/// `si_code` of a SIGSEGV on a page that is mapped without the permission.
const SEGV_ACCERR: i32 = 2;

impl Engine {
    /// Mappings in this range changed, or their contents without a guest's write. Call it after the
    /// change, without a lock that [`crate::CodePages`] takes. Cheap where no code was.
    pub fn mapping_changed(&self, range: Range<GuestVirt>) {
        let dropped = {
            let mut translations = self.translations();
            let mut dropped = Dropped::default();
            for page in translations.pages_in(&range) {
                self.drop_page(&mut translations, page, &mut dropped);
                let is_idle = |p: &Page| p.releasing == 0;
                if translations.pages.get(&page).is_some_and(is_idle) {
                    self.forget_page(&mut translations, page);
                }
            }
            dropped
        };
        self.tell(&dropped);
        if !dropped.is_nothing() && self.is_coherent() {
            self.wait_until_forgotten(self.epoch.current());
        }
    }

    /// The guest synchronises its instruction stream with memory in this range: what was
    /// translated from memory that is written without a fault is compared with it.
    pub fn instruction_sync(&self, range: Range<GuestVirt>) {
        self.settle_pages(&range);
        if !self.has_shared_pages() {
            return;
        }
        for (page, pc, source) in self.shared_sources(&range) {
            let mut memory = vec![0; source.len()];
            let fetched = self.code_pages.fetch(pc, &mut memory);
            if fetched != Ok(source.len()) || memory != *source {
                let mut dropped = Dropped::default();
                self.drop_page(&mut self.translations(), page, &mut dropped);
                self.tell(&dropped);
            }
        }
    }

    /// The same, for all of memory.
    pub fn sync_instructions(&self) {
        self.instruction_sync(EVERYWHERE);
    }

    fn shared_sources(&self, range: &Range<GuestVirt>) -> Vec<(GuestVirt, GuestVirt, Box<[u8]>)> {
        let translations = self.translations();
        let mut sources = Vec::new();
        for page in translations.pages_in(range) {
            let Some(state) = translations.pages.get(&page).filter(|p| p.shared) else { continue };
            for tb in &state.blocks {
                // SAFETY: the lock keeps the blocks of a page.
                let tb = unsafe { tb.get() };
                sources.extend(tb.source.clone().map(|source| (page, tb.key().pc(), source)));
            }
        }
        sources
    }

    /// A guest's write faulted. If that was because of translations, drops them and returns true:
    /// the write should be tried again, before anything is translated from that page.
    #[must_use]
    pub fn write_fault(&self, fault: &HostFault) -> bool {
        let may_be_ours = fault.write && fault.signal == libc::SIGSEGV && fault.code == SEGV_ACCERR;
        may_be_ours && self.make_writable(fault.addr.page())
    }

    /// In a whole machine: `len` bytes of RAM at `at`, all on one page, were written by a CPU that saw the
    /// page protected, or by a device. Drops what was translated from them; what was translated from
    /// other bytes of the page stays, unless it is being overwritten as a whole. What is being translated from around there is fetched again.
    pub fn code_written(&self, at: GuestPhys, len: u64) {
        let (page, bytes) = (GuestVirt(at.0).page(), bytes_at(GuestVirt(at.0), len));
        let mut dropped = Dropped::default();
        let stays = {
            let mut translations = self.translations();
            translations.clock += 1;
            let clock = translations.clock;
            // Who asks for a ticket from here on fetches what was written.
            let Some(state) = translations.pages.get_mut(&page) else { return };
            if state.note_write(clock, grains(page, &bytes)) {
                self.drop_written(&mut translations, &bytes, &mut dropped);
            }
            translations.pages.get(&page).is_some_and(|state| !state.is_given_up())
        };
        if !stays {
            self.make_writable(page);
        } else if !dropped.is_nothing() {
            self.counters.code_writes.add_shared(1);
        }
        self.tell(&dropped);
    }

    /// Drops what was made from some bytes of one page.
    fn drop_written(
        &self,
        translations: &mut Translations,
        bytes: &Range<GuestVirt>,
        dropped: &mut Dropped,
    ) {
        let Some(state) = translations.pages.get(&bytes.start.page()) else { return };
        // SAFETY: the lock keeps the blocks of a page.
        let is_hit = |tb: &&TbRef| unsafe { tb.get() }.overlaps(bytes);
        let blocks: Vec<TbRef> = state.blocks.iter().filter(is_hit).copied().collect();
        let is_hit =
            |id: &&RegionId| translations.regions.get(id).is_some_and(|r| r.overlaps(bytes));
        let regions: Vec<RegionId> = state.regions.iter().filter(is_hit).copied().collect();
        for tb in blocks {
            self.drop_block(translations, tb, dropped);
        }
        for id in regions {
            self.drop_region(translations, id, dropped);
        }
        if dropped.is_nothing() {
            return;
        }
        self.epoch.advance();
        let page = bytes.start.page();
        let left = self.grains_of(translations, page);
        if let Some(state) = translations.pages.get_mut(&page) {
            state.set_code(left);
            state.count_drop(self.config.thrash_limit);
        }
    }

    /// The grains of a page in which there is code that something was made from.
    fn grains_of(&self, translations: &Translations, page: GuestVirt) -> u64 {
        let Some(state) = translations.pages.get(&page) else { return 0 };
        let of = |code: Range<GuestVirt>| grains(page, &code);
        // SAFETY: the lock keeps the blocks of a page.
        let blocks = state.blocks.iter().flat_map(|tb| unsafe { tb.get() }.guest_code());
        let regions = state.regions.iter().filter_map(|id| translations.regions.get(id));
        let regions = regions.flat_map(|region| region.code.iter().cloned());
        blocks.chain(regions).fold(0, |grains, code| grains | of(code))
    }

    /// Drops a page's translations and its protection. Returns whether the guest may write there.
    fn make_writable(&self, page: GuestVirt) -> bool {
        let mut dropped = Dropped::default();
        {
            let mut translations = self.translations();
            self.drop_page(&mut translations, page, &mut dropped);
            let state = translations.pages.entry(page).or_default();
            state.releasing += 1;
            if !dropped.is_nothing() {
                state.count_drop(self.config.thrash_limit);
            }
        }
        self.counters.code_writes.add_shared(1);
        let retry = self.code_pages.release(page);
        {
            let mut translations = self.translations();
            if let Some(state) = translations.pages.get_mut(&page) {
                // A fork may have reset it meanwhile.
                state.releasing = state.releasing.saturating_sub(1);
            }
        }
        self.tell(&dropped);
        retry
    }

    /// Drops one block.
    pub(crate) fn drop_one(&self, tb: TbRef) {
        let mut dropped = Dropped::default();
        {
            let mut translations = self.translations();
            self.drop_block(&mut translations, tb, &mut dropped);
            self.epoch.advance();
        }
        self.tell(&dropped);
    }

    /// Drops all blocks: there are too many.
    pub(crate) fn flush(&self) {
        let mut dropped = Dropped::default();
        {
            let mut translations = self.translations();
            // SAFETY: the lock is held.
            for tb in unsafe { self.cache.blocks() } {
                self.drop_block(&mut translations, tb, &mut dropped);
            }
            self.epoch.advance();
        }
        self.counters.flushes.add_shared(1);
        self.tell(&dropped);
    }

    /// Drops all translations, compiled ones too, and lets nothing come of those in the making.
    pub(crate) fn drop_all(&self) {
        let mut dropped = Dropped::default();
        {
            let mut translations = self.translations();
            for page in translations.pages_in(&EVERYWHERE) {
                self.drop_page(&mut translations, page, &mut dropped);
            }
        }
        self.tell(&dropped);
    }

    pub(crate) fn drop_page(
        &self,
        translations: &mut Translations,
        page: GuestVirt,
        dropped: &mut Dropped,
    ) {
        translations.clock += 1;
        let clock = translations.clock;
        let Some(state) = translations.pages.get_mut(&page) else { return };
        state.clear(clock);
        let blocks = std::mem::take(&mut state.blocks);
        let regions = std::mem::take(&mut state.regions);
        if translations.settling.remove(&page).is_some() {
            self.count_settling(translations);
        }
        for &tb in &blocks {
            self.drop_block(translations, tb, dropped);
        }
        for id in regions {
            self.drop_region(translations, id, dropped);
        }
        if !dropped.is_nothing() {
            self.epoch.advance();
        }
    }

    /// Forgets what is known of a page.
    fn forget_page(&self, translations: &mut Translations, page: GuestVirt) {
        let shared = translations.pages.remove(&page).is_some_and(|state| state.shared);
        self.shared_pages.fetch_sub(usize::from(shared), Ordering::AcqRel);
    }

    /// Takes a block out of everything that leads to it, and buries it. The caller advances the
    /// epoch before it releases the lock.
    pub(crate) fn drop_block(
        &self,
        translations: &mut Translations,
        tb: TbRef,
        dropped: &mut Dropped,
    ) {
        // SAFETY: the lock is held, and the block is in the cache until this removes it.
        let block = unsafe { tb.get() };
        if block.dead.swap(true, Ordering::AcqRel) {
            return;
        }
        // SAFETY: the lock is held.
        unsafe {
            self.cache.remove(tb);
            cut_incoming(block);
            cut_outgoing(tb);
        }
        for page in block.pages() {
            if let Some(state) = translations.pages.get_mut(&page) {
                state.blocks.retain(|&other| other != tb);
            }
        }
        translations.bytes -= block.host_bytes();
        // The epoch that the caller is about to begin.
        let epoch = self.epoch.current() + 1;
        translations.graveyard.bury_block(epoch, tb);
        dropped.blocks += 1;
    }

    /// Drops a region: nothing leads to it any more but links and jump caches, which go when this is told.
    /// The caller advances the epoch before it releases the lock.
    fn drop_region(&self, translations: &mut Translations, id: RegionId, dropped: &mut Dropped) {
        if self.take_region(translations, id, self.config.first_budget()) {
            dropped.regions.push(id);
        }
    }

    /// Takes a region out of its pages, and out of the blocks where it is entered: these get a budget. Whether
    /// there was such a region.
    pub(crate) fn take_region(
        &self,
        translations: &mut Translations,
        id: RegionId,
        budget: i32,
    ) -> bool {
        let Some(region) = translations.regions.remove(&id) else { return false };
        for page in region.pages().into_keys() {
            if let Some(state) = translations.pages.get_mut(&page) {
                state.regions.retain(|&other| other != id);
            }
        }
        for (key, code) in region.entries {
            // SAFETY: the lock keeps the blocks in the cache.
            let Some(tb) = (unsafe { self.cache.find(key) }) else { continue };
            // SAFETY: as above.
            let block = unsafe { tb.get() };
            if block.compiled().is_some_and(|compiled| compiled.addr().get() == code) {
                block.forget_compiled(budget);
            }
        }
        true
    }

    /// Tells CPUs and promoter. Without the lock.
    pub(crate) fn tell(&self, dropped: &Dropped) {
        if dropped.is_nothing() {
            return;
        }
        self.counters.invalidated_blocks.add_shared(dropped.blocks);
        self.counters.invalidated_regions.add_shared(dropped.regions.len() as u64);
        match self.promoter.get().filter(|_| !dropped.regions.is_empty()) {
            Some(promoter) => {
                promoter.unlink(&dropped.regions);
                // By a link, a CPU may have come there since they were dropped.
                promoter.discard(&dropped.regions, self.withdraw(&[]));
            }
            None => self.forget_and_free(),
        }
    }
}

/// Unlinks all exits that lead to a block.
///
/// # Safety
/// The caller holds the lock of the translations.
unsafe fn cut_incoming(block: &Tb) {
    // SAFETY: the lock is held, and blocks in a list live.
    unsafe {
        let mut next = block.links().incoming.take();
        while let Some(exit) = next {
            let (source, side) = (exit.from().get(), exit.side());
            source.code.set_link(side, None);
            let out = &mut source.links().out[side as usize];
            next = out.next;
            *out = OutLink::default();
        }
    }
}

/// Unlinks a block's own exits.
///
/// # Safety
/// The caller holds the lock of the translations.
unsafe fn cut_outgoing(tb: TbRef) {
    use ir::interp::Side::{Fallthrough, Taken};
    // SAFETY: the lock is held, and a block that is linked to lives.
    unsafe {
        let block = tb.get();
        for side in [Taken, Fallthrough] {
            block.code.set_link(side, None);
            let OutLink { to, next } = std::mem::take(&mut block.links().out[side as usize]);
            if let Some(to) = to {
                remove_from(to.get(), ExitRef::new(tb, side), next);
            }
        }
    }
}

/// Takes `exit`, which `next` follows, out of the list of exits linked to `target`.
///
/// # Safety
/// The caller holds the lock of the translations.
unsafe fn remove_from(target: &Tb, exit: ExitRef, next: Option<ExitRef>) {
    // SAFETY: the lock is held, and blocks in a list live.
    unsafe {
        if target.links().incoming == Some(exit) {
            target.links().incoming = next;
            return;
        }
        let mut at = target.links().incoming;
        while let Some(before) = at {
            let out = &mut before.from().get().links().out[before.side() as usize];
            if out.next == Some(exit) {
                out.next = next;
                return;
            }
            at = out.next;
        }
    }
}
