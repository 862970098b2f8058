//! Registers as debuggers see them: names, numbers and types, in the form of gdb's target descriptions
//! ("Debugging with GDB", appendix "Target Descriptions").

use std::fmt::Write as _;
use std::ops::Range;

/// A register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugRegister {
    /// gdb's number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Its width.
    pub bits: u32,
    /// gdb's name of its type.
    pub kind: &'static str,
    /// The feature of the description that it belongs to.
    pub feature: &'static str,
    /// The group of `info registers` in which it is shown, if not by its type.
    pub group: Option<&'static str>,
}

/// A CPU's registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugRegisters {
    /// gdb's name of the architecture.
    pub architecture: &'static str,
    /// Ascending by number; those of a feature stand together.
    pub registers: Vec<DebugRegister>,
    /// Those that are read and written all at once: 64 bits each, the pc among them.
    pub general: Range<u32>,
    /// The pc's number.
    pub pc: u32,
}

impl DebugRegisters {
    /// The register of a number.
    #[must_use]
    pub fn find(&self, number: u32) -> Option<&DebugRegister> {
        let at = self.registers.binary_search_by_key(&number, |register| register.number);
        at.ok().map(|at| &self.registers[at])
    }

    /// The target description.
    #[must_use]
    pub fn xml(&self) -> String {
        let mut text =
            String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n");
        // Writing to a string cannot fail.
        let _ = write!(text, "<target>\n<architecture>{}</architecture>\n", self.architecture);
        for registers in self.registers.chunk_by(|a, b| a.feature == b.feature) {
            let _ = writeln!(text, "<feature name=\"{}\">", registers[0].feature);
            for DebugRegister { number, name, bits, kind, group, .. } in registers {
                let group = group.map_or(String::new(), |group| format!(" group=\"{group}\""));
                let _ = writeln!(
                    text,
                    "<reg name=\"{name}\" bitsize=\"{bits}\" type=\"{kind}\" regnum=\"{number}\"{group}/>"
                );
            }
            text.push_str("</feature>\n");
        }
        text.push_str("</target>\n");
        text
    }
}
