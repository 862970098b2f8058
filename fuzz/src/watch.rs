//! Ends compiled code that goes round for ever, as nothing else does: it has no limit of steps.
#![expect(unsafe_code, reason = "a word of another thread's frame")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base::CpuFrame;

/// How long code may run.
const PATIENCE: Duration = Duration::from_secs(5);

/// The compiled code that runs. There is one at a time, as there is one memory.
static WATCHED: Mutex<Option<Watched>> = Mutex::new(None);

struct Watched {
    since: Instant,
    /// Asks it to leave at its next poll.
    interrupt: *const AtomicU32,
}

// SAFETY: the pointer is used under the lock, which its frame's owner takes before the frame goes.
unsafe impl Send for Watched {}

/// Watches a frame's code until dropped.
pub(crate) struct Watch(());

impl Watch {
    /// # Safety
    /// The frame outlives the watch.
    pub(crate) unsafe fn over(frame: *const CpuFrame) -> Self {
        static WATCHMAN: Once = Once::new();
        WATCHMAN.call_once(|| drop(thread::spawn(keep)));
        // SAFETY: the caller's promise.
        let interrupt = unsafe { &raw const (*frame).interrupt };
        *watched() = Some(Watched { since: Instant::now(), interrupt });
        Self(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *watched() = None;
    }
}

fn watched() -> MutexGuard<'static, Option<Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep() {
    loop {
        thread::sleep(PATIENCE / 4);
        if let Some(watched) = &*watched()
            && watched.since.elapsed() > PATIENCE
        {
            // SAFETY: the frame is there for as long as it is watched.
            unsafe { &*watched.interrupt }.fetch_or(CpuFrame::INTERRUPT_REQUEST, Ordering::Relaxed);
        }
    }
}
