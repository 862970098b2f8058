//! x86-64's helpers against the host's own instructions.

#![cfg(target_arch = "x86_64")]

mod native;
mod x87;
mod xsave;
