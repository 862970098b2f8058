//! x86's status flags (SDM vol. 1, §3.4.3.1), as arithmetic leaves them: five numbers from which they follow, in slots of which an
//! operation names the first.
//!
//! | Slot | Holds | Of a logical operation |
//! |---|---|---|
//! | first | the result, sign-extended: ZF says whether it is 0 | the same |
//! | second | the result, sign-extended: SF and PF | the same |
//! | third | CF: 0 or 1 | 0 |
//! | fourth | SF xor OF: 0 or 1, whether the result as a number without bounds is negative | whether it is negative |
//! | fifth | the operands' exclusive or, zero-extended: AF is its bit 4 xor that of the second | the result, sign-extended |
//!
//! One operation for all is what tier 0 and the baseline compiler execute. The optimiser and the back end never see
//! it: [`expand`] turns it into operations that write a slot each, most of which they find to be dead.

use base::RegSlot;
use base::defect::{Defect, is_seeded};

use crate::block::{Block, Inst, Operand, OperandKind};
use crate::fold;
use crate::ops::{Opcode, Shape};
use crate::types::Type;

/// Slots that an operation writes.
pub const SLOTS: u16 = 5;

/// How an operation with status flags computes its result.
#[must_use]
pub const fn arithmetic(op: Opcode) -> Opcode {
    match op {
        Opcode::StatusSub | Opcode::StatusDec => Opcode::Sub,
        Opcode::StatusAnd => Opcode::And,
        Opcode::StatusOr => Opcode::Or,
        Opcode::StatusXor => Opcode::Xor,
        _ => Opcode::Add,
    }
}

/// Whether it leaves CF as it is.
#[must_use]
pub const fn keeps_carry(op: Opcode) -> bool {
    matches!(op, Opcode::StatusInc | Opcode::StatusDec)
}

/// What an operation leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// The result, zero-extended.
    pub result: u64,
    /// What the slots get, from the first on; `None` if one keeps what it holds.
    pub slots: [Option<u64>; SLOTS as usize],
}

/// The meaning of an operation; bits of the operands above its type do not matter.
#[must_use]
pub fn evaluate(op: Opcode, ty: Type, a: u64, b: u64) -> Status {
    let (ua, ub) = (i128::from(fold::zext(ty, a)), i128::from(fold::zext(ty, b)));
    let (sa, sb) = (i128::from(fold::sext(ty, a)), i128::from(fold::sext(ty, b)));
    let (unsigned, signed) = match arithmetic(op) {
        Opcode::Add => (ua + ub, sa + sb),
        Opcode::Sub => (ua - ub, sa - sb),
        Opcode::And => (ua & ub, sa & sb),
        Opcode::Or => (ua | ub, sa | sb),
        _ => (ua ^ ub, sa ^ sb),
    };
    let result = fold::zext(ty, unsigned as u64);
    let extended = fold::sext(ty, result) as u64;
    let carry = u64::from(unsigned != i128::from(result));
    let aux = if is_logical(op) { extended } else { (ua ^ ub) as u64 };
    let slots = [
        Some(extended),
        Some(extended),
        (!keeps_carry(op)).then_some(carry),
        Some((signed < 0).into()),
        Some(aux),
    ];
    Status { result, slots }
}

const fn is_logical(op: Opcode) -> bool {
    matches!(op, Opcode::StatusAnd | Opcode::StatusOr | Opcode::StatusXor)
}

/// Turns operations with status flags into others that do the same.
pub fn expand(block: &mut Block) {
    if !block.insts.iter().any(|inst| inst.op.info().shape == Shape::Status) {
        return;
    }
    let insts = std::mem::take(&mut block.insts);
    block.insts.reserve(insts.len() * 2);
    for inst in insts {
        match inst.op.info().shape {
            Shape::Status => Expansion { block, inst }.run(),
            _ => block.insts.push(inst),
        }
    }
}

/// An operation that is being expanded.
struct Expansion<'a> {
    block: &'a mut Block,
    inst: Inst,
}

impl Expansion<'_> {
    /// All operands are read before a slot is written that may be one.
    fn run(mut self) {
        let Inst { op, ty, dst, .. } = self.inst;
        let [a, b] = [self.inst.args[0], self.inst.args[1]].map(|operand| self.kept(operand));
        let result = if dst.as_temp().is_some() { dst } else { self.temp() };
        self.push(arithmetic(op), ty, result, &[a, b]);
        let extended = self.slot(0);
        self.push(Opcode::Sext, ty, extended, &[result]);
        self.push(Opcode::Mov, Type::I64, self.slot(1), &[extended]);
        match arithmetic(op) {
            Opcode::Add => self.sum(a, b, result),
            Opcode::Sub => self.difference(a, b),
            _ => self.logical(extended),
        }
        if result != dst {
            self.push(Opcode::Mov, ty, dst, &[result]);
        }
    }

    fn sum(&mut self, a: Operand, b: Operand, sum: Operand) {
        self.carry(&[sum, a]);
        let ty = self.inst.ty;
        if is_seeded(Defect::SumBelowZeroBySign) {
            let zero = self.block.constant(0);
            self.push(Opcode::LtS, ty, self.slot(3), &[sum, zero]);
            return self.auxiliary(a, b);
        }
        // The sum is negative if a is less than -b, which is no number of the type for one b.
        match self.block.operand(b) {
            OperandKind::Const(value) if fold::sext(ty, value) != i64::MIN >> (64 - ty.bits()) => {
                let negated = self.block.constant(fold::zext(ty, value.wrapping_neg()));
                self.push(Opcode::LtS, ty, self.slot(3), &[a, negated]);
            }
            _ => {
                let complement = self.temp();
                self.push(Opcode::Not, ty, complement, &[b]);
                self.push(Opcode::LeS, ty, self.slot(3), &[a, complement]);
            }
        }
        self.auxiliary(a, b);
    }

    fn difference(&mut self, a: Operand, b: Operand) {
        self.carry(&[a, b]);
        self.push(Opcode::LtS, self.inst.ty, self.slot(3), &[a, b]);
        self.auxiliary(a, b);
    }

    fn carry(&mut self, less: &[Operand]) {
        if !keeps_carry(self.inst.op) {
            self.push(Opcode::LtU, self.inst.ty, self.slot(2), less);
        }
    }

    fn auxiliary(&mut self, a: Operand, b: Operand) {
        let ty = self.inst.ty;
        if ty == Type::I64 {
            return self.push(Opcode::Xor, ty, self.slot(4), &[a, b]);
        }
        let xor = self.temp();
        self.push(Opcode::Xor, ty, xor, &[a, b]);
        self.push(Opcode::Zext, ty, self.slot(4), &[xor]);
    }

    fn logical(&mut self, extended: Operand) {
        let zero = self.block.constant(0);
        self.push(Opcode::Mov, Type::I64, self.slot(2), &[zero]);
        self.push(Opcode::LtS, Type::I64, self.slot(3), &[extended, zero]);
        self.push(Opcode::Mov, Type::I64, self.slot(4), &[extended]);
    }

    /// One of the slots that are written.
    fn slot(&self, index: u16) -> Operand {
        Operand::slot(RegSlot(self.inst.first_slot().0 + index))
    }

    /// An operand, or a copy of it if it is a slot that is written.
    fn kept(&mut self, operand: Operand) -> Operand {
        if !(0..SLOTS).any(|index| self.slot(index) == operand) {
            return operand;
        }
        let copy = self.temp();
        self.push(Opcode::Mov, Type::I64, copy, &[operand]);
        copy
    }

    fn temp(&mut self) -> Operand {
        let temp = Operand::temp(self.block.temps);
        self.block.temps += 1;
        temp
    }

    fn push(&mut self, op: Opcode, ty: Type, dst: Operand, args: &[Operand]) {
        let mut operands = [Operand::NONE; 4];
        operands[..args.len()].copy_from_slice(args);
        self.block.insts.push(Inst { op, ty, aux: 0, imm: 0, dst, args: operands });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_manual() {
        let of = |op, ty, a, b| {
            let Status { result, slots } = evaluate(op, ty, a, b);
            (result, slots.map(|slot| slot.unwrap_or(9)))
        };
        let minus = |n: u64| n.wrapping_neg();
        assert_eq!(of(Opcode::StatusAdd, Type::I8, 0xff, 1), (0, [0, 0, 1, 0, 0xfe]));
        assert_eq!(
            of(Opcode::StatusAdd, Type::I8, 0x7f, 0x101),
            (0x80, [minus(0x80), minus(0x80), 0, 0, 0x7e])
        );
        assert_eq!(
            of(Opcode::StatusSub, Type::I32, 1, 2),
            (0xffff_ffff, [minus(1), minus(1), 1, 1, 3])
        );
        assert_eq!(of(Opcode::StatusInc, Type::I16, 0xffff, 1), (0, [0, 0, 9, 0, 0xfffe]));
        assert_eq!(
            of(Opcode::StatusDec, Type::I64, 1 << 63, 1),
            (!0 >> 1, [!0 >> 1, !0 >> 1, 9, 1, 1 << 63 | 1])
        );
        assert_eq!(
            of(Opcode::StatusXor, Type::I8, 0x0f, 0xff),
            (0xf0, [minus(0x10), minus(0x10), 0, 1, minus(0x10)])
        );
    }
}
