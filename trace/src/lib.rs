//! Traces of executions: one model of what an instruction did, and the formats in which simulators,
//! emulators and processors' test benches write it down.
//!
//! It knows no guest beyond the names of its registers. It must never know how a guest is run, nor how two
//! executions are compared.
//!
//! * [`Event`] is one instruction that retired or trapped.
//! * A [`Source`] yields events in order, and says in its [`Header`] what they carry: what a format leaves out
//!   is unknown, never "nothing happened".
//! * A [`Sink`] writes them.
//! * [`native`] is Ferry's own format, for long traces.
//! * [`hashes`] are all that is kept of the longest ones.
//! * [`recording`] says what is written down of an execution of Ferry's own.

mod architecture;
mod error;
mod event;
pub mod formats;
pub mod frame;
pub mod hashes;
pub mod names;
pub mod native;
pub mod recording;
mod register;
mod stream;

pub use architecture::Architecture;
pub use error::Error;
pub use event::{Access, AccessKind, Event, Insn, Privilege, RegWrite, Signal, Trap};
pub use register::{RegClass, Register};
pub use stream::{Carries, Header, Sink, Source, Writes};
