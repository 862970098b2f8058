//! Extended attributes.

use syscalls::{Errno, Sysno};

use super::fs::place_of_path;
use super::row::rows;
use super::{Args, SyscallResult};
use crate::fs::{Last, Links};
use crate::host;
use crate::task::Task;

rows! {
    setxattr(Path, Str, Ptr, Size, Hex) => setxattr;
    lsetxattr(Path, Str, Ptr, Size, Hex) => lsetxattr;
    fsetxattr(Fd, Str, Ptr, Size, Hex) => pass;
    getxattr(Path, Str, Ptr, Size) => getxattr;
    lgetxattr(Path, Str, Ptr, Size) => lgetxattr;
    fgetxattr(Fd, Str, Ptr, Size) => pass;
    listxattr(Path, Ptr, Size) => listxattr;
    llistxattr(Path, Ptr, Size) => llistxattr;
    flistxattr(Fd, Ptr, Size) => pass;
    removexattr(Path, Str) => removexattr;
    lremovexattr(Path, Str) => lremovexattr;
    fremovexattr(Fd, Str) => pass;
    setxattrat(DirFd, Path, AtFlags, Str, Ptr, Size) => enosys, "newer than most hosts";
    getxattrat(DirFd, Path, AtFlags, Str, Ptr, Size) => enosys, "newer than most hosts";
    listxattrat(DirFd, Path, AtFlags, Ptr, Size) => enosys, "newer than most hosts";
    removexattrat(DirFd, Path, AtFlags, Str) => enosys, "newer than most hosts";
}

/// setxattr(2)
fn setxattr(task: &mut Task, args: &Args) -> SyscallResult {
    follow(task, args, Sysno::setxattr, Sysno::lsetxattr)
}

/// lsetxattr(2)
fn lsetxattr(task: &mut Task, args: &Args) -> SyscallResult {
    of_link(task, args, Sysno::lsetxattr)
}

/// getxattr(2)
fn getxattr(task: &mut Task, args: &Args) -> SyscallResult {
    follow(task, args, Sysno::getxattr, Sysno::lgetxattr)
}

/// lgetxattr(2)
fn lgetxattr(task: &mut Task, args: &Args) -> SyscallResult {
    of_link(task, args, Sysno::lgetxattr)
}

/// listxattr(2)
fn listxattr(task: &mut Task, args: &Args) -> SyscallResult {
    follow(task, args, Sysno::listxattr, Sysno::llistxattr)
}

/// llistxattr(2)
fn llistxattr(task: &mut Task, args: &Args) -> SyscallResult {
    of_link(task, args, Sysno::llistxattr)
}

/// removexattr(2)
fn removexattr(task: &mut Task, args: &Args) -> SyscallResult {
    follow(task, args, Sysno::removexattr, Sysno::lremovexattr)
}

/// lremovexattr(2)
fn lremovexattr(task: &mut Task, args: &Args) -> SyscallResult {
    of_link(task, args, Sysno::lremovexattr)
}

/// A call that follows links: where none is left to follow, the one that does not is as good, and
/// cannot be led astray.
fn follow(task: &Task, args: &Args, following: Sysno, of_link: Sysno) -> SyscallResult {
    let place = place_of_path(task, args, 0, Last::Follow)?;
    let number = if place.links == Links::Resolved { of_link } else { following };
    Ok(call(args, number, &place.unfollowed_path())?)
}

fn of_link(task: &Task, args: &Args, number: Sysno) -> SyscallResult {
    let place = place_of_path(task, args, 0, Last::NoFollow)?;
    Ok(call(args, number, &place.unfollowed_path())?)
}

fn call(args: &Args, number: Sysno, path: &std::ffi::CStr) -> Result<u64, Errno> {
    let mut pass = args.0;
    pass[0] = host::Arg::from(path).raw();
    host::call_raw(number as u64, pass)
}
