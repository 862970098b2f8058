//! `-d`: what is logged, and where to.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Something that can be logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum LogItem {
    /// Guest code as it is translated.
    InAsm,
    /// The IR of each block.
    Ir,
    /// Cranelift's IR of each region.
    Clif,
    /// Host code of each region.
    OutAsm,
    /// Each block before it runs. Blocks are then not chained.
    Exec,
    /// The registers before each block. Blocks are then not chained.
    Cpu,
    /// In a whole machine: each trap that is taken.
    Int,
    /// In a whole machine: what happens in the TLBs.
    Mmu,
}

impl LogItem {
    /// All items.
    pub const ALL: [Self; 8] = [
        Self::InAsm,
        Self::Ir,
        Self::Clif,
        Self::OutAsm,
        Self::Exec,
        Self::Cpu,
        Self::Int,
        Self::Mmu,
    ];

    /// As `-d` names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InAsm => "in_asm",
            Self::Ir => "ir",
            Self::Clif => "clif",
            Self::OutAsm => "out_asm",
            Self::Exec => "exec",
            Self::Cpu => "cpu",
            Self::Int => "int",
            Self::Mmu => "mmu",
        }
    }
}

/// A set of [`LogItem`]s.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LogItems(u8);

impl LogItems {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether an item is in it.
    #[inline]
    #[must_use]
    pub const fn has(self, item: LogItem) -> bool {
        self.0 & 1 << item as u8 != 0
    }

    /// The set with an item more.
    #[must_use]
    pub const fn with(self, item: LogItem) -> Self {
        Self(self.0 | 1 << item as u8)
    }

    /// An item that means something to whole machines only, if one is in it.
    #[must_use]
    pub fn of_machines(self) -> Option<LogItem> {
        [LogItem::Int, LogItem::Mmu].into_iter().find(|&item| self.has(item))
    }

    /// Whether blocks must not run into each other unseen.
    #[must_use]
    pub const fn each_block(self) -> bool {
        self.has(LogItem::Exec) || self.has(LogItem::Cpu)
    }
}

impl std::str::FromStr for LogItems {
    type Err = LogError;

    /// From a list of names, separated by commas.
    fn from_str(list: &str) -> Result<Self, LogError> {
        let names = list.split(',').filter(|name| !name.is_empty());
        names.into_iter().try_fold(Self::NONE, |items, name| {
            let item = LogItem::ALL.into_iter().find(|item| item.name() == name);
            item.map(|item| items.with(item)).ok_or_else(|| LogError::Unknown(name.to_owned()))
        })
    }
}

/// Why something cannot be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No item of that name.
    #[error(
        "no log item {0:?}: there are in_asm, ir, clif, out_asm, exec, cpu, and for machines int and mmu"
    )]
    Unknown(String),
    /// A process has nothing of that kind.
    #[error("-d {0} is for whole machines (ferry boot): a program takes no traps and has no TLB")]
    MachinesOnly(&'static str),
    /// The log file cannot be opened.
    #[error("cannot open the log file {path}: {source}")]
    Open {
        /// Which.
        path: String,
        /// The host's words.
        #[source]
        source: io::Error,
    },
}

/// Where logs go. Each message is one write to a file opened for appending: threads, and a parent
/// and its forked children, share it without a lock or a buffer.
#[derive(Debug)]
pub struct LogSink {
    file: Option<File>,
}

impl LogSink {
    /// Standard error.
    #[must_use]
    pub const fn stderr() -> Self {
        Self { file: None }
    }

    /// A file, which is created if it does not exist and emptied if it does.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn file(path: &Path) -> Result<Self, LogError> {
        let open = || -> io::Result<File> {
            File::create(path)?;
            OpenOptions::new().append(true).open(path)
        };
        let error = |source| LogError::Open { path: path.display().to_string(), source };
        Ok(Self { file: Some(open().map_err(error)?) })
    }

    /// A file that is open for appending.
    #[must_use]
    pub const fn open(file: File) -> Self {
        Self { file: Some(file) }
    }

    /// Writes a message. What cannot be written is lost: the guest's run matters more.
    pub fn write(&self, message: fmt::Arguments<'_>) {
        let text = message.to_string();
        let _ = match &self.file {
            Some(file) => { file }.write_all(text.as_bytes()),
            None => io::stderr().write_all(text.as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_parsed_by_name() {
        let items: LogItems = "exec,in_asm".parse().unwrap();
        assert!(items.has(LogItem::Exec) && items.has(LogItem::InAsm) && !items.has(LogItem::Ir));
        assert!(items.each_block());
        assert_eq!("".parse::<LogItems>().unwrap(), LogItems::NONE);
        let error = "ir,nonsense".parse::<LogItems>().unwrap_err().to_string();
        assert!(error.contains("nonsense") && error.contains("out_asm"), "{error}");
    }

    #[test]
    fn a_log_file_is_appended_to() {
        let path = std::env::temp_dir().join(format!("ferry-log-{}", std::process::id()));
        let sink = LogSink::file(&path).unwrap();
        sink.write(format_args!("one\n"));
        std::fs::write(&path, "").unwrap();
        sink.write(format_args!("two {}\n", 2));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two 2\n");
        std::fs::remove_file(&path).unwrap();
        assert!(LogSink::file(Path::new("/nonexistent/log")).is_err());
    }
}
