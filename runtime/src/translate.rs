//! From guest bytes to tier 0 blocks.
//!
//! A page is protected before its bytes are fetched, and a block enters the cache only if none of its
//! bytes was written to in between. Neither the guest's memory map nor the promoter is
//! ever called with the lock held.

#![expect(unsafe_code, reason = "puts blocks into the cache")]

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::GuestVirt;
use base::cpu::Effects;
use ir::interp::{Code, LowerError, Lowerer};
use ir::ops::flag;
use ir::{Block, BlockKey, Builder, Guest, Inst, Opcode};
use translator::{Limits, Translation};

use crate::block::{Tb, TbRef, pages_of};
use crate::config::{Addresses, Observation};
use crate::cpus::CpuShared;
use crate::engine::Engine;
use crate::exit::{FetchFault, FetchFaultCause};
use crate::invalidate::Dropped;
use crate::log::LogItem;
use crate::pages::{Page, Translations, bytes_at, grains};

/// What one CPU translates with.
#[derive(Debug)]
pub(crate) struct Translator {
    builder: Builder,
    lowerer: Lowerer,
    bytes: Vec<u8>,
    /// Whose it is.
    cpu: Arc<CpuShared>,
}

/// A page as it was before its bytes were fetched.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    page: GuestVirt,
    /// When it was made.
    moment: u64,
    validate: bool,
    shared: bool,
    /// The protection that other CPUs must take note of before their writes are noticed.
    settling: Option<u64>,
}

/// Tickets of the pages of a block: one, or two.
type Tickets = [Option<Ticket>; 2];

/// What translating once gave.
enum Attempt<T> {
    Done(T),
    /// Something changed meanwhile, or another page is needed: again.
    Again,
}

impl Translator {
    pub(crate) fn new(cpu: &Arc<CpuShared>) -> Self {
        let (builder, lowerer, cpu) = (Builder::new(), Lowerer::new(), Arc::clone(cpu));
        Self { builder, lowerer, bytes: Vec::new(), cpu }
    }

    /// Whether a block's code is still what it was made from.
    pub(crate) fn is_valid(&mut self, engine: &Engine, block: &Tb) -> bool {
        let Some(source) = &block.source else { return true };
        let (pc, second_page) = (block.key().pc(), block.second_page);
        engine.is_in_memory(pc, second_page, source, &mut self.bytes)
    }
}

impl Engine {
    /// Whether memory holds these bytes of code at `pc`, and what does not fit there on its second page.
    pub(crate) fn is_in_memory(
        &self,
        pc: GuestVirt,
        second_page: Option<GuestVirt>,
        source: &[u8],
        buffer: &mut Vec<u8>,
    ) -> bool {
        buffer.resize(source.len(), 0);
        let mut fetched = self.code_pages.fetch(pc, buffer);
        if let (Ok(first), Some(second)) = (fetched, second_page) {
            let rest = self.code_pages.fetch(second, &mut buffer[first..]);
            fetched = rest.map(|rest| first + rest);
        }
        fetched == Ok(source.len()) && buffer[..] == *source
    }

    /// Translates the block of a key, and puts it into the cache unless another CPU was quicker.
    ///
    /// # Safety
    /// The caller is in an epoch, and uses the block in the same one.
    pub(crate) unsafe fn translate(
        &self,
        translator: &mut Translator,
        key: BlockKey,
        second_page: Option<GuestVirt>,
    ) -> Result<TbRef, FetchFault> {
        let mut limits = if second_page.is_some() { Limits::STEP } else { self.config.limits };
        loop {
            let cpu = Arc::clone(&translator.cpu);
            let second = second_page.map(|page| self.ticket(page, Some(&cpu)));
            let mut tickets = [Some(self.ticket(key.pc().page(), Some(&cpu))), second];
            let guest_bytes = match self.build(translator, key, limits, &mut tickets)? {
                Attempt::Done(guest_bytes) => guest_bytes,
                Attempt::Again => continue,
            };
            let validate = tickets.iter().flatten().any(|ticket| ticket.validate);
            if let Some(store) = self.store_before_end(translator, key).filter(|_| validate) {
                limits.max_insns = store;
                continue;
            }
            let code = match self.lower(translator, key) {
                Ok(code) => code,
                Err(LowerError::TooLarge(_)) if limits.max_insns > 1 => {
                    limits.max_insns /= 2;
                    continue;
                }
                Err(error) => return Err(untranslatable(key.pc(), &error)),
            };
            let watched = tickets.iter().flatten().any(Ticket::is_compared);
            let kept = watched || self.config.observation != Observation::None;
            let source = kept.then(|| translator.bytes[..guest_bytes as usize].into());
            let mut tb = Tb::new(code, guest_bytes, source);
            tb.validate = validate;
            tb.second_page = second_page;
            if tb.is_watched() {
                tb.budget().store(0, Ordering::Relaxed);
            }
            // SAFETY: the caller is in an epoch.
            if let Attempt::Done(tb) = unsafe { self.insert(tb, &tickets) } {
                return Ok(tb);
            }
        }
    }

    /// Where what was built goes on after a store that the guest may have made to it, without a word: how many
    /// instructions there are up to there. Nothing may follow it in a block that is compared with memory before it
    /// is executed.
    fn store_before_end(&self, translator: &Translator, key: BlockKey) -> Option<u32> {
        if !self.frontend.is_coherent() {
            return None;
        }
        let guest = self.frontend.guest();
        translator.builder.with_finished(key.pc(), |block| {
            let mut insns = 0;
            for inst in &block.insts {
                insns += u32::from(inst.op == Opcode::Mark);
                if may_store(inst, guest) {
                    break;
                }
            }
            (insns < block.guest_insns).then_some(insns)
        })
    }

    /// One instruction's code and bytes, for a single execution: not kept, so nothing is protected.
    pub(crate) fn translate_step(
        &self,
        translator: &mut Translator,
        key: BlockKey,
        second_page: Option<GuestVirt>,
    ) -> Result<(Code, Box<[u8]>), FetchFault> {
        let unprotected =
            |page| Ticket { page, moment: 0, validate: false, shared: false, settling: None };
        loop {
            let mut tickets = [None, second_page.map(unprotected)];
            let built = self.build(translator, key, Limits::STEP, &mut tickets)?;
            if let Attempt::Done(guest_bytes) = built {
                let source = translator.bytes[..guest_bytes as usize].into();
                let code = self.lower(translator, key);
                let code = code.map_err(|error| untranslatable(key.pc(), &error))?;
                return Ok((code, source));
            }
        }
    }

    /// The IR of a block, for whoever compiles. Its pages are protected; what is made of it may be
    /// published with a stamp from before the call.
    ///
    /// # Errors
    /// It cannot be fetched, its page is written too often, or a debugger wants to see it.
    ///
    /// `from` is where the code lies, where that is not the key's own pc: what is found by physical address
    /// is put into a region by where the guest sees it.
    pub fn translate_ir(
        &self,
        builder: &Builder,
        key: BlockKey,
        from: GuestVirt,
    ) -> Result<Block, FetchFault> {
        let mut bytes = Vec::new();
        let fault = |addr| FetchFault { addr, cause: FetchFaultCause::Unmapped };
        if self.points.is_cut(from) {
            return Err(fault(from));
        }
        loop {
            let page = from.page();
            let ticket = match self.config.addresses {
                Addresses::Virtual => Some(self.ticket(page, None)),
                Addresses::Physical => self.ticket_if_protected(page),
            };
            let mut tickets = [Some(ticket.ok_or(fault(page))?), None];
            let limits = self.config.limits;
            let built = self.build_with(builder, &mut bytes, key, from, limits, &mut tickets)?;
            if let Some(ticket) = tickets.iter().flatten().find(|ticket| ticket.validate) {
                return Err(fault(ticket.page));
            }
            if let Attempt::Done((guest_bytes, next)) = built {
                self.confirm(&tickets, &bytes_at(from, guest_bytes.into()));
                return Ok(builder.finish(next));
            }
        }
    }

    /// Notes what was protected for these tickets, if it still is.
    fn confirm(&self, tickets: &Tickets, code: &Range<GuestVirt>) {
        let mut translations = self.translations();
        if hold(&translations, tickets, std::slice::from_ref(code)) {
            note_protected(&mut translations, tickets, self);
        }
    }

    /// Gets a page ready for fetching, by a CPU or somebody else. Waits while another thread makes it
    /// writable.
    fn ticket(&self, page: GuestVirt, cpu: Option<&CpuShared>) -> Ticket {
        self.settle_page(page);
        loop {
            let mut translations = self.translations();
            let clock = translations.clock;
            let state = translations.pages.entry(page).or_insert_with(|| Page::first_seen(clock));
            if state.releasing != 0 {
                drop(translations);
                std::thread::yield_now();
                continue;
            }
            let (validate, mut shared) = (state.validate, state.shared);
            let protect = !state.protected && !validate;
            let mut settling = translations.settling.get(&page).map(|s| s.number);
            drop(translations);
            if protect {
                shared = self.code_pages.is_shared(page);
                if shared && self.frontend.is_coherent() {
                    self.let_validate(page);
                    continue;
                }
                settling = self.protect(page, cpu);
            }
            // Before anything is fetched, so that whoever synchronises knows of it.
            settling.inspect(|&number| self.note_settling(page, number));
            return Ticket { page, moment: clock, validate, shared, settling };
        }
    }

    /// From now on, blocks of a page are compared with memory before each execution.
    fn let_validate(&self, page: GuestVirt) {
        let mut dropped = Dropped::default();
        {
            let mut translations = self.translations();
            self.drop_page(&mut translations, page, &mut dropped);
            translations.pages.entry(page).or_default().validate = true;
        }
        self.tell(&dropped);
    }

    /// A ticket for a page whose writes are all noticed, which is what compiled code needs: it is not
    /// compared with memory.
    fn ticket_if_protected(&self, page: GuestVirt) -> Option<Ticket> {
        self.settle_page(page);
        let translations = self.translations();
        let state = translations.pages.get(&page)?;
        let (validate, shared) = (state.validate, state.shared);
        let settled = !translations.settling.contains_key(&page);
        let moment = translations.clock;
        let ticket = Ticket { page, moment, validate, shared, settling: None };
        (state.protected && state.releasing == 0 && settled).then_some(ticket)
    }

    fn build(
        &self,
        translator: &mut Translator,
        key: BlockKey,
        limits: Limits,
        tickets: &mut Tickets,
    ) -> Result<Attempt<u32>, FetchFault> {
        let Translator { builder, bytes, .. } = translator;
        match self.build_with(builder, bytes, key, key.pc(), limits, tickets)? {
            Attempt::Done((guest_bytes, next)) => {
                builder.with_finished(next, |block| self.log_block(block, bytes));
                Ok(Attempt::Done(guest_bytes))
            }
            Attempt::Again => Ok(Attempt::Again),
        }
    }

    /// Fetches and translates into the builder. Returns the block's length in bytes and the pc
    /// after it. Where tickets are wanted (the first is there), gets that of a second page.
    fn build_with(
        &self,
        builder: &Builder,
        bytes: &mut Vec<u8>,
        key: BlockKey,
        from: GuestVirt,
        limits: Limits,
        tickets: &mut Tickets,
    ) -> Result<Attempt<(u32, GuestVirt)>, FetchFault> {
        let pc = key.pc();
        loop {
            bytes.resize(self.frontend.max_code_bytes(pc, limits), 0);
            let mut fetched = self.code_pages.fetch(from, bytes)?;
            if let (Addresses::Physical, Some(second)) = (self.config.addresses, tickets[1]) {
                fetched += self.code_pages.fetch(second.page, &mut bytes[fetched..])?;
            }
            let code = &bytes[..fetched];
            let next = match self.translate_uncut(builder, key, code, limits) {
                Translation::Done { next } => next,
                Translation::Unfetchable(addr) if self.config.addresses == Addresses::Physical => {
                    return Err(FetchFault { addr, cause: FetchFaultCause::OtherPage });
                }
                Translation::Unfetchable(addr) => {
                    self.code_pages.fetch(addr, &mut [0])?;
                    // It can be fetched now.
                    return Ok(Attempt::Again);
                }
            };
            let guest_bytes = next.0.wrapping_sub(pc.0) as u32;
            let known = self.config.addresses == Addresses::Virtual;
            match pages_of(pc, guest_bytes).nth(1).filter(|_| known) {
                Some(second) if tickets[0].is_some() && tickets[1].is_none() => {
                    tickets[1] = Some(self.ticket(second, None));
                }
                _ => return Ok(Attempt::Done((guest_bytes, next))),
            }
        }
    }

    /// Translates up to the next breakpoint at most.
    fn translate_uncut(
        &self,
        builder: &Builder,
        key: BlockKey,
        code: &[u8],
        limits: Limits,
    ) -> Translation {
        let uncut = self.points.uncut(key.pc(), code.len());
        let uncut = self.up_to_end(key.pc(), &code[..uncut], limits);
        let is_guarded = self.frontend.knows_guards() && self.code_pages.is_guarded(key.pc());
        let translate = |code: &[u8], limits| match is_guarded {
            true => self.frontend.translate_guarded(builder, key, code, limits),
            false => self.frontend.translate(builder, key, code, limits),
        };
        match translate(&code[..uncut], limits) {
            // A breakpoint within the first instruction.
            Translation::Unfetchable(_) if uncut < code.len() => translate(code, Limits::STEP),
            translation => translation,
        }
    }

    /// How much of the code there is up to the first instruction after which a block has to end.
    fn up_to_end(&self, pc: GuestVirt, code: &[u8], limits: Limits) -> usize {
        let Some(ends) = &self.config.ends else { return code.len() };
        let mut at = 0;
        for _ in 0..limits.max_insns {
            let rest = &code[at..];
            if rest.is_empty() {
                break;
            }
            let bytes = self.frontend.disassemble(pc.wrapping_add(at as u64), rest).bytes;
            if bytes > rest.len() {
                break;
            }
            at += bytes;
            if ends.is_after(&rest[..bytes]) {
                return at;
            }
        }
        code.len()
    }

    fn lower(&self, translator: &mut Translator, key: BlockKey) -> Result<Code, LowerError> {
        let Translator { builder, lowerer, .. } = translator;
        let (guest, budget) = (self.frontend.guest(), self.config.first_budget());
        builder.with_finished(key.pc(), |block| lowerer.lower(guest, block, budget))
    }

    /// # Safety
    /// As for [`Engine::translate`].
    unsafe fn insert(&self, tb: Box<Tb>, tickets: &Tickets) -> Attempt<TbRef> {
        let mut translations = self.translations();
        let code: Vec<Range<GuestVirt>> = tb.guest_code().collect();
        if !hold(&translations, tickets, &code) {
            return Attempt::Again;
        }
        // SAFETY: the lock is held.
        if let Some(other) = unsafe { self.cache.find(tb.key()) } {
            return Attempt::Done(other);
        }
        note_protected(&mut translations, tickets, self);
        translations.bytes += tb.host_bytes();
        let (key, pages) = (tb.key(), tb.pages());
        let tb = TbRef::from_box(tb);
        for page in pages {
            if let Some(state) = translations.pages.get_mut(&page) {
                state.blocks.push(tb);
                state.add_code(grains_of(page, &code));
            }
        }
        // SAFETY: the lock is held, and the key is not there.
        if let Some(table) = unsafe { self.cache.insert(key, tb) } {
            let epoch = self.epoch.advance();
            translations.graveyard.bury_table(epoch, table);
        }
        Attempt::Done(tb)
    }

    /// Whether there is more tier 0 code than there should be.
    pub(crate) fn is_crowded(&self) -> bool {
        self.translations().bytes > self.config.cache_bytes
    }

    fn log_block(&self, block: &Block, bytes: &[u8]) {
        let items = self.config.log;
        if items.has(LogItem::InAsm) {
            self.config.sink.write(format_args!("{}", self.disassemble(block, bytes)));
        }
        if items.has(LogItem::Ir) {
            let guest = self.frontend.guest();
            self.config.sink.write(format_args!("{}\n", block.display(guest)));
        }
    }

    fn disassemble(&self, block: &Block, bytes: &[u8]) -> String {
        let mut text = format!("IN: {:?}\n", block.key);
        let (mut pc, mut rest) = (block.key.pc(), &bytes[..block.guest_bytes as usize]);
        while !rest.is_empty() {
            let insn = self.frontend.disassemble(pc, rest);
            let len = insn.bytes.min(rest.len());
            let word: String = rest[..len].iter().rev().map(|b| format!("{b:02x}")).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{pc:#x}:  {word:<8}  {}", insn.text);
            pc = pc.wrapping_add(len as u64);
            rest = &rest[len..];
        }
        text.push('\n');
        text
    }
}

impl Ticket {
    /// Whether what is translated from the page will have to be compared with memory.
    fn is_compared(&self) -> bool {
        self.validate || self.shared || self.settling.is_some()
    }
}

/// Whether an operation may write to guest memory.
fn may_store(inst: &Inst, guest: &Guest) -> bool {
    if inst.op.info().shape.is_call() {
        return guest.effects(inst) == Effects::Memory;
    }
    inst.op.info().has(flag::FAULTS | flag::WRITES)
}

/// Whether pieces of code are what they were when the tickets were made, as far as writes are noticed.
fn hold(translations: &Translations, tickets: &Tickets, code: &[Range<GuestVirt>]) -> bool {
    tickets.iter().flatten().all(|ticket| {
        let page = translations.pages.get(&ticket.page);
        page.is_some_and(|page| page.holds_since(ticket.moment, grains_of(ticket.page, code)))
    })
}

fn grains_of(page: GuestVirt, code: &[Range<GuestVirt>]) -> u64 {
    code.iter().fold(0, |sum, code| sum | grains(page, code))
}

fn note_protected(translations: &mut Translations, tickets: &Tickets, engine: &Engine) {
    for ticket in tickets.iter().flatten() {
        if let Some(page) = translations.pages.get_mut(&ticket.page) {
            page.protected = !ticket.validate;
            if ticket.shared && !page.shared {
                page.shared = true;
                engine.shared_pages.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// An instruction that the interpreter cannot be given. Translators make none; should one ever do,
/// the guest sees an instruction that cannot be executed, and the log says why.
fn untranslatable(pc: GuestVirt, error: &LowerError) -> FetchFault {
    tracing::error!(%pc, %error, "cannot lower a block");
    FetchFault { addr: pc, cause: FetchFaultCause::NotExecutable }
}
