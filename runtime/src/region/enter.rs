//! Entering compiled code, and leaving it by a fault.

#![expect(unsafe_code, reason = "runs generated code and edits the context of a fault")]

use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;

use backend::{ExitCode, entry};
use base::sys::fault::{self, HostFault};
use base::{CpuFrame, HostPtr};

thread_local! {
    /// The frame whose compiled code this thread runs, and where such code lies.
    static RUNNING: Cell<(*mut CpuFrame, usize, usize)> =
        const { Cell::new((std::ptr::null_mut(), 0, 0)) };
}

/// Takes faults in compiled code from now on.
pub(crate) fn install_fault_hook() {
    fault::install();
    fault::set_hook(on_fault);
}

/// Runs compiled code.
///
/// # Safety
/// As [`entry::enter`]; `memory` is where the engine's code lies.
pub(crate) unsafe fn enter(
    frame: *mut CpuFrame,
    code: NonNull<u8>,
    memory: &Range<HostPtr>,
) -> ExitCode {
    RUNNING.set((frame, memory.start.0, memory.end.0));
    // SAFETY: by the caller's promise.
    let raw = unsafe { entry::enter(frame, code.as_ptr()) };
    RUNNING.set((std::ptr::null_mut(), 0, 0));
    ExitCode::from_raw(raw)
}

/// Lets the thread go on where it entered compiled code; what it was at stands in the frame's
/// `fault` (the host pc) and `fault_addr`.
fn on_fault(fault: &HostFault, context: &mut libc::ucontext_t) -> bool {
    let (frame, start, end) = RUNNING.get();
    let registers = &mut context.uc_mcontext.gregs;
    let pc = registers[libc::REG_RIP as usize] as usize;
    if frame.is_null() || !(start..end).contains(&pc) {
        return false;
    }
    // SAFETY: `enter` set it to the frame that its caller lent it, and has not returned.
    let frame = unsafe { &mut *frame };
    (frame.fault, frame.fault_addr) = (pc as u64, fault.addr.0);
    let out = entry::fault_exit(frame);
    registers[libc::REG_RIP as usize] = out.pc as i64;
    registers[libc::REG_RSP as usize] = out.sp as i64;
    registers[libc::REG_RAX as usize] = out.result as i64;
    true
}
