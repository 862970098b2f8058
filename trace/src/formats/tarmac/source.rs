//! Reading Tarmac.

use std::io::BufRead;

use super::line::{Kind, Start, start};
use super::value::{Range, Value};
use crate::formats::text::{Lines, Peeked, Scan, peek};
use crate::formats::{check_effects, of_hart};
use crate::names::register_by_name;
use crate::{
    Access, AccessKind, Architecture, Carries, Error, Event, Header, Insn, Privilege, RegClass,
    RegWrite, Register, Source, Trap, Writes,
};

/// Reads Tarmac.
pub(crate) struct TarmacSource<R> {
    lines: Lines<Peeked<R>>,
    header: Header,
    cpus: Vec<Cpu>,
    /// The CPU of the last line, which lines without one belong to.
    hart: u32,
    /// Where an address stands that continues the last line's kind.
    continues: Option<Continues>,
    has_events: bool,
}

#[derive(Default)]
struct Cpu {
    /// The instruction that lines belong to.
    event: Event,
    is_begun: bool,
    /// Whether its stack pointer is that of its exception level.
    uses_own_stack: bool,
    /// Vector registers, as far as they are known: lines may say only a part.
    vectors: [Option<u128>; 32],
}

#[derive(Clone, Copy)]
struct Continues {
    column: usize,
    kind: AccessKind,
}

impl<R: BufRead> TarmacSource<R> {
    /// Reads the beginning, too.
    pub(crate) fn new(reader: R) -> Result<Self, Error> {
        let (prefix, reader) = peek(reader)?;
        let kinds = || prefix.split(|byte| *byte == b'\n').filter_map(|line| start(line, 0).ok());
        let has_vectors = kinds().any(|start| {
            matches!(start.kind, Kind::Register)
                && matches!(
                    start.rest.rest.trim_ascii_start().first(),
                    Some(b'q' | b'Q' | b'v' | b'V')
                )
        });
        let has_memory = kinds().any(|start| matches!(start.kind, Kind::Memory(..) | Kind::Row(_)));
        let carries = Carries {
            insn: true,
            privilege: true,
            int: Writes::Changes,
            float: if has_vectors { Writes::Changes } else { Writes::Unknown },
            control: Writes::Unknown,
            loads: has_memory,
            load_values: has_memory,
            stores: has_memory,
            store_values: has_memory,
            traps: true,
        };
        Ok(Self {
            lines: Lines::new(reader),
            header: Header { architecture: Architecture::Aarch64, carries, program: None },
            cpus: Vec::new(),
            hart: 0,
            continues: None,
            has_events: false,
        })
    }

    /// The instructions that nothing follows.
    fn finish(&mut self, event: &mut Event) -> Result<bool, Error> {
        if !self.has_events {
            return Err(self
                .lines
                .error("the text ends without an instruction of Tarmac (`IT` or `ES`)"));
        }
        let left = self.cpus.iter_mut().find(|cpu| cpu.is_begun);
        Ok(left.map(|cpu| cpu.give(event)).is_some())
    }
}

impl<R: BufRead> Source for TarmacSource<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        loop {
            let Some(text) = self.lines.next()? else { return self.finish(event) };
            let continued = self.continues.take().filter(|last| begins_at(text, last.column));
            let parsed = match continued {
                Some(last) => {
                    Ok(Start { hart: self.hart, kind: Kind::Row(last.kind), rest: Scan::new(text) })
                }
                None => start(text, self.hart),
            };
            let parsed = parsed.and_then(|Start { hart, kind, mut rest }| {
                self.hart = hart;
                let cpu = of_hart(&mut self.cpus, hart);
                let begins = matches!(kind, Kind::Indexed | Kind::Bracketed);
                self.has_events |= begins;
                // An instruction is complete when the next one of its CPU begins.
                if cpu.is_begun && begins {
                    cpu.give(event);
                    return Ok(true);
                }
                if let Kind::Row(kind) = kind {
                    rest.blanks();
                    self.continues = Some(Continues { column: text.len() - rest.rest.len(), kind });
                }
                cpu.take_in(kind, rest, hart).map(|()| false)
            });
            match parsed {
                Err(reason) => return Err(self.lines.error(reason)),
                Ok(false) => {}
                Ok(true) => {
                    self.lines.again();
                    return Ok(true);
                }
            }
        }
    }
}

/// Whether a line has nothing before this column, and a digit there.
fn begins_at(text: &[u8], column: usize) -> bool {
    let first = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    first == Some(column) && column != 0 && text[column].is_ascii_hexdigit()
}

impl Cpu {
    /// Gives its instruction away.
    fn give(&mut self, event: &mut Event) {
        self.is_begun = false;
        std::mem::swap(&mut self.event, event);
    }

    fn take_in(&mut self, kind: Kind, mut rest: Scan<'_>, hart: u32) -> Result<(), String> {
        match kind {
            Kind::Indexed => {
                self.begin(hart);
                self.indexed(&mut rest)
            }
            Kind::Bracketed => {
                self.begin(hart);
                self.bracketed(&mut rest)
            }
            Kind::Register => self.register(&mut rest).and_then(|()| check_effects(&self.event)),
            Kind::Memory(kind, size) => {
                self.memory(kind, size, &mut rest).and_then(|()| check_effects(&self.event))
            }
            Kind::Row(kind) => self.row(kind, &mut rest).and_then(|()| check_effects(&self.event)),
            Kind::Event | Kind::Exception => {
                self.exception(rest.rest);
                Ok(())
            }
            Kind::Other => Ok(()),
        }
    }

    fn begin(&mut self, hart: u32) {
        self.event.clear();
        self.event.hart = hart;
        self.is_begun = true;
    }

    /// `(<count>) <pc>[:<physical>] <insn> O EL1h_n : <text>`
    fn indexed(&mut self, rest: &mut Scan<'_>) -> Result<(), String> {
        rest.blanks();
        let mut in_brackets = None;
        if rest.eat(b"(").is_some() {
            let inner = rest.before(b')');
            rest.eat(b")").ok_or("expected `)` after the count")?;
            // `<pc>:<count>` in some simulations.
            in_brackets = Scan::new(inner).hex();
        }
        rest.blanks();
        let first = rest.hex().ok_or("expected an address after the count")?;
        if rest.eat(b":").is_some() {
            rest.word();
        }
        rest.blanks();
        let before = *rest;
        let second = rest.hex().filter(|_| rest.rest.first() == Some(&b' '));
        let (pc, insn) = match (second, in_brackets) {
            (Some(insn), _) => (first, insn),
            // Some put the address into the brackets, and only the instruction after them.
            (None, Some(pc)) => {
                *rest = before;
                (pc, first)
            }
            (None, None) => return Err("expected an instruction after the address".to_owned()),
        };
        self.event.pc = pc.value;
        self.event.insn = Insn::from_word(insn.value, 4);
        self.state(rest)
    }

    /// `(<pc>:<insn>) O el1h_ns: <text>`
    fn bracketed(&mut self, rest: &mut Scan<'_>) -> Result<(), String> {
        rest.blanks();
        rest.eat(b"(").ok_or("expected `(` after `ES`")?;
        self.event.pc = rest.hex().ok_or("expected `<pc>:<insn>` in brackets")?.value;
        rest.eat(b":").ok_or("expected `:` after the address")?;
        let insn = rest.before(b')');
        rest.eat(b")").ok_or("expected `)` after the instruction")?;
        let mut word = Scan::new(insn);
        self.event.insn = match word.hex().filter(|_| word.is_empty()) {
            Some(word) => Insn::from_word(word.value, 4),
            // It could not be fetched.
            None if !insn.is_empty() && insn.iter().all(|byte| *byte == b'-') => None,
            None => return Err("expected a hexadecimal instruction".to_owned()),
        };
        self.state(rest)
    }

    /// `O EL1h_n :`, the instruction set and the mode.
    fn state(&mut self, rest: &mut Scan<'_>) -> Result<(), String> {
        match rest.word() {
            b"O" => {}
            b"A" | b"T" | b"T16" | b"T32" => {
                return Err("an instruction of A32 or T32: only AArch64 is understood".to_owned());
            }
            _ => return Err("expected the instruction set, `O`".to_owned()),
        }
        let [b'e' | b'E', b'l' | b'L', level, stack @ ..] = rest.word() else {
            return Err("expected a mode like `EL1h_n`".to_owned());
        };
        if !matches!(level, b'0'..=b'3') {
            return Err("expected an exception level from 0 to 3".to_owned());
        }
        self.event.privilege = Some(Privilege(level - b'0'));
        self.uses_own_stack = stack.first() == Some(&b'h');
        Ok(())
    }

    /// `X0 <value>`
    fn register(&mut self, rest: &mut Scan<'_>) -> Result<(), String> {
        let word = rest.word();
        let name_len = word.iter().position(|byte| *byte == b'<').unwrap_or(word.len());
        let (name, range) = word.split_at(name_len);
        if name.is_empty() {
            return Err("expected a register after `R`".to_owned());
        }
        rest.blanks();
        // A variant of the register: `SCTLR (AARCH32)`.
        if rest.eat(b"(").is_some() {
            rest.before(b')');
            rest.eat(b")").ok_or("expected `)` after the register's variant")?;
        }
        let Some(register) = self.register_of(name) else { return Ok(()) };
        let range = Range::parse(range).ok_or("expected a range of bits like `<127:64>`")?;
        let bits = match register.class {
            RegClass::Vector => range.len.min(128),
            RegClass::Int => 64,
            // The value is one word; a comment may follow.
            _ => 0,
        };
        let value = Value::parse(rest, bits as usize / 4).ok_or("expected the register's value")?;
        self.write(register, range, value);
        Ok(())
    }

    /// The register of that name. The stack pointer in use goes by the name of its exception level.
    fn register_of(&self, name: &[u8]) -> Option<Register> {
        let level = self.event.privilege.filter(|_| self.uses_own_stack).map_or(0, |level| level.0);
        let in_use = ["sp_el0", "sp_el1", "sp_el2", "sp_el3"].get(usize::from(level))?;
        match name.eq_ignore_ascii_case(in_use.as_bytes()) {
            true => Some(Register::int(31)),
            false => register_by_name(Architecture::Aarch64, name),
        }
    }

    fn write(&mut self, register: Register, range: Range, value: Value) {
        let is_whole = range.len == 128 && value.known == u128::MAX;
        let value = match register.class {
            RegClass::Flags => value.bits & 0xf000_0000,
            RegClass::Vector => {
                let Some(old) = self.vectors.get_mut(usize::from(register.number)) else { return };
                let mask = (value.known & u128::MAX >> (128 - range.len)) << range.low;
                let Some(rest) = (if is_whole { Some(0) } else { *old }) else { return };
                let new = rest & !mask | value.bits << range.low & mask;
                *old = Some(new);
                new
            }
            _ if value.known != u128::MAX => return,
            _ => value.bits,
        };
        self.event.writes.retain(|write| write.register != register);
        self.event.writes.push(RegWrite { register, value });
    }

    /// `[X] <addr>[:<physical>] <value>`
    fn memory(
        &mut self,
        kind: AccessKind,
        size: Option<u8>,
        rest: &mut Scan<'_>,
    ) -> Result<(), String> {
        rest.blanks();
        if rest.eat(b"X ").is_some() {
            rest.blanks();
        }
        let addr = rest.hex().ok_or("expected an address after a memory access")?.value;
        let phys = rest.eat(b":").and_then(|()| rest.hex()).map(|hex| hex.value);
        // The security state may follow: `_NS`.
        rest.before(b' ');
        rest.blanks();
        // `(ABORTED)` accesses nothing.
        if rest.rest.first() == Some(&b'(') {
            return Ok(());
        }
        let digits = size.map_or(0, |size| 2 * usize::from(size));
        let value = Value::parse(rest, digits).ok_or("expected the value of a memory access")?;
        let size =
            size.or_else(|| u8::try_from(value.digits.div_ceil(2)).ok()).filter(|size| *size <= 16);
        let value = (value.known == u128::MAX).then_some(value.bits);
        self.event.accesses.push(Access { kind, addr, phys, size, value });
        Ok(())
    }

    /// `<addr> <16 bytes, the last one first>  S:<physical> …`
    fn row(&mut self, kind: AccessKind, rest: &mut Scan<'_>) -> Result<(), String> {
        rest.blanks();
        let addr = rest.hex().ok_or("expected an address after `LD` or `ST`")?.value;
        let mut row = [[b'.'; 2]; 16];
        let mut filled = 0;
        while filled < 16 {
            let word = rest.word();
            if word.is_empty() || !word.len().is_multiple_of(2) || filled + word.len() / 2 > 16 {
                return Err("expected 16 bytes after the address".to_owned());
            }
            for pair in word.chunks_exact(2) {
                row[15 - filled] = [pair[0], pair[1]];
                filled += 1;
            }
        }
        let phys = phys_of(rest);
        let mut first = 0;
        while first < 16 {
            let end = (first..16)
                .find(|&place| class_of(row[place]) != class_of(row[first]))
                .unwrap_or(16);
            let bytes = &row[first..end];
            let value = bytes.iter().rev().try_fold(0_u128, |value, pair| {
                Scan::new(pair)
                    .hex()
                    .filter(|hex| hex.digits == 2)
                    .map(|hex| value << 8 | u128::from(hex.value))
            });
            let at = |base: u64| base.wrapping_add(first as u64);
            let access = Access {
                kind,
                addr: at(addr),
                phys: phys.map(at),
                size: u8::try_from(bytes.len()).ok(),
                value,
            };
            match (class_of(row[first]), value) {
                (Byte::Untouched, _) => {}
                (Byte::Known, None) => {
                    return Err("expected bytes of hexadecimal digits, `..` or `##`".to_owned());
                }
                (Byte::Known, Some(_)) | (Byte::Unknown, _) => self.event.accesses.push(access),
            }
            first = end;
        }
        Ok(())
    }

    /// The instruction raised an exception, unless it is the reset or an interrupt.
    fn exception(&mut self, text: &[u8]) {
        let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
        let other: [&[u8]; 7] =
            [b"Reset", b"RESET", b"IRQ", b"FIQ", b"SError", b"SERR", b"DebugEvent"];
        if self.is_begun && !other.into_iter().any(has) {
            self.event.trap = Some(Trap::default());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Byte {
    Untouched,
    Unknown,
    Known,
}

const fn class_of(pair: [u8; 2]) -> Byte {
    match &pair {
        b".." => Byte::Untouched,
        b"##" => Byte::Unknown,
        _ => Byte::Known,
    }
}

/// `S:00000fffe0`, `NS:…`
fn phys_of(rest: &mut Scan<'_>) -> Option<u64> {
    rest.blanks();
    let space = rest.before(b':');
    rest.eat(b":").filter(|()| matches!(space, b"S" | b"NS"))?;
    rest.hex().map(|hex| hex.value)
}

#[cfg(test)]
mod tests;
