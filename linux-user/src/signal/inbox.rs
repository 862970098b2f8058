//! Signals between the host's handler and the run loop of the same thread.
//!
//! The handler puts one signal into the inbox and leaves with every signal blocked but SIGSEGV and
//! SIGBUS, which have places of their own. So three places are enough: whatever else comes stays in
//! the kernel's queues, in the kernel's order, until the run loop has emptied the inbox and set the
//! mask again.

#![expect(unsafe_code, reason = "a handler and the thread that it interrupts share memory")]

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence};

use super::host::{self, Target};
use super::info::SigInfo;
use super::set::SigSet;
use crate::engine::Interrupter;

thread_local! {
    /// The inbox of the task that runs on this thread. Without a destructor, so that a handler may
    /// look at any time.
    static CURRENT: Cell<*const Inbox> = const { Cell::new(std::ptr::null()) };
}

/// The places: SIGSEGV, SIGBUS, and any other signal.
const PLACES: usize = 3;
const OTHER: usize = 2;

/// What has come for a task and was not delivered yet. On the heap, where the handler finds it.
pub(super) struct Inbox {
    /// Nonzero while the run loop should look.
    pending: AtomicU32,
    places: [Place; PLACES],
    interrupter: Interrupter,
}

/// Room for one signal.
struct Place {
    full: AtomicBool,
    info: UnsafeCell<SigInfo>,
}

// SAFETY: `info` is written only while `full` is false and read only while it is true, by the one
// thread whose inbox it is and by handlers on that thread.
unsafe impl Sync for Place {}

impl Place {
    fn new() -> Self {
        Self { full: AtomicBool::new(false), info: UnsafeCell::new(SigInfo::bare(0, 0)) }
    }

    fn peek(&self) -> Option<SigInfo> {
        let full = self.full.load(Ordering::Acquire);
        // SAFETY: as said at `Sync`.
        full.then(|| unsafe { self.info.get().read() })
    }

    fn put(&self, info: &SigInfo) {
        // SAFETY: as said at `Sync`.
        unsafe { self.info.get().write(*info) };
        self.full.store(true, Ordering::Release);
    }

    fn clear(&self) {
        self.full.store(false, Ordering::Release);
    }
}

impl Inbox {
    pub(super) fn new(interrupter: Interrupter) -> Box<Self> {
        Box::new(Self {
            pending: AtomicU32::new(0),
            places: std::array::from_fn(|_| Place::new()),
            interrupter,
        })
    }

    /// Makes this the inbox of the current thread.
    pub(super) fn attach(&self) {
        CURRENT.set(self);
    }

    /// Nonzero while the run loop should look.
    pub(super) fn pending(&self) -> &AtomicU32 {
        &self.pending
    }

    /// Takes a signal in. Called by handlers on the inbox's own thread.
    pub(super) fn post(&self, info: &SigInfo) {
        let place = self.place_of(info.signal());
        if !place.full.load(Ordering::Acquire) {
            place.put(info);
        } else if !SigSet::FAULTS.has(info.signal()) {
            // The thread was setting its mask just when another signal came. This one waits in the
            // kernel: the mask is closed again when the handler returns.
            host::send_again(info, Target::Thread);
        }
        // A second SIGSEGV or SIGBUS is one with the first, as every standard signal is.
        self.pending.store(1, Ordering::Release);
        self.interrupter.interrupt();
    }

    fn place_of(&self, signal: i32) -> &Place {
        match signal {
            libc::SIGSEGV => &self.places[0],
            libc::SIGBUS => &self.places[1],
            _ => &self.places[OTHER],
        }
    }

    /// The signal other than SIGSEGV and SIGBUS that has come, for which the host's mask is closed.
    pub(super) fn other(&self) -> Option<SigInfo> {
        self.places[OTHER].peek()
    }

    /// Takes out what may be delivered under this mask. The other signal always may: the kernel
    /// found it unblocked.
    pub(super) fn take(&self, blocked: SigSet) -> Option<SigInfo> {
        // Before looking: a handler that comes after sets it again.
        self.pending.store(0, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
        let info = self.deliverable(blocked)?;
        self.place_of(info.signal()).clear();
        if self.deliverable(blocked).is_some() {
            self.pending.store(1, Ordering::Release);
        }
        Some(info)
    }

    /// Takes out a SIGSEGV or SIGBUS that is in `wanted`.
    pub(super) fn take_fault(&self, wanted: SigSet) -> Option<SigInfo> {
        let found = self.places[..OTHER].iter().find_map(|place| {
            let info = place.peek()?;
            wanted.has(info.signal()).then_some((place, info))
        });
        found.map(|(place, info)| {
            place.clear();
            info
        })
    }

    /// Looks again after the mask has changed.
    pub(super) fn mask_changed(&self, blocked: SigSet) {
        if self.deliverable(blocked).is_some() {
            self.pending.store(1, Ordering::Release);
        }
    }

    fn deliverable(&self, blocked: SigSet) -> Option<SigInfo> {
        let infos = self.places.iter().filter_map(Place::peek);
        let is_open = |signal| !SigSet::FAULTS.has(signal) || !blocked.has(signal);
        infos.into_iter().find(|info| is_open(info.signal()))
    }

    /// What waits here.
    pub(super) fn contents(&self) -> SigSet {
        let infos = self.places.iter().filter_map(Place::peek);
        infos.fold(SigSet::NONE, |set, info| set.and(SigSet::of(&[info.signal()])))
    }
}

/// The inbox of the task that runs on this thread. Async-signal-safe.
pub(super) fn current<'a>() -> Option<&'a Inbox> {
    let inbox = CURRENT.get();
    // SAFETY: `attach` stored it; a task detaches before its inbox goes.
    unsafe { inbox.as_ref() }
}

/// From now on the current thread has no inbox.
pub(super) fn detach() {
    CURRENT.set(std::ptr::null());
}

#[cfg(test)]
mod tests {
    use runtime::EngineConfig;

    use super::*;
    use crate::engine::Engine;
    use crate::memory::AddressSpace;

    fn inbox() -> Box<Inbox> {
        let abi = (crate::abi::ALL[0].on_cpu)(None).unwrap();
        let memory = AddressSpace::current().clone();
        let engine = Engine::new(abi.frontend(), EngineConfig::default(), memory).unwrap();
        Inbox::new(engine.new_vcpu().interrupter())
    }

    fn signal(n: i32) -> SigInfo {
        SigInfo::bare(n, libc::SI_USER)
    }

    #[test]
    fn a_signal_goes_in_and_comes_out() {
        let inbox = inbox();
        assert_eq!(inbox.take(SigSet::NONE), None);
        inbox.post(&signal(libc::SIGUSR1));
        assert_eq!(inbox.pending().load(Ordering::Relaxed), 1);
        assert_eq!(inbox.contents(), SigSet::of(&[libc::SIGUSR1]));
        assert_eq!(inbox.take(SigSet::ALL), Some(signal(libc::SIGUSR1)));
        assert_eq!(inbox.pending().load(Ordering::Relaxed), 0);
        assert_eq!(inbox.take(SigSet::NONE), None);
    }

    #[test]
    fn a_blocked_fault_stays_without_calling_attention() {
        let inbox = inbox();
        let blocked = SigSet::of(&[libc::SIGSEGV]);
        inbox.post(&signal(libc::SIGSEGV));
        inbox.post(&signal(libc::SIGSEGV));
        assert_eq!(inbox.take(blocked), None);
        assert_eq!(inbox.pending().load(Ordering::Relaxed), 0);
        inbox.mask_changed(SigSet::NONE);
        assert_eq!(inbox.pending().load(Ordering::Relaxed), 1);
        assert_eq!(inbox.take(SigSet::NONE), Some(signal(libc::SIGSEGV)));
        assert_eq!(inbox.take(SigSet::NONE), None, "two were one");
    }

    #[test]
    fn faults_and_another_signal_do_not_displace_each_other() {
        let inbox = inbox();
        for n in [libc::SIGBUS, libc::SIGUSR2, libc::SIGSEGV] {
            inbox.post(&signal(n));
        }
        let order: Vec<i32> =
            std::iter::from_fn(|| inbox.take(SigSet::NONE)).map(|info| info.signal()).collect();
        assert_eq!(order, [libc::SIGSEGV, libc::SIGBUS, libc::SIGUSR2], "faults come first");
    }

    #[test]
    fn sigtimedwait_takes_a_fault_that_was_sent() {
        let inbox = inbox();
        inbox.post(&signal(libc::SIGBUS));
        assert_eq!(inbox.take_fault(SigSet::of(&[libc::SIGSEGV])), None);
        assert_eq!(inbox.take_fault(SigSet::of(&[libc::SIGBUS])), Some(signal(libc::SIGBUS)));
    }
}
