//! Where a difference comes from, in words. Somebody who knows the tiers has found it out.

use std::fmt;

use serde::Serialize;

/// What there is to say beside the difference itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Explanation {
    /// Which instruction is explained: its address and its text.
    pub instruction: String,
    /// What each tier makes of it, executed alone from the reference's state.
    pub tiers: Vec<Tier>,
    /// Where the difference enters.
    pub enters: String,
    /// A line that shows it by itself, for `testsuite/insn`.
    pub reproducer: Option<String>,
    /// What nobody has said of the states before and after it.
    pub unknown: Vec<String>,
    /// The block's forms.
    pub sections: Vec<Section>,
}

/// What a tier makes of an instruction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Tier {
    /// As `ferry diff` names it.
    pub name: String,
    /// In what it differs from the reference; `None` if it agrees.
    pub difference: Option<String>,
}

/// A text with a title.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Section {
    /// What it is.
    pub title: String,
    /// Several lines.
    pub text: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  where it comes from: {}", self.instruction)?;
        for Tier { name, difference } in &self.tiers {
            match difference {
                Some(difference) => writeln!(f, "  * {name:<14} {difference}")?,
                None => writeln!(f, "    {name:<14} agrees with the reference")?,
            }
        }
        writeln!(f, "  enters in: {}", self.enters)?;
        if !self.unknown.is_empty() {
            writeln!(f, "  unknown: {}", self.unknown.join("; "))?;
        }
        if let Some(line) = &self.reproducer {
            writeln!(f, "  by itself:\n{line}")?;
        }
        for Section { title, text } in &self.sections {
            writeln!(f, "\n  {title}:")?;
            for line in text.lines() {
                writeln!(f, "    {}", line.trim_end())?;
            }
        }
        Ok(())
    }
}
