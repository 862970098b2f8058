//! Why a trace cannot be read or written.

use crate::Architecture;

/// An error of a [`crate::Source`] or a [`crate::Sink`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host's words.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A line of a text format that is none of its lines.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// A place in a binary format.
    #[error("byte {offset:#x}: {reason}")]
    Byte {
        /// From the start of the file.
        offset: u64,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The trace ends within something.
    #[error("the trace is cut short: {0}")]
    CutShort(String),
    /// The trace is of another architecture than it was taken for, or of several.
    #[error("the trace is of {}, not of {}", found.name(), expected.name())]
    Architecture {
        /// What it was taken for.
        expected: Architecture,
        /// What it is of.
        found: Architecture,
    },
    /// An event has something that the format cannot say.
    #[error("{format} cannot say this: {what}")]
    Unsayable {
        /// The format's name.
        format: &'static str,
        /// What it has no words for.
        what: String,
    },
}
