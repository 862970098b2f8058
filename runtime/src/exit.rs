//! Why a CPU left translated code.

use base::GuestVirt;
use base::sys::fault::HostFault;

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
    /// A breakpoint instruction at pc.
    Breakpoint,
    /// The instruction at pc is one of a privileged level, for the caller to execute. Only a
    /// frontend for system mode produces it.
    System,
    /// Somebody asked for it with [`crate::Interrupter::interrupt`]. pc is at the next instruction.
    Interrupted,
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
}
