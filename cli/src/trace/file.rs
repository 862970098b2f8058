//! Files of traces, in whichever format they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use trace::formats::{Format, detect};
use trace::hashes::{self, Hashes};
use trace::{Architecture, Error, Header, Sink, Source, native};

/// Enough of a file to tell its format by.
const BEGINNING: usize = 1 << 16;

/// A format that is read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Ferry's own.
    Native,
    /// Another tool's.
    Other(Format),
}

impl Kind {
    /// The format of that name.
    pub(crate) fn by_name(name: &str) -> Result<Self, String> {
        if name == "ferry" {
            return Ok(Self::Native);
        }
        let names = || Format::ALL.map(Format::name).join(", ");
        let format = Format::by_name(name);
        format.map(Self::Other).ok_or_else(|| format!("{name} is none of ferry, {}", names()))
    }

    /// The format of that name, if Ferry writes it.
    pub(crate) fn to_write(name: &str) -> Result<Self, String> {
        match Self::by_name(name)? {
            Self::Other(Format::Qemu | Format::Rvfi) => Err(format!(
                "{name} is only read; ferry, spike, execlog, rvvi and tarmac are written"
            )),
            kind => Ok(kind),
        }
    }

    /// As the command line names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "ferry",
            Self::Other(format) => format.name(),
        }
    }

    /// Whether it can say what CPUs of an architecture execute.
    pub(crate) fn check_writable(self, architecture: Architecture) -> Result<(), Error> {
        match self {
            Self::Native => Ok(()),
            Self::Other(format) => format.check_writable(architecture),
        }
    }

    /// What writes it.
    pub(crate) fn write<W: Write + Send + 'static>(
        self,
        writer: W,
        header: &Header,
    ) -> Result<Box<dyn Sink + Send>, Error> {
        match self {
            Self::Native => Ok(Box::new(native::Writer::new(writer, header)?)),
            Self::Other(format) => format
                .write(writer, header.architecture)?
                .ok_or_else(|| Error::Io(io::ErrorKind::Unsupported.into())),
        }
    }
}

/// What is known of a trace before it is read.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Known {
    /// Its format, if it is not to be told from its beginning.
    pub(crate) kind: Option<Kind>,
    /// Its architecture, where it does not say that.
    pub(crate) architecture: Option<Architecture>,
}

/// Opens a trace, `-` for standard input; returns its format, too.
pub(crate) fn open(path: &Path, known: Known) -> Result<(Kind, Box<dyn Source + Send>), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let input: Box<dyn io::Read + Send> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| failed(&error))?)
    };
    read(input, known).map_err(|error| failed(&error))
}

/// A trace that somebody else has opened; returns its format, too.
pub(crate) fn read(
    input: Box<dyn io::Read + Send>,
    known: Known,
) -> Result<(Kind, Box<dyn Source + Send>), String> {
    let mut input = BufReader::with_capacity(BEGINNING, input);
    let kind = match known.kind {
        Some(kind) => kind,
        None if is_hashes(input.fill_buf().map_err(|error| error.to_string())?) => {
            return Err(
                "these are a trace's hashes: `ferry diff` and `ferry trace stat` read them"
                    .to_owned(),
            );
        }
        None => of_beginning(input.fill_buf().map_err(|error| error.to_string())?)
            .ok_or("this is no trace of a format that is known; --format names it")?,
    };
    let source = match kind {
        Kind::Native => native::Reader::new(input).map(|reader| Box::new(reader) as _),
        Kind::Other(format) => format.read(input, known.architecture),
    };
    Ok((kind, source.map_err(|error| error.to_string())?))
}

/// Whether this begins like a file of hashes.
fn is_hashes(beginning: &[u8]) -> bool {
    beginning.starts_with(&hashes::MAGIC)
}

/// The hashes in a file; `None` if it is none of hashes.
pub(crate) fn read_hashes(path: &Path) -> Result<Option<Hashes>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if path == Path::new("-") || !path.is_file() {
        return Ok(None);
    }
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut input = BufReader::with_capacity(BEGINNING, file);
    if !is_hashes(input.fill_buf().map_err(|error| failed(&error))?) {
        return Ok(None);
    }
    Hashes::read(input).map(Some).map_err(|error| failed(&error))
}

fn of_beginning(beginning: &[u8]) -> Option<Kind> {
    if beginning.starts_with(&native::MAGIC) {
        return Some(Kind::Native);
    }
    detect(beginning).map(Kind::Other)
}
