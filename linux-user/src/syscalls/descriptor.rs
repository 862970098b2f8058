//! File descriptors themselves: duplicates, flags, locks, and their end.

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, block};
use crate::host::{self, args};
use crate::task::Task;

rows! {
    close(Fd) => pass;
    close_range(Int, Int, Hex) => close_range;
    dup(Fd) => pass;
    dup3(Fd, Fd, OpenFlags) => dup3;
    fcntl(Fd, FcntlCmd, Hex) => fcntl;
    flock(Fd, Int) => pass_blocking;
    pipe2(OutFds, OpenFlags) => pipe2;
}

/// close_range(2), around Ferry's descriptors.
fn close_range(task: &mut Task, args: &Args) -> SyscallResult {
    let (first, last, flags) = (args.uint(0), args.uint(1), args.uint(2));
    let own = task.process.fds.list();
    // An impossible range or flag is for the kernel to refuse.
    if first > last || own.is_empty() {
        return Ok(host::call(Sysno::close_range, args![first, last, flags])?);
    }
    for (from, to) in gaps(first, last, &own) {
        host::call(Sysno::close_range, args![from, to, flags])?;
    }
    Ok(0)
}

/// The parts of a range between these numbers, which ascend.
fn gaps(first: u32, last: u32, without: &[i32]) -> Vec<(u32, u32)> {
    let mut gaps = Vec::new();
    let mut from = first;
    for &own in without {
        let own = own as u32;
        if own < from {
            continue;
        }
        if own > last {
            break;
        }
        if own > from {
            gaps.push((from, own - 1));
        }
        from = own + 1;
    }
    if from <= last {
        gaps.push((from, last));
    }
    gaps
}

/// dup3(2)
pub(super) fn dup3(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = task.process.abi.open_flags_to_host(args.int(2));
    Ok(host::call(Sysno::dup3, args![args.int(0), args.int(1), flags])?)
}

/// pipe2(2)
pub(super) fn pipe2(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = task.process.abi.open_flags_to_host(args.int(1));
    Ok(host::call(Sysno::pipe2, args![args.addr(0), flags])?)
}

/// What the third argument of an fcntl(2) command is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FcntlArg {
    /// A number, or nothing.
    Number,
    /// `O_…` flags that are set.
    SetFlags,
    /// None; the result is `O_…` flags.
    GetFlags,
    /// A pointer to a structure with no pointers in it, equal on all 64-bit architectures.
    Structure,
    /// As that, and the command may wait.
    Waits,
    /// A descriptor.
    Descriptor,
}

/// Commands by number, which all architectures share.
const COMMANDS: &[(u32, FcntlArg)] = &[
    (0, FcntlArg::Number),        // F_DUPFD
    (1, FcntlArg::Number),        // F_GETFD
    (2, FcntlArg::Number),        // F_SETFD
    (3, FcntlArg::GetFlags),      // F_GETFL
    (4, FcntlArg::SetFlags),      // F_SETFL
    (5, FcntlArg::Structure),     // F_GETLK: struct flock
    (6, FcntlArg::Structure),     // F_SETLK
    (7, FcntlArg::Waits),         // F_SETLKW
    (8, FcntlArg::Number),        // F_SETOWN
    (9, FcntlArg::Number),        // F_GETOWN
    (10, FcntlArg::Number),       // F_SETSIG
    (11, FcntlArg::Number),       // F_GETSIG
    (15, FcntlArg::Structure),    // F_SETOWN_EX: struct f_owner_ex
    (16, FcntlArg::Structure),    // F_GETOWN_EX
    (17, FcntlArg::Structure),    // F_GETOWNER_UIDS: two numbers
    (36, FcntlArg::Structure),    // F_OFD_GETLK: struct flock
    (37, FcntlArg::Structure),    // F_OFD_SETLK
    (38, FcntlArg::Waits),        // F_OFD_SETLKW
    (1024, FcntlArg::Number),     // F_SETLEASE
    (1025, FcntlArg::Number),     // F_GETLEASE
    (1026, FcntlArg::Number),     // F_NOTIFY
    (1027, FcntlArg::Descriptor), // F_DUPFD_QUERY
    (1028, FcntlArg::Number),     // F_CREATED_QUERY
    (1030, FcntlArg::Number),     // F_DUPFD_CLOEXEC
    (1031, FcntlArg::Number),     // F_SETPIPE_SZ
    (1032, FcntlArg::Number),     // F_GETPIPE_SZ
    (1033, FcntlArg::Number),     // F_ADD_SEALS
    (1034, FcntlArg::Number),     // F_GET_SEALS
    (1035, FcntlArg::Structure),  // F_GET_RW_HINT: a number
    (1036, FcntlArg::Structure),  // F_SET_RW_HINT
    (1037, FcntlArg::Structure),  // F_GET_FILE_RW_HINT
    (1038, FcntlArg::Structure),  // F_SET_FILE_RW_HINT
];

/// fcntl(2)
fn fcntl(task: &mut Task, args: &Args) -> SyscallResult {
    let (fd, command, value) = (args.int(0), args.uint(1), args.long(2));
    let found = COMMANDS.iter().find(|(number, _)| *number == command);
    let &(_, kind) = found.ok_or(Errno::EINVAL)?;
    let abi = task.process.abi;
    let call = |value: u64| host::call(Sysno::fcntl, args![fd, command, value]);
    match kind {
        FcntlArg::Number => Ok(call(value)?),
        FcntlArg::GetFlags => Ok(abi.open_flags_from_host(call(value)? as i32) as u64),
        FcntlArg::SetFlags => Ok(call(abi.open_flags_to_host(args.int(2)) as u64)?),
        FcntlArg::Descriptor if task.process.fds.is_own(args.int(2)) => Err(Errno::EBADF.into()),
        FcntlArg::Descriptor => Ok(call(value)?),
        FcntlArg::Structure => Ok(call(structure(args)?)?),
        FcntlArg::Waits => block(task, Sysno::fcntl, args![fd, command, structure(args)?]),
    }
}

/// The third argument as a pointer that the kernel may follow.
fn structure(args: &Args) -> Result<u64, Errno> {
    /// More than `struct flock` has.
    const BYTES: u64 = 64;
    let addr = crate::window::followed(args.addr(2))?;
    crate::memory::prepare_write(crate::user::UserSlice { addr, len: BYTES });
    Ok(addr.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: u32, last: u32, own: &[i32], expected: &[(u32, u32)]) {
        assert_eq!(gaps(first, last, own), expected, "{first}..={last} without {own:?}");
    }

    #[test]
    fn ranges_leave_ferrys_descriptors_out() {
        check(3, u32::MAX, &[1000, 1001], &[(3, 999), (1002, u32::MAX)]);
        check(3, 10, &[1000], &[(3, 10)]);
        check(1000, 1000, &[1000], &[]);
        check(1000, 1002, &[1, 1000], &[(1001, 1002)]);
        check(3, 1000, &[1000], &[(3, 999)]);
    }

    #[test]
    fn commands_ascend() {
        assert!(COMMANDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
