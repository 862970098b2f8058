//! Writing RVVI-TEXT.

use std::io::Write;

use super::{UNKNOWN, VENDOR};
use crate::formats::{Format, hart_number, of_hart};
use crate::names::csr_name;
use crate::{Access, AccessKind, Error, Event, RegClass, RegWrite, Sink, Trap};

/// Writes RVVI-TEXT.
pub(crate) struct RvviSink<W> {
    writer: W,
    has_begun: bool,
    /// By hart: the place that a reader gives to the next instruction.
    orders: Vec<u64>,
}

impl<W: Write> RvviSink<W> {
    pub(crate) const fn new(writer: W) -> Self {
        Self { writer, has_begun: false, orders: Vec::new() }
    }

    fn begin(&mut self) -> Result<(), Error> {
        if !std::mem::replace(&mut self.has_begun, true) {
            let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
            writeln!(self.writer, "VENDOR {VENDOR} {major} {minor}\nVERSION 0 1")?;
            writeln!(self.writer, "PARAMS 4 ILEN 32 XLEN 64 FLEN 64 VLEN 128")?;
        }
        Ok(())
    }

    fn register(&mut self, RegWrite { register, value }: RegWrite) -> Result<(), Error> {
        let n = register.number;
        match register.class {
            RegClass::Int if n == 0 => {}
            RegClass::Int => write!(self.writer, " X {n} {value:016x}")?,
            RegClass::Float => write!(self.writer, " F {n} {value:016x}")?,
            RegClass::Vector => write!(self.writer, " V {n} {value:032x}")?,
            RegClass::Control => match csr_name(n) {
                Some(name) => write!(self.writer, " C {n:x} '{name}' {value:016x}")?,
                None => write!(self.writer, " C {n:x} {value:016x}")?,
            },
            RegClass::VectorUpper | RegClass::Flags => {
                return Err(Format::Rvvi.unsayable(format!("a write to {register:?}")));
            }
        }
        Ok(())
    }

    fn access(&mut self, access: &Access) -> Result<(), Error> {
        let kind = match access.kind {
            AccessKind::Load => "LOAD",
            AccessKind::Store => "STORE",
        };
        let size = access.size.map_or_else(|| UNKNOWN.to_owned(), |size| size.to_string());
        let value = access.value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:x}"));
        Ok(write!(self.writer, " META 4 {kind} {:x} {size} {value}", access.addr)?)
    }

    fn trap(&mut self, trap: Trap) -> Result<(), Error> {
        let shown = |value: Option<u64>| {
            value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:x}"))
        };
        Ok(write!(self.writer, " META 3 TRAP {} {}", shown(trap.cause), shown(trap.value))?)
    }
}

impl<W: Write> Sink for RvviSink<W> {
    fn write(&mut self, event: &Event) -> Result<(), Error> {
        self.begin()?;
        let hart = hart_number(event.hart.into());
        let hart = hart.ok_or_else(|| Format::Rvvi.unsayable(format!("hart {}", event.hart)))?;
        write!(self.writer, "HART {hart}")?;
        let expected = of_hart(&mut self.orders, hart);
        let order = event.order.unwrap_or(*expected);
        if order != *expected {
            write!(self.writer, " ORDER {order}")?;
        }
        *expected = order.wrapping_add(1);
        match (event.trap, event.insn) {
            (Some(_), None) => write!(self.writer, " TRAP {:016x} 0 META 1 UNFETCHED", event.pc)?,
            (trap, _) => {
                let insn = Format::Rvvi.insn_of(event)?;
                let key = if trap.is_some() { "TRAP" } else { "RET" };
                let width = 2 * insn.bytes().len();
                write!(self.writer, " {key} {:016x} {:0width$x}", event.pc, insn.word())?;
            }
        }
        if let Some(privilege) = event.privilege {
            write!(self.writer, " MODE {:x}", privilege.0)?;
        }
        event.writes.iter().try_for_each(|write| self.register(*write))?;
        event.accesses.iter().try_for_each(|access| self.access(access))?;
        event.trap.map_or(Ok(()), |trap| self.trap(trap))?;
        Ok(writeln!(self.writer)?)
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.begin()?;
        Ok(self.writer.flush()?)
    }
}
