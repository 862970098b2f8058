//! What the host's own instructions can do for helpers. Each function answers `None` on a host
//! that lacks the instruction; the caller then computes in portable Rust.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::*;

#[cfg(not(target_arch = "x86_64"))]
mod portable;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable::*;
