//! Zicsr, Zicntr, Zifencei, Zihintpause, Zawrs, and the 128-bit compare-and-swap of Zacas.

use base::sys::clock;
use base::{CpuFrame, GuestVirt, RegSlot};

use super::{FrameRef, hart};
use crate::access;
use crate::riscv64::privileged::{counter, interrupt, status};
use crate::riscv64::{csr, slot};

/// Writes `frm` and the translation flags that follow it.
pub(super) fn set_frm(mut frame: FrameRef, frm: u64) -> u64 {
    frame.set(slot::FRM, frm & csr::FRM_MASK);
    frame.set_key_flags(csr::key_flags(frame.key_flags(), frm));
    0
}

/// RDCYCLE: a nominal 1 GHz, monotonic and the same on all harts.
pub(super) fn cycle(_: FrameRef) -> u64 {
    clock::monotonic_nanos()
}

/// RDTIME: the clock of CLOCK_MONOTONIC in ticks of [`csr::TIMEBASE_HZ`].
pub(super) fn time(_: FrameRef) -> u64 {
    clock::monotonic_nanos() / (1_000_000_000 / csr::TIMEBASE_HZ)
}

/// RDINSTRET: nobody counts instructions, so one a nominal cycle.
pub(super) fn instret(_: FrameRef) -> u64 {
    clock::monotonic_nanos()
}

/// FENCE.I: what was translated from memory that others can write to without our noticing has to
/// be compared with it. The runtime does so before it looks the next block up.
pub(super) fn sync_code(frame: FrameRef) -> u64 {
    frame.interrupt(CpuFrame::INTERRUPT_SYNC_CODE);
    0
}

/// PAUSE: for a spin-wait loop.
pub(super) fn pause(_: FrameRef) -> u64 {
    std::hint::spin_loop();
    0
}

/// WRS.NTO, WRS.STO: a stall may end for any reason. Whoever holds the lock may need this CPU.
pub(super) fn yield_now(_: FrameRef) -> u64 {
    std::thread::yield_now();
    0
}

/// What [`sstatus`] does with its operand: CSRRS, CSRRC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum StatusFunction {
    /// Sets bits.
    Set,
    /// Clears bits.
    Clear,
}

/// CSRRS and CSRRC of sstatus: what an operating system does all the time. It is left to the machine
/// what changes the translation flags, and what lets an interrupt be taken now.
pub(super) fn sstatus(mut frame: FrameRef, function: u64, operand: u64) -> u64 {
    let old = frame.get(slot::MSTATUS);
    let Some((_, ctx)) = hart(&frame) else { return 0 };
    let value = match function {
        f if f == StatusFunction::Set as u64 => old | operand,
        _ => old & !operand,
    };
    let new = status::with_sstatus(ctx, old, value);
    let changed = old ^ new;
    if changed == 0 {
        return old & status::SSTATUS;
    }
    if changed & status::FS != 0 {
        frame.leave_to_machine();
        return 0;
    }
    frame.set(slot::MSTATUS, new);
    if changed & new & status::SIE != 0 && is_interrupted(&frame) {
        frame.set(slot::MSTATUS, old);
        frame.leave_to_machine();
        return 0;
    }
    if changed & (status::SUM | status::MXR) != 0 {
        frame.follow_space();
    }
    old & status::SSTATUS
}

fn is_interrupted(frame: &FrameRef) -> bool {
    hart(frame).is_some_and(|(registers, ctx)| interrupt::pending(registers, ctx).is_some())
}

/// RDTIME in a whole machine. Where it is illegal, and where time passes by instructions, it is left to the
/// machine.
pub(super) fn machine_time(mut frame: FrameRef) -> u64 {
    let ticks = hart(&frame).and_then(|(registers, ctx)| {
        let is_open = counter::is_open(registers, csr::TIME & 31) && ctx.time.passes_by_itself();
        is_open.then(|| ctx.time.ticks())
    });
    ticks.unwrap_or_else(|| {
        frame.leave_to_machine();
        0
    })
}

/// AMOCAS.Q: registers by number, since the operands are five. An odd or misaligned access never
/// gets here.
pub(super) fn amocas_q(mut frame: FrameRef, addr: u64, rd: u64, rs2: u64) -> u64 {
    let (expected, new) = (pair(&frame, rd), pair(&frame, rs2));
    let place = frame.atomic_place(addr, 16).ok_or(access::Faulted);
    let old = place.and_then(|place| base::sys::access::compare_exchange128(place, expected, new));
    if let Ok(old) = old {
        frame.atomic_done(addr, 16);
        access::tell_exchange(GuestVirt(addr), 16, [old, expected, new]);
    }
    match old {
        Ok(old) if rd != 0 => {
            frame.set(RegSlot(rd as u16), old as u64);
            frame.set(RegSlot(rd as u16 + 1), (old >> 64) as u64);
        }
        Ok(_) => {}
        Err(access::Faulted) => frame.set_fault(addr),
    }
    0
}

/// A register pair as 128 bits: 0 if it is that of x0.
fn pair(frame: &FrameRef, low: u64) -> u128 {
    match low as u16 {
        0 => 0,
        n => u128::from(frame.get(RegSlot(n + 1))) << 64 | u128::from(frame.get(RegSlot(n))),
    }
}
