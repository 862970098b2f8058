//! The frame as helpers see it.

use super::{CpuFrame, Flags, RegSlot, slot};
use crate::riscv64::csr::KEY_FRM_SHIFT;

/// The frame of the CPU that runs on this thread. Only the fields that it names are touched, never
/// the frame as a whole: other threads set `interrupt` meanwhile.
#[derive(Debug)]
pub struct FrameRef(*mut CpuFrame);

impl FrameRef {
    /// # Safety
    /// `frame` is valid, and no other reference to its slots, flags and fault fields is used while
    /// this value lives.
    pub(super) unsafe fn new(frame: *mut CpuFrame) -> Self {
        Self(frame)
    }

    /// A register slot.
    #[must_use]
    pub fn get(&self, slot: RegSlot) -> u64 {
        // SAFETY: by the contract of `new`.
        unsafe { (&raw const (*self.0).slots[slot.index()]).read() }
    }

    /// Writes a register slot.
    pub fn set(&mut self, slot: RegSlot, value: u64) {
        // SAFETY: by the contract of `new`.
        unsafe { (&raw mut (*self.0).slots[slot.index()]).write(value) }
    }

    /// Adds to `fflags`.
    pub fn accrue(&mut self, flags: Flags) {
        if flags != Flags::NONE {
            self.set(slot::FFLAGS, self.get(slot::FFLAGS) | u64::from(flags.0));
        }
    }

    /// The translation flags.
    #[must_use]
    pub fn key_flags(&self) -> u64 {
        // SAFETY: by the contract of `new`.
        unsafe { (*self.0).key_flags }
    }

    /// Writes the translation flags.
    pub fn set_key_flags(&mut self, flags: u64) {
        // SAFETY: by the contract of `new`.
        unsafe {
            (*self.0).key_flags = flags;
            // What jump caches of a whole machine remember has them in the same bits.
            let rest = (*self.0).jump_environment & ((1 << KEY_FRM_SHIFT) - 1);
            (*self.0).jump_environment = rest | flags;
        }
    }

    /// Reports that the access of a helper faulted at `addr`.
    pub fn set_fault(&mut self, addr: u64) {
        // SAFETY: by the contract of `new`.
        unsafe {
            (*self.0).fault = 1;
            (*self.0).fault_addr = addr;
        }
    }

    /// Asks the CPU to leave translated code at its next poll.
    pub fn interrupt(&self, bits: u32) {
        // SAFETY: by the contract of `new`; the field is atomic, so shared access is sound.
        let interrupt = unsafe { &(*self.0).interrupt };
        interrupt.fetch_or(bits, std::sync::atomic::Ordering::Relaxed);
    }
}
