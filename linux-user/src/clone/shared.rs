//! A process that shares the parent's memory: vfork(2), posix_spawn(3), and clone(2) with
//! `CLONE_VM` but without `CLONE_THREAD`.
//!
//! The child is a host process in the same memory, Ferry's own included, so it needs a thread's
//! place there: it runs on the stack below the calling thread and with its thread-local storage,
//! while the kernel suspends that thread until the child executes or ends. Where the guest does
//! not want to wait, a thread made for the purpose waits instead.
//!
//! What the two processes do not share of Ferry's state is copied: dispositions, resource limits,
//! the list of tasks. A child that ends in the middle of something leaves Ferry's locks locked, so
//! signals end it at an exact point only; SIGKILL does so anywhere, and so does the end of a child
//! to its other threads.

#![expect(unsafe_code, reason = "a process on another one's stack")]

use std::arch::global_asm;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use syscalls::{Errno, Sysno};

use super::{CloneRequest, flags, new_cpu};
use crate::host::Arg;
use crate::locks;
use crate::signal::{self, TaskSignals};
use crate::syscalls::SyscallResult;
use crate::task::Task;

// rdi: number, rsi: five arguments, rdx: the child's function, rcx: its argument. The child calls
// below the stack pointer and never returns, so the parent finds its frame as it left it.
global_asm!(
    ".pushsection .text.ferry_clone_shared,\"ax\",@progbits",
    ".globl ferry_clone_shared",
    ".hidden ferry_clone_shared",
    ".type ferry_clone_shared,@function",
    "ferry_clone_shared:",
    "push rbx",
    "push r12",
    "mov rbx, rdx",
    "mov r12, rcx",
    "mov rax, rdi",
    "mov r9, rsi",
    "mov rdi, [r9]",
    "mov rsi, [r9 + 8]",
    "mov rdx, [r9 + 16]",
    "mov r10, [r9 + 24]",
    "mov r8, [r9 + 32]",
    "syscall",
    "test rax, rax",
    "jnz 2f",
    "xor ebp, ebp",
    "and rsp, -16",
    "mov rdi, r12",
    "call rbx",
    "ud2",
    "2:",
    "pop r12",
    "pop rbx",
    "ret",
    ".size ferry_clone_shared, . - ferry_clone_shared",
    ".popsection",
);

unsafe extern "C" {
    fn ferry_clone_shared(
        number: u64,
        args: *const [u64; 6],
        entry: extern "C" fn(*mut libc::c_void) -> !,
        child: *mut libc::c_void,
    ) -> i64;
}

/// What a child runs. It belongs to the parent, which drops it when the child no longer runs in
/// this memory.
struct Child {
    task: Task,
    /// Gets the child's id, if somebody waits for that and not for its end.
    started: Option<Sender<Result<u64, Errno>>>,
}

/// Starts a process that shares memory; returns its id.
pub(super) fn start(task: &mut Task, request: &CloneRequest) -> SyscallResult {
    task.signals.close()?;
    task.process.engine.before_sharing();
    let process = Arc::new(task.process.sharing_memory(request));
    let cpu = new_cpu(task, request);
    let mut child = Task::unattached(process, cpu, task.signals.blocked());
    child.has_tagged_addresses = task.has_tagged_addresses;
    let result = if request.has(flags::VFORK) {
        child.signals.altstack = task.signals.altstack;
        let result = run_child(&mut Child { task: child, started: None }, request);
        task.signals.attach();
        result
    } else {
        run_beside(child, *request)
    };
    task.signals.open();
    Ok(result?)
}

/// Runs the child on a thread of its own; returns as soon as it has started.
fn run_beside(task: Task, request: CloneRequest) -> Result<u64, Errno> {
    let (started, id) = channel();
    let spawned = std::thread::Builder::new().spawn(move || {
        let failed = started.clone();
        let mut child = Child { task, started: Some(started) };
        let result = run_child(&mut child, &request);
        TaskSignals::detach();
        // If it has started, it has said so, and nobody listens any more.
        let _ = failed.send(result);
    });
    spawned.map_err(|_| Errno::EAGAIN)?;
    id.recv().map_err(|_| Errno::EAGAIN)?
}

/// Makes the process and waits until it has executed a program or ended; returns its id.
fn run_child(child: &mut Child, request: &CloneRequest) -> Result<u64, Errno> {
    let request = CloneRequest { flags: request.flags | flags::VFORK, ..*request };
    let args = request.host_args();
    let clone3 = [Arg::reads(&args).raw(), size_of_val(&args) as u64, 0, 0, 0, 0];
    let held = locks::held();
    let result = match clone_shared(Sysno::clone3, &clone3, child) {
        Err(Errno::ENOSYS) => clone_shared(Sysno::clone, &request.host_legacy_args()?, child),
        result => result,
    };
    // The child may have ended in the middle of anything.
    locks::set_held(held);
    result
}

fn clone_shared(number: Sysno, args: &[u64; 6], child: &mut Child) -> Result<u64, Errno> {
    // SAFETY: `CLONE_VFORK` is among the flags, so this thread sleeps while the child uses its
    // stack below this frame, its thread-local storage and `child`; `CLONE_VM` without a stack, so
    // the child starts on this one; the stub keeps what the ABI wants kept.
    let result =
        unsafe { ferry_clone_shared(number as u64, args, child_main, (&raw mut *child).cast()) };
    Errno::from_ret(result as usize).map(|value| value as u64)
}

/// The child's life, on a stack that is not its own.
extern "C" fn child_main(child: *mut libc::c_void) -> ! {
    // SAFETY: the parent lent a `Child` and sleeps.
    let Child { task, started } = unsafe { &mut *child.cast::<Child>() };
    task.signals.attach();
    task.register();
    task.process.signals.end_at_exact_points();
    if let Some(started) = started.take() {
        let _ = started.send(Ok(task.handle().tid as u64));
    }
    task.signals.open();
    let status = task.run();
    signal::exit_thread(status)
}
