//! Reading the log of the plugin.

use std::io::BufRead;

use crate::formats::text::{Lines, Peeked, Scan, peek};
use crate::formats::{hart_number, of_hart, riscv_insn};
use crate::names::{register_bits, register_by_name};
use crate::{
    Access, AccessKind, Architecture, Carries, Error, Event, Header, Insn, RegClass, RegWrite,
    Register, Source,
};

/// Reads the log of the plugin.
pub(crate) struct ExeclogSource<R> {
    lines: Lines<Peeked<R>>,
    header: Header,
    opcode: Opcode,
    /// By hart: whether it had an event.
    seen: Vec<bool>,
    has_events: bool,
}

/// Whether the number shows nothing after the instruction's end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Exact,
    WithOtherBytes,
}

impl<R: BufRead> ExeclogSource<R> {
    /// Reads the beginning, too.
    pub(crate) fn new(reader: R, architecture: Option<Architecture>) -> Result<Self, Error> {
        let (prefix, reader) = peek(reader)?;
        let lines = Lines::new(reader);
        let found = names(&prefix).find_map(only_of);
        let architecture = match (architecture, found) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(Error::Architecture { expected, found });
            }
            (given, found) => given.or(found).ok_or_else(|| {
                lines.error("the log does not tell the architecture: it must be given")
            })?,
        };
        let mut accesses = prefix.split(|byte| *byte == b'\n').filter_map(tail);
        let is_machine = accesses.any(names_a_device);
        let carries = Carries {
            insn: true,
            loads: !is_machine,
            stores: !is_machine,
            traps: true,
            ..Carries::default()
        };
        Ok(Self {
            lines,
            header: Header { architecture, carries, program: None },
            opcode: opcode_of(architecture, &prefix),
            seen: Vec::new(),
            has_events: false,
        })
    }
}

impl<R: BufRead> Source for ExeclogSource<R> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn next(&mut self, event: &mut Event) -> Result<bool, Error> {
        loop {
            event.clear();
            let Some(text) = self.lines.next()? else {
                return match self.has_events {
                    true => Ok(false),
                    false => Err(self.lines.error("the text ends without a line of execlog's log")),
                };
            };
            // The plugin prints an empty line for a CPU that never ran.
            if text.is_empty() {
                continue;
            }
            if let Err(reason) = parse(text, self.header.architecture, self.opcode, event) {
                return Err(self.lines.error(reason));
            }
            self.has_events = true;
            if !std::mem::replace(of_hart(&mut self.seen, event.hart), true) {
                let is_state = |write: &RegWrite| {
                    matches!(write.register.class, RegClass::Control | RegClass::Flags)
                };
                event.writes.retain(|write| !is_state(write));
            }
            return Ok(true);
        }
    }
}

/// What follows the instruction's text.
fn tail(line: &[u8]) -> Option<&[u8]> {
    memchr::memrchr(b'"', line).map(|quote| &line[quote + 1..])
}

/// The registers in the beginning of a log.
fn names(prefix: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let arrows = memchr::memmem::find_iter(prefix, b" -> 0x");
    arrows.map(|arrow| {
        let before = &prefix[..arrow];
        let start = memchr::memrchr(b' ', before).map_or(0, |blank| blank + 1);
        let value = &prefix[arrow + 6..];
        let len = value.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(value.len());
        (&before[start..], &value[..len])
    })
}

/// The architecture of a register that only one has.
fn only_of((name, _): (&[u8], &[u8])) -> Option<Architecture> {
    let mut owners = Architecture::ALL.into_iter();
    let mut owners =
        owners.by_ref().filter(|architecture| register_by_name(*architecture, name).is_some());
    let first = owners.next()?;
    owners.next().is_none().then_some(first)
}

/// Bytes after the instruction's end were there before registers were shown, and in the first version that did, which is
/// known by their odd lengths.
fn opcode_of(architecture: Architecture, prefix: &[u8]) -> Opcode {
    let mut registers = names(prefix).filter_map(|(name, value)| {
        let register = register_by_name(architecture, name)?;
        Some(value.len() * 4 <= register_bits(architecture, register) as usize)
    });
    match registers.next() {
        Some(true) => Opcode::Exact,
        _ => Opcode::WithOtherBytes,
    }
}

/// An access is followed by neither another one nor a register.
fn names_a_device(tail: &[u8]) -> bool {
    let mut tokens = tail.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    while let Some(token) = tokens.next() {
        if matches!(token, b"load" | b"store") {
            tokens.next();
            let after = tokens.clone().next();
            return after.is_some_and(|token| {
                !matches!(token, b"load" | b"store")
                    && memchr::memmem::find(token, b" -> ").is_none()
            });
        }
    }
    false
}

fn parse(
    text: &[u8],
    architecture: Architecture,
    opcode: Opcode,
    event: &mut Event,
) -> Result<(), String> {
    let mut scan = Scan::new(text);
    let hart = scan.decimal().and_then(hart_number);
    event.hart = hart.ok_or("expected the number of a CPU, and below 4096")?;
    scan.eat(b", ").ok_or("expected `, ` after the CPU")?;
    event.pc = scan.prefixed_hex().ok_or("expected `0x<pc>`")?.value;
    scan.eat(b", ").ok_or("expected `, ` after the program counter")?;
    let word = scan.prefixed_hex().ok_or("expected `0x<opcode>`")?.value;
    event.insn = insn(word, architecture, opcode);
    scan.eat(b", \"").ok_or("expected `, \"` after the opcode")?;
    scan.rest = tail(scan.rest).ok_or("the line is cut within the instruction's text")?;
    effects(scan, architecture, event)
}

fn insn(word: u64, architecture: Architecture, opcode: Opcode) -> Option<Insn> {
    let bytes = word.to_le_bytes();
    match architecture {
        Architecture::Riscv64 => riscv_insn(word).and_then(|insn| match insn.bytes().len() {
            2 | 4 => Some(insn),
            _ => Insn::beginning(&bytes[..4]),
        }),
        Architecture::Aarch64 => Insn::from_word(word, 4),
        Architecture::X86_64 => {
            let shown = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
            Insn::beginning(&bytes[..if opcode == Opcode::Exact { shown } else { 1 }])
        }
    }
}

fn effects(
    mut scan: Scan<'_>,
    architecture: Architecture,
    event: &mut Event,
) -> Result<(), String> {
    let mut is_after_access = false;
    while !scan.is_empty() {
        scan.eat(b", ").ok_or("expected `, ` between effects")?;
        let token = scan.before(b',');
        let kind = match token {
            b"load" => Some(AccessKind::Load),
            b"store" => Some(AccessKind::Store),
            _ => None,
        };
        match (kind, memchr::memmem::find(token, b" -> ")) {
            (Some(kind), _) => access(&mut scan, kind, event)?,
            (None, Some(arrow)) => {
                register(&token[..arrow], &token[arrow + 4..], architecture, event)?
            }
            // The device behind a physical address.
            (None, None) if is_after_access => {
                if let Some(access) = event.accesses.last_mut() {
                    access.phys = Some(access.addr);
                }
            }
            (None, None) => {
                return Err("expected `load`, `store` or `<register> -> 0x<value>`".to_owned());
            }
        }
        is_after_access = kind.is_some();
    }
    Ok(())
}

/// `, 0x<addr>`
fn access(scan: &mut Scan<'_>, kind: AccessKind, event: &mut Event) -> Result<(), String> {
    let addr = scan.eat(b", ").and_then(|()| scan.prefixed_hex());
    let addr = addr.ok_or("expected `, 0x<addr>` after `load` or `store`")?.value;
    event.accesses.push(Access { kind, addr, phys: None, size: None, value: None });
    Ok(())
}

fn register(
    name: &[u8],
    value: &[u8],
    architecture: Architecture,
    event: &mut Event,
) -> Result<(), String> {
    let digits = value.strip_prefix(b"0x").unwrap_or(value);
    let Some(register) = register_by_name(architecture, name) else { return Ok(()) };
    // There may be a byte too many, or more of a vector than is understood.
    let mut lowest = Scan::new(&digits[digits.len().saturating_sub(32)..]);
    let value = lowest.wide_hex().filter(|_| lowest.is_empty());
    let value = value.ok_or("expected `0x<value>` after `->`")?.value;
    if let Some(value) = kept(architecture, register, value) {
        event.writes.retain(|write| write.register != register);
        event.writes.push(RegWrite { register, value });
    }
    Ok(())
}

/// The register's value, if it is one.
fn kept(architecture: Architecture, register: Register, value: u128) -> Option<u128> {
    match (architecture, register.class, register.number) {
        (Architecture::X86_64, RegClass::Flags, _) | (Architecture::Riscv64, RegClass::Int, 0) => {
            None
        }
        (Architecture::Aarch64, RegClass::Flags, _) => Some(value & 0xf000_0000),
        _ => Some(value & u128::MAX >> (128 - register_bits(architecture, register))),
    }
}

#[cfg(test)]
mod tests;
