//! Random programs: an instruction sequence that always comes to an end, whatever its operands do,
//! and a state full of corner values to start from.
//!
//! A word is made of random bits around an instruction's fixed ones, and taken or not by what it
//! translates to. It names a few registers of the program more often than others, and has corners for immediates, so that
//! instructions have to do with each other. Now and then a program changes an instruction before it comes there, with the
//! fences that this takes. Branches only go forward; one counted loop may go round the whole. Registers
//! are set apart for all that: one takes return addresses, one holds a forward target, one counts, two are for changing code.
//!
//! What is particular to a guest is its [`Guest`].

pub mod aarch64;
pub mod riscv64;
pub mod x86_64;

use std::collections::HashSet;
use std::ops::Range;

use base::{GuestVirt, RegSlot};
use ir::ops::Shape as Shapes;
use ir::{Block, BlockKey, Builder, OperandKind, Terminator, Trap};
use translator::{Frontend, Limits, Translation};

use crate::guest::{self, Ferry};
use crate::line::Instruction;
use crate::machine::{CODE, DATA, EDGE, End, PAGE, State};
use crate::oracle::CODE_MAX;
use crate::shape::{File, Shape};
use base::rng::Rng;

/// The most instructions in a program, its loop aside.
const MAX_INSNS: usize = 24;
/// Registers of each file that a program names more often than others.
const FAVOURITES: usize = 4;

/// What random programs know of a guest.
pub struct Guest {
    /// All instructions of the decoder's tables.
    pub encodings: fn() -> Vec<Pattern>,
    /// Whether programs may have it: whether two implementations must agree on what it does.
    pub is_choice: fn(&Pattern) -> bool,
    /// Changes a word that [`Pattern::value`] and random bits make, before it is decoded.
    pub adjust: fn(&Pattern, u32, &mut Rng) -> u32,
    /// Whether the word is that instruction, and does not behave differently for a good reason.
    pub suits: fn(&Pattern, u32) -> bool,
    /// Whether an access by way of this register is likely to be one to the data: numbers of general
    /// registers, which are both those of their slots and those of their words.
    pub pointers: &'static [u8],
    /// The registers for return addresses, a forward target, and the loop's count.
    pub reserved: [u8; 3],
    /// The state to start from, but for reserved registers.
    pub state: fn(&mut Rng) -> State,
    /// A jump forward.
    pub jump: fn(&mut Rng) -> Jump,
    /// Counts down and jumps back to where it is `length` bytes past.
    pub back: fn(length: u32) -> [u32; 2],
    /// Bytes of the instruction.
    pub length: fn(u32) -> usize,
    /// An instruction of so many bytes that does nothing.
    pub no_operation: fn(usize) -> u32,
    /// Two more reserved registers: where code is changed, and the new instruction in the low half.
    pub patchers: [u8; 2],
    /// Changes the code and makes it be fetched.
    pub patch: &'static [u32],
    /// An instruction of four bytes that cannot go wrong, whatever its operands.
    pub harmless: fn(&mut Rng) -> u32,
    /// Whether Ferry and qemu-user may differ after this program.
    pub excused: fn(&Program, mine: &Outcome, theirs: &Outcome) -> bool,
}

/// What a program left behind.
pub type Outcome = (State, End);

/// An instruction's name and fixed bits.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// The table's name for it.
    pub name: &'static str,
    /// The extension that has it.
    pub extension: &'static str,
    /// The chapter of the manual.
    pub chapter: &'static str,
    /// Which bits are fixed.
    pub mask: u32,
    /// What they are.
    pub value: u32,
    /// How long it is.
    pub bytes: usize,
}

/// A jump forward whose distance is not known yet.
#[derive(Clone, Copy, Debug)]
pub struct Jump {
    /// The word, but for the distance.
    pub word: u32,
    /// Puts a distance in bytes into the word.
    pub aim: fn(word: u32, distance: u32) -> u32,
    /// Whether it goes where the target register says.
    pub is_indirect: bool,
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
    Plain(u32),
    /// A branch to the instruction that is this many further on.
    Forward(Jump, usize),
    /// One of the instructions that change code, and make that be fetched again.
    Patch(u32),
    /// The instruction that is changed.
    Patched(u32),
}

/// What comes after a program's instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// Nothing.
    Straight,
    /// A counted loop round all of them.
    Loop,
}

/// Makes programs.
pub struct Generator {
    guest: &'static guest::Guest,
    ferry: &'static Ferry,
    random: &'static Guest,
    seed: u64,
    rng: Rng,
    choices: Vec<(Pattern, Shape)>,
    /// Indices of the choices that are wanted more than others.
    wanted: Vec<usize>,
    /// Registers that the present program names more often than others, integer and floating-point.
    favourites: [[u32; FAVOURITES]; 2],
    frontend: Box<dyn Frontend>,
    builder: Builder,
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
        let random = ferry.random.ok_or(GeneratorError::NoGuest(guest.name))?;
        let mut patterns: Vec<Pattern> = (random.encodings)()
            .into_iter()
            .filter(|pattern| (random.is_choice)(pattern))
            .collect();
        for class in classes {
            if !patterns.iter().any(|pattern| pattern.is_of(class)) {
                let class = class.clone();
                return Err(GeneratorError::NoClass { guest: guest.name, class });
            }
        }
        patterns.retain(|pattern| {
            classes.is_empty() || classes.iter().any(|class| pattern.is_of(class))
        });
        let choices = patterns
            .into_iter()
            .map(|pattern| (pattern, Shape::of(guest, ferry, &pattern)))
            .collect();
        Ok(Self {
            guest,
            ferry,
            random,
            seed,
            rng: Rng::new(seed),
            choices,
            wanted: Vec::new(),
            favourites: [[0; FAVOURITES]; 2],
            frontend: (ferry.frontend)(),
            builder: Builder::new(),
        })
    }

    /// The encodings that programs are made of.
    pub fn encodings(&self) -> impl Iterator<Item = &(Pattern, Shape)> {
        self.choices.iter()
    }

    /// Makes programs have these instructions, by name, more often than others.
    pub fn want(&mut self, names: &HashSet<&str>) {
        let wanted = self.choices.iter().enumerate();
        let wanted = wanted.filter(|(_, (pattern, _))| names.contains(pattern.name));
        self.wanted = wanted.map(|(index, _)| index).collect();
    }

    /// The program of that number.
    pub fn program(&mut self, number: u64) -> Program {
        self.rng = Rng::new(self.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        for file in 0..2 {
            self.favourites[file] = [(); FAVOURITES].map(|()| self.rng.below(32) as u32);
        }
        // Addresses, so that accesses to memory have them in common.
        self.favourites[0][0] = u32::from(self.pointer());
        let count = 1 + self.rng.below(MAX_INSNS);
        let mut insns: Vec<Insn> = (0..count).map(|index| self.insn(count - index)).collect();
        let mut before = (self.random.state)(&mut self.rng);
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

    fn pointer(&mut self) -> u8 {
        self.random.pointers[self.rng.below(self.random.pointers.len())]
    }

    /// Puts an instruction that is changed before it is reached, and what changes it.
    fn change_code(&mut self, insns: &mut Vec<Insn>) {
        let at = self.rng.below(insns.len() + 1);
        let old = (self.random.harmless)(&mut self.rng);
        let patch = self.random.patch.iter().map(|&word| Insn::Patch(word));
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
            if let Some(word) = self.word(index) {
                return Insn::Plain(word);
            }
        }
    }

    /// A word of this instruction, unless it is one that does not suit.
    fn word(&mut self, index: usize) -> Option<u32> {
        let pattern = self.choices[index].0;
        let word = pattern.value | self.operands(index) & !pattern.mask;
        let word = (self.random.adjust)(&pattern, word, &mut self.rng);
        let word = if pattern.bytes == 2 { word & 0xffff } else { word };
        if !(self.random.suits)(&pattern, word) {
            return None;
        }
        let block = self.translate(word);
        self.is_interesting(&block).then_some(word)
    }

    /// Random bits, with a taste for few registers and for corners of immediates.
    fn operands(&mut self, index: usize) -> u32 {
        let mut bits = self.rng.bits() as u32;
        let (rng, shape) = (&mut self.rng, &self.choices[index].1);
        for field in shape.registers.iter().filter(|field| field.mask.count_ones() > 2) {
            if rng.one_in(2) {
                let favourites = &self.favourites[usize::from(field.file == File::Float)];
                let number = favourites[rng.below(FAVOURITES)];
                bits = bits & !field.mask | deposit(number, field.mask);
            }
        }
        if shape.immediate != 0 && rng.one_in(4) {
            let corner = [0, u32::MAX, 1 << rng.below(32), !(1 << rng.below(32))][rng.below(4)];
            bits = bits & !shape.immediate | corner & shape.immediate;
        }
        bits
    }

    fn translate(&mut self, word: u32) -> Block {
        let key = BlockKey::new(CODE, 0);
        let code = word.to_le_bytes();
        match self.frontend.translate(&self.builder, key, &code, Limits::STEP) {
            Translation::Done { next } => self.builder.finish(next),
            Translation::Unfetchable(_) => unreachable!("four bytes are an instruction"),
        }
    }

    /// Whether its operands are such that something interesting may happen.
    fn is_interesting(&mut self, block: &Block) -> bool {
        let touches = |reserved: u8| {
            let slot = OperandKind::Slot(RegSlot(u16::from(reserved)));
            let is_it = |operand| block.operand(operand) == slot;
            block.insts.iter().any(|inst| is_it(inst.dst) || inst.args.iter().any(|&a| is_it(a)))
        };
        let patchers = self.random.patchers;
        if self.random.reserved.into_iter().chain(patchers).any(touches) {
            return false;
        }
        let rare = match block.terminator {
            Terminator::Trap { trap: Trap::Illegal | Trap::Breakpoint, .. } => true,
            _ => block.insts.iter().any(|inst| self.accesses_at_random(block, inst)),
        };
        !rare || self.rng.one_in(24)
    }

    /// Whether it accesses memory by a register that holds no address, or far from where it points.
    fn accesses_at_random(&self, block: &Block, inst: &ir::Inst) -> bool {
        let accesses = matches!(
            inst.op.info().shape,
            Shapes::Load
                | Shapes::Store
                | Shapes::AtomicRmw
                | Shapes::AtomicCas
                | Shapes::AlignCheck
        );
        let by_pointer = match block.operand(inst.args[0]) {
            OperandKind::Slot(RegSlot(n)) => {
                self.random.pointers.iter().any(|&pointer| u16::from(pointer) == n)
            }
            // Computed, as that of a block of memory is.
            OperandKind::Temp(_) => true,
            _ => false,
        };
        accesses && (!by_pointer || inst.imm.unsigned_abs() > 128)
    }

    /// The guest.
    #[must_use]
    pub fn guest(&self) -> &'static guest::Guest {
        self.guest
    }

    /// Ferry's part of it.
    #[must_use]
    pub fn ferry(&self) -> &'static Ferry {
        self.ferry
    }
}

/// Puts the low bits of a number where the mask has ones, from the lowest up.
fn deposit(number: u32, mask: u32) -> u32 {
    let bits = (0..32).filter(|n| mask >> n & 1 == 1).enumerate();
    bits.fold(0, |word, (index, n)| word | (number >> index & 1) << n)
}

impl Pattern {
    /// Whether it is of the extension, chapter or name; capitals do not matter.
    #[must_use]
    pub fn is_of(&self, class: &str) -> bool {
        [self.name, self.extension, self.chapter]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(class))
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
            let mut bytes = [0; 4];
            let most = rest.len().min(4);
            bytes[..most].copy_from_slice(&rest[..most]);
            let word = u32::from_le_bytes(bytes);
            let length = (ferry.random?.length)(word);
            insns.push(Insn::Plain(if length == 2 { word & 0xffff } else { word }));
            rest = rest.get(length..)?;
        }
        Some(Self { guest, insns, ending: Ending::Straight, before: before.clone() })
    }

    fn ferry(&self) -> &'static Ferry {
        self.guest.ferry.as_ref().expect("a generator made it")
    }

    fn random(&self) -> &'static Guest {
        self.ferry().random.expect("a generator made it")
    }

    /// Sets the registers that the program reaches its own code by: the target of the first indirect jump, while others
    /// become no-operations; and the instruction that is changed, and to what.
    fn aim(&mut self) {
        let random = self.random();
        let mut targets = Vec::new();
        for (index, insn) in self.insns.iter_mut().enumerate() {
            if let Insn::Forward(Jump { is_indirect: true, word, .. }, distance) = *insn {
                if targets.is_empty() {
                    targets.push(index + distance);
                } else {
                    *insn = Insn::Plain((random.no_operation)((random.length)(word)));
                }
            }
        }
        let address = |program: &Self, index| CODE.wrapping_add(program.offset_of(index) as u64).0;
        if let Some(&target) = targets.first() {
            let [_, register, _] = random.reserved;
            self.before.words[usize::from(register)] = address(self, target);
        }
        let patched = |insn: &Insn| matches!(insn, Insn::Patched(_));
        if let Some(index) = self.insns.iter().position(patched) {
            let [place, value] = random.patchers;
            self.before.words[usize::from(place)] = address(self, index);
            let word = self.before.words[usize::from(value)];
            // It is the same whenever this is done again.
            let new = (random.harmless)(&mut Rng::new(word >> 32));
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

    fn bytes(&self, insn: Insn) -> usize {
        (self.random().length)(insn.word())
    }

    fn offset_of(&self, index: usize) -> usize {
        self.insns.iter().take(index).map(|&insn| self.bytes(insn)).sum()
    }

    /// Its bytes.
    #[must_use]
    pub fn code(&self) -> Vec<u8> {
        let mut code = Vec::new();
        for (index, &insn) in self.insns.iter().enumerate() {
            let word = match insn {
                Insn::Forward(jump, distance) => {
                    let offset = (self.offset_of(index + distance) - code.len()) as u32;
                    (jump.aim)(jump.word, offset)
                }
                insn => insn.word(),
            };
            code.extend(&word.to_le_bytes()[..self.bytes(insn)]);
        }
        if self.ending == Ending::Loop {
            let back = (self.random().back)(code.len() as u32);
            code.extend(back.iter().flat_map(|word| word.to_le_bytes()));
        }
        code
    }

    /// Whether Ferry (`mine`) and qemu-user may differ after it.
    #[must_use]
    pub fn excuses(&self, mine: &(State, End), theirs: &(State, End)) -> bool {
        (self.random().excused)(self, mine, theirs)
    }

    /// Its words, one an instruction.
    pub fn words(&self) -> impl Iterator<Item = u32> {
        let length = self.random().length;
        let mut pc = CODE;
        std::iter::from_fn(move || {
            let word = self.word_at(pc)?;
            pc = pc.wrapping_add(length(word) as u64);
            Some(if length(word) == 2 { word & 0xffff } else { word })
        })
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
        let mut all = Vec::new();
        let mut pc = CODE;
        for word in self.words() {
            let bytes = (self.random().length)(word);
            let (text, _) = (self.ferry().disassemble)(pc, &word.to_le_bytes()[..bytes]);
            let code = word.to_le_bytes()[..bytes].to_vec();
            all.push(Instruction { code, text });
            pc = pc.wrapping_add(bytes as u64);
        }
        all
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
            let word: String = code.iter().rev().map(|byte| format!("{byte:02x}")).collect();
            lines.push(format!("{pc}: {word}  {text}"));
            pc = pc.wrapping_add(code.len() as u64);
        }
        lines.join("\n")
    }
}

impl Insn {
    fn word(self) -> u32 {
        match self {
            Self::Plain(word) | Self::Patch(word) | Self::Patched(word) => word,
            Self::Forward(jump, _) => jump.word,
        }
    }
}
