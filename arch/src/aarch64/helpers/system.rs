//! System registers and hints: FPCR, the counter, random numbers, yielding, and synchronising instructions.

use base::CpuFrame;
use base::sys::{clock, random};

use super::FrameRef;
use crate::aarch64::id::COUNTER_HZ;
use crate::aarch64::{fpcr, slot};

/// MSR FPCR: also the translation flags that follow it.
pub(super) fn set_fpcr(mut frame: FrameRef, value: u64) -> u64 {
    let value = value & fpcr::FPCR_WRITABLE;
    frame.set(slot::FPCR, value);
    frame.set_key_flags(fpcr::key_flags(frame.key_flags(), value));
    0
}

/// MRS CNTVCT_EL0: the clock of CLOCK_MONOTONIC in ticks of [`COUNTER_HZ`].
pub(super) fn counter(_: FrameRef) -> u64 {
    clock::monotonic_nanos() / (1_000_000_000 / COUNTER_HZ)
}

/// MRS RNDR, RNDRRS. NZCV is written: Z alone if there is no number, which is then 0.
pub(super) fn rndr(mut frame: FrameRef) -> u64 {
    let number = random::bits();
    frame.set(slot::NZCV, if number.is_some() { 0 } else { 1 << 30 });
    number.unwrap_or(0)
}

/// ISB, and IC IVAU by what follows it: what was translated from memory that others can write to without our noticing
/// has to be compared with it. The runtime does so before it looks the next block up.
pub(super) fn sync_code(frame: FrameRef) -> u64 {
    frame.interrupt(CpuFrame::INTERRUPT_SYNC_CODE);
    0
}

/// YIELD: for a spin-wait loop.
pub(super) fn pause(_: FrameRef) -> u64 {
    std::hint::spin_loop();
    0
}

/// WFE, WFI, WFET, WFIT: a wait may end for any reason. Whoever is waited for may need this CPU.
pub(super) fn yield_now(_: FrameRef) -> u64 {
    std::thread::yield_now();
    0
}
