//! What all tasks of a guest process share.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use base::GuestVirt;
use runtime::debug::gdb::End;
use syscalls::{Errno, Sysno};

use crate::abi::Abi;
use crate::clone::{self, CloneRequest};
use crate::config::Config;
use crate::debug::Debugger;
use crate::engine::{self, Engine, Vcpu};
use crate::fds::OwnFds;
use crate::fs::FsContext;
use crate::host::{self, args};
use crate::locks::{Lock, Rank};
use crate::memory::{AddressSpace, Bounds};
use crate::recording::Recording;
use crate::signal::ProcessSignals;
use crate::strace::Strace;
use crate::syscalls::exec;
use crate::task::TaskHandle;

/// A guest process.
pub(crate) struct Process {
    /// Its architecture.
    pub(crate) abi: &'static dyn Abi,
    /// What the user chose.
    pub(crate) config: Arc<Config>,
    /// Its memory map.
    pub(crate) memory: Arc<AddressSpace>,
    /// What runs its code.
    pub(crate) engine: Arc<Engine>,
    /// Ferry's own file descriptors in it.
    pub(crate) fds: OwnFds,
    /// How it sees the file system.
    pub(crate) fs: Arc<FsContext>,
    /// Signal dispositions.
    pub(crate) signals: ProcessSignals,
    /// Its living tasks.
    pub(crate) tasks: Lock<Vec<TaskHandle>>,
    /// What it is running.
    pub(crate) program: Arc<Program>,
    /// Resource limits that the guest set and that are not the host's: soft and hard.
    pub(crate) limits: Lock<BTreeMap<u32, [u64; 2]>>,
    own_executable: Option<Arc<OwnedFd>>,
    strace: Option<Arc<Strace>>,
    /// Who debugs it.
    pub(crate) debugger: OnceLock<Arc<Debugger>>,
    /// What is written of its execution.
    pub(crate) recording: OnceLock<Arc<Recording>>,
    /// What the first thread ended with, if it has ended before the others.
    leader_status: OnceLock<i32>,
    statistics: Statistics,
}

/// Whether a process prints the engine's statistics at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Statistics {
    Own,
    /// They are those of a process with which it shares memory.
    Another,
}

/// The program that a process runs, as /proc shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// The guest's path of the executable file, absolute: `/proc/self/exe`.
    pub(crate) path: PathBuf,
    /// The executable file, which may have been renamed or removed since.
    pub(crate) file: Option<Arc<OwnedFd>>,
    /// Its arguments, each without the final zero.
    pub(crate) argv: Vec<Vec<u8>>,
    /// The auxiliary vector as it lies on the stack.
    pub(crate) auxv: Vec<u8>,
    /// `NAME=value` strings that it was started with.
    pub(crate) environ: Vec<Vec<u8>>,
    /// Its stack pointer at the start.
    pub(crate) sp: GuestVirt,
    /// The vdso's code that returns from a signal handler.
    pub(crate) sigreturn: Option<GuestVirt>,
}

impl Process {
    pub(crate) fn new(
        abi: &'static dyn Abi,
        config: Arc<Config>,
        fds: OwnFds,
        fs: FsContext,
        memory: Arc<AddressSpace>,
        engine: Arc<Engine>,
        program: Program,
    ) -> Self {
        let strace = config.strace.then(|| Strace::new(config.log_file.as_deref(), &fds));
        let limits = config.limits.iter().copied().collect();
        let own_executable = exec::open_own_executable().and_then(|fd| fds.adopt(fd).ok());
        Self {
            abi,
            fs: Arc::new(fs),
            config,
            memory,
            engine,
            fds,
            signals: ProcessSignals::inherited(),
            tasks: Lock::new(Rank::Tasks, Vec::new()),
            program: Arc::new(program),
            limits: Lock::new(Rank::Limits, limits),
            own_executable: own_executable.map(Arc::new),
            strace: strace.map(Arc::new),
            debugger: OnceLock::new(),
            recording: OnceLock::new(),
            leader_status: OnceLock::new(),
            statistics: Statistics::Own,
        }
    }

    /// A process in the same memory. What the kernel copies for it is copied here.
    pub(crate) fn sharing_memory(&self, request: &CloneRequest) -> Self {
        Self {
            abi: self.abi,
            config: Arc::clone(&self.config),
            memory: Arc::clone(&self.memory),
            engine: Arc::clone(&self.engine),
            fds: self.fds.copy(),
            fs: if request.has(clone::flags::FS) {
                Arc::clone(&self.fs)
            } else {
                Arc::new(self.fs.copy())
            },
            signals: self.signals.for_clone(request),
            tasks: Lock::new(Rank::Tasks, Vec::new()),
            program: Arc::clone(&self.program),
            limits: Lock::new(Rank::Limits, self.limits.lock().clone()),
            own_executable: self.own_executable.clone(),
            strace: self.strace.clone(),
            debugger: OnceLock::new(),
            recording: OnceLock::new(),
            leader_status: OnceLock::new(),
            statistics: Statistics::Another,
        }
    }

    /// Takes every lock, in the order of their ranks: for `fork`.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        (
            self.tasks.lock(),
            self.signals.hold(),
            self.fs.hold(),
            self.limits.lock(),
            self.memory.hold(),
            self.recording.get().map(|recording| recording.hold()),
        )
    }

    /// Takes a task that has ended off the list. The last one ends the process, with the status of
    /// its first thread.
    pub(crate) fn task_ended(&self, tid: i32, status: i32) {
        let is_leader = host::call(Sysno::getpid, []) == Ok(tid as u64);
        if is_leader {
            let _ = self.leader_status.set(status);
        }
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| task.tid != tid);
        let is_last = tasks.is_empty();
        drop(tasks);
        if !is_last && let Some(debugger) = self.debugger.get() {
            debugger.leave(tid);
        }
        if is_last {
            self.end(*self.leader_status.get().unwrap_or(&status));
        }
    }

    /// The ids of its threads: the living ones, and the first, which stays to the end.
    pub(crate) fn thread_ids(&self) -> Vec<i32> {
        let leader = std::process::id() as i32;
        let tasks = self.tasks.lock();
        let others = tasks.iter().map(|task| task.tid).filter(|&tid| tid != leader);
        [leader].into_iter().chain(others).collect()
    }

    /// How much it may map.
    pub(crate) fn bounds(&self) -> Bounds {
        let limits = self.limits.lock();
        let soft = |resource| limits.get(&resource).map_or(u64::MAX, |[soft, _]| *soft);
        Bounds { space: soft(libc::RLIMIT_AS), data: soft(libc::RLIMIT_DATA) }
    }

    /// Where system calls are printed, if they are.
    pub(crate) fn strace(&self) -> Option<&Strace> {
        self.strace.as_deref()
    }

    /// A descriptor of Ferry's own executable file.
    ///
    /// # Errors
    /// `ENOENT`: it could not be opened at the start.
    pub(crate) fn own_executable(&self) -> Result<i32, Errno> {
        self.own_executable.as_ref().map(|fd| fd.as_raw_fd()).ok_or(Errno::ENOENT)
    }

    /// Has what a thread's CPU executes written down, if that was asked for.
    pub(crate) fn observe(&self, cpu: &mut Vcpu) {
        if let Some(observer) = self.recording.get().and_then(Recording::observer) {
            cpu.set_observer(observer);
        }
    }

    /// Writes what is left of what is written of its execution.
    #[expect(clippy::print_stderr, reason = "the user must know that the trace is not whole")]
    pub(crate) fn end_recording(&self) {
        let finished = self.recording.get().map_or(Ok(()), |recording| recording.finish());
        if let Err(error) = finished {
            eprintln!("ferry: the trace is not whole: {error}");
        }
    }

    /// Ends the process with this status, with all its threads.
    pub(crate) fn end(&self, status: i32) -> ! {
        if let Some(strace) = &self.strace {
            strace.process_ended(status & 0xff);
        }
        if let (Some(format), Statistics::Own) = (self.config.stats, self.statistics) {
            let text = engine::statistics(&self.engine, format);
            // Whoever closed standard error does not want to see it.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        if let Some(debugger) = self.debugger.get() {
            debugger.ended(End::Exited(status as u8));
        }
        self.end_recording();
        // At once, for all threads: Ferry has nothing buffered, and exit handlers would run beside
        // guest code.
        let _ = host::call(Sysno::exit_group, args![status]);
        std::process::abort()
    }
}
