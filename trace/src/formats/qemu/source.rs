//! Reading QEMU's log.

use std::io::BufRead;

use super::blocks::Blocks;
use super::dump::{self, Dump};
use super::exception::{self, Exception};
use crate::formats::text::{Lines, Peeked, Scan, peek};
use crate::formats::{hart_number, of_hart};
use crate::{
    Architecture, Carries, Error, Event, Header, Insn, Privilege, RegClass, Source, Trap, Writes,
};

/// Reads QEMU's log.
pub(crate) struct QemuSource<R> {
    lines: Lines<Peeked<R>>,
    header: Header,
    has_dumps: bool,
    blocks: Blocks,
    cpus: Vec<Cpu>,
    /// CPUs whose block begins, and whose registers are about to be dumped.
    beginning: Vec<Begun>,
    /// The dump that is being read.
    dump: Dump,
    /// The CPU of the last exception that began.
    raising: Option<u32>,
    has_events: bool,
}

#[derive(Default)]
struct Cpu {
    /// Its registers before what it executes.
    dump: Dump,
    executes: Option<Begun>,
}

/// An instruction that began.
#[derive(Clone, Copy)]
struct Begun {
    hart: u32,
    pc: u64,
    /// The program counter of the dump: on x86, within its segment.
    dumped_pc: u64,
    insn: Option<Insn>,
    privilege: Option<Privilege>,
    trap: Option<Trap>,
    /// An interrupt followed, which wrote control registers, too.
    is_interrupted: bool,
}

/// What the beginning of a log tells.
struct Beginning {
    architecture: Option<Architecture>,
    has_dumps: bool,
    has_floats: bool,
    has_texts: bool,
}

impl Beginning {
    fn of(prefix: &[u8]) -> Result<Self, &'static str> {
        let has = |text: &str| memchr::memmem::find(prefix, text.as_bytes()).is_some();
        let is_arm32 = has("R00=") && has("PSR=");
        let is_x86_32 = has("EAX=") && !has("RAX=") && has("EIP=");
        let is_riscv32 = memchr::memmem::find(prefix, b" x0/zero  ").is_some_and(|at| {
            prefix[at + 10..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count() == 8
        });
        if is_arm32 || is_x86_32 || is_riscv32 {
            return Err("registers of 32 bits: only 64-bit architectures are understood");
        }
        let marks = [
            (Architecture::Riscv64, " x0/zero"),
            (Architecture::Aarch64, " X00="),
            (Architecture::X86_64, "RAX="),
        ];
        let architecture = marks.into_iter().find(|mark| has(mark.1)).map(|mark| mark.0);
        // The dumps of RISC-V's floating-point and vector registers are two.
        let has_floats = (has(" f0/ft0 ") && has(" v0 "))
            || ["Q00=", "Z00=", "XMM00=", "YMM00=", "ZMM00="].into_iter().any(has);
        let has_texts = has("IN:");
        Ok(Self { architecture, has_dumps: architecture.is_some(), has_floats, has_texts })
    }
}

impl<R: BufRead> QemuSource<R> {
    /// Reads the beginning, too.
    pub(crate) fn new(reader: R, architecture: Option<Architecture>) -> Result<Self, Error> {
        let (prefix, reader) = peek(reader)?;
        let lines = Lines::new(reader);
        let beginning = Beginning::of(&prefix).map_err(|reason| lines.error(reason))?;
        let architecture = match (architecture, beginning.architecture) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(Error::Architecture { expected, found });
            }
            (given, found) => given.or(found).ok_or_else(|| {
                lines.error("without dumps of registers (-d cpu), the architecture must be given")
            })?,
        };
        let writes = |is_shown| if is_shown { Writes::Changes } else { Writes::Unknown };
        let carries = Carries {
            insn: beginning.has_texts,
            privilege: beginning.has_dumps && architecture != Architecture::Riscv64,
            int: writes(beginning.has_dumps),
            float: writes(beginning.has_floats),
            traps: true,
            ..Carries::default()
        };
        Ok(Self {
            lines,
            header: Header { architecture, carries, program: None },
            has_dumps: beginning.has_dumps,
            blocks: Blocks::default(),
            cpus: Vec::new(),
            beginning: Vec::new(),
            dump: Dump::default(),
            raising: None,
            has_events: false,
        })
    }

    /// A line that is not of a dump. `true` if it completes the event.
    fn line(&mut self, kind: Line, event: &mut Event) -> Result<bool, String> {
        match kind {
            Line::Trace { place, mut begun } => {
                self.blocks.end();
                begun.insn = self.blocks.executed(place, begun.pc);
                if self.has_dumps {
                    return self.begin(begun).map(|()| false);
                }
                begun.fill_in(event);
                return Ok(true);
            }
            Line::Exception(exception) => self.exception(exception),
            Line::Stopped { pc } => {
                let stopped = |cpu: &&mut Cpu| cpu.executes.is_some_and(|begun| begun.pc == pc);
                if let Some(cpu) = self.cpus.iter_mut().find(stopped) {
                    cpu.executes = None;
                }
            }
            Line::Other => self.blocks.end(),
        }
        Ok(false)
    }

    fn begin(&mut self, begun: Begun) -> Result<(), String> {
        if self.beginning.iter().any(|other| other.hart == begun.hart) {
            return Err(format!(
                "no dump of the registers of CPU {} follows its last block",
                begun.hart
            ));
        }
        self.beginning.push(begun);
        Ok(())
    }

    /// The dump that was read is complete. `true` if it completes the event.
    fn finish_dump(&mut self, event: &mut Event) -> Result<bool, String> {
        let architecture = self.header.architecture;
        if self.dump.is_of_32_bits() {
            return Err(
                "an instruction of 16- or 32-bit code: only 64-bit code is understood".to_owned()
            );
        }
        let unknown = || format!("a dump without a program counter of {}", architecture.name());
        let pc = self.dump.pc(architecture).ok_or_else(unknown)?;
        let hart = self.dump.hart();
        let is_owner = |begun: &Begun| {
            begun.dumped_pc == pc && hart.is_none_or(|hart| hart == u64::from(begun.hart))
        };
        let mut owners =
            (0..self.beginning.len()).filter(|place| is_owner(&self.beginning[*place]));
        let place = match (owners.next(), owners.next()) {
            (Some(place), None) => place,
            (None, _) => {
                return Err(format!("a dump at {pc:#x}, where no block of its CPU begins"));
            }
            (Some(_), Some(_)) => {
                return Err(format!(
                    "a dump at {pc:#x}, where blocks of several CPUs begin: run QEMU with -accel tcg,thread=single"
                ));
            }
        };
        let mut begun = self.beginning.swap_remove(place);
        begun.privilege = self.dump.privilege(architecture);
        let cpu = of_hart(&mut self.cpus, begun.hart);
        let done = cpu.executes.replace(begun);
        if let Some(done) = done {
            done.fill_in(event);
            cpu.dump.changes(&self.dump, architecture, &mut event.writes);
            if done.is_interrupted {
                event.writes.retain(|write| write.register.class != RegClass::Control);
            }
        }
        std::mem::swap(&mut cpu.dump, &mut self.dump);
        self.dump.clear();
        Ok(done.is_some())
    }

    fn exception(&mut self, exception: Exception) {
        match exception {
            Exception::AtPc { hart, pc, trap } => {
                let is_named = |begun: &Begun| hart.is_none_or(|hart| begun.hart == hart);
                let executed = self.cpus.iter_mut().filter_map(|cpu| cpu.executes.as_mut());
                let here = executed.filter(|begun| begun.pc == pc).find(|begun| is_named(begun));
                if let Some(begun) = here {
                    begun.trap = Some(trap);
                }
            }
            Exception::Begins { hart } => {
                self.raising = Some(hart);
                self.change_raising(|begun| begun.trap = Some(Trap::default()));
            }
            Exception::Class(class) => self.change_raising(|begun| {
                begun.trap = begun.trap.map(|trap| Trap { cause: Some(class), ..trap });
            }),
            Exception::Fault(addr) => self.change_raising(|begun| {
                begun.trap = begun.trap.map(|trap| Trap { value: Some(addr), ..trap });
            }),
            Exception::Served => self.change_raising(|begun| begun.trap = None),
            Exception::Interrupt { hart } => {
                self.raising = Some(hart.unwrap_or(0));
                self.change_raising(|begun| begun.is_interrupted = true);
                self.raising = None;
            }
        }
    }

    /// Changes what the CPU executes that the last lines about exceptions named.
    fn change_raising(&mut self, change: impl FnOnce(&mut Begun)) {
        let cpu = self.raising.and_then(|hart| self.cpus.get_mut(hart as usize));
        if let Some(begun) = cpu.and_then(|cpu| cpu.executes.as_mut()) {
            change(begun);
        }
    }

    fn finish(&mut self, event: &mut Event) -> Result<bool, Error> {
        if !self.dump.is_empty() {
            let of_last = self.beginning.last().map(|begun| begun.hart);
            let earlier = of_last.and_then(|hart| self.cpus.get(hart as usize));
            if earlier.is_some_and(|cpu| cpu.dump.has_more_than(&self.dump)) {
                self.dump.clear();
                return Err(Error::CutShort("within a dump of registers".to_owned()));
            }
            let is_event = self.finish_dump(event).map_err(|reason| self.lines.error(reason))?;
            self.has_events = true;
            return Ok(is_event);
        }
        match self.has_events {
            true => Ok(false),
            false => Err(self
                .lines
                .error("the text ends without an instruction of QEMU's log (`Trace 0: …`)")),
        }
    }
}

impl Begun {
    fn fill_in(&self, event: &mut Event) {
        event.clear();
        (event.hart, event.pc, event.insn) = (self.hart, self.pc, self.insn);
        (event.privilege, event.trap) = (self.privilege, self.trap);
    }
}

impl<R: BufRead> Source for QemuSource<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        loop {
            let Some(text) = self.lines.next()? else { return self.finish(event) };
            let is_dumped = dump::is_line(text) && !self.beginning.is_empty();
            if is_dumped && !self.dump.is_begun_by(text) {
                if let Err(reason) = self.dump.push(text) {
                    return Err(self.lines.error(reason));
                }
                continue;
            }
            if !self.dump.is_empty() {
                self.has_events = true;
                let is_event =
                    self.finish_dump(event).map_err(|reason| self.lines.error(reason))?;
                self.lines.again();
                if is_event {
                    return Ok(true);
                }
                continue;
            }
            let architecture = self.header.architecture;
            if text.starts_with(b"0x") {
                if let Err(reason) = self.blocks.line(text, architecture) {
                    return Err(self.lines.error(reason));
                }
                continue;
            }
            let is_event = parse(text, architecture).and_then(|line| self.line(line, event));
            if is_event.map_err(|reason| self.lines.error(reason))? {
                self.has_events = true;
                return Ok(true);
            }
        }
    }
}

/// Lines that are neither of dumps nor of the text of instructions.
enum Line {
    Trace { place: u64, begun: Begun },
    Exception(Exception),
    Stopped { pc: u64 },
    Other,
}

fn parse(text: &[u8], architecture: Architecture) -> Result<Line, String> {
    if text.starts_with(b"Trace ") {
        return trace(text, architecture).ok_or_else(|| {
            "expected `Trace <cpu>: 0x<block> [<cs_base>/<pc>/<flags>/<cflags>]`".to_owned()
        });
    }
    if text.starts_with(b"Stopped execution of TB chain") {
        let inner = text.iter().position(|byte| *byte == b'[').map(|at| &text[at + 1..]);
        let pc = inner.and_then(|inner| Scan::new(inner).hex());
        return Ok(pc.map_or(Line::Other, |pc| Line::Stopped { pc: pc.value }));
    }
    Ok(exception::parse(text, architecture).map_or(Line::Other, Line::Exception))
}

/// `Trace 0: 0x7f09f4000100 [00000000/0000000000010144/0202c078/00000201] symbol`
fn trace(text: &[u8], architecture: Architecture) -> Option<Line> {
    let mut scan = Scan::new(text);
    scan.eat(b"Trace ")?;
    let hart = scan.decimal().and_then(hart_number)?;
    scan.eat(b": ")?;
    let place = scan.prefixed_hex()?.value;
    scan.eat(b" [")?;
    let base = scan.hex()?.value;
    scan.eat(b"/")?;
    let pc = scan.hex()?.value;
    scan.eat(b"/")?;
    let dumped_pc = match architecture {
        Architecture::X86_64 => pc.wrapping_sub(base),
        _ => pc,
    };
    let begun = Begun {
        hart,
        pc,
        dumped_pc,
        insn: None,
        privilege: None,
        trap: None,
        is_interrupted: false,
    };
    Some(Line::Trace { place, begun })
}

#[cfg(test)]
mod tests;
