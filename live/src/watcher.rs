//! What becomes events of the instructions that a CPU of ours executes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base::CpuFrame;
use runtime::{Exit, Interrupter, ObservedAccess, Observer};
use trace::frame::Watched;
use trace::{Access, AccessKind, Architecture, Event, Insn, RegWrite, Trap};

use crate::code;

/// The instructions of a block.
pub(crate) type Block = Vec<Insn>;

/// What the CPU and its owner share.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    events: VecDeque<(Event, Block)>,
    spare: Vec<(Event, Block)>,
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

    /// Takes the oldest event, and its block's instructions if blocks are watched; whether there is one.
    pub(crate) fn take(&self, into: &mut Event, block: &mut Block) -> bool {
        self.with(|seen| {
            let Some((mut event, mut insns)) = seen.events.pop_front() else { return false };
            std::mem::swap(into, &mut event);
            std::mem::swap(block, &mut insns);
            seen.spare.push((event, insns));
            true
        })
    }

    /// The last instruction raised a signal; if it could not be fetched, it is the one at `pc`.
    pub(crate) fn raised(&self, pc: u64, trap: Trap) {
        self.with(|seen| match seen.events.back_mut() {
            Some((event, _)) => event.trap = Some(trap),
            None => {
                let event = Event { pc, trap: Some(trap), ..Event::default() };
                seen.events.push_back((event, Block::new()));
            }
        });
    }

    /// Registers have been written by others than instructions.
    pub(crate) fn registers_changed(&self) {
        self.with(|seen| seen.was_changed = true);
    }
}

/// Makes the events.
pub(crate) struct Watcher {
    queue: Queue,
    watched: Watched,
    architecture: Architecture,
    interrupter: Interrupter,
    watches: Watches,
    event: Event,
    block: Block,
    /// Of the block, all its code.
    code: Vec<u8>,
    scratch: Vec<RegWrite>,
}

/// What has events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Watches {
    /// Each instruction.
    Instructions,
    /// Each block, without its accesses.
    Blocks,
}

impl Watcher {
    pub(crate) fn new(
        queue: Queue,
        watched: Watched,
        architecture: Architecture,
        interrupter: Interrupter,
        watches: Watches,
    ) -> Self {
        let (event, block) = (Event::default(), Block::new());
        let (code, scratch) = (Vec::new(), Vec::new());
        Self { queue, watched, architecture, interrupter, watches, event, block, code, scratch }
    }
}

impl Observer for Watcher {
    fn before(&mut self, frame: &CpuFrame, code: &[u8]) {
        self.event.clear();
        self.event.pc = frame.pc;
        match self.watches {
            Watches::Instructions => self.event.insn = Insn::new(code),
            Watches::Blocks => code.clone_into(&mut self.code),
        }
        if self.queue.with(|seen| std::mem::take(&mut seen.was_changed)) {
            self.scratch.clear();
            self.watched.changes(frame, &mut self.scratch);
        }
    }

    fn access(&mut self, access: ObservedAccess) {
        if self.watches == Watches::Blocks {
            return;
        }
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

    fn executed(&mut self, insns: u32) {
        if self.watches == Watches::Blocks {
            self.block.clear();
            let (pc, count) = (self.event.pc, insns as usize);
            code::split(self.architecture, pc, &self.code, count, &mut self.block);
            self.event.insn = self.block.first().copied();
        }
    }

    fn after(&mut self, frame: &CpuFrame, exit: Option<&Exit>) {
        if self.watches == Watches::Blocks && self.block.is_empty() {
            return;
        }
        self.watched.changes(frame, &mut self.event.writes);
        // What comes of it, whoever runs the CPU knows ([`Queue::raised`]).
        self.event.trap = match exit {
            None | Some(Exit::Syscall | Exit::Interrupted | Exit::Debug(_)) => None,
            Some(_) => Some(Trap::default()),
        };
        let (event, block) = (&mut self.event, &mut self.block);
        self.queue.with(|seen| {
            let (next, other) = seen.spare.pop().unwrap_or_default();
            let done = (std::mem::replace(event, next), std::mem::replace(block, other));
            seen.events.push_back(done);
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
