//! The devices, one folder or file each, named as their specifications name them.

pub mod aclint;
#[cfg(test)]
pub(crate) mod bench;
pub mod fw_cfg;
pub mod goldfish_rtc;
pub mod htif;
pub mod plic;
pub mod sifive_test;
pub mod uart16550;

pub use aclint::Aclint;
pub use fw_cfg::FwCfg;
pub use goldfish_rtc::GoldfishRtc;
pub use htif::Htif;
pub use plic::Plic;
pub use sifive_test::SifiveTest;
pub use uart16550::Uart16550;
