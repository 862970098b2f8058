//! What all tasks of a guest process share.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use base::GuestVirt;
use syscalls::{Errno, Sysno};

use crate::abi::Abi;
use crate::config::Config;
use crate::engine::{self, Engine};
use crate::fds::OwnFds;
use crate::fs::FsContext;
use crate::host::{self, args};
use crate::locks::{Lock, Rank};
use crate::memory::AddressSpace;
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
    pub(crate) fs: FsContext,
    /// Signal dispositions.
    pub(crate) signals: ProcessSignals,
    /// Its living tasks.
    pub(crate) tasks: Lock<Vec<TaskHandle>>,
    /// What it is running.
    pub(crate) program: Program,
    /// Resource limits that the guest set and that are not the host's: soft and hard.
    pub(crate) limits: Lock<BTreeMap<u32, [u64; 2]>>,
    own_executable: Option<OwnedFd>,
    strace: Option<Strace>,
}

/// The program that a process runs, as /proc shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// The guest's path of the executable file, absolute: `/proc/self/exe`.
    pub(crate) path: PathBuf,
    /// Its arguments, each without the final zero.
    pub(crate) argv: Vec<Vec<u8>>,
    /// The auxiliary vector as it lies on the stack.
    pub(crate) auxv: Vec<u8>,
    /// `NAME=value` strings that it was started with.
    pub(crate) environ: Vec<Vec<u8>>,
    /// Its stack pointer at the start.
    pub(crate) sp: GuestVirt,
    /// The vdso's code that returns from a signal handler.
    pub(crate) sigreturn: GuestVirt,
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
        let own_executable = exec::open_own_executable().and_then(|fd| fds.adopt(fd).ok());
        Self {
            abi,
            fs,
            config,
            memory,
            engine,
            fds,
            signals: ProcessSignals::new(),
            tasks: Lock::new(Rank::Tasks, Vec::new()),
            program,
            limits: Lock::new(Rank::Limits, BTreeMap::new()),
            own_executable,
            strace,
        }
    }

    /// Where system calls are printed, if they are.
    pub(crate) fn strace(&self) -> Option<&Strace> {
        self.strace.as_ref()
    }

    /// A descriptor of Ferry's own executable file.
    ///
    /// # Errors
    /// `ENOENT`: it could not be opened at the start.
    pub(crate) fn own_executable(&self) -> Result<i32, Errno> {
        self.own_executable.as_ref().map(AsRawFd::as_raw_fd).ok_or(Errno::ENOENT)
    }

    /// Ends the process with this status, with all its threads.
    pub(crate) fn end(&self, status: i32) -> ! {
        if let Some(strace) = &self.strace {
            strace.process_ended(status & 0xff);
        }
        if let Some(format) = self.config.stats {
            let text = engine::statistics(&self.engine, format);
            // Whoever closed standard error does not want to see it.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        // At once, for all threads: Ferry has nothing buffered, and exit handlers would run beside
        // guest code.
        let _ = host::call(Sysno::exit_group, args![status]);
        std::process::abort()
    }
}
