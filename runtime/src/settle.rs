//! In a whole machine: code that other CPUs may still write to without being noticed.
//!
//! A CPU's stores are noticed where it looks at the page's flag first. It does not while its TLB holds the
//! page as writable, nor between looking and storing. So a page that was protected just now is *settling*
//! until every other CPU has taken note: it was asked by its interrupt word, has forgotten which pages it
//! may write to, and has said so by [`CpuShared::protected`]. A CPU that is idle makes no stores, and
//! takes note when it begins to run.
//!
//! What is translated from a settling page keeps its source, and is compared with memory whenever a CPU
//! synchronises its instruction stream, and once more after the last CPU has taken note. From then on
//! every store is noticed: a CPU that stores to the page tells [`Engine::code_written`] afterwards.
//! Compiled code is made from settled pages only.
//!
//! What is being translated meanwhile has been fetched, but is not there to be compared. So a page settles
//! before anything is fetched from it, and comparing it lets nothing come of what was fetched before: a
//! block that is found after a CPU has synchronised was compared, or fetched, after that.

#![expect(unsafe_code, reason = "looks at the blocks of a page under the lock")]

use std::ops::Range;
use std::sync::atomic::{Ordering, fence};

use base::{CpuFrame, GuestVirt};
use ir::BlockKey;

use crate::block::TbRef;
use crate::config::Addresses;
use crate::cpus::CpuShared;
use crate::engine::Engine;
use crate::epoch::IDLE;
use crate::invalidate::Dropped;
use crate::pages::Translations;

/// A page that settles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Settling {
    /// The last protection that CPUs must take note of.
    pub(crate) number: u64,
    /// How often something was about to be fetched from it.
    fetches: u64,
}

impl Settling {
    /// Something is about to be fetched after this protection.
    fn add(&mut self, number: u64) {
        self.number = self.number.max(number);
        self.fetches += 1;
    }
}

/// What a block was made from.
struct Source {
    key: BlockKey,
    second_page: Option<GuestVirt>,
    bytes: Box<[u8]>,
}

impl CpuShared {
    /// Whether it makes no store any more by what it knew before a protection.
    fn knows(&self, number: u64) -> bool {
        self.seen.load(Ordering::SeqCst) == IDLE || self.protected.load(Ordering::SeqCst) >= number
    }
}

impl Engine {
    /// Protects a page, on the thread of a CPU (which takes note itself before it goes on) or of somebody
    /// else. The protection's number if there are CPUs that do not know of it yet.
    pub(crate) fn protect(&self, page: GuestVirt, cpu: Option<&CpuShared>) -> Option<u64> {
        self.code_pages.protect(page);
        if self.config.addresses == Addresses::Virtual {
            return None;
        }
        let number = self.protections.fetch_add(1, Ordering::SeqCst) + 1;
        let mut settles = false;
        let is_own = |other: &CpuShared| cpu.is_some_and(|cpu| std::ptr::eq(cpu, other));
        for other in self.cpus.lock().iter().filter(|other| !is_own(other)) {
            if !other.knows(number) {
                other.interrupt(CpuFrame::INTERRUPT_WRITE_PROTECT);
                settles = true;
            }
        }
        settles.then_some(number)
    }

    /// Says how many pages settle, for those that ask without the lock.
    pub(crate) fn count_settling(&self, translations: &Translations) {
        self.settling_pages.store(translations.settling.len(), Ordering::Release);
    }

    /// Notes that something is about to be fetched from a page that settles.
    pub(crate) fn note_settling(&self, page: GuestVirt, number: u64) {
        {
            let mut translations = self.translations();
            translations.settling.entry(page).or_default().add(number);
            self.count_settling(&translations);
        }
        // Whoever synchronises and does not see that the page settles has seen nothing that is not fetched
        // from here on.
        fence(Ordering::SeqCst);
    }

    fn is_settling(&self) -> bool {
        fence(Ordering::SeqCst);
        self.settling_pages.load(Ordering::Acquire) != 0
    }

    /// The protection that all CPUs know of.
    fn known_to_all(&self) -> u64 {
        let known = |cpu: &CpuShared| match cpu.seen.load(Ordering::SeqCst) {
            IDLE => u64::MAX,
            _ => cpu.protected.load(Ordering::SeqCst),
        };
        self.cpus.lock().iter().map(|cpu| known(cpu)).min().unwrap_or(u64::MAX)
    }

    /// If a page has only to be compared with memory to be settled, does that.
    pub(crate) fn settle_page(&self, page: GuestVirt) {
        if !self.is_settling() {
            return;
        }
        let known = self.known_to_all();
        let settling = self.translations().settling.get(&page).copied();
        if let Some(settling) = settling.filter(|settling| settling.number <= known) {
            self.compare(page, settling, known);
        }
    }

    /// Compares the pages of a range that are settling with memory.
    pub(crate) fn settle_pages(&self, range: &Range<GuestVirt>) {
        if !self.is_settling() {
            return;
        }
        let known = self.known_to_all();
        let within = |page: &GuestVirt| page.0 < range.end.0 && range.start.page() <= *page;
        let pages: Vec<(GuestVirt, Settling)> = {
            let translations = self.translations();
            let pages = translations.settling.iter().filter(|(page, _)| within(page));
            pages.map(|(&page, &settling)| (page, settling)).collect()
        };
        for (page, settling) in pages {
            self.compare(page, settling, known);
        }
    }

    /// Drops the blocks of a page whose source is not what memory holds, and lets nothing come of what was
    /// fetched from it before. The page is settled if all CPUs knew of its protection before, and nothing
    /// was fetched meanwhile.
    fn compare(&self, page: GuestVirt, settling: Settling, known: u64) {
        let sources = self.sources(page);
        let mut buffer = Vec::new();
        let differs = |source: &Source| {
            let Source { key, second_page, bytes } = source;
            !self.is_in_memory(key.pc(), *second_page, bytes, &mut buffer)
        };
        let changed: Vec<Source> = sources.into_iter().filter(differs).collect();
        let mut dropped = Dropped::default();
        {
            let mut translations = self.translations();
            self.drop_changed(&mut translations, &changed, &mut dropped);
            let is_last = translations.settling.get(&page) == Some(&settling);
            if settling.number <= known && is_last {
                translations.settling.remove(&page);
                self.count_settling(&translations);
            }
        }
        self.tell(&dropped);
    }

    /// The sources of a page's blocks. From here on, nothing comes of what was fetched from it before.
    fn sources(&self, page: GuestVirt) -> Vec<Source> {
        let mut translations = self.translations();
        translations.clock += 1;
        let clock = translations.clock;
        let Some(state) = translations.pages.get_mut(&page) else { return Vec::new() };
        state.changed = clock;
        let source = |tb: &TbRef| {
            // SAFETY: the lock keeps the blocks of a page.
            let tb = unsafe { tb.get() };
            let bytes = tb.source.clone()?;
            Some(Source { key: tb.key(), second_page: tb.second_page, bytes })
        };
        state.blocks.iter().filter_map(source).collect()
    }

    /// Drops the blocks that were made from other bytes than memory holds.
    fn drop_changed(
        &self,
        translations: &mut Translations,
        changed: &[Source],
        dropped: &mut Dropped,
    ) {
        for Source { key, bytes, .. } in changed {
            // SAFETY: the lock keeps the blocks in the cache.
            let Some(tb) = (unsafe { self.cache.find(*key) }) else { continue };
            // SAFETY: as above.
            if unsafe { tb.get() }.source.as_ref() == Some(bytes) {
                self.drop_block(translations, tb, dropped);
            }
        }
        if !dropped.is_nothing() {
            self.epoch.advance();
        }
    }
}
