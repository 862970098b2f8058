//! Linux hosts.

pub mod access;
pub mod fault;
