//! The alignment of the stack pointer, which the CPU checks where it is the base of an access (SCTLR_EL1.SA0). Most
//! programs never have it misaligned; so translations check what is written to it, until that is found for
//! the first time.

use arch::aarch64::{key, slot};
use base::{CpuFrame, GuestVirt};
use runtime::Exit;

use crate::signal::{Access, Cause, MemoryFault};
use crate::user::UserPtr;

/// Prepares a CPU to execute the instruction that was left as misaligned again, which may only have been about to
/// write the stack pointer.
pub(super) fn retry(frame: &mut CpuFrame, fault: &Exit) -> bool {
    let is_access = matches!(fault, Exit::Misaligned(addr) if addr.0 != frame.pc);
    is_access && key::check_stack(frame)
}

/// Whether it is the fault of a stack pointer (`el0_sp` in `arch/arm64/kernel/entry-common.c`): one of an access of the
/// instruction at pc that has it as its base.
pub(super) fn is_misaligned(frame: &CpuFrame, fault: &MemoryFault) -> bool {
    let sp = frame.get(slot::SP);
    let is_here = fault.cause == Cause::Misaligned && fault.access != Access::Fetch;
    if !is_here || fault.addr.0 != sp || sp.is_multiple_of(16) {
        return false;
    }
    UserPtr::<u32>::new(GuestVirt(frame.pc)).read().is_ok_and(|word| word >> 5 & 31 == 31)
}
