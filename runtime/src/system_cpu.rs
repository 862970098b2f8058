//! What a CPU of a whole machine has beside its frame: the softmmu, and jump caches that are keyed
//! by virtual address, since translations are found by physical address.

#![expect(unsafe_code, reason = "entries are code addresses that the epochs keep alive")]

use std::cell::Cell;

use base::cpu::{CheckedSpan, JumpCacheEntry, PC_DELTA, VirtualJumpEntry};
use base::{CpuFrame, GuestPhys, GuestVirt};
use ir::BlockKey;
use ir::interp::{Entry, Jumps};
use softmmu::Softmmu;

use crate::promote::RegionSpan;

/// See the module.
#[derive(Debug)]
pub(crate) struct SystemCpu {
    pub(crate) softmmu: Box<Softmmu>,
    pub(crate) jumps: VirtualJumps,
    compiled: Box<[VirtualJumpEntry]>,
    spans: Box<[CheckedSpan]>,
}

// SAFETY: the pointers to code in it are used by the thread that runs the CPU only.
unsafe impl Send for SystemCpu {}

impl SystemCpu {
    pub(crate) fn new(softmmu: Box<Softmmu>) -> Self {
        let compiled = vec![VirtualJumpEntry::EMPTY; JumpCacheEntry::COUNT].into();
        let spans = vec![CheckedSpan::EMPTY; CheckedSpan::COUNT].into();
        Self { softmmu, jumps: VirtualJumps::new(), compiled, spans }
    }

    /// Compiled code's jump cache.
    pub(crate) fn compiled_jumps(&mut self) -> *mut VirtualJumpEntry {
        self.compiled.as_mut_ptr()
    }

    /// What was checked of regions that span pages.
    pub(crate) fn checked_spans(&mut self) -> *mut CheckedSpan {
        self.spans.as_mut_ptr()
    }

    /// Checks that a span's pages lie where they lay when its region was made, and lets the region
    /// be entered if so.
    pub(crate) fn check_span(
        &mut self,
        frame: &mut CpuFrame,
        span: RegionSpan,
        pages: &[(GuestVirt, GuestPhys)],
    ) -> bool {
        let delta = frame.get(PC_DELTA);
        let lies = pages
            .iter()
            .all(|&(page, phys)| self.softmmu.fetch(frame, page.wrapping_add(delta)) == Ok(phys));
        if lies && !pages.is_empty() {
            let environment = frame.jump_environment;
            self.spans[CheckedSpan::index(span.0)] = CheckedSpan { span: span.0, environment };
        }
        lies && !pages.is_empty()
    }

    /// Lets compiled code find the region for where the frame is.
    pub(crate) fn know_compiled(&mut self, frame: &CpuFrame, code: *const u8) {
        let (target, environment) = (frame.pc, frame.jump_environment);
        let delta = frame.get(PC_DELTA);
        self.compiled[JumpCacheEntry::index(target)] =
            VirtualJumpEntry { target, environment, code, delta };
    }
}

/// What lies at a virtual address, in an environment ([`CpuFrame::jump_environment`]).
#[derive(Clone, Copy, Debug)]
struct Known {
    target: u64,
    environment: u64,
    entry: Option<Entry>,
    delta: u64,
}

/// Tier 0's jump cache.
#[derive(Debug)]
pub(crate) struct VirtualJumps {
    entries: Box<[Cell<Known>]>,
}

impl VirtualJumps {
    fn new() -> Self {
        let nothing = Known { target: 1, environment: 0, entry: None, delta: 0 };
        Self { entries: vec![Cell::new(nothing); JumpCacheEntry::COUNT].into() }
    }

    #[inline(always)]
    fn slot(&self, target: u64) -> &Cell<Known> {
        &self.entries[JumpCacheEntry::index(target)]
    }

    /// Remembers the code at an address where the frame is now.
    pub(crate) fn insert(&self, frame: &CpuFrame, target: GuestVirt, entry: Entry) {
        let (environment, delta) = (frame.jump_environment, frame.get(PC_DELTA));
        let known = Known { target: target.0, environment, entry: Some(entry), delta };
        self.slot(target.0).set(known);
    }

    /// The code at an address, and the delta there.
    #[inline(always)]
    pub(crate) fn find(&self, frame: &CpuFrame, target: u64) -> Option<(Entry, u64)> {
        let known = self.slot(target).get();
        let valid = known.target == target && known.environment == frame.jump_environment;
        known.entry.filter(|_| valid).map(|entry| (entry, known.delta))
    }
}

impl Jumps for VirtualJumps {
    const FOLLOW: bool = true;

    #[inline(always)]
    fn probe(&self, frame: &mut CpuFrame, target: GuestVirt, salt: u64) -> Option<Entry> {
        // It does not tell approaches apart.
        let (entry, delta) = self.find(frame, target.0).filter(|_| salt == 0)?;
        frame.set(PC_DELTA, delta);
        Some(entry)
    }

    /// Exits to other pages are never linked: where they lie may change.
    #[inline(always)]
    fn probe_direct(
        &self,
        frame: &mut CpuFrame,
        from: BlockKey,
        target: GuestVirt,
    ) -> Option<Entry> {
        if target.page() == from.pc().page() {
            return None;
        }
        self.probe(frame, target.wrapping_add(frame.get(PC_DELTA)), 0)
    }
}
