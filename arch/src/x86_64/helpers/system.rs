//! EFLAGS and MXCSR as one value, what the CPU says of itself, time, random numbers, selectors, and what waits.

use base::sys::{clock, random, thread};
use base::{CpuFrame, RegSlot};

use super::FrameRef;
use crate::sys;
use crate::x86_64::{CpuModel, cpuid, flags, mxcsr, slot, xsave};

const RAX: RegSlot = slot::gpr(0);
const RCX: RegSlot = slot::gpr(1);
const RDX: RegSlot = slot::gpr(2);
const RBX: RegSlot = slot::gpr(3);

/// PUSHF, LAHF: EFLAGS.
pub(super) fn eflags(frame: FrameRef) -> u64 {
    flags::Unpacked::read(|slot| frame.get(slot)).eflags()
}

/// POPF, SAHF: writes those bits of EFLAGS that are in `mask`.
pub(super) fn set_eflags(mut frame: FrameRef, value: u64, mask: u64) -> u64 {
    let old = flags::Unpacked::read(|slot| frame.get(slot)).eflags();
    flags::write(&mut frame, value & mask | old & !mask);
    0
}

/// STMXCSR: MXCSR.
pub(super) fn mxcsr(frame: FrameRef) -> u64 {
    u64::from(mxcsr::read(&frame))
}

/// LDMXCSR: MXCSR, of which no bit is set that does not exist.
pub(super) fn set_mxcsr(mut frame: FrameRef, value: u64) -> u64 {
    mxcsr::write(&mut frame, value as u32);
    0
}

/// XGETBV of register 0 or 1, by ECX: EDX:EAX as one value. Of another register it is a general-protection fault.
pub(super) fn xgetbv(frame: FrameRef, xcr0: u64) -> u64 {
    match frame.get(RCX) as u32 {
        0 => xcr0,
        _ => xcr0 & xsave::in_use(&frame),
    }
}

/// CPUID.
pub(super) fn cpuid(mut frame: FrameRef, features: u64, more: u64, signature: u64) -> u64 {
    let model = CpuModel::from_words([features, more, signature]);
    let (leaf, subleaf) = (frame.get(RAX) as u32, frame.get(RCX) as u32);
    let leaf = cpuid::cpuid(&model, leaf, subleaf, thread::processor());
    for (slot, value) in [RAX, RBX, RCX, RDX].into_iter().zip(leaf.registers()) {
        frame.set(slot, u64::from(value));
    }
    0
}

/// PAUSE: for a spin-wait loop.
pub(super) fn pause(_: FrameRef) -> u64 {
    std::hint::spin_loop();
    0
}

/// RDTSC: the time-stamp counter, which is the host's if it has one.
pub(super) fn tsc(_: FrameRef) -> u64 {
    sys::tsc().unwrap_or_else(clock::monotonic_nanos)
}

/// RDTSCP, RDPID: IA32_TSC_AUX, in which Linux has the processor's number.
pub(super) fn tsc_aux(_: FrameRef) -> u64 {
    thread::processor().into()
}

/// RDRAND, RDSEED: a number, and CF, which is clear if there is none: then it is 0.
pub(super) fn random(mut frame: FrameRef) -> u64 {
    let number = random::bits();
    frame.set(slot::CARRY, u64::from(number.is_some()));
    number.unwrap_or(0)
}

/// Whether a segment register, by its slot, cannot get a selector: 1 or 0. The segments of Linux that every program may use
/// are those of user code and data.
pub(super) fn bad_selector(selector: u64, place: u64) -> u64 {
    let is_stack = place == u64::from(slot::SS.0);
    let is_good = match (selector | 3, is_stack) {
        (slot::USER_SS, true) => selector & 3 == 3,
        (3 | slot::USER_CS | slot::USER_SS | slot::USER_CS_32, false) => true,
        _ => false,
    };
    u64::from(!is_good)
}

/// What [`access_rights`] and [`segment_limit`] say where a program may not know of a segment, or there is none.
pub const NO_SEGMENT: u64 = u64::MAX;

/// A segment whose limit Linux sets to the processor's number, a part of the node's above it.
const PROCESSOR_NUMBER: u64 = 0x7b;

/// LAR: the second doubleword of a descriptor, without the base; [`NO_SEGMENT`] unless it is one of Linux's for user mode.
pub(super) fn access_rights(selector: u64) -> u64 {
    match selector & 0xffff | 3 {
        slot::USER_CS => 0x00af_fb00,
        slot::USER_CS_32 => 0x00cf_fb00,
        slot::USER_SS => 0x00cf_f300,
        PROCESSOR_NUMBER => 0x0040_f500,
        _ => NO_SEGMENT,
    }
}

/// LSL: the limit in bytes of a segment; [`NO_SEGMENT`] unless it is one of Linux's for user mode.
pub(super) fn segment_limit(frame: FrameRef, selector: u64) -> u64 {
    match selector & 0xffff | 3 {
        slot::USER_CS | slot::USER_CS_32 | slot::USER_SS => u32::MAX.into(),
        PROCESSOR_NUMBER => tsc_aux(frame),
        _ => NO_SEGMENT,
    }
}

/// What serialises: what was translated from memory that others can write to without our noticing has to be compared with
/// it. The runtime does so before it looks the next block up.
pub(super) fn sync_code(frame: FrameRef) -> u64 {
    frame.interrupt(CpuFrame::INTERRUPT_SYNC_CODE);
    0
}
