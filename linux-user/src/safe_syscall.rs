//! Host system calls that may block, without losing a signal that arrives just before.
//!
//! The stub looks at the task's pending flag and then enters the kernel. A host signal handler that
//! finds the interrupted pc between the look and the entry (or at the `syscall` instruction itself,
//! to which the kernel returns when it would restart the call) moves it to an exit with [`rewind`],
//! so that the call returns without having happened: as [`Blocked::Unbegun`] if it had not entered
//! the kernel, else as [`Blocked::Interrupted`]. A call that has finished is neither: its pc is past
//! the instruction.

#![expect(unsafe_code, reason = "an assembly stub whose instruction addresses matter")]

use std::arch::{asm, global_asm};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use syscalls::{Errno, Sysno};

use crate::host::{Arg, widen};

/// How a call that may block ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blocked {
    /// The kernel answered.
    Finished(Result<u64, Errno>),
    /// A signal came before the call, which is to be made after the signal's handler.
    Unbegun,
    /// A signal came while the call waited; it had no effect, and the kernel would make it again.
    Interrupted,
}

/// What the stub returns when a signal came; the kernel never returns these to user space.
const UNBEGUN: i64 = -512;
const INTERRUPTED: i64 = -513;

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
    // Most processors leave the address after the instruction here: see `learn`.
    "xor ecx, ecx",
    "mov r8, [rsp + 8]",
    "mov r9, [rsp + 16]",
    ".globl ferry_safe_syscall_start",
    ".hidden ferry_safe_syscall_start",
    "ferry_safe_syscall_start:",
    "cmp dword ptr [r11], 0",
    "jne ferry_safe_syscall_unbegun",
    "syscall",
    ".globl ferry_safe_syscall_end",
    ".hidden ferry_safe_syscall_end",
    "ferry_safe_syscall_end:",
    "ret",
    ".globl ferry_safe_syscall_unbegun",
    ".hidden ferry_safe_syscall_unbegun",
    "ferry_safe_syscall_unbegun:",
    "mov rax, {unbegun}",
    "ret",
    ".globl ferry_safe_syscall_interrupted",
    ".hidden ferry_safe_syscall_interrupted",
    "ferry_safe_syscall_interrupted:",
    "mov rax, {interrupted}",
    "ret",
    ".size ferry_safe_syscall, . - ferry_safe_syscall",
    ".popsection",
    unbegun = const UNBEGUN,
    interrupted = const INTERRUPTED,
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
    static ferry_safe_syscall_unbegun: u8;
    static ferry_safe_syscall_interrupted: u8;
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
        UNBEGUN => Blocked::Unbegun,
        INTERRUPTED => Blocked::Interrupted,
        value => Blocked::Finished(Errno::from_ret(value as usize).map(|value| value as u64)),
    }
}

/// Where a thread interrupted at `pc`, with `rcx` as it is there, must go on: at one of the exits if
/// its blocking call has not entered the kernel or would be restarted, else where it was.
/// Async-signal-safe.
#[must_use]
pub(crate) fn rewind(pc: u64, rcx: u64) -> u64 {
    let start = (&raw const ferry_safe_syscall_start) as u64;
    let end = (&raw const ferry_safe_syscall_end) as u64;
    let may_have_begun = || rcx == end || !RCX_TELLS.load(Ordering::Relaxed);
    if !(start..end).contains(&pc) {
        pc
    } else if pc == end - SYSCALL_BYTES && may_have_begun() {
        (&raw const ferry_safe_syscall_interrupted) as u64
    } else {
        (&raw const ferry_safe_syscall_unbegun) as u64
    }
}

/// Bytes of the instruction.
const SYSCALL_BYTES: u64 = 2;

/// Whether rcx tells a thread that is about to enter the kernel from one that was there.
static RCX_TELLS: AtomicBool = AtomicBool::new(false);

/// Learns whether the host's `syscall` leaves its return address in rcx, as it always did; with FRED
/// it leaves rcx alone. Without that, a signal in the moment before the instruction counts as one
/// that came while the call waited.
pub(crate) fn learn() {
    let rcx: u64;
    // SAFETY: getpid(2) has no effect; the registers that the kernel clobbers are named.
    unsafe {
        asm!(
            "xor ecx, ecx",
            "syscall",
            inlateout("rax") Sysno::getpid as u64 => _,
            lateout("rcx") rcx,
            lateout("r11") _,
            options(nostack),
        );
    }
    RCX_TELLS.store(rcx != 0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::args;

    #[test]
    fn a_pending_signal_abandons_the_call() {
        let pending = AtomicU32::new(1);
        assert_eq!(call(&pending, Sysno::getpid, []), Blocked::Unbegun);
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
        let unbegun = (&raw const ferry_safe_syscall_unbegun) as u64;
        let interrupted = (&raw const ferry_safe_syscall_interrupted) as u64;
        assert_eq!(rewind(start, 0), unbegun);
        assert_eq!(rewind(end - 2, end), interrupted, "back from the kernel");
        learn();
        let before = if RCX_TELLS.load(Ordering::Relaxed) { unbegun } else { interrupted };
        assert_eq!(rewind(end - 2, 0), before, "about to enter the kernel");
        assert_eq!((rewind(end, end), rewind(start - 1, 0)), (end, start - 1));
    }
}
