//! What can be wrong with a table, and where.

use thiserror::Error;

/// A mistake in a table, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {kind}")]
pub struct Error {
    /// Where the offending line begins.
    pub place: Place,
    /// What is wrong there.
    pub kind: Box<ErrorKind>,
}

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The file's name as given to [`crate::Table::parse`].
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Place {
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error { place: self.clone(), kind: Box::new(kind) }
    }
}

/// What is wrong with a line of a table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ErrorKind {
    /// The line follows none of the forms of the language.
    #[error("{0}")]
    Syntax(String),
    /// A name that is referred to is not defined before its use.
    #[error("unknown {what} `{name}`")]
    Unknown {
        /// The kind of thing: "field", "argument set", …
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name is defined twice.
    #[error("{what} `{name}` is already defined at {first}")]
    Duplicate {
        /// The kind of thing: "field", "instruction", …
        what: &'static str,
        /// Its name.
        name: String,
        /// The earlier definition.
        first: Place,
    },
    /// A definition that nothing uses.
    #[error("{what} `{name}` is never used")]
    Unused {
        /// The kind of thing: "field", "argument set", "format".
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The bits of a pattern or format add up to neither 16 nor 32.
    #[error("{0} bits given; an instruction has 16 or 32")]
    Width(usize),
    /// A pattern and its format have different widths.
    #[error("the pattern has {pattern} bits but format `@{name}` has {format}")]
    WidthMismatch {
        /// Bits of the pattern.
        pattern: u8,
        /// The format's name.
        name: String,
        /// Bits of the format.
        format: u8,
    },
    /// A pattern and its format fix a bit to different values.
    #[error("bit {0} is fixed to different values by the pattern and its format")]
    FixedConflict(u8),
    /// A field reaches past the width of the instruction.
    #[error("field `{name}` reaches past the {width} bits of the instruction")]
    FieldTooWide {
        /// The field's name.
        name: String,
        /// Bits of the instruction.
        width: u8,
    },
    /// A bit is fixed and also part of a field.
    #[error("bit {bit} is fixed and also part of `{name}`")]
    FixedField {
        /// The bit's number.
        bit: u8,
        /// The argument that the field gives.
        name: String,
    },
    /// A bit is declared as ignored and also part of a field.
    #[error("bit {bit} is ignored (`-`) and also part of `{name}`")]
    IgnoredField {
        /// The bit's number.
        bit: u8,
        /// The argument that the field gives.
        name: String,
    },
    /// A bit is neither fixed, nor in a field, nor declared as ignored.
    #[error("bit {0} is neither fixed, nor part of a field, nor ignored (`-`)")]
    Unaccounted(u8),
    /// A pattern does not say where an argument comes from.
    #[error("argument `{0}` gets no value")]
    MissingArgument(String),
    /// A pattern gives a value to something that its argument set lacks.
    #[error("`{0}` is no argument of this instruction")]
    NoSuchArgument(String),
    /// A field's values do not fit the argument's type.
    #[error("the values of `{name}` do not fit its type {ty}")]
    ArgumentType {
        /// The argument's name.
        name: String,
        /// The argument's type.
        ty: &'static str,
    },
    /// Two patterns match a common word outside an overlap group.
    #[error("`{name}` overlaps `{other}` ({place}): put both into a group `{{ }}`")]
    Overlap {
        /// The later pattern.
        name: String,
        /// The earlier one.
        other: String,
        /// Where the earlier one stands.
        place: Place,
    },
    /// A pattern that no word can reach, because one before it in its overlap group takes them all.
    #[error("`{name}` can never match: `{other}` ({place}) takes every word first")]
    Unreachable {
        /// The pattern.
        name: String,
        /// The one that hides it.
        other: String,
        /// Where that one stands.
        place: Place,
    },
    /// Two patterns that share a visitor method have different argument sets.
    #[error("method `{method}` takes `{first}` in `{other}` but `{second}` here")]
    MethodArguments {
        /// The shared method.
        method: String,
        /// The instruction that defined the method.
        other: String,
        /// Its argument set.
        first: String,
        /// The argument set here.
        second: String,
    },
    /// The name of a method would be a keyword of Rust.
    #[error("`{0}` is a keyword of Rust: name the method with `=> other_name`")]
    Keyword(String),
    /// A group is not closed, or closed by the wrong bracket.
    #[error("unbalanced `{0}`")]
    Unbalanced(char),
    /// A pattern stands before the first `chapter` or `section` line.
    #[error("no `{0}` line stands before this pattern")]
    Homeless(&'static str),
}
