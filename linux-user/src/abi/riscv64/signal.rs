//! The RISC-V signal frame (`struct rt_sigframe` in `arch/riscv/kernel/signal.c`,
//! `asm/ucontext.h`, `asm/sigcontext.h`).

use arch::riscv64::slot::{self, f, x};
use arch::riscv64::{fcsr, set_fcsr};
use base::{CpuFrame, GuestVirt, RegSlot};
use syscalls::Errno;

use super::{A0, SP};
use crate::signal::{SigInfo, SigSet, SignalEntry, SignalReturn, UserStack};
use crate::user::UserPtr;

const RA: RegSlot = x(1);
const A1: RegSlot = x(11);
const A2: RegSlot = x(12);

crate::plain! {
    /// `struct ucontext`. The set is followed by room for a longer one, and the machine context is
    /// aligned to 16 bytes.
    struct UserContext {
        flags: u64,
        link: u64,
        stack: UserStack,
        sigmask: u64,
        unused: [u8; 120],
        align: u64,
        context: SignalContext,
    }

    /// `struct sigcontext`
    struct SignalContext {
        /// pc, then x1 to x31.
        regs: [u64; 32],
        /// `struct __riscv_d_ext_state`.
        f: [u64; 32],
        fcsr: u32,
        fp_unused: [u32; 64],
        /// From here on `struct __riscv_extra_ext_header`, which overlaps the end of the largest
        /// floating-point state.
        reserved: u32,
        /// The extensions' contexts (the vector registers' would be one) would start here.
        /// `END_MAGIC` is zero, and so is its size.
        extension: ExtensionHeader,
    }

    /// `struct __riscv_ctx_hdr`
    struct ExtensionHeader {
        magic: u32,
        size: u32,
    }

    /// `struct rt_sigframe`
    struct Frame {
        info: [u64; SigInfo::BYTES / 8],
        context: UserContext,
    }
}

const END: ExtensionHeader = ExtensionHeader { magic: 0, size: 0 };

/// Bytes of a frame.
pub(super) const FRAME_BYTES: u64 = size_of::<Frame>() as u64;
const _: () = assert!(FRAME_BYTES == 1088 && FRAME_BYTES.is_multiple_of(16));

/// Where a frame lies below a stack's free end.
pub(super) fn frame_place(stack: GuestVirt) -> GuestVirt {
    GuestVirt(stack.0.wrapping_sub(FRAME_BYTES) & !0xf)
}

fn save(frame: &CpuFrame) -> SignalContext {
    let reg = |n: usize| if n == 0 { frame.pc } else { frame.get(x(n as u8)) };
    SignalContext {
        regs: std::array::from_fn(reg),
        f: std::array::from_fn(|n| frame.get(f(n as u8))),
        fcsr: fcsr(frame) as u32,
        fp_unused: [0; 64],
        reserved: 0,
        extension: END,
    }
}

fn restore(frame: &mut CpuFrame, context: &SignalContext) {
    frame.pc = context.regs[0];
    (1..32).for_each(|n| frame.set(x(n as u8), context.regs[n]));
    (0..32).for_each(|n| frame.set(f(n as u8), context.f[n]));
    set_fcsr(frame, u64::from(context.fcsr));
    forget_reservation(frame);
}

/// Every return from the kernel does so.
fn forget_reservation(frame: &mut CpuFrame) {
    frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
}

/// Writes a frame and sets the registers up for the handler.
pub(super) fn enter(
    frame: &mut CpuFrame,
    place: GuestVirt,
    entry: &SignalEntry,
) -> Result<(), Errno> {
    let context = UserContext {
        flags: 0,
        link: 0,
        stack: entry.altstack,
        sigmask: entry.blocked.0,
        unused: [0; 120],
        align: 0,
        context: save(frame),
    };
    UserPtr::new(place).write(Frame { info: entry.info.0, context })?;
    forget_reservation(frame);
    frame.pc = entry.handler.0;
    frame.set(RA, entry.trampoline.unwrap_or_default().0);
    frame.set(SP, place.0);
    frame.set(A0, entry.info.signal() as u64);
    frame.set(A1, place.0);
    frame.set(A2, place.0 + SigInfo::BYTES as u64);
    Ok(())
}

/// Restores the registers from the frame at the stack pointer.
pub(super) fn leave(frame: &mut CpuFrame) -> Result<SignalReturn, Errno> {
    let saved = UserPtr::<Frame>::new(GuestVirt(frame.get(SP))).read()?.context;
    if saved.context.reserved != 0 || saved.context.extension != END {
        return Err(Errno::EINVAL);
    }
    restore(frame, &saved.context);
    Ok(SignalReturn { blocked: SigSet(saved.sigmask), altstack: saved.stack })
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// The offsets that riscv64 glibc's `ucontext_t` and the kernel's headers agree on.
    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(offset_of!(Frame, context), 128);
        assert_eq!(offset_of!(UserContext, stack), 16);
        assert_eq!(offset_of!(UserContext, sigmask), 40);
        assert_eq!(offset_of!(UserContext, context), 176);
        assert_eq!(offset_of!(SignalContext, f), 256);
        assert_eq!(offset_of!(SignalContext, fcsr), 512);
        assert_eq!(offset_of!(SignalContext, reserved), 256 + 516);
        assert_eq!(offset_of!(SignalContext, extension), 256 + 520);
        assert_eq!(size_of::<SignalContext>(), 256 + 528);
        assert_eq!(size_of::<UserContext>(), 960);
    }

    #[test]
    fn every_register_survives_a_handler() {
        let mut frame = CpuFrame::new();
        (1..32).for_each(|n| frame.set(x(n), 100 + u64::from(n)));
        (0..32).for_each(|n| frame.set(f(n), 200 + u64::from(n)));
        set_fcsr(&mut frame, 3 << 5 | 0x11);
        frame.pc = 0x1_0000;
        let saved = save(&frame);
        let key_flags = frame.key_flags;
        let mut other = CpuFrame::new();
        restore(&mut other, &saved);
        assert_eq!(other.pc, frame.pc);
        assert_eq!(other.slots[1..66], frame.slots[1..66]);
        assert_eq!(other.key_flags, key_flags, "translations depend on the rounding mode");
        assert_eq!(other.get(slot::RESERVATION_ADDR), slot::NO_RESERVATION);
    }

    #[test]
    fn frames_are_aligned_below_the_stacks_end() {
        assert_eq!(frame_place(GuestVirt(0x2_0000)), GuestVirt(0x2_0000 - 1088));
        assert_eq!(frame_place(GuestVirt(0x2_000f)), GuestVirt(0x2_0000 - 1088));
        assert_eq!(frame_place(GuestVirt(8)).0 & 0xf, 0, "wraps, and will fault");
    }
}
