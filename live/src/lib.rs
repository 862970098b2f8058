//! Executions that are made while they are compared.
//!
//! It knows how an execution is had: of a process or machine behind gdb's remote protocol, of the host's own processor,
//! of Ferry's tiers. It must never know how two executions are compared.
//!
//! * [`Remote`] steps what speaks gdb's remote protocol: qemu, a simulator, another Ferry.
//! * [`Native`] steps a program on the host's processor, by ptrace(2).
//! * [`Replayed`] repeats another execution in Ferry, interpreted or compiled, instruction by instruction or block by block: memory,
//!   registers, and what the kernel does it has from there.
//! * [`Machine`] is a machine of Ferry's, stepped beside another one: what devices and counters say, and when interrupts come, it has from there.
//!
//! * [`Follows`] is a record, with the state of the program that is run beside it.
//! * [`Calls`] compares a live reference and a tier where they call the system, both at full speed in between.
//!
//! What of memory a system call writes, [`linux_user::kernel`] says.

mod calls;
mod code;
mod fetched;
mod follows;
mod gdb;
mod machine;
mod maps;
mod native;
mod replayed;
mod sharing;
mod signals;
mod watcher;

pub use calls::{Calls, Parted, call_bytes, pass};
pub use follows::Follows;
pub use gdb::{Remote, Stub};
pub use machine::Machine;
pub use native::Native;
pub use replayed::Replayed;

/// A sentence as an error of a source.
fn failed(message: impl Into<String>) -> trace::Error {
    trace::Error::Io(std::io::Error::other(message.into()))
}
