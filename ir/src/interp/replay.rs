//! Repeating what compiled code did since its last sync point, up to the access that faulted.
//!
//! Between a sync point and the fault, compiled code made stores and then loads, never a store
//! after a load. Its stores have happened, and another thread may have overwritten them since: so
//! they are computed again, but not performed, until the first load, or until the store that
//! faulted. From there on everything happens for real.

#![expect(unsafe_code, reason = "asks which instruction a micro-operation belongs to")]

use base::GuestVirt;

use super::code::Entry;
use super::memory::Site;

/// Wraps a memory for a replay.
#[derive(Debug)]
pub struct Replay<'a, M> {
    memory: &'a mut M,
    fault_addr: GuestVirt,
    /// The block that runs, and what the instruction that faulted is called in it.
    running: Option<(Entry, GuestVirt)>,
}

impl<'a, M> Replay<'a, M> {
    /// Suppresses stores until a load, or until the instruction that faulted stores to `fault_addr`.
    pub fn new(memory: &'a mut M, fault_addr: GuestVirt) -> Self {
        Self { memory, fault_addr, running: None }
    }

    /// Says which block runs next, and what the pc of the instruction that faulted is as that block
    /// knows pcs. Needed before each as long as [`Replay::is_suppressing`].
    ///
    /// # Safety
    /// The block must exist while it runs on this memory.
    pub unsafe fn enter(&mut self, block: Entry, fault_pc: GuestVirt) {
        self.running = Some((block, fault_pc));
    }

    /// Whether stores are still suppressed: false once everything happens for real.
    #[must_use]
    pub fn is_suppressing(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn inner(&mut self) -> &mut M {
        self.memory
    }

    /// Ends the suppression.
    pub(super) fn lift(&mut self) {
        self.running = None;
    }

    /// Whether a store has happened already and is left out; if it is the one that faulted, ends
    /// the suppression.
    pub(super) fn suppresses(
        &mut self,
        site: Site,
        addr: GuestVirt,
        bytes: u64,
        address_bits: u32,
    ) -> bool {
        let Some((block, fault_pc)) = self.running else { return false };
        // A store to where nothing can be mapped has not happened; the host does not say its address.
        if addr
            .0
            .saturating_add(bytes - 1)
            .checked_shr(address_bits)
            .is_some_and(|above| above != 0)
        {
            self.lift();
            return false;
        }
        let covers = self.fault_addr.0.wrapping_sub(addr.0) < bytes;
        // SAFETY: by the promise to `enter`; the site is a micro-operation of the running block.
        if covers && unsafe { block.locate(site.0) }.0 == fault_pc {
            self.lift();
            return false;
        }
        true
    }
}
