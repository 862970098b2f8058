//! What is to be recorded of an execution of Ferry's own, and where recording begins and ends: of programs and of machines.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base::CpuFrame;

use crate::frame::Watched;
use crate::{Access, AccessKind, Carries, Event, Sink, Writes};

/// What writes a trace, from any thread.
pub type BoxedSink = Box<dyn Sink + Send>;

/// Where recording begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Start {
    /// After so many instructions.
    Instruction(u64),
    /// When one at this address is executed for the first time.
    Address(u64),
    /// When the function of this name in the program's symbol table is entered for the first time.
    Symbol(String),
}

/// Whether accesses to memory are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// With addresses and values.
    Recorded,
    /// They are not.
    LeftOut,
}

/// Which registers are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registers {
    /// Those that have changed; in a thread's first event all.
    Changed,
    /// All, in every event.
    All,
}

/// What of events a recording fills in.
#[must_use]
pub const fn carries(memory: Memory, registers: Registers) -> Carries {
    let writes = match registers {
        Registers::Changed => Writes::Changes,
        Registers::All => Writes::Every,
    };
    let has_memory = matches!(memory, Memory::Recorded);
    Carries {
        insn: true,
        privilege: true,
        int: writes,
        float: writes,
        control: writes,
        loads: has_memory,
        load_values: has_memory,
        stores: has_memory,
        store_values: has_memory,
        traps: true,
    }
}

/// Says which instructions are recorded, to any number of threads.
#[derive(Debug)]
pub struct Gate {
    is_open: AtomicBool,
    has_begun: AtomicBool,
    begins: Begins,
    /// Instructions that were seen before recording began.
    seen: AtomicU64,
    /// Events that may still be recorded.
    left: AtomicU64,
}

/// Where it begins, when symbols have been found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begins {
    /// After so many instructions.
    After(u64),
    /// When one at this address is executed for the first time.
    At(u64),
}

impl Start {
    /// The same by address, by what says where a symbol lies.
    ///
    /// # Errors
    /// The symbol's name: there is none such.
    pub fn locate(self, find: impl FnOnce(&str) -> Option<u64>) -> Result<Begins, String> {
        Ok(match self {
            Self::Instruction(count) => Begins::After(count),
            Self::Address(addr) => Begins::At(addr),
            Self::Symbol(name) => Begins::At(find(&name).ok_or(name)?),
        })
    }
}

impl Gate {
    /// One through which so many events go, or all.
    #[must_use]
    pub const fn new(begins: Begins, count: Option<u64>) -> Self {
        let left = match count {
            Some(count) => count,
            None => u64::MAX,
        };
        Self {
            is_open: AtomicBool::new(true),
            has_begun: AtomicBool::new(false),
            begins,
            seen: AtomicU64::new(0),
            left: AtomicU64::new(left),
        }
    }

    /// Whether the instruction at pc, which is about to be executed, is to be recorded.
    pub fn wants(&self, pc: u64) -> bool {
        if !self.is_open.load(Ordering::Relaxed) {
            return false;
        }
        if self.has_begun.load(Ordering::Relaxed) {
            return true;
        }
        let begins = match self.begins {
            Begins::After(count) => self.seen.fetch_add(1, Ordering::Relaxed) >= count,
            Begins::At(addr) => addr == pc,
        };
        if begins {
            self.has_begun.store(true, Ordering::Relaxed);
        }
        begins
    }

    /// Says that an event was written. Whether it was the last one.
    pub fn written(&self) -> bool {
        let is_last = self.left.fetch_sub(1, Ordering::Relaxed) == 1;
        if is_last {
            self.close();
        }
        is_last
    }

    /// Nothing is recorded any more.
    pub fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }
}

/// The event of what a CPU executes: finished when the CPU comes to what is next, so that what happens in between belongs to it.
#[derive(Debug)]
pub struct Pending {
    /// The CPU's registers, as they were last.
    pub watched: Watched,
    /// What was executed last, if [`Pending::is_some`].
    pub event: Event,
    state: State,
    memory: Memory,
    registers: Registers,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing was recorded yet.
    First,
    /// Nothing is recorded.
    Idle,
    /// The first event, which shows all registers.
    FirstPending,
    /// One of the others.
    Pending,
}

impl Pending {
    /// Of a CPU with these registers, of which nothing was recorded yet.
    #[must_use]
    pub fn new(watched: Watched, memory: Memory, registers: Registers) -> Self {
        Self { watched, event: Event::default(), state: State::First, memory, registers }
    }

    /// Whether there is an event.
    #[must_use]
    pub fn is_some(&self) -> bool {
        matches!(self.state, State::FirstPending | State::Pending)
    }

    /// Finishes the event with the registers as they are now. `None` if there is no event.
    pub fn finish(&mut self, frame: &CpuFrame) -> Option<&mut Event> {
        match (self.state, self.registers) {
            (State::First | State::Idle, _) => return None,
            (State::Pending, Registers::Changed) => {
                self.watched.changes(frame, &mut self.event.writes);
            }
            (State::FirstPending, _) | (State::Pending, Registers::All) => {
                self.watched.all(frame, &mut self.event.writes);
            }
        }
        self.state = State::Idle;
        Some(&mut self.event)
    }

    /// Begins an event, after the one before was finished.
    pub fn begin(&mut self) -> &mut Event {
        self.event.clear();
        self.state = match self.state {
            State::First => State::FirstPending,
            _ => State::Pending,
        };
        &mut self.event
    }

    /// Memory was read or written: that is part of the event, if there is one, and if memory is recorded.
    pub fn access(&mut self, kind: AccessKind, addr: u64, size: u8, value: u128) {
        if self.is_some() && self.memory == Memory::Recorded {
            self.event.accesses.push(Access {
                kind,
                addr,
                phys: None,
                size: Some(size),
                value: Some(value),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;

    #[test]
    fn an_event_is_finished_by_what_comes_next() {
        let watched = Watched::new(Architecture::Riscv64);
        let mut pending = Pending::new(watched, Memory::Recorded, Registers::Changed);
        let frame = CpuFrame::new();
        pending.access(AccessKind::Load, 8, 4, 1);
        assert!(pending.finish(&frame).is_none());
        pending.begin().pc = 0x10;
        pending.access(AccessKind::Load, 8, 4, 1);
        let first = pending.finish(&frame).map(|event| (event.pc, event.accesses.len()));
        assert_eq!(first, Some((0x10, 1)));
        assert!(!pending.event.writes.is_empty(), "the first shows all registers");
        assert!(!pending.is_some() && pending.finish(&frame).is_none());
        pending.begin();
        assert_eq!(pending.finish(&frame).map(|event| event.writes.len()), Some(0));
    }

    #[test]
    fn recording_begins_and_ends_where_it_should() {
        let gate = Gate::new(Begins::At(0x20), Some(2));
        assert!(!gate.wants(0x10) && gate.wants(0x20) && gate.wants(0x24));
        assert!(!gate.written() && gate.written() && !gate.wants(0x20));
        let gate = Gate::new(Begins::After(1), None);
        assert!(!gate.wants(0) && gate.wants(4));
        gate.close();
        assert!(!gate.wants(8));
        let symbol = Start::Symbol("main".to_owned());
        assert_eq!(symbol.clone().locate(|_| Some(8)), Ok(Begins::At(8)));
        assert_eq!(symbol.locate(|_| None), Err("main".to_owned()));
    }
}
