//! A guest thread: its CPU, and the loop on its host thread.

use std::sync::Arc;

use runtime::Exit;
use syscalls::Errno;

use crate::engine::{Interrupter, Vcpu};
use crate::process::Process;
use crate::signal::{self, TaskSignals};
use crate::syscalls as calls;
use crate::user::UserPtr;

/// A guest thread. Only its own host thread touches it; others reach it through its
/// [`TaskHandle`].
pub(crate) struct Task {
    /// The process that it belongs to.
    pub(crate) process: Arc<Process>,
    /// Its registers and what executes it.
    pub(crate) cpu: Vcpu,
    /// Zeroed, and woken as a futex, when the task ends: `set_tid_address`.
    pub(crate) clear_child_tid: UserPtr<u32>,
    /// Head of the list of robust futexes: `set_robust_list`.
    pub(crate) robust_list: UserPtr<u8>,
    /// Signal mask, alternate stack, pending signals.
    pub(crate) signals: TaskSignals,
}

/// What other threads may do with a task.
#[derive(Clone)]
pub(crate) struct TaskHandle {
    /// Its thread id, the same for guest and host.
    pub(crate) tid: i32,
    /// Makes its CPU leave translated code.
    pub(crate) interrupter: Interrupter,
}

impl Task {
    /// A task of `process` on a CPU whose registers are set up. Call on the task's own thread.
    pub(crate) fn new(process: Arc<Process>, cpu: Vcpu) -> Self {
        Self {
            process,
            cpu,
            clear_child_tid: UserPtr::NULL,
            robust_list: UserPtr::NULL,
            signals: TaskSignals::new(),
        }
    }

    /// The host's number of the system call that the CPU has just executed, by its name.
    ///
    /// # Errors
    /// `ENOSYS`: the host has no such call.
    pub(crate) fn current_host_number(&self) -> Result<u64, Errno> {
        let abi = self.process.abi;
        let (number, _) = abi.syscall_arguments(self.cpu.frame());
        abi.syscalls().entry(number).ok_or(Errno::ENOSYS)?.host_number()
    }

    /// Runs the guest thread until its process ends.
    pub(crate) fn run(&mut self) -> ! {
        loop {
            let restart = match self.cpu.run() {
                Exit::Syscall => calls::dispatch(self),
                Exit::Interrupted => None,
                fault => {
                    signal::raise_fault(self, &fault);
                    None
                }
            };
            signal::deliver(self, restart);
        }
    }
}
