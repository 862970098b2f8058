//! A hart: translated code, and what happens between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arch::riscv64::privileged::aia::{FileOp, InterruptFile};
use arch::riscv64::privileged::execute::MemoryOp;
use arch::riscv64::privileged::mmu::{Regime, translate};
use arch::riscv64::privileged::pmp::Access as Right;
use arch::riscv64::privileged::{
    self, Cause, Exception, FenceScope, Outcome, Privilege, SystemContext, SystemHooks, interrupt,
    trap,
};
use arch::riscv64::slot;
use base::{CpuFrame, GuestPhys, GuestVirt, RegSlot};
use runtime::{DebugStop, Exit, Trapped, Vcpu};
use softmmu::{Flush, GuestFault, MemoryMap, SoftmmuStats};
use translator::riscv64::Frontend;

use crate::bus::DeviceId;
use crate::device::Time;
use crate::devices::Imsic;
use crate::machine::{CpuHandle, Shared};
use crate::riscv64::access;
use crate::riscv64::debug::{Glance, HartPort};
use crate::riscv64::interrupts;
use crate::riscv64::mailbox::{Mailbox, Request};
use crate::riscv64::mmu;
use crate::riscv64::sbi::{self, Sbi};
use crate::riscv64::tester::Tester;
use crate::riscv64::trace;

/// Nanoseconds of a tick of mtime.
pub(super) const TICK: u64 = 100;

/// Nanoseconds of an instruction, in a machine that counts time.
pub(super) const INSN_NANOS: u64 = 10;

/// What changed in a hart's registers that its TLB must know, and its timer.
pub(super) struct HartHooks {
    /// Not owned: it owns this, by way of the hart's interrupt lines.
    shared: Weak<Shared>,
    handle: Mutex<Option<Arc<CpuHandle>>>,
    fences: Mutex<Vec<FenceScope>>,
    has_fences: AtomicBool,
    /// The timer's time may have come.
    rang: AtomicBool,
    tester: Arc<Tester>,
    imsic: Option<DeviceId>,
    /// The hart has read a device.
    reads_device: Arc<AtomicBool>,
}

impl HartHooks {
    pub(super) fn new(shared: &Arc<Shared>, tester: &Arc<Tester>, imsic: Option<DeviceId>) -> Self {
        let (handle, fences) = (Mutex::default(), Mutex::default());
        let (has_fences, rang) = (AtomicBool::new(false), AtomicBool::new(false));
        let (shared, tester) = (Arc::downgrade(shared), Arc::clone(tester));
        let reads_device = Arc::default();
        Self { shared, handle, fences, has_fences, rang, tester, imsic, reads_device }
    }

    /// The hart reads a device.
    pub(super) fn note_device_read(&self) {
        self.reads_device.store(true, Ordering::Relaxed);
    }

    /// The hart is about to store to a page that is watched.
    pub(super) fn notice_store(&self, at: GuestPhys, len: u64) {
        if self.tester.notice(at, len) {
            let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
            handle.iter().for_each(|handle| handle.kick());
        }
    }

    /// The time that was asked for by [`SystemHooks::timer_changed`] has come.
    pub(super) fn ring(&self) {
        self.rang.store(true, Ordering::SeqCst);
    }

    fn take_fences(&self) -> Vec<FenceScope> {
        if !self.has_fences.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut *self.fences.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SystemHooks for HartHooks {
    /// The hart looks itself, after each instruction that may have changed something.
    fn address_translation_changed(&self, _: &mut CpuFrame) {}

    fn fence(&self, _: &mut CpuFrame, scope: FenceScope) {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner).push(scope);
        self.has_fences.store(true, Ordering::Relaxed);
    }

    fn timer_changed(&self, _: u64, stimecmp: Option<u64>) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(handle), Some(shared)) = (&*handle, self.shared.upgrade()) {
            let due = stimecmp.and_then(|ticks| ticks.checked_mul(TICK)).map(Time);
            shared.set_timer(handle, due);
        }
    }

    fn interrupt_file(&self, hart: u64, file: InterruptFile, op: FileOp) -> Option<u64> {
        let (shared, imsic) = (self.shared.upgrade()?, self.imsic?);
        let mut bus = shared.bus();
        let answer = bus.with(imsic, |imsic: &mut Imsic| {
            let hart = u32::try_from(hart).ok()?;
            interrupts::file_op(imsic.file(hart, interrupts::level(file))?, op)
        });
        shared.settle(&mut bus);
        answer.flatten()
    }
}

/// A hart, owned by the thread that runs it.
pub(super) struct Hart {
    pub(super) vcpu: Vcpu,
    pub(super) context: Arc<SystemContext>,
    hooks: Arc<HartHooks>,
    handle: Arc<CpuHandle>,
    port: Arc<HartPort>,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    sbi: Option<Arc<Sbi>>,
    frontend: Frontend,
    /// In a machine that counts time: it waits for an interrupt, and has executed so many instructions
    /// and taken so many traps.
    waits: bool,
    executed: u64,
    /// Registers that change what a TLB holds without a fence: as they were when it was filled.
    protection: [u64; PROTECTION.len()],
}

/// PMP and menvcfg.
const PROTECTION: [RegSlot; 19] = {
    let mut slots = [slot::MENVCFG; 19];
    slots[1] = slot::PMPCFG0;
    slots[2] = slot::PMPCFG2;
    let mut n = 0;
    while n < 16 {
        slots[3 + n as usize] = slot::pmpaddr(n);
        n += 1;
    }
    slots
};

/// What a hart is put together from.
pub(super) struct Parts {
    pub(super) vcpu: Vcpu,
    pub(super) context: Arc<SystemContext>,
    pub(super) hooks: Arc<HartHooks>,
    pub(super) handle: Arc<CpuHandle>,
    pub(super) shared: Arc<Shared>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) sbi: Option<Arc<Sbi>>,
    pub(super) frontend: Frontend,
}

impl Hart {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { vcpu, context, hooks, handle, shared, mailbox, sbi, frontend } = parts;
        *hooks.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&handle));
        let protection = [0; PROTECTION.len()];
        let port = HartPort::new(&context, &handle);
        let (waits, executed) = (false, 0);
        let mut hart = Self {
            vcpu,
            context,
            hooks,
            handle,
            port,
            shared,
            mailbox,
            sbi,
            frontend,
            waits,
            executed,
            protection,
        };
        hart.frame().context = Arc::as_ptr(&hart.context).cast_mut().cast();
        hart
    }

    pub(super) fn frame(&mut self) -> &mut CpuFrame {
        self.vcpu.frame_mut()
    }

    /// What raises its interrupts.
    pub(super) fn wires(&self) -> (Arc<SystemContext>, Arc<CpuHandle>) {
        (Arc::clone(&self.context), Arc::clone(&self.handle))
    }

    /// How debuggers reach it.
    pub(super) fn port(&self) -> &Arc<HartPort> {
        &self.port
    }

    pub(super) fn number(&self) -> usize {
        self.context.hart as usize
    }

    /// What its memory did so far.
    pub(super) fn memory_stats(&mut self) -> SoftmmuStats {
        let memory = self.vcpu.system_mut();
        memory.map_or_else(SoftmmuStats::default, |(softmmu, frame)| softmmu.stats(frame))
    }

    /// As after reset: at machine level, with nothing remembered.
    pub(super) fn reset(&mut self, pc: GuestVirt) {
        // What devices assert, they assert on; the rest is this hart's own.
        self.context.lower(interrupt::SSIP | interrupt::STIP);
        let context = Arc::clone(&self.context);
        let frame = self.frame();
        for n in 1..32 {
            frame.set(slot::x(n), 0);
        }
        privileged::reset(frame, &context);
        frame.pc = pc.0;
        self.waits = false;
        self.hooks.take_fences();
        self.flush(Flush::ALL);
        self.mailbox.enter();
        self.mailbox.leave();
    }

    /// Runs until the machine ends or starts again.
    pub(super) fn run(&mut self) {
        self.handle.claim();
        self.follow_state();
        while self.may_run() && self.wait_for_start() {
            for request in self.mailbox.enter() {
                self.fulfil(request);
            }
            if self.port.is_stepping() {
                self.step();
            } else {
                self.take_interrupt();
                let exit = self.vcpu.run();
                self.hooks.tester.serve(&self.shared);
                self.after(exit);
            }
            self.mailbox.leave();
        }
    }

    /// Waits while it is stopped, and lets a debugger look at it meanwhile. Whether it goes on.
    fn may_run(&mut self) -> bool {
        if !self.shared.wants_attention() {
            return true;
        }
        let (shared, handle, port) = (&self.shared, &self.handle, &self.port);
        let (shared, handle, port) = (Arc::clone(shared), Arc::clone(handle), Arc::clone(port));
        shared.may_run(&handle, || port.run_errands(self))
    }

    /// From now on, its owner has it execute one instruction after the other on this thread.
    pub(super) fn begin_steps(&mut self) {
        self.handle.claim();
        self.follow_state();
        self.port.begin_stepping();
    }

    /// Executes what its observer lets it. Interrupts are left to its owner, and WFI waits for none.
    pub(super) fn advance(&mut self) {
        self.serve_mailbox();
        let exit = self.vcpu.run();
        self.hooks.tester.serve(&self.shared);
        self.after(exit);
        self.mailbox.leave();
    }

    /// Takes an interrupt, or an exception without a value.
    pub(super) fn take(&mut self, cause: Cause) {
        self.trap(cause, 0);
    }

    /// Whether it has read a device since that was last set to false.
    pub(super) fn reads_device(&self) -> &Arc<AtomicBool> {
        &self.hooks.reads_device
    }

    /// What a load of up to 8 bytes of RAM would load; `None` if it would fault, or lies elsewhere.
    pub(super) fn glance(&mut self, addr: GuestVirt, bytes: usize) -> Option<u64> {
        let (softmmu, _) = self.vcpu.system_mut()?;
        let map = softmmu.map().clone();
        let phys = data_address(self.vcpu.frame(), &self.context, &map, addr)?;
        let mut value = [0; 8];
        match map.resolve(phys, bytes as u64).ok()? {
            softmmu::Place::Ram { ram, offset } => ram.read(offset, &mut value[..bytes]).ok()?,
            _ => return None,
        }
        Some(u64::from_le_bytes(value))
    }

    /// Executes one instruction for a debugger. Interrupts wait: the next one would be their handler's.
    fn step(&mut self) {
        match self.vcpu.run_step() {
            Exit::Interrupted => return,
            Exit::Debug(_) => {}
            exit => self.after(exit),
        }
        self.stop(DebugStop::Step);
    }

    /// Stops the machine for a debugger.
    fn stop(&mut self, stop: DebugStop) {
        self.shared.pause();
        self.port.report(stop);
    }

    /// In a machine that counts time: executes some instructions, unless the hart is stopped or waits. A
    /// trap counts as an instruction, so that every turn ends. Whether it did anything.
    pub(super) fn take_turn(&mut self, insns: u64) -> bool {
        self.follow_state();
        let (before, end) = (self.executed, self.executed + insns);
        while self.executed < end && self.shared.has_turn(&self.handle) && self.is_ready() {
            let due = self.shared.next_deadline().saturating_sub(self.shared.clock().now().0);
            if due == 0 && self.executed != before {
                break;
            }
            self.serve_mailbox();
            if self.port.is_stepping() {
                self.count(1);
                self.step();
            } else {
                let insns = due.div_ceil(INSN_NANOS).max(1).min(end - self.executed);
                self.run_counted(insns);
            }
            self.mailbox.leave();
        }
        self.executed != before
    }

    /// Executes so many instructions at most, but for the rest of a block.
    fn run_counted(&mut self, insns: u64) {
        self.take_interrupt();
        let interpreted = self.vcpu.interpreted();
        self.vcpu.set_limit(Some(interpreted + insns));
        let exit = self.vcpu.run();
        self.hooks.tester.serve(&self.shared);
        let trapped = !matches!(exit, Exit::Interrupted | Exit::Debug(_));
        self.count(self.vcpu.interpreted() - interpreted + u64::from(trapped));
        self.after(exit);
    }

    /// Lets the time of so many instructions pass.
    fn count(&mut self, insns: u64) {
        self.executed += insns;
        self.shared.clock().advance(insns * INSN_NANOS);
    }

    /// Where time is counted: whether it has instructions to execute.
    fn is_ready(&mut self) -> bool {
        if let Some(sbi) = self.sbi.clone()
            && !sbi.is_started(self.number())
        {
            let Some(start) = sbi.take_start(self.number()) else { return false };
            self.start(start);
        }
        self.latch();
        self.waits &= !interrupt::wakes(self.vcpu.frame(), &self.context);
        !self.waits
    }

    /// With a built-in SBI: waits until somebody starts the hart. Whether it runs.
    fn wait_for_start(&mut self) -> bool {
        let Some(sbi) = self.sbi.clone() else { return true };
        loop {
            if sbi.is_started(self.number()) {
                return true;
            }
            if let Some(start) = sbi.take_start(self.number()) {
                self.start(start);
                return true;
            }
            self.shared.wait(&self.handle, || {
                self.shared.wants_attention() || sbi.has_start(self.number())
            });
            if !self.may_run() {
                return false;
            }
        }
    }

    /// HSM "hart start": supervisor level, translation and interrupts off.
    pub(super) fn start(&mut self, start: sbi::Start) {
        self.reset(start.pc);
        let hart = self.context.hart;
        let context = Arc::clone(&self.context);
        let frame = self.frame();
        sbi::prepare(frame, &context);
        frame.set(slot::x(10), hart);
        frame.set(slot::x(11), start.argument);
        self.follow_state();
    }

    fn fulfil(&mut self, request: Request) {
        match request {
            Request::FenceI => self.vcpu.engine().sync_instructions(),
            Request::Fence(scope) => self.fence(scope),
        }
    }

    fn flush(&mut self, flush: Flush) {
        self.drop_reservation();
        trace::flush(&self.vcpu, self.number(), flush);
        if let Some((softmmu, frame)) = self.vcpu.system_mut() {
            softmmu.flush(frame, flush);
        }
    }

    fn fence(&mut self, FenceScope { address, asid }: FenceScope) {
        // The TLB numbers address spaces by mode and ASID; who is in none means any mode's.
        let mode = mmu::asid(self.frame()) & !0xffff;
        let asid = asid.filter(|_| mode != 0).map(|asid| mode | u32::from(asid));
        self.flush(Flush { addr: address, asid });
    }

    /// After registers may have changed on which addresses, translations or interrupts depend.
    pub(super) fn follow_state(&mut self) {
        for scope in self.hooks.take_fences() {
            self.fence(scope);
        }
        let protection = PROTECTION.map(|slot| self.vcpu.frame().get(slot));
        if protection != self.protection {
            self.protection = protection;
            self.flush(Flush::ALL);
        }
        self.switch();
    }

    /// After a change of privilege.
    fn switch(&mut self) {
        if let Some((softmmu, frame)) = self.vcpu.system_mut() {
            let space = mmu::space(frame);
            softmmu.switch(frame, space);
        }
    }

    /// Takes note of what other threads have raised.
    fn latch(&mut self) {
        let context = Arc::clone(&self.context);
        sbi::latch_ipi(self.frame(), &context);
        if self.hooks.rang.swap(false, Ordering::SeqCst) {
            // Compares with the time once more.
            let frame = self.frame();
            let stimecmp = frame.get(slot::STIMECMP);
            let _ = interrupt::set_stimecmp(frame, &context, stimecmp);
        }
    }

    fn take_interrupt(&mut self) {
        self.latch();
        let context = Arc::clone(&self.context);
        if let Some(interrupt) = interrupt::pending(self.frame(), &context) {
            self.trap(Cause::Interrupt(interrupt), 0);
        }
    }

    fn trap(&mut self, cause: Cause, tval: u64) {
        self.tell_trap(cause, tval);
        let (from, pc) = (Privilege::of(self.frame()), self.frame().pc);
        let to = trap::enter(self.frame(), cause, tval);
        let taken = trace::Taken { cause, tval, pc, from, to };
        trace::trap(&self.vcpu, self.number(), taken);
        self.switch();
    }

    /// Tells who records the hart, before anything changes.
    fn tell_trap(&mut self, cause: Cause, value: u64) {
        let Some(mut observer) = self.vcpu.take_observer() else { return };
        let code = match cause {
            Cause::Exception(_) => None,
            Cause::Interrupt(_) => Some(match self.instruction() {
                word if word & 3 == 3 => word.to_le_bytes().to_vec(),
                word => word.to_le_bytes()[..2].to_vec(),
            }),
        };
        let trapped = Trapped { cause: cause.code(), value, code };
        observer.trapped(self.vcpu.frame(), &trapped);
        self.vcpu.set_observer(observer);
    }

    /// Nothing more of it is recorded.
    pub(super) fn end_recording(&mut self) {
        if let Some(mut observer) = self.vcpu.take_observer() {
            observer.ended(self.vcpu.frame());
        }
    }

    fn raise(&mut self, exception: Exception, tval: u64) {
        self.trap(Cause::Exception(exception), tval);
    }

    fn after(&mut self, exit: Exit) {
        let pc = self.vcpu.frame().pc;
        match exit {
            // The guest has no trap flag.
            Exit::Interrupted | Exit::Traced => {}
            Exit::Debug(stop) => self.stop(stop),
            Exit::Syscall => {
                self.drop_reservation();
                self.environment_call();
            }
            Exit::GuestFault(fault) => self.fault(fault),
            // The guest has no guarded pages, so that nothing is refused.
            Exit::IllegalInstruction | Exit::Refused => {
                let word = self.instruction();
                self.raise(Exception::IllegalInstruction, word.into());
            }
            Exit::Breakpoint => self.raise(Exception::Breakpoint, pc),
            Exit::Misaligned(addr) => {
                let exception = match is_load_reserved(self.instruction()) {
                    true => Exception::LoadMisaligned,
                    false => Exception::StoreMisaligned,
                };
                self.raise(exception, addr.0);
            }
            Exit::System => {
                self.drop_reservation();
                self.execute();
            }
            // The host's own faults: no access of a whole machine's CPU goes there.
            Exit::DataFault(fault) => self.raise(Exception::LoadAccess, fault.addr.0),
            Exit::FetchFault(fault) => self.raise(Exception::FetchAccess, fault.addr.0),
        }
    }

    /// A reservation is remembered by virtual address. Where that leads may change, so nothing that can
    /// change it leaves one; none of that may stand between LR and SC in a loop that must succeed
    /// ("Eventual Success of Store-Conditional Instructions").
    fn drop_reservation(&mut self) {
        self.frame().set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
    }

    fn fault(&mut self, GuestFault { cause, addr }: GuestFault) {
        if let Some(exception) = Exception::from_number(cause) {
            self.raise(exception, addr.0);
        }
    }

    /// The instruction at pc; 0 if it cannot be fetched again.
    fn instruction(&mut self) -> u32 {
        let Some((softmmu, frame)) = self.vcpu.system_mut() else { return 0 };
        let pc = GuestVirt(frame.pc);
        let mut half = |at: GuestVirt| {
            let phys = softmmu.fetch(frame, at).ok()?;
            let mut bytes = [0; 2];
            match softmmu.map().resolve(phys, 2).ok()? {
                softmmu::Place::Ram { ram, offset } | softmmu::Place::Rom { ram, offset } => {
                    ram.read(offset, &mut bytes).ok()?;
                }
                softmmu::Place::Mmio { .. } => return None,
            }
            Some(u32::from(u16::from_le_bytes(bytes)))
        };
        let Some(low) = half(pc) else { return 0 };
        if low & 3 != 3 {
            return low;
        }
        half(pc.wrapping_add(2)).map_or(0, |high| high << 16 | low)
    }

    /// ECALL: the runtime's pc is past it.
    fn environment_call(&mut self) {
        let level = Privilege::of(self.frame());
        if let (Some(sbi), Privilege::Supervisor) = (self.sbi.clone(), level) {
            trace::sbi_call(&self.vcpu, self.number());
            return sbi::call(&sbi, self);
        }
        let frame = self.frame();
        frame.pc = frame.pc.wrapping_sub(4);
        self.raise(Exception::call_from(level), 0);
    }

    fn execute(&mut self) {
        let word = self.instruction();
        let context = Arc::clone(&self.context);
        let outcome = match self.frontend.system_insn(word) {
            Some(insn) => privileged::execute(self.frame(), &context, insn),
            None => privileged::execute::illegal(word),
        };
        match outcome {
            Outcome::Next(_) | Outcome::Jump(_) => self.follow_state(),
            // To a step, it is a hint not taken.
            Outcome::Wfi if self.port.is_stepping() => {}
            Outcome::Wfi => self.wait_for_interrupt(),
            Outcome::Access(op) => self.access(op),
            Outcome::Trap { cause, tval } => self.trap(cause, tval),
        }
    }

    fn access(&mut self, op: MemoryOp) {
        let performed = self.vcpu.access(|softmmu, frame| access::perform(softmmu, frame, op));
        let Some(performed) = performed else { return };
        match performed {
            Ok(()) => privileged::execute::complete(self.frame()),
            Err(fault) => self.fault(fault),
        }
    }

    /// WFI: the thread sleeps; where time is counted, the hart's turn ends.
    pub(super) fn wait_for_interrupt(&mut self) {
        self.mailbox.leave();
        if self.shared.clock().is_counted() {
            self.waits = true;
            return;
        }
        loop {
            self.latch();
            if interrupt::wakes(self.vcpu.frame(), &self.context) || self.shared.wants_attention() {
                break;
            }
            let (frame, context, hooks) = (self.vcpu.frame(), &self.context, &self.hooks);
            let rang = self.shared.wait(&self.handle, || {
                let raised = context.lines.load(Ordering::SeqCst) & interrupt::SSIP != 0;
                let rang = hooks.rang.load(Ordering::SeqCst);
                raised || rang || interrupt::wakes(frame, context) || self.shared.wants_attention()
            });
            if rang {
                self.hooks.ring();
            }
        }
    }

    /// Another hart's mailbox may be full of what waits for this one.
    pub(super) fn serve_mailbox(&mut self) {
        for request in self.mailbox.enter() {
            self.fulfil(request);
        }
    }
}

/// Where the hart's data at an address lies; nothing is changed by asking.
fn data_address(
    frame: &CpuFrame,
    context: &SystemContext,
    map: &MemoryMap,
    addr: GuestVirt,
) -> Option<GuestPhys> {
    let regime = Regime { update: true, ..Regime::of_data(frame, context) };
    let mapping = translate(frame, &regime, &mut Glance(map), addr, Right::Load);
    mapping.ok().map(|mapping| mapping.phys)
}

/// Whether an instruction of the A extension is LR, the only one that does not store.
fn is_load_reserved(word: u32) -> bool {
    const LR: u32 = 0b00010;
    word >> 27 == LR
}
