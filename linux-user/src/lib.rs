//! Linux user mode: the guest's system calls, memory map, signals, threads and program loading,
//! answered by the host's own kernel.
//!
//! It may know the Linux ABI of host and guests, and the runtime as an engine with CPUs. It must
//! never know how guest code is translated, nor anything of machines and devices. What differs
//! between guest architectures lives in [`abi`], chosen at run time.
//!
//! # Invariants
//! * A guest address *is* the host address of the same number, within [`window`]. Ferry's own image,
//!   heap, stacks and code memory lie above it; nothing of Ferry's is ever mapped inside.
//! * Guest memory is touched only through [`user`]'s guarded accesses or by the host kernel, after
//!   the address was checked to lie in the window.
//! * Guest pages are never executable on the host.
//! * Locks are [`locks::Lock`]s, taken in the order of their ranks, never held across a host system
//!   call that may block, and all held by `fork`.
//! * A host system call that may block goes through [`safe_syscall`].

mod abi;
mod clone;
mod config;
mod debug;
mod engine;
mod fds;
mod fs;
mod host;
pub mod kernel;
mod loader;
mod locks;
mod memory;
mod process;
mod recording;
mod replica;
mod run;
mod safe_syscall;
mod signal;
mod strace;
mod syscalls;
mod task;
mod user;
mod window;

pub use abi::CpuError;
pub use config::{Config, DefaultBinds, EnvChange, GdbExec, LogStart, PerfMap, StatsFormat, Tier};
pub use engine::EngineError;
pub use fs::FsError;
pub use loader::ProgramError;
pub use recording::Record;
pub use replica::{Access, Raised, Replica, ReplicaError, ReplicaTier};
pub use run::{RunError, run, trace};
pub use syscalls::matrix;
