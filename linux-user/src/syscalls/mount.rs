//! Mounting and what goes with it.

use syscalls::Errno;

use super::row::rows;
use super::{Args, SyscallResult};
use crate::task::Task;

rows! {
    mount(Path, Path, Str, Hex, Ptr) => outside_root, "EPERM with --root";
    umount2(Path, Hex) => outside_root, "EPERM with --root";
    pivot_root(Path, Path) => outside_root, "EPERM with --root";
    open_tree(DirFd, Path, Hex) => enosys, "the new mount calls are not implemented";
    open_tree_attr(DirFd, Path, Hex, Ptr, Size) => enosys, "the new mount calls are not implemented";
    move_mount(DirFd, Path, DirFd, Path, Hex) => enosys, "the new mount calls are not implemented";
    fsopen(Str, Hex) => enosys, "the new mount calls are not implemented";
    fsconfig(Fd, Hex, Str, Ptr, Int) => enosys, "the new mount calls are not implemented";
    fsmount(Fd, Hex, Hex) => enosys, "the new mount calls are not implemented";
    fspick(DirFd, Path, Hex) => enosys, "the new mount calls are not implemented";
    mount_setattr(DirFd, Path, Hex, Ptr, Size) => enosys, "the new mount calls are not implemented";
    statmount(Ptr, Ptr, Size, Hex) => enosys, "the new mount calls are not implemented";
    listmount(Ptr, Ptr, Size, Hex) => enosys, "the new mount calls are not implemented";
    quotactl(Hex, Path, Int, Ptr) => enosys, "quota administration is left to the host";
    quotactl_fd(Fd, Hex, Int, Ptr) => enosys, "quota administration is left to the host";
}

/// Under a root of its own the guest's mounts are Ferry's, and it has no right to change them.
fn outside_root(task: &mut Task, args: &Args) -> SyscallResult {
    if task.process.fs.namespace().is_some() {
        return Err(Errno::EPERM.into());
    }
    super::pass(task, args)
}
