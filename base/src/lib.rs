//! The ground that every layer of Ferry stands on: address newtypes, the CPU frame that the
//! interpreter, compiled code and the runtime share, exact floating point, and what is asked of the
//! host operating system (`sys`).
//!
//! It may know the host. It must never know a guest architecture, an instruction or a device.

pub mod addr;
pub mod cpu;
pub mod defect;
pub mod float;
pub mod host;
pub mod intrinsic;
pub mod rng;
pub mod sys;
pub mod wide;

pub use addr::{GuestPhys, GuestVirt, HostPtr};
pub use cpu::{CpuFrame, Helper, HelperFn, HelperId, RegSlot, TlbEntry};
pub use intrinsic::{Intrinsic, Packed};
