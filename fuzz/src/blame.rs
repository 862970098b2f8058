//! What a difference comes from: which instruction, and which part of Ferry.

use ir::Precision;
use ir::opt::Passes;
use serde::{Deserialize, Serialize};

use crate::machine::{End, State};
use crate::program::{Outcome, Program};
use crate::shape::File;
use crate::tier::{Engine, Intrinsics, Runner, Setup};

/// In what two outcomes differ, by what weighs most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// They end otherwise, or elsewhere.
    End,
    /// Memory.
    Memory,
    /// An integer register.
    Integer,
    /// A floating-point or vector register.
    Float,
    /// Flags and status registers alone.
    Flags,
}

impl Kind {
    /// As it stands in names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Memory => "memory",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Flags => "flags",
        }
    }

    /// Of two outcomes; `None` if they are the same.
    #[must_use]
    pub fn of(mine: &Outcome, theirs: &Outcome) -> Option<Self> {
        if mine.1 != theirs.1 {
            return Some(Self::End);
        }
        let (mine, theirs) = (&mine.0, &theirs.0);
        if mine.memory != theirs.memory {
            return Some(Self::Memory);
        }
        let guest = mine.guest;
        let registers = (guest.registers)();
        let differing = registers
            .iter()
            .filter(|register| register.reported)
            .filter(|register| register.get(&mine.words) != register.get(&theirs.words));
        differing
            .map(|register| match (guest.register_named)(&register.name) {
                Some((File::Integer, ..)) => Self::Integer,
                Some((File::Float, ..)) => Self::Float,
                None => Self::Flags,
            })
            .min()
    }
}

/// The difference in words.
#[must_use]
pub fn difference(mine: &Outcome, theirs: &Outcome) -> Option<String> {
    let states = mine.0.difference(&theirs.0);
    let ends = (mine.1 != theirs.1).then(|| format!("{} not {}", ending(mine.1), ending(theirs.1)));
    let both: Vec<String> = ends.into_iter().chain(states).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

fn ending(end: End) -> String {
    match end {
        End::Stopped(pc) => format!("goes on at {pc}"),
        End::Illegal(pc) => format!("is illegal at {pc}"),
        End::Breakpoint(pc) => format!("meets a breakpoint at {pc}"),
        End::Syscall(pc) => format!("calls the system before {pc}"),
        End::Misaligned { pc } => format!("is misaligned at {pc}"),
        End::Fault { pc, addr } => format!("faults at {pc} for {addr}"),
        End::Arithmetic { pc, code } => format!("raises SIGFPE of code {code} at {pc}"),
        End::Endless => "does not come to an end".to_owned(),
    }
}

/// The part of Ferry that a difference enters in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "part", content = "detail")]
pub enum Culprit {
    /// What is executed is wrong already in the IR, or in a helper: every tier says the same.
    Translation,
    /// The interpreter's form of a block, or the interpreter.
    Interpreter,
    /// The baseline compiler.
    Baseline,
    /// The optimiser: the passes that it takes, by name.
    Optimiser(Vec<String>),
    /// The back end: with what it goes away, if with anything.
    Backend(Vec<String>),
    /// It could not be told: no setup differs when it runs alone.
    Unknown,
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Translation => f.write_str("translation (or a helper): every tier says the same"),
            Self::Interpreter => {
                f.write_str("tier 0: the evaluator of the same block says otherwise")
            }
            Self::Baseline => f.write_str("the baseline compiler: tier 0 says otherwise"),
            Self::Optimiser(passes) => write!(f, "optimiser: {}", passes.join("+")),
            Self::Backend(without) if without.is_empty() => f.write_str("back end"),
            Self::Backend(without) => write!(f, "back end; not with {}", without.join(", ")),
            Self::Unknown => f.write_str("unknown: it does not happen again"),
        }
    }
}

/// A setup of this engine that optimises nothing.
#[must_use]
pub fn plain(engine: Engine) -> Setup {
    let precision = match engine {
        Engine::Region => Precision::Replay,
        Engine::Evaluator | Engine::Interpreter | Engine::Baseline => Precision::EveryAccess,
    };
    Setup { engine, passes: Passes::NONE, precision, intrinsics: Intrinsics::Host }
}

/// Which part of Ferry makes the program end otherwise than `truth`.
pub fn culprit(
    runner: &mut Runner,
    program: &Program,
    differs: &dyn Fn(&Program, &Outcome) -> bool,
) -> Culprit {
    let code = program.code();
    culprit_of(&mut |setup| differs(program, &runner.run_as(setup, &code, &program.before)))
}

/// Which part of Ferry it is that is wrong in these setups.
pub fn culprit_of(wrong: &mut dyn FnMut(Setup) -> bool) -> Culprit {
    if wrong(plain(Engine::Evaluator)) {
        return Culprit::Translation;
    }
    if wrong(plain(Engine::Interpreter)) {
        return Culprit::Interpreter;
    }
    if wrong(plain(Engine::Baseline)) {
        return Culprit::Baseline;
    }
    let region = plain(Engine::Region);
    if wrong(region) {
        let exact = Setup { precision: Precision::EveryAccess, ..region };
        let helpers = Setup { intrinsics: Intrinsics::Helpers, ..region };
        let mut without = Vec::new();
        if !wrong(exact) {
            without.push("registers exact before every access".to_owned());
        }
        if !wrong(helpers) {
            without.push("helpers for intrinsics".to_owned());
        }
        return Culprit::Backend(without);
    }
    for engine in [Engine::Interpreter, Engine::Region] {
        let all = Setup { passes: Passes::ALL, ..plain(engine) };
        if wrong(all) {
            return Culprit::Optimiser(passes(&mut |passes| wrong(Setup { passes, ..all })));
        }
    }
    Culprit::Unknown
}

/// The pass that is wrong alone, or all without which nothing is wrong.
fn passes(mut wrong: impl FnMut(Passes) -> bool) -> Vec<String> {
    let alone = Passes::NAMED.iter().find(|(pass, _)| wrong(*pass));
    if let Some((_, name)) = alone {
        return vec![(*name).to_owned()];
    }
    let needed = Passes::NAMED.iter().filter(|(pass, _)| !wrong(Passes::ALL.without(*pass)));
    needed.map(|(_, name)| (*name).to_owned()).collect()
}

/// The first instruction after which the two executions differ, by its place in the program: the program is run up to
/// each of its instructions. `None` if it takes all of it, its loop included.
///
/// # Errors
/// See [`crate::minimise::Judge::fails`].
pub fn guilty(
    program: &Program,
    judge: &mut dyn crate::minimise::Judge,
) -> Result<Option<usize>, String> {
    let prefixes: Vec<Program> =
        (1..=program.len()).filter_map(|count| program.prefix(count)).collect();
    let verdicts = judge.fails(&prefixes)?;
    Ok(verdicts.iter().position(|&fails| fails))
}

/// What a state holds beside [`State::new`], in the words of a case.
#[must_use]
pub fn settings(state: &State) -> usize {
    let initial = State::new(state.guest);
    let registers = (state.guest.registers)();
    let changed = registers.iter().filter(|register| register.reported);
    changed.filter(|r| r.get(&state.words) != r.get(&initial.words)).count()
}
