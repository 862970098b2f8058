//! A machine that its owner has execute one instruction after the other: the subject of `ferry diff`.
//!
//! Its devices answer as ever, and its time passes, but that interrupts nothing: interrupts come when its owner says so. Who reads a
//! device is told of by [`Stepped::has_read_device`].

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arch::riscv64::privileged::interrupt::Interrupt;
use arch::riscv64::privileged::{Cause, Privilege as Level};
use arch::riscv64::{debug, slot};
use base::addr::PAGE_SIZE;
use base::{CpuFrame, GuestPhys, GuestVirt};
use runtime::{Exit, Interrupter, ObservedAccess, Observer, Trapped};
use softmmu::GuestMemory;
use trace::frame::Watched;
use trace::{
    Access, AccessKind, Architecture, Event, Insn, Privilege, RegClass, RegWrite, Register, Trap,
};
use vm_memory::{Bytes, GuestAddress};

use crate::riscv64::layout;
use crate::riscv64::virt::{Bios, Config, Virt, VirtError};

/// A machine of one hart, stepped.
pub struct Stepped {
    machine: Virt,
    watched: Watched,
    seen: Seen,
    reads_device: Arc<AtomicBool>,
    bytes: u64,
}

impl Stepped {
    /// Puts a machine together. What `config` says of its initial RAM disk is not loaded: that, as its device tree, it takes from the machine
    /// that it is compared with.
    ///
    /// # Errors
    /// As [`Virt::new`], or it is no machine that can be stepped.
    pub fn new(config: Config) -> Result<Self, VirtError> {
        if config.harts != 1 {
            return Err(VirtError::Limit("a machine that is stepped has one CPU".to_owned()));
        }
        if config.bios == Bios::BuiltIn && config.flash.is_empty() {
            return Err(VirtError::Limit(
                "the built-in SBI has no instructions: give firmware (--bios), or --bios none"
                    .to_owned(),
            ));
        }
        let bytes = config.memory;
        let config = Config { initrd: None, record: None, ..config };
        let mut machine = Virt::observed(config)?;
        machine.clear_tree()?;
        let seen = Seen::default();
        let hart = machine.hart();
        let watcher = Watcher { seen: seen.clone(), interrupter: hart.vcpu.interrupter() };
        hart.vcpu.set_observer(Box::new(watcher));
        hart.begin_steps();
        let reads_device = Arc::clone(hart.reads_device());
        let watched = Watched::of_machine(Architecture::Riscv64);
        Ok(Self { machine, watched, seen, reads_device, bytes })
    }

    fn frame(&mut self) -> &mut CpuFrame {
        self.machine.hart().frame()
    }

    /// Executes one instruction, or takes the exception that it raises. `false` if the machine has ended.
    pub fn step(&mut self, event: &mut Event) -> bool {
        if self.machine.shared().ending().is_some() {
            return false;
        }
        self.reads_device.store(false, Ordering::Relaxed);
        let privilege = Level::of(self.frame());
        while !self.seen.is_some() {
            self.machine.hart().advance();
        }
        self.finish(privilege, event);
        true
    }

    /// Takes an interrupt in place of the next instruction, by its `mcause`. `false` if there is none of that number.
    pub fn interrupt(&mut self, cause: u64, event: &mut Event) -> bool {
        let mut all = Interrupt::BY_PRIORITY.into_iter().map(Cause::Interrupt);
        let Some(interrupt) = all.find(|known| known.code() == cause) else { return false };
        self.reads_device.store(false, Ordering::Relaxed);
        let privilege = Level::of(self.frame());
        self.machine.hart().take(interrupt);
        self.finish(privilege, event);
        true
    }

    fn finish(&mut self, privilege: Level, event: &mut Event) {
        std::mem::swap(event, &mut self.seen.lock().event);
        self.seen.lock().is_some = false;
        event.privilege = Some(Privilege(privilege as u8));
        let Self { machine, watched, .. } = self;
        watched.changes(machine.hart().frame(), &mut event.writes);
    }

    /// Whether the instruction that was executed last has read a device.
    #[must_use]
    pub fn has_read_device(&self) -> bool {
        self.reads_device.load(Ordering::Relaxed)
    }

    /// Has the next SC succeed, or fail. It has its registers already.
    pub fn decide_store_conditional(&mut self, word: u32, succeeds: bool) {
        /// A reservation of four bytes: see `translator::riscv64::rv_a`.
        const OF_WORD: u64 = 1;
        let (rs1, is_word) = ((word >> 15 & 31) as u8, word >> 12 & 7 == 2);
        let frame = self.frame();
        let addr = if rs1 == 0 { 0 } else { frame.get(slot::x(rs1)) };
        if !succeeds {
            frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
            return;
        }
        let bytes = if is_word { 4 } else { 8 };
        let Some(value) = self.machine.hart().glance(GuestVirt(addr), bytes) else { return };
        let (value, size) = match is_word {
            true => (value as u32 as i32 as u64, OF_WORD),
            false => (value, 0),
        };
        let frame = self.frame();
        frame.set(slot::RESERVATION_ADDR, addr | size);
        frame.set(slot::RESERVATION_VALUE, value);
    }

    /// The address of the next instruction.
    pub fn pc(&mut self) -> GuestVirt {
        GuestVirt(self.frame().pc)
    }

    /// Its registers, as a trace shows them.
    pub fn registers(&mut self) -> Vec<RegWrite> {
        let mut all = Vec::new();
        let Self { machine, watched, .. } = self;
        watched.all(machine.hart().frame(), &mut all);
        all
    }

    /// Goes on at an address, at a level.
    pub fn set_place(&mut self, pc: GuestVirt, Privilege(level): Privilege) {
        let hart = self.machine.hart();
        if let Some(level) = Level::from_number(level.into()) {
            level.enter(hart.frame());
        }
        hart.frame().pc = pc.0;
        hart.follow_state();
    }

    /// Writes registers. What was written is no change for the next event. Whether all could be written; control registers
    /// have of the value what they can have.
    pub fn set_registers(&mut self, writes: &[RegWrite]) -> bool {
        let mut all = true;
        let hart = self.machine.hart();
        let context = Arc::clone(&hart.context);
        for write in writes {
            let number = debug_number(write.register);
            all &= number.is_some_and(|number| {
                debug::write_system(hart.frame(), &context, number, write.value as u64)
            });
        }
        hart.follow_state();
        let mut ignored = Vec::new();
        self.watched.changes(self.machine.hart().frame(), &mut ignored);
        all
    }

    fn memory(&self) -> GuestMemory {
        self.machine.shared().bus().memory().clone()
    }

    /// Where its RAM is, and how much there is.
    #[must_use]
    pub fn ram(&self) -> (GuestPhys, u64) {
        (layout::DRAM, self.bytes)
    }

    /// Where its ROM is, and how much there is of it.
    #[must_use]
    pub fn rom(&self) -> (GuestPhys, u64) {
        (layout::MROM, layout::MROM_SIZE)
    }

    /// The pages of RAM in which nothing but zeros is, as ranges: what was loaded lies elsewhere.
    ///
    /// # Errors
    /// RAM cannot be read.
    pub fn empty_ranges(&self) -> Result<Vec<std::ops::Range<u64>>, VirtError> {
        let (memory, (start, bytes)) = (self.memory(), self.ram());
        let mut page = [0; PAGE_SIZE as usize];
        let mut ranges: Vec<std::ops::Range<u64>> = Vec::new();
        for addr in (start.0..start.0 + bytes).step_by(page.len()) {
            memory.read_slice(&mut page, GuestAddress(addr)).map_err(unreachable_memory)?;
            if page != [0; PAGE_SIZE as usize] {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == addr => last.end += PAGE_SIZE,
                _ => ranges.push(addr..addr + PAGE_SIZE),
            }
        }
        Ok(ranges)
    }

    /// Writes to RAM.
    ///
    /// # Errors
    /// There is none.
    pub fn write(&self, at: GuestPhys, bytes: &[u8]) -> Result<(), VirtError> {
        self.memory().write_slice(bytes, GuestAddress(at.0)).map_err(unreachable_memory)
    }

    /// Writes to the beginning of its ROM.
    ///
    /// # Errors
    /// It is shorter.
    pub fn write_rom(&self, bytes: &[u8]) -> Result<(), VirtError> {
        self.machine.write_rom(bytes)
    }
}

fn unreachable_memory(error: vm_memory::GuestMemoryError) -> VirtError {
    VirtError::Limit(format!("memory: {error}"))
}

/// A register's number in gdb's protocol.
fn debug_number(Register { class, number }: Register) -> Option<u32> {
    const F0: u32 = 33;
    const CSR0: u32 = 65;
    match class {
        RegClass::Int => Some(number.into()),
        RegClass::Float => Some(F0 + u32::from(number)),
        RegClass::Control => Some(CSR0 + u32::from(number)),
        _ => None,
    }
}

impl fmt::Debug for Stepped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepped").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// The event of the last instruction, if there is one.
#[derive(Default, Debug)]
struct Last {
    event: Event,
    is_some: bool,
}

#[derive(Clone, Default, Debug)]
struct Seen(Arc<Mutex<Last>>);

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_some(&self) -> bool {
        self.lock().is_some
    }

    fn begin(&self, pc: u64, insn: Option<Insn>) {
        let mut last = self.lock();
        last.event.clear();
        (last.event.pc, last.event.insn) = (pc, insn);
    }
}

/// Makes the event, and has the hart stop after it.
#[derive(Debug)]
struct Watcher {
    seen: Seen,
    interrupter: Interrupter,
}

impl Observer for Watcher {
    fn before(&mut self, frame: &CpuFrame, code: &[u8]) {
        self.seen.begin(frame.pc, Insn::new(code));
    }

    fn access(&mut self, access: ObservedAccess) {
        let kind = match access.kind {
            softmmu::AccessKind::Store => AccessKind::Store,
            _ => AccessKind::Load,
        };
        let (addr, size, value) = (access.addr.0, Some(access.size), Some(access.value));
        self.seen.lock().event.accesses.push(Access { kind, addr, phys: None, size, value });
    }

    fn again(&mut self) {
        self.seen.lock().event.accesses.clear();
    }

    fn after(&mut self, _: &CpuFrame, _: Option<&Exit>) {
        self.seen.lock().is_some = true;
        self.interrupter.interrupt();
    }

    fn trapped(&mut self, frame: &CpuFrame, Trapped { cause, value, code }: &Trapped) {
        let raised = code.is_none() && self.seen.is_some();
        if !raised {
            // An interrupt, or an instruction that could not be fetched.
            self.seen.begin(frame.pc, code.as_deref().and_then(Insn::new));
        }
        let mut last = self.seen.lock();
        last.is_some = true;
        last.event.trap = Some(Trap { cause: Some(*cause), value: Some(*value), signal: None });
    }

    fn ended(&mut self, _: &CpuFrame) {}
}
