//! Counting instructions: a CPU that stops after so many.

use std::cell::Cell;

use base::{CpuFrame, GuestVirt};
use ir::BlockKey;
use ir::interp::{Entry, Head, Jumps};

/// Lets no block begin once so many instructions have been begun.
#[derive(Debug)]
pub(crate) struct Limited<'a, J> {
    jumps: &'a J,
    left: Cell<u64>,
}

impl<'a, J> Limited<'a, J> {
    /// `left` instructions, the first block's included.
    pub(crate) fn new(jumps: &'a J, left: u64, first: &Head) -> Self {
        Self { jumps, left: Cell::new(left.saturating_sub(first.insns().into())) }
    }
}

impl<J: Jumps> Jumps for Limited<'_, J> {
    const FOLLOW: bool = J::FOLLOW;

    #[inline(always)]
    fn probe(&self, frame: &mut CpuFrame, target: GuestVirt, salt: u64) -> Option<Entry> {
        self.jumps.probe(frame, target, salt)
    }

    #[inline(always)]
    fn may_begin(&self, insns: u32) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(insns.into()));
        left > 0
    }

    #[inline(always)]
    fn probe_direct(
        &self,
        frame: &mut CpuFrame,
        from: BlockKey,
        target: GuestVirt,
    ) -> Option<Entry> {
        self.jumps.probe_direct(frame, from, target)
    }
}
