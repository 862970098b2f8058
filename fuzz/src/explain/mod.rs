//! What Ferry's tiers make of an instruction whose effect a reference has shown: where a difference enters, and a case that
//! stands alone.
//!
//! * [`Seen`] are the instructions, as far as an execution has shown what was before and after them.
//! * [`apart::Apart`] evaluates them where they are, on memory of which only what was seen exists: which bytes they touch, which registers
//!   they depend on.
//! * [`moved::Moved`] is the same where cases run: other addresses of code and data, so other values of what depends on them.
//! * [`explain`] has every setup run it, and writes the case.

mod apart;
mod listing;
mod moved;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base::GuestVirt;
use ir::opt::Passes;

use crate::blame::{self, Culprit};
use crate::guest::{Guest, Register};
use crate::line::{self, Instruction};
use crate::machine::{End, State};
use crate::tier::{Engine, Runner, Setup};

pub use apart::Apart;
pub use listing::{By, Listing, listing};
pub use names::name_of;

use moved::Moved;

/// A register's value, as far as it counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// As cases name it.
    pub register: String,
    /// What it holds.
    pub value: u128,
    /// The bits that count.
    pub mask: u128,
}

/// Instructions that were executed one after the other, and what is known of the states around them.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whose.
    pub guest: &'static Guest,
    /// Where the first one is.
    pub pc: GuestVirt,
    /// Their bytes.
    pub code: Vec<Vec<u8>>,
    /// Registers before them, as far as they are known.
    pub before: Vec<Value>,
    /// Registers after them, as the reference says.
    pub after: Vec<Value>,
    /// How they ended, by the reference.
    pub end: Ended,
}

/// How instructions ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Nobody has said.
    Unknown,
    /// They were executed, and it goes on there.
    At(GuestVirt),
    /// One of them trapped; with the address of a fault if it is known.
    Trapped(Option<GuestVirt>),
}

/// Memory around instructions, as far as it is known.
pub trait Known {
    /// A byte before them.
    fn before(&mut self, addr: u64) -> Option<u8>;
    /// A byte after them, as the reference has it.
    fn after(&mut self, addr: u64) -> Option<u8>;
}

/// What one setup did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The setup.
    pub setup: String,
    /// In what it differs from the reference; `None` if it agrees.
    pub difference: Option<String>,
}

/// What is to be said of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// What each setup makes of it.
    pub verdicts: Vec<Verdict>,
    /// Where the difference enters; `None` if no setup differs when the instructions run alone.
    pub culprit: Option<Culprit>,
    /// The case, a line for `testsuite/insn`: what is after it is the reference's.
    pub case: String,
    /// What of the case nobody has said, and was made up.
    pub made_up: Vec<String>,
}

impl Explanation {
    /// The first setup that differs.
    #[must_use]
    pub fn first_different(&self) -> Option<String> {
        let different = self.verdicts.iter().find(|verdict| verdict.difference.is_some());
        different.map(|verdict| verdict.setup.clone())
    }
}

/// Why instructions cannot be executed elsewhere than where they are.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExplainError {
    /// No such guest.
    #[error("Ferry does not execute {0}")]
    Guest(&'static str),
    /// They are none.
    #[error("what is there cannot be translated as one block")]
    Code,
    /// Memory that matters is unknown.
    #[error("what it reads at {0:#x} is not known")]
    Memory(u64),
    /// So is a register.
    #[error("it depends on {0}, whose value is not known")]
    Unknown(String),
    /// What matters is no part of a case.
    #[error("it depends on {0}, which cases do not have")]
    NoPart(String),
    /// Nothing that can be changed leads to the data.
    #[error("no register leads to its data at {0:#x}")]
    Address(u64),
    /// There is more than fits.
    #[error("its accesses are too far apart, or too many")]
    Spread,
    /// A result mixes addresses with other things.
    #[error("{0} depends on addresses in a way that cannot be moved")]
    Result(String),
    /// The reference ends otherwise, nobody knows how.
    #[error("the reference raises an exception, and does not say which")]
    Trap,
}

/// Finds which memory instructions touch, and on what they depend, while memory can be asked for.
///
/// # Errors
/// They cannot be evaluated, or depend on what is not known.
pub fn examine(seen: &Seen, memory: &mut dyn Known) -> Result<Apart, ExplainError> {
    Apart::examine(seen, memory)
}

/// Has every setup execute what was examined, and reduces it to a case.
///
/// # Errors
/// They cannot be executed anywhere else.
///
/// # Panics
/// If the host refuses memory for code.
pub fn explain(seen: &Seen, apart: &Apart) -> Result<Explanation, ExplainError> {
    let mut moved = Moved::new(seen, apart)?;
    let mut runner = Runner::new(seen.guest).ok_or(ExplainError::Guest(seen.guest.name))?;
    let code = moved.code.concat();
    let mut run = |setup: Setup, before: &State| {
        let (mut state, end) = runner.run_as(setup, &code, before);
        (seen.guest.forget)(&code, &mut state.words);
        (state, end)
    };
    let mut verdicts = Vec::new();
    for (name, setup) in setups() {
        let (state, end) = run(setup, &moved.before);
        verdicts.push(Verdict { setup: name, difference: moved.difference(&state, end) });
    }
    let differs = verdicts.iter().any(|verdict| verdict.difference.is_some());
    let culprit = differs.then(|| {
        blame::culprit_of(&mut |setup| {
            let (state, end) = run(setup, &moved.before);
            moved.difference(&state, end).is_some()
        })
    });
    // A smaller case has to show the same.
    let smaller = moved.reduced(seen, apart);
    let still = setups().iter().zip(&verdicts).all(|((_, setup), verdict)| {
        let (state, end) = run(*setup, &smaller.before);
        smaller.difference(&state, end).is_some() == verdict.difference.is_some()
    });
    if still {
        moved = smaller;
    }
    let case = case(&moved);
    Ok(Explanation { verdicts, culprit, case, made_up: moved.made_up })
}

/// Whether a setup, by its name in [`Explanation::verdicts`], makes something else of what was examined than the reference.
///
/// # Errors
/// As [`explain`].
///
/// # Panics
/// As [`explain`].
pub fn differs(seen: &Seen, apart: &Apart, setup: &str) -> Result<bool, ExplainError> {
    let moved = Moved::new(seen, apart)?;
    let mut runner = Runner::new(seen.guest).ok_or(ExplainError::Guest(seen.guest.name))?;
    let code = moved.code.concat();
    let Some((_, setup)) = setups().into_iter().find(|(name, _)| name == setup) else {
        return Ok(false);
    };
    let (mut state, end) = runner.run_as(setup, &code, &moved.before);
    (seen.guest.forget)(&code, &mut state.words);
    Ok(moved.difference(&state, end).is_some())
}

fn case(moved: &Moved) -> String {
    let mut pc = crate::machine::CODE;
    let mut instructions = Vec::new();
    for code in &moved.code {
        let text = moved.ferry.disassemble;
        instructions.push(Instruction { code: code.clone(), text: text(pc, code).0 });
        pc = pc.wrapping_add(code.len() as u64);
    }
    line::of(&instructions, &[], &moved.before, &moved.after, moved.end)
}

/// The setups that are told of: the interpreter, the baseline compiler, compiled code without optimisation, with each pass alone, and with all.
fn setups() -> Vec<(String, Setup)> {
    let compiled = |passes| Setup { passes, ..blame::plain(Engine::Region) };
    let mut all = vec![
        ("interp".to_owned(), blame::plain(Engine::Interpreter)),
        ("baseline".to_owned(), blame::plain(Engine::Baseline)),
        ("jit:none".to_owned(), compiled(Passes::NONE)),
    ];
    all.extend(Passes::NAMED.map(|(pass, name)| (format!("jit:{name}"), compiled(pass))));
    all.push(("jit".to_owned(), compiled(Passes::ALL)));
    all
}

/// The registers of a guest by name.
fn by_name(guest: &Guest) -> BTreeMap<String, Register> {
    let all = (guest.registers)().into_iter();
    all.map(|register| (register.name.clone(), register)).collect()
}

/// How it ends, in a few words.
fn end_text(end: End) -> String {
    match end {
        End::Stopped(pc) => format!("goes on at {pc}"),
        other => format!("{other:?}"),
    }
}
