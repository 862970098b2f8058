//! The execution loop: tiers, the translation-block cache, regions and their compile workers,
//! chaining, invalidation, statistics.
//!
//! It may know every layer below it. It must never know what a system call or a device is: those
//! see it from above, through [`Vcpu::run`] and its [`Exit`]s.
//!
//! * [`Engine`] is one guest address space's translations; all its CPUs' threads share it.
//! * [`Vcpu`] is one guest CPU: registers, a jump cache, and the loop.
//! * [`Promoter`] is what compiles blocks that run hot; [`RegionCompiler`] is the one there is.
//!
//! Locks, outermost first: the compile queue and the regions, the list of CPUs, the translations, the log. None is held while
//! [`CodePages`] or a [`Promoter`] is called.

mod block;
mod code_pages;
mod config;
mod cpus;
pub mod debug;
mod engine;
mod epoch;
mod exit;
mod fork;
mod invalidate;
mod jump_cache;
mod limit;
mod log;
mod observe;
mod pages;
mod perf_map;
mod promote;
mod region;
mod replay;
mod settle;
mod softmmu_memory;
mod stats;
mod system_cpu;
mod tb_cache;
mod translate;
mod vcpu;

pub use backend::{CodeMemoryError as RegionCompilerError, CompileOptions, MemoryModel};
pub use code_pages::CodePages;
pub use config::{Addresses, BlockEnds, EngineConfig, Observation, Probes, Tier};
pub use cpus::Interrupter;
pub use debug::{BreakKind, DebugStop, Point};
pub use engine::{Engine, EngineError};
pub use exit::{Exit, FetchFault, FetchFaultCause};
pub use fork::ForkGuard;
pub use ir::Precision;
pub use ir::opt::Passes;
pub use log::{LogError, LogItem, LogItems, LogSink};
pub use observe::{ObservedAccess, Observer, Signalled, Trapped};
pub use perf_map::PerfMap;
pub use promote::{
    CompiledStop, Entries, ExitId, ForkError, Held, Promoter, RegionId, RegionSpan, Stale, Stamp,
    Surroundings,
};
pub use region::{RegionCompiler, RegionConfig};
pub use replay::Replayed;
pub use stats::Stats;
pub use vcpu::Vcpu;
