//! What Ferry asks of the host, one folder an operating system, with one interface.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use linux::*;
