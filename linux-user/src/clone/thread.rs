//! A thread: clone(2) with `CLONE_THREAD`. It is a thread of Ferry's, made by the standard library,
//! which therefore also cleans it up; so what the kernel would do at its end on the guest's behalf
//! is done by [`end`].

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use syscalls::{Errno, Sysno};

use super::{CloneRequest, Registers, flags, robust};
use crate::host::{self, args};
use crate::process::Process;
use crate::signal::{self, SigSet};
use crate::syscalls::SyscallResult;
use crate::task::Task;

/// What a thread needs of the one that makes it.
struct Start {
    process: Arc<Process>,
    registers: Registers,
    blocked: SigSet,
    has_tagged_addresses: bool,
    request: CloneRequest,
    /// Gets the thread's id once everybody may know of it.
    started: Sender<u64>,
}

/// Starts a thread and returns its id.
pub(super) fn start(task: &Task, request: &CloneRequest) -> SyscallResult {
    if request.has(flags::PIDFD) || request.set_tid_count != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (started, id) = channel();
    let start = Start {
        process: Arc::clone(&task.process),
        registers: Registers::of(task.cpu.frame()),
        blocked: task.signals.blocked(),
        has_tagged_addresses: task.has_tagged_addresses,
        request: *request,
        started,
    };
    // The thread inherits the mask, and takes no signal before it is ready to.
    signal::close_thread();
    let spawned = std::thread::Builder::new().spawn(move || run(start));
    // The thread sends before anything of the guest's runs on it, and cannot fail to.
    let id = spawned.map_err(|_| Errno::EAGAIN).and_then(|_| id.recv().map_err(|_| Errno::EAGAIN));
    task.signals.open();
    Ok(id?)
}

fn run(start: Start) {
    let Start { process, registers, blocked, has_tagged_addresses, request, started } = start;
    let mut cpu = process.engine.new_vcpu();
    registers.load(&mut cpu);
    process.observe(&mut cpu);
    process.abi.start_clone(cpu.frame_mut(), &request);
    drop(registers);
    unshare_what_is_not_shared(&request);
    let id = host::call(Sysno::gettid, []).unwrap_or_default();
    // As the kernel does, without minding bad pointers.
    for place in [request.parent_tid, request.child_tid_to_set()] {
        let _ = place.write_opt(id as i32);
    }
    let mut task = Task::new(process, cpu, blocked);
    task.clear_child_tid = request.child_tid_to_clear();
    task.has_tagged_addresses = has_tagged_addresses;
    let _ = started.send(id);
    drop(started);
    task.run();
}

/// The standard library shares everything between threads; clone(2) lets the caller choose.
fn unshare_what_is_not_shared(request: &CloneRequest) {
    let apart = (flags::FS | flags::FILES) & !request.flags;
    if apart != 0 {
        let _ = host::call(Sysno::unshare, args![apart]);
    }
}

/// Does for a task that has called exit(2) what the kernel does at a thread's end. Does not return
/// if it was the last one of its process.
pub(crate) fn end(task: &Task, status: i32) {
    task.signals.retire();
    let tid = task.handle().tid;
    task.process.task_ended(tid, status);
    robust::release_all(task.robust_list, tid as u32);
    // The kernel would go through the list again, when it may be somebody else's memory.
    let _ = host::call(Sysno::set_robust_list, args![0, robust::HEAD_BYTES]);
    if let Some(place) = task.clear_child_tid.non_null()
        && place.write(0).is_ok()
    {
        let _ = host::call(Sysno::futex, args![place, libc::FUTEX_WAKE, 1]);
    }
}
