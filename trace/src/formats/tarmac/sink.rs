//! Writing Tarmac.

use std::io::Write;

use crate::formats::Format;
use crate::names::gdb_name;
use crate::{
    Access, AccessKind, Architecture, Error, Event, Privilege, RegClass, RegWrite, Register, Sink,
};

/// Writes Tarmac as Fast Models do, without the text of instructions. The time is the number of the line's instruction.
pub(crate) struct TarmacSink<W> {
    writer: W,
    count: u64,
}

impl<W: Write> TarmacSink<W> {
    pub(crate) const fn new(writer: W) -> Self {
        Self { writer, count: 0 }
    }

    /// `17 clk cpu1 `
    fn begin(&mut self, hart: u32) -> Result<(), Error> {
        Ok(write!(self.writer, "{} clk cpu{hart} ", self.count)?)
    }

    fn register(&mut self, write: RegWrite, level: u8) -> Result<(), Error> {
        let RegWrite { register, value } = write;
        match register.class {
            RegClass::Int if register == Register::int(31) => {
                writeln!(self.writer, "R SP_EL{level} {value:016X}")?;
            }
            RegClass::Int => writeln!(self.writer, "R X{} {value:016X}", register.number)?,
            RegClass::Vector => writeln!(self.writer, "R q{} {value:032x}", register.number)?,
            RegClass::Flags => {
                let mode = if level == 0 { 0 } else { u128::from(level) << 2 | 1 };
                writeln!(self.writer, "R cpsr {:08x}", value & 0xf000_0000 | mode)?;
            }
            RegClass::Control => {
                let name = gdb_name(Architecture::Aarch64, register).unwrap_or_default();
                writeln!(self.writer, "R {} {value:016x}", name.to_ascii_uppercase())?;
            }
            RegClass::Float | RegClass::VectorUpper => {
                return Err(Format::Tarmac.unsayable(format!("a write to {register:?}")));
            }
        }
        Ok(())
    }

    fn access(&mut self, access: &Access) -> Result<(), Error> {
        let (Some(size), Some(value)) = (access.size, access.value) else {
            return Err(Format::Tarmac.unsayable("a memory access without its size and value"));
        };
        let kind = match access.kind {
            AccessKind::Load => "MR",
            AccessKind::Store => "MW",
        };
        write!(self.writer, "{kind}{size} {:08x}", access.addr)?;
        if let Some(phys) = access.phys {
            write!(self.writer, ":{phys:012x}")?;
        }
        let digits = format!("{value:0width$x}", width = 2 * usize::from(size));
        // Groups of eight, from the right.
        let first = digits.len() % 8;
        let groups = digits.as_bytes()[first..].chunks(8).map(String::from_utf8_lossy);
        let groups = Some(digits[..first].into()).filter(|_| first != 0).into_iter().chain(groups);
        Ok(writeln!(self.writer, " {}", groups.collect::<Vec<_>>().join("_"))?)
    }
}

impl<W: Write> Sink for TarmacSink<W> {
    fn write(&mut self, event: &Event) -> Result<(), Error> {
        self.count += 1;
        let insn = Format::Tarmac.insn_of(event)?;
        let unknown = || Format::Tarmac.unsayable("an unknown exception level");
        let Privilege(level) = event.privilege.filter(|level| level.0 <= 3).ok_or_else(unknown)?;
        let stack = if level == 0 { 't' } else { 'h' };
        self.begin(event.hart)?;
        writeln!(
            self.writer,
            "IT ({}) {:08x} {:08x} O EL{level}{stack}_n : ",
            self.count,
            event.pc,
            insn.word()
        )?;
        for access in &event.accesses {
            self.begin(event.hart)?;
            self.access(access)?;
        }
        for write in &event.writes {
            self.begin(event.hart)?;
            self.register(*write, level)?;
        }
        if event.trap.is_some() {
            let from = if level == 0 { "LOWER_64" } else { "CURRENT_SPx" };
            self.begin(event.hart)?;
            writeln!(self.writer, "E 00000000 00000000 CoreEvent_{from}_SYNC")?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        Ok(self.writer.flush()?)
    }
}
