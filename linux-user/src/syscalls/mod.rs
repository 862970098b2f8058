//! The guest's system calls: one row each, in the file of its family, and what dispatches them.
//!
//! A row names the call, the kinds of its arguments (from which `--strace` prints and dispatch
//! checks pointers and file descriptors), how well it is supported, and what answers it. Rows are
//! shared by all guests; `abi` says which numbers they have.

mod address;
mod aio;
mod descriptor;
pub(crate) mod exec;
mod file;
mod fs;
pub(crate) mod ioctl;
mod iovec;
mod ipc;
mod keys;
mod legacy;
pub mod matrix;
mod memory;
mod message;
mod mount;
mod notify;
mod open;
mod poll;
mod process;
mod row;
mod signal;
mod socket;
mod system;
mod table;
mod thread;
mod time;
mod x86;
mod xattr;

pub(crate) use row::{Action, ArgKind, Args, Row, Support};
pub(crate) use table::{Entry, Table};

use syscalls::Errno;

use crate::task::Task;
use crate::user::UserSlice;
use crate::{host, memory as memory_map, safe_syscall, strace, window};
use safe_syscall::Blocked;

/// What a handler answers: the guest's result register, or why there is none.
pub(crate) type SyscallResult = Result<u64, NotDone>;

/// Why a system call did not return a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotDone {
    /// It failed.
    Failed(Errno),
    /// A signal came; the signal's handler and flags decide whether it is made again.
    Restart(Restart),
    /// The registers are already what they must be: `rt_sigreturn`, a finished `execve`.
    NoReturn,
}

/// What becomes of an interrupted call, in the kernel's own terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Restart {
    /// `ERESTARTSYS`: again, unless a handler without `SA_RESTART` runs (then `EINTR`).
    UnlessHandlerForbids,
    /// `ERESTARTNOINTR`: always again.
    Always,
    /// `ERESTARTNOHAND`: again if no handler runs, else `EINTR`.
    UnlessHandled,
}

impl From<Errno> for NotDone {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// Answers system calls.
pub(crate) type Handler = fn(&mut Task, &Args) -> SyscallResult;

/// Answers the system call that the task's CPU has just executed, and leaves the result in its
/// registers. Returns how a call that a signal interrupted is to be restarted.
pub(crate) fn dispatch(task: &mut Task) -> Option<Restart> {
    let abi = task.process.abi;
    let (number, args) = abi.syscall_arguments(task.cpu.frame());
    let entry = abi.syscalls().entry(number);
    let args = entry.map_or(args, |entry| without_tags(task, entry.row.args, args));
    let trace = task.process.strace().map(|out| strace::enter(out, abi, number, entry, &args));
    let result = match entry {
        Some(entry) => answer(task, entry, &args),
        None => Err(NotDone::Failed(Errno::ENOSYS)),
    };
    if let (Some(trace), Some(out)) = (trace, task.process.strace()) {
        trace.leave(out, entry, result);
    }
    match result {
        Ok(value) => abi.set_syscall_result(task.cpu.frame_mut(), value),
        Err(NotDone::Failed(errno)) => {
            let value = i64::from(errno.into_raw()).wrapping_neg() as u64;
            abi.set_syscall_result(task.cpu.frame_mut(), value);
        }
        Err(NotDone::NoReturn) => {}
        Err(NotDone::Restart(restart)) => return Some(restart),
    }
    None
}

fn answer(task: &mut Task, entry: &Entry, args: &Args) -> SyscallResult {
    check_arguments(task, entry.row.args, args)?;
    match entry.row.action {
        Action::Handle(handler) => handler(task, args),
        Action::Pass => Ok(host::call_raw(entry.host_number()?, args.0)?),
        Action::PassBlocking => block_raw(task, entry.host_number()?, args.0),
        Action::Enosys => Err(Errno::ENOSYS.into()),
    }
}

/// The arguments without the tags that the CPU ignores in addresses, where they may have any.
fn without_tags(task: &Task, kinds: &[ArgKind], Args(mut args): Args) -> Args {
    let ignored = task.process.abi.ignored_address_bits();
    if ignored != 0 {
        let allowed = if task.has_tagged_addresses { ignored } else { 0 };
        window::allow_tags(allowed);
        for (arg, kind) in args.iter_mut().zip(kinds) {
            let bits = match kind {
                ArgKind::Mapped => ignored,
                kind if kind.is_pointer() => allowed,
                _ => continue,
            };
            *arg = window::without_tag(base::GuestVirt(*arg), bits).0;
        }
    }
    Args(args)
}

/// No structure that a system call writes is longer, in bytes; what may be, says so in its row or
/// its handler.
const STRUCTURE_LIMIT: u64 = 4096;

/// What holds for every call alike: pointers lie in the window, Ferry's own file descriptors are
/// not there, and what the host kernel is going to write to is not protected by the translator.
fn check_arguments(task: &Task, kinds: &[ArgKind], args: &Args) -> Result<(), Errno> {
    for (n, (kind, &value)) in kinds.iter().zip(&args.0).enumerate() {
        if kind.is_pointer() {
            let addr = base::GuestVirt(value);
            window::check(addr)?;
            let len = if *kind == ArgKind::OutBuf { args.0[n + 1] } else { STRUCTURE_LIMIT };
            memory_map::prepare_write(UserSlice { addr, len });
        }
        if kind.is_fd() && task.process.fds.is_own(value as i32) {
            return Err(Errno::EBADF);
        }
    }
    Ok(())
}

/// Makes a host system call that may block; a signal that comes meanwhile says
/// [`Restart::UnlessHandlerForbids`], as most calls do. A signal that comes first is not the call's: it
/// is made after the handler, or else calls that never wait, as a write to a file, would fail.
pub(crate) fn block<const N: usize>(
    task: &Task,
    number: syscalls::Sysno,
    args: [host::Arg; N],
) -> SyscallResult {
    block_raw(task, number as u64, host::widen(args))
}

/// As [`block`], for calls that never go on after a handler has run, whatever its flags.
pub(crate) fn block_unless_handled<const N: usize>(
    task: &Task,
    number: syscalls::Sysno,
    args: [host::Arg; N],
) -> SyscallResult {
    match block(task, number, args) {
        Err(NotDone::Restart(Restart::UnlessHandlerForbids)) => {
            Err(NotDone::Restart(Restart::UnlessHandled))
        }
        other => other,
    }
}

/// The host's call of the same name with the same arguments, which the handler has checked.
pub(crate) fn pass(task: &mut Task, args: &Args) -> SyscallResult {
    Ok(host::call_raw(task.current_host_number()?, args.0)?)
}

pub(crate) fn block_raw(task: &Task, number: u64, args: [u64; 6]) -> SyscallResult {
    match safe_syscall::call_raw(task.signals.pending(), number, args) {
        // A host signal that the guest does not see interrupts no guest call either.
        Blocked::Finished(Err(Errno::EINTR)) => Err(NotDone::Restart(Restart::UnlessHandled)),
        Blocked::Finished(result) => Ok(result?),
        Blocked::Unbegun => Err(NotDone::Restart(Restart::Always)),
        Blocked::Interrupted => Err(NotDone::Restart(Restart::UnlessHandlerForbids)),
    }
}
