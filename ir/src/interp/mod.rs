//! Tier 0: runs blocks at once, by a compact pre-decoded form of their operations.
//!
//! It is the reference for every other tier, and the place where faults are made precise: a block's
//! registers are written at the end of each guest instruction only, so that wherever an operation
//! faults, the frame is what the guest may see.
//!
//! * [`Lowerer`] turns a [`crate::Block`] into [`Code`]: 16-byte micro-operations over one register
//!   file (the frame's slots, then its temporaries).
//! * [`run`] executes code and follows links from block to block until something has to be decided
//!   elsewhere: a [`Stop`].
//! * [`Memory`] is where loads and stores go; [`Direct`] is the guest in the host's address space,
//!   [`Replay`] repeats what compiled code did up to a fault.
//! * [`MicroOp`]s can be read ([`Code::steps`]) by who makes host code of them, and left to the interpreter
//!   ([`Fragment`]).
//!
//! It must never know a guest, nor how code is found, kept or invalidated.

mod code;
mod eval;
mod exec;
mod float;
mod fragment;
mod lower;
mod memory;
mod micro;
mod replay;
mod status;
mod store;
#[cfg(test)]
mod tests;

pub use code::{Code, Entry, Head, Side, Step};
pub use eval::{Pure, pure_function};
pub use exec::{Alone, Context, Jumps, SINK, Stop, ZERO, run};
pub use fragment::{CALL_PURE, Fragment, Operation};
pub use lower::{LowerError, Lowerer};
pub use memory::{Direct, Memory, Site};
pub use micro::{Micro, MicroOp, Raw, Reg};
pub use replay::Replay;
pub use status::StatusOp;
