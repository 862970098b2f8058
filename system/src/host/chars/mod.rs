//! What stands behind a device that sends and receives bytes: a serial port, a console.

mod escape;
mod file;
mod memory;
mod patient;
mod pty;
mod pump;
mod spec;
mod stdio;
pub mod terminal;
mod unix;

use crate::device::Notifier;

pub use escape::{Escape, EscapeFilter, PREFIX};
pub use file::file;
pub use memory::{Memory, Null};
pub use patient::Patient;
pub use pty::{Pty, pty};
pub use pump::Pump;
pub use spec::{CharError, CharSpec, Opened};
pub use stdio::stdio;
pub use unix::unix;

/// The other end of a serial line. It never blocks: what it cannot take or give now, it announces
/// through its notifier when it can.
pub trait CharBackend: Send {
    /// Takes the first of these bytes, as many as there is room for. If these are not all, it notifies
    /// when there is room again.
    fn write(&mut self, bytes: &[u8]) -> usize;

    /// Gives bytes that have come in, as many as there are and as the buffer takes. It notifies when there
    /// are some after there were none.
    fn read(&mut self, buffer: &mut [u8]) -> usize;

    /// Whom to notify; called once, before anything else.
    fn connect(&mut self, notifier: Notifier);

    /// Whether a break has come in since this was last asked.
    fn take_break(&mut self) -> bool {
        false
    }
}
