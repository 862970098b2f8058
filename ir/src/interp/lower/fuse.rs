//! Neighbouring micro-operations that become one.

use base::cpu::SLOT_COUNT;
use base::defect::{Defect, is_seeded};

use super::{Last, Lowerer};
use crate::block::{Inst, Operand};
use crate::interp::code::HEAD_WORDS;
use crate::interp::micro::{Micro, MicroOp, Reg};
use crate::ops::Opcode;

impl Lowerer {
    /// The micro-operation `back` words before the last one, if all words from there on are
    /// micro-operations.
    pub(super) fn micro_op(&self, back: usize) -> Option<MicroOp> {
        let index = self.words.len().checked_sub(back + 1)?;
        (back < self.single_words).then(|| MicroOp::from_raw(self.words[index]))?
    }

    fn pop(&mut self, count: usize) {
        self.words.truncate(self.words.len() - count);
        self.single_words -= count;
        self.last = None;
    }

    pub(super) fn read_once(&self, operand: Operand) -> bool {
        let temp = operand.as_temp().map(usize::from);
        temp.and_then(|temp| self.uses.get(temp)).is_some_and(|&uses| uses == 1)
    }

    /// Whether nobody will see a register after an operation that reads it and writes `dst`.
    fn dies(&self, register: Reg, dst: Reg) -> bool {
        let temp = usize::from(register).checked_sub(SLOT_COUNT);
        register == dst || temp.and_then(|temp| self.uses.get(temp)) == Some(&1)
    }

    /// The operation, with the one before taken into it if that is possible. Neither faults, so
    /// it does not matter that they may be of different guest instructions.
    pub(super) fn fuse(&mut self, op: MicroOp) -> MicroOp {
        let Some(before) = self.micro_op(0) else { return op };
        if before.kind != Micro::ShlI || !self.dies(before.dst, op.dst) {
            return op;
        }
        let shift = before.imm & 63;
        let fused = match op.kind {
            Micro::ShrUI if op.a == before.dst => {
                let imm = shift | (op.imm & 63) << 8;
                MicroOp { kind: Micro::ShlShrU, a: before.a, imm, ..op }
            }
            Micro::AddR if op.a == before.dst && op.b != before.dst => {
                let wrong = u64::from(is_seeded(Defect::FusedShiftOffByOne));
                MicroOp { kind: Micro::ShlAdd, a: before.a, imm: shift + wrong, ..op }
            }
            Micro::AddR if op.b == before.dst && op.a != before.dst => {
                MicroOp { kind: Micro::ShlAdd, a: before.a, b: op.a, imm: shift, ..op }
            }
            _ => return op,
        };
        self.pop(1);
        fused
    }

    /// NaN-boxes by having the last operation, which does it anyway, write the result.
    pub(super) fn box_last(&mut self, inst: &Inst) -> bool {
        let last = self.last.filter(|last| last.temp == inst.args[0] && last.boxed);
        inst.op == Opcode::NanBox
            && last.is_some_and(|l: Last| self.retarget_last(l, l.temp, inst.dst))
    }

    /// Takes the operations that unboxed these registers just now back: the registers to unbox.
    pub(super) fn take_unboxed(&mut self, operands: &[Operand], regs: &mut [Reg]) -> bool {
        let count = operands.len();
        for (index, &operand) in operands.iter().enumerate() {
            let unbox = self.micro_op(count - 1 - index);
            let unbox = unbox.filter(|op| op.kind == Micro::NanUnbox && op.dst == regs[index]);
            if unbox.is_none() || !self.read_once(operand) {
                return false;
            }
        }
        for (index, reg) in regs.iter_mut().enumerate().take(count) {
            if let Some(unbox) = self.micro_op(count - 1 - index) {
                *reg = unbox.a;
            }
        }
        self.pop(count);
        true
    }

    /// Makes pairs of neighbours one dispatch each. The second one's word stays as it is, so that
    /// it can be told apart where it faults.
    pub(super) fn pair(&mut self) {
        let mut at = HEAD_WORDS;
        while let Some(next) = self.words.get(at + 1).copied() {
            let Some(op) = MicroOp::from_raw(self.words[at]) else { return };
            if op.kind.words() != 1 {
                at += op.kind.words();
                continue;
            }
            let pair = MicroOp::from_raw(next).and_then(|next| op.kind.paired_with(next.kind));
            match pair {
                Some(kind) => {
                    self.words[at] = MicroOp { kind, ..op }.to_raw();
                    at += 2;
                }
                None => at += 1,
            }
        }
    }
}

impl MicroOp {
    /// Whether its result has 128 bits.
    pub(super) fn is_wide(self) -> bool {
        matches!(self.kind, Micro::ZextWide | Micro::MovWide | Micro::LoadWide)
    }

    /// Whether its result is NaN-boxed.
    pub(super) fn boxes(self) -> bool {
        use Micro::{FAddS, FAddSBoxed, FDivS, FDivSBoxed, FMulAddS, FMulAddSBoxed, FMulS};
        use Micro::{FMulSBoxed, FSubS, FSubSBoxed, LoadBoxed};
        let arithmetic = [FAddS, FSubS, FMulS, FDivS, FMulAddS];
        let boxed = [FAddSBoxed, FSubSBoxed, FMulSBoxed, FDivSBoxed, FMulAddSBoxed];
        self.kind == LoadBoxed || arithmetic.contains(&self.kind) || boxed.contains(&self.kind)
    }
}

impl Micro {
    /// How many words it takes.
    fn words(self) -> usize {
        match self {
            Self::Float | Self::Call | Self::CallMemory | Self::Jump => 2,
            Self::Wide | Self::Lane | Self::WideFloat => 2,
            Self::CallWide | Self::CallWideMemory => 2,
            Self::JumpLink
            | Self::BrEqR
            | Self::BrEqI
            | Self::BrNeR
            | Self::BrNeI
            | Self::BrLtUR
            | Self::BrLtUI
            | Self::BrGeUR
            | Self::BrGeUI
            | Self::BrLtSR
            | Self::BrLtSI
            | Self::BrGeSR
            | Self::BrGeSI
            | Self::BrCond => 3,
            _ => 1,
        }
    }

    /// What the two do as one.
    fn paired_with(self, next: Self) -> Option<Self> {
        Some(match (self, next) {
            (Self::Load64, Self::Load64) => Self::Load64Load64,
            (Self::LoadU8, Self::LoadU8) => Self::LoadU8LoadU8,
            (Self::Store64, Self::Store64) => Self::Store64Store64,
            (Self::AddR, Self::LoadU8) => Self::AddRLoadU8,
            (Self::AddR, Self::LoadS32) => Self::AddRLoadS32,
            (Self::AddR, Self::Load64) => Self::AddRLoad64,
            (Self::AddR, Self::Store8) => Self::AddRStore8,
            _ => return None,
        })
    }
}
