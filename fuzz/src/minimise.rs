//! Shrinks a program that shows a difference to the shortest that still does: fewer instructions, then fewer and simpler
//! registers and less memory to set up. What fails is asked for many candidates at once, because asking another emulator
//! costs the same for one as for a hundred.

use crate::machine::{EDGE, State};
use crate::program::Program;

/// Which of these programs still show the difference.
pub trait Judge {
    /// One answer for each program.
    ///
    /// # Errors
    /// Why nobody can say.
    fn fails(&mut self, programs: &[Program]) -> Result<Vec<bool>, String>;
}

impl<F: FnMut(&[Program]) -> Result<Vec<bool>, String>> Judge for F {
    fn fails(&mut self, programs: &[Program]) -> Result<Vec<bool>, String> {
        self(programs)
    }
}

/// Rounds that a program's loop makes at most.
const MOST_ROUNDS: usize = 5;
/// Bytes of memory that are cleared together.
const PIECE: usize = 16;

/// The smallest program found. It fails if the one given does.
///
/// # Errors
/// See [`Judge::fails`].
pub fn minimise(program: &Program, judge: &mut dyn Judge) -> Result<Program, String> {
    let mut smallest = instructions(program.clone(), judge)?;
    smallest = settings(smallest, judge)?;
    // What needs fewer registers may need fewer instructions.
    instructions(smallest, judge)
}

/// Drops instructions, many at once while that goes well.
fn instructions(mut smallest: Program, judge: &mut dyn Judge) -> Result<Program, String> {
    // What takes several rounds of a loop is located, and made smaller, where they follow each other.
    let straight = smallest.without_loop().into_iter();
    let straight = straight.chain((2..=MOST_ROUNDS).filter_map(|times| smallest.unrolled(times)));
    let straight = straight.collect();
    smallest = first(judge, smallest, straight)?.0;
    let mut chunk = smallest.len().next_power_of_two();
    while chunk > 0 {
        let starts = (0..smallest.len()).step_by(chunk);
        let candidates =
            starts.filter_map(|start| smallest.without(start..start + chunk)).collect();
        let (smaller, progress) = first(judge, smallest, candidates)?;
        smallest = smaller;
        if !progress {
            chunk /= 2;
        }
    }
    Ok(smallest)
}

/// The first candidate that fails, and whether there was one.
fn first(
    judge: &mut dyn Judge,
    otherwise: Program,
    candidates: Vec<Program>,
) -> Result<(Program, bool), String> {
    if candidates.is_empty() {
        return Ok((otherwise, false));
    }
    let verdicts = judge.fails(&candidates)?;
    let found = candidates
        .into_iter()
        .zip(verdicts)
        .find_map(|(program, fails)| if fails { Some(program) } else { None });
    Ok(found.map_or((otherwise, false), |program| (program, true)))
}

/// One thing less to set up, or a simpler value: how to change a state.
type Simplification = Box<dyn Fn(&mut State)>;

fn settings(mut smallest: Program, judge: &mut dyn Judge) -> Result<Program, String> {
    smallest = apply(smallest, judge, resets)?;
    for value in [0, 1, u64::MAX] {
        smallest = apply(smallest, judge, |state| values(state, value))?;
    }
    Ok(smallest)
}

/// Applies as many of the simplifications as go together. Those that fail to fail alone are not tried again; of the
/// others as many as possible at once, from the first on.
fn apply(
    mut smallest: Program,
    judge: &mut dyn Judge,
    make: impl Fn(&State) -> Vec<Simplification>,
) -> Result<Program, String> {
    let all = make(&smallest.before);
    let alone: Vec<Program> = all.iter().map(|one| with(&smallest, &[one])).collect();
    let verdicts = if alone.is_empty() { Vec::new() } else { judge.fails(&alone)? };
    let mut left: Vec<&Simplification> =
        all.iter().zip(verdicts).filter(|(_, fails)| *fails).map(|(one, _)| one).collect();
    while !left.is_empty() {
        let candidates: Vec<Program> =
            (1..=left.len()).map(|count| with(&smallest, &left[..count])).collect();
        let verdicts = judge.fails(&candidates)?;
        let most = verdicts.iter().rposition(|&fails| fails);
        // The one after those that went together does not go with them.
        let done = match most {
            Some(index) => {
                smallest = candidates[index].clone();
                index + 2
            }
            None => 1,
        };
        left.drain(..done.min(left.len()));
    }
    Ok(smallest)
}

fn with(program: &Program, simplifications: &[&Simplification]) -> Program {
    let mut simpler = program.clone();
    simplifications.iter().for_each(|simplify| simplify(&mut simpler.before));
    simpler
}

/// Registers and memory as every case begins.
fn resets(state: &State) -> Vec<Simplification> {
    let initial = State::new(state.guest);
    let mut all: Vec<Simplification> = Vec::new();
    for at in (0..2 * EDGE).step_by(PIECE) {
        let piece = at..at + PIECE;
        if state.memory[piece.clone()].iter().any(|&byte| byte != 0) {
            all.push(Box::new(move |state| state.memory[piece.clone()].fill(0)));
        }
    }
    for register in (state.guest.registers)().into_iter().filter(|register| register.reported) {
        let value = register.get(&initial.words);
        if register.get(&state.words) != value {
            all.push(Box::new(move |state| register.set(&mut state.words, value)));
        }
    }
    all
}

/// A simple value in each register that is not as every case begins.
fn values(state: &State, value: u64) -> Vec<Simplification> {
    let initial = State::new(state.guest);
    let mut all: Vec<Simplification> = Vec::new();
    for register in (state.guest.registers)().into_iter().filter(|register| register.reported) {
        let now = register.get(&state.words);
        let changed = now != register.get(&initial.words);
        if changed && now > 1 && now != u128::from(value) && register.values.is_empty() {
            all.push(Box::new(move |state| register.set(&mut state.words, value.into())));
        }
    }
    all
}
