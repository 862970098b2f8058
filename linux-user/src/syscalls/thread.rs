//! Threads: creation, end, and what they wait on.

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, NotDone, SyscallResult, block_raw, pass};
use crate::clone::{self, CloneRequest, ROBUST_LIST_BYTES};
use crate::task::Task;
use crate::user::UserSlice;
use crate::{host, memory, window};

rows! {
    clone(CloneFlags, Addr, Addr, Addr, Addr) => clone;
    clone3(Ptr, Size) => clone3;
    exit(Int) => exit;
    exit_group(Int) => exit_group;
    set_tid_address(Ptr) => set_tid_address;
    gettid() => pass;
    futex(Ptr, FutexOp, Int, Addr, Addr, Int) => futex;
    futex_waitv(Ptr, Int, Hex, Timespec, Clock) => pass_blocking;
    futex_wake(Ptr, Hex, Int, Hex) => pass;
    futex_wait(Ptr, Hex, Hex, Hex, Timespec, Clock) => pass_blocking;
    futex_requeue(Ptr, Hex, Int, Int) => pass;
    set_robust_list(Ptr, Size) => set_robust_list;
    get_robust_list(Int, Ptr, Ptr) => pass;
    rseq(Ptr, Size, Hex, Hex) => enosys, "libraries fall back to getcpu";
}

/// clone(2)
fn clone(task: &mut Task, args: &Args) -> SyscallResult {
    let request = task.process.abi.clone_request(args);
    clone::clone(task, &request)
}

/// clone3(2)
fn clone3(task: &mut Task, args: &Args) -> SyscallResult {
    let request = CloneRequest::read(args.ptr(0), args.long(1))?;
    clone::clone(task, &request)
}

/// exit(2): of this thread only.
fn exit(task: &mut Task, args: &Args) -> SyscallResult {
    task.ended = Some(args.int(0));
    Err(NotDone::NoReturn)
}

/// exit_group(2)
fn exit_group(task: &mut Task, args: &Args) -> SyscallResult {
    task.end_observation();
    task.process.end(args.int(0))
}

/// futex(2). Whether its fourth and fifth arguments are pointers depends on the operation; where
/// they are not, libraries leave anything in their registers.
fn futex(task: &mut Task, args: &Args) -> SyscallResult {
    let operation = args.int(1) & libc::FUTEX_CMD_MASK;
    let has_timeout = matches!(
        operation,
        libc::FUTEX_WAIT
            | libc::FUTEX_WAIT_BITSET
            | libc::FUTEX_LOCK_PI
            | libc::FUTEX_LOCK_PI2
            | libc::FUTEX_WAIT_REQUEUE_PI
    );
    let has_second_word = matches!(
        operation,
        libc::FUTEX_REQUEUE
            | libc::FUTEX_CMP_REQUEUE
            | libc::FUTEX_WAKE_OP
            | libc::FUTEX_WAIT_REQUEUE_PI
            | libc::FUTEX_CMP_REQUEUE_PI
    );
    let mut passed = args.0;
    for (n, is_pointer) in [(3, has_timeout), (4, has_second_word)] {
        if is_pointer {
            let addr = window::followed(args.addr(n))?;
            memory::prepare_write(UserSlice { addr, len: size_of::<u32>() as u64 });
            passed[n] = addr.0;
        }
    }
    block_raw(task, Sysno::futex as u64, passed)
}

/// set_tid_address(2)
fn set_tid_address(task: &mut Task, args: &Args) -> SyscallResult {
    task.clear_child_tid = args.ptr(0);
    Ok(host::call(Sysno::gettid, [])?)
}

/// set_robust_list(2). The kernel knows it too, for a process that is killed.
fn set_robust_list(task: &mut Task, args: &Args) -> SyscallResult {
    if args.long(1) != ROBUST_LIST_BYTES {
        return Err(Errno::EINVAL.into());
    }
    task.robust_list = args.ptr(0);
    pass(task, args)
}
