//! The memory of a whole machine as its CPUs see it: what guest-physical addresses stand for (RAM, ROM
//! and devices in a map), what is known of each page of RAM, and each CPU's TLB in front of that.
//!
//! It may know `base`. It must never know a guest architecture, a device or a machine: devices are
//! numbers here, which whoever owns the map gives a meaning, and page tables are walked by the
//! guest's half ([`GuestMmu`]).

pub mod cost;
mod fetched;
pub mod map;
pub mod ram;
pub mod range;
pub mod softmmu;
pub mod tlb;
pub mod tracker;
pub mod walks;
pub mod watch;

pub use cost::{Cost, MissCosts};
pub use map::{Backing, MapError, MemoryMap, MmioId, Place, Region, ResolveError};
pub use ram::{GuestMemory, Ram, RamError};
pub use range::{PhysRange, RangeError};
pub use softmmu::{
    AccessKind, AtomicPlace, GuestFault, GuestMmu, Register, Softmmu, SoftmmuStats, probe,
};
pub use tlb::{Flush, Space, Tlb, TlbStats};
pub use tracker::{CodeWatch, PageTracker};
pub use walks::Walk;
pub use watch::{Watch, WatchHit, WatchKind, WatchPause, Watches};
