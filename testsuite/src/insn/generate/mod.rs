//! Makes cases from assembly text: the operands by chance, with a taste for corners, the results from
//! the oracle. So they come from an implementation of the architecture that is not ours; what is
//! known to be wrong with it is for people to review.
//!
//! * [`list`] is what is to be made (`testsuite/insn/<guest>/<chapter>.gen`).
//! * [`assembler`] turns it into words and the text that a disassembler must show.
//! * [`operands`] chooses what registers hold.
//! * [`fuzz::line`] writes the cases.
//! * `aarch64` is what is known of that assembly language; it is the only one so far.
//!
//! Operands depend on nothing but the text of their line, so that a change to one line leaves all
//! other cases as they are.

mod aarch64;
pub mod assembler;
pub mod list;
pub mod operands;
mod x86_64;

use base::rng::Rng;
use fuzz::guest::Guest;
use fuzz::line;
use fuzz::machine::State;
use fuzz::oracle::{CODE_MAX, OracleError};

use super::oracle;
use list::Template;
use operands::Operand;

/// What the generator knows of a guest's assembly language.
#[derive(Debug)]
pub struct Syntax {
    /// How its assembler is told to take all instructions.
    pub assembler_flags: &'static [&'static str],
    /// The register that holds floating-point modes.
    pub mode_register: &'static str,
    /// The names of its modes, as cases have them.
    pub modes: &'static [&'static str],
    /// The registers that an instruction names.
    pub operands_of: fn(&str) -> Vec<Operand>,
}

impl Syntax {
    /// The registers that the instructions name, each once: as what it is first, but read if any of
    /// them reads it.
    #[must_use]
    pub fn operands(&self, instructions: &[String]) -> Vec<Operand> {
        let mut all: Vec<Operand> = Vec::new();
        for operand in instructions.iter().flat_map(|text| (self.operands_of)(text)) {
            match all.iter_mut().find(|known| known.register == operand.register) {
                Some(known) if known.role == operands::Role::Destination => *known = operand,
                Some(_) => {}
                None => all.push(operand),
            }
        }
        all
    }
}

fn syntax(guest: &Guest, place: &str) -> Result<&'static Syntax, GenerateError> {
    match guest.name {
        "aarch64" => Ok(&aarch64::SYNTAX),
        "x86_64" => Ok(&x86_64::SYNTAX),
        other => {
            let message = format!("nothing is known of {other}'s assembly language");
            Err(GenerateError::List { place: place.to_owned(), message })
        }
    }
}

/// What may go wrong.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The list makes no sense.
    #[error("{place}: {message}")]
    List {
        /// File and line.
        place: String,
        /// Why.
        message: String,
    },
    /// The assembler refuses it.
    #[error("the assembler refuses:\n{0}")]
    Assembler(String),
    /// A program that is needed cannot be run, or a file not written.
    #[error("{program}: {source}")]
    Io {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no oracle.
    #[error(transparent)]
    Oracle(#[from] OracleError),
}

/// The text of the `.ins` file for a `.gen` file of that name and content.
///
/// # Errors
/// See [`GenerateError`].
pub fn generate(guest: &'static Guest, name: &str, text: &str) -> Result<String, GenerateError> {
    let entries = list::parse(name, text)?;
    let templates: Vec<&Template> = entries.iter().flat_map(list::Entry::templates).collect();
    let assembled = assembler::assemble(guest, &templates)?;
    let oracle = oracle(guest)?;
    let mut cases = Vec::new();
    for (template, assembled) in templates.iter().zip(&assembled) {
        if assembled.code().len() > CODE_MAX {
            let message = "too many instructions".to_owned();
            return Err(GenerateError::List { place: template.place.clone(), message });
        }
        for state in operands::states(guest, template)? {
            cases.push((assembled, *template, state));
        }
    }
    let codes: Vec<Vec<u8>> = cases.iter().map(|(assembled, ..)| assembled.code()).collect();
    let batch: Vec<_> =
        codes.iter().zip(&cases).map(|(code, (.., state))| (code.as_slice(), state)).collect();
    let answers = oracle.run(&batch)?;
    let lines: Vec<(*const Template, String)> = cases
        .iter()
        .zip(&answers)
        .map(|((assembled, template, before), (after, end))| {
            let text = line::of(&assembled.instructions(), &template.marks, before, after, *end);
            (std::ptr::from_ref(*template), text)
        })
        .collect();
    Ok(file(name, &entries, &lines))
}

/// What a list describes, with fresh operands: codes and the states to run each from.
#[derive(Debug)]
pub struct Sample {
    /// File, line and text.
    pub name: String,
    /// The bytes.
    pub code: Vec<u8>,
    /// Where it starts from.
    pub before: Vec<State>,
}

/// All that a list describes, from `count` states each that depend on the seed, in any floating-point
/// mode.
///
/// # Errors
/// See [`GenerateError`].
pub fn samples(
    guest: &'static Guest,
    name: &str,
    text: &str,
    seed: u64,
    count: usize,
) -> Result<Vec<Sample>, GenerateError> {
    let entries = list::parse(name, text)?;
    let templates: Vec<&Template> = entries.iter().flat_map(list::Entry::templates).collect();
    let assembled = assembler::assemble(guest, &templates)?;
    let mut rng = Rng::new(seed);
    let sample = |(template, assembled): (&&Template, &assembler::Assembled)| {
        let before = operands::fresh(guest, template, count, &mut rng)?;
        let name = format!("{} {}", template.place, template.text());
        Ok(Sample { name, code: assembled.code(), before })
    };
    templates.iter().zip(&assembled).map(sample).collect()
}

/// Comments where they stand in the list, cases in place of templates.
fn file(name: &str, entries: &[list::Entry], lines: &[(*const Template, String)]) -> String {
    let mut text = format!("# Written by `cargo insn-cases` from {name}.gen; change that.\n");
    for entry in entries {
        match entry {
            list::Entry::Comment(comment) => text.push_str(&format!("{comment}\n")),
            list::Entry::Templates(templates) => {
                for template in templates {
                    let ours = lines.iter().filter(|(of, _)| std::ptr::eq(*of, template));
                    ours.for_each(|(_, line)| text.push_str(&format!("{line}\n")));
                }
            }
        }
    }
    text
}
