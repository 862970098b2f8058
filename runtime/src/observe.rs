//! Executions instruction by instruction, with what each reads and writes in memory: for traces.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use arch::access::Told;
use base::sys::access::Faulted;
use base::{CpuFrame, GuestVirt};
use ir::interp::{Alone, Direct, Entry, Memory, Site, Stop};
use softmmu::AccessKind;

use crate::block::Tb;
use crate::config::Observation;
use crate::debug::Watched;
use crate::exit::Exit;
use crate::promote::{CompiledStop, Promoter};
use crate::vcpu::{Vcpu, interpret};

/// Told of every instruction that one CPU executes, or of every block under [`Observation::Blocks`]. The CPU's engine must have
/// one of [`Observation`]'s settings for that.
pub trait Observer: fmt::Debug + Send {
    /// The instruction or block at the frame's pc, with these bytes, is about to be executed.
    fn before(&mut self, frame: &CpuFrame, code: &[u8]);

    /// It has read or written memory, by itself or by a helper that it calls: compiled code does not say.
    fn access(&mut self, access: ObservedAccess);

    /// It begins anew, and what was told of its accesses has not happened.
    fn again(&mut self);

    /// So many instructions were executed, of which the last one may have ended in an exit; that is told at once by
    /// [`Observer::after`]. They may be fewer than the block has, and none: then nothing has happened.
    fn executed(&mut self, _insns: u32) {}

    /// It has been executed, or has ended in an exit.
    fn after(&mut self, frame: &CpuFrame, exit: Option<&Exit>);

    /// The CPU's owner takes an exception or an interrupt. The frame is as it was before that, with the pc of the
    /// instruction that raised it, or in whose place it is taken.
    fn trapped(&mut self, _frame: &CpuFrame, _trap: &Trapped) {}

    /// A program gets a signal, by Linux's number. The frame is as it was before that.
    fn signalled(&mut self, _frame: &CpuFrame, _signal: Signalled) {}

    /// The CPU's owner says that it executes nothing more.
    fn ended(&mut self, frame: &CpuFrame);
}

/// How it is known what was executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Executed {
    /// So much.
    Insns(u32),
    /// What the interpreter has counted.
    Interpreted,
}

/// Whether an exit is that of an instruction that did not retire, and that the interpreter so did not count.
fn is_by_last(exit: &Exit) -> bool {
    match exit {
        Exit::DataFault(_)
        | Exit::Misaligned(_)
        | Exit::IllegalInstruction
        | Exit::Breakpoint
        | Exit::System
        | Exit::GuestFault(_) => true,
        Exit::Syscall
        | Exit::FetchFault(_)
        | Exit::Refused
        | Exit::Traced
        | Exit::Interrupted
        | Exit::Debug(_) => false,
    }
}

/// An exception or an interrupt that a CPU takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trapped {
    /// As the architecture numbers it, interrupts apart from exceptions.
    pub cause: u64,
    /// What the architecture tells beside it, such as an address.
    pub value: u64,
    /// Of an interrupt, the bytes of the instruction in whose place it is taken.
    pub code: Option<Vec<u8>>,
}

/// What becomes of a program's signal (signal(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signalled {
    /// The instruction that was executed last raises it.
    Raised(u8),
    /// Its handler is entered, before the instruction at the frame's pc.
    Delivered(u8),
}

/// An access that did not fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObservedAccess {
    /// Whether it reads or writes.
    pub kind: AccessKind,
    /// Where.
    pub addr: GuestVirt,
    /// Bytes.
    pub size: u8,
    /// What was read or written, zero-extended.
    pub value: u128,
}

#[expect(unsafe_code, reason = "runs tier 0 code on the frame")]
impl Vcpu {
    /// Has every instruction observed from now on.
    pub fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.observer = Some(observer);
    }

    /// Who observes, to be told of what else happens.
    pub fn observer_mut(&mut self) -> Option<&mut dyn Observer> {
        self.observer.as_deref_mut().map(|observer| observer as &mut dyn Observer)
    }

    /// Has nothing observed any more.
    pub fn take_observer(&mut self) -> Option<Box<dyn Observer>> {
        self.observer.take()
    }

    /// Executes a block, which is one instruction unless blocks are observed.
    pub(crate) fn execute_observed(&mut self, block: &Tb) -> Option<Exit> {
        self.observe_begin(block.source.as_deref().unwrap_or_default());
        let compiled = self.compiled_to_observe(block);
        let stop = compiled.and_then(|(promoter, code)| self.enter_observed(&*promoter, code));
        let exit = match (stop, self.engine().config().observation) {
            (None, _) => {
                let stop = self.interpret_alone(block.entry());
                let exit = self.after_interpreter(stop);
                self.observe_end(Executed::Interpreted, exit.as_ref());
                exit
            }
            (Some(stop), Observation::Blocks) => self.after_block(block, stop),
            (Some(stop), _) => {
                let exit = self.after_compiled(stop);
                self.observe_end(Executed::Insns(1), exit.as_ref());
                exit
            }
        };
        self.forget_arrival();
        exit
    }

    /// Enters a block's compiled code. `None` if it has executed nothing: the interpreter does it then.
    fn enter_observed(
        &mut self,
        promoter: &dyn Promoter,
        code: NonNull<u8>,
    ) -> Option<CompiledStop> {
        // SAFETY: the block was found in this epoch, and so was what it is compiled to; the frame is this CPU's.
        let stop = unsafe { promoter.enter(self.shared.frame(), code) };
        // A region of one block that does not go back to it looks at the interrupt word at its entry only.
        let is_left = matches!(stop, CompiledStop::Interrupted(_) | CompiledStop::Hot(_));
        (!is_left).then_some(stop)
    }

    /// What compiled code does not finish of a block is told as a part of its own: from where registers are exact.
    fn after_block(&mut self, block: &Tb, stop: CompiledStop) -> Option<Exit> {
        let from = match stop {
            CompiledStop::Interpret(pc) => pc,
            CompiledStop::Replay { sync_pc, .. } => sync_pc,
            _ => {
                let exit = self.after_compiled(stop);
                self.observe_end(Executed::Insns(block.code.head().insns()), exit.as_ref());
                return exit;
            }
        };
        self.set_pc(from);
        self.observe_end(Executed::Insns(self.insns_before(block, from)), None);
        let rest = match self.find_here() {
            Ok(rest) => rest,
            Err(exit) => return Some(exit),
        };
        // SAFETY: found in this epoch.
        self.observe_begin(unsafe { rest.get() }.source.as_deref().unwrap_or_default());
        let exit = self.after_compiled(stop);
        self.observe_end(Executed::Interpreted, exit.as_ref());
        exit
    }

    /// How many instructions of a block lie before an address in it.
    fn insns_before(&self, block: &Tb, pc: GuestVirt) -> u32 {
        let (start, code) = (block.key().pc(), block.source.as_deref().unwrap_or_default());
        let (mut at, mut insns) = (0, 0);
        while at < code.len() && start.wrapping_add(at as u64) != pc {
            let here = start.wrapping_add(at as u64);
            at += self.engine().frontend().disassemble(here, &code[at..]).bytes;
            insns += 1;
        }
        insns
    }

    fn observe_begin(&mut self, code: &[u8]) {
        self.interpreted_before = self.interpreted();
        // SAFETY: as in `frame`; the observer is no part of the frame.
        let frame = unsafe { &*self.shared.frame() };
        if let Some(observer) = &mut self.observer {
            observer.before(frame, code);
        }
    }

    fn observe_end(&mut self, executed: Executed, exit: Option<&Exit>) {
        let insns = match executed {
            Executed::Insns(insns) => insns,
            Executed::Interpreted => {
                let retired = self.interpreted().saturating_sub(self.interpreted_before);
                let all = retired + u64::from(exit.is_some_and(is_by_last));
                u32::try_from(all).unwrap_or(u32::MAX)
            }
        };
        self.interpreted_before = self.interpreted();
        // SAFETY: as in `frame`; the observer is no part of the frame.
        let frame = unsafe { &*self.shared.frame() };
        if let Some(observer) = &mut self.observer {
            observer.executed(insns);
            observer.after(frame, exit);
        }
    }

    /// The instruction at pc is executed again, by [`Vcpu::observe_step`].
    pub(crate) fn observe_again(&mut self) {
        if self.observer.is_some() && self.engine().config().observation == Observation::Blocks {
            self.observe_end(Executed::Interpreted, None);
        } else if let Some(observer) = &mut self.observer {
            observer.again();
        }
    }

    /// An instruction is about to be executed outside the cache: a part of its own, where blocks are observed.
    pub(crate) fn observe_step(&mut self, code: &[u8]) {
        if self.engine().config().observation == Observation::Blocks {
            self.observe_begin(code);
        }
    }

    /// The code of a block that is to be observed as compiled code; `None` if it is to be interpreted.
    fn compiled_to_observe(&self, block: &Tb) -> Option<(Arc<dyn Promoter>, NonNull<u8>)> {
        let engine = self.engine();
        if engine.config().observation == Observation::Instructions || block.second_page.is_some() {
            return None;
        }
        let promoter = engine.promoter()?;
        if block.compiled().is_none() && !block.is_watched() {
            if engine.config().has_baseline() {
                let guest_code: Vec<_> = block.guest_code().collect();
                promoter.compile_quickly(engine, &block.code, &guest_code);
            } else {
                promoter.promote(engine, block.key(), self.surroundings());
            }
        }
        Some((Arc::clone(promoter), block.compiled()?))
    }

    /// Interprets one block and no further, and tells the observer of its accesses.
    pub(crate) fn interpret_observed(
        &mut self,
        entry: Entry,
        mut observer: Box<dyn Observer>,
    ) -> Stop {
        let teller = &mut *observer;
        arch::access::listen();
        // SAFETY: this CPU is running; callers have just found or made the code.
        let stop = unsafe {
            match self.soft_memory() {
                None if self.watches.is_empty() => {
                    let memory = &mut Observed { memory: &mut Direct, observer: teller };
                    interpret(&self.shared, memory, &Alone, entry)
                }
                None => {
                    let mut watched = Watched(&mut self.watches);
                    let memory = &mut Observed { memory: &mut watched, observer: teller };
                    interpret(&self.shared, memory, &Alone, entry)
                }
                Some(memory) => {
                    let memory = &mut Observed { memory: &mut memory.counted(), observer: teller };
                    interpret(&self.shared, memory, &Alone, entry)
                }
            }
        };
        for told in arch::access::told() {
            let kind = match told.kind {
                arch::access::Kind::Load => AccessKind::Load,
                arch::access::Kind::Store => AccessKind::Store,
            };
            let Told { addr, size, value, .. } = told;
            observer.access(ObservedAccess { kind, addr, size, value });
        }
        self.observer = Some(observer);
        stop
    }
}

/// Memory whose accesses an observer is told of.
#[derive(Debug)]
pub(crate) struct Observed<'a, M> {
    pub(crate) memory: &'a mut M,
    pub(crate) observer: &'a mut dyn Observer,
}

impl<M> Observed<'_, M> {
    fn tell(&mut self, kind: AccessKind, addr: GuestVirt, size: u8, value: u128) {
        self.observer.access(ObservedAccess { kind, addr, size, value });
    }
}

macro_rules! accesses {
    ($($bytes:literal $type:ty, $load:ident, $store:ident, $cas:ident;)*) => {
        impl<M: Memory> Memory for Observed<'_, M> {
            const ADDRESS_BITS: u32 = M::ADDRESS_BITS;
            $(
                fn $load(&mut self, site: Site, addr: GuestVirt) -> Result<$type, Faulted> {
                    let value = self.memory.$load(site, addr)?;
                    self.tell(AccessKind::Load, addr, $bytes, value.into());
                    Ok(value)
                }
                fn $store(&mut self, site: Site, addr: GuestVirt, value: $type)
                -> Result<(), Faulted> {
                    self.memory.$store(site, addr, value)?;
                    self.tell(AccessKind::Store, addr, $bytes, value.into());
                    Ok(())
                }
                fn $cas(&mut self, site: Site, addr: GuestVirt, expected: $type, new: $type)
                -> Result<$type, Faulted> {
                    let found = self.memory.$cas(site, addr, expected, new)?;
                    self.tell(AccessKind::Load, addr, $bytes, found.into());
                    if found == expected {
                        self.tell(AccessKind::Store, addr, $bytes, new.into());
                    }
                    Ok(found)
                }
            )*
            fn load128(&mut self, site: Site, addr: GuestVirt) -> Result<u128, Faulted> {
                let value = self.memory.load128(site, addr)?;
                self.tell(AccessKind::Load, addr, 16, value);
                Ok(value)
            }
            fn store128(&mut self, site: Site, addr: GuestVirt, value: u128)
            -> Result<(), Faulted> {
                self.memory.store128(site, addr, value)?;
                self.tell(AccessKind::Store, addr, 16, value);
                Ok(())
            }
            fn barrier(&mut self) {
                self.memory.barrier();
            }
            fn prepare_atomic(&mut self, addr: GuestVirt, bytes: u64) -> Result<(), Faulted> {
                self.memory.prepare_atomic(addr, bytes)
            }
        }
    };
}

accesses! {
    1 u8, load8, store8, compare_exchange8;
    2 u16, load16, store16, compare_exchange16;
    4 u32, load32, store32, compare_exchange32;
    8 u64, load64, store64, compare_exchange64;
}
