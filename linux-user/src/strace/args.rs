//! How each kind of argument is printed.

use syscalls::Errno;

use super::flags;
use crate::syscalls::{ArgKind, Args, SyscallResult};
use crate::user::{UserPtr, UserSlice};

/// Bytes of a string or buffer that are printed at most.
const STRING_LIMIT: u64 = 32;
/// Strings of an array that are printed at most.
const ARRAY_LIMIT: usize = 32;

/// Whether an argument can be printed only after the call, which writes it.
pub(super) fn is_late(kind: ArgKind) -> bool {
    matches!(kind, ArgKind::OutBuf | ArgKind::OutFds)
}

/// Argument `n`, which is of this kind. `result` is known when the call has returned.
pub(super) fn format(
    kind: ArgKind,
    args: &Args,
    n: usize,
    result: Option<SyscallResult>,
) -> String {
    let value = args.long(n);
    match kind {
        ArgKind::Int | ArgKind::Fd => format!("{}", args.int(n)),
        ArgKind::Long => format!("{}", value as i64),
        ArgKind::Size => format!("{value}"),
        ArgKind::Hex => format!("{value:#x}"),
        ArgKind::Addr | ArgKind::Mapped | ArgKind::Ptr => pointer(value),
        ArgKind::DirFd if args.int(n) == libc::AT_FDCWD => "AT_FDCWD".to_owned(),
        ArgKind::DirFd => format!("{}", args.int(n)),
        ArgKind::Path | ArgKind::Str => string(args.ptr(n)),
        ArgKind::StrArray => string_array(args.ptr(n)),
        ArgKind::InBuf => buffer(args, n, args.0.get(n + 1).copied().unwrap_or(0)),
        ArgKind::OutBuf => match result {
            Some(Ok(len)) => buffer(args, n, len),
            _ => pointer(value),
        },
        ArgKind::OutFds => match (result, args.ptr::<[i32; 2]>(n).read()) {
            (Some(Ok(_)), Ok([a, b])) => format!("[{a}, {b}]"),
            _ => pointer(value),
        },
        ArgKind::Mode => format!("0{:o}", args.uint(n)),
        ArgKind::Timespec => timespec(args.ptr(n)),
        flags => flags::format(flags, value),
    }
}

fn pointer(value: u64) -> String {
    if value == 0 { "NULL".to_owned() } else { format!("{value:#x}") }
}

fn timespec(pointer_: UserPtr<[i64; 2]>) -> String {
    match pointer_.read() {
        Ok([seconds, nanoseconds]) => format!("{{tv_sec={seconds}, tv_nsec={nanoseconds}}}"),
        Err(_) => pointer(pointer_.addr().0),
    }
}

fn buffer(args: &Args, n: usize, len: u64) -> String {
    let shown = len.min(STRING_LIMIT);
    let bytes = UserSlice::new(args.addr(n), shown).and_then(UserSlice::read);
    match bytes {
        Ok(bytes) => quote(&bytes, len > shown),
        Err(_) => pointer(args.long(n)),
    }
}

fn string(from: UserPtr<u8>) -> String {
    match from.read_string(crate::user::PATH_MAX, Errno::E2BIG) {
        Ok(text) => quote(text.as_bytes(), false),
        Err(_) => pointer(from.addr().0),
    }
}

fn string_array(from: UserPtr<UserWord>) -> String {
    let mut parts = Vec::new();
    for n in 0..=ARRAY_LIMIT {
        match from.at(n).read() {
            Ok(0) => return format!("[{}]", parts.join(", ")),
            Ok(_) if n == ARRAY_LIMIT => parts.push("...".to_owned()),
            Ok(addr) => parts.push(string(UserPtr::new(base::GuestVirt(addr)))),
            Err(_) => return pointer(from.addr().0),
        }
    }
    format!("[{}]", parts.join(", "))
}

/// A pointer in guest memory, for every 64-bit guest.
type UserWord = u64;

fn quote(bytes: &[u8], cut: bool) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            0x20..=0x7e => text.push(char::from(byte)),
            other => text.push_str(&format!("\\{other:o}")),
        }
    }
    text.push('"');
    if cut {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: ArgKind, value: u64, expected: &str) {
        assert_eq!(format(kind, &Args([value; 6]), 0, None), expected);
    }

    #[test]
    fn numbers_pointers_and_flags() {
        check(ArgKind::Int, u64::MAX, "-1");
        check(ArgKind::DirFd, -100_i64 as u64, "AT_FDCWD");
        check(ArgKind::Ptr, 0, "NULL");
        check(ArgKind::Mode, 0o644, "0644");
        check(ArgKind::Prot, 3, "PROT_READ|PROT_WRITE");
        check(ArgKind::Prot, 0, "PROT_NONE");
        check(ArgKind::OpenFlags, 0o2000001, "O_WRONLY|O_CLOEXEC");
        check(ArgKind::OpenFlags, 0, "O_RDONLY");
        check(ArgKind::MmapFlags, 0x22, "MAP_PRIVATE|MAP_ANONYMOUS");
        check(ArgKind::Signal, 11, "SIGSEGV");
        check(ArgKind::Whence, 2, "SEEK_END");
        check(ArgKind::Whence, 99, "0x63");
        check(ArgKind::CloneFlags, 0x100 | 17, "CLONE_VM|SIGCHLD");
    }

    #[test]
    fn strings_are_quoted() {
        assert_eq!(quote(b"a\"\n\x01", true), "\"a\\\"\\n\\1\"...");
    }
}
