//! What a whole machine's guest-physical addresses stand for: RAM, ROM and devices in a map, and
//! which pages of RAM were written to.
//!
//! It may know `base`. It must never know a guest architecture, a device or a machine: devices are
//! numbers here, which whoever owns the map gives a meaning. Virtual addresses and the TLB, which
//! will lie in front of the map, are not here yet.

pub mod map;
pub mod ram;
pub mod range;
pub mod tracker;

pub use map::{Backing, MapError, MemoryMap, MmioId, Place, Region, ResolveError};
pub use ram::{GuestMemory, Ram, RamError};
pub use range::{PhysRange, RangeError};
pub use tracker::{CodeWatch, PageTracker};
