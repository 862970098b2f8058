//! EFLAGS and MXCSR as one value, and what waits.

use base::float::Flags;

use super::FrameRef;
use crate::x86_64::{flags, key, mxcsr, slot};

/// PUSHF, LAHF: EFLAGS.
pub(super) fn eflags(frame: FrameRef) -> u64 {
    flags::Unpacked::read(|slot| frame.get(slot)).eflags()
}

/// POPF, SAHF: writes those bits of EFLAGS that are in `mask`.
pub(super) fn set_eflags(mut frame: FrameRef, value: u64, mask: u64) -> u64 {
    let old = flags::Unpacked::read(|slot| frame.get(slot)).eflags();
    flags::Unpacked::of(value & mask | old & !mask).write(|slot, value| frame.set(slot, value));
    0
}

/// STMXCSR: MXCSR.
pub(super) fn mxcsr(frame: FrameRef) -> u64 {
    let sticky = mxcsr::sticky_of(Flags(frame.get(slot::FP_FLAGS) as u8));
    frame.get(slot::MXCSR) | u64::from(sticky)
}

/// LDMXCSR: MXCSR, of which no bit is set that does not exist.
pub(super) fn set_mxcsr(mut frame: FrameRef, value: u64) -> u64 {
    let value = value as u32;
    frame.set(slot::MXCSR, u64::from(value & mxcsr::WRITABLE & !mxcsr::STICKY));
    frame.set(slot::FP_FLAGS, u64::from(mxcsr::flags_of(value).0));
    frame.set_key_flags(key::key_flags(frame.key_flags(), value));
    0
}

/// PAUSE: for a spin-wait loop.
pub(super) fn pause(_: FrameRef) -> u64 {
    std::hint::spin_loop();
    0
}
