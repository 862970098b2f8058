//! Backends without a host: they answer at once and the same each time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CharBackend;
use crate::device::Notifier;

/// Swallows what is written; nothing comes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Null;

impl CharBackend for Null {
    fn write(&mut self, bytes: &[u8]) -> usize {
        bytes.len()
    }

    fn read(&mut self, _: &mut [u8]) -> usize {
        0
    }

    fn connect(&mut self, _: Notifier) {}
}

#[derive(Debug)]
struct State {
    input: VecDeque<u8>,
    output: Vec<u8>,
    /// How many more bytes are taken.
    room: usize,
    breaks: bool,
    notifier: Notifier,
}

/// Bytes in memory. Clones are the same line: a test or a front end keeps one, the device another.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<State>>);

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Nothing has come in, and there is room without end.
    #[must_use]
    pub fn new() -> Self {
        Self::with_room(usize::MAX)
    }

    /// It takes so many bytes until [`Memory::add_room`].
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        let (input, output, notifier) = (VecDeque::new(), Vec::new(), Notifier::none());
        Self(Arc::new(Mutex::new(State { input, output, room, breaks: false, notifier })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes for the guest.
    pub fn send(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.input.extend(bytes);
        state.notifier.notify();
    }

    /// A break for the guest.
    pub fn send_break(&self) {
        let mut state = self.state();
        state.breaks = true;
        state.notifier.notify();
    }

    /// It takes so many bytes more.
    pub fn add_room(&self, room: usize) {
        let mut state = self.state();
        state.room = state.room.saturating_add(room);
        state.notifier.notify();
    }

    /// What the guest has written since this was last asked.
    #[must_use]
    pub fn take_output(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().output)
    }
}

impl CharBackend for Memory {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut state = self.state();
        let taken = bytes.len().min(state.room);
        state.room -= taken;
        state.output.extend(&bytes[..taken]);
        taken
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut state = self.state();
        let given = buffer.len().min(state.input.len());
        buffer.iter_mut().zip(state.input.drain(..given)).for_each(|(to, byte)| *to = byte);
        given
    }

    fn connect(&mut self, notifier: Notifier) {
        self.state().notifier = notifier;
    }

    fn take_break(&mut self) -> bool {
        std::mem::take(&mut self.state().breaks)
    }
}
