//! Measures emulators against each other and against the host, on kernels of our own and on real
//! programs.
//!
//! Every item runs under every emulator in turn, several times over, so that a change in the
//! machine's speed hits all of them alike; and all must print the same, or their times mean nothing.
//! It may use the whole workspace; nothing uses it.

pub mod boot;
pub mod emulators;
pub mod items;
pub mod memory;
pub mod meter;
pub mod report;
pub mod run;
