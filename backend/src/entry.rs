//! The way into compiled code and back, and what compiled code answers.

#![expect(unsafe_code, reason = "hand-made entry glue")]

use std::arch::naked_asm;

use base::CpuFrame;
use ir::Trap;

/// Why compiled code came back: what it returns in the low 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum ExitCode {
    /// Left by an exit that is not linked yet: `CpuFrame::region` and `exit` say which, and pc is where it leads.
    Unlinked = 0,
    /// An indirect jump to a pc that the jump cache does not have.
    Indirect = 1,
    /// Translations may have changed: look up anew.
    Lookup = 2,
    /// The interrupt word was set at a poll.
    Interrupted = 3,
    /// Something rare at pc, which the interpreter shall do.
    Interpret = 4,
    /// A system call; pc is past it.
    Syscall = 5,
    /// An undefined instruction.
    Illegal = 6,
    /// A breakpoint.
    Breakpoint = 7,
    /// A misaligned access.
    Misaligned = 8,
    /// A fault at a guest access: set by the fault handler. pc is not written.
    Fault = 9,
    /// An instruction of a privileged level.
    System = 10,
    /// The region spans pages that were not checked in this environment:
    /// [`CpuFrame::unchecked_span`].
    Unchecked = 11,
}

impl ExitCode {
    /// All codes, by number.
    const ALL: [Self; 12] = [
        Self::Unlinked,
        Self::Indirect,
        Self::Lookup,
        Self::Interrupted,
        Self::Interpret,
        Self::Syscall,
        Self::Illegal,
        Self::Breakpoint,
        Self::Misaligned,
        Self::Fault,
        Self::System,
        Self::Unchecked,
    ];

    /// What code answers at a trap.
    #[must_use]
    pub fn of_trap(trap: Trap) -> Self {
        match trap {
            Trap::Illegal => Self::Illegal,
            Trap::Breakpoint => Self::Breakpoint,
            Trap::Syscall => Self::Syscall,
            Trap::Misaligned => Self::Misaligned,
            Trap::System => Self::System,
        }
    }

    /// From what compiled code returned.
    ///
    /// # Panics
    /// Never for a value that compiled code or [`fault_exit`] produced.
    #[must_use]
    pub fn from_raw(raw: u64) -> Self {
        Self::ALL[raw as u32 as usize]
    }
}

/// Runs compiled code until it returns.
///
/// # Safety
/// `code` is the entry of a compiled region that stays alive and unchanged until this returns, and
/// `frame` is the frame of the CPU that it was compiled for, not used by anybody else meanwhile.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(frame: *mut CpuFrame, code: *const u8) -> u64 {
    // The stack pointer is kept in the frame, so that a fault in compiled code, at whatever depth
    // of its own stack, can come back here.
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdi + {host_sp}], rsp",
        "call rsi",
        "jmp {leave}",
        host_sp = const CpuFrame::HOST_SP,
        leave = sym leave,
    )
}

/// The second half of [`enter`]: the stack pointer is as after its call.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!(
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Where a fault handler sends a thread that faulted in compiled code: the new program counter,
/// stack pointer and return register of the interrupted context.
#[derive(Clone, Copy, Debug)]
pub struct FaultExit {
    /// Program counter.
    pub pc: usize,
    /// Stack pointer.
    pub sp: u64,
    /// The return register.
    pub result: u64,
}

/// How to leave compiled code of this CPU from a fault handler.
#[must_use]
pub fn fault_exit(frame: &CpuFrame) -> FaultExit {
    FaultExit { pc: leave as *const () as usize, sp: frame.host_sp, result: ExitCode::Fault as u64 }
}
