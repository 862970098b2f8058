//! Where events come from and go to.

use crate::{Architecture, Error, Event};

/// What the events of a source say, so that what they do not say is not taken for nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whose instructions they are.
    pub architecture: Architecture,
    /// What they carry.
    pub carries: Carries,
    /// The program or the command that was traced, if the trace says so.
    pub program: Option<String>,
}

/// Which fields of events are filled in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Carries {
    /// `Event::insn`
    pub insn: bool,
    /// `Event::privilege`
    pub privilege: bool,
    /// Writes to integer registers.
    pub int: Writes,
    /// Writes to floating-point and vector registers, and upper halves of these.
    pub float: Writes,
    /// Writes to flags and control registers. Where they are not complete, those that are there count.
    pub control: Writes,
    /// The addresses of loads.
    pub loads: bool,
    /// What was loaded.
    pub load_values: bool,
    /// The addresses of stores.
    pub stores: bool,
    /// What was stored.
    pub store_values: bool,
    /// Instructions that trap have events. Otherwise the first instruction of the handler follows what was before.
    pub traps: bool,
}

impl Carries {
    /// The same without accesses to memory.
    #[must_use]
    pub const fn without_memory(self) -> Self {
        Self { loads: false, load_values: false, stores: false, store_values: false, ..self }
    }
}

/// What the absence of a register's write means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Writes {
    /// Nothing: writes of this kind are not in the trace, or only some of them.
    #[default]
    Unknown,
    /// The register has the same value as before.
    Changes,
    /// As [`Writes::Changes`], and writes of the same value are there, too.
    Every,
}

/// An execution, instruction by instruction.
pub trait Source {
    /// What its events say.
    fn header(&self) -> &Header;

    /// Fills in the next event, whatever was in it. `false` at the end of the execution.
    ///
    /// # Errors
    /// The trace is malformed, or cannot be read.
    fn next(&mut self, event: &mut Event) -> Result<bool, Error>;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn header(&self) -> &Header {
        (**self).header()
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        (**self).next(event)
    }
}

/// Where an execution is written down.
pub trait Sink {
    /// Writes one event down.
    ///
    /// # Errors
    /// It cannot be written, or the format has no words for it.
    fn write(&mut self, event: &Event) -> Result<(), Error>;

    /// Writes what belongs at the end. What is not finished may be cut short.
    ///
    /// # Errors
    /// It cannot be written.
    fn finish(&mut self) -> Result<(), Error>;
}
