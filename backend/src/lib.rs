//! From regions of IR to host code, through Cranelift.
//!
//! * [`Region`] is what is compiled at once: blocks that run hot together.
//! * [`register_mapper`] decides which guest registers live in SSA values, and where they are
//!   written back: it is what keeps guest state exact (see ARCHITECTURE.md, "Precise state").
//! * `lower` turns IR operations into Cranelift's.
//! * [`Compiler`] makes [`CompiledRegion`]s; one a thread.
//! * [`baseline`] compiles single blocks, quickly.
//! * [`CodeMemory`] holds finished code, never writable and executable through one mapping.
//! * [`entry`] is the way into compiled code and back.
//!
//! It sees IR and the CPU frame only: never a guest, a decoder, the runtime or an operating system's
//! system calls (but for its own memory).

pub mod baseline;
pub mod code_memory;
mod compiler;
pub mod entry;
pub mod fp_slow;
mod host_insn;
mod lower;
pub mod memory_slow;
mod packed;
mod preserve;
pub mod region;
pub mod register_mapper;

pub use code_memory::{ChildCode, CodeMemory, CodeMemoryError, PlacedRegion};
pub use compiler::{
    CompileError, CompileOptions, CompiledRegion, Compiler, ExitSite, Listing, MemoryModel, PcMap,
    PcRange,
};
pub use entry::ExitCode;
pub use region::Region;
