//! Signals: what is pending, what is blocked, what is done about them.

use std::sync::atomic::AtomicU32;

use runtime::Exit;

use crate::syscalls::Restart;
use crate::task::Task;

/// What a process shares of signals.
pub(crate) struct ProcessSignals {}

impl ProcessSignals {
    pub(crate) fn new() -> Self {
        Self {}
    }
}

/// A task's own part of signals.
pub(crate) struct TaskSignals {
    /// Nonzero while a signal waits for [`deliver`]. On the heap, for handlers to find it.
    pending: Box<AtomicU32>,
}

impl TaskSignals {
    pub(crate) fn new() -> Self {
        Self { pending: Box::default() }
    }

    /// Nonzero while a signal waits for [`deliver`]; blocking calls look at it.
    pub(crate) fn pending(&self) -> &AtomicU32 {
        &self.pending
    }
}

/// Delivers what is pending, if anything, and settles an interrupted system call. Called after
/// every exit of the CPU.
pub(crate) fn deliver(task: &mut Task, restart: Option<Restart>) {
    if restart.is_some() {
        let abi = task.process.abi;
        abi.restart_syscall(task.cpu.frame_mut());
    }
}

/// Raises the signal that a fault of the guest's CPU means. Without a handler it ends the process.
pub(crate) fn raise_fault(task: &mut Task, fault: &Exit) {
    let signal = match fault {
        Exit::DataFault(fault) => fault.signal,
        Exit::FetchFault(_) => libc::SIGSEGV,
        Exit::Misaligned(_) => libc::SIGBUS,
        Exit::Breakpoint => libc::SIGTRAP,
        _ => libc::SIGILL,
    };
    tracing::debug!(pc = task.cpu.frame().pc, signal, "guest fault");
    die_of(signal);
}

/// Ends Ferry by the signal that ends the guest.
#[expect(unsafe_code, reason = "raises a signal with its default action")]
fn die_of(signal: i32) -> ! {
    // SAFETY: changes this process's dispositions only, and it ends here.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::raise(signal);
    }
    std::process::exit(128 + signal)
}
