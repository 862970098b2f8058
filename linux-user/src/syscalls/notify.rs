//! Being told of changes to files.

use syscalls::Sysno;

use super::fs::place_of_path;
use super::row::rows;
use super::{Args, SyscallResult};
use crate::fs::{Last, Links};
use crate::host::{self, args};
use crate::task::Task;

rows! {
    inotify_init1(OpenFlags) => inotify_init1;
    inotify_add_watch(Fd, Path, Hex) => inotify_add_watch;
    inotify_rm_watch(Fd, Int) => pass;
    fanotify_init(Hex, Hex) => enosys, "its events hold descriptors of files outside the guest's root";
    fanotify_mark(Fd, Hex, Hex, DirFd, Path) => enosys, "its events hold descriptors of files outside the guest's root";
}

/// inotify_init1(2)
pub(super) fn inotify_init1(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = task.process.abi.open_flags_to_host(args.int(0));
    Ok(host::call(Sysno::inotify_init1, args![flags])?)
}

/// inotify_add_watch(2)
fn inotify_add_watch(task: &mut Task, args: &Args) -> SyscallResult {
    let mask = args.uint(2);
    let nofollow = mask & libc::IN_DONT_FOLLOW != 0;
    let last = if nofollow { Last::NoFollow } else { Last::Follow };
    let place = place_of_path(task, args, 1, last)?;
    let resolved = if place.links == Links::Resolved { libc::IN_DONT_FOLLOW } else { 0 };
    let path = place.unfollowed_path();
    let pass = args![args.int(0), path.as_c_str(), mask | resolved];
    Ok(host::call(Sysno::inotify_add_watch, pass)?)
}
