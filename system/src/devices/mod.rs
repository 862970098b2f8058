//! The devices, one folder or file each, named as their specifications name them.

pub mod aclint;
pub mod aplic;
#[cfg(test)]
pub(crate) mod bench;
pub mod fw_cfg;
pub mod goldfish_rtc;
pub mod htif;
pub mod imsic;
pub mod pci;
pub mod pflash;
pub mod plic;
pub mod sifive_test;
mod source_bits;
pub mod uart16550;
pub mod virtio;

pub use aclint::Aclint;
pub use aplic::Aplic;
pub use fw_cfg::FwCfg;
pub use goldfish_rtc::GoldfishRtc;
pub use htif::Htif;
pub use imsic::Imsic;
pub use pflash::Pflash;
pub use plic::Plic;
pub use sifive_test::SifiveTest;
pub use uart16550::Uart16550;
