//! Reading Spike's log.

use std::io::BufRead;

use arch::riscv64::privileged::INTERRUPT;

use super::EXCEPTIONS;
use crate::formats::text::{Lines, Peeked, Scan, peek};
use crate::formats::{hart_number, of_hart, riscv_insn};
use crate::{
    Access, AccessKind, Architecture, Carries, Error, Event, Header, Insn, Privilege, RegClass,
    RegWrite, Register, Source, Trap, Writes,
};

/// Reads Spike's log.
pub(crate) struct SpikeSource<R> {
    lines: Lines<Peeked<R>>,
    header: Header,
    /// Retired instructions have lines of their own.
    has_commits: bool,
    /// By hart: an instruction that began and neither retired nor trapped so far.
    begun: Vec<Option<Begun>>,
    /// A trap whose value may follow.
    trapped: Option<Trapped>,
    has_events: bool,
}

#[derive(Clone, Copy)]
struct Begun {
    pc: u64,
    insn: Option<Insn>,
}

#[derive(Clone, Copy)]
struct Trapped {
    hart: u32,
    pc: u64,
    insn: Option<Insn>,
    trap: Trap,
}

/// What kind of line it is.
enum Line {
    /// An instruction retired: the event is filled in.
    Commit,
    /// An instruction begins: the event says which, and where.
    Begin,
    Exception {
        hart: u32,
        pc: u64,
        cause: Option<u64>,
    },
    TrapValue {
        hart: u32,
        value: u64,
    },
    Other,
}

impl<R: BufRead> SpikeSource<R> {
    /// Reads the beginning, too.
    pub(crate) fn new(reader: R) -> Result<Self, Error> {
        let (prefix, reader) = peek(reader)?;
        let cores = || prefix.split(|byte| *byte == b'\n').filter_map(core);
        let has_commits = cores().any(|(_, scan)| {
            scan.rest.first().is_some_and(u8::is_ascii_digit) && !scan.rest.starts_with(b"0x")
        });
        let has_begins = cores().any(|(_, scan)| scan.rest.starts_with(b"0x"));
        let carries = Carries { insn: true, traps: has_begins, ..Carries::default() };
        let carries = match has_commits {
            false => carries,
            true => Carries {
                privilege: true,
                int: Writes::Every,
                float: Writes::Every,
                loads: true,
                stores: true,
                store_values: true,
                ..carries
            },
        };
        Ok(Self {
            lines: Lines::new(reader),
            header: Header { architecture: Architecture::Riscv64, carries, program: None },
            has_commits,
            begun: Vec::new(),
            trapped: None,
            has_events: false,
        })
    }

    /// The instruction that began there, and may have trapped.
    fn take_begun(&mut self, hart: u32, pc: u64) -> Option<Insn> {
        of_hart(&mut self.begun, hart).take_if(|begun| begun.pc == pc)?.insn
    }

    /// Fills in a trap that is complete.
    fn finish_trap(&mut self, event: &mut Event) -> bool {
        let Some(Trapped { hart, pc, insn, trap }) = self.trapped.take() else { return false };
        event.clear();
        (event.hart, event.pc, event.insn, event.trap) = (hart, pc, insn, Some(trap));
        true
    }

    /// Without lines of retired instructions, those that began retired, unless they trapped.
    fn finish_begun(&mut self, hart: u32, event: &mut Event) -> bool {
        let begun = of_hart(&mut self.begun, hart).take().filter(|_| !self.has_commits);
        let Some(Begun { pc, insn }) = begun else { return false };
        event.clear();
        (event.hart, event.pc, event.insn) = (hart, pc, insn);
        true
    }

    /// What is left at the end.
    fn finish(&mut self, event: &mut Event) -> Result<bool, Error> {
        let hart_left =
            self.begun.iter().position(Option::is_some).and_then(|hart| u32::try_from(hart).ok());
        let is_event = self.finish_trap(event)
            || (!self.has_commits && hart_left.is_some_and(|hart| self.finish_begun(hart, event)));
        if !is_event && !self.has_events {
            return Err(self
                .lines
                .error("the text ends without a line of Spike's log, `core   0: …`"));
        }
        Ok(is_event)
    }
}

impl<R: BufRead> Source for SpikeSource<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        loop {
            event.clear();
            let Some(text) = self.lines.next()? else { return self.finish(event) };
            let line = match parse(text, event) {
                Ok(line) => line,
                Err(reason) => return Err(self.lines.error(reason)),
            };
            self.has_events |= !matches!(line, Line::Other);
            match line {
                Line::TrapValue { hart, value } => {
                    if let Some(trapped) =
                        self.trapped.as_mut().filter(|trapped| trapped.hart == hart)
                    {
                        trapped.trap.value = Some(value);
                    }
                    continue;
                }
                _ if self.trapped.is_some() => {
                    self.finish_trap(event);
                    self.lines.again();
                    return Ok(true);
                }
                Line::Commit => {
                    of_hart(&mut self.begun, event.hart).take();
                    return Ok(true);
                }
                Line::Exception { hart, pc, cause } => {
                    let insn = self.take_begun(hart, pc);
                    self.trapped = Some(Trapped {
                        hart,
                        pc,
                        insn,
                        trap: Trap { cause, value: None, signal: None },
                    });
                    if self.finish_begun(hart, event) {
                        return Ok(true);
                    }
                }
                Line::Begin => {
                    let (hart, begun) = (event.hart, Begun { pc: event.pc, insn: event.insn });
                    let is_event = self.finish_begun(hart, event);
                    *of_hart(&mut self.begun, hart) = Some(begun);
                    if is_event {
                        return Ok(true);
                    }
                }
                Line::Other => {}
            }
        }
    }
}

/// The number of the core, and what follows it.
#[inline]
fn core(line: &[u8]) -> Option<(u64, Scan<'_>)> {
    // The number has four places, and three of them are almost always blank.
    if let [b'c', b'o', b'r', b'e', b' ', b' ', b' ', digit @ b'0'..=b'9', b':', b' ', rest @ ..] =
        line
    {
        return Some((u64::from(digit - b'0'), Scan::new(rest)));
    }
    let mut scan = Scan::new(line);
    scan.eat(b"core")?;
    scan.blanks();
    let hart = scan.decimal()?;
    scan.eat(b": ")?;
    Some((hart, scan))
}

#[inline]
fn parse(text: &[u8], event: &mut Event) -> Result<Line, String> {
    let Some((hart, mut scan)) = core(text) else { return Ok(Line::Other) };
    let hart = hart_number(hart).ok_or("the number of the core is too large")?;
    let privilege = match scan.rest {
        [digit @ b'0'..=b'9', b' ', rest @ ..] => {
            scan.rest = rest;
            Some(Privilege(digit - b'0'))
        }
        [b'0', b'x', ..] => None,
        _ => return of_trap(hart, scan),
    };
    (event.hart, event.privilege) = (hart, privilege);
    place(&mut scan, event)?;
    if privilege.is_none() {
        return Ok(Line::Begin);
    }
    effects(&mut scan, event)?;
    Ok(Line::Commit)
}

/// What follows the core's number, if no instruction begins or retires.
fn of_trap(hart: u32, scan: Scan<'_>) -> Result<Line, String> {
    match scan.rest {
        [b'e', ..] => {
            exception(hart, scan).ok_or_else(|| "expected `exception <name>, epc 0x…`".to_owned())
        }
        [b' ', ..] => trap_value(hart, scan).ok_or_else(|| "expected `tval 0x…`".to_owned()),
        [b'>', ..] => Ok(Line::Other),
        _ => Err("expected a level of privilege and `0x<pc>`, `0x<pc>`, `exception` or `>>>>`"
            .to_owned()),
    }
}

/// `0x<pc> (0x<insn>)`
#[inline]
fn place(scan: &mut Scan<'_>, event: &mut Event) -> Result<(), String> {
    let pc = scan.prefixed_hex().ok_or("expected `0x<pc>`")?;
    if pc.digits <= 8 {
        return Err("a program counter of 32 bits: only 64-bit RISC-V is understood".to_owned());
    }
    scan.eat(b" (").ok_or("expected ` (0x<insn>)`")?;
    let word = scan.eat(b"0x").and_then(|()| scan.short_hex()).ok_or("expected `(0x<insn>)`")?;
    scan.eat(b")").ok_or("expected `)` after the instruction")?;
    event.pc = pc.value;
    event.insn = riscv_insn(word.value);
    event.insn.map(|_| ()).ok_or_else(|| "the instruction is too long".to_owned())
}

/// Registers and memory, up to the end of the line.
#[inline]
fn effects(scan: &mut Scan<'_>, event: &mut Event) -> Result<(), String> {
    loop {
        scan.blanks();
        let Some((&kind, rest)) = scan.rest.split_first() else { return Ok(()) };
        scan.rest = rest;
        let class = match kind {
            b'x' => RegClass::Int,
            b'f' => RegClass::Float,
            b'v' => RegClass::Vector,
            b'c' => RegClass::Control,
            b'm' if scan.eat(b"em ").is_some() => {
                access(scan, event)?;
                continue;
            }
            // The vector configuration that was in force: neither written nor needed.
            b'e' | b'm' | b'l' => {
                scan.word();
                continue;
            }
            other => {
                return Err(format!("expected a register or `mem`, found `{}`", char::from(other)));
            }
        };
        write(scan, event, class)?;
    }
}

/// `5  0x<value>`, after the letter; of a control register `768_mstatus 0x<value>`.
#[inline]
fn write(scan: &mut Scan<'_>, event: &mut Event, class: RegClass) -> Result<(), String> {
    scan.blanks();
    let number = scan.decimal().and_then(|number| u16::try_from(number).ok());
    let number = number.ok_or("expected the number of a register")?;
    let register = Register::new(class, number);
    let most = if class == RegClass::Control { 0xfff } else { 31 };
    if number > most {
        return Err(format!("there is no register {register:?}"));
    }
    if scan.rest.starts_with(b"_") {
        scan.word();
    }
    scan.blanks();
    scan.eat(b"0x").ok_or("expected `0x<value>` after a register")?;
    let value = scan.wide_hex().ok_or("a register has no value, or one of more than 128 bits")?;
    set(event, register, value.value);
    Ok(())
}

/// The last of several writes to a register counts.
fn set(event: &mut Event, register: Register, value: u128) {
    if event.writes.iter().any(|write| write.register == register) {
        event.writes.retain(|write| write.register != register);
    }
    event.writes.push(RegWrite { register, value });
}

/// `0x<addr>`, and of a store ` 0x<value>`.
#[inline]
fn access(scan: &mut Scan<'_>, event: &mut Event) -> Result<(), String> {
    scan.blanks();
    let addr = scan.prefixed_hex().ok_or("expected `0x<addr>` after `mem`")?.value;
    scan.blanks();
    let load = Access { kind: AccessKind::Load, addr, phys: None, size: None, value: None };
    if scan.eat(b"0x").is_none() {
        event.accesses.push(load);
        return Ok(());
    }
    let stored = scan.wide_hex().ok_or("a store has no value, or one of more than 128 bits")?;
    let size = u8::try_from(stored.digits.div_ceil(2)).ok().filter(|size| *size <= 16);
    let size = Some(size.ok_or("a store has a value of more than 128 bits")?);
    event.accesses.push(Access {
        kind: AccessKind::Store,
        size,
        value: Some(stored.value),
        ..load
    });
    Ok(())
}

/// `exception <name>, epc 0x<pc>`
fn exception(hart: u32, mut scan: Scan<'_>) -> Option<Line> {
    scan.eat(b"exception ")?;
    let name = scan.before(b',');
    scan.eat(b", epc ")?;
    let pc = scan.prefixed_hex()?.value;
    let named = EXCEPTIONS.iter().find(|row| row.0.as_bytes() == name).map(|row| row.1);
    let numbered = || {
        let mut name = Scan::new(name);
        let interrupt = match name.eat(b"interrupt #") {
            Some(()) => INTERRUPT,
            None => name.eat(b"trap #").map(|()| 0)?,
        };
        name.decimal().filter(|number| *number < 1 << 62).map(|number| number | interrupt)
    };
    Some(Line::Exception { hart, pc, cause: named.or_else(numbered) })
}

/// `          tval 0x<value>`; older versions say `badaddr`.
fn trap_value(hart: u32, mut scan: Scan<'_>) -> Option<Line> {
    let word = scan.word();
    scan.blanks();
    let value = scan.prefixed_hex()?.value;
    Some(match word {
        b"tval" | b"badaddr" => Line::TrapValue { hart, value },
        // Further values of traps within a virtual machine.
        _ => Line::Other,
    })
}

#[cfg(test)]
mod tests;
