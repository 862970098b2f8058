//! What the network's thread waits for: epoll(7), edge-triggered, each descriptor registered once.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::{Errno, Result};

/// Names a registered descriptor, and is never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Token(u64);

/// What has become possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ready {
    pub(super) token: Token,
    pub(super) readable: bool,
    pub(super) writable: bool,
}

/// Wakes the thread that waits, from any other.
pub(super) struct Waker {
    event: OwnedFd,
    asleep: AtomicBool,
}

impl Waker {
    /// Costs a system call only if the thread sleeps.
    pub(super) fn wake(&self) {
        if self.asleep.swap(false, Ordering::AcqRel) {
            // It can only fail because the counter is full, and then the thread is awake.
            let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }
}

/// What is waited for.
pub(super) struct Poller {
    epoll: OwnedFd,
    waker: Arc<Waker>,
    next: u64,
}

const WAKER: u64 = 0;
/// Events a turn.
const EVENTS: usize = 256;

impl Poller {
    pub(super) fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &event, EventData::new_u64(WAKER), flags)?;
        let waker = Arc::new(Waker { event, asleep: AtomicBool::new(false) });
        Ok(Self { epoll, waker, next: WAKER + 1 })
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Waits for a descriptor, until it is closed.
    pub(super) fn add(&mut self, fd: &impl AsFd) -> Result<Token> {
        let token = self.next;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, fd, EventData::new_u64(token), flags)?;
        self.next += 1;
        Ok(Token(token))
    }

    /// Waits until something happens or the deadline has passed. `idle` is asked, after others can see
    /// that the thread is about to sleep, whether there is nothing to do instead.
    pub(super) fn wait(
        &mut self,
        deadline: Option<Instant>,
        idle: impl FnOnce() -> bool,
        ready: &mut Vec<Ready>,
    ) -> Result<()> {
        ready.clear();
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        self.waker.asleep.store(true, Ordering::SeqCst);
        let timeout = if idle() { deadline.map(remaining) } else { Some(Duration::ZERO) };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let waited = epoll::wait(&self.epoll, &mut events[..], timeout.as_ref());
        self.waker.asleep.store(false, Ordering::SeqCst);
        let events = match waited {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error),
        };
        let events = events.iter().filter(|event| event.data.u64() != WAKER);
        ready.extend(events.map(|event| {
            let flags = event.flags;
            let gone = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            Ready {
                token: Token(event.data.u64()),
                readable: gone || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
                writable: gone || flags.contains(EventFlags::OUT),
            }
        }));
        Ok(())
    }
}

/// The time until then, rounded up to what the host can wait for.
fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
