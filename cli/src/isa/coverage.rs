//! How far extensions and instructions are supported, in any guest's words.

use std::fmt::Write as _;

/// How far an extension or an instruction is supported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It works, and the CPU model has it.
    Implemented,
    /// Its instructions work, but not all that hangs on them.
    Partial,
    /// It works, but the CPU model does not have it.
    Off,
    /// It is an undefined instruction, whatever the CPU model.
    Deferred,
}

impl Status {
    /// Of something that Ferry has or has not, and a CPU model has or has not.
    pub(super) fn of(implemented: bool, on: bool) -> Self {
        match (implemented, on) {
            (true, true) => Status::Implemented,
            (true, false) => Status::Off,
            (false, _) => Status::Deferred,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Implemented => "implemented",
            Status::Partial => "partial",
            Status::Off => "off",
            Status::Deferred => "deferred",
        }
    }
}

/// An instruction of a guest's tables.
pub(super) struct Instruction {
    pub(super) name: &'static str,
    pub(super) chapter: &'static str,
    pub(super) extension: &'static str,
    pub(super) status: Status,
    /// Bits of the encoding.
    pub(super) width: u8,
    /// Which of them are fixed, and at what.
    pub(super) mask: u32,
    pub(super) value: u32,
}

impl Instruction {
    /// The bits from the highest: fixed ones as 0 and 1, operands as dots.
    fn encoding(&self) -> String {
        let bit = |n: u8| match (self.mask >> n & 1, self.value >> n & 1) {
            (0, _) => '.',
            (_, 0) => '0',
            _ => '1',
        };
        (0..self.width).rev().map(bit).collect()
    }
}

/// All that a guest's tables say of instructions.
pub(super) struct Instructions {
    pub(super) chapters: &'static [&'static str],
    pub(super) decoded: Vec<Instruction>,
    /// Those that are known, but not decoded: name and extension.
    pub(super) deferred: Vec<(&'static str, &'static str)>,
    /// How wide the longest name of an extension is.
    pub(super) extension_width: usize,
}

impl Instructions {
    /// A line for each, chapter by chapter in the manual's order, and how many there are.
    pub(super) fn list(&self) -> String {
        let mut text = String::new();
        for chapter in self.chapters {
            let mut rows = self.decoded.iter().filter(|row| row.chapter == *chapter).peekable();
            if rows.peek().is_some() {
                let _ = writeln!(text, "# {chapter}");
            }
            for row in rows {
                self.line(&mut text, row.name, row.extension, row.status, &row.encoding());
            }
        }
        let _ = writeln!(text, "# Not decoded");
        for (name, extension) in &self.deferred {
            self.line(&mut text, name, extension, Status::Deferred, "-");
        }
        let with = |status| self.decoded.iter().filter(|row| row.status == status).count();
        let _ = writeln!(
            text,
            "{} instructions: {} implemented, {} off on this CPU, {} deferred",
            self.decoded.len() + self.deferred.len(),
            with(Status::Implemented),
            with(Status::Off),
            with(Status::Deferred) + self.deferred.len()
        );
        text
    }

    fn line(&self, text: &mut String, name: &str, extension: &str, status: Status, encoding: &str) {
        let (status, width) = (status.name(), self.extension_width);
        let _ = writeln!(text, "{name:<18} {extension:<width$} {status:<11} {encoding}");
    }
}

/// The line of a list that begins with this word.
#[cfg(test)]
pub(super) fn find(text: &str, word: &str) -> String {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(word));
    line.unwrap_or_else(|| panic!("no line for {word}")).to_owned()
}
