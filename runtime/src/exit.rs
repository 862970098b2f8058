//! Why a CPU left translated code.

use base::GuestVirt;
use base::sys::fault::HostFault;
use softmmu::GuestFault;

use crate::debug::DebugStop;

/// What [`crate::Vcpu::run`] returns. Registers and pc are exact in every case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The guest executed its system-call instruction. pc is past it.
    Syscall,
    /// A data access faulted. pc is at the instruction.
    DataFault(HostFault),
    /// The instruction at pc could not be fetched. pc is at the instruction; the address is that
    /// of the first byte that could not be read, which may lie on the next page.
    FetchFault(FetchFault),
    /// A data access was not aligned where the instruction demands it. pc is at the instruction.
    Misaligned(GuestVirt),
    /// The instruction at pc is undefined, or not part of the chosen CPU.
    IllegalInstruction,
    /// The indirect jump that came to pc is of a kind that the instruction there does not admit. Nothing has been
    /// executed since; [`base::CpuFrame::approach`] says how it came.
    Refused,
    /// A breakpoint instruction at pc.
    Breakpoint,
    /// The instruction before pc was executed with the guest's trap flag set ([`translator::Frontend::traces`]).
    Traced,
    /// In a whole machine: the instruction at pc is one of system level, which the machine executes.
    System,
    /// In a whole machine: an access of the instruction at pc, or its fetch, faulted.
    GuestFault(GuestFault),
    /// Somebody asked for it with [`crate::Interrupter::interrupt`]. pc is at the next instruction.
    Interrupted,
    /// A debugger wants to know. pc is at the next instruction.
    Debug(DebugStop),
}

/// Why an instruction fetch failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchFault {
    /// The first byte that could not be read.
    pub addr: GuestVirt,
    /// Whether anything is mapped there.
    pub cause: FetchFaultCause,
}

/// The causes of a failed fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchFaultCause {
    /// Nothing is mapped there.
    Unmapped,
    /// Mapped, but not executable.
    NotExecutable,
    /// Mapped, but beyond the end of the file.
    BeyondFile,
    /// The instruction goes on on another page, which where it lies does not tell. Never seen
    /// outside the runtime.
    OtherPage,
}
