//! Reading RVVI-TEXT.

use std::io::BufRead;

use super::{CAUSES, TRAP_VALUES, UNKNOWN, VENDOR};
use crate::formats::text::{Lines, Peeked, Scan, peek};
use crate::formats::{check_effects, hart_number, of_hart, riscv_insn};
use crate::{
    Access, AccessKind, Architecture, Carries, Error, Event, Header, Privilege, RegWrite, Register,
    Source, Trap, Writes,
};

/// Reads RVVI-TEXT.
pub(crate) struct RvviSource<R> {
    lines: Lines<Peeked<R>>,
    header: Header,
    line: Line,
    /// How many events of the line were given away.
    given: usize,
    has_elements: bool,
}

/// What a line has, and what holds beyond it.
#[derive(Default)]
struct Line {
    /// The events: as many as are finished, the one that is being filled in, and unused ones.
    events: Vec<Event>,
    finished: usize,
    /// What began the event that is being filled in.
    begun: Option<Begun>,
    /// Explicit, of the event that is being filled in.
    order: Option<u64>,
    hart: u32,
    harts: Vec<Hart>,
    is_ours: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Ret,
    Trap,
}

#[derive(Default)]
struct Hart {
    order: u64,
    mode: Option<Privilege>,
}

/// More would be no processor's.
const MOST_EVENTS: usize = 4096;

impl<R: BufRead> RvviSource<R> {
    /// Reads the beginning, too.
    pub(crate) fn new(reader: R) -> Result<Self, Error> {
        let (prefix, reader) = peek(reader)?;
        let has =
            |key: &[u8]| prefix.split(|byte| byte.is_ascii_whitespace()).any(|word| word == key);
        let is_ours = has(VENDOR.as_bytes());
        let has_floats = [&b"F"[..], b"V", b"FLEN", b"VLEN"].into_iter().any(has);
        let carries = Carries {
            insn: true,
            privilege: has(b"MODE"),
            int: Writes::Changes,
            float: if has_floats { Writes::Changes } else { Writes::Unknown },
            control: Writes::Unknown,
            loads: is_ours,
            load_values: is_ours,
            stores: is_ours,
            store_values: is_ours,
            traps: true,
        };
        Ok(Self {
            lines: Lines::new(reader),
            header: Header { architecture: Architecture::Riscv64, carries, program: None },
            line: Line { events: vec![Event::default()], is_ours, ..Line::default() },
            given: 0,
            has_elements: false,
        })
    }

    /// Reads a line with its continuations. `false` at the end of the trace.
    fn read(&mut self) -> Result<bool, Error> {
        self.line.start();
        let mut is_continued = false;
        loop {
            let Some(text) = self.lines.next()? else {
                return match (is_continued, self.has_elements) {
                    (true, _) => {
                        Err(Error::CutShort("a line that continues has no end".to_owned()))
                    }
                    (false, false) => {
                        Err(self.lines.error("the text ends without an element of RVVI-TEXT"))
                    }
                    (false, true) => Ok(false),
                };
            };
            self.has_elements |= !text.is_empty();
            match self.line.parse(text) {
                Err(reason) => return Err(self.lines.error(reason)),
                Ok(Ended::Continued) => is_continued = true,
                Ok(Ended::Complete) => {
                    self.line.finish_event();
                    return Ok(true);
                }
            }
        }
    }
}

impl<R: BufRead> Source for RvviSource<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        while self.given == self.line.finished {
            self.given = 0;
            if !self.read()? {
                self.line.finished = 0;
                return Ok(false);
            }
        }
        std::mem::swap(event, &mut self.line.events[self.given]);
        self.given += 1;
        Ok(true)
    }
}

/// Whether the line goes on in the next one.
enum Ended {
    Continued,
    Complete,
}

/// The values of an element.
struct Values<'a> {
    scan: Scan<'a>,
}

impl<'a> Values<'a> {
    /// The next token; comments are none. Empty at the end.
    fn token(&mut self) -> Result<&'a [u8], String> {
        loop {
            self.scan.blanks();
            match self.scan.rest {
                [b'\'', rest @ ..] => {
                    let end =
                        memchr::memchr(b'\'', rest).ok_or("a comment does not end in its line")?;
                    self.scan.rest = &rest[end + 1..];
                }
                rest => {
                    let end =
                        rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\'' | b'\r'));
                    let (token, rest) = rest.split_at(end.unwrap_or(rest.len()));
                    self.scan.rest = rest.strip_prefix(b"\r").unwrap_or(rest);
                    if !token.is_empty() || self.scan.is_empty() {
                        return Ok(token);
                    }
                }
            }
        }
    }

    fn decimal(&mut self, what: &str) -> Result<u64, String> {
        let mut scan = Scan::new(self.token()?);
        scan.decimal()
            .filter(|_| scan.is_empty())
            .ok_or_else(|| format!("expected {what}, a decimal number"))
    }

    fn hex(&mut self, what: &str) -> Result<u64, String> {
        hex(self.token()?)
            .ok_or_else(|| format!("expected {what}, a hexadecimal number of up to 64 bits"))
    }

    fn wide_hex(&mut self, what: &str) -> Result<u128, String> {
        let mut scan = Scan::new(self.token()?);
        let value = scan.wide_hex().filter(|_| scan.is_empty()).map(|hex| hex.value);
        value.ok_or_else(|| format!("expected {what}, a hexadecimal number of up to 128 bits"))
    }
}

fn hex(token: &[u8]) -> Option<u64> {
    let mut scan = Scan::new(token);
    scan.hex().filter(|_| scan.is_empty()).map(|hex| hex.value)
}

impl Line {
    fn start(&mut self) {
        self.finished = 0;
        self.begun = None;
        self.order = None;
        self.events[0].clear();
    }

    fn parse(&mut self, text: &[u8]) -> Result<Ended, String> {
        let mut values = Values { scan: Scan::new(text) };
        loop {
            match values.token()? {
                b"" => return Ok(Ended::Complete),
                b"\\" => {
                    return match values.token()? {
                        b"" => Ok(Ended::Continued),
                        _ => Err("`\\` stands before the end of the line".to_owned()),
                    };
                }
                key => self.element(key, &mut values)?,
            }
        }
    }

    fn element(&mut self, key: &[u8], values: &mut Values<'_>) -> Result<(), String> {
        match key {
            b"RET" => self.begin(Begun::Ret, values)?,
            b"TRAP" => self.begin(Begun::Trap, values)?,
            b"X" => self.write(values, Register::int)?,
            b"F" => self.write(values, Register::float)?,
            b"V" => self.write(values, Register::vector)?,
            b"C" => {
                let number = values.hex("the number of a CSR")?;
                let number = u16::try_from(number).ok().filter(|number| *number <= 0xfff);
                let register = Register::control(number.ok_or("a CSR's number is at most fff")?);
                self.set(register, values.wide_hex("the CSR's value")?);
            }
            b"MODE" => {
                let mode = u8::try_from(values.hex("a level of privilege")?);
                let mode = mode
                    .ok()
                    .filter(|mode| *mode <= 7)
                    .ok_or("a level of privilege is at most 7")?;
                of_hart(&mut self.harts, self.hart).mode = Some(Privilege(mode));
            }
            b"HART" => {
                self.finish_event();
                self.events[self.finished].clear();
                let hart = hart_number(values.decimal("the number of a hart")?);
                self.hart = hart.ok_or("the number of the hart is too large")?;
            }
            b"ISSUE" => {
                self.finish_event();
                values.decimal("a retirement slot")?;
            }
            b"ORDER" => self.order = Some(values.decimal("the place of the instruction")?),
            b"META" => self.meta(values)?,
            b"PARAMS" => params(values)?,
            b"VERSION" | b"NET" => {
                values.token()?;
                values.token()?;
            }
            b"VENDOR" => vendor(values)?,
            b"DM" => {
                values.token()?;
            }
            other => return Err(format!("`{}` is no element of RVVI-TEXT", other.escape_ascii())),
        }
        if self.finished > MOST_EVENTS {
            return Err(format!("more than {MOST_EVENTS} instructions in a line"));
        }
        check_effects(&self.events[self.finished])
    }

    fn begin(&mut self, begun: Begun, values: &mut Values<'_>) -> Result<(), String> {
        self.finish_event();
        self.begun = Some(begun);
        let event = &mut self.events[self.finished];
        event.pc = values.hex("the program counter")?;
        event.insn = riscv_insn(values.hex("the instruction")?);
        if begun == Begun::Trap {
            event.trap = Some(Trap::default());
        }
        Ok(())
    }

    fn write(
        &mut self,
        values: &mut Values<'_>,
        register: fn(u16) -> Register,
    ) -> Result<(), String> {
        let number = values.decimal("the number of a register")?;
        let number = u16::try_from(number).ok().filter(|number| *number < 32);
        let register = register(number.ok_or("a register's number is below 32")?);
        let value = values.wide_hex("the register's value")?;
        if register != Register::int(0) {
            self.set(register, value);
        }
        Ok(())
    }

    fn set(&mut self, register: Register, value: u128) {
        let writes = &mut self.events[self.finished].writes;
        writes.retain(|write| write.register != register);
        writes.push(RegWrite { register, value });
    }

    /// An element of the vendor.
    fn meta(&mut self, values: &mut Values<'_>) -> Result<(), String> {
        let count = values.decimal("how many tokens there are")?;
        let mut tokens: [&[u8]; 4] = [b""; 4];
        for place in 0..count {
            let token = values.token()?;
            if token.is_empty() {
                return Err("META has fewer tokens than it says".to_owned());
            }
            if let Some(entry) = usize::try_from(place).ok().and_then(|place| tokens.get_mut(place))
            {
                *entry = token;
            }
        }
        if !self.is_ours {
            return Ok(());
        }
        let event = &mut self.events[self.finished];
        let value = |token: &[u8]| {
            if token == UNKNOWN.as_bytes() { Some(None) } else { hex(token).map(Some) }
        };
        let malformed = || "a META of ours is malformed".to_owned();
        match tokens[0] {
            b"LOAD" => {
                event.accesses.push(access(AccessKind::Load, &tokens).ok_or_else(malformed)?)
            }
            b"STORE" => {
                event.accesses.push(access(AccessKind::Store, &tokens).ok_or_else(malformed)?)
            }
            b"TRAP" => {
                let (cause, value) =
                    value(tokens[1]).zip(value(tokens[2])).ok_or_else(malformed)?;
                event.trap = Some(Trap { cause, value, signal: None });
            }
            b"UNFETCHED" => event.insn = None,
            _ => {}
        }
        Ok(())
    }

    /// What follows is of another instruction.
    fn finish_event(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        let hart = of_hart(&mut self.harts, self.hart);
        let order = self.order.take().unwrap_or(hart.order);
        hart.order = order.wrapping_add(1);
        let event = &mut self.events[self.finished];
        (event.hart, event.order, event.privilege) = (self.hart, Some(order), hart.mode);
        if let Some(trap) = event.trap.as_mut().filter(|_| begun == Begun::Trap) {
            let written = |numbers: [u16; 3]| {
                let mut writes = event.writes.iter();
                let write =
                    writes.find(|write| numbers.map(Register::control).contains(&write.register));
                write.and_then(|write| u64::try_from(write.value).ok())
            };
            trap.cause = trap.cause.or_else(|| written(CAUSES));
            trap.value = trap.value.or_else(|| written(TRAP_VALUES));
        }
        self.finished += 1;
        if self.events.len() == self.finished {
            self.events.push(Event::default());
        }
        self.events[self.finished].clear();
    }
}

/// `LOAD <addr> <size> <value>`
fn access(kind: AccessKind, tokens: &[&[u8]; 4]) -> Option<Access> {
    let known = |token: &[u8]| token != UNKNOWN.as_bytes();
    let size = match known(tokens[2]) {
        true => Some(u8::try_from(Scan::new(tokens[2]).decimal()?).ok()?),
        false => None,
    };
    let value = match known(tokens[3]) {
        true => Some(Scan::new(tokens[3]).wide_hex()?.value),
        false => None,
    };
    Some(Access { kind, addr: hex(tokens[1])?, phys: None, size, value })
}

/// `<count> [<key> <value> …]`
fn params(values: &mut Values<'_>) -> Result<(), String> {
    let count = values.decimal("how many parameters there are")?;
    for _ in 0..count {
        let (key, value) = (values.token()?, values.token()?);
        match (key, value) {
            (_, b"") => return Err("PARAMS has fewer parameters than it says".to_owned()),
            (b"XLEN", b"64") => {}
            (b"XLEN", _) => return Err("only 64-bit RISC-V is understood".to_owned()),
            _ => {}
        }
    }
    Ok(())
}

/// `<name> <major> <minor>`; the grammar has one number only.
fn vendor(values: &mut Values<'_>) -> Result<(), String> {
    values.token()?;
    for _ in 0..2 {
        let before = values.scan;
        if hex(values.token()?).is_none() {
            values.scan = before;
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
