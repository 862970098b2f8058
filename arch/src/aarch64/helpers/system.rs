//! System registers and hints: FPCR, the counter, random numbers, yielding, and synchronising instructions.

use base::CpuFrame;
use base::sys::{clock, random};

use super::FrameRef;
use crate::aarch64::{fpcr, slot};

/// Ticks of CNTVCT_EL0 a second: what CNTFRQ_EL0 must say. That of Armv8.6 and later.
pub const COUNTER_HZ: u64 = 1_000_000_000;

/// MSR FPCR: also the translation flags that follow it.
pub(super) fn set_fpcr(mut frame: FrameRef, value: u64) -> u64 {
    let value = value & fpcr::FPCR_WRITABLE;
    frame.set(slot::FPCR, value);
    frame.set_key_flags(fpcr::key_flags(frame.key_flags(), value));
    0
}

/// MRS FPSR.
pub(super) fn fpsr(frame: FrameRef) -> u64 {
    fpcr::fpsr_of(frame.get(slot::FP_FLAGS))
}

/// MSR FPSR.
pub(super) fn set_fpsr(mut frame: FrameRef, value: u64) -> u64 {
    frame.set(slot::FP_FLAGS, fpcr::fp_flags_of(value));
    0
}

/// MRS CNTVCT_EL0.
pub(super) fn counter(_: FrameRef) -> u64 {
    clock::monotonic_nanos()
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
