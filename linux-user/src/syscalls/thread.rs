//! Threads: creation, end, and what they wait on.

use super::row::rows;
use super::{Args, SyscallResult};
use crate::host;
use crate::task::Task;

rows! {
    clone(CloneFlags, Addr, Ptr, Addr, Ptr) => enosys, "not implemented yet";
    clone3(Ptr, Size) => enosys, "not implemented yet";
    exit(Int) => exit_group, "ends the whole process while there are no threads";
    exit_group(Int) => exit_group;
    set_tid_address(Ptr) => set_tid_address;
    gettid() => pass;
    futex(Ptr, FutexOp, Int, Ptr, Ptr, Int) => pass_blocking;
    futex_waitv(Ptr, Int, Hex, Timespec, Clock) => enosys, "not implemented yet";
    futex_wake(Ptr, Hex, Int, Hex) => enosys, "not implemented yet";
    futex_wait(Ptr, Hex, Hex, Hex, Timespec, Clock) => enosys, "not implemented yet";
    futex_requeue(Ptr, Hex, Int, Int) => enosys, "not implemented yet";
    set_robust_list(Ptr, Size) => enosys, "not implemented yet";
    get_robust_list(Int, Ptr, Ptr) => enosys, "not implemented yet";
    rseq(Ptr, Size, Hex, Hex) => enosys, "libraries fall back to getcpu";
}

/// exit_group(2)
fn exit_group(task: &mut Task, args: &Args) -> SyscallResult {
    task.process.end(args.int(0))
}

/// set_tid_address(2)
fn set_tid_address(task: &mut Task, args: &Args) -> SyscallResult {
    task.clear_child_tid = args.ptr(0);
    Ok(host::call(syscalls::Sysno::gettid, [])?)
}
