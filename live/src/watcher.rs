//! What becomes events of the instructions that a CPU of ours executes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base::CpuFrame;
use diff::guest;
use runtime::{Exit, Interrupter, ObservedAccess, Observer};
use trace::frame::Watched;
use trace::{Access, AccessKind, Architecture, Event, Insn, RegWrite, Trap};

/// Events after which the CPU is stopped, so that they are seen.
const BATCH: usize = 1024;

/// What the CPU and its owner share.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    events: VecDeque<Event>,
    spare: Vec<Event>,
    /// Registers were written by others: what they are now is no change.
    was_changed: bool,
}

/// Shared with the observer.
#[derive(Clone, Default, Debug)]
pub(crate) struct Queue(Arc<Mutex<Seen>>);

impl Queue {
    fn with<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the oldest event; whether there is one.
    pub(crate) fn take(&self, into: &mut Event) -> bool {
        self.with(|seen| {
            let Some(mut event) = seen.events.pop_front() else { return false };
            std::mem::swap(into, &mut event);
            seen.spare.push(event);
            true
        })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|seen| seen.events.is_empty())
    }

    /// Registers have been written by others than instructions.
    pub(crate) fn registers_changed(&self) {
        self.with(|seen| seen.was_changed = true);
    }
}

/// Makes the events.
pub(crate) struct Watcher {
    pub(crate) queue: Queue,
    pub(crate) watched: Watched,
    pub(crate) architecture: Architecture,
    pub(crate) interrupter: Interrupter,
    event: Event,
    scratch: Vec<RegWrite>,
}

impl Watcher {
    pub(crate) fn new(
        queue: Queue,
        watched: Watched,
        architecture: Architecture,
        interrupter: Interrupter,
    ) -> Self {
        let (event, scratch) = (Event::default(), Vec::new());
        Self { queue, watched, architecture, interrupter, event, scratch }
    }
}

impl Observer for Watcher {
    fn before(&mut self, frame: &CpuFrame, code: &[u8]) {
        self.event.clear();
        (self.event.pc, self.event.insn) = (frame.pc, Insn::new(code));
        if self.queue.with(|seen| std::mem::take(&mut seen.was_changed)) {
            self.scratch.clear();
            self.watched.changes(frame, &mut self.scratch);
        }
    }

    fn access(&mut self, access: ObservedAccess) {
        let kind = match access.kind {
            softmmu::AccessKind::Store => AccessKind::Store,
            _ => AccessKind::Load,
        };
        let (addr, size, value) = (access.addr.0, Some(access.size), Some(access.value));
        self.event.accesses.push(Access { kind, addr, phys: None, size, value });
    }

    fn again(&mut self) {
        self.event.accesses.clear();
    }

    fn after(&mut self, frame: &CpuFrame, exit: Option<&Exit>) {
        self.watched.changes(frame, &mut self.event.writes);
        self.event.trap = match exit {
            None | Some(Exit::Syscall | Exit::Interrupted | Exit::Debug(_)) => None,
            Some(Exit::DataFault(fault)) => Some(Trap { cause: None, value: Some(fault.addr.0) }),
            Some(_) => Some(Trap::default()),
        };
        let is_open = guest::outside(self.architecture, &self.event).is_some();
        let event = &mut self.event;
        let waiting = self.queue.with(|seen| {
            let next = seen.spare.pop().unwrap_or_default();
            seen.events.push_back(std::mem::replace(event, next));
            seen.events.len()
        });
        if is_open || waiting >= BATCH {
            self.interrupter.interrupt();
        }
    }

    fn ended(&mut self, _: &CpuFrame) {}
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("architecture", &self.architecture).finish_non_exhaustive()
    }
}
