//! Makes programs: which instructions, which jumps between them, whether they go round a loop or change one of their own.

use std::collections::HashSet;

use super::{Encoded, Ending, Guest, Insn, Pattern, Program};
use crate::guest::{self, Ferry};
use crate::machine::State;
use base::rng::Rng;

/// The most instructions in a program, its loop aside.
const MAX_INSNS: usize = 24;

/// Makes single instructions of a guest.
pub trait Maker: Send {
    /// A new program begins: what it has more often than others is chosen.
    fn begin(&mut self, rng: &mut Rng);

    /// An instruction of the choice of that index, unless it became one that does not suit.
    fn make(&mut self, index: usize, rng: &mut Rng) -> Option<Encoded>;
}

/// Makes programs.
pub struct Generator {
    guest: &'static guest::Guest,
    ferry: &'static Ferry,
    random: &'static Guest,
    seed: u64,
    rng: Rng,
    choices: Vec<Pattern>,
    /// Indices of the choices that are wanted more than others.
    wanted: Vec<usize>,
    maker: Box<dyn Maker>,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator").field("rng", &self.rng).finish_non_exhaustive()
    }
}

/// Why no programs can be made.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// Nobody has said how those of this guest are made.
    #[error("there are no random programs of {0}")]
    NoGuest(&'static str),
    /// No instruction is of this class.
    #[error(
        "{guest} has no class '{class}': name an extension, a chapter, or an instruction (`ferry isa {guest} --coverage`)"
    )]
    NoClass {
        /// Of which guest.
        guest: &'static str,
        /// As it was given.
        class: String,
    },
}

impl Generator {
    /// A generator whose programs depend on the seed, and on what is wanted. Without classes they are made of all
    /// instructions that two implementations can agree on.
    ///
    /// # Errors
    /// See [`GeneratorError`].
    pub fn new(
        guest: &'static guest::Guest,
        seed: u64,
        classes: &[String],
    ) -> Result<Self, GeneratorError> {
        let ferry = guest.ferry.as_ref().ok_or(GeneratorError::NoGuest(guest.name))?;
        let random = ferry.random;
        let mut choices: Vec<Pattern> = (random.encodings)()
            .into_iter()
            .filter(|pattern| (random.is_choice)(pattern))
            .collect();
        for class in classes {
            if !choices.iter().any(|pattern| pattern.is_of(class)) {
                let class = class.clone();
                return Err(GeneratorError::NoClass { guest: guest.name, class });
            }
        }
        choices.retain(|pattern| {
            classes.is_empty() || classes.iter().any(|class| pattern.is_of(class))
        });
        let maker = (random.maker)(guest, ferry, &choices);
        let (rng, wanted) = (Rng::new(seed), Vec::new());
        Ok(Self { guest, ferry, random, seed, rng, choices, wanted, maker })
    }

    /// Makes programs have these encodings, by name, more often than others.
    pub fn want(&mut self, names: &HashSet<&str>) {
        let wanted = self.choices.iter().enumerate();
        let wanted = wanted.filter(|(_, pattern)| names.contains(pattern.name));
        self.wanted = wanted.map(|(index, _)| index).collect();
    }

    /// Has everything that is made next depend on this number and the seed.
    fn begin(&mut self, number: u64) {
        self.rng = Rng::new(self.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        self.maker.begin(&mut self.rng);
    }

    /// The program of that number.
    pub fn program(&mut self, number: u64) -> Program {
        self.begin(number);
        let count = 1 + self.rng.below(MAX_INSNS);
        let mut insns: Vec<Insn> = (0..count).map(|index| self.insn(count - index)).collect();
        let mut before = self.state(&insns);
        if self.rng.one_in(16) {
            self.change_code(&mut insns);
        }
        let ending = if self.rng.one_in(3) { Ending::Loop } else { Ending::Straight };
        let [_, _, count] = self.random.reserved;
        before.words[usize::from(count)] = 1 + self.rng.below(5) as u64;
        let mut program = Program { guest: self.guest, insns, ending, before };
        program.aim();
        program
    }

    /// The program of that number, as a variation of another one: some of its instructions with other operands, or others in
    /// their place; now and then another state.
    pub fn another(&mut self, number: u64, model: &Program) -> Program {
        self.begin(number);
        let mut program = model.clone();
        for _ in 0..1 + self.rng.below(4) {
            let at = self.rng.below(program.insns.len());
            if let Insn::Plain(old) = program.insns[at] {
                program.insns[at] = Insn::Plain(self.instead_of(old));
            }
        }
        if self.rng.one_in(4) {
            let reserved = [&self.random.reserved[..], &self.random.patchers].concat();
            let kept = reserved.iter().map(|&n| (n, program.before.words[usize::from(n)]));
            let kept: Vec<_> = kept.collect();
            program.before = self.state(&program.insns);
            kept.iter().for_each(|&(n, value)| program.before.words[usize::from(n)] = value);
        }
        program.aim();
        program
    }

    /// One of the same encoding, mostly.
    fn instead_of(&mut self, old: Encoded) -> Encoded {
        let name = (self.random.coverage.name)(self.ferry, old.bytes());
        let same = self.choices.iter().position(|pattern| Some(pattern.name) == name);
        loop {
            let index = match same {
                Some(index) if !self.rng.one_in(3) => index,
                _ => self.rng.below(self.choices.len()),
            };
            if let Some(encoded) = self.maker.make(index, &mut self.rng) {
                return encoded;
            }
        }
    }

    /// A state that suits these instructions.
    fn state(&mut self, insns: &[Insn]) -> State {
        let code: Vec<u8> = insns.iter().flat_map(|insn| insn.encoded().bytes().to_vec()).collect();
        (self.random.state)(&mut self.rng, &code)
    }

    /// Puts an instruction that is changed before it is reached, and what changes it.
    fn change_code(&mut self, insns: &mut Vec<Insn>) {
        let at = self.rng.below(insns.len() + 1);
        let old = (self.random.harmless)(&mut self.rng);
        let patch = self.random.patch.iter().map(|&encoded| Insn::Patch(encoded));
        // A jump over the beginning of the group comes to its beginning.
        insns.splice(at..at, patch.chain([Insn::Patched(old)]));
        for (index, insn) in insns.iter_mut().enumerate().take(at) {
            if let Insn::Forward(_, distance) = insn
                && index + *distance > at
            {
                *distance += self.random.patch.len() + 1;
            }
        }
    }

    /// An instruction with `left` instructions from it to the end.
    fn insn(&mut self, left: usize) -> Insn {
        if self.rng.one_in(8) {
            return Insn::Forward((self.random.jump)(&mut self.rng), 1 + self.rng.below(left));
        }
        loop {
            let index = match self.wanted.is_empty() || self.rng.one_in(2) {
                true => self.rng.below(self.choices.len()),
                false => self.wanted[self.rng.below(self.wanted.len())],
            };
            if let Some(encoded) = self.maker.make(index, &mut self.rng) {
                return Insn::Plain(encoded);
            }
        }
    }

    /// The guest.
    #[must_use]
    pub fn guest(&self) -> &'static guest::Guest {
        self.guest
    }
}
