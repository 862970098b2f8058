//! A process with a copy of memory: fork(2), and clone(2) without `CLONE_VM`.
//!
//! Of all threads only the calling one lives on in the child, so nothing of Ferry's may be locked or
//! half done by another one at that moment: all locks are held meanwhile. Those of the C library
//! (its allocator above all) are its own `fork`'s business; the few flags that it does not know are
//! done after it. Only what it cannot express (namespaces, other exit signals) is asked of the
//! kernel directly; then a lock of the C library that another thread held stays locked in the child.

#![expect(unsafe_code, reason = "splits the process")]

use syscalls::{Errno, Sysno};

use super::{CloneRequest, flags};
use crate::host::{self, Arg, args};
use crate::syscalls::SyscallResult;
use crate::task::Task;
use crate::user::UserPtr;

/// What can be done after the C library's `fork`.
const SIMPLE: u64 = flags::PIDFD
    | flags::SETTLS
    | flags::PARENT_SETTID
    | flags::CHILD_SETTID
    | flags::CHILD_CLEARTID
    | flags::CLEAR_SIGHAND;

/// Which side of a fork this is.
enum Side {
    /// With the child's id.
    Parent(u64),
    Child,
}

/// Forks; returns in both processes.
pub(super) fn start(task: &mut Task, request: &CloneRequest) -> SyscallResult {
    task.signals.close()?;
    let is_simple = request.flags & !SIMPLE == 0
        && request.exit_signal == libc::SIGCHLD as u64
        && request.set_tid_count == 0;
    let result = match split(task, request, is_simple) {
        Ok(Side::Child) => {
            become_child(task, request, is_simple);
            Ok(0)
        }
        Ok(Side::Parent(pid)) if is_simple => tell_parent(request, pid),
        Ok(Side::Parent(pid)) => Ok(pid),
        Err(errno) => Err(errno),
    };
    task.signals.open();
    Ok(result?)
}

/// Forks with every lock held.
fn split(task: &Task, request: &CloneRequest, is_simple: bool) -> Result<Side, Errno> {
    let process = &task.process;
    // Outermost: the engine asks the memory map while it holds its own.
    let engine = process.engine.before_fork().map_err(|_| Errno::ENOMEM)?;
    let held = process.hold();
    let pid = if is_simple { libc_fork() } else { kernel_fork(request) };
    drop(held);
    match pid {
        Ok(0) => {
            engine.child();
            Ok(Side::Child)
        }
        Ok(pid) => {
            engine.parent();
            Ok(Side::Parent(pid))
        }
        Err(errno) => {
            engine.parent();
            Err(errno)
        }
    }
}

fn libc_fork() -> Result<u64, Errno> {
    // SAFETY: no lock of Ferry's is held by another thread, and the child goes on as this one.
    let pid = unsafe { libc::fork() };
    u64::try_from(pid).map_err(|_| Errno::last())
}

fn kernel_fork(request: &CloneRequest) -> Result<u64, Errno> {
    let args = request.host_args();
    let size = Arg::from(size_of_val(&args));
    match host::call(Sysno::clone3, [Arg::reads(&args), size]) {
        Err(Errno::ENOSYS) => host::call_raw(Sysno::clone as u64, request.host_legacy_args()?),
        result => result,
    }
}

/// What the kernel would have done in the parent.
fn tell_parent(request: &CloneRequest, pid: u64) -> Result<u64, Errno> {
    let _ = request.parent_tid.write_opt(pid as i32);
    if !request.has(flags::PIDFD) {
        return Ok(pid);
    }
    let told = host::call(Sysno::pidfd_open, args![pid, 0])
        .and_then(|fd| request.pidfd.write(fd as i32).map(|()| pid));
    if told.is_err() {
        // The kernel would have refused before.
        let _ = host::call(Sysno::kill, args![pid, libc::SIGKILL]);
        let _ = host::call(Sysno::wait4, args![pid, 0, 0, 0]);
    }
    told
}

fn become_child(task: &mut Task, request: &CloneRequest, is_simple: bool) {
    let process = &task.process;
    if request.has(flags::CLEAR_SIGHAND) {
        process.signals.clear_handlers();
    }
    let handle = task.handle();
    if is_simple && request.has(flags::CHILD_SETTID) {
        let _ = request.child_tid.write_opt(handle.tid);
    }
    *process.tasks.lock() = vec![handle];
    if let Some(debugger) = process.debugger.get() {
        debugger.forget();
        process.engine.clear_points();
    }
    if let Some(recording) = process.recording.get() {
        recording.forget();
        drop(task.cpu.take_observer());
    }
    task.signals.forget_pending();
    task.clear_child_tid = request.child_tid_to_clear();
    task.robust_list = UserPtr::NULL;
    let abi = process.abi;
    abi.start_clone(task.cpu.frame_mut(), request);
}
