//! The frame as helpers see it.

#![expect(unsafe_code, reason = "the engines pass the frame as a raw pointer")]

use std::cell::Cell;

use base::cpu::SLOT_COUNT;
use base::float::Flags;
use base::{CpuFrame, GuestVirt, RegSlot};

/// Where the translation flags start in a block's key.
const KEY_FLAGS_SHIFT: u32 = 48;

/// A CPU's registers, whether it is running or not.
pub(crate) trait Registers {
    /// A register slot.
    fn slot(&self, slot: RegSlot) -> u64;
    /// Writes a register slot.
    fn set_slot(&mut self, slot: RegSlot, value: u64);
    /// Changes the translation flags.
    fn change_key_flags(&mut self, change: impl FnOnce(u64) -> u64);

    /// A wide register slot.
    #[inline]
    fn wide(&self, slot: RegSlot) -> u128 {
        u128::from(self.slot(RegSlot(slot.0 + 1))) << 64 | u128::from(self.slot(slot))
    }

    /// Writes a wide register slot.
    #[inline]
    fn set_wide_slot(&mut self, slot: RegSlot, value: u128) {
        self.set_slot(slot, value as u64);
        self.set_slot(RegSlot(slot.0 + 1), (value >> 64) as u64);
    }
}

impl Registers for CpuFrame {
    fn slot(&self, slot: RegSlot) -> u64 {
        self.get(slot)
    }

    fn set_slot(&mut self, slot: RegSlot, value: u64) {
        self.set(slot, value);
    }

    fn change_key_flags(&mut self, change: impl FnOnce(u64) -> u64) {
        self.key_flags = change(self.key_flags);
    }
}

impl Registers for FrameRef {
    fn slot(&self, slot: RegSlot) -> u64 {
        self.get(slot)
    }

    fn set_slot(&mut self, slot: RegSlot, value: u64) {
        self.set(slot, value);
    }

    fn change_key_flags(&mut self, change: impl FnOnce(u64) -> u64) {
        self.set_key_flags(change(self.key_flags()));
    }
}

/// The frame of the CPU that runs on this thread. Only the fields that it names are touched, never
/// the frame as a whole: other threads set `interrupt` meanwhile.
#[derive(Debug)]
pub struct FrameRef(*mut CpuFrame);

impl FrameRef {
    /// # Safety
    /// `frame` is valid, and no other reference to its slots, flags and fault fields is used while
    /// this value lives.
    pub(crate) unsafe fn new(frame: *mut CpuFrame) -> Self {
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

    /// All register slots.
    pub(crate) fn slots(&mut self) -> &[Cell<u64>; SLOT_COUNT] {
        // SAFETY: by the contract of `new`; a `Cell` is laid out as what it has.
        unsafe { &*(&raw mut (*self.0).slots).cast() }
    }

    /// Adds to the guest's floating-point flags, which are in the slot `place`.
    pub fn accrue(&mut self, place: RegSlot, flags: Flags) {
        if flags != Flags::NONE {
            self.set(place, self.get(place) | u64::from(flags.0));
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
            let rest = (*self.0).jump_environment & ((1 << KEY_FLAGS_SHIFT) - 1);
            (*self.0).jump_environment = rest | flags;
        }
    }

    /// Where the host has aligned bytes that an instruction reads and writes at once: in user mode where the
    /// guest has them. `None` if the access faults.
    #[must_use]
    pub fn atomic_place(&mut self, addr: u64, bytes: u64) -> Option<GuestVirt> {
        match self.ask_memory(addr, bytes | CpuFrame::SLOW_ATOMIC) {
            None => Some(GuestVirt(addr)),
            Some(0) => None,
            Some(host) => Some(GuestVirt(host)),
        }
    }

    /// Says that the access which [`FrameRef::atomic_place`] was asked for has been made.
    pub fn atomic_done(&mut self, addr: u64, bytes: u64) {
        self.ask_memory(addr, bytes | CpuFrame::SLOW_ATOMIC_DONE);
    }

    /// Asks a whole machine's memory; `None` in user mode.
    fn ask_memory(&mut self, addr: u64, what: u64) -> Option<u64> {
        // SAFETY: by the contract of `new`: it is the frame of the CPU that runs on this thread.
        unsafe { (*self.0).memory_slow.map(|slow| slow(self.0, addr, what)) }
    }

    /// In a whole machine, the CPU's registers, and what it has beside them. `None` in user mode.
    ///
    /// # Safety
    /// What hangs on the CPU, if anything does, is a `C`, and is kept.
    #[must_use]
    pub(crate) unsafe fn machine<C>(&self) -> Option<(&CpuFrame, &C)> {
        // SAFETY: by the contract of `new` and the caller's promise; what others set meanwhile is atomic.
        unsafe { Some((&*self.0, (*self.0).context.cast::<C>().as_ref()?)) }
    }

    /// Registers have changed on which the meaning of addresses depends.
    pub fn follow_space(&mut self) {
        self.ask_memory(0, CpuFrame::SLOW_SWITCH);
    }

    /// Leaves the instruction to the machine. The helper has done nothing, and does nothing any more.
    pub fn leave_to_machine(&mut self) {
        self.set_fault(0);
        // SAFETY: by the contract of `new`.
        unsafe { (*self.0).left_to_machine = 1 };
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
