//! Host system calls that may block, without losing a signal that arrives just before.
//!
//! The stub looks at the task's pending flag and then enters the kernel. A host signal handler that
//! finds the interrupted pc between the look and the entry (or at the `syscall` instruction itself,
//! to which the kernel returns when it would restart the call) moves it to the abandon exit with
//! [`rewind`], so that the call returns [`Blocked::Abandoned`] without having happened. A call that
//! has finished is never abandoned: its pc is past the instruction.

#![expect(unsafe_code, reason = "an assembly stub whose instruction addresses matter")]

use std::arch::global_asm;
use std::sync::atomic::AtomicU32;

use syscalls::{Errno, Sysno};

use crate::host::{Arg, widen};

/// How a call that may block ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blocked {
    /// The kernel answered.
    Finished(Result<u64, Errno>),
    /// A signal came first; the call had no effect and may be made again.
    Abandoned,
}

/// What the stub returns when it was abandoned; the kernel never returns it to user space.
const ABANDONED: i64 = -512;

// rdi: pending flag, rsi: number, rdx rcx r8 r9 and two on the stack: arguments.
global_asm!(
    ".pushsection .text.ferry_safe_syscall,\"ax\",@progbits",
    ".globl ferry_safe_syscall",
    ".hidden ferry_safe_syscall",
    ".type ferry_safe_syscall,@function",
    "ferry_safe_syscall:",
    "mov rax, rsi",
    "mov r11, rdi",
    "mov rdi, rdx",
    "mov rsi, rcx",
    "mov rdx, r8",
    "mov r10, r9",
    "mov r8, [rsp + 8]",
    "mov r9, [rsp + 16]",
    ".globl ferry_safe_syscall_start",
    ".hidden ferry_safe_syscall_start",
    "ferry_safe_syscall_start:",
    "cmp dword ptr [r11], 0",
    "jne ferry_safe_syscall_abandon",
    "syscall",
    ".globl ferry_safe_syscall_end",
    ".hidden ferry_safe_syscall_end",
    "ferry_safe_syscall_end:",
    "ret",
    ".globl ferry_safe_syscall_abandon",
    ".hidden ferry_safe_syscall_abandon",
    "ferry_safe_syscall_abandon:",
    "mov rax, {abandoned}",
    "ret",
    ".size ferry_safe_syscall, . - ferry_safe_syscall",
    ".popsection",
    abandoned = const ABANDONED,
);

unsafe extern "C" {
    fn ferry_safe_syscall(
        pending: *const AtomicU32,
        number: u64,
        a: u64,
        b: u64,
        c: u64,
        d: u64,
        e: u64,
        f: u64,
    ) -> i64;
    static ferry_safe_syscall_start: u8;
    static ferry_safe_syscall_end: u8;
    static ferry_safe_syscall_abandon: u8;
}

/// Makes a host system call that may block, unless `pending` is nonzero. A signal handler of this
/// thread must set `pending` and call [`rewind`].
pub(crate) fn call<const N: usize>(pending: &AtomicU32, number: Sysno, args: [Arg; N]) -> Blocked {
    call_raw(pending, number as u64, widen(args))
}

/// As [`call`], with the number and all six arguments as the kernel gets them.
pub(crate) fn call_raw(pending: &AtomicU32, number: u64, args: [u64; 6]) -> Blocked {
    let [a, b, c, d, e, f] = args;
    // SAFETY: as `host::call_raw`; the flag is borrowed for the call.
    let result = unsafe { ferry_safe_syscall(pending, number, a, b, c, d, e, f) };
    match result {
        ABANDONED => Blocked::Abandoned,
        value => Blocked::Finished(Errno::from_ret(value as usize).map(|value| value as u64)),
    }
}

/// Where a thread interrupted at `pc` must go on: at the abandon exit if its blocking call has not
/// entered the kernel or would be restarted, else where it was. Async-signal-safe.
#[must_use]
pub(crate) fn rewind(pc: u64) -> u64 {
    let start = (&raw const ferry_safe_syscall_start) as u64;
    let end = (&raw const ferry_safe_syscall_end) as u64;
    if (start..end).contains(&pc) { (&raw const ferry_safe_syscall_abandon) as u64 } else { pc }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::args;

    #[test]
    fn a_pending_signal_abandons_the_call() {
        let pending = AtomicU32::new(1);
        assert_eq!(call(&pending, Sysno::getpid, []), Blocked::Abandoned);
    }

    #[test]
    fn otherwise_the_kernel_answers_with_all_six_arguments() {
        let pending = AtomicU32::new(0);
        let pid = u64::from(std::process::id());
        assert_eq!(call(&pending, Sysno::getpid, []), Blocked::Finished(Ok(pid)));
        let mapped =
            call(&pending, Sysno::mmap, args![0_u64, 4096_u64, 0_i32, 0x22_i32, -1, 1_u64]);
        assert_eq!(mapped, Blocked::Finished(Err(Errno::EINVAL)), "an offset of 1 is the sixth");
    }

    #[test]
    fn only_the_window_before_the_kernel_is_rewound() {
        let start = (&raw const ferry_safe_syscall_start) as u64;
        let end = (&raw const ferry_safe_syscall_end) as u64;
        let abandon = (&raw const ferry_safe_syscall_abandon) as u64;
        assert_eq!(rewind(start), abandon);
        assert_eq!(rewind(end - 2), abandon, "the syscall instruction itself");
        assert_eq!((rewind(end), rewind(start - 1)), (end, start - 1));
    }
}
