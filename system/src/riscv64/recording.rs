//! `ferry trace boot`: writes down what the harts of a machine execute.
//!
//! An instruction's event is finished when its hart comes to the next one, so that what a trap, a CSR instruction or the built-in SBI
//! changes belongs to the instruction before. An interrupt is an event of its own, in place of the instruction at its pc.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arch::riscv64::privileged::mmu::{self, Regime};
use arch::riscv64::privileged::pmp::Access as Right;
use arch::riscv64::privileged::{Privilege as Level, SystemContext};
use base::{CpuFrame, GuestVirt};
use runtime::{Exit, ObservedAccess, Observer, Trapped};
use softmmu::MemoryMap;
use trace::frame::Watched;
use trace::recording::{Begins, BoxedSink, Gate, Memory, Pending, Registers};
use trace::{AccessKind, Architecture, Event, Insn, Privilege, Trap};

use crate::riscv64::debug::Glance;

/// What is to be recorded.
pub struct Record {
    /// What writes the trace.
    pub sink: BoxedSink,
    /// Where recording begins.
    pub begins: Begins,
    /// How many events at most.
    pub count: Option<u64>,
    /// Whether accesses to memory are recorded.
    pub memory: Memory,
    /// Which registers.
    pub registers: Registers,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("begins", &self.begins).finish_non_exhaustive()
    }
}

/// What a machine's harts share.
pub(super) struct Recording {
    /// `None` once the trace is finished.
    sink: Mutex<Result<Option<BoxedSink>, trace::Error>>,
    gate: Gate,
    memory: Memory,
    registers: Registers,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Recording {
    pub(super) fn new(record: Record) -> Arc<Self> {
        let Record { sink, begins, count, memory, registers } = record;
        let gate = Gate::new(begins, count);
        Arc::new(Self { sink: Mutex::new(Ok(Some(sink))), gate, memory, registers })
    }

    /// What records a hart.
    pub(super) fn observer(
        self: &Arc<Self>,
        context: &Arc<SystemContext>,
        map: &Arc<MemoryMap>,
    ) -> Box<dyn Observer> {
        let watched = Watched::of_machine(Architecture::Riscv64);
        Box::new(Recorder {
            recording: Arc::clone(self),
            context: Arc::clone(context),
            map: Arc::clone(map),
            pending: Pending::new(watched, self.memory, self.registers),
        })
    }

    fn write(&self, event: &Event) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(Some(writer)) = sink.as_mut() else { return };
        let mut result = writer.write(event);
        let is_last = self.gate.written();
        if is_last {
            result = result.and_then(|()| writer.finish());
        }
        match result {
            Ok(()) if is_last => *sink = Ok(None),
            Ok(()) => {}
            Err(error) => {
                self.gate.close();
                *sink = Err(error);
            }
        }
    }

    /// Writes what is left of the trace. The harts have ended.
    ///
    /// # Errors
    /// It cannot be written, or could not be.
    pub(super) fn finish(&self) -> Result<(), trace::Error> {
        self.gate.close();
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *sink, Ok(None))? {
            Some(mut sink) => sink.finish(),
            None => Ok(()),
        }
    }
}

/// What one hart's events are made by.
#[derive(Debug)]
struct Recorder {
    recording: Arc<Recording>,
    context: Arc<SystemContext>,
    map: Arc<MemoryMap>,
    pending: Pending,
}

impl Recorder {
    /// Writes the event that is pending.
    fn complete(&mut self, frame: &CpuFrame) {
        if let Some(event) = self.pending.finish(frame) {
            self.recording.write(event);
        }
    }

    /// Begins the event of what is at pc, if it is to be recorded.
    fn begin(&mut self, frame: &CpuFrame, code: Option<&[u8]>) {
        self.complete(frame);
        if !self.recording.gate.wants(frame.pc) {
            return;
        }
        let event = self.pending.begin();
        (event.hart, event.pc) = (self.context.hart as u32, frame.pc);
        event.insn = code.and_then(Insn::new);
        event.privilege = Some(Privilege(Level::of(frame) as u8));
    }

    /// Fills in where accesses lie in physical memory: page tables are looked at as they are now, and left alone.
    fn locate(&mut self, frame: &CpuFrame) {
        for access in &mut self.pending.event.accesses {
            let (right, kind) = match access.kind {
                AccessKind::Load => (Right::Load, Right::Load),
                AccessKind::Store => (Right::Store, Right::Load),
            };
            let addr = GuestVirt(access.addr);
            let regime = Regime { update: true, ..Regime::of_data(frame, &self.context) };
            let tables = &mut Glance(&self.map);
            let mapping = mmu::translate(frame, &regime, tables, addr, right)
                .or_else(|_| mmu::translate(frame, &regime, tables, addr, kind));
            access.phys = mapping.ok().map(|mapping| mapping.phys.0);
        }
    }
}

impl Observer for Recorder {
    fn before(&mut self, frame: &CpuFrame, code: &[u8]) {
        self.begin(frame, Some(code));
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

    fn after(&mut self, frame: &CpuFrame, _: Option<&Exit>) {
        if self.pending.is_some() {
            self.locate(frame);
        }
    }

    fn trapped(&mut self, frame: &CpuFrame, Trapped { cause, value, code }: &Trapped) {
        let raised = code.is_none() && self.pending.is_some() && self.pending.event.pc == frame.pc;
        if !raised {
            // An interrupt, or an instruction that could not be fetched.
            self.begin(frame, code.as_deref());
        }
        self.pending.event.trap =
            Some(Trap { cause: Some(*cause), value: Some(*value), signal: None });
    }

    fn ended(&mut self, frame: &CpuFrame) {
        self.complete(frame);
    }
}
