//! The slow path of guest memory in a whole machine: called by compiled code whose TLB probe found
//! nothing, through [`CpuFrame::memory_slow_call`].

#![expect(unsafe_code, reason = "hand-made glue; compiled code passes its frame as a pointer")]

use base::CpuFrame;

use crate::preserve::preserving_all_registers;

/// Asks [`CpuFrame::memory_slow`] for a host address and leaves it in [`CpuFrame::host_address`], and
/// where in the code that was in [`CpuFrame::slow_pc`]. Takes
/// the frame, the guest address and what the access is as System V does, but changes no register.
///
/// # Safety
/// The frame must be that of the CPU which runs on this thread, of a whole machine: only generated
/// code calls this.
#[unsafe(naked)]
pub unsafe extern "C" fn call() {
    preserving_all_registers!(find)
}

/// # Safety
/// `frame` is the frame of the calling CPU.
unsafe extern "C" fn find(
    frame: *mut CpuFrame,
    addr: u64,
    what: u64,
    _: u64,
    _: u64,
    return_address: u64,
) {
    // SAFETY: by this function's contract.
    unsafe {
        let slow = (*frame).memory_slow;
        (*frame).host_address = slow.map_or(0, |slow| slow(frame, addr, what));
        // Of the call itself, which belongs to the guest's instruction.
        (*frame).slow_pc = return_address - 1;
    }
}
