//! Writing Spike's commit log.

use std::io::Write;

use crate::formats::Format;
use crate::names::csr_name;
use crate::{Access, AccessKind, Error, Event, RegClass, RegWrite, Sink};

/// Writes Spike's commit log. As in Spike's, instructions that trap do not appear, nor does the vector configuration.
pub(crate) struct SpikeSink<W> {
    writer: W,
}

impl<W: Write> SpikeSink<W> {
    pub(crate) const fn new(writer: W) -> Self {
        Self { writer }
    }

    fn register(&mut self, RegWrite { register, value }: RegWrite) -> Result<(), Error> {
        let n = register.number;
        match register.class {
            RegClass::Int if n == 0 => {}
            RegClass::Int => write!(self.writer, " x{n:<2} {value:#018x}")?,
            RegClass::Float => write!(self.writer, " f{n:<2} {value:#018x}")?,
            RegClass::Vector => write!(self.writer, " v{n:<2} {value:#034x}")?,
            RegClass::Control => {
                let name = csr_name(n).unwrap_or_else(|| "unknown".to_owned());
                write!(self.writer, " c{n}_{name} {value:#018x}")?;
            }
            RegClass::VectorUpper | RegClass::Flags => {
                return Err(Format::Spike.unsayable(format!("a write to {register:?}")));
            }
        }
        Ok(())
    }

    fn access(&mut self, access: &Access) -> Result<(), Error> {
        write!(self.writer, " mem {:#018x}", access.addr)?;
        if access.kind == AccessKind::Store {
            let (Some(size), Some(value)) = (access.size, access.value) else {
                return Err(Format::Spike.unsayable("a store without its value"));
            };
            write!(self.writer, " {value:#0width$x}", width = 2 + 2 * usize::from(size))?;
        }
        Ok(())
    }
}

impl<W: Write> Sink for SpikeSink<W> {
    fn write(&mut self, event: &Event) -> Result<(), Error> {
        if event.trap.is_some() {
            return Ok(());
        }
        let insn = Format::Spike.insn_of(event)?;
        let unknown = || Format::Spike.unsayable("an unknown level of privilege");
        let level = event.privilege.filter(|privilege| privilege.0 <= 9).ok_or_else(unknown)?.0;
        let width = 2 + 2 * insn.bytes().len();
        write!(
            self.writer,
            "core{:4}: {level} {:#018x} ({:#0width$x})",
            event.hart,
            event.pc,
            insn.word()
        )?;
        event.writes.iter().try_for_each(|write| self.register(*write))?;
        let of_kind = |kind| event.accesses.iter().filter(move |access| access.kind == kind);
        for access in of_kind(AccessKind::Load).chain(of_kind(AccessKind::Store)) {
            self.access(access)?;
        }
        Ok(writeln!(self.writer)?)
    }

    fn finish(&mut self) -> Result<(), Error> {
        Ok(self.writer.flush()?)
    }
}
