//! What the suites share: where fetched and built files are kept, how a guest program is run and
//! watched, and how the foreign systems that tests run in are put together.
//!
//! It may use everything in the workspace; nothing but the benches may use it.

pub mod cache;
pub mod debian;
pub mod emulator;
pub mod known;
pub mod process;
pub mod suite;
pub mod toolchain;
