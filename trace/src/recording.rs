//! What is to be recorded of an execution of Ferry's own, and where recording begins and ends: of programs and of machines.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Carries, Sink, Writes};

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

#[cfg(test)]
mod tests {
    use super::*;

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
