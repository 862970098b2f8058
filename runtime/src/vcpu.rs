//! A guest CPU and its execution loop.

#![expect(unsafe_code, reason = "runs translated code on the frame")]

mod find;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::cpu::{Admission, Approach, PC_DELTA};
use base::sys::fault::{self, HostFault};
use base::{CpuFrame, GuestVirt, RegSlot};
use ir::interp::{Alone, Code, Context, Direct, Entry, Jumps, Memory, Side, Stop, run};
use ir::{BadJumps, BlockKey, Trap};
use softmmu::{Flush, Softmmu, WatchHit, WatchPause, Watches};

use crate::block::{Tb, TbRef};
use crate::cpus::{CpuShared, Interrupter};
use crate::debug::{DebugStop, PointSet, Watched};
use crate::engine::Engine;
use crate::epoch::IDLE;
use crate::exit::{Exit, FetchFault, FetchFaultCause};
use crate::jump_cache::{CompiledJumpCache, JumpCache};
use crate::limit::Limited;
use crate::log::LogItem;
use crate::observe::Observer;
use crate::promote::{CompiledStop, ExitId, RegionSpan, Surroundings};
use crate::softmmu_memory::{SoftMemory, memory_slow};
use crate::stats::Counters;
use crate::system_cpu::SystemCpu;
use crate::translate::Translator;
use find::locate;

/// A guest CPU. One thread runs it at a time.
#[derive(Debug)]
pub struct Vcpu {
    engine: Arc<Engine>,
    pub(crate) shared: Arc<CpuShared>,
    jumps: JumpCache,
    compiled_jumps: CompiledJumpCache,
    /// What a CPU of a whole machine has.
    system: Option<SystemCpu>,
    translator: Translator,
    /// The epoch up to which the jump caches remember nothing that was dropped.
    forgotten: u64,
    /// It stops once it has interpreted so many instructions.
    limit: Option<u64>,
    /// How control came to the pc where the CPU goes on.
    arrival: Arrival,
    /// The block at that pc, if tier 0 named it when it stopped. Of the current epoch.
    next: Option<TbRef>,
    /// What a debugger has set.
    points: Arc<PointSet>,
    /// A process's watchpoints; a whole machine's are the softmmu's.
    pub(crate) watches: Watches,
    /// Who is told of each instruction.
    pub(crate) observer: Option<Box<dyn Observer>>,
    /// What was interpreted before what the observer was told of last began.
    pub(crate) interpreted_before: u64,
}

/// How control came to a pc, so that next time it comes there by itself.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    /// In a way that leaves nothing to remember.
    Anyhow,
    /// By a direct exit of a tier 0 block.
    Exit(TbRef, Side),
    /// By an indirect jump.
    Indirect,
    /// By a direct exit of compiled code.
    CompiledExit(ExitId),
}

/// Interprets from a block on until a stop.
///
/// # Safety
/// The caller owns the CPU, which is running, and got the block in the CPU's current epoch.
pub(crate) unsafe fn interpret<M: Memory, J: Jumps>(
    cpu: &CpuShared,
    memory: &mut M,
    jumps: &J,
    entry: Entry,
) -> Stop {
    let mut cx = Context { frame: cpu.frame(), memory, jumps, retired: 0 };
    // SAFETY: the frame is that CPU's own; blocks live in this epoch, and so does what is linked to
    // them, because a link is cut before its target is buried.
    let stop = unsafe { run(&mut cx, entry) };
    cpu.counters.interpreted_insns.add(cx.retired);
    stop
}

/// Executions of a hot block that is not compiled yet before somebody looks at it again.
const RECHECK: i32 = 2048;
/// Translations between looks at the size of the cache.
const CROWD_CHECK: u64 = 256;

impl Vcpu {
    pub(crate) fn new(engine: Arc<Engine>, mut frame: Box<CpuFrame>) -> Self {
        let mut compiled_jumps = CompiledJumpCache::new();
        frame.jump_cache = compiled_jumps.as_mut_ptr();
        let shared = Arc::new(CpuShared::new(frame));
        engine.cpus.add(&shared);
        Self {
            translator: Translator::new(&shared),
            engine,
            shared,
            jumps: JumpCache::new(),
            compiled_jumps,
            system: None,
            forgotten: 0,
            limit: None,
            arrival: Arrival::Anyhow,
            next: None,
            points: Arc::default(),
            watches: Watches::default(),
            observer: None,
            interpreted_before: 0,
        }
    }

    /// Makes it a CPU of a whole machine.
    pub(crate) fn attach(&mut self, system: SystemCpu) {
        let system = self.system.insert(system);
        let softmmu = (&raw mut *system.softmmu).cast();
        let (jumps, spans) = (system.compiled_jumps(), system.checked_spans());
        let frame = self.frame_mut();
        frame.softmmu = softmmu;
        frame.virtual_jumps = jumps;
        frame.checked_spans = spans;
        frame.memory_slow = Some(memory_slow);
    }

    /// The memory of a CPU of a whole machine, and its registers.
    pub fn system_mut(&mut self) -> Option<(&mut Softmmu, &mut CpuFrame)> {
        // SAFETY: as in `frame`; the softmmu is no part of the frame.
        let frame = unsafe { &mut *self.shared.frame() };
        self.system.as_mut().map(|system| (&mut *system.softmmu, frame))
    }

    /// The CPU's registers.
    #[must_use]
    pub fn frame(&self) -> &CpuFrame {
        // SAFETY: only the owner of `self` touches the frame, but for its atomics.
        unsafe { &*self.shared.frame() }
    }

    /// The CPU's registers, to change them.
    #[must_use]
    pub fn frame_mut(&mut self) -> &mut CpuFrame {
        // SAFETY: as in `frame`.
        unsafe { &mut *self.shared.frame() }
    }

    /// What makes [`Vcpu::run`] return.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.shared))
    }

    /// The engine that it belongs to.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Runs guest code from the frame's pc on, until something happens that its owner must see to.
    pub fn run(&mut self) -> Exit {
        self.begin();
        let exit = loop {
            if let Some(exit) = self.poll().or_else(|| self.advance_within_limit()) {
                break exit;
            }
        };
        self.leave_epoch();
        exit
    }

    /// Executes one instruction, though there be a breakpoint. [`DebugStop::Step`] says that it did, with
    /// nothing to see to; after [`Exit::Interrupted`] it has executed none.
    pub fn run_step(&mut self) -> Exit {
        self.begin();
        let exit = self.poll().unwrap_or_else(|| match (self.is_traced(), self.step()) {
            (true, None) => Exit::Traced,
            (_, None | Some(Exit::Interrupted)) => Exit::Debug(DebugStop::Step),
            (_, Some(exit)) => exit,
        });
        self.leave_epoch();
        exit
    }

    fn begin(&mut self) {
        self.enter_epoch();
        // While it was idle, nobody waited for it to take note.
        self.write_protect();
        (self.arrival, self.next) = (Arrival::Anyhow, None);
        if let Some(points) = self.engine.points.since(self.points.generation) {
            self.follow_points(points);
        }
    }

    #[cold]
    fn follow_points(&mut self, points: Arc<PointSet>) {
        let watches = Watches::new(points.watches());
        match self.system_mut() {
            Some((softmmu, frame)) => {
                softmmu.watches = watches;
                softmmu.flush(frame, Flush::ALL);
            }
            None => self.watches = watches,
        }
        self.points = points;
    }

    /// Lets a whole machine's CPU make accesses between runs, as its own instructions would.
    pub fn access<T>(
        &mut self,
        access: impl FnOnce(&mut Softmmu, &mut CpuFrame) -> T,
    ) -> Option<T> {
        self.enter_epoch();
        self.write_protect();
        let result = self.system_mut().map(|(softmmu, frame)| access(softmmu, frame));
        self.leave_epoch();
        result
    }

    /// From now on, [`Vcpu::run`] returns [`Exit::Interrupted`] at the first block's end at which
    /// [`Vcpu::interpreted`] is no less than this. Compiled code does not count, and so does not stop.
    pub fn set_limit(&mut self, limit: Option<u64>) {
        self.limit = limit;
    }

    /// How many instructions it has interpreted so far.
    #[must_use]
    pub fn interpreted(&self) -> u64 {
        self.counters().interpreted_insns.get()
    }

    fn advance_within_limit(&mut self) -> Option<Exit> {
        let is_spent = self.limit.is_some_and(|limit| self.interpreted() >= limit);
        if is_spent { Some(Exit::Interrupted) } else { self.advance() }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn key(&self) -> BlockKey {
        let frame = self.frame();
        BlockKey::new(GuestVirt(frame.pc), frame.key_flags)
    }

    /// The key of the code at a program's pc.
    fn key_here(&self) -> Result<BlockKey, FetchFault> {
        let addr = GuestVirt(self.frame().pc);
        match BlockKey::can_name(addr) {
            true => Ok(self.key()),
            false => Err(FetchFault { addr, cause: FetchFaultCause::Unmapped }),
        }
    }

    /// Sets the pc from that of a translation.
    pub(crate) fn set_pc(&mut self, pc: GuestVirt) {
        let frame = self.frame_mut();
        frame.pc = pc.wrapping_add(frame.get(PC_DELTA)).0;
    }

    /// Begins to run, or goes on after something was dropped: what it finds from here on lives
    /// until the next call or [`Vcpu::leave_epoch`].
    pub(crate) fn enter_epoch(&mut self) {
        let epoch = self.engine.epoch.announce(&self.shared.seen);
        if epoch != self.forgotten {
            match self.system_mut() {
                Some((softmmu, frame)) => softmmu.tlb.forget_jumps(frame),
                None => self.jumps.clear(),
            }
            self.compiled_jumps.clear();
            (self.arrival, self.next) = (Arrival::Anyhow, None);
            self.forgotten = epoch;
        }
    }

    pub(crate) fn leave_epoch(&mut self) {
        self.shared.seen.store(IDLE, Ordering::SeqCst);
    }

    /// Sees to the interrupt word.
    fn poll(&mut self) -> Option<Exit> {
        if self.frame().interrupt.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let bits = self.frame().interrupt.swap(0, Ordering::AcqRel);
        if bits & CpuFrame::INTERRUPT_SYNC_CODE != 0 {
            self.engine.sync_instructions();
        }
        if bits & (CpuFrame::INTERRUPT_FORGET | CpuFrame::INTERRUPT_SYNC_CODE) != 0 {
            self.enter_epoch();
            self.engine.free_forgotten();
        }
        if bits & CpuFrame::INTERRUPT_WRITE_PROTECT != 0 {
            self.write_protect();
        }
        (bits & CpuFrame::INTERRUPT_REQUEST != 0).then_some(Exit::Interrupted)
    }

    /// Sees to it that writes to pages that hold translated code now are noticed.
    pub(crate) fn write_protect(&mut self) {
        let protections = self.engine.protections.load(Ordering::SeqCst);
        if protections == self.shared.protected.load(Ordering::Relaxed) {
            return;
        }
        if let Some(system) = &mut self.system {
            system.softmmu.tlb.write_protect();
        }
        self.shared.protected.store(protections, Ordering::SeqCst);
    }

    /// Runs from the block at pc until a stop.
    fn advance(&mut self) -> Option<Exit> {
        let tb = match self.next.take().map_or_else(|| self.find_here(), Ok) {
            Ok(tb) => tb,
            Err(exit) => return Some(exit),
        };
        // SAFETY: the block was found in this epoch, which does not end before the block is left.
        let block = unsafe { tb.get() };
        if block.is_watched() && !self.is_valid(block) {
            self.engine.drop_one(tb);
            return None;
        }
        let admits = block.admits();
        let refused = self.refused(admits);
        if admits.has(self.approach()) {
            self.remember(tb, block);
        }
        match self.points.breakpoint(GuestVirt(self.frame().pc)) {
            Some(kind) => Some(Exit::Debug(DebugStop::Breakpoint(kind))),
            None if refused.is_some() => refused,
            None => {
                self.arrive(admits);
                match self.is_traced() {
                    true => self.execute(block).or(Some(Exit::Traced)),
                    false => self.execute(block),
                }
            }
        }
    }

    /// Whether the guest sees an exception after each instruction.
    fn is_traced(&self) -> bool {
        self.engine.frontend.traces(self.frame().key_flags)
    }

    /// What it means that control came to a block as it did, if it may not.
    fn refused(&self, admits: Admission) -> Option<Exit> {
        let is_admitted = admits.has(self.approach()) || admits.is_reported();
        (!is_admitted).then_some(Exit::Refused)
    }

    /// Control is there: how it came matters no more, unless that is reported.
    fn arrive(&mut self, admits: Admission) {
        if !admits.is_reported() {
            self.frame_mut().approach = 0;
        }
    }

    fn approach(&self) -> Approach {
        Approach::new(self.frame().approach)
    }

    fn execute(&mut self, block: &Tb) -> Option<Exit> {
        if self.observer.is_some() {
            return self.execute_observed(block);
        }
        if self.engine.config.log.each_block() {
            self.log_execution(block.key());
            let stop = self.interpret_alone(block.entry());
            return self.after_interpreter(stop);
        }
        if self.is_traced() || !self.watches.is_empty() {
            let stop = self.interpret_alone(block.entry());
            return self.after_interpreter(stop);
        }
        if let Some((promoter, code)) = self.engine.compiled(block.compiled()) {
            self.counters().compiled_entries.add(1);
            // SAFETY: published code of a block found in this epoch; the frame is this CPU's.
            let stop = unsafe { promoter.enter(self.shared.frame(), code) };
            return self.after_compiled(stop);
        }
        self.count_execution(block);
        if block.second_page.is_some() {
            let stop = self.interpret_alone(block.entry());
            return self.after_interpreter(stop);
        }
        // SAFETY: this CPU is running, and the block was found in this epoch.
        let stop = unsafe {
            match (self.soft_memory(), &self.system, self.limit) {
                (Some(memory), Some(system), limit) if system.softmmu.counts_probes() => {
                    let left = limit.map_or(u64::MAX, |limit| limit - self.interpreted());
                    let jumps = Limited::new(&system.jumps, left, block.code.head());
                    interpret(&self.shared, &mut memory.counted(), &jumps, block.entry())
                }
                (Some(mut memory), Some(SystemCpu { jumps, .. }), Some(limit)) => {
                    let left = limit.saturating_sub(self.interpreted());
                    let jumps = Limited::new(jumps, left, block.code.head());
                    interpret(&self.shared, &mut memory, &jumps, block.entry())
                }
                (Some(mut memory), Some(SystemCpu { jumps, .. }), None) => {
                    interpret(&self.shared, &mut memory, jumps, block.entry())
                }
                _ => interpret(&self.shared, &mut Direct, &self.jumps, block.entry()),
            }
        };
        self.after_interpreter(stop)
    }

    /// A block has run hot.
    fn promote(&self, key: BlockKey) {
        self.counters().promotions.add(1);
        if let Some(promoter) = self.engine.promoter() {
            promoter.promote(&self.engine, key, self.surroundings());
        }
    }

    /// A whole machine's memory, to be used while this thread runs the CPU.
    pub(crate) fn soft_memory(&mut self) -> Option<SoftMemory> {
        let (frame, system) = (self.shared.frame(), self.system.as_mut()?);
        // SAFETY: both are this CPU's own.
        Some(unsafe { SoftMemory::new(frame, &raw mut *system.softmmu) })
    }

    /// Where code lies around here.
    pub(crate) fn surroundings(&self) -> Surroundings {
        let Some(system) = &self.system else { return Surroundings::default() };
        let delta = self.frame().get(PC_DELTA);
        Surroundings { delta, pages: system.softmmu.tlb.fetched_pages() }
    }

    /// Interprets one block and no further.
    pub(crate) fn interpret_alone(&mut self, entry: Entry) -> Stop {
        if let Some(observer) = self.observer.take() {
            return self.interpret_observed(entry, observer);
        }
        // SAFETY: this CPU is running; callers have just found or made the code.
        unsafe {
            match self.soft_memory() {
                None if self.watches.is_empty() => {
                    interpret(&self.shared, &mut Direct, &Alone, entry)
                }
                None => interpret(&self.shared, &mut Watched(&mut self.watches), &Alone, entry),
                Some(memory) => interpret(&self.shared, &mut memory.counted(), &Alone, entry),
            }
        }
    }

    /// Reports a block that has spent its budget.
    fn count_execution(&mut self, block: &Tb) {
        let budget = block.budget();
        let left = budget.load(Ordering::Relaxed);
        if left > 0 || block.is_watched() {
            // The interpreter counts only the blocks that it goes on to.
            budget.store(left.saturating_sub(1), Ordering::Relaxed);
            return;
        }
        let Some(promoter) = self.engine.promoter() else {
            budget.store(i32::MAX, Ordering::Relaxed);
            return;
        };
        budget.store(RECHECK, Ordering::Relaxed);
        if self.engine.config.has_baseline() {
            let guest_code: Vec<_> = block.guest_code().collect();
            promoter.compile_quickly(&self.engine, &block.code, &guest_code);
        } else {
            self.promote(block.key());
        }
    }

    /// Takes note of where the interpreter stopped; an exit if the CPU's owner must see to it.
    pub(crate) fn after_interpreter(&mut self, stop: Stop) -> Option<Exit> {
        let (pc, exit) = match stop {
            Stop::Unlinked { from, side, target } => {
                // SAFETY: the code was just executed.
                let from = unsafe { TbRef::of(from) };
                self.arrival = from.map_or(Arrival::Anyhow, |from| Arrival::Exit(from, side));
                (target, None)
            }
            Stop::Indirect(target) => return self.jumped(target),
            Stop::Lookup(target) => (target, self.at_look_up()),
            Stop::Attention(entry) | Stop::Interrupted(entry) => {
                // SAFETY: it was linked to, or in the jump cache, just now.
                let (next, head) = unsafe { (TbRef::of(entry), entry.head()) };
                self.next = next;
                (head.key().pc(), None)
            }
            Stop::Trap(trap, pc) => (pc, Some(exit_of(trap, pc))),
            Stop::Misaligned { pc, addr } => (pc, Some(Exit::Misaligned(addr))),
            Stop::Fault(pc) => return self.data_fault(pc, fault::last_fault()),
            Stop::HelperFault { pc, .. }
                if std::mem::take(&mut self.frame_mut().left_to_machine) != 0 =>
            {
                (pc, Some(Exit::System))
            }
            Stop::HelperFault { pc, addr } => {
                return self.data_fault(pc, HostFault { addr, ..fault::last_fault() });
            }
        };
        self.set_pc(pc);
        exit
    }

    /// An indirect jump goes to a pc that no jump cache knew.
    fn jumped(&mut self, target: GuestVirt) -> Option<Exit> {
        self.arrival = Arrival::Indirect;
        self.frame_mut().pc = target.0;
        let guest = self.engine.frontend.guest();
        if BlockKey::can_name(target) || guest.bad_jumps == BadJumps::Target {
            return None;
        }
        self.take_jump_back();
        Some(Exit::FetchFault(FetchFault { addr: target, cause: FetchFaultCause::Unmapped }))
    }

    /// The jump that was just made faults, because no code can be where it went.
    #[cold]
    fn take_jump_back(&mut self) {
        let from = GuestVirt(self.frame().jumped_from);
        let mut code = vec![0; self.engine.frontend.max_insn_bytes()];
        let fetched = self.engine.code_pages.fetch(from, &mut code).unwrap_or(0);
        let engine = Arc::clone(&self.engine);
        engine.frontend.take_jump_back(self.frame_mut(), from, &code[..fetched]);
    }

    /// In a whole machine, what ends in a look-up may have enabled interrupts.
    fn at_look_up(&self) -> Option<Exit> {
        self.system.as_ref().map(|_| Exit::Interrupted)
    }

    pub(crate) fn after_compiled(&mut self, stop: CompiledStop) -> Option<Exit> {
        let retired = std::mem::take(&mut self.frame_mut().retired);
        self.counters().compiled_insns.add(retired);
        let pc = match stop {
            CompiledStop::Unlinked { exit, target } => {
                self.arrival = Arrival::CompiledExit(exit);
                target
            }
            CompiledStop::Indirect(target) => return self.jumped(target),
            CompiledStop::Lookup(pc) => {
                self.set_pc(pc);
                return self.at_look_up();
            }
            CompiledStop::Interrupted(pc) => pc,
            CompiledStop::Interpret(pc) => {
                self.set_pc(pc);
                return self.interpret_one();
            }
            CompiledStop::Hot(pc) => {
                self.set_pc(pc);
                self.promote(self.key());
                return None;
            }
            CompiledStop::Trap(trap, pc) => {
                self.set_pc(pc);
                return Some(exit_of(trap, pc));
            }
            CompiledStop::Unchecked(span, pc) => {
                self.set_pc(pc);
                return self.check_span(span);
            }
            CompiledStop::Replay { sync_pc, fault_pc, fault_addr } => {
                return self.replay_here(sync_pc, fault_pc, fault_addr);
            }
        };
        self.set_pc(pc);
        None
    }

    /// What comes next is looked up again, though it could be linked, or was just found.
    pub(crate) fn forget_arrival(&mut self) {
        (self.arrival, self.next) = (Arrival::Anyhow, None);
    }

    /// A region spans pages that may lie elsewhere by now: if they do, tier 0 goes on without it.
    fn check_span(&mut self, span: RegionSpan) -> Option<Exit> {
        let pages = self.engine.promoter().map(|promoter| promoter.span(span));
        // SAFETY: as in `frame`; the system CPU is no part of the frame.
        let frame = unsafe { &mut *self.shared.frame() };
        let lies = match (&mut self.system, pages) {
            (Some(system), Some(pages)) => system.check_span(frame, span, &pages),
            _ => false,
        };
        if lies { None } else { self.interpret_one() }
    }

    /// Interprets the block at pc, even if it is compiled.
    pub(crate) fn interpret_one(&mut self) -> Option<Exit> {
        let tb = match self.find_here() {
            Ok(tb) => tb,
            Err(exit) => return Some(exit),
        };
        // SAFETY: found in this epoch.
        let entry = unsafe { tb.get() }.entry();
        let stop = self.interpret_alone(entry);
        self.after_interpreter(stop)
    }

    /// The access of the instruction at `pc` faulted: because of translations, or for the guest.
    fn data_fault(&mut self, pc: GuestVirt, fault: HostFault) -> Option<Exit> {
        self.set_pc(pc);
        if let Some(hit) = self.watches_mut().take_hit() {
            return Some(self.finish_watched(hit));
        }
        if let Some(system) = &self.system {
            return Some(Exit::GuestFault(system.softmmu.last_fault()));
        }
        let before = self.engine.epoch.current();
        if !self.engine.write_fault(&fault) {
            return Some(Exit::DataFault(fault));
        }
        let dropped = self.engine.epoch.current();
        self.observe_again();
        // That instruction may lie on the page it writes to: it must not be translated to be kept,
        // which would protect the page again.
        let exit = self.step();
        if dropped != before && self.engine.is_coherent() {
            // Nor what is being executed elsewhere, before anybody can learn of the write.
            self.leave_epoch();
            self.engine.wait_until_forgotten(dropped);
            self.enter_epoch();
        }
        exit
    }

    fn watches_mut(&mut self) -> &mut Watches {
        match &mut self.system {
            Some(system) => &mut system.softmmu.watches,
            None => &mut self.watches,
        }
    }

    /// Executes the instruction at pc, whose access is watched. That is seen unless the guest has to
    /// see to something first, and then comes to it again.
    #[cold]
    fn finish_watched(&mut self, hit: WatchHit) -> Exit {
        self.watches_mut().pause(WatchPause::Off);
        let exit = self.step();
        self.watches_mut().pause(WatchPause::On);
        match exit {
            None | Some(Exit::Interrupted) => Exit::Debug(DebugStop::Watchpoint(hit)),
            Some(exit) => exit,
        }
    }

    /// Executes one instruction, outside the cache.
    fn step(&mut self) -> Option<Exit> {
        let (code, source) = match self.step_code() {
            Ok(code) => code,
            Err(exit) => return Some(exit),
        };
        let admits = code.head().admits();
        let refused = self.refused(admits);
        if refused.is_some() {
            return refused;
        }
        self.arrive(admits);
        self.observe_step(&source);
        let stop = self.interpret_alone(code.entry());
        self.after_interpreter(stop)
    }

    /// The code of the instruction at pc, to be executed once, and its bytes.
    fn step_code(&mut self) -> Result<(Code, Box<[u8]>), Exit> {
        let key = match self.system_mut() {
            Some((softmmu, frame)) => locate(softmmu, frame).map_err(Exit::GuestFault)?,
            None => self.key_here().map_err(Exit::FetchFault)?,
        };
        match self.engine.translate_step(&mut self.translator, key, None) {
            Err(FetchFault { cause: FetchFaultCause::OtherPage, .. }) => {
                let second = self.second_page().map_err(Exit::GuestFault)?;
                let code = self.engine.translate_step(&mut self.translator, key, Some(second));
                code.map_err(Exit::FetchFault)
            }
            code => code.map_err(Exit::FetchFault),
        }
    }

    /// Compares a block with memory.
    fn is_valid(&mut self, block: &Tb) -> bool {
        if block.second_page.is_some() && self.second_page().ok() != block.second_page {
            return false;
        }
        if !block.validate {
            return true;
        }
        self.counters().validations.add(1);
        self.translator.is_valid(&self.engine, block)
    }

    fn log_execution(&self, key: BlockKey) {
        let (items, sink) = (self.engine.config.log, &self.engine.config.sink);
        if items.has(LogItem::Exec) {
            sink.write(format_args!("EXEC {key:?}\n"));
        }
        if items.has(LogItem::Cpu) {
            sink.write(format_args!("{}\n", self.registers()));
        }
    }

    /// The registers that have a name, four to a line.
    fn registers(&self) -> String {
        let (frame, name) = (self.frame(), self.engine.frontend.guest().slot_name);
        let slots = (0..frame.slots.len()).map(|index| RegSlot(index as u16));
        let named = slots.filter_map(|slot| Some((name(slot)?, frame.get(slot))));
        let mut text = format!("pc={:016x}", frame.pc);
        for (index, (name, value)) in named.enumerate() {
            text.push_str(if index % 4 == 0 { "\n" } else { "  " });
            text.push_str(&format!("{name:>5}={value:016x}"));
        }
        text
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        self.engine.retire_counters(&self.shared.counters);
        self.engine.cpus.remove(&self.shared);
    }
}

fn exit_of(trap: Trap, pc: GuestVirt) -> Exit {
    match trap {
        Trap::Illegal => Exit::IllegalInstruction,
        Trap::Breakpoint => Exit::Breakpoint,
        Trap::Syscall => Exit::Syscall,
        Trap::Misaligned => Exit::Misaligned(pc),
        Trap::System => Exit::System,
    }
}
