//! Bytes to instructions, for every guest: from tables of ours, x86-64 by a library.
//!
//! A guest with tables is a module with an `Op` for each instruction, argument structures, visitor traits
//! without default methods, a disassembler, and the list of what is covered. All of it is
//! generated from the tables in the folder of the guest's name.
//!
//! May know: encodings, assembly syntax. Must not know: what an instruction does, how a guest's
//! state is kept, or anything above this layer.

pub mod aarch64;
pub mod riscv64;
pub mod x86_64;
