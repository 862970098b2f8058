//! What every machine is made of, whatever its architecture: time, code in memory, threads that
//! share a bus.

pub mod clock;
pub mod code;
pub mod control;
pub mod shared;

pub use clock::Clock;
pub use code::{DeviceWrites, MachineCode};
pub use control::Control;
pub use shared::{CpuHandle, CpuState, Ending, Events, Happening, Hold, Router, Shared, Watcher};
