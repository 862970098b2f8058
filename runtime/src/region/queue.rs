//! What waits to be compiled, the hottest first.

use std::collections::{BinaryHeap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ir::BlockKey;

use crate::promote::Surroundings;

/// A request, ordered by heat, then by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Request {
    /// How often it was asked for.
    heat: u64,
    /// Counts down, so that the older of two equally hot requests is the greater.
    age: u64,
    key: BlockKey,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Waiting(Request),
    Running,
}

#[derive(Default, Debug)]
struct Pending {
    /// May hold requests that have become hotter since: they stand again, further up.
    heap: BinaryHeap<Request>,
    known: HashMap<BlockKey, Progress>,
    /// What was around each of them when it was last asked for.
    surroundings: HashMap<BlockKey, Surroundings>,
    requests: u64,
    closed: bool,
}

/// Requests for compilation, each key once at a time. Whoever asks again makes it hotter.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    pending: Mutex<Pending>,
    arrived: Condvar,
}

/// The queue, held still over a fork.
pub(crate) struct Held<'a>(MutexGuard<'a, Pending>);

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a region around a block.
    pub(crate) fn push(&self, key: BlockKey, surroundings: Surroundings) {
        let mut pending = self.lock();
        pending.requests += 1;
        let request = match pending.known.get(&key) {
            _ if pending.closed => return,
            Some(Progress::Running) => return,
            Some(Progress::Waiting(before)) => Request { heat: before.heat + 1, ..*before },
            None => Request { heat: 1, age: u64::MAX - pending.requests, key },
        };
        pending.known.insert(key, Progress::Waiting(request));
        pending.surroundings.insert(key, surroundings);
        pending.heap.push(request);
        drop(pending);
        self.arrived.notify_one();
    }

    /// Waits for the hottest request; `None` once the queue is closed.
    pub(crate) fn pop(&self) -> Option<(BlockKey, Surroundings)> {
        let mut pending = self.lock();
        loop {
            if pending.closed {
                return None;
            }
            match pending.heap.pop() {
                Some(request) if pending.is_current(&request) => {
                    pending.known.insert(request.key, Progress::Running);
                    let surroundings = pending.surroundings.remove(&request.key);
                    return Some((request.key, surroundings.unwrap_or_default()));
                }
                Some(_) => {}
                None => {
                    pending = self.arrived.wait(pending).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Says that a request has been dealt with: the key may be asked for again.
    pub(crate) fn done(&self, key: BlockKey) {
        self.lock().known.remove(&key);
    }

    /// Ends all workers.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Keeps the queue still while the process forks.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held(self.lock())
    }
}

impl Pending {
    fn is_current(&self, request: &Request) -> bool {
        self.known.get(&request.key) == Some(&Progress::Waiting(*request))
    }
}

impl Held<'_> {
    /// In the child: what the parent's workers were at is nobody's work any more.
    pub(crate) fn forget_running(&mut self) {
        self.0.known.retain(|_, progress| *progress != Progress::Running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_comes_first_and_each_key_once() {
        let queue = Queue::default();
        for key in [1, 2, 3, 2, 3, 2] {
            queue.push(BlockKey(key), Surroundings::default());
        }
        queue.push(BlockKey(4), Surroundings::default());
        let order: Vec<_> = (0..4).map(|_| queue.pop().map(|(key, _)| key)).collect();
        assert_eq!(order, [2, 3, 1, 4].map(|key| Some(BlockKey(key))));
        queue.push(BlockKey(2), Surroundings::default());
        queue.done(BlockKey(2));
        queue.push(BlockKey(2), Surroundings::default());
        let next = queue.pop().map(|(key, _)| key);
        assert_eq!(next, Some(BlockKey(2)), "asked for while running, and again after it");
        queue.close();
        assert_eq!(queue.pop(), None);
    }
}
