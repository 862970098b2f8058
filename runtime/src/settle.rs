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

#![expect(unsafe_code, reason = "looks at the blocks of a page under the lock")]

use std::ops::Range;
use std::sync::atomic::Ordering;

use base::{CpuFrame, GuestVirt};

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
    /// Blocks that were made of it so far.
    blocks: u64,
}

impl Settling {
    /// One more block, of bytes that were fetched after this protection.
    pub(crate) fn add(&mut self, number: u64) {
        self.number = self.number.max(number);
        self.blocks += 1;
    }
}

/// What a block was made from.
struct Source {
    pc: GuestVirt,
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

    fn is_settling(&self) -> bool {
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

    /// Drops what was made from a page if one block's source is not what memory holds. Else the page is
    /// settled, if all CPUs knew of its protection before and no block has come meanwhile.
    fn compare(&self, page: GuestVirt, settling: Settling, known: u64) {
        let mut buffer = Vec::new();
        let is_same = self.sources(page).iter().all(|Source { pc, second_page, bytes }| {
            self.is_in_memory(*pc, *second_page, bytes, &mut buffer)
        });
        let mut dropped = Dropped::default();
        {
            let mut translations = self.translations();
            if !is_same {
                self.drop_page(&mut translations, page, &mut dropped);
            } else if settling.number <= known
                && translations.settling.get(&page) == Some(&settling)
            {
                translations.settling.remove(&page);
                self.count_settling(&translations);
            }
        }
        self.tell(&dropped);
    }

    fn sources(&self, page: GuestVirt) -> Vec<Source> {
        let translations = self.translations();
        let source = |tb: &TbRef| {
            // SAFETY: the lock keeps the blocks of a page.
            let tb = unsafe { tb.get() };
            let bytes = tb.source.clone()?;
            Some(Source { pc: tb.key().pc(), second_page: tb.second_page, bytes })
        };
        let blocks = translations.pages.get(&page).map(|state| &state.blocks);
        blocks.into_iter().flatten().filter_map(source).collect()
    }
}
