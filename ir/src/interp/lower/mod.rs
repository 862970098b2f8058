//! From IR to micro-operations, in one pass over a block.
//!
//! A block runs a few times only before it is compiled or forgotten, so this must be cheap: buffers
//! are reused, nothing is optimised but what shows in two neighbouring operations.

mod flags;
mod float;
mod fuse;
mod integer;
mod memory;
mod status;
mod terminator;
mod vector;

use base::cpu::{SLOT_COUNT, TEMP_COUNT};
use base::{HelperId, RegSlot};

use super::code::{Code, HEAD_WORDS, Mark, Parts};
use super::exec::{SINK, ZERO};
use super::micro::{Micro, MicroOp, Raw, Reg};
use crate::block::{Block, Inst, Operand, OperandKind};
use crate::guest::Guest;
use crate::ops::{Opcode, Shape};
use crate::types::Type;

/// Why a block cannot be lowered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LowerError {
    /// It is to be translated again with fewer instructions.
    #[error("a block of {0} temporaries or too many operations")]
    TooLarge(u16),
    /// A slot or temporary that no frame has, or an operand that is missing.
    #[error("an operand that is no register: {0:?}")]
    BadOperand(Operand),
    /// A helper that the guest does not have.
    #[error("the guest has no helper {0:?}")]
    UnknownHelper(HelperId),
    /// An operation at a type that it does not have.
    #[error("no operation {} at {}", .0.info().name, .1.name())]
    Unsupported(Opcode, Type),
}

/// Registers for constants that an operation takes no immediate for.
const SCRATCH: Reg = SINK - SCRATCH_COUNT;
const SCRATCH_COUNT: Reg = 6;
/// Temporaries that a block may have.
const MAX_TEMPS: u16 = SCRATCH - SLOT_COUNT as u16;

const _: () = assert!(ZERO as usize == SLOT_COUNT + TEMP_COUNT - 1);

/// Turns blocks into [`Code`]; reused for many.
#[derive(Debug, Default)]
pub struct Lowerer {
    words: Vec<Raw>,
    marks: Vec<Mark>,
    /// How often each temporary is read.
    uses: Vec<u8>,
    scratch: Reg,
    /// How many of the last words are micro-operations of one word each.
    single_words: usize,
    /// What the micro-operations so far cost more than plain ones ([`Micro::excess`]).
    excess: u32,
    /// The temporary that the last micro-operation defines, if it may go elsewhere instead.
    last: Option<Last>,
    error: Option<LowerError>,
    links_at: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    temp: Operand,
    word: usize,
    /// The type from which the result is known to be sign-extended.
    extended: Type,
    /// Whether the result is a NaN-boxed binary32.
    boxed: bool,
    /// Whether the result has 128 bits.
    wide: bool,
}

/// A source operand: a register, or a constant for an immediate.
#[derive(Clone, Copy)]
enum Source {
    Reg(Reg),
    Const(u64),
}

impl Lowerer {
    /// A lowerer with empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lowers a block. `budget` is how many executions it may begin before [`super::Stop::Attention`] if its
    /// instructions are of weight 1 ([`super::Head::weight`]); others get less of it.
    ///
    /// # Errors
    /// See [`LowerError`].
    pub fn lower(&mut self, guest: &Guest, block: &Block, budget: i32) -> Result<Code, LowerError> {
        if block.temps > MAX_TEMPS {
            return Err(LowerError::TooLarge(block.temps));
        }
        self.begin(block);
        let fused = self.fused_tail(block);
        for inst in &block.insts[..block.insts.len() - fused] {
            self.lower_inst(guest, block, inst);
        }
        self.lower_terminator(block, fused);
        self.pair();
        if let Some(error) = self.error {
            return Err(error);
        }
        let parts = Parts {
            key: block.key,
            insns: block.guest_insns,
            admits: block.admits,
            weight: self.weight(block.guest_insns),
            budget,
            words: &mut self.words,
            links_at: self.links_at,
            marks: &self.marks,
        };
        parts.assemble().ok_or(LowerError::TooLarge(block.temps))
    }

    fn begin(&mut self, block: &Block) {
        self.words.clear();
        self.words.resize(HEAD_WORDS, [0; 2]);
        self.marks.clear();
        self.uses.clear();
        self.uses.resize(usize::from(block.temps), 0);
        self.last = None;
        self.single_words = 0;
        self.excess = 0;
        self.error = None;
        self.links_at = None;
        let args = block.insts.iter().flat_map(|inst| inst.args);
        for operand in args.chain(block.terminator.operand()) {
            let temp = operand.as_temp();
            if let Some(count) = temp.and_then(|temp| self.uses.get_mut(usize::from(temp))) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// What one of so many instructions costs on average.
    fn weight(&self, insns: u32) -> u8 {
        u8::try_from(1 + self.excess / insns.max(1)).unwrap_or(u8::MAX)
    }

    fn lower_inst(&mut self, guest: &Guest, block: &Block, inst: &Inst) {
        self.scratch = 0;
        let shape = inst.op.info().shape;
        if inst.ty.is_vector() && !shape.has_address() {
            return self.vector(guest, block, inst);
        }
        match shape {
            Shape::Mark => self.mark(inst),
            Shape::Flags => self.flags(block, inst),
            Shape::Status => self.status(block, inst),
            Shape::Condition => self.condition(block, inst),
            Shape::ZextWide => self.zext_wide(block, inst),
            Shape::Unary => self.unary(block, inst),
            Shape::Extend => self.extend(block, inst),
            Shape::Binary => self.binary(block, inst),
            Shape::Compare => self.compare(block, inst),
            Shape::Select => self.select(block, inst),
            Shape::Load => self.load(block, inst),
            Shape::Store => self.store(block, inst),
            Shape::AtomicRmw => self.atomic(block, inst),
            Shape::AtomicCas => self.compare_and_swap(block, inst),
            Shape::AlignCheck => self.align_check(block, inst),
            Shape::Fence => self.fence(inst),
            Shape::Call => self.call(guest, block, inst),
            Shape::FpUnary
            | Shape::FpBinary
            | Shape::FpTernary
            | Shape::FpCompare
            | Shape::FpFlags
            | Shape::FpToInt
            | Shape::IntToFp
            | Shape::FpToFp => self.floating(guest, block, inst),
            // At vector types only.
            Shape::Splat
            | Shape::GetLane
            | Shape::SetLane
            | Shape::Shuffle
            | Shape::ShiftLanes
            | Shape::Ternary
            | Shape::Lengthen
            | Shape::Narrow
            | Shape::CallWide => self.unsupported(inst),
        }
    }

    fn mark(&mut self, inst: &Inst) {
        let word = self.words.len() as u16;
        self.marks.push(Mark { word, offset: inst.imm as u16 });
        // The operation before belongs to another instruction, but its result may still be moved.
    }

    fn push(&mut self, kind: Micro, dst: Reg, a: Reg, b: Reg, imm: u64) {
        self.last = None;
        self.single_words += 1;
        self.excess += kind.excess();
        self.words.push(MicroOp::new(kind, dst, a, b, imm).to_raw());
    }

    /// Pushes data of the last micro-operation.
    fn push_data(&mut self, data: Raw) {
        self.single_words = 0;
        self.words.push(data);
    }

    /// Pushes the definition of `to`, whose result is known to be sign-extended from `extended`.
    fn define(&mut self, to: Operand, extended: Type, kind: Micro, a: Reg, b: Reg, imm: u64) {
        let dst = self.dst(to);
        let MicroOp { kind, a, b, imm, .. } = self.fuse(MicroOp::new(kind, dst, a, b, imm));
        self.push(kind, dst, a, b, imm);
        self.note_last(to, extended);
    }

    fn note_last(&mut self, to: Operand, extended: Type) {
        let op = self.micro_op(0);
        let (boxed, wide) = (op.is_some_and(MicroOp::boxes), op.is_some_and(MicroOp::is_wide));
        if to.as_temp().is_some() {
            self.last = Some(Last { temp: to, word: self.words.len() - 1, extended, boxed, wide });
        }
    }

    /// Makes the last micro-operation write `to` instead of the temporary `from`, if it defined
    /// that and nobody else reads it.
    fn retarget(&mut self, from: Operand, to: Operand, narrowest: Type) -> bool {
        let fits = |last: &Last| last.temp == from && !last.wide;
        let Some(last) = self.last.filter(fits) else { return false };
        if last.extended.bits() > narrowest.bits() {
            return false;
        }
        self.retarget_last(last, from, to)
    }

    /// The same for a result of 128 bits.
    fn retarget_wide(&mut self, from: Operand, to: Operand) -> bool {
        let last = self.last.filter(|last| last.temp == from && last.wide);
        last.is_some_and(|last| self.retarget_last(last, from, to))
    }

    fn retarget_last(&mut self, last: Last, from: Operand, to: Operand) -> bool {
        if !self.read_once(from) {
            return false;
        }
        let dst = self.dst(to);
        let word = &mut self.words[last.word][0];
        *word = *word & !0xffff_0000 | u64::from(dst) << 16;
        self.last = to.as_temp().map(|_| Last { temp: to, ..last });
        true
    }

    fn source(&mut self, block: &Block, operand: Operand) -> Source {
        match block.operand(operand) {
            OperandKind::Const(value) => Source::Const(value),
            OperandKind::Slot(slot) => Source::Reg(self.slot(slot)),
            OperandKind::Temp(temp) => Source::Reg(self.temp(temp)),
            OperandKind::None => {
                self.fail(LowerError::BadOperand(operand));
                Source::Reg(ZERO)
            }
        }
    }

    /// The register of an operand; a constant is put into one first.
    fn reg(&mut self, block: &Block, operand: Operand) -> Reg {
        let source = self.source(block, operand);
        self.materialise(source)
    }

    fn materialise(&mut self, source: Source) -> Reg {
        match source {
            Source::Reg(reg) => reg,
            Source::Const(0) => ZERO,
            Source::Const(value) => {
                let reg = self.next_scratch();
                self.push(Micro::Const, reg, 0, 0, value);
                reg
            }
        }
    }

    /// A register for the rest of the operation.
    fn next_scratch(&mut self) -> Reg {
        let reg = SCRATCH + self.scratch % SCRATCH_COUNT;
        self.scratch += 1;
        reg
    }

    fn dst(&mut self, operand: Operand) -> Reg {
        match (operand.as_slot(), operand.as_temp()) {
            (Some(slot), _) => self.slot(slot),
            (_, Some(temp)) => self.temp(temp),
            _ if operand.is_none() => SINK,
            _ => {
                self.fail(LowerError::BadOperand(operand));
                SINK
            }
        }
    }

    fn slot(&mut self, slot: RegSlot) -> Reg {
        if slot.index() < SLOT_COUNT {
            return slot.0;
        }
        self.fail(LowerError::BadOperand(Operand::slot(slot)));
        ZERO
    }

    fn temp(&mut self, temp: u16) -> Reg {
        if usize::from(temp) < self.uses.len() {
            return SLOT_COUNT as Reg + temp;
        }
        self.fail(LowerError::BadOperand(Operand::temp(temp)));
        ZERO
    }

    fn fail(&mut self, error: LowerError) {
        self.error.get_or_insert(error);
    }
}
