//! The devices, one folder or file each, named as their specifications name them.

pub mod aclint;
#[cfg(test)]
pub(crate) mod bench;
pub mod goldfish_rtc;
pub mod pci;
pub mod plic;
pub mod sifive_test;
pub mod uart16550;
pub mod virtio;

pub use aclint::Aclint;
pub use goldfish_rtc::GoldfishRtc;
pub use plic::Plic;
pub use sifive_test::SifiveTest;
pub use uart16550::Uart16550;
