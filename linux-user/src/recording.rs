//! `ferry trace`: writes down what the threads of a process execute.
//!
//! An instruction's event is finished when its thread comes to the next one, so that what a system call changes
//! belongs to the instruction before. That the handler of a signal is entered is an event of its own, in place of the next instruction. Only the process that was started is recorded: not its
//! children, and not what it executes.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base::{CpuFrame, GuestVirt};
use runtime::{Exit, Observation, ObservedAccess, Observer, Signalled};
use trace::frame::Watched;
use trace::recording::{BoxedSink, Gate, Memory, Pending, Registers, Start, carries};
use trace::{Access, AccessKind, Architecture, Event, Header, Insn, Privilege, Signal, Trap};

use crate::kernel::{self, Call};
use crate::locks::{Guard, Lock, Rank};
use crate::user::UserSlice;

/// What is to be recorded.
pub struct Record {
    /// The file to write.
    pub output: PathBuf,
    /// Makes what writes the format.
    pub format: Box<dyn FnOnce(File, Header) -> Result<BoxedSink, trace::Error>>,
    /// Where recording begins.
    pub start: Start,
    /// How many instructions at most.
    pub count: Option<u64>,
    /// Whether accesses to memory are recorded.
    pub memory: Memory,
    /// Which registers.
    pub registers: Registers,
}

/// What a recorded process's threads share.
pub(crate) struct Recording {
    sink: Lock<Option<BoxedSink>>,
    gate: Gate,
    threads: AtomicU32,
    memory: Memory,
    registers: Registers,
    architecture: Architecture,
}

impl Recording {
    /// Begins to write a trace of a program of this architecture. `find` says where a symbol lies in it.
    ///
    /// # Errors
    /// A sentence: the trace cannot be written, or there is no such symbol or architecture.
    pub(crate) fn new(
        record: Record,
        (guest, observation): (&str, Observation),
        program: String,
        file: File,
        find: impl FnOnce(&str) -> Option<GuestVirt>,
    ) -> Result<Arc<Self>, String> {
        let architecture = Architecture::by_name(guest)
            .ok_or_else(|| format!("programs of {guest} cannot be traced"))?;
        let begins = record.start.locate(|name| find(name).map(|addr| addr.0));
        let begins = begins.map_err(|name| format!("the program has no symbol {name}"))?;
        let mut carries = carries(record.memory, record.registers);
        if observation == Observation::Compiled {
            carries = carries.without_memory();
        }
        let header = Header { architecture, carries, program: Some(program) };
        let sink = (record.format)(file, header).map_err(|error| error.to_string())?;
        Ok(Arc::new(Self {
            sink: Lock::new(Rank::Recording, Some(sink)),
            gate: Gate::new(begins, record.count),
            threads: AtomicU32::new(0),
            memory: record.memory,
            registers: record.registers,
            architecture,
        }))
    }

    /// What records one more thread of the process.
    pub(crate) fn observer(self: &Arc<Self>) -> Option<Box<dyn Observer>> {
        let watched = Watched::new(self.architecture);
        let pending = Pending::new(watched, self.memory, self.registers);
        let hart = self.threads.fetch_add(1, Ordering::Relaxed);
        let recorder = Recorder {
            recording: Arc::clone(self),
            hart,
            privilege: of_programs(self.architecture),
            pending,
            call: None,
        };
        Some(Box::new(recorder))
    }

    /// Lets no other thread write meanwhile: for `fork`.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        self.sink.lock()
    }

    /// In a child that was forked off: the trace is its parent's.
    pub(crate) fn forget(&self) {
        self.gate.close();
        // What it has not written yet, the parent will.
        std::mem::forget(self.sink.lock().take());
    }

    /// Writes what is left of the trace.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn finish(&self) -> Result<(), trace::Error> {
        self.gate.close();
        match self.sink.lock().take() {
            Some(mut sink) => sink.finish(),
            None => Ok(()),
        }
    }

    #[expect(clippy::print_stderr, reason = "the user must know that the trace is not whole")]
    fn write(&self, event: &Event) {
        let mut sink: Guard<'_, Option<BoxedSink>> = self.sink.lock();
        let Some(writer) = sink.as_mut() else { return };
        let mut result = writer.write(event);
        if self.gate.written() {
            result = result.and_then(|()| writer.finish());
            *sink = None;
        }
        if let Err(error) = result {
            self.gate.close();
            *sink = None;
            eprintln!("ferry: the trace ends here: {error}");
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("architecture", &self.architecture)
            .finish_non_exhaustive()
    }
}

/// What one thread's events are made by.
#[derive(Debug)]
struct Recorder {
    recording: Arc<Recording>,
    hart: u32,
    privilege: Privilege,
    pending: Pending,
    /// The system call that the pending instruction is.
    call: Option<Call>,
}

impl Recorder {
    /// Writes the event that is pending.
    fn complete(&mut self, frame: &CpuFrame) {
        if self.pending.finish(frame).is_some() {
            self.add_kernel_writes(frame);
            self.recording.write(&self.pending.event);
        }
    }

    /// Begins the event of what is at pc, if it is to be recorded.
    fn begin(&mut self, frame: &CpuFrame, insn: Option<Insn>) {
        self.complete(frame);
        self.call = None;
        if !self.recording.gate.wants(frame.pc) {
            return;
        }
        let event = self.pending.begin();
        (event.hart, event.pc, event.insn) = (self.hart, frame.pc, insn);
        event.privilege = Some(self.privilege);
    }

    /// Adds what the system call that was the last instruction has written to memory.
    fn add_kernel_writes(&mut self, frame: &CpuFrame) {
        let Some(mut call) = self.call.take() else { return };
        let Some(convention) = kernel::convention(self.recording.architecture) else { return };
        let result = self.pending.watched.get(frame, convention.result);
        call.result = result.map_or(0, |value| value as u64);
        let mut read = |addr, into: &mut [u8]| read_guest(addr, into);
        for range in kernel::written(self.recording.architecture, &call, &mut read) {
            let mut at = range.start;
            while at < range.end {
                let size = (range.end - at).min(16) as usize;
                let mut bytes = [0; 16];
                if !read_guest(at, &mut bytes[..size]) {
                    break;
                }
                self.pending.event.accesses.push(Access {
                    kind: AccessKind::Store,
                    addr: at,
                    phys: None,
                    size: u8::try_from(size).ok(),
                    value: Some(u128::from_le_bytes(bytes)),
                });
                at += size as u64;
            }
        }
    }
}

/// Reads the guest's memory. Whether it is there.
fn read_guest(addr: u64, into: &mut [u8]) -> bool {
    let buffer = UserSlice::new(GuestVirt(addr), into.len() as u64);
    let bytes = buffer.and_then(UserSlice::read);
    bytes.map(|bytes| into.copy_from_slice(&bytes)).is_ok()
}

impl Observer for Recorder {
    fn before(&mut self, frame: &CpuFrame, code: &[u8]) {
        self.begin(frame, Insn::new(code));
    }

    fn access(&mut self, access: ObservedAccess) {
        let kind = match access.kind {
            softmmu::AccessKind::Store => AccessKind::Store,
            _ => AccessKind::Load,
        };
        self.pending.access(kind, access.addr.0, access.size, access.value);
    }

    fn again(&mut self) {
        self.pending.event.accesses.clear();
    }

    fn after(&mut self, frame: &CpuFrame, exit: Option<&Exit>) {
        self.call = match (exit, kernel::convention(self.recording.architecture)) {
            (Some(Exit::Syscall), Some(convention))
                if self.recording.memory == Memory::Recorded =>
            {
                let register =
                    |at| self.pending.watched.get(frame, at).map_or(0, |value| value as u64);
                Some(convention.call(register))
            }
            _ => None,
        };
        self.pending.event.trap = match exit {
            None | Some(Exit::Syscall | Exit::Interrupted | Exit::Debug(_)) => None,
            Some(Exit::DataFault(fault)) => Some(at(fault.addr)),
            Some(Exit::Misaligned(addr)) => Some(at(*addr)),
            Some(_) => Some(Trap::default()),
        };
    }

    fn signalled(&mut self, frame: &CpuFrame, signal: Signalled) {
        match signal {
            Signalled::Raised(number) => {
                if self.pending.is_some() && self.pending.event.trap.is_none() {
                    // One that could not be fetched has not been seen.
                    self.begin(frame, None);
                }
                let trap = self.pending.event.trap.get_or_insert_default();
                trap.signal = Some(Signal::Raised(number));
            }
            Signalled::Delivered(number) => {
                self.begin(frame, insn_at(self.recording.architecture, frame.pc));
                let signal = Some(Signal::Delivered(number));
                self.pending.event.trap = Some(Trap { signal, ..Trap::default() });
            }
        }
    }

    fn ended(&mut self, frame: &CpuFrame) {
        self.complete(frame);
    }
}

/// The instruction at an address; of x86-64 so many bytes as one may have.
fn insn_at(architecture: Architecture, pc: u64) -> Option<Insn> {
    let mut bytes = [0; 15];
    // What ends with a page has fewer.
    let len = (1..=bytes.len()).rev().find(|&len| read_guest(pc, &mut bytes[..len]))?;
    let first = bytes[0];
    match architecture {
        Architecture::Riscv64 if first & 3 != 3 => Insn::new(bytes[..len].get(..2)?),
        Architecture::Riscv64 | Architecture::Aarch64 => Insn::new(bytes[..len].get(..4)?),
        Architecture::X86_64 => Insn::beginning(&bytes[..len]),
    }
}

/// The level at which programs are executed.
fn of_programs(architecture: Architecture) -> Privilege {
    match architecture {
        Architecture::Riscv64 | Architecture::Aarch64 => Privilege(0),
        Architecture::X86_64 => Privilege(3),
    }
}

/// A fault at an address, for a reason that the signal tells.
fn at(addr: GuestVirt) -> Trap {
    Trap { value: Some(addr.0), ..Trap::default() }
}
