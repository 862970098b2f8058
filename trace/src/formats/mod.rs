//! The formats of other tools, by the names that the command line gives them.

mod detect;
pub mod execlog;
mod qemu;
pub mod rvfi;
mod rvvi;
mod spike;
mod tarmac;
mod text;

use std::io::{BufRead, Write};

use crate::{Architecture, Error, Event, Insn, Sink, Source};

pub use detect::detect;

/// A format of traces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// What Spike prints with `--log-commits`, with `-l`, or with both.
    Spike,
    /// What QEMU's plugin `execlog` prints.
    Execlog,
    /// QEMU's log with `-d exec,cpu,nochain,in_asm` and one instruction a block.
    Qemu,
    /// RVVI-TEXT 0.1, of the RISC-V Verification Interface.
    Rvvi,
    /// Arm's Tarmac, as Fast Models write it, and as simulations of processors do.
    Tarmac,
    /// The execution packets of RVFI-DII, one after another.
    Rvfi,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Spike, Self::Execlog, Self::Qemu, Self::Rvvi, Self::Tarmac, Self::Rvfi];

    /// As the command line names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Execlog => "execlog",
            Self::Qemu => "qemu",
            Self::Rvvi => "rvvi",
            Self::Tarmac => "tarmac",
            Self::Rvfi => "rvfi",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The only architecture that the format is for, if there is one.
    #[must_use]
    pub const fn architecture(self) -> Option<Architecture> {
        match self {
            Self::Spike | Self::Rvvi | Self::Rvfi => Some(Architecture::Riscv64),
            Self::Tarmac => Some(Architecture::Aarch64),
            Self::Execlog | Self::Qemu => None,
        }
    }

    /// Reads a trace. The architecture is needed where the trace does not tell it.
    ///
    /// # Errors
    /// The trace is of another architecture, its architecture is not known, or it cannot be read.
    pub fn read<'a, R: BufRead + Send + 'a>(
        self,
        reader: R,
        architecture: Option<Architecture>,
    ) -> Result<Box<dyn Source + Send + 'a>, Error> {
        if let Some(expected) = architecture {
            self.check(expected)?;
        }
        Ok(match self {
            Self::Spike => Box::new(spike::SpikeSource::new(reader)?),
            Self::Execlog => Box::new(execlog::ExeclogSource::new(reader, architecture)?),
            Self::Qemu => Box::new(qemu::QemuSource::new(reader, architecture)?),
            Self::Rvvi => Box::new(rvvi::RvviSource::new(reader)?),
            Self::Tarmac => Box::new(tarmac::TarmacSource::new(reader)?),
            Self::Rvfi => Box::new(rvfi::RvfiSource::new(reader)?),
        })
    }

    /// Writes a trace. `None` for a format that is only read.
    ///
    /// # Errors
    /// The format is for another architecture.
    pub fn write<'a, W: Write + Send + 'a>(
        self,
        writer: W,
        architecture: Architecture,
    ) -> Result<Option<Box<dyn Sink + Send + 'a>>, Error> {
        self.check_writable(architecture)?;
        Ok(match self {
            Self::Spike => Some(Box::new(spike::SpikeSink::new(writer))),
            Self::Execlog => Some(Box::new(execlog::ExeclogSink::new(writer, architecture))),
            Self::Rvvi => Some(Box::new(rvvi::RvviSink::new(writer))),
            Self::Tarmac => Some(Box::new(tarmac::TarmacSink::new(writer))),
            Self::Qemu | Self::Rvfi => None,
        })
    }

    /// Whether it can say what CPUs of an architecture execute.
    ///
    /// # Errors
    /// It is for another one.
    pub fn check_writable(self, architecture: Architecture) -> Result<(), Error> {
        self.check(architecture)
            .map_err(|_| self.unsayable(format!("what {} executes", architecture.name())))
    }

    fn check(self, expected: Architecture) -> Result<(), Error> {
        match self.architecture() {
            Some(found) if found != expected => Err(Error::Architecture { expected, found }),
            _ => Ok(()),
        }
    }

    /// The error for an event that the format has no words for.
    fn unsayable(self, what: impl Into<String>) -> Error {
        Error::Unsayable { format: self.name(), what: what.into() }
    }

    /// The instruction of an event, in a format that cannot do without.
    fn insn_of(self, event: &Event) -> Result<Insn, Error> {
        event
            .insn
            .ok_or_else(|| self.unsayable(format!("the unknown instruction at {:#x}", event.pc)))
    }
}

/// A RISC-V instruction from a number that may have more digits, by the length in its lowest bits ("Expanded
/// Instruction-Length Encoding").
fn riscv_insn(word: u64) -> Option<Insn> {
    let len = match word {
        _ if word & 0b11 != 0b11 => 2,
        _ if word & 0b1_1111 != 0b1_1111 => 4,
        _ if word & 0b11_1111 == 0b01_1111 => 6,
        _ => 8,
    };
    Insn::from_word(word, len)
}

/// How many CPUs a trace may have: what is kept of each must not fill the memory.
const MOST_HARTS: u64 = 1 << 12;

/// The number of a CPU.
fn hart_number(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|_| number < MOST_HARTS)
}

/// No instruction has more writes or accesses; what a malformed trace says of one must not fill the memory.
const MOST_EFFECTS: usize = 1 << 12;

/// Whether there are not too many effects.
fn check_effects(event: &Event) -> Result<(), String> {
    match event.writes.len().max(event.accesses.len()) {
        0..=MOST_EFFECTS => Ok(()),
        _ => Err(format!("an instruction has more than {MOST_EFFECTS} effects")),
    }
}

/// The entry of a CPU, made if it is the first time.
fn of_hart<T: Default>(harts: &mut Vec<T>, hart: u32) -> &mut T {
    let place = hart as usize;
    if harts.len() <= place {
        harts.resize_with(place + 1, T::default);
    }
    &mut harts[place]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for format in Format::ALL {
            assert_eq!(Format::by_name(format.name()), Some(format));
        }
        assert_eq!(Format::by_name("vcd"), None);
    }

    #[test]
    fn a_format_is_not_taken_for_another_architecture() {
        let read = Format::Spike.read(&b""[..], Some(Architecture::Aarch64));
        assert!(matches!(read.err(), Some(Error::Architecture { .. })));
        let write = Format::Tarmac.write(Vec::new(), Architecture::X86_64);
        assert!(matches!(write.err(), Some(Error::Unsayable { .. })));
    }

    #[test]
    fn lengths_of_instructions_are_in_their_lowest_bits() {
        let len = |word| riscv_insn(word).map(|insn| insn.bytes().len());
        assert_eq!(len(0xdead_4501), Some(2));
        assert_eq!(len(0x0000_0013), Some(4));
        assert_eq!((len(0x1f), len(0x3f)), (Some(6), Some(8)));
    }
}
