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
use crate::promote::Promoter;
use crate::vcpu::{Vcpu, interpret};

/// Told of every instruction that one CPU executes. The CPU's engine must have
/// [`Observation::Instructions`] or [`Observation::Compiled`].
pub trait Observer: fmt::Debug + Send {
    /// The instruction at the frame's pc, with these bytes, is about to be executed.
    fn before(&mut self, frame: &CpuFrame, code: &[u8]);

    /// It has read or written memory, by itself or by a helper that it calls: compiled code does not say.
    fn access(&mut self, access: ObservedAccess);

    /// It begins anew, and what was told of its accesses has not happened.
    fn again(&mut self);

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

    /// Executes a block of one instruction.
    pub(crate) fn execute_observed(&mut self, block: &Tb) -> Option<Exit> {
        let compiled = self.compiled_to_observe(block);
        // SAFETY: as in `frame`; the observer is no part of the frame.
        let frame = unsafe { &*self.shared.frame() };
        if let Some(observer) = &mut self.observer {
            observer.before(frame, block.source.as_deref().unwrap_or_default());
        }
        let exit = match compiled {
            // SAFETY: the block was found in this epoch, and so was what it is compiled to; the frame is this CPU's.
            Some((promoter, code)) => unsafe {
                let stop = promoter.enter(self.shared.frame(), code);
                self.after_observed_compiled(stop)
            },
            None => {
                let stop = self.interpret_alone(block.entry());
                self.after_interpreter(stop)
            }
        };
        // SAFETY: as above.
        let frame = unsafe { &*self.shared.frame() };
        if let Some(observer) = &mut self.observer {
            observer.after(frame, exit.as_ref());
        }
        exit
    }

    /// The code of a block that is to be observed as compiled code; `None` if it is to be interpreted.
    fn compiled_to_observe(&self, block: &Tb) -> Option<(Arc<dyn Promoter>, NonNull<u8>)> {
        let engine = self.engine();
        if engine.config().observation != Observation::Compiled || block.second_page.is_some() {
            return None;
        }
        if block.compiled().is_none() && !block.is_watched() {
            engine.promoter()?.promote(engine, block.key(), self.surroundings());
        }
        Some((Arc::clone(engine.promoter()?), block.compiled()?))
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
