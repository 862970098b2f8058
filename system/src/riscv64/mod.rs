//! RISC-V 64: harts, and the `virt` machine.

pub mod boot;
pub mod debug;
pub mod fdt;
mod hart;
pub mod layout;
mod mailbox;
mod mmu;
mod sbi;
pub mod virt;

pub use virt::{Bios, Config, Report, Virt, VirtError};
