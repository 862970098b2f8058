//! RISC-V 64: harts, and the `virt` machine.

mod access;
pub mod boot;
pub mod debug;
pub mod fdt;
pub mod firmware;
mod hart;
pub mod interrupts;
pub mod layout;
mod mailbox;
mod mmu;
mod recording;
mod sbi;
mod stepped;
mod tester;
mod trace;
pub mod virt;

pub use interrupts::Aia;
pub use recording::Record;
pub use stepped::Stepped;
pub use virt::{Bios, Config, Pace, Report, Virt, VirtError};
