//! The software TLB of one CPU: what its recent accesses' addresses stand for.
//!
//! Entries are tagged with a *context*, a small number that stands for an address space as it is
//! seen at some privilege. Switching address spaces switches the number; flushing one gives it a new number,
//! so that its entries match no more; nothing is cleared until the numbers run out. Each way of seeing an
//! address space (a *view*: user, supervisor, supervisor that may access user pages, …) has a
//! table of its own, since their addresses coincide.
//!
//! Tables are direct-mapped, for they are probed inline ([`TlbEntry`]). They grow while an access
//! in many misses. Behind them lies one larger, associative table of translations ([`Walks`]).

use std::collections::HashMap;

use base::addr::PAGE_SIZE;
use base::{CpuFrame, GuestPhys, GuestVirt, TlbEntry};

use crate::fetched::{Fetched, Fetcher, Full};
use crate::walks::{Walk, Walks};

/// Views of an address space, at most.
pub const MAX_VIEWS: usize = 8;

/// Entries of a new table.
const FIRST_ENTRIES: usize = 512;
/// Entries of the largest.
const MAX_ENTRIES: usize = 1 << 14;
/// Entries that tell where code lies: as many pages a kernel has.
const FETCH_ENTRIES: usize = 1024;
/// Contexts are numbered from 1 to this.
const LAST_CONTEXT: u64 = TlbEntry::CONTEXT_MASK;
/// Evictions of live entries after which a table is doubled, as a part of its size.
const GROW_AFTER: usize = 4;

/// An address space as one privilege sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Space {
    /// The guest's number for the address space. What is translated without page tables has one, too.
    pub asid: u32,
    /// Which of the views, less than [`MAX_VIEWS`].
    pub view: u8,
    /// Views of one number fetch instructions alike. Less than [`MAX_VIEWS`], too.
    pub code: u8,
}

impl Space {
    /// What instructions are fetched from: views of their own, of which contexts come as well.
    fn of_code(self, reach: Reach) -> Self {
        Self { view: MAX_VIEWS as u8 + self.code, ..self.of_data(reach) }
    }

    /// What is accessed.
    fn of_data(self, reach: Reach) -> Self {
        match reach {
            Reach::Everywhere => Self { asid: EVERYWHERE, ..self },
            Reach::OneSpace => self,
        }
    }

    /// Whether a flush of this address space, or of all, is one of this.
    pub(crate) fn is_met_by(self, asid: Option<u32>) -> bool {
        asid.is_none_or(|asid| self.asid == asid || self.asid == EVERYWHERE)
    }
}

/// Stands for all address spaces.
const EVERYWHERE: u32 = u32::MAX;

/// Where the code of a kind of views is the same, or what is accessed by a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Reach {
    /// In all address spaces: so far, all of its pages were global. A kernel's, mostly.
    #[default]
    Everywhere,
    /// In one.
    OneSpace,
}

/// Which translations are forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flush {
    /// Only those of the page that holds this address.
    pub addr: Option<GuestVirt>,
    /// Only those of this address space, but for its global pages.
    pub asid: Option<u32>,
}

impl Flush {
    /// All of them.
    pub const ALL: Self = Self { addr: None, asid: None };
}

/// Counts of what the TLB did. Probes are counted elsewhere, since they are inline.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
pub struct TlbStats {
    /// Look-ups in the table of translations: for accesses that found no entry, for each byte of those that
    /// cross into another page, and for instruction fetches.
    pub look_ups: u64,
    /// Of these, the ones that it knew.
    pub walks_saved: u64,
    /// Flushes of everything or of an address space.
    pub flushes: u64,
    /// Flushes of one page.
    pub page_flushes: u64,
    /// Times that a table was doubled.
    pub grown: u64,
    /// Switches between address spaces.
    pub switches: u64,
}

/// Where code at a page of addresses lies.
#[derive(Clone, Copy, Debug, Default)]
struct Fetch {
    /// The page's address with the context.
    tag: u64,
    phys: u64,
}

/// The TLB.
#[derive(Debug)]
pub struct Tlb {
    tables: [Table; MAX_VIEWS],
    fetches: Box<[Fetch; FETCH_ENTRIES]>,
    fetched: Fetched,
    pub(crate) walks: Walks,
    contexts: HashMap<Space, u64>,
    next_context: u64,
    space: Space,
    context: u64,
    /// The context of instruction fetches.
    code_context: u64,
    code_reach: [Reach; MAX_VIEWS],
    /// By view, and by how it fetches: what page tables map, and what is there without them, is not the same.
    data_reach: [[Reach; MAX_VIEWS]; MAX_VIEWS],
    /// What [`Tlb::switch`] found last for each view.
    recent: [Option<(Space, u64, u64)>; MAX_VIEWS],
    /// How often jumps were forgotten.
    generation: u64,
    pub(crate) stats: TlbStats,
}

/// One view's entries.
#[derive(Debug, Default)]
struct Table {
    entries: Box<[TlbEntry]>,
    evictions: usize,
}

impl Table {
    fn mask(&self) -> u64 {
        (self.entries.len() as u64 - 1) * size_of::<TlbEntry>() as u64
    }

    fn entry(&mut self, addr: u64) -> &mut TlbEntry {
        let at = TlbEntry::offset(addr, self.mask()) as usize / size_of::<TlbEntry>();
        &mut self.entries[at]
    }

    fn resize(&mut self, entries: usize) {
        self.entries = vec![TlbEntry::EMPTY; entries].into();
        self.evictions = 0;
    }
}

impl Default for Tlb {
    fn default() -> Self {
        Self::new()
    }
}

impl Tlb {
    /// An empty TLB. Before it is used, [`Tlb::switch`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            tables: Default::default(),
            fetches: Box::new([Fetch::default(); FETCH_ENTRIES]),
            fetched: Fetched::default(),
            walks: Walks::new(),
            contexts: HashMap::new(),
            next_context: 1,
            space: Space { asid: u32::MAX, view: 0, code: 0 },
            context: 0,
            code_context: 0,
            code_reach: Default::default(),
            data_reach: Default::default(),
            recent: [None; MAX_VIEWS],
            generation: 0,
            stats: TlbStats::default(),
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> TlbStats {
        self.stats
    }

    /// The address space in use.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// Uses an address space from now on.
    pub fn switch(&mut self, frame: &mut CpuFrame, space: Space) {
        if space != self.space || self.context == 0 {
            self.stats.switches += 1;
            self.space = space;
            self.find_contexts();
        }
        self.publish(frame);
    }

    /// The contexts of the address space in use.
    fn find_contexts(&mut self) {
        let (space, view) = (self.space, usize::from(self.space.view) % MAX_VIEWS);
        if let Some((_, context, code)) = self.recent[view].filter(|recent| recent.0 == space) {
            (self.context, self.code_context) = (context, code);
            return;
        }
        let code = space.of_code(self.code_reach[usize::from(space.code) % MAX_VIEWS]);
        let data = space.of_data(*self.data_reach());
        self.context = self.context_of(data);
        self.code_context = self.context_of(code);
        // If the numbers ran out for the second, the first is none any more.
        self.context = self.context_of(data);
        self.recent[view] = Some((space, self.context, self.code_context));
    }

    fn data_reach(&mut self) -> &mut Reach {
        let Space { view, code, .. } = self.space;
        &mut self.data_reach[usize::from(view) % MAX_VIEWS][usize::from(code) % MAX_VIEWS]
    }

    fn context_of(&mut self, space: Space) -> u64 {
        match self.contexts.get(&space) {
            Some(&context) => context,
            None => self.new_context(space),
        }
    }

    /// Lets the frame's probes find the tables, and jumps the environment.
    fn publish(&mut self, frame: &mut CpuFrame) {
        let table = &mut self.tables[usize::from(self.space.view) % MAX_VIEWS];
        if table.entries.is_empty() {
            table.resize(FIRST_ENTRIES);
        }
        (frame.tlb, frame.tlb_mask) = (table.entries.as_mut_ptr(), table.mask());
        frame.tlb_context = self.context;
        self.set_environment(frame);
    }

    fn set_environment(&self, frame: &mut CpuFrame) {
        frame.jump_environment = frame.key_flags | self.generation << 12 | self.code_context;
    }

    fn new_context(&mut self, space: Space) -> u64 {
        if self.next_context > LAST_CONTEXT {
            self.clear();
        }
        let context = self.next_context;
        self.next_context += 1;
        self.contexts.insert(space, context);
        context
    }

    /// The numbers have run out: begins again with nothing. Jump caches must not be believed any more.
    fn clear(&mut self) {
        self.contexts.clear();
        self.fetched.clear();
        self.recent = [None; MAX_VIEWS];
        self.next_context = 1;
        self.walks.clear();
        self.fetches.fill(Fetch::default());
        self.tables.iter_mut().for_each(|table| table.entries.fill(TlbEntry::EMPTY));
        self.next_generation();
    }

    fn next_generation(&mut self) {
        self.generation = (self.generation + 1) & ((1 << 36) - 1);
    }

    /// Lets jump caches forget everything: translations were dropped.
    pub fn forget_jumps(&mut self, frame: &mut CpuFrame) {
        self.next_generation();
        self.set_environment(frame);
    }

    /// Forgets translations.
    pub fn flush(&mut self, frame: &mut CpuFrame, flush: Flush) {
        let renumbered = match flush.addr {
            Some(addr) if !self.walks.is_large(addr) => self.flush_page(addr, flush.asid),
            _ => {
                self.flush_spaces(flush.asid);
                true
            }
        };
        if renumbered {
            self.follow_numbers(frame);
        }
    }

    /// Some address spaces are to get new contexts.
    fn follow_numbers(&mut self, frame: &mut CpuFrame) {
        self.recent = [None; MAX_VIEWS];
        self.find_contexts();
        self.publish(frame);
    }

    /// Whether some are to get new contexts: those who have fetched code from the page, so that jump caches
    /// know nothing of it any more.
    fn flush_page(&mut self, addr: GuestVirt, asid: Option<u32>) -> bool {
        self.stats.page_flushes += 1;
        let page = addr.page().0;
        for table in self.tables.iter_mut().filter(|table| !table.entries.is_empty()) {
            let entry = table.entry(page);
            let tag = if entry.read == 0 { entry.write } else { entry.read };
            if tag & !TlbEntry::CONTEXT_MASK == page {
                *entry = TlbEntry::EMPTY;
            }
        }
        self.walks.flush_page(addr, asid);
        let fetch = &mut self.fetches[fetch_index(page)];
        if fetch.tag & !TlbEntry::CONTEXT_MASK == page {
            *fetch = Fetch::default();
        }
        let fetchers = self.fetched.take(page, asid);
        // All of them, whether or not one was renumbered.
        fetchers.iter().filter(|fetcher| self.retire(**fetcher)).count() > 0
    }

    /// Lets an address space get a new context for what it fetches, unless it has one by now.
    fn retire(&mut self, Fetcher { space, context }: Fetcher) -> bool {
        let is_current = self.contexts.get(&space) == Some(&context);
        if is_current {
            self.contexts.remove(&space);
        }
        is_current
    }

    fn flush_spaces(&mut self, asid: Option<u32>) {
        self.stats.flushes += 1;
        match asid {
            Some(asid) => self.contexts.retain(|space, _| space.asid != asid),
            None => {
                self.contexts.clear();
                self.fetched.clear();
                (self.code_reach, self.data_reach) = Default::default();
            }
        }
        self.walks.flush(asid);
    }

    /// Forgets which pages may be written to.
    pub fn write_protect(&mut self) {
        for entry in self.tables.iter_mut().flat_map(|table| table.entries.iter_mut()) {
            entry.write = 0;
        }
    }

    /// Forgets that this page may be written to, under whatever address.
    pub fn write_protect_page(&mut self, phys: GuestPhys) {
        for entry in self.tables.iter_mut().flat_map(|table| table.entries.iter_mut()) {
            if entry.phys == phys.0 {
                entry.write = 0;
            }
        }
    }

    /// What an access missed: the translation, if it is known.
    pub(crate) fn walked(&mut self, addr: GuestVirt) -> Option<Walk> {
        self.stats.look_ups += 1;
        let walk = self.walks.find(self.space, self.context, addr)?;
        self.stats.walks_saved += 1;
        Some(walk)
    }

    /// Remembers a translation. Only what is remembered is ever put into a table.
    pub(crate) fn remember(&mut self, frame: &mut CpuFrame, addr: GuestVirt, walk: Walk) {
        if !walk.global && *self.data_reach() == Reach::Everywhere {
            *self.data_reach() = Reach::OneSpace;
            self.follow_numbers(frame);
        }
        self.walks.insert(self.space, self.context, addr, walk);
    }

    /// Lets the page that holds an address be read, and written if asked, at its host address.
    pub(crate) fn fill(&mut self, frame: &mut CpuFrame, addr: GuestVirt, page: Filled) {
        let (context, view) = (self.context, usize::from(self.space.view) % MAX_VIEWS);
        let table = &mut self.tables[view];
        let virt = addr.page().0;
        let tag = virt | context;
        let entry = table.entry(virt);
        let others = entry.read | entry.write;
        let evicts = others & TlbEntry::CONTEXT_MASK == context && others & !0xfff != virt;
        let read = if page.rights.is_readable() { tag } else { 0 };
        let write = if page.rights.is_writable() { tag } else { 0 };
        let addend = (page.host as u64).wrapping_sub(virt);
        *entry = TlbEntry { read, write, addend, phys: page.phys.0 };
        table.evictions += usize::from(evicts);
        let entries = table.entries.len();
        if table.evictions > entries / GROW_AFTER && entries < MAX_ENTRIES {
            table.resize(entries * 2);
            self.stats.grown += 1;
            self.publish(frame);
            self.fill(frame, addr, page);
        }
    }

    /// Where the code at an address lies, if that is known.
    #[inline]
    #[must_use]
    pub fn fetched_from(&self, addr: GuestVirt) -> Option<GuestPhys> {
        let page = addr.page().0;
        let fetch = &self.fetches[fetch_index(page)];
        (fetch.tag == page | self.code_context)
            .then_some(GuestPhys(fetch.phys).wrapping_add(addr.page_offset()))
    }

    /// Remembers where the code of a page lies.
    pub(crate) fn fill_fetch(&mut self, frame: &mut CpuFrame, addr: GuestVirt, walk: &Walk) {
        let (phys, kind) = (walk.phys, usize::from(self.space.code) % MAX_VIEWS);
        if !walk.global && self.code_reach[kind] == Reach::Everywhere {
            self.code_reach[kind] = Reach::OneSpace;
            self.follow_numbers(frame);
        }
        let page = addr.page().0;
        while let Err(Full) = self.fetched.note(page, self.fetcher()) {
            self.renumber_code(frame);
        }
        self.fetches[fetch_index(page)] =
            Fetch { tag: page | self.code_context, phys: phys.page().0 };
    }

    /// Who fetches instructions now.
    fn fetcher(&self) -> Fetcher {
        let reach = self.code_reach[usize::from(self.space.code) % MAX_VIEWS];
        Fetcher { space: self.space.of_code(reach), context: self.code_context }
    }

    /// Lets all address spaces get new contexts for what they fetch.
    fn renumber_code(&mut self, frame: &mut CpuFrame) {
        self.contexts.retain(|space, _| usize::from(space.view) < MAX_VIEWS);
        self.fetched.clear();
        self.follow_numbers(frame);
    }

    /// Where code lies in the address space in use, as far as it was fetched lately: pages of addresses,
    /// and of memory.
    #[must_use]
    pub fn fetched_pages(&self) -> Vec<(GuestVirt, GuestPhys)> {
        let here = |fetch: &&Fetch| fetch.tag & TlbEntry::CONTEXT_MASK == self.code_context;
        let pages = self.fetches.iter().filter(here);
        pages.map(|fetch| (GuestVirt(fetch.tag).page(), GuestPhys(fetch.phys))).collect()
    }
}

/// What a page's accesses may do without asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rights {
    Read,
    Write,
    Both,
}

impl Rights {
    fn is_readable(self) -> bool {
        self != Self::Write
    }

    fn is_writable(self) -> bool {
        self != Self::Read
    }
}

/// A page to fill an entry with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    /// Its own address.
    pub(crate) phys: GuestPhys,
    /// Where the host has it.
    pub(crate) host: usize,
    pub(crate) rights: Rights,
}

fn fetch_index(page: u64) -> usize {
    (page / PAGE_SIZE) as usize % FETCH_ENTRIES
}
