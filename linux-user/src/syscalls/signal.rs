//! Signals: dispositions, masks, sending, waiting.
//!
//! Sending is the host's own business: thread and process ids are the host's, and its handlers say
//! when a signal has come.

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, NotDone, SyscallResult, block};
use crate::host;
use crate::host::Arg;
use crate::signal::{self, Action, Handler, SigInfo, SigSet, UserStack, flags};
use crate::task::Task;
use crate::user::UserPtr;

rows! {
    rt_sigaction(Signal, Ptr, Ptr, Size) => rt_sigaction;
    rt_sigprocmask(SigHow, Ptr, Ptr, Size) => rt_sigprocmask;
    rt_sigpending(Ptr, Size) => rt_sigpending;
    rt_sigsuspend(Ptr, Size) => rt_sigsuspend;
    rt_sigtimedwait(Ptr, Ptr, Timespec, Size) => rt_sigtimedwait;
    rt_sigqueueinfo(Int, Signal, Ptr) => pass;
    rt_tgsigqueueinfo(Int, Int, Signal, Ptr) => pass;
    rt_sigreturn() => rt_sigreturn;
    sigaltstack(Ptr, Ptr) => sigaltstack;
    kill(Int, Signal) => pass;
    tkill(Int, Signal) => pass;
    tgkill(Int, Int, Signal) => pass;
    pidfd_send_signal(Fd, Signal, Ptr, Hex) => pass;
    signalfd4(Int, Ptr, Size, OpenFlags) => signalfd4, "does not show a SIGSEGV or SIGBUS that was sent";
    restart_syscall() => restart_syscall;
}

/// The guest kernel's `struct sigaction`: handler, flags, perhaps restorer, mask.
fn read_action(task: &Task, at: UserPtr<u64>) -> Result<Action, Errno> {
    let has_restorer = task.process.abi.has_sa_restorer();
    let restorer = if has_restorer { at.at(2).read()? } else { 0 };
    let mut unknown = if has_restorer { 0 } else { flags::RESTORER };
    // Which tag an address had that has faulted is forgotten: programs ask whether they will be told.
    if task.process.abi.ignored_address_bits() != 0 {
        unknown |= flags::EXPOSE_TAGBITS;
    }
    Ok(Action {
        handler: Handler::from_word(at.read()?),
        flags: at.at(1).read()? & !unknown,
        restorer: base::GuestVirt(restorer),
        mask: SigSet(at.at(2 + usize::from(has_restorer)).read()?),
    })
}

fn write_action(task: &Task, at: UserPtr<u64>, action: &Action) -> Result<(), Errno> {
    let head = [action.handler.to_word(), action.flags];
    at.write_array(&head)?;
    if task.process.abi.has_sa_restorer() {
        at.at(2).write_array(&[action.restorer.0, action.mask.0])
    } else {
        at.at(2).write(action.mask.0)
    }
}

/// sigaction(2)
fn rt_sigaction(task: &mut Task, args: &Args) -> SyscallResult {
    let signal = args.int(0);
    if args.long(3) != size_of::<u64>() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let new = args.ptr(1).non_null().map(|at| read_action(task, at)).transpose()?;
    signal::valid(signal)?;
    if new.is_some() && SigSet::UNBLOCKABLE.has(signal) {
        return Err(Errno::EINVAL.into());
    }
    let signals = &task.process.signals;
    let old = match new {
        Some(new) => signals.set(signal, new),
        None => signals.get(signal),
    };
    if let Some(at) = args.ptr(2).non_null() {
        write_action(task, at, &old)?;
    }
    Ok(0)
}

/// sigprocmask(2)
fn rt_sigprocmask(task: &mut Task, args: &Args) -> SyscallResult {
    let old = task.signals.blocked();
    if args.long(3) != size_of::<u64>() as u64 {
        return Err(Errno::EINVAL.into());
    }
    if let Some(at) = args.ptr::<u64>(1).non_null() {
        let set = SigSet(at.read()?);
        let new = match args.int(0) {
            libc::SIG_BLOCK => old.and(set),
            libc::SIG_UNBLOCK => old.without(set),
            libc::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL.into()),
        };
        task.signals.change_blocked(new)?;
    }
    args.ptr(2).write_opt(old.0)?;
    Ok(0)
}

/// sigpending(2)
fn rt_sigpending(task: &mut Task, args: &Args) -> SyscallResult {
    let size = args.long(1);
    if size > size_of::<u64>() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let bytes = task.signals.waiting().0.to_le_bytes();
    crate::user::UserSlice::new(args.addr(0), size)?.write(&bytes)?;
    Ok(0)
}

/// sigsuspend(2)
fn rt_sigsuspend(task: &mut Task, args: &Args) -> SyscallResult {
    let mask = signal::read_set(args.ptr(0), args.long(1))?;
    signal::with_mask(task, Some(mask), Sysno::rt_sigsuspend, |mask| [mask.pointer(), mask.size()])
}

/// sigtimedwait(2). The signals are blocked, for the host too, which therefore keeps them.
fn rt_sigtimedwait(task: &mut Task, args: &Args) -> SyscallResult {
    let wanted = signal::read_set(args.ptr(0), args.long(3))?;
    if let Some(info) = task.signals.take_fault(wanted) {
        args.ptr(1).write_opt(info.0)?;
        return Ok(info.signal() as u64);
    }
    let (info, timeout) = (args.ptr::<SigInfo>(1), args.ptr::<u8>(2));
    let args = [Arg::reads(&wanted.0), info.into(), timeout.into(), args.long(3).into()];
    block(task, Sysno::rt_sigtimedwait, args)
}

/// sigreturn(2)
fn rt_sigreturn(task: &mut Task, _: &Args) -> SyscallResult {
    let abi = task.process.abi;
    // What comes later comes under the restored mask.
    task.signals.close()?;
    match abi.leave_signal_handler(task.cpu.frame_mut()) {
        Ok(saved) => {
            let sp = abi.stack_pointer(task.cpu.frame());
            task.signals.set_blocked(saved.blocked);
            // As the kernel does, what the handler wrote into its frame; nonsense is ignored.
            let _ = task.signals.altstack.set(saved.altstack, sp, abi.min_altstack());
        }
        Err(_) => signal::bad_frame(task, 0),
    }
    Err(NotDone::NoReturn)
}

/// sigaltstack(2)
fn sigaltstack(task: &mut Task, args: &Args) -> SyscallResult {
    let abi = task.process.abi;
    let sp = abi.stack_pointer(task.cpu.frame());
    let old = task.signals.altstack.to_user(sp);
    if let Some(new) = args.ptr::<UserStack>(0).read_opt()? {
        task.signals.altstack.set(new, sp, abi.min_altstack())?;
    }
    args.ptr(1).write_opt(old)?;
    Ok(0)
}

/// signalfd(2)
pub(super) fn signalfd4(task: &mut Task, args: &Args) -> SyscallResult {
    let fd = args.int(0);
    if task.process.fds.is_own(fd) {
        return Err(Errno::EBADF.into());
    }
    let set = signal::read_set(args.ptr(1), args.long(2))?;
    let args = [Arg::from(fd), Arg::reads(&set.0), args.long(2).into(), args.uint(3).into()];
    Ok(host::call(Sysno::signalfd4, args)?)
}

/// restart_syscall(2): the kernel's own way of going on with a call that it interrupted. Ours goes
/// on by making the call again, so nobody has a reason to call this.
fn restart_syscall(_: &mut Task, _: &Args) -> SyscallResult {
    Err(Errno::EINTR.into())
}
