//! What harts ask of each other: to forget translations, or to look at their instructions again. The
//! asking hart goes on when the other cannot act on what is stale any more; nobody else stops.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arch::riscv64::privileged::FenceScope;

/// A request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// FENCE.I
    FenceI,
    /// SFENCE.VMA
    Fence(FenceScope),
}

/// Requests at most that are kept apart; beyond, everything is forgotten.
const MANY: usize = 64;

/// A hart's requests.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    requests: Mutex<Vec<Request>>,
    /// Requests posted, and those of them that were done.
    posted: AtomicU64,
    done: AtomicU64,
    /// The hart may be executing guest code, by what it knew when it began.
    in_guest: AtomicBool,
}

impl Mailbox {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a request, and returns what [`Mailbox::is_done`] is to be asked with.
    pub(super) fn post(&self, request: Request) -> u64 {
        let mut requests = self.requests();
        requests.push(request);
        if requests.len() > MANY {
            *requests = vec![Request::FenceI, Request::Fence(FenceScope::ALL)];
        }
        self.posted.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether a request has been done, or will be before the hart executes another instruction.
    pub(super) fn is_done(&self, number: u64) -> bool {
        self.done.load(Ordering::SeqCst) >= number || !self.in_guest.load(Ordering::SeqCst)
    }

    /// On the hart's thread, before it enters guest code: takes the requests.
    pub(super) fn enter(&self) -> Vec<Request> {
        self.in_guest.store(true, Ordering::SeqCst);
        if self.posted.load(Ordering::SeqCst) == self.done.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut requests = self.requests();
        // The caller does them before anything else.
        self.done.store(self.posted.load(Ordering::SeqCst), Ordering::SeqCst);
        std::mem::take(&mut *requests)
    }

    /// On the hart's thread: it executes no guest code until the next [`Mailbox::enter`].
    pub(super) fn leave(&self) {
        self.in_guest.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_done_before_guest_code_runs() {
        let mailbox = Mailbox::default();
        let first = mailbox.post(Request::FenceI);
        assert!(mailbox.is_done(first), "it does not run");
        assert_eq!(mailbox.enter(), [Request::FenceI]);
        let second = mailbox.post(Request::Fence(FenceScope::ALL));
        assert!(mailbox.is_done(first) && !mailbox.is_done(second));
        mailbox.leave();
        assert!(mailbox.is_done(second));
        assert_eq!(mailbox.enter(), [Request::Fence(FenceScope::ALL)]);
        assert!(mailbox.is_done(second) && mailbox.enter().is_empty());
    }

    #[test]
    fn too_many_requests_become_everything() {
        let mailbox = Mailbox::default();
        for _ in 0..=MANY {
            mailbox.post(Request::FenceI);
        }
        assert_eq!(mailbox.enter(), [Request::FenceI, Request::Fence(FenceScope::ALL)]);
    }
}
