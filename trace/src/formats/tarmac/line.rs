//! What kind of line it is, and of which CPU.

use crate::AccessKind;
use crate::formats::hart_number;
use crate::formats::text::Scan;

/// Kinds of lines, after which something is to be understood.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `IT`, `IS`, `IF`
    Indexed,
    /// `ES`
    Bracketed,
    Register,
    /// With the size, if it is in the kind.
    Memory(AccessKind, Option<u8>),
    /// With 16 bytes.
    Row(AccessKind),
    /// `E`
    Event,
    /// `EXC`
    Exception,
    Other,
}

/// Of time.
const fn is_unit(word: &[u8]) -> bool {
    matches!(word, b"clk" | b"ns" | b"cs" | b"cyc" | b"tic" | b"ps")
}

/// A line without its time.
pub(super) struct Start<'a> {
    pub(super) hart: u32,
    pub(super) kind: Kind,
    pub(super) rest: Scan<'a>,
}

/// Whether a text that begins with this line is Tarmac.
pub(in crate::formats) fn is_first_line(line: &[u8]) -> bool {
    let is_known = |start: &Start<'_>| match start.kind {
        Kind::Indexed => start.rest.rest.trim_ascii_start().starts_with(b"("),
        Kind::Bracketed => true,
        Kind::Register => line.first().is_some_and(u8::is_ascii_digit),
        _ => false,
    };
    line.starts_with(b"Tarmac Text") || start(line, 0).is_ok_and(|start| is_known(&start))
}

pub(super) fn start(text: &[u8], hart: u32) -> Result<Start<'_>, String> {
    let mut rest = Scan::new(text);
    let mut word = rest.word();
    let digits = word.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(word.len());
    if digits != 0 && digits == word.len() {
        word = rest.word();
        if is_unit(word) {
            word = rest.word();
        }
    } else if digits != 0 && is_unit(&word[digits..]) {
        word = rest.word();
    }
    let hart = match cpu_number(word)? {
        None => hart,
        Some(hart) => {
            word = rest.word();
            hart
        }
    };
    let next = rest.rest.trim_ascii_start();
    let kind = match kind(word) {
        Kind::Indexed | Kind::Bracketed
            if next.starts_with(b"EXC") || next.starts_with(b"Reset") =>
        {
            Kind::Exception
        }
        kind => kind,
    };
    Ok(Start { hart, kind, rest })
}

/// `cpu3`, `cluster1.cpu2`
fn cpu_number(word: &[u8]) -> Result<Option<u32>, String> {
    if !word.starts_with(b"cpu") && !word.starts_with(b"cluster") {
        return Ok(None);
    }
    let mut number = Some(0);
    for part in word.strip_suffix(b":").unwrap_or(word).split(|byte| *byte == b'.') {
        let digits = part.strip_prefix(b"cpu").or_else(|| part.strip_prefix(b"cluster"));
        let Some(digits) = digits else { return Ok(None) };
        let mut scan = Scan::new(digits);
        let part =
            if digits.is_empty() { Some(0) } else { scan.decimal().filter(|_| scan.is_empty()) };
        number =
            number.zip(part.filter(|part| *part < 256)).map(|(number, part)| number << 8 | part);
    }
    let number = number.filter(|number| *number < 1 << 16).and_then(hart_number);
    number.map(Some).ok_or_else(|| format!("`{}` is no CPU", word.escape_ascii()))
}

fn kind(word: &[u8]) -> Kind {
    match word {
        b"IT" | b"IS" | b"IF" => Kind::Indexed,
        b"ES" => Kind::Bracketed,
        b"R" => Kind::Register,
        b"LD" => Kind::Row(AccessKind::Load),
        b"ST" => Kind::Row(AccessKind::Store),
        b"E" => Kind::Event,
        b"EXC" => Kind::Exception,
        [b'M', direction @ (b'R' | b'W'), rest @ ..] => memory(*direction, rest, 1),
        [direction @ (b'R' | b'W'), rest @ ..] => memory(*direction, rest, 2),
        _ => Kind::Other,
    }
}

/// `R4`, `W8X`; `R04`
fn memory(direction: u8, rest: &[u8], least_digits: usize) -> Kind {
    let kind = if direction == b'R' { AccessKind::Load } else { AccessKind::Store };
    let mut scan = Scan::new(rest);
    let size = scan.decimal().and_then(|size| u8::try_from(size).ok());
    let digits = rest.len() - scan.rest.len();
    match (size, scan.rest) {
        (Some(1..=16), _) if digits >= least_digits => Kind::Memory(kind, size),
        (None, b"" | b"X") if least_digits == 1 => Kind::Memory(kind, None),
        _ => Kind::Other,
    }
}
