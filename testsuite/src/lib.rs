//! What the suites share: where fetched and built files are kept, how a guest program is run and
//! watched, and how the foreign systems that tests run in are put together.
//!
//! It may use everything in the workspace; nothing but the benches may use it.

pub mod bare;
pub mod cache;
pub mod console;
pub mod debian;
pub mod emulator;
pub mod gdb;
pub mod guests;
pub mod host_program;
pub mod image;
pub mod insn;
pub mod known;
pub mod machine;
pub mod native;
pub mod process;
pub mod seed;
pub mod suite;
pub mod toolchain;

pub use fuzz::qemu;

use std::path::{Path, PathBuf};

/// Where the cases of real programs are, one file a family.
#[must_use]
pub fn programs_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

/// Where the sources of our own guest programs are.
#[must_use]
pub fn guest_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guest")
}

/// Where the guests of the debuggers' tests are.
#[must_use]
pub fn debug_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("debug")
}

/// Where the programs are that run while they are compared.
#[must_use]
pub fn live_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("live")
}

/// Where the programs for the bare machine are.
#[must_use]
pub fn bare_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bare/riscv64")
}
