//! What of memory a Linux system call writes, and which of them change what is mapped.
//!
//! A range may be larger than what is written, if what lies there is the same before the call in both executions.

use std::ops::Range;

use runtime::debug::gdb::Signal;
use trace::{Architecture, RegClass, Register};

use crate::debug::from_gdb;

/// How programs of an architecture call the kernel (syscall(2)).
#[derive(Clone, Copy, Debug)]
pub struct Convention {
    /// The call's number.
    pub number: Register,
    /// The arguments.
    pub arguments: [Register; 6],
    /// The result.
    pub result: Register,
    name: fn(u64) -> Option<&'static str>,
}

/// A system call that has come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// Its arguments.
    pub args: [u64; 6],
    /// What it returned: a negated error number in case of failure.
    pub result: u64,
}

/// Reads memory of the program; whether it is there.
pub type Read<'a> = dyn FnMut(u64, &mut [u8]) -> bool + 'a;

const fn int(number: u16) -> Register {
    Register::new(RegClass::Int, number)
}

/// The convention of an architecture.
#[must_use]
pub fn convention(architecture: Architecture) -> Option<Convention> {
    match architecture {
        Architecture::Riscv64 => Some(Convention {
            number: int(17),
            arguments: [10, 11, 12, 13, 14, 15].map(int),
            result: int(10),
            name: |number| Some(syscalls::riscv64::Sysno::new(number as usize)?.name()),
        }),
        Architecture::Aarch64 => Some(Convention {
            number: int(8),
            arguments: [0, 1, 2, 3, 4, 5].map(int),
            result: int(0),
            name: |number| Some(syscalls::aarch64::Sysno::new(number as usize)?.name()),
        }),
        Architecture::X86_64 => Some(Convention {
            number: int(0),
            arguments: [7, 6, 2, 10, 8, 9].map(int),
            result: int(0),
            name: |number| Some(syscalls::x86_64::Sysno::new(number as usize)?.name()),
        }),
    }
}

impl Convention {
    /// The call that registers ask for.
    pub fn call(&self, register: impl Fn(Register) -> u64) -> Call {
        let args = self.arguments.map(&register);
        Call { number: register(self.number), args, result: register(self.result) }
    }
}

/// The call's name.
#[must_use]
pub fn name(architecture: Architecture, number: u64) -> Option<&'static str> {
    (convention(architecture)?.name)(number)
}

/// The signal of gdb's number (`include/gdb/signals.def`), by Linux's.
#[must_use]
pub fn signal_of_gdb(number: u8) -> Option<u8> {
    from_gdb(Signal(number)).and_then(|number| u8::try_from(number).ok())
}

/// What of memory the kernel wrote to enter a signal's handler: from the stack pointer up to where the stack was in use before. A
/// handler's frame says where the alternate stack is (`ucontext_t`'s `uc_stack`).
pub fn signal_frame(
    architecture: Architecture,
    (before, now): (u64, u64),
    read: &mut Read<'_>,
) -> Range<u64> {
    /// No frame is larger: the largest state of vector and matrix registers has some 11 KiB (AMX), or 83 KiB (SVE, SME).
    const LONGEST: u64 = 1 << 17;
    let stack = now.wrapping_add(context(architecture)).wrapping_add(16);
    let (base, len) = (long(stack, read), long(stack.wrapping_add(16), read));
    let is_on = |at: u64| at.wrapping_sub(base) < len;
    let end = match (is_on(now), is_on(before)) {
        (true, false) => base.saturating_add(len),
        _ => before,
    };
    now..end.clamp(now, now.saturating_add(LONGEST))
}

/// Where `ucontext_t` lies in a frame: behind `siginfo_t`, or the address to which the handler returns.
const fn context(architecture: Architecture) -> u64 {
    match architecture {
        Architecture::Riscv64 | Architecture::Aarch64 => 128,
        Architecture::X86_64 => 8,
    }
}

/// Where rt_sigreturn(2) goes on, if it is called with this stack pointer.
pub fn signal_return(architecture: Architecture, sp: u64, read: &mut Read<'_>) -> u64 {
    // Flags, link, stack, and the signal mask, which x86-64 has behind the registers.
    let pc = match architecture {
        Architecture::Riscv64 => context(architecture) + 176,
        // fault_address, x0 to x30, sp
        Architecture::Aarch64 => context(architecture) + 176 + 8 * 33,
        // The address to return to has been popped. r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp
        Architecture::X86_64 => 40 + 8 * 16,
    };
    long(sp.wrapping_add(pc), read)
}

/// The stack pointer.
#[must_use]
pub const fn stack_pointer(architecture: Architecture) -> Register {
    match architecture {
        Architecture::Riscv64 => int(2),
        Architecture::Aarch64 => int(31),
        Architecture::X86_64 => int(4),
    }
}

/// Whether a call executes another program, if it succeeds.
#[must_use]
pub fn executes(name: &str) -> bool {
    matches!(name, "execve" | "execveat")
}

/// Whether a call changes what is mapped, or where a mapped file ends.
#[must_use]
pub fn maps(name: &str) -> bool {
    matches!(
        name,
        "mmap"
            | "munmap"
            | "mremap"
            | "mprotect"
            | "pkey_mprotect"
            | "brk"
            | "shmat"
            | "shmdt"
            | "remap_file_pages"
            | "io_setup"
            | "io_destroy"
            | "truncate"
            | "ftruncate"
            | "fallocate"
    )
}

/// The ranges of memory that a call has written.
pub fn written(architecture: Architecture, call: &Call, read: &mut Read<'_>) -> Vec<Range<u64>> {
    let Some(name) = name(architecture, call.number) else { return Vec::new() };
    let failed = call.result > u64::MAX - 4096;
    if failed && !matches!(name, "nanosleep" | "clock_nanosleep") {
        return Vec::new();
    }
    let ranges = match vectors(name, call, read) {
        Some(ranges) => ranges,
        None => plain(architecture, name, call, read),
    };
    let is_some = |range: &Range<u64>| range.start != 0 && range.start < range.end;
    ranges.into_iter().filter(is_some).collect()
}

/// From an address so many bytes on, within reason.
fn from(addr: u64, len: u64) -> Range<u64> {
    addr..addr.saturating_add(len.min(1 << 30))
}

fn word(addr: u64, read: &mut Read<'_>) -> u64 {
    let mut bytes = [0; 4];
    if addr != 0 && read(addr, &mut bytes) { u32::from_le_bytes(bytes).into() } else { 0 }
}

fn long(addr: u64, read: &mut Read<'_>) -> u64 {
    let mut bytes = [0; 8];
    if addr != 0 && read(addr, &mut bytes) { u64::from_le_bytes(bytes) } else { 0 }
}

/// Calls that write to what structures in memory name.
fn vectors(name: &str, call: &Call, read: &mut Read<'_>) -> Option<Vec<Range<u64>>> {
    let [_, a1, a2, ..] = call.args;
    let (vector, count, header) = match name {
        "readv" | "preadv" | "preadv2" => (a1, a2, None),
        // msghdr: name, its length, iovec, their count, control data, its length, flags
        "recvmsg" => (long(a1.wrapping_add(16), read), long(a1.wrapping_add(24), read), Some(a1)),
        _ => return None,
    };
    let mut left = call.result;
    let mut ranges = Vec::new();
    for n in 0..count.min(1024) {
        let at = vector.wrapping_add(16 * n);
        let (base, len) = (long(at, read), long(at.wrapping_add(8), read));
        ranges.push(from(base, len.min(left)));
        left -= len.min(left);
    }
    if let Some(header) = header {
        ranges.push(from(header, 56));
        ranges.push(from(long(header, read), word(header.wrapping_add(8), read)));
        ranges.push(from(long(header.wrapping_add(32), read), long(header.wrapping_add(40), read)));
    }
    Some(ranges)
}

/// A call's arguments that it writes to, with the size of what is there (of the generic ABI of 64 bits).
fn plain(
    architecture: Architecture,
    name: &str,
    call: &Call,
    read: &mut Read<'_>,
) -> Vec<Range<u64>> {
    let (r, [a0, a1, a2, a3, a4, a5]) = (call.result, call.args);
    let sigaction = if architecture == Architecture::Riscv64 { 24 } else { 32 };
    match name {
        "read" | "pread64" | "getdents64" | "getxattr" | "sched_getaffinity" => {
            let at = if matches!(name, "getxattr" | "sched_getaffinity") { a2 } else { a1 };
            vec![from(at, r)]
        }
        "recvfrom" => vec![from(a1, r), from(a4, word(a5, read)), from(a5, 4)],
        "getrandom" | "getcwd" => vec![from(a0, r)],
        "readlink" => vec![from(a1, r)],
        "readlinkat" | "lgetxattr" | "fgetxattr" => vec![from(a2, r)],
        "listxattr" | "llistxattr" | "flistxattr" => vec![from(a1, r)],
        "stat" | "fstat" | "lstat" => vec![from(a1, 144)],
        "newfstatat" | "fstatat" => vec![from(a2, 144)],
        "statx" => vec![from(a4, 256)],
        "statfs" | "fstatfs" => vec![from(a1, 120)],
        "uname" => vec![from(a0, 390)],
        "clock_gettime" | "clock_getres" | "getrlimit" | "nanosleep" | "sched_rr_get_interval" => {
            vec![from(a1, 16)]
        }
        "clock_nanosleep" | "prlimit64" => vec![from(a3, 16)],
        "gettimeofday" => vec![from(a0, 16), from(a1, 8)],
        "time" => vec![from(a0, 8)],
        "times" => vec![from(a0, 32)],
        "getrusage" => vec![from(a1, 144)],
        "sysinfo" => vec![from(a0, 112)],
        "rt_sigaction" => vec![from(a2, sigaction)],
        "rt_sigprocmask" => vec![from(a2, a3.min(128))],
        "rt_sigpending" => vec![from(a0, a1.min(128))],
        "rt_sigtimedwait" | "waitid" => vec![from(if name == "waitid" { a2 } else { a1 }, 128)],
        "sigaltstack" => vec![from(a1, 24)],
        "pipe" | "pipe2" => vec![from(a0, 8)],
        "socketpair" => vec![from(a3, 8)],
        "ioctl" => vec![from(a2, ioctl(a1))],
        "wait4" => vec![from(a1, 4), from(a3, 144)],
        "accept" | "accept4" | "getsockname" | "getpeername" => {
            vec![from(a1, word(a2, read)), from(a2, 4)]
        }
        "getsockopt" => vec![from(a3, word(a4, read)), from(a4, 4)],
        "poll" | "ppoll" => {
            vec![from(a0, a1.min(4096) * 8), from(if name == "ppoll" { a2 } else { 0 }, 16)]
        }
        "select" | "pselect6" => {
            let len = a0.min(1 << 16).div_ceil(64) * 8;
            vec![from(a1, len), from(a2, len), from(a3, len), from(a4, 16)]
        }
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => vec![from(a1, r.saturating_mul(16))],
        "getcpu" => vec![from(a0, 4), from(a1, 4)],
        "capget" => vec![from(a0, 8), from(a1, 24)],
        "getresuid" | "getresgid" => [a0, a1, a2].map(|at| from(at, 4)).to_vec(),
        "getgroups" => vec![from(a1, if a0 == 0 { 0 } else { r.saturating_mul(4) })],
        "prctl" if matches!(a0, 2 | 16 | 25 | 37) => vec![from(a1, 16)],
        "riscv_hwprobe" => vec![from(a0, a1.min(4096) * 16)],
        "arch_prctl" if matches!(a0, 0x1003 | 0x1004) => vec![from(a1, 8)],
        "getitimer" | "timer_gettime" => vec![from(a1, 32)],
        "setitimer" => vec![from(a2, 32)],
        "timer_settime" | "timerfd_settime" => vec![from(a3, 32)],
        "timerfd_gettime" => vec![from(a1, 32)],
        "timer_create" => vec![from(a2, 4)],
        "sendfile" => vec![from(a2, 8)],
        "splice" | "copy_file_range" => vec![from(a1, 8), from(a3, 8)],
        "sched_getparam" => vec![from(a1, 4)],
        "sched_getattr" => vec![from(a1, a2.min(4096))],
        "mincore" => vec![from(a2, a1.div_ceil(4096))],
        "clone" => vec![from(a2, 4), from(a4, 4)],
        "fcntl" if matches!(a1, 5 | 36 | 16) => vec![from(a2, 32)],
        "io_setup" => vec![from(a1, 8)],
        "io_getevents" | "io_pgetevents" => vec![from(a3, r.saturating_mul(32))],
        // KEYCTL_DESCRIBE, KEYCTL_READ, KEYCTL_GET_SECURITY and KEYCTL_DH_COMPUTE return how much there is.
        "keyctl" if matches!(a0, 6 | 11 | 17 | 23) => vec![from(a2, r.min(a3))],
        // KEYCTL_CAPABILITIES
        "keyctl" if a0 == 31 => vec![from(a1, r.min(a2))],
        "lsm_list_modules" => vec![from(a0, word(a1, read)), from(a1, 4)],
        "lsm_get_self_attr" => vec![from(a1, word(a2, read)), from(a2, 4)],
        // madvise(MADV_DONTNEED): zeros
        "madvise" if a2 == 4 => vec![from(a0, a1)],
        _ => Vec::new(),
    }
}

/// Bytes that an ioctl(2) may write: its number says so, but for the oldest ones of terminals and sockets.
fn ioctl(request: u64) -> u64 {
    match request {
        // TCGETS, TIOCGLCKTRMIOS, TIOCGWINSZ, FIONREAD, TIOCGPGRP
        0x5401 | 0x5456 => 36,
        0x5413 => 8,
        0x541b | 0x540f => 4,
        _ if request >> 31 & 1 != 0 => request >> 16 & 0x3fff,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: syscalls::riscv64::Sysno, args: [u64; 6], result: u64) -> Call {
        Call { number: number as u64, args, result }
    }

    fn of(call: &Call) -> Vec<Range<u64>> {
        // A vector of two: 5 bytes at 0x1000, 16 at 0x2000.
        let memory = [0x1000_u64, 5, 0x2000, 16];
        written(Architecture::Riscv64, call, &mut |addr, into| {
            let at = (addr.wrapping_sub(0x100) / 8) as usize;
            match memory.get(at) {
                Some(word) => into.copy_from_slice(&word.to_le_bytes()[..into.len()]),
                None => return false,
            }
            true
        })
    }

    #[test]
    fn what_a_call_writes_lies_where_its_arguments_point() {
        use syscalls::riscv64::Sysno;
        let read = of(&call(Sysno::read, [0, 0x500, 64, 0, 0, 0], 7));
        assert_eq!(read, std::slice::from_ref(&(0x500..0x507)));
        assert_eq!(of(&call(Sysno::read, [0, 0x500, 64, 0, 0, 0], -9_i64 as u64)), []);
        assert_eq!(
            of(&call(Sysno::readv, [0, 0x100, 2, 0, 0, 0], 8)),
            [0x1000..0x1005, 0x2000..0x2003]
        );
        assert_eq!(of(&call(Sysno::rt_sigaction, [2, 0x500, 0, 8, 0, 0], 0)), [], "no old action");
        let key = |room| of(&call(Sysno::keyctl, [11, 9, 0x500, room, 0, 0], 7));
        assert_eq!(key(64), std::slice::from_ref(&(0x500..0x507)));
        assert_eq!(key(3), std::slice::from_ref(&(0x500..0x503)));
        let events = of(&call(Sysno::io_getevents, [0x100, 1, 9, 0x500, 0, 0], 2));
        assert_eq!(events, std::slice::from_ref(&(0x500..0x540)));
        assert_eq!(of(&call(Sysno::write, [1, 0x500, 64, 0, 0, 0], 64)), []);
    }

    #[test]
    fn hostile_arguments_have_no_end() {
        for number in 0..500 {
            let wild = Call { number, args: [u64::MAX; 6], result: 1 << 62 };
            let wild = |architecture| {
                written(architecture, &wild, &mut |_, into| {
                    into.fill(0xff);
                    true
                })
            };
            Architecture::ALL.into_iter().for_each(|architecture| drop(wild(architecture)));
        }
    }
}
