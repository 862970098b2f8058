//! Whole machines. So far: the contract that devices keep, the bus that joins them with memory, and
//! two devices of the RISC-V `virt` machine that hold the contract to the test. No machine is
//! complete, and `ferry boot` does not exist yet.
//!
//! It may know `softmmu` and, once machines run, `runtime`. It must never know `linux-user`.

pub mod bus;
pub mod device;
pub mod devices;
pub mod host;

pub use bus::{AttachError, Bus, BusError, DeviceId, OutputChange};
pub use device::{
    Access, Device, Effect, InterruptController, Lines, Message, Notifier, Refusal, Time, Width,
    World,
};
