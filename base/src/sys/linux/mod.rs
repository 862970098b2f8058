//! Linux hosts.

pub mod access;
pub mod clock;
pub mod fault;
pub mod memory;
pub mod random;
pub mod thread;
