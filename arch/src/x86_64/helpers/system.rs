//! EFLAGS and MXCSR as one value, what the CPU says of itself, and what waits.

use base::RegSlot;
use base::sys::thread;

use super::FrameRef;
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
    flags::Unpacked::of(value & mask | old & !mask).write(|slot, value| frame.set(slot, value));
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
    let leaf = cpuid::cpuid(&model, leaf, subleaf, thread::current_cpu());
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
