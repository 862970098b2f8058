//! A disk whose requests are done on threads of its own.
//!
//! Threads are as few as the work needs: one is started, or woken, when requests wait and none is idle.
//! What a request finds in the host's cache is done by whoever submits it, which spares two switches of
//! threads.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use super::image::{Image, execute};
use crate::device::Notifier;
use crate::devices::virtio::blk::{
    BlockBackend, BlockCompletion, BlockInfo, BlockRequest, BlockResult,
};

/// Threads of an image at most: as many requests wait for the disk at once.
const MAX_THREADS: usize = 4;

/// Bytes that are copied at once, while a CPU waits, of all that is submitted together.
const MAX_NOW: u64 = 256 << 10;

/// A disk with threads.
pub struct ThreadedBlock {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Submitted since [`BlockBackend::start`] was last called.
    batch: Vec<BlockRequest>,
    /// Complete, and known to be.
    done: VecDeque<BlockCompletion>,
    /// Bytes that may still be copied at once since then.
    now_left: u64,
}

struct Shared {
    image: Arc<dyn Image>,
    work: Mutex<Work>,
    /// There are requests, or the end has come.
    wanted: Condvar,
    /// A request is complete.
    finished: Condvar,
    notifier: OnceLock<Notifier>,
}

#[derive(Default)]
struct Work {
    requests: VecDeque<BlockRequest>,
    done: VecDeque<BlockCompletion>,
    /// Tags of the requests that threads are doing.
    running: Vec<u32>,
    /// Threads that wait.
    idle: usize,
    ended: bool,
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        // Nothing that holds the lock panics half-way.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does: one request after the other.
    fn run(&self) {
        let mut untold = Untold::No;
        let mut work = self.work();
        loop {
            let request = work.requests.pop_front();
            if request.is_none() && untold == Untold::No {
                if work.ended {
                    return;
                }
                work.idle += 1;
                work = self.wanted.wait(work).unwrap_or_else(PoisonError::into_inner);
                work.idle -= 1;
                continue;
            }
            work.running.extend(request.as_ref().map(|request| request.tag));
            drop(work);
            // One interrupt tells of all that is complete when the machine looks. Not under the
            // lock: whoever is told may hold the device, which takes it.
            if std::mem::replace(&mut untold, Untold::No) == Untold::Yes
                && let Some(notifier) = self.notifier.get()
            {
                notifier.notify();
            }
            let completion = request.map(|request| execute(self.image.as_ref(), &request));
            work = self.work();
            if let Some(completion) = completion {
                untold = Untold::Yes;
                work.done.push_back(completion);
                work.running.retain(|&tag| tag != completion.tag);
                self.finished.notify_all();
            }
        }
    }
}

/// Whether a completion waits to be told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Untold {
    No,
    Yes,
}

impl ThreadedBlock {
    /// With an image.
    #[must_use]
    pub fn new(image: Arc<dyn Image>) -> Self {
        let shared = Arc::new(Shared {
            image,
            work: Mutex::default(),
            wanted: Condvar::new(),
            finished: Condvar::new(),
            notifier: OnceLock::new(),
        });
        let (threads, batch, done) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { shared, threads, batch, done, now_left: MAX_NOW }
    }

    /// Starts a thread; says whether there is one to do the work.
    fn start_thread(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("disk".into());
        match thread.spawn(move || shared.run()) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => tracing::error!(%error, "no thread for a disk image"),
        }
        !self.threads.is_empty()
    }
}

impl BlockBackend for ThreadedBlock {
    fn info(&self) -> BlockInfo {
        self.shared.image.info()
    }

    fn connect(&mut self, notifier: Notifier) {
        // It is connected once.
        let _ = self.shared.notifier.set(notifier);
    }

    fn submit(&mut self, request: BlockRequest) {
        if request.len <= self.now_left && self.shared.image.try_now(&request) {
            self.now_left -= request.len;
            self.done.push_back(BlockCompletion { tag: request.tag, result: BlockResult::Done });
        } else {
            self.batch.push(request);
        }
    }

    fn start(&mut self) {
        self.now_left = MAX_NOW;
        if self.batch.is_empty() {
            return;
        }
        let (waiting, idle) = {
            let mut work = self.shared.work();
            work.requests.extend(self.batch.drain(..));
            (work.requests.len(), work.idle)
        };
        if idle > 0 {
            self.shared.wanted.notify_one();
        }
        if waiting > 1 && idle > 1 {
            self.shared.wanted.notify_one();
        }
        let too_few = idle == 0 && self.threads.len() < MAX_THREADS;
        if too_few && !self.start_thread() {
            // Better slow than never.
            let mut work = self.shared.work();
            while let Some(request) = work.requests.pop_front() {
                self.done.push_back(execute(self.shared.image.as_ref(), &request));
            }
        }
    }

    fn completed(&mut self) -> Option<BlockCompletion> {
        if self.done.is_empty() {
            std::mem::swap(&mut self.done, &mut self.shared.work().done);
        }
        self.done.pop_front()
    }

    fn cancel(&mut self, cancelled: &dyn Fn(u32) -> bool) {
        self.batch.retain(|request| !cancelled(request.tag));
        let mut work = self.shared.work();
        work.requests.retain(|request| !cancelled(request.tag));
        while work.running.iter().any(|&tag| cancelled(tag)) {
            work = self.shared.finished.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for ThreadedBlock {
    /// What was started is done before the threads end.
    fn drop(&mut self) {
        self.start();
        self.shared.work().ended = true;
        self.shared.wanted.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of a disk image panicked");
            }
        }
    }
}
