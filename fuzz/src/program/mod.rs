//! Random programs: an instruction sequence that always comes to an end, whatever its operands do,
//! and a state full of corner values to start from.
//!
//! A word is made of random bits around an instruction's fixed ones, and taken or not by what it
//! translates to. Branches only go forward; one counted loop may go round the whole. Three registers
//! are set apart for that: one takes return addresses, one holds a forward target, one counts.
//!
//! What is particular to a guest is its [`Guest`].

pub mod aarch64;
pub mod riscv64;

use base::{GuestVirt, RegSlot};
use ir::ops::Shape;
use ir::{Block, BlockKey, Builder, OperandKind, Terminator, Trap};
use translator::{Frontend, Limits, Translation};

use crate::guest;
use crate::machine::{CODE, DATA, EDGE, End, PAGE, State};
use crate::rng::Rng;

/// The most instructions in a program, its loop aside.
const MAX_INSNS: usize = 24;

/// What random programs know of a guest.
pub struct Guest {
    /// The instructions that programs are made of.
    pub choices: fn() -> Vec<Pattern>,
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
    /// Whether Ferry and qemu-user may differ after this program.
    pub excused: fn(&Program, mine: &Outcome, theirs: &Outcome) -> bool,
}

/// What a program left behind.
pub type Outcome = (State, End);

/// An instruction's name and fixed bits.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// Its mnemonic.
    pub name: &'static str,
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
    looping: bool,
    /// The state at its start.
    pub before: State,
}

#[derive(Clone, Copy, Debug)]
enum Insn {
    /// As it is.
    Plain(u32),
    /// A branch to the instruction that is this many further on.
    Forward(Jump, usize),
}

/// Makes programs.
pub struct Generator {
    guest: &'static guest::Guest,
    fuzz: &'static Guest,
    rng: Rng,
    choices: Vec<Pattern>,
    frontend: Box<dyn Frontend>,
    builder: Builder,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator").field("rng", &self.rng).finish_non_exhaustive()
    }
}

impl Generator {
    /// A generator whose programs depend on the seed only; `None` for a guest that Ferry does not
    /// have.
    #[must_use]
    pub fn new(guest: &'static guest::Guest, seed: u64) -> Option<Self> {
        let ferry = guest.ferry.as_ref()?;
        Some(Self {
            guest,
            fuzz: ferry.random,
            rng: Rng::new(seed),
            choices: (ferry.random.choices)(),
            frontend: (ferry.frontend)(),
            builder: Builder::new(),
        })
    }

    /// The next program.
    pub fn program(&mut self) -> Program {
        let count = 1 + self.rng.below(MAX_INSNS);
        let insns: Vec<Insn> = (0..count).map(|index| self.insn(count - index)).collect();
        let looping = self.rng.one_in(3);
        let mut before = (self.fuzz.state)(&mut self.rng);
        let [_, _, count] = self.fuzz.reserved;
        before.words[usize::from(count)] = 1 + self.rng.below(5) as u64;
        let mut program = Program { guest: self.guest, insns, looping, before };
        program.aim();
        program
    }

    /// An instruction with `left` instructions from it to the end.
    fn insn(&mut self, left: usize) -> Insn {
        if self.rng.one_in(8) {
            return Insn::Forward((self.fuzz.jump)(&mut self.rng), 1 + self.rng.below(left));
        }
        loop {
            let pattern = self.choices[self.rng.below(self.choices.len())];
            if let Some(word) = self.word(&pattern) {
                return Insn::Plain(word);
            }
        }
    }

    /// A word of this instruction, unless it is one that does not suit.
    fn word(&mut self, pattern: &Pattern) -> Option<u32> {
        let word = pattern.value | self.rng.bits() as u32 & !pattern.mask;
        let word = (self.fuzz.adjust)(pattern, word, &mut self.rng);
        let word = if pattern.bytes == 2 { word & 0xffff } else { word };
        if !(self.fuzz.suits)(pattern, word) {
            return None;
        }
        let block = self.translate(word);
        self.is_interesting(&block).then_some(word)
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
        if self.fuzz.reserved.into_iter().any(touches) {
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
            Shape::Load | Shape::Store | Shape::AtomicRmw | Shape::AtomicCas | Shape::AlignCheck
        );
        let by_pointer = match block.operand(inst.args[0]) {
            OperandKind::Slot(RegSlot(n)) => {
                self.fuzz.pointers.iter().any(|&pointer| u16::from(pointer) == n)
            }
            // Computed, as that of a block of memory is.
            OperandKind::Temp(_) => true,
            _ => false,
        };
        accesses && (!by_pointer || inst.imm.unsigned_abs() > 128)
    }
}

/// An address near the data: mostly aligned and good, now and then at an edge or beyond.
pub(super) fn address(rng: &mut Rng) -> u64 {
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
    fn fuzz(&self) -> &'static Guest {
        self.guest.ferry.as_ref().expect("a generator made it").random
    }

    /// Sets the target register to where the first indirect jump shall go; the others become
    /// no-operations.
    fn aim(&mut self) {
        let fuzz = self.fuzz();
        let mut targets = Vec::new();
        for (index, insn) in self.insns.iter_mut().enumerate() {
            if let Insn::Forward(Jump { is_indirect: true, word, .. }, distance) = *insn {
                if targets.is_empty() {
                    targets.push(index + distance);
                } else {
                    *insn = Insn::Plain((fuzz.no_operation)((fuzz.length)(word)));
                }
            }
        }
        if let Some(&target) = targets.first() {
            let offset = self.offset_of(target);
            let [_, register, _] = fuzz.reserved;
            self.before.words[usize::from(register)] = CODE.wrapping_add(offset as u64).0;
        }
    }

    /// How many instructions it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// The program with one instruction made a no-operation of the same length; `None` if it is one.
    #[must_use]
    pub fn without(&self, index: usize) -> Option<Self> {
        let nop = (self.fuzz().no_operation)(self.bytes(self.insns[index]));
        let mut smaller = self.clone();
        smaller.insns[index] = Insn::Plain(nop);
        (!matches!(self.insns[index], Insn::Plain(word) if word == nop)).then_some(smaller)
    }

    fn bytes(&self, insn: Insn) -> usize {
        let (Insn::Plain(word) | Insn::Forward(Jump { word, .. }, _)) = insn;
        (self.fuzz().length)(word)
    }

    fn offset_of(&self, index: usize) -> usize {
        self.insns[..index].iter().map(|&insn| self.bytes(insn)).sum()
    }

    /// Its bytes.
    #[must_use]
    pub fn code(&self) -> Vec<u8> {
        let mut code = Vec::new();
        for (index, &insn) in self.insns.iter().enumerate() {
            let word = match insn {
                Insn::Plain(word) => word,
                Insn::Forward(jump, distance) => {
                    let offset = (self.offset_of(index + distance) - code.len()) as u32;
                    (jump.aim)(jump.word, offset)
                }
            };
            code.extend(&word.to_le_bytes()[..self.bytes(insn)]);
        }
        if self.looping {
            let back = (self.fuzz().back)(code.len() as u32);
            code.extend(back.iter().flat_map(|word| word.to_le_bytes()));
        }
        code
    }

    /// Whether Ferry (`mine`) and qemu-user may differ after it.
    #[must_use]
    pub fn excuses(&self, mine: &(State, End), theirs: &(State, End)) -> bool {
        (self.fuzz().excused)(self, mine, theirs)
    }

    /// Its words, one an instruction.
    pub fn words(&self) -> impl Iterator<Item = u32> {
        let length = self.fuzz().length;
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

    /// Its assembly text, one instruction a line.
    #[must_use]
    pub fn listing(&self) -> String {
        let ferry = self.guest.ferry.as_ref().expect("a generator made it");
        let mut lines = Vec::new();
        let mut pc = CODE;
        for word in self.words() {
            let length = (self.fuzz().length)(word);
            let (text, _) = (ferry.disassemble)(pc, &word.to_le_bytes()[..length]);
            lines.push(format!("{pc}: {word:0w$x}  {text}", w = 2 * length));
            pc = pc.wrapping_add(length as u64);
        }
        lines.join("\n")
    }
}
