//! Instructions of guests whose encodings are words: random bits around the fixed ones, taken or not by what they
//! translate to.

use base::RegSlot;
use base::rng::Rng;
use ir::ops::Shape as Shapes;
use ir::{Block, BlockKey, Builder, OperandKind, Terminator, Trap};
use translator::{Frontend, Limits, Translation};

use super::{Encoded, Guest, Maker, Pattern};
use crate::guest::{self, Ferry};
use crate::machine::CODE;
use crate::shape::{File, Shape};

/// Registers of each file that a program names more often than others.
const FAVOURITES: usize = 4;

/// What words know of a guest.
#[derive(Debug)]
pub struct Traits {
    /// Changes a word that [`Pattern::value`] and random bits make, before it is decoded.
    pub adjust: fn(&Pattern, u32, &mut Rng) -> u32,
    /// Whether the word is that instruction, and does not behave differently for a good reason.
    pub suits: fn(&Pattern, u32) -> bool,
    /// Whether an access by way of this register is likely to be one to the data: numbers of general
    /// registers, which are both those of their slots and those of their words.
    pub pointers: &'static [u8],
}

/// Makes words.
pub struct Words {
    traits: &'static Traits,
    random: &'static Guest,
    choices: Vec<(Pattern, Shape)>,
    /// Registers that the present program names more often than others, integer and floating-point.
    favourites: [[u32; FAVOURITES]; 2],
    frontend: Box<dyn Frontend>,
    builder: Builder,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("favourites", &self.favourites).finish_non_exhaustive()
    }
}

impl Words {
    /// Of these encodings.
    #[must_use]
    pub fn new(
        guest: &'static guest::Guest,
        ferry: &'static Ferry,
        choices: &[Pattern],
        traits: &'static Traits,
    ) -> Self {
        let choices =
            choices.iter().map(|pattern| (*pattern, Shape::of(guest, ferry, pattern))).collect();
        let favourites = [[0; FAVOURITES]; 2];
        let (frontend, builder) = ((ferry.frontend)(), Builder::new());
        Self { traits, random: ferry.random, choices, favourites, frontend, builder }
    }

    /// Random bits, with a taste for few registers and for corners of immediates.
    fn operands(&mut self, index: usize, rng: &mut Rng) -> u32 {
        let mut bits = rng.bits() as u32;
        let shape = &self.choices[index].1;
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
    fn is_interesting(&self, block: &Block, rng: &mut Rng) -> bool {
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
        !rare || rng.one_in(24)
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
                self.traits.pointers.iter().any(|&pointer| u16::from(pointer) == n)
            }
            // Computed, as that of a block of memory is.
            OperandKind::Temp(_) => true,
            _ => false,
        };
        accesses && (!by_pointer || inst.imm.unsigned_abs() > 128)
    }
}

impl Maker for Words {
    fn begin(&mut self, rng: &mut Rng) {
        for file in 0..2 {
            self.favourites[file] = [(); FAVOURITES].map(|()| rng.below(32) as u32);
        }
        // Addresses, so that accesses to memory have them in common.
        let pointers = self.traits.pointers;
        self.favourites[0][0] = u32::from(pointers[rng.below(pointers.len())]);
    }

    fn make(&mut self, index: usize, rng: &mut Rng) -> Option<Encoded> {
        let pattern = self.choices[index].0;
        let word = pattern.value | self.operands(index, rng) & !pattern.mask;
        let word = (self.traits.adjust)(&pattern, word, rng);
        let word = if pattern.bytes == 2 { word & 0xffff } else { word };
        if !(self.traits.suits)(&pattern, word) {
            return None;
        }
        let block = self.translate(word);
        self.is_interesting(&block, rng).then_some(Encoded::low(word, pattern.bytes))
    }
}

/// Puts the low bits of a number where the mask has ones, from the lowest up.
fn deposit(number: u32, mask: u32) -> u32 {
    let bits = (0..32).filter(|n| mask >> n & 1 == 1).enumerate();
    bits.fold(0, |word, (index, n)| word | (number >> index & 1) << n)
}
