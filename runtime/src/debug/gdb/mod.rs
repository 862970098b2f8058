//! gdb's remote serial protocol ("Debugging with GDB", appendix "Remote Protocol"), for whoever
//! implements [`Debuggee`]: a process with its threads, a machine with its CPUs as threads.
//!
//! All-stop: the guest stands still while gdb looks at it. One debugger at a time; when it goes, the
//! next may come.

mod debuggee;
mod listen;
mod packets;
mod session;
mod target;

pub use debuggee::{Debuggee, End, Event, Memory, Resume, Signal, StopReason, Thread};
pub use listen::{Address, AddressError, Listener, Move, Stream};
pub use session::{Visits, serve};
