//! A disk whose requests are done on threads of its own.
//!
//! What is copied to or from the host's cache is done by whoever submits it if it is little, which spares
//! two switches of threads, else by one thread: more would only wait for each other. What waits for the
//! disk has a thread each.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::image::{Image, Pace, execute};
use crate::device::Notifier;
use crate::devices::virtio::blk::{
    BlockBackend, BlockCompletion, BlockInfo, BlockRequest, BlockResult,
};

/// Threads of an image at most: as many requests wait for the disk at once.
const MAX_THREADS: usize = 16;

/// Bytes of a write that are copied at once, if it comes alone.
const MAX_ALONE: u64 = 16 << 10;

/// A copy that takes longer than this has waited for something.
const LONG: Duration = Duration::from_millis(1);

/// For so long after a copy that has waited, threads do all writes.
const RELUCTANCE: Duration = Duration::from_secs(1);

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
    /// Until then, threads do all writes.
    reluctant: Option<Instant>,
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
    /// The requests that threads are doing: tags, and how they go.
    running: Vec<(u32, Pace)>,
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
            let running = request.as_ref().map(|request| (request.tag, self.image.pace(request)));
            work.running.extend(running);
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
                work.running.retain(|&(tag, _)| tag != completion.tag);
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
        Self { shared, threads, batch, done, now_left: MAX_NOW, reluctant: None }
    }

    /// Does a small write that comes alone, if nothing else is going on and such writes have not waited
    /// lately.
    fn do_alone(&mut self) -> bool {
        let [request] = &self.batch[..] else { return false };
        let image = &self.shared.image;
        if request.len > MAX_ALONE || image.pace(request) != Pace::Copies {
            return false;
        }
        let now = Instant::now();
        if self.reluctant.is_some_and(|until| now < until) {
            return false;
        }
        let work = self.shared.work();
        if !work.requests.is_empty() || !work.running.is_empty() {
            return false;
        }
        drop(work);
        self.done.push_back(execute(image.as_ref(), request));
        self.batch.clear();
        self.reluctant = (now.elapsed() > LONG).then(|| now + RELUCTANCE);
        true
    }

    /// Gives the batch to threads; says how many more should work on it than do, and how many of them
    /// are idle.
    fn hand_over(&mut self) -> (usize, usize) {
        let pace = |request: &BlockRequest| self.shared.image.pace(request);
        let waits = self.batch.iter().filter(|request| pace(request) == Pace::Waits).count();
        let copies = waits < self.batch.len();
        let mut work = self.shared.work();
        let behind = !work.requests.is_empty();
        let copying = work.running.iter().any(|&(_, pace)| pace == Pace::Copies);
        work.requests.extend(self.batch.drain(..));
        (waits + usize::from(copies && (behind || !copying)), work.idle)
    }

    fn start_threads(&mut self, count: usize) {
        for _ in 0..count.min(MAX_THREADS - self.threads.len()) {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("disk".into());
            match thread.spawn(move || shared.run()) {
                Ok(thread) => self.threads.push(thread),
                Err(error) => return tracing::error!(%error, "no thread for a disk image"),
            }
        }
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
        if self.batch.is_empty() || self.do_alone() {
            return;
        }
        let (wanted, idle) = self.hand_over();
        for _ in 0..wanted.min(idle) {
            self.shared.wanted.notify_one();
        }
        self.start_threads(wanted.saturating_sub(idle));
        if self.threads.is_empty() {
            // Better slow than never.
            let requests = std::mem::take(&mut self.shared.work().requests);
            let image = self.shared.image.as_ref();
            self.done.extend(requests.iter().map(|request| execute(image, request)));
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
        while work.running.iter().any(|&(tag, _)| cancelled(tag)) {
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
