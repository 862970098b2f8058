//! The beginning of a file: of a trace, and of a trace's hashes ([`crate::hashes`]).

use std::io::Read;

use super::chunk::part;
use super::hash::xxh64;
use super::unsayable;
use crate::{Architecture, Carries, Error, Header, Writes};

/// What a file begins with. It is neither text nor survives being taken for such.
pub const MAGIC: [u8; 8] = *b"\x89FTR\r\n\x1a\n";

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileKind {
    /// What it begins with.
    pub(crate) magic: [u8; 8],
    /// What something else is not.
    pub(crate) name: &'static str,
}

/// A trace.
pub(super) const TRACE: FileKind = FileKind { magic: MAGIC, name: "trace in Ferry's format" };

/// The version of the format that is written, and the only one that is read.
const VERSION: u16 = 1;
/// Magic, version and the body's length.
const PREFIX: usize = 14;
/// The body without the program.
const FIXED: usize = 10;
/// The longest program, in bytes.
const MAX_PROGRAM: usize = 1 << 20;

/// The header as bytes, with how many events belong together.
pub(crate) fn to_bytes(
    kind: FileKind,
    header: &Header,
    chunk_events: u32,
) -> Result<Vec<u8>, Error> {
    let program = header.program.as_deref().unwrap_or_default();
    if program.len() > MAX_PROGRAM {
        return Err(unsayable("a program's name of more than 1 MiB"));
    }
    let mut out = kind.magic.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    let len = u32::try_from(FIXED + program.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.push(architecture_code(header.architecture));
    let Carries { int, float, control, .. } = header.carries;
    out.extend([int, float, control].map(writes_code));
    out.push(flags(&header.carries));
    out.extend_from_slice(&chunk_events.to_le_bytes());
    out.push(header.program.is_some().into());
    out.extend_from_slice(program.as_bytes());
    let check = xxh64(&out);
    out.extend_from_slice(&check.to_le_bytes());
    Ok(out)
}

/// Reads the header; gives it, how many events belong together, and its length.
pub(crate) fn read(kind: FileKind, input: &mut impl Read) -> Result<(Header, u32, u64), Error> {
    let mut bytes = Vec::new();
    read_up_to(input, PREFIX, &mut bytes)?;
    let magic = bytes.get(..8).unwrap_or(&bytes);
    if magic != &kind.magic[..magic.len()] {
        return Err(at(0, &format!("this is no {}", kind.name)));
    }
    require(&bytes, PREFIX)?;
    let version = u16::from_le_bytes(part(&bytes, 8));
    if version != VERSION {
        return Err(at(
            8,
            &format!("the format's version is {version}, and only {VERSION} is known"),
        ));
    }
    let len = usize::try_from(u32::from_le_bytes(part(&bytes, 10))).unwrap_or(usize::MAX);
    if !(FIXED..=FIXED + MAX_PROGRAM).contains(&len) {
        return Err(at(10, "the header has an impossible length"));
    }
    let end = PREFIX + len;
    read_up_to(input, len + 8, &mut bytes)?;
    require(&bytes, end + 8)?;
    let (checked, check) = bytes.split_at(end);
    if xxh64(checked) != u64::from_le_bytes(part(check, 0)) {
        return Err(at(0, "the header is damaged"));
    }
    let (header, chunk_events) =
        parse(&checked[PREFIX..]).ok_or_else(|| at(PREFIX, "the header says something unknown"))?;
    Ok((header, chunk_events, u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
}

fn parse(body: &[u8]) -> Option<(Header, u32)> {
    let (fixed, program) = body.split_first_chunk::<FIXED>()?;
    let [architecture, int, float, control, flags, chunk_events @ .., has_program] = *fixed;
    let architecture = *ARCHITECTURES.get(usize::from(architecture))?;
    let [int, float, control] = [int, float, control].map(|code| WRITES.get(usize::from(code)));
    let carries = carries(*int?, *float?, *control?, flags)?;
    let program = match has_program {
        0 if program.is_empty() => None,
        1 => Some(str::from_utf8(program).ok()?.to_owned()),
        _ => return None,
    };
    Some((Header { architecture, carries, program }, u32::from_le_bytes(chunk_events)))
}

/// In the order of their codes.
const ARCHITECTURES: [Architecture; 3] =
    [Architecture::Riscv64, Architecture::Aarch64, Architecture::X86_64];
const WRITES: [Writes; 3] = [Writes::Unknown, Writes::Changes, Writes::Every];

const fn architecture_code(architecture: Architecture) -> u8 {
    match architecture {
        Architecture::Riscv64 => 0,
        Architecture::Aarch64 => 1,
        Architecture::X86_64 => 2,
    }
}

const fn writes_code(writes: Writes) -> u8 {
    match writes {
        Writes::Unknown => 0,
        Writes::Changes => 1,
        Writes::Every => 2,
    }
}

fn flags(carries: &Carries) -> u8 {
    let Carries { insn, privilege, loads, load_values, stores, store_values, traps, .. } = *carries;
    let flags = [insn, privilege, loads, load_values, stores, store_values, traps];
    flags.into_iter().zip(0..).fold(0, |all, (is_set, bit)| all | u8::from(is_set) << bit)
}

fn carries(int: Writes, float: Writes, control: Writes, flags: u8) -> Option<Carries> {
    let flag = |bit: u32| flags >> bit & 1 != 0;
    (flags < 1 << 7).then(|| Carries {
        insn: flag(0),
        privilege: flag(1),
        int,
        float,
        control,
        loads: flag(2),
        load_values: flag(3),
        stores: flag(4),
        store_values: flag(5),
        traps: flag(6),
    })
}

/// Reads so many more bytes, or fewer if there are no more.
pub(crate) fn read_up_to(
    input: &mut impl Read,
    len: usize,
    bytes: &mut Vec<u8>,
) -> Result<(), Error> {
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    input.take(len).read_to_end(bytes)?;
    Ok(())
}

fn require(bytes: &[u8], len: usize) -> Result<(), Error> {
    if bytes.len() < len {
        return Err(Error::CutShort("it ends within its header".to_owned()));
    }
    Ok(())
}

fn at(offset: usize, reason: &str) -> Error {
    let offset = u64::try_from(offset).unwrap_or(u64::MAX);
    Error::Byte { offset, reason: reason.to_owned() }
}
