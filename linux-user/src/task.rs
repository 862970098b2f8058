//! A guest thread: its CPU, and the loop on its host thread.

use std::sync::Arc;

use runtime::{Exit, Signalled};
use syscalls::{Errno, Sysno};

use crate::engine::Vcpu;
use crate::process::Process;
use crate::signal::{self, SigSet, TaskSignals};
use crate::syscalls as calls;
use crate::syscalls::exec::Prepared;
use crate::user::UserPtr;
use crate::{clone, debug, host};

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
    pub(crate) robust_list: UserPtr<u64>,
    /// Signal mask, alternate stack, pending signals.
    pub(crate) signals: TaskSignals,
    /// Whether system calls take addresses with tags: `PR_SET_TAGGED_ADDR_CTRL`.
    pub(crate) has_tagged_addresses: bool,
    /// The program that it is about to execute.
    pub(crate) exec: Option<Prepared>,
    /// What it called exit(2) with.
    pub(crate) ended: Option<i32>,
}

/// What other threads may know of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskHandle {
    /// Its thread id, the same for guest and host.
    pub(crate) tid: i32,
}

impl Task {
    /// A task of `process` on a CPU whose registers are set up, with its signal mask. Call on the
    /// task's own thread, which must be closed to signals ([`signal::close_thread`]).
    pub(crate) fn new(process: Arc<Process>, cpu: Vcpu, blocked: SigSet) -> Self {
        let task = Self::unattached(process, cpu, blocked);
        task.signals.attach();
        task.register();
        task
    }

    /// A task that will run elsewhere.
    pub(crate) fn unattached(process: Arc<Process>, cpu: Vcpu, blocked: SigSet) -> Self {
        let signals = TaskSignals::new(blocked, cpu.interrupter());
        Self {
            process,
            cpu,
            clear_child_tid: UserPtr::NULL,
            robust_list: UserPtr::NULL,
            signals,
            has_tagged_addresses: false,
            exec: None,
            ended: None,
        }
    }

    /// Puts the task on its process's list. Call on the task's own thread.
    pub(crate) fn register(&self) {
        let handle = self.handle();
        self.process.tasks.lock().push(handle);
        if let Some(debugger) = self.process.debugger.get() {
            debugger.enter(handle.tid, self.cpu.interrupter());
        }
    }

    /// What other threads may know of it. Call on the task's own thread.
    pub(crate) fn handle(&self) -> TaskHandle {
        // It never fails.
        let tid = host::call(Sysno::gettid, []).unwrap_or_default() as i32;
        TaskHandle { tid }
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

    /// Tells whoever observes it that it executes nothing more.
    pub(crate) fn end_observation(&mut self) {
        if let Some(mut observer) = self.cpu.take_observer() {
            observer.ended(self.cpu.frame());
        }
    }

    /// Tells whoever observes it of a signal, before anything is done about it.
    pub(crate) fn observe_signal(&mut self, signal: Signalled) {
        if let Some(mut observer) = self.cpu.take_observer() {
            observer.signalled(self.cpu.frame(), signal);
            self.cpu.set_observer(observer);
        }
    }

    /// Runs the guest thread until it ends before its process; returns its status. The caller ends
    /// the host thread.
    pub(crate) fn run(&mut self) -> i32 {
        self.signals.open();
        loop {
            let restart = match debug::run(self) {
                Exit::Syscall => {
                    debug::enter_kernel(self);
                    let restart = calls::dispatch(self);
                    match restart {
                        None => debug::leave_kernel(self),
                        // A step ends when what becomes of the call is settled: here or after a handler.
                        Some(_) => debug::look_up(self),
                    }
                    restart
                }
                Exit::Interrupted => None,
                fault => {
                    signal::raise_fault(self, &fault);
                    None
                }
            };
            if let Some(status) = self.ended {
                self.end_observation();
                clone::end_thread(self, status);
                return status;
            }
            signal::deliver(self, restart);
        }
    }

    /// Runs the first thread of a process, which ends with it.
    pub(crate) fn run_first(mut self) -> ! {
        let status = self.run();
        drop(self);
        signal::exit_thread(status)
    }
}
