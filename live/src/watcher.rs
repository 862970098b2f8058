//! What becomes events of the instructions that a CPU of ours executes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base::CpuFrame;
use runtime::{Exit, Interrupter, ObservedAccess, Observer};
use trace::frame::Watched;
use trace::{Access, AccessKind, Event, Insn, RegWrite, Trap};

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

    /// The last instruction raised a signal; if it could not be fetched, it is the one at `pc`.
    pub(crate) fn raised(&self, pc: u64, trap: Trap) {
        self.with(|seen| match seen.events.back_mut() {
            Some(event) => event.trap = Some(trap),
            None => seen.events.push_back(Event { pc, trap: Some(trap), ..Event::default() }),
        });
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
    pub(crate) interrupter: Interrupter,
    event: Event,
    scratch: Vec<RegWrite>,
}

impl Watcher {
    pub(crate) fn new(queue: Queue, watched: Watched, interrupter: Interrupter) -> Self {
        let (event, scratch) = (Event::default(), Vec::new());
        Self { queue, watched, interrupter, event, scratch }
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
        // What comes of it, whoever runs the CPU knows ([`Queue::raised`]).
        self.event.trap = match exit {
            None | Some(Exit::Syscall | Exit::Interrupted | Exit::Debug(_)) => None,
            Some(_) => Some(Trap::default()),
        };
        let event = &mut self.event;
        self.queue.with(|seen| {
            let next = seen.spare.pop().unwrap_or_default();
            seen.events.push_back(std::mem::replace(event, next));
        });
        // The reference may get a signal before the next one.
        self.interrupter.interrupt();
    }

    fn ended(&mut self, _: &CpuFrame) {}
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("queue", &self.queue).finish_non_exhaustive()
    }
}
