//! Writing the plugin's log.

use std::io::Write;

use crate::formats::Format;
use crate::names::{gdb_name, register_bits};
use crate::{AccessKind, Architecture, Error, Event, RegClass, RegWrite, Register, Sink};

/// Writes the log of the plugin, as of a program, with the registers that changed.
pub(crate) struct ExeclogSink<W> {
    writer: W,
    architecture: Architecture,
}

impl<W: Write> ExeclogSink<W> {
    pub(crate) const fn new(writer: W, architecture: Architecture) -> Self {
        Self { writer, architecture }
    }

    fn register(&mut self, RegWrite { register, value }: RegWrite) -> Result<(), Error> {
        let is_zero = self.architecture == Architecture::Riscv64 && register == Register::int(0);
        // The plugin's value of this one is not what it seems.
        let is_stale =
            self.architecture == Architecture::X86_64 && register.class == RegClass::Flags;
        if is_zero || is_stale {
            return Ok(());
        }
        let unsayable = || {
            Format::Execlog.unsayable(format!("a write to {}", register.shown(self.architecture)))
        };
        let name = gdb_name(self.architecture, register).ok_or_else(unsayable)?;
        let width = 2 + register_bits(self.architecture, register).div_ceil(4) as usize;
        Ok(write!(self.writer, ", {name} -> {value:#0width$x}")?)
    }
}

impl<W: Write> Sink for ExeclogSink<W> {
    fn write(&mut self, event: &Event) -> Result<(), Error> {
        // The opcode is cut to 32 bits, as the plugin's is.
        let opcode = Format::Execlog.insn_of(event)?.word() & 0xffff_ffff;
        write!(self.writer, "{}, {:#x}, {opcode:#x}, \"\"", event.hart, event.pc)?;
        for access in &event.accesses {
            let kind = match access.kind {
                AccessKind::Load => "load",
                AccessKind::Store => "store",
            };
            write!(self.writer, ", {kind}, {:#010x}", access.addr)?;
        }
        event.writes.iter().try_for_each(|write| self.register(*write))?;
        Ok(writeln!(self.writer)?)
    }

    fn finish(&mut self) -> Result<(), Error> {
        Ok(self.writer.flush()?)
    }
}
