//! Random programs: an instruction sequence that always comes to an end, whatever its operands do,
//! and a state full of corner values to start from.
//!
//! [`generator`] puts instructions together, which a [`Maker`] of the guest's makes: [`words`] from random bits, [`x86_64`] from
//! random operands. They name a few registers of the program more often than others, and have corners for immediates, so that
//! instructions have to do with each other. Now and then a program changes an instruction before it comes there, with the
//! fences that this takes. Branches only go forward; one counted loop may go round the whole. Registers
//! are set apart for all that: one takes return addresses, one holds a forward target, one counts, two are for changing code.
//!
//! What is particular to a guest is its [`Guest`].

pub mod aarch64;
mod encoded;
mod generator;
pub mod riscv64;
pub mod words;
pub mod x86_64;

use std::ops::Range;

use base::GuestVirt;

use crate::coverage::Encodings;
use crate::guest::{self, Ferry};
use crate::line::{self, Instruction};
use crate::machine::{CODE, DATA, EDGE, End, PAGE, State};
use crate::oracle::CODE_MAX;
use base::rng::Rng;

pub use encoded::Encoded;
pub use generator::{Generator, GeneratorError, Maker};

/// What random programs know of a guest.
pub struct Guest {
    /// All instructions of the decoder's tables.
    pub encodings: fn() -> Vec<Pattern>,
    /// Whether programs may have it: whether two implementations must agree on what it does.
    pub is_choice: fn(&Pattern) -> bool,
    /// Makes instructions of these encodings.
    pub maker: fn(&'static guest::Guest, &'static Ferry, &[Pattern]) -> Box<dyn Maker>,
    /// The registers for return addresses, if one is, a forward target, and the loop's count.
    pub reserved: [u8; 3],
    /// The state to start some code from, but for reserved registers.
    pub state: fn(&mut Rng, &[u8]) -> State,
    /// A jump forward.
    pub jump: fn(&mut Rng) -> Jump,
    /// Counts down and jumps back to where it is `length` bytes past.
    pub back: fn(length: u32) -> [Encoded; 2],
    /// Bytes of the instruction that this code begins with.
    pub length: fn(&[u8]) -> usize,
    /// An instruction of so many bytes that does nothing.
    pub no_operation: fn(usize) -> Encoded,
    /// Two more reserved registers: where code is changed, and the new instruction in the low half.
    pub patchers: [u8; 2],
    /// Changes the code and makes it be fetched.
    pub patch: &'static [Encoded],
    /// An instruction of four bytes that cannot go wrong, whatever its operands.
    pub harmless: fn(&mut Rng) -> Encoded,
    /// Whether Ferry and qemu-user may differ after this program.
    pub excused: fn(&Program, mine: &Outcome, theirs: &Outcome) -> bool,
    /// Whether Ferry and any other implementation may differ after it, as the manual leaves open what it does.
    pub is_open: fn(&Program, mine: &Outcome, theirs: &Outcome) -> bool,
    /// What of an outcome the manual does not leave open.
    pub settled: fn(&Program, &Outcome) -> Outcome,
    /// What coverage knows of its encodings.
    pub coverage: Encodings,
}

/// What a program left behind.
pub type Outcome = (State, End);

/// An instruction's name and fixed bits.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// The table's name for it.
    pub name: &'static str,
    /// The extension that has it, or several joined by `+`.
    pub extension: &'static str,
    /// The chapter of the manual; the mnemonic, where encodings are many and manuals have no chapters.
    pub chapter: &'static str,
    /// Which bits are fixed, where encodings are words.
    pub mask: u32,
    /// What they are.
    pub value: u32,
    /// How long it is, where all of an encoding are equally long.
    pub bytes: usize,
}

/// A jump forward whose distance is not known yet.
#[derive(Clone, Copy, Debug)]
pub struct Jump {
    /// The instruction, but for the distance.
    pub encoded: Encoded,
    /// Puts a distance in bytes, from where it begins, into it.
    pub aim: fn(Encoded, distance: u32) -> Encoded,
    /// The greatest distance that it can have: it goes to an instruction that is nearer instead.
    pub reach: usize,
    /// Whether it goes where the target register says.
    pub is_indirect: bool,
}

impl Jump {
    /// One whose instruction is a word, of two or four bytes.
    fn of_word<const BYTES: usize>(word: u32, aim: fn(Encoded, u32) -> Encoded) -> Self {
        let encoded = Encoded::low(word, BYTES);
        Self { encoded, aim, reach: usize::MAX, is_indirect: false }
    }
}

/// A program and where it starts from.
#[derive(Clone, Debug)]
pub struct Program {
    guest: &'static guest::Guest,
    insns: Vec<Insn>,
    ending: Ending,
    /// The state at its start.
    pub before: State,
}

#[derive(Clone, Copy, Debug)]
enum Insn {
    /// As it is.
    Plain(Encoded),
    /// A branch to the instruction that is this many further on.
    Forward(Jump, usize),
    /// One of the instructions that change code, and make that be fetched again.
    Patch(Encoded),
    /// The instruction that is changed.
    Patched(Encoded),
}

/// What comes after a program's instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// Nothing.
    Straight,
    /// A counted loop round all of them.
    Loop,
}

impl Pattern {
    /// Whether it is of the extension, chapter or name; capitals do not matter.
    #[must_use]
    pub fn is_of(&self, class: &str) -> bool {
        let extensions = self.extension.split('+');
        extensions.chain([self.name, self.chapter]).any(|name| name.eq_ignore_ascii_case(class))
    }
}

/// An address near the data: mostly aligned and good, now and then at an edge or beyond.
pub(crate) fn address(rng: &mut Rng) -> u64 {
    let page = PAGE as u64;
    let offset = match rng.below(12) {
        0 => page,
        1 => page - 8,
        2 => 0,
        3 => 0_u64.wrapping_sub(64),
        4 => page - 1 - rng.bits() % 16,
        5 => rng.bits() % EDGE as u64,
        _ => rng.bits() % (EDGE as u64 / 16) * 16,
    };
    DATA.0.wrapping_add(offset)
}

impl Program {
    /// A program of these bytes; `None` if they are not whole instructions.
    #[must_use]
    pub fn of_code(guest: &'static guest::Guest, code: &[u8], before: &State) -> Option<Self> {
        let ferry = guest.ferry.as_ref()?;
        let mut insns = Vec::new();
        let mut rest = code;
        while !rest.is_empty() {
            let (insn, behind) = rest.split_at_checked((ferry.random.length)(rest))?;
            insns.push(Insn::Plain(Encoded::of(insn)?));
            rest = behind;
        }
        Some(Self { guest, insns, ending: Ending::Straight, before: before.clone() })
    }

    fn ferry(&self) -> &'static Ferry {
        self.guest.ferry.as_ref().expect("a generator made it")
    }

    fn random(&self) -> &'static Guest {
        self.ferry().random
    }

    /// Sets the registers that the program reaches its own code by: the target of the first indirect jump, while others
    /// become no-operations; and the instruction that is changed, and to what.
    fn aim(&mut self) {
        let random = self.random();
        let mut targets = Vec::new();
        for (index, insn) in self.insns.iter_mut().enumerate() {
            if let Insn::Forward(Jump { is_indirect: true, encoded, .. }, distance) = *insn {
                if targets.is_empty() {
                    targets.push(index + distance);
                } else {
                    *insn = Insn::Plain((random.no_operation)(encoded.len()));
                }
            }
        }
        let address = |program: &Self, index| CODE.wrapping_add(program.offset_of(index) as u64).0;
        if let Some(&target) = targets.first() {
            let [_, register, _] = random.reserved;
            self.before.words[usize::from(register)] = address(self, target);
        }
        if let Some(index) = self.patched() {
            let [place, value] = random.patchers;
            self.before.words[usize::from(place)] = address(self, index);
            let word = self.before.words[usize::from(value)];
            // It is the same whenever this is done again.
            let new = (random.harmless)(&mut Rng::new(word >> 32)).as_word();
            self.before.words[usize::from(value)] = word >> 32 << 32 | u64::from(new);
        }
    }

    /// How many instructions it has, those of its loop aside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// Whether it changes its own code.
    #[must_use]
    pub fn changes_code(&self) -> bool {
        self.insns.iter().any(|insn| matches!(insn, Insn::Patch(_)))
    }

    /// The instruction that it changes.
    fn patched(&self) -> Option<usize> {
        self.insns.iter().position(|insn| matches!(insn, Insn::Patched(_)))
    }

    /// Where in its code lies the instruction that it changes, if it changes one.
    #[must_use]
    pub fn patched_bytes(&self) -> Range<usize> {
        self.patched().map_or(0..0, |index| self.offset_of(index)..self.offset_of(index + 1))
    }

    /// The program without some of its instructions; `None` if none would be left, or none is taken away.
    #[must_use]
    pub fn without(&self, range: Range<usize>) -> Option<Self> {
        let range = range.start..range.end.min(self.insns.len());
        if range.is_empty() || range.len() == self.insns.len() {
            return None;
        }
        let mut smaller = self.clone();
        for (index, insn) in smaller.insns.iter_mut().enumerate().take(range.start) {
            if let Insn::Forward(_, distance) = insn {
                let target = index + *distance;
                let gone = target.clamp(range.start, range.end) - range.start;
                *distance -= gone.min(*distance - 1);
            }
        }
        smaller.insns.drain(range);
        smaller.aim();
        smaller.is_fenced().then_some(smaller)
    }

    /// Whether it changes no code, or does all that this takes.
    fn is_fenced(&self) -> bool {
        let count =
            |wanted: fn(&Insn) -> bool| self.insns.iter().filter(|&insn| wanted(insn)).count();
        let patches = count(|insn| matches!(insn, Insn::Patch(_)));
        let patched = count(|insn| matches!(insn, Insn::Patched(_)));
        patches == 0 || (patches == self.random().patch.len() && patched == 1)
    }

    /// The program without its loop, if it has one.
    #[must_use]
    pub fn without_loop(&self) -> Option<Self> {
        let straight = Self { ending: Ending::Straight, ..self.clone() };
        (self.ending == Ending::Loop).then_some(straight)
    }

    /// Its instructions so many times over instead of its loop, if it has one.
    #[must_use]
    pub fn unrolled(&self, times: usize) -> Option<Self> {
        let longest = self.code().len().saturating_mul(times) > CODE_MAX;
        if self.ending == Ending::Straight || longest || self.changes_code() {
            return None;
        }
        let mut program = Self { ending: Ending::Straight, ..self.clone() };
        program.insns = self.insns.repeat(times);
        program.aim();
        Some(program)
    }

    /// Its first instructions alone. Jumps to what follows leave it.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Option<Self> {
        let bytes = self.offset_of(count);
        Self::of_code(self.guest, self.code().get(..bytes)?, &self.before)
    }

    fn offset_of(&self, index: usize) -> usize {
        self.insns.iter().take(index).map(|insn| insn.encoded().len()).sum()
    }

    /// Its bytes.
    #[must_use]
    pub fn code(&self) -> Vec<u8> {
        let mut code = Vec::new();
        for (index, insn) in self.insns.iter().enumerate() {
            let encoded = match insn {
                Insn::Forward(jump, distance) => {
                    let offset = |distance| self.offset_of(index + distance) - code.len();
                    let within = (1..=*distance).rev().map(offset).find(|&o| o <= jump.reach);
                    (jump.aim)(jump.encoded, within.unwrap_or_else(|| offset(1)) as u32)
                }
                insn => insn.encoded(),
            };
            code.extend(encoded.bytes());
        }
        if self.ending == Ending::Loop {
            let back = (self.random().back)(code.len() as u32);
            code.extend(back.iter().flat_map(|insn| insn.bytes().to_vec()));
        }
        code
    }

    /// Whether Ferry (`mine`) and qemu-user may differ after it.
    #[must_use]
    pub fn excuses(&self, mine: &(State, End), theirs: &(State, End)) -> bool {
        (self.random().excused)(self, mine, theirs)
    }

    /// Whether the manual leaves open what it does, so that any two implementations may differ after it.
    #[must_use]
    pub fn is_open(&self, mine: &(State, End), theirs: &(State, End)) -> bool {
        (self.random().is_open)(self, mine, theirs)
    }

    /// What of an outcome the manual does not leave open.
    #[must_use]
    pub fn settled(&self, outcome: &Outcome) -> Outcome {
        (self.random().settled)(self, outcome)
    }

    /// Its instructions as they lie in memory, with their addresses.
    fn encoded(&self) -> Vec<(GuestVirt, Encoded)> {
        let (code, length) = (self.code(), self.random().length);
        let (mut all, mut at) = (Vec::new(), 0);
        while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
            let insn = &rest[..length(rest).clamp(1, rest.len())];
            all.extend(Encoded::of(insn).map(|insn| (CODE.wrapping_add(at as u64), insn)));
            at += insn.len();
        }
        all
    }

    /// Its words, one an instruction.
    pub fn words(&self) -> impl Iterator<Item = u32> {
        self.encoded().into_iter().map(|(_, encoded)| encoded.as_word())
    }

    /// The word of the instruction at this pc.
    #[must_use]
    pub fn word_at(&self, pc: GuestVirt) -> Option<u32> {
        let code = self.code();
        let at = pc.0.checked_sub(CODE.0)? as usize;
        let mut bytes = [0; 4];
        let rest = &code.get(at..code.len().min(at + 4)).filter(|rest| !rest.is_empty())?;
        bytes[..rest.len()].copy_from_slice(rest);
        Some(u32::from_le_bytes(bytes))
    }

    /// Its instructions as they stand in a case.
    #[must_use]
    pub fn instructions(&self) -> Vec<Instruction> {
        let instruction = |(pc, encoded): (GuestVirt, Encoded)| {
            let (text, _) = (self.ferry().disassemble)(pc, encoded.bytes());
            Instruction { code: encoded.bytes().to_vec(), text }
        };
        self.encoded().into_iter().map(instruction).collect()
    }

    /// The names of its instructions, as the decoder's tables have them.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let name = |instruction: &Instruction| (self.ferry().identify)(&instruction.code);
        self.instructions()
            .iter()
            .map(|instruction| name(instruction).unwrap_or("undefined"))
            .collect()
    }

    /// Its assembly text, one instruction a line.
    #[must_use]
    pub fn listing(&self) -> String {
        let mut lines = Vec::new();
        let mut pc = CODE;
        for Instruction { code, text } in self.instructions() {
            lines.push(format!("{pc}: {}  {text}", line::digits(self.guest, &code)));
            pc = pc.wrapping_add(code.len() as u64);
        }
        lines.join("\n")
    }
}

impl Insn {
    fn encoded(&self) -> Encoded {
        match *self {
            Self::Plain(encoded) | Self::Patch(encoded) | Self::Patched(encoded) => encoded,
            Self::Forward(jump, _) => jump.encoded,
        }
    }
}
