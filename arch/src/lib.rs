//! What each guest architecture *is*, apart from its instructions: the registers and where they lie
//! in a [`base::CpuFrame`], system registers, features, page-table formats, and the helpers that
//! IR calls for what it has no operation for. One folder a guest.
//!
//! It may know the architecture manuals. It must never know how instructions are decoded or
//! translated, nor anything of an operating system.

pub mod aarch64;
pub mod access;
mod crypto;
pub mod debug;
pub mod frame;
mod guarded;
mod helper_table;
mod lane;
pub mod model;
pub mod riscv64;
mod sys;
pub mod x86_64;
