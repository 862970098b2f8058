//! The devices, one folder or file each, named as their specifications name them.

pub mod goldfish_rtc;
pub mod pci;
pub mod sifive_test;
pub mod virtio;

pub use goldfish_rtc::GoldfishRtc;
pub use sifive_test::SifiveTest;
