//! One of the two executions that are compared.

use std::collections::VecDeque;
use std::ops::Range;

use trace::{Event, Header, Insn, Privilege, RegWrite, Source};

use crate::compare::Error;

/// Events of other harts that are kept until the other side comes to them.
const BUFFERED_MAX: usize = 1 << 20;

/// An execution that can be compared: recorded, or made while it is compared.
pub trait Execution: Source {
    /// Takes over what the reference got where nothing says what it must be (the time, a random number, what a
    /// system call did), after the event that both have yielded last. Returns whether it could.
    ///
    /// # Errors
    /// It could not, and cannot go on either.
    fn adopt(
        &mut self,
        _event: &Event,
        _reference: &mut dyn Execution,
    ) -> Result<bool, trace::Error> {
        Ok(false)
    }

    /// Before the next event is asked for: what the reference did there. Who waits for it ([`Execution::is_led`]) does what nobody can
    /// do by himself: takes the interrupt that the reference takes.
    ///
    /// # Errors
    /// It cannot.
    fn lead(&mut self, _event: &Event) -> Result<(), trace::Error> {
        Ok(())
    }

    /// Whether the result of the event that was yielded last comes from outside, though its instruction does not say so: from a device.
    fn is_from_outside(&self) -> bool {
        false
    }

    /// Takes over the state in which the reference begins. Returns whether it could.
    ///
    /// # Errors
    /// It could not, and cannot begin otherwise.
    fn begin(&mut self, _reference: &mut dyn Execution) -> Result<bool, trace::Error> {
        Ok(false)
    }

    /// The state after the event that was yielded last, if it is there to be looked at.
    fn state(&mut self) -> Option<&mut dyn State> {
        None
    }

    /// If the event that was yielded last is of a block, what was executed of it: one instruction after the other, the last of
    /// which may have trapped. The event has what they did together.
    fn block(&self) -> Option<&[Insn]> {
        None
    }

    /// Reads memory as it is after the event that was yielded last. Whether that is there, and is what it was then.
    fn memory(&mut self, _addr: u64, _into: &mut [u8]) -> bool {
        false
    }

    /// Whether it waits after each event to be told what came from outside.
    fn is_led(&self) -> bool {
        false
    }
}

/// The state of an execution at a moment.
pub trait State {
    /// Where it goes on; `None` after its end.
    fn pc(&self) -> Option<u64>;

    /// All registers that it shows.
    fn registers(&self) -> Vec<RegWrite>;

    /// At which level it goes on, if that is known.
    fn privilege(&self) -> Option<Privilege> {
        None
    }

    /// Reads physical memory; only machines have that.
    ///
    /// # Errors
    /// It is not there, or cannot be asked.
    fn read_physical(&mut self, addr: u64, into: &mut [u8]) -> Result<(), trace::Error> {
        self.read(addr, into)
    }

    /// Reads memory.
    ///
    /// # Errors
    /// It is not there, or cannot be asked.
    fn read(&mut self, addr: u64, into: &mut [u8]) -> Result<(), trace::Error>;

    /// What is mapped, ascending; `None` if nobody can tell.
    ///
    /// # Errors
    /// It cannot be asked.
    fn mappings(&mut self) -> Result<Option<Vec<Mapping>>, trace::Error>;
}

/// A piece of memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// From its first byte to after its last.
    pub range: Range<u64>,
    /// It may be read.
    pub read: bool,
    /// It may be written.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
    /// Where its contents end: what lies behind the end of a file is not there.
    pub filled: u64,
}

/// A recorded execution, which cannot be changed any more.
pub struct Recorded<S>(pub S);

impl<S: Source> Source for Recorded<S> {
    fn header(&self) -> &Header {
        self.0.header()
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, trace::Error> {
        self.0.next(event)
    }
}

impl<S: Source> Execution for Recorded<S> {}

/// An execution with a view ahead, hart by hart.
pub(crate) struct Side<'a> {
    pub(crate) execution: &'a mut dyn Execution,
    pub(crate) name: &'static str,
    /// The event that comes next, if it is the only one that was read ahead.
    next: Option<Box<Event>>,
    /// By hart, after [`Side::next`]: if there is anything, there is no such event.
    queues: Vec<VecDeque<Box<Event>>>,
    /// Harts of the events that are waiting, in the order in which they came.
    order: VecDeque<u32>,
    /// Of events that are blocks, and were not taken yet, their instructions.
    blocks: VecDeque<Vec<Insn>>,
    /// Events to be used again.
    #[expect(
        clippy::vec_box,
        reason = "events move between here and the queues without being copied"
    )]
    spare: Vec<Box<Event>>,
    is_at_end: bool,
}

impl<'a> Side<'a> {
    pub(crate) fn new(execution: &'a mut dyn Execution, name: &'static str) -> Self {
        let (queues, order, blocks) = (Vec::new(), VecDeque::new(), VecDeque::new());
        let (next, spare, is_at_end) = (None, Vec::new(), false);
        Self { execution, name, next, queues, order, blocks, spare, is_at_end }
    }

    /// Reads one more event, if there is one.
    fn read(&mut self) -> Result<Option<Box<Event>>, Error> {
        if self.is_at_end {
            return Ok(None);
        }
        let mut event = self.spare.pop().unwrap_or_default();
        let read = self.execution.next(&mut event);
        if !read.map_err(|source| Error::Source { side: self.name, source })? {
            self.is_at_end = true;
            return Ok(None);
        }
        if let Some(insns) = self.execution.block() {
            self.blocks.push_back(insns.to_vec());
        }
        Ok(Some(event))
    }

    /// Reads one more event into the queues. Whether there was one.
    fn pull(&mut self) -> Result<bool, Error> {
        match self.read()? {
            Some(event) => self.queue(event).map(|()| true),
            None => Ok(false),
        }
    }

    fn queue(&mut self, event: Box<Event>) -> Result<(), Error> {
        if self.order.len() >= BUFFERED_MAX {
            return Err(Error::HartsApart(BUFFERED_MAX));
        }
        let hart = event.hart as usize;
        if hart >= self.queues.len() {
            if hart >= 1 << 16 {
                return Err(Error::Hart(event.hart));
            }
            self.queues.resize_with(hart + 1, VecDeque::new);
        }
        self.order.push_back(event.hart);
        self.queues[hart].push_back(event);
        Ok(())
    }

    /// The hart of the next event, `None` at the end.
    #[inline]
    pub(crate) fn next_hart(&mut self) -> Result<Option<u32>, Error> {
        if !self.order.is_empty() {
            return Ok(self.order.front().copied());
        }
        self.fetch()?;
        Ok(self.next.as_ref().map(|event| event.hart))
    }

    /// Reads the next event, unless it waits. Without queues only.
    #[inline]
    fn fetch(&mut self) -> Result<(), Error> {
        if self.next.is_none() {
            self.next = self.read()?;
        }
        Ok(())
    }

    /// Whether [`Side::next`] is the hart's next event, or there is none at all. That is almost always so.
    #[inline]
    fn is_next(&mut self, hart: u32) -> Result<bool, Error> {
        if !self.order.is_empty() {
            return Ok(false);
        }
        self.fetch()?;
        Ok(self.next.as_ref().is_none_or(|event| event.hart == hart))
    }

    /// The hart's event after `ahead` others.
    #[inline]
    pub(crate) fn peek(&mut self, hart: u32, ahead: usize) -> Result<Option<&Event>, Error> {
        if ahead == 0 && self.is_next(hart)? {
            return Ok(self.next.as_deref());
        }
        self.peek_queued(hart, ahead)
    }

    fn peek_queued(&mut self, hart: u32, ahead: usize) -> Result<Option<&Event>, Error> {
        if let Some(event) = self.next.take() {
            self.queue(event)?;
        }
        let at = hart as usize;
        while self.queues.get(at).is_none_or(|queue| queue.len() <= ahead) {
            if !self.pull()? {
                return Ok(None);
            }
        }
        Ok(self.queues[at].get(ahead).map(|event| &**event))
    }

    /// Takes the hart's next event.
    #[inline(always)]
    pub(crate) fn take(&mut self, hart: u32) -> Result<Option<Box<Event>>, Error> {
        if self.is_next(hart)? {
            return Ok(self.next.take());
        }
        self.take_queued(hart)
    }

    fn take_queued(&mut self, hart: u32) -> Result<Option<Box<Event>>, Error> {
        if self.peek_queued(hart, 0)?.is_none() {
            return Ok(None);
        }
        match self.order.front() {
            Some(&first) if first == hart => _ = self.order.pop_front(),
            _ => {
                let at = self.order.iter().position(|&waiting| waiting == hart);
                at.map(|at| self.order.remove(at));
            }
        }
        Ok(self.queues[hart as usize].pop_front())
    }

    /// The instructions of the event that was just taken, if it is of a block. Such executions have one hart.
    pub(crate) fn taken_block(&mut self) -> Option<Vec<Insn>> {
        self.blocks.pop_front()
    }

    /// An event that says nothing.
    #[inline]
    pub(crate) fn blank(&mut self) -> Box<Event> {
        let mut event = self.spare.pop().unwrap_or_default();
        event.clear();
        event
    }

    /// Gives an event back, to be used again.
    #[inline]
    pub(crate) fn recycle(&mut self, event: Box<Event>) {
        self.spare.push(event);
    }
}
