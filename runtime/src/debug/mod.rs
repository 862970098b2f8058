//! Debugging a guest: break- and watchpoints as the engine keeps them, and gdb's protocol for
//! whoever has something to debug.

pub mod gdb;
pub(crate) mod points;
mod watched;

pub(crate) use points::PointSet;
pub use points::{BreakKind, Points};
pub(crate) use watched::Watched;

use base::GuestVirt;
use softmmu::WatchHit;

/// Why a CPU stopped for a debugger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DebugStop {
    /// It is at a breakpoint, whose instruction it has not executed.
    Breakpoint(BreakKind),
    /// The instruction before its pc made an access that is watched.
    Watchpoint(WatchHit),
    /// It has executed the one instruction that it was to.
    Step,
}

/// Something that a debugger can set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// A breakpoint, at an address of the guest's own (in a whole machine: virtual).
    Break(GuestVirt, BreakKind),
    /// A watchpoint.
    Watch(softmmu::Watch),
}
