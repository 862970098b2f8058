//! Signals: what is pending, what is blocked, what is done about them.
//!
//! The host does as much as it can. A signal that the guest leaves to its default or ignores is
//! left to its default or ignored by the host ([`action`]); what the guest blocks is blocked on the
//! host thread; so the kernel itself chooses the thread, keeps the queues, stops, continues and
//! kills. Only signals with a guest handler come to Ferry (and, in a process that shares memory with
//! its parent, those that end it): the host's handler ([`host`]) leaves
//! them in the thread's [`inbox`], makes the CPU stop at its next exact point, and the run loop
//! delivers them there ([`deliver`]).
//!
//! SIGSEGV and SIGBUS are different, since Ferry takes faults itself: they are never blocked on the
//! host, and one that somebody sends waits in the inbox while the guest blocks it.

mod action;
mod altstack;
mod deliver;
mod fault;
mod host;
mod inbox;
mod info;
mod set;
mod wait;

use std::sync::atomic::{AtomicU32, Ordering};

use base::GuestVirt;
use syscalls::Errno;

pub(crate) use action::{Action, Handler, ProcessSignals, flags};
pub(crate) use altstack::{AltStack, UserStack};
pub(crate) use deliver::{
    ILL_ILLOPC, ILL_ILLOPN, SEGV_ACCERR, SEGV_MAPERR, TRAP_BRKPT, TRAP_TRACE, bad_frame, deliver,
    describe, raise_fault,
};
pub(crate) use fault::{Access, Cause, CpuException, MemoryFault, Trap};
pub(crate) use host::{die_of, exit_thread};
pub(crate) use info::{SI_KERNEL, SigInfo};
pub(crate) use set::{SigSet, is_valid};
pub(crate) use wait::{read_mask, with_mask};

use crate::engine::Interrupter;
use crate::safe_syscall;
use crate::syscalls::{NotDone, Restart};
use crate::task::Task;
use crate::user::UserPtr;
use host::Target;
use inbox::Inbox;

/// A task's own part of signals.
pub(crate) struct TaskSignals {
    inbox: Box<Inbox>,
    blocked: SigSet,
    /// The mask to go back to after a call that had one of its own.
    saved: Option<SigSet>,
    /// Where handlers run that ask for it.
    pub(crate) altstack: AltStack,
    /// The last memory fault.
    fault: Option<MemoryFault>,
    /// The last exception, where they are told of so.
    trap: Trap,
}

/// What an ABI needs to know to enter a handler.
pub(crate) struct SignalEntry {
    /// The handler.
    pub(crate) handler: GuestVirt,
    /// What is known about the signal.
    pub(crate) info: SigInfo,
    /// Whether the handler wants to know it, and the context: `SA_SIGINFO`.
    pub(crate) wants_info: bool,
    /// The end of the free part of the stack on which the handler runs.
    pub(crate) stack: GuestVirt,
    /// What the handler returns to.
    pub(crate) trampoline: Option<GuestVirt>,
    /// The mask when the handler has returned.
    pub(crate) blocked: SigSet,
    /// The alternate stack, as the frame shows it.
    pub(crate) altstack: UserStack,
    /// The task's last memory fault.
    pub(crate) fault: Option<MemoryFault>,
    /// The task's last exception.
    pub(crate) trap: Trap,
}

/// What an ABI read from the frame of a handler that returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SignalReturn {
    /// The mask from now on.
    pub(crate) blocked: SigSet,
    /// The alternate stack from now on.
    pub(crate) altstack: UserStack,
}

/// Before anything else of a run: says where sent SIGSEGV and SIGBUS go, and blocks all other
/// signals on this thread, for Ferry's own threads to inherit. Returns the mask that the guest
/// inherits.
pub(crate) fn start() -> SigSet {
    safe_syscall::learn();
    base::sys::fault::set_foreign(host::foreign);
    let inherited = host::mask();
    host::set_mask(host::mask_for(SigSet::ALL));
    inherited
}

/// Blocks every signal on this thread until the task opens it again. What starts threads or
/// processes calls it first, for them to start closed.
pub(crate) fn close_thread() {
    host::set_mask(host::mask_for(SigSet::ALL));
}

impl TaskSignals {
    /// With this mask and nothing pending. The thread stays closed until [`TaskSignals::open`].
    pub(crate) fn new(blocked: SigSet, interrupter: Interrupter) -> Self {
        let inbox = Inbox::new(interrupter);
        Self {
            inbox,
            blocked,
            saved: None,
            altstack: AltStack::default(),
            fault: None,
            trap: Trap::default(),
        }
    }

    /// Makes the thread on which this is called the task's; it must be closed.
    pub(crate) fn attach(&self) {
        self.inbox.attach();
    }

    /// From now on the thread is no task's; it must be closed.
    pub(crate) fn detach() {
        inbox::detach();
    }

    /// Nonzero while a signal waits for [`deliver`]; blocking calls look at it.
    pub(crate) fn pending(&self) -> &AtomicU32 {
        self.inbox.pending()
    }

    fn is_quiet(&self) -> bool {
        self.saved.is_none() && self.inbox.pending().load(Ordering::Acquire) == 0
    }

    /// The guest's mask.
    pub(crate) fn blocked(&self) -> SigSet {
        self.blocked
    }

    /// Sets the guest's mask.
    pub(crate) fn set_blocked(&mut self, mask: SigSet) {
        self.blocked = mask.without(SigSet::UNBLOCKABLE);
        self.open();
        self.inbox.mask_changed(self.blocked);
    }

    /// Sets the guest's mask as a system call of its own does.
    ///
    /// # Errors
    /// A signal has come that the new mask blocks: it is to be delivered before the call.
    pub(crate) fn change_blocked(&mut self, mask: SigSet) -> Result<(), NotDone> {
        self.deliver_first(mask)?;
        host::set_mask(host::mask_for(mask));
        // One may have come just before that.
        if self.inbox.other().is_some() {
            close_thread();
            self.deliver_first(mask)?;
        }
        self.blocked = mask.without(SigSet::UNBLOCKABLE);
        self.inbox.mask_changed(self.blocked);
        Ok(())
    }

    fn deliver_first(&self, mask: SigSet) -> Result<(), NotDone> {
        match self.inbox.other() {
            Some(info) if mask.has(info.signal()) => Err(NotDone::Restart(Restart::Always)),
            _ => Ok(()),
        }
    }

    /// Closes the thread to signals for something that must not be interrupted and that starts
    /// with none pending.
    ///
    /// # Errors
    /// One is pending, and is to be delivered first.
    pub(crate) fn close(&self) -> Result<(), NotDone> {
        close_thread();
        match self.inbox.other() {
            Some(_) => Err(NotDone::Restart(Restart::Always)),
            None => Ok(()),
        }
    }

    /// Lets signals in again, unless one is being held here.
    pub(crate) fn open(&self) {
        if self.inbox.other().is_none() {
            host::set_mask(host::mask_for(self.blocked));
        }
    }

    fn take(&self) -> Option<SigInfo> {
        self.inbox.take(self.blocked)
    }

    /// The mask for a handler's frame to restore; it ends a temporary one.
    fn mask_after_handler(&mut self) -> SigSet {
        self.saved.take().unwrap_or(self.blocked)
    }

    /// Also blocks these.
    fn enter_handler(&mut self, more: SigSet) {
        self.blocked = self.blocked.and(more).without(SigSet::UNBLOCKABLE);
    }

    fn set_temporary_mask(&mut self, mask: SigSet) {
        self.saved = Some(self.blocked);
        self.blocked = mask.without(SigSet::UNBLOCKABLE);
    }

    fn drop_temporary_mask(&mut self) {
        if let Some(mask) = self.saved.take() {
            self.set_blocked(mask);
        }
    }

    /// What waits for the task and is blocked: sigpending(2).
    pub(crate) fn waiting(&self) -> SigSet {
        let all = host::pending().and(self.inbox.contents());
        SigSet(all.0 & self.blocked.0)
    }

    /// Takes a SIGSEGV or SIGBUS that somebody sent and that is in `wanted`.
    pub(crate) fn take_fault(&self, wanted: SigSet) -> Option<SigInfo> {
        self.inbox.take_fault(wanted)
    }

    /// In a forked child, for which nothing is pending. The thread is closed, so that only a SIGSEGV
    /// or SIGBUS can be here.
    pub(crate) fn forget_pending(&self) {
        while self.inbox.take_fault(SigSet::ALL).is_some() {}
    }

    /// Before the task ends: closes the thread, and gives back what was meant for the process.
    pub(crate) fn retire(&self) {
        close_thread();
        if let Some(info) = self.inbox.other().filter(SigInfo::is_for_process) {
            host::send_again(&info, Target::Process);
        }
        inbox::detach();
    }
}

/// The state of signals as execve(2) keeps it. Dropping it, when the call has failed, gives the
/// task its signals back.
pub(crate) struct ExecSignals<'a> {
    task: &'a Task,
    ignored_faults: SigSet,
}

/// Prepares the host's signals for a host `execve` on this thread: what the guest blocks is really
/// blocked and what it ignores is really ignored, so that the next program finds them so.
///
/// # Errors
/// A signal is pending, and is to be delivered first.
pub(crate) fn before_exec(task: &Task) -> Result<ExecSignals<'_>, NotDone> {
    task.signals.close()?;
    let is_ignored = |&signal: &i32| task.process.signals.get(signal).handler == Handler::Ignore;
    let ignored: Vec<i32> = [libc::SIGSEGV, libc::SIGBUS].into_iter().filter(is_ignored).collect();
    ignored.iter().for_each(|&signal| host::set_ignored(signal));
    for info in std::iter::from_fn(|| task.signals.take_fault(task.signals.blocked)) {
        close_thread();
        host::set_mask(SigSet::ALL);
        host::send_again(&info, Target::Thread);
    }
    host::set_mask(task.signals.blocked);
    Ok(ExecSignals { task, ignored_faults: SigSet::of(&ignored) })
}

impl Drop for ExecSignals<'_> {
    fn drop(&mut self) {
        if self.ignored_faults != SigSet::NONE {
            base::sys::fault::install();
        }
        self.task.signals.open();
    }
}

/// A signal number, from the guest.
///
/// # Errors
/// `EINVAL`: there is none of that number.
pub(crate) fn valid(signal: i32) -> Result<i32, Errno> {
    if is_valid(signal) { Ok(signal) } else { Err(Errno::EINVAL) }
}

/// Prints a signal for `--strace`.
fn trace(task: &Task, info: &SigInfo) {
    if let Some(out) = task.process.strace() {
        out.signal(info);
    }
}

/// Reads a `sigset_t` whose size the guest gave.
///
/// # Errors
/// `EINVAL` for another size than the kernel's, `EFAULT`
pub(crate) fn read_set(at: UserPtr<u64>, size: u64) -> Result<SigSet, Errno> {
    if size != size_of::<u64>() as u64 {
        return Err(Errno::EINVAL);
    }
    at.read().map(SigSet)
}
