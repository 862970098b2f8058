//! The execution loop: tiers, the translation-block cache, regions and their compile workers,
//! chaining, invalidation, statistics.
//!
//! It may know every layer below it. It must never know what a system call or a device is: those
//! see it from above, through [`Vcpu::run`] and its [`Exit`]s.

mod code_pages;
mod exit;

pub use code_pages::CodePages;
pub use exit::{Exit, FetchFault, FetchFaultCause};
