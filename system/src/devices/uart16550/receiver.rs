//! The receiver: its FIFO or buffer register, and the character time-out.

use std::collections::VecDeque;

use super::regs::lsr;
use crate::device::Time;

/// Characters in a FIFO.
pub(super) const FIFO: usize = 16;

/// A character, and the errors that came with it (bits of LSR).
#[derive(Clone, Copy, Debug)]
struct Received {
    byte: u8,
    errors: u8,
}

/// The character time-out (section 8.4): nobody has read, and nothing has come, for four characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Timeout {
    None,
    At(Time),
    Pending,
}

#[derive(Clone, Debug)]
pub(super) struct Receiver {
    characters: VecDeque<Received>,
    /// The last character that was read.
    last: u8,
    overrun: bool,
    /// How many characters it holds: 1 without FIFO.
    capacity: usize,
    timeout: Timeout,
}

impl Receiver {
    pub(super) fn new(capacity: usize) -> Self {
        let characters = VecDeque::with_capacity(FIFO);
        Self { characters, last: 0, overrun: false, capacity, timeout: Timeout::None }
    }

    pub(super) fn len(&self) -> usize {
        self.characters.len()
    }

    pub(super) fn room(&self) -> usize {
        self.capacity - self.characters.len()
    }

    pub(super) fn clear(&mut self, capacity: usize) {
        self.characters.clear();
        self.capacity = capacity;
        self.timeout = Timeout::None;
    }

    /// A character comes in; `patience` later at the latest somebody should have read it. Without room, a
    /// FIFO loses it and a buffer register what was in it.
    pub(super) fn push(&mut self, byte: u8, errors: u8, now: Time, patience: u64) {
        self.overrun |= self.room() == 0;
        if self.room() == 0 && self.capacity == 1 {
            self.characters.clear();
        }
        if self.room() > 0 {
            self.characters.push_back(Received { byte, errors });
        }
        if self.timeout != Timeout::Pending {
            self.start_timeout(now, patience);
        }
    }

    pub(super) fn pop(&mut self, now: Time, patience: u64) -> u8 {
        if let Some(character) = self.characters.pop_front() {
            self.last = character.byte;
        }
        self.start_timeout(now, patience);
        self.last
    }

    fn start_timeout(&mut self, now: Time, patience: u64) {
        self.timeout = match self.capacity > 1 && !self.characters.is_empty() {
            true => Timeout::At(Time(now.0.saturating_add(patience))),
            false => Timeout::None,
        };
    }

    pub(super) fn look(&mut self, now: Time) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.timeout = Timeout::Pending;
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match self.timeout {
            Timeout::At(time) => Some(time),
            Timeout::None | Timeout::Pending => None,
        }
    }

    pub(super) fn timed_out(&self) -> bool {
        self.timeout == Timeout::Pending
    }

    /// Its bits of LSR. Errors show when their character is the next one.
    pub(super) fn status(&self) -> u8 {
        let overrun = if self.overrun { lsr::OE } else { 0 };
        let ready = self.characters.front().map_or(0, |next| lsr::DR | next.errors);
        let within = self.capacity > 1 && self.characters.iter().any(|next| next.errors != 0);
        overrun | ready | if within { lsr::FIFO_ERROR } else { 0 }
    }

    /// Errors last until LSR is read.
    pub(super) fn clear_errors(&mut self) {
        self.overrun = false;
        if let Some(next) = self.characters.front_mut() {
            next.errors = 0;
        }
    }
}
