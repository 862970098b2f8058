//! The CPUs of an engine, as other threads see them.

#![expect(unsafe_code, reason = "a CPU's frame is shared with its interrupters")]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::CpuFrame;

use crate::epoch::IDLE;
use crate::stats::Counters;

/// What a CPU shares. Its frame belongs to the thread that owns the [`crate::Vcpu`]; others touch
/// nothing of it but the interrupt word.
#[derive(Debug)]
pub(crate) struct CpuShared {
    frame: Box<UnsafeCell<CpuFrame>>,
    /// The epoch that it announced ([`crate::epoch`]).
    pub(crate) seen: AtomicU64,
    /// It holds no page as writable that was protected up to here ([`crate::settle`]).
    pub(crate) protected: AtomicU64,
    pub(crate) counters: Counters,
}

// SAFETY: see the type's own words.
unsafe impl Sync for CpuShared {}
// SAFETY: as above; the frame's pointers are used by the owner only.
unsafe impl Send for CpuShared {}

impl CpuShared {
    pub(crate) fn new(frame: Box<CpuFrame>) -> Self {
        // SAFETY: `UnsafeCell<CpuFrame>` has the layout of `CpuFrame`.
        let frame = unsafe { Box::from_raw(Box::into_raw(frame).cast::<UnsafeCell<CpuFrame>>()) };
        let (seen, protected) = (AtomicU64::new(IDLE), AtomicU64::new(0));
        Self { frame, seen, protected, counters: Counters::default() }
    }

    pub(crate) fn frame(&self) -> *mut CpuFrame {
        self.frame.get()
    }

    /// Sets bits of the interrupt word. Async-signal-safe.
    pub(crate) fn interrupt(&self, bits: u32) {
        // SAFETY: the frame lives as long as `self`, and the word is atomic.
        let word = unsafe { &(*self.frame()).interrupt };
        word.fetch_or(bits, Ordering::AcqRel);
    }
}

/// Makes a CPU's [`crate::Vcpu::run`] return soon, from any thread or signal handler.
#[derive(Clone, Debug)]
pub struct Interrupter(pub(crate) Arc<CpuShared>);

impl Interrupter {
    /// Asks for it. Sticky until a run returns [`crate::Exit::Interrupted`]. Async-signal-safe.
    pub fn interrupt(&self) {
        self.0.interrupt(CpuFrame::INTERRUPT_REQUEST);
    }
}

/// The list of CPUs.
#[derive(Debug, Default)]
pub(crate) struct Cpus(Mutex<Vec<Arc<CpuShared>>>);

impl Cpus {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Arc<CpuShared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, cpu: &Arc<CpuShared>) {
        self.lock().push(Arc::clone(cpu));
    }

    pub(crate) fn remove(&self, cpu: &Arc<CpuShared>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, cpu));
    }
}

/// The oldest epoch that any of them has announced; [`IDLE`] if all are idle.
pub(crate) fn oldest_seen(cpus: &[Arc<CpuShared>]) -> u64 {
    cpus.iter().map(|cpu| cpu.seen.load(Ordering::SeqCst)).min().unwrap_or(IDLE)
}
