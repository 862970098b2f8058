//! Bounded buffers between a device, which must not block, and threads, which read and write host files.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::CharBackend;
use crate::device::Notifier;

/// Bytes that wait for the guest at most.
const INPUT: usize = 4 << 10;
/// Bytes that wait for the host at most.
const OUTPUT: usize = 64 << 10;
/// Bytes of one read or write: what a pipe that polls as writable takes without blocking.
const CHUNK: usize = 4 << 10;
/// How long the end waits for what was written to be taken.
const LINGER: Duration = Duration::from_secs(1);

struct State {
    input: VecDeque<u8>,
    output: VecDeque<u8>,
    breaks: bool,
    /// A chunk is being written.
    in_flight: bool,
    /// The device was refused room.
    starved: bool,
    /// Somebody is there to read. If not, the newest output is kept.
    connected: bool,
    /// The device is gone.
    closed: bool,
    notifier: Notifier,
}

/// What the threads of a [`Pump`] share with it.
pub(super) struct Shared {
    state: Mutex<State>,
    /// The state has changed.
    changed: Condvar,
    /// Readable when all threads should end.
    stop: OwnedFd,
}

/// Why a thread's loop over a file has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The other side is gone.
    HungUp,
    /// The device is gone.
    Stopped,
}

/// What a file is good for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Readiness {
    Ready,
    HungUp,
    Stopped,
    /// Not before the time was over.
    TimedOut,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a file is ready, or everything ends.
    pub(super) fn poll(
        &self,
        fd: Option<(BorrowedFd<'_>, PollFlags)>,
        timeout: Option<Duration>,
    ) -> Readiness {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(&self.stop, PollFlags::IN)];
        fds.extend(fd.map(|(fd, events)| PollFd::from_borrowed_fd(fd, events)));
        loop {
            match poll(&mut fds, timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Readiness::Stopped,
                Ok(0) => return Readiness::TimedOut,
                Ok(_) => break,
            }
        }
        let events = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
        match events {
            _ if !fds[0].revents().is_empty() => Readiness::Stopped,
            _ if events.intersects(PollFlags::IN | PollFlags::OUT) => Readiness::Ready,
            _ => Readiness::HungUp,
        }
    }

    /// Bytes for the guest; waits for room.
    pub(super) fn push_input(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut state = self.state();
            while state.input.len() >= INPUT && !state.closed {
                state = self.wait(state);
            }
            if state.closed {
                return;
            }
            let (now, later) = bytes.split_at(bytes.len().min(INPUT - state.input.len()));
            state.input.extend(now);
            state.notifier.notify();
            bytes = later;
        }
    }

    /// Something has happened that the device asks another about.
    pub(super) fn notify(&self) {
        self.state().notifier.notify();
    }

    pub(super) fn push_break(&self) {
        let mut state = self.state();
        state.breaks = true;
        state.notifier.notify();
    }

    /// Words of Ferry's own among the guest's.
    pub(super) fn push_output(&self, bytes: &[u8]) {
        self.state().output.extend(bytes);
        self.changed.notify_all();
    }

    /// Whether somebody is there to read.
    pub(super) fn set_connected(&self, connected: bool) {
        let mut state = self.state();
        state.connected = connected;
        if !connected {
            state.admit();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The next bytes to write; waits for some. None if there will be none for this reader.
    fn next_output(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        state.in_flight = false;
        self.changed.notify_all();
        while state.output.is_empty() && state.connected && !state.closed {
            state = self.wait(state);
        }
        if state.output.is_empty() || !state.connected {
            return None;
        }
        let len = state.output.len().min(CHUNK);
        let chunk = state.output.drain(..len).collect();
        state.in_flight = true;
        state.admit();
        Some(chunk)
    }

    /// Reads a file to its end; `take` gets what was read.
    pub(super) fn read_loop(&self, fd: BorrowedFd<'_>, mut take: impl FnMut(&[u8])) -> End {
        let mut buffer = [0; CHUNK];
        loop {
            match self.poll(Some((fd, PollFlags::IN)), None) {
                Readiness::Stopped => return End::Stopped,
                Readiness::HungUp | Readiness::TimedOut => return End::HungUp,
                Readiness::Ready => {}
            }
            match rustix::io::read(fd, &mut buffer) {
                Ok(0) => return End::HungUp,
                Ok(len) => take(&buffer[..len]),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(_) => return End::HungUp,
            }
        }
    }

    /// Writes what the guest writes to a file, as long as it takes it.
    pub(super) fn write_loop(&self, fd: BorrowedFd<'_>) -> End {
        let end = loop {
            let Some(chunk) = self.next_output() else { break End::HungUp };
            if let Err(end) = self.write_chunk(fd, &chunk) {
                break end;
            }
        };
        self.state().in_flight = false;
        self.changed.notify_all();
        end
    }

    fn write_chunk(&self, fd: BorrowedFd<'_>, mut chunk: &[u8]) -> Result<(), End> {
        while !chunk.is_empty() {
            match self.poll(Some((fd, PollFlags::OUT)), None) {
                Readiness::Stopped => return Err(End::Stopped),
                Readiness::HungUp | Readiness::TimedOut => return Err(End::HungUp),
                Readiness::Ready => {}
            }
            match rustix::io::write(fd, chunk) {
                Ok(len) => chunk = &chunk[len..],
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(_) => return Err(End::HungUp),
            }
        }
        Ok(())
    }

    /// Serves a reader in both directions until it hangs up.
    pub(super) fn serve(&self, fd: BorrowedFd<'_>, hang_up: impl FnOnce()) -> End {
        self.set_connected(true);
        thread::scope(|scope| {
            scope.spawn(|| self.write_loop(fd));
            let end = self.read_loop(fd, |bytes| self.push_input(bytes));
            self.set_connected(false);
            hang_up();
            end
        })
    }
}

impl State {
    /// Tells the device that there is room, if it wants to know.
    fn admit(&mut self) {
        if std::mem::take(&mut self.starved) {
            self.notifier.notify();
        }
    }
}

/// A backend whose host side runs on threads of its own. Dropping it waits a second at most for what was
/// written to be taken.
pub struct Pump(Arc<Shared>);

impl Pump {
    /// Without any threads. `connected` says whether somebody is there to read.
    pub(super) fn new(connected: bool) -> io::Result<Self> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let state = State {
            input: VecDeque::new(),
            output: VecDeque::new(),
            breaks: false,
            in_flight: false,
            starved: false,
            connected,
            closed: false,
            notifier: Notifier::none(),
        };
        Ok(Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), stop })))
    }

    /// Starts a thread for the host side.
    pub(super) fn spawn(
        &self,
        name: &str,
        run: impl FnOnce(&Shared) + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared)).map(drop)
    }

    /// Starts a thread that writes to a file, and discards what comes when it takes no more.
    pub(super) fn spawn_writer(
        &self,
        name: &str,
        fd: impl AsFd + Send + 'static,
    ) -> io::Result<()> {
        self.spawn(name, move |shared| {
            shared.write_loop(fd.as_fd());
            shared.set_connected(false);
        })
    }
}

impl CharBackend for Pump {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut state = self.0.state();
        if !state.connected {
            state.output.extend(bytes);
            let excess = state.output.len().saturating_sub(OUTPUT);
            state.output.drain(..excess);
            return bytes.len();
        }
        let taken = bytes.len().min(OUTPUT.saturating_sub(state.output.len()));
        state.output.extend(&bytes[..taken]);
        state.starved |= taken < bytes.len();
        drop(state);
        self.0.changed.notify_all();
        taken
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut state = self.0.state();
        let given = buffer.len().min(state.input.len());
        buffer.iter_mut().zip(state.input.drain(..given)).for_each(|(to, byte)| *to = byte);
        drop(state);
        if given > 0 {
            self.0.changed.notify_all();
        }
        given
    }

    /// What has happened before is told at once.
    fn connect(&mut self, notifier: Notifier) {
        let mut state = self.0.state();
        state.notifier = notifier;
        if !state.input.is_empty() || state.breaks {
            state.notifier.notify();
        }
    }

    fn take_break(&mut self) -> bool {
        std::mem::take(&mut self.0.state().breaks)
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let until = Instant::now() + LINGER;
        let mut state = self.0.state();
        state.closed = true;
        self.0.changed.notify_all();
        while state.connected && (state.in_flight || !state.output.is_empty()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        // An eventfd that has no room for one more is readable already.
        let _ = rustix::io::write(&self.0.stop, &1_u64.to_ne_bytes());
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
