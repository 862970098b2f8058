//! Whole machines: the contract that devices keep, the bus that joins them with memory, the devices,
//! and what drives CPUs and devices together.
//!
//! It may know `runtime`, and what a guest's CPU is at system level. It must never know
//! `linux-user`.

pub mod bus;
pub mod device;
pub mod devices;
pub mod host;
pub mod machine;
pub mod riscv64;

pub use bus::{AttachError, Bus, BusError, DeviceId, OutputChange};
pub use device::{
    Access, Device, Effect, InterruptController, Lines, Message, Notifier, Refusal, Time, Width,
    World,
};
