//! What can be debugged.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arch::debug::{DebugRegisters, DebugValue};
use base::{GuestPhys, GuestVirt};

use crate::debug::DebugStop;
use crate::engine::Engine;

/// A thread, as gdb numbers it.
pub type Thread = NonZeroUsize;

/// What a thread is to do when the guest goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Resume {
    /// It runs.
    #[default]
    Run,
    /// It executes one instruction.
    Step,
    /// It stays where it is.
    Stay,
}

/// A signal as gdb numbers it ("include/gdb/signals.def"); up to 15, mostly as everybody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal(pub u8);

impl Signal {
    /// The user's Ctrl-C.
    pub const INT: Self = Self(2);
    /// A breakpoint or a step.
    pub const TRAP: Self = Self(5);
}

/// Why a thread has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// The debugger's own doing.
    Debug(DebugStop),
    /// It is about to get a signal.
    Signal(Signal),
}

/// How a guest ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself, with this status.
    Exited(u8),
    /// By a signal.
    Killed(Signal),
}

/// What happens while gdb waits. The debuggee sends the last two.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes from the connection of this number.
    Received(u64, Vec<u8>),
    /// The connection of this number is no more.
    Closed(u64),
    /// A thread has stopped; the others are about to.
    Stopped(Thread, StopReason),
    /// The guest has ended.
    Ended(End),
}

/// A place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// At the address as the thread sees it.
    Virtual(GuestVirt),
    /// At the physical address.
    Physical(GuestPhys),
}

/// Something that can be debugged. Between [`Debuggee::stop`] and [`Debuggee::resume`], no thread of it executes
/// anything.
pub trait Debuggee {
    /// What runs it.
    fn engine(&self) -> &Arc<Engine>;

    /// Its registers.
    fn registers(&self) -> &DebugRegisters;

    /// Whether there is memory with physical addresses.
    fn has_physical_memory(&self) -> bool;

    /// A process's auxiliary vector, by which a debugger finds where it was loaded.
    fn auxiliary_vector(&self) -> Option<&[u8]> {
        None
    }

    /// What is known of the signal by which a process has stopped: `siginfo_t`.
    fn signal_info(&self) -> Option<Vec<u8>> {
        None
    }

    /// A process's memory as its /proc/self/maps shows it, with the host's names of files.
    fn memory_map(&self) -> Option<String> {
        None
    }

    /// Its threads, the most interesting first.
    fn threads(&self) -> Vec<Thread>;

    /// What a thread is, in a few words.
    fn describe(&self, thread: Thread) -> String;

    /// The values of registers; `None` for those that there are not.
    fn read_registers(&mut self, thread: Thread, numbers: &[u32]) -> Vec<Option<DebugValue>>;

    /// Writes registers. Whether all could be written.
    fn write_registers(&mut self, thread: Thread, values: &[(u32, DebugValue)]) -> bool;

    /// Reads memory up to the first byte that cannot be read; how much that was.
    fn read_memory(&mut self, thread: Thread, at: Memory, buffer: &mut [u8]) -> usize;

    /// Writes memory; translations of what was there are dropped. Whether all could be written.
    fn write_memory(&mut self, thread: Thread, at: Memory, bytes: &[u8]) -> bool;

    /// Stops all threads, and waits until they have.
    fn stop(&mut self);

    /// Lets threads go on, each as `how` says. A thread that was stopped by a signal gets the one that is
    /// named with it, or none.
    fn resume(&mut self, how: &dyn Fn(Thread) -> (Resume, Option<Signal>));

    /// The debugger goes: threads that wait go on, and get the signals that they were stopped by.
    fn release(&mut self);

    /// Ends it at once.
    fn kill(&mut self);
}
