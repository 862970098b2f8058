//! The x86-64 signal frame (`arch/x86/kernel/signal_64.c`, `asm/sigframe.h`, `asm/sigcontext.h`). The floating-point state
//! lies above it, aligned by itself.

use arch::x86_64::flags::{self, eflags, set_eflags_masked};
use arch::x86_64::slot::{self, gpr};
use arch::x86_64::{CpuModel, slot::USER_CS};
use base::{CpuFrame, GuestVirt, RegSlot};
use syscalls::Errno;

use super::{RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, xstate};
use crate::signal::{SigInfo, SigSet, SignalEntry, SignalReturn, Trap, UserStack};
use crate::user::UserPtr;

crate::plain! {
    /// `struct rt_sigframe`
    struct Frame {
        /// Where the handler returns to.
        restorer: u64,
        context: UserContext,
        info: [u64; SigInfo::BYTES / 8],
    }

    /// `struct ucontext`
    struct UserContext {
        flags: u64,
        link: u64,
        stack: UserStack,
        context: SignalContext,
        sigmask: u64,
    }

    /// `struct sigcontext_64`
    struct SignalContext {
        /// In the order of [`REGISTERS`].
        regs: [u64; 16],
        rip: u64,
        eflags: u64,
        cs: u16,
        gs: u16,
        fs: u16,
        ss: u16,
        error: u64,
        trap: u64,
        oldmask: u64,
        cr2: u64,
        fpstate: u64,
        reserved: [u64; 8],
    }
}

/// Bytes of a frame without the floating-point state.
const FRAME_BYTES: u64 = size_of::<Frame>() as u64;
/// What of it is there although the handler does not want to know about the signal.
const BARE_BYTES: usize = size_of::<u64>() + size_of::<UserContext>();
const _: () = assert!(FRAME_BYTES == 440 && BARE_BYTES == 312);

/// `uc_flags`: the state has more than the legacy region.
const UC_FP_XSTATE: u64 = 1;
/// `uc_flags`: the context has SS, …
const UC_SIGCONTEXT_SS: u64 = 2;
/// …, which is restored as it is.
const UC_STRICT_RESTORE_SS: u64 = 4;

/// The alignment of the floating-point state.
const STATE_ALIGN: u64 = 64;
/// The alignment of the stack where a function is called.
const STACK_ALIGN: u64 = 16;

/// r8 to r15, then as the header has them.
const REGISTERS: [RegSlot; 16] = [
    gpr(8),
    gpr(9),
    gpr(10),
    gpr(11),
    gpr(12),
    gpr(13),
    gpr(14),
    gpr(15),
    RDI,
    RSI,
    RBP,
    RBX,
    RDX,
    RAX,
    RCX,
    RSP,
];

/// Where the floating-point state lies below a stack's free end.
fn state_place(cpu: &CpuModel, stack: GuestVirt) -> u64 {
    stack.0.wrapping_sub(xstate::frame_bytes(cpu)) & !(STATE_ALIGN - 1)
}

/// Where a frame lies below a stack's free end: a handler finds the stack as a function that was called does.
pub(super) fn frame_place(cpu: &CpuModel, stack: GuestVirt) -> GuestVirt {
    let frame = state_place(cpu, stack).wrapping_sub(FRAME_BYTES);
    GuestVirt((frame & !(STACK_ALIGN - 1)).wrapping_sub(8))
}

/// Bytes that a frame takes at most, wherever the stack pointer is (`get_sigframe_size`).
pub(super) fn stack_bytes(cpu: &CpuModel) -> u64 {
    let all = FRAME_BYTES + STACK_ALIGN - 1 + xstate::frame_bytes(cpu) + STATE_ALIGN - 1;
    all.next_multiple_of(STACK_ALIGN)
}

fn save(frame: &CpuFrame, trap: &Trap, oldmask: u64, fpstate: u64) -> SignalContext {
    SignalContext {
        regs: REGISTERS.map(|slot| frame.get(slot)),
        rip: frame.pc,
        eflags: eflags(frame),
        cs: frame.get(slot::CS) as u16,
        gs: 0,
        fs: 0,
        ss: frame.get(slot::SS) as u16,
        error: trap.error,
        trap: trap.number,
        oldmask,
        cr2: trap.address.0,
        fpstate,
        reserved: [0; 8],
    }
}

/// Writes a frame and sets the registers up for the handler.
pub(super) fn enter(
    cpu: &CpuModel,
    frame: &mut CpuFrame,
    place: GuestVirt,
    entry: &SignalEntry,
) -> Result<(), Errno> {
    // There is no code of the kernel's own to return through.
    let restorer = entry.trampoline.ok_or(Errno::EFAULT)?.0;
    let fpstate = state_place(cpu, entry.stack);
    let more = if cpu.xcr0() == 0 { 0 } else { UC_FP_XSTATE };
    let context = UserContext {
        flags: more | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
        link: 0,
        stack: entry.altstack,
        context: save(frame, &entry.trap, entry.blocked.0, fpstate),
        sigmask: entry.blocked.0,
    };
    xstate::save(cpu, frame, GuestVirt(fpstate))?;
    UserPtr::new(place).write(restorer)?;
    let context_place = place.wrapping_add(size_of::<u64>() as u64);
    UserPtr::new(context_place).write(context)?;
    let info_place = place.wrapping_add(BARE_BYTES as u64);
    if entry.wants_info {
        UserPtr::new(info_place).write(entry.info.0)?;
    }
    xstate::clear(frame);
    set_eflags_masked(frame, 0, flags::DF | flags::RF | flags::TF);
    frame.set(RAX, 0);
    frame.set(RDI, entry.info.signal() as u64);
    frame.set(RSI, info_place.0);
    frame.set(RDX, context_place.0);
    frame.set(RSP, place.0);
    frame.set(slot::CS, USER_CS);
    frame.set(slot::SS, slot::USER_SS);
    frame.pc = entry.handler.0;
    Ok(())
}

/// Restores the registers from the frame of a handler that has returned, and thereby taken its return address.
pub(super) fn leave(cpu: &CpuModel, frame: &mut CpuFrame) -> Result<SignalReturn, Errno> {
    /// A program's own privilege.
    const RPL: u16 = 3;
    let saved = UserPtr::<UserContext>::new(GuestVirt(frame.get(RSP))).read()?;
    let context = &saved.context;
    if u64::from(context.cs | RPL) != USER_CS {
        return Err(Errno::EINVAL);
    }
    xstate::load(cpu, frame, GuestVirt(context.fpstate))?;
    REGISTERS.iter().zip(context.regs).for_each(|(&slot, value)| frame.set(slot, value));
    set_eflags_masked(frame, context.eflags, flags::SIGRETURN);
    frame.set(slot::SS, u64::from(context.ss | RPL));
    frame.pc = context.rip;
    Ok(SignalReturn { blocked: SigSet(saved.sigmask), altstack: saved.stack })
}

#[cfg(test)]
mod tests;
