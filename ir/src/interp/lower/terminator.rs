//! How blocks end.

use base::cpu::Approach;

use super::{Lowerer, SINK, Source, ZERO};
use crate::block::{Block, Hint, Inst, Operand, Terminator};
use crate::interp::micro::{Micro, Reg};
use crate::ops::{Opcode, Shape};
use crate::types::Type;

/// `cond(a, b)` as a branch: of two registers, and of a register and an immediate.
struct Branch {
    a: Source,
    b: Source,
    registers: Micro,
    immediate: Micro,
}

impl Lowerer {
    /// How many of the last operations become part of the terminator.
    pub(super) fn fused_tail(&self, block: &Block) -> usize {
        match (block.terminator, &block.insts[..]) {
            (Terminator::Jump { .. }, [.., link]) => usize::from(is_link(link)),
            (Terminator::Branch { cond, .. }, [.., compare]) => {
                let is_compare = match compare.op.info().shape {
                    Shape::Compare => compare.ty == Type::I64,
                    shape => shape == Shape::Condition,
                };
                usize::from(is_compare && self.is_only(compare, cond))
            }
            (Terminator::Indirect { hint: Hint::Far, .. }, _) => 0,
            (Terminator::Indirect { target, approach: Approach::PLAIN, .. }, [.., and, link])
                if is_link(link) && clears_low_bit(block, and) && self.is_only(and, target) =>
            {
                2
            }
            (Terminator::Indirect { target, approach: Approach::PLAIN, .. }, [.., add, and])
                if clears_low_bit(block, and) && self.is_only(and, target) =>
            {
                let is_add = add.op == Opcode::Add && add.ty == Type::I64;
                let of_constant = add.args[1].is_const() && !add.args[0].is_const();
                1 + usize::from(is_add && of_constant && self.is_only(add, and.args[0]))
            }
            _ => 0,
        }
    }

    /// Whether an operation makes a value that is read once only, as this operand.
    fn is_only(&self, inst: &Inst, operand: Operand) -> bool {
        inst.dst == operand && self.read_once(operand)
    }

    pub(super) fn lower_terminator(&mut self, block: &Block, fused: usize) {
        self.scratch = 0;
        let tail = &block.insts[block.insts.len() - fused..];
        match block.terminator {
            Terminator::Jump { target, .. } => match tail {
                [link] => self.jump_and_link(block, link, target.0),
                _ => self.jump(target.0),
            },
            Terminator::Branch { cond, taken, fallthrough } => {
                let targets = [taken.0, fallthrough.0];
                match tail {
                    [compare] if compare.op == Opcode::Cond => {
                        let flags = self.reg(block, compare.args[0]);
                        let mask = u64::from(compare.condition().mask());
                        self.push(Micro::BrCond, SINK, flags, 0, mask);
                        self.links();
                        self.push_data(targets);
                    }
                    [compare] => self.compare_and_branch(block, compare, targets),
                    _ => self.branch_if_not_zero(block, cond, targets),
                }
            }
            Terminator::Indirect { target, hint: Hint::Far, .. } => {
                let a = self.reg(block, target);
                self.push(Micro::IndirectFar, SINK, a, 0, 0);
            }
            Terminator::Indirect { target, hint, approach } => {
                self.indirect(block, (target, hint, approach), tail);
            }
            Terminator::Trap { trap, pc } => self.push(Micro::Trap, SINK, trap as Reg, 0, pc.0),
            Terminator::Lookup { target } => self.push(Micro::Lookup, SINK, 0, 0, target.0),
        }
    }

    fn jump(&mut self, target: u64) {
        self.push(Micro::Jump, SINK, 0, 0, target);
        self.links();
    }

    fn jump_and_link(&mut self, block: &Block, link: &Inst, target: u64) {
        let (dst, link) = self.link(block, link);
        self.push(Micro::JumpLink, dst, 0, 0, link);
        self.links();
        self.push_data([target, 0]);
    }

    /// Where a return address goes, and the address.
    fn link(&mut self, block: &Block, link: &Inst) -> (Reg, u64) {
        let dst = self.dst(link.dst);
        match self.source(block, link.args[0]) {
            Source::Const(address) => (dst, address),
            Source::Reg(_) => (SINK, 0),
        }
    }

    fn links(&mut self) {
        self.links_at = Some(self.words.len());
        self.push_data([0, 0]);
    }

    fn branch_if_not_zero(&mut self, block: &Block, cond: Operand, targets: [u64; 2]) {
        let a = self.source(block, cond);
        let (registers, immediate) = (Micro::BrNeR, Micro::BrNeI);
        self.branch(Branch { a, b: Source::Const(0), registers, immediate }, targets);
    }

    fn compare_and_branch(&mut self, block: &Block, compare: &Inst, targets: [u64; 2]) {
        let a = self.source(block, compare.args[0]);
        let b = self.source(block, compare.args[1]);
        let (a, b, registers, immediate) = match compare.op {
            Opcode::Eq => (a, b, Micro::BrEqR, Micro::BrEqI),
            Opcode::LtU => (a, b, Micro::BrLtUR, Micro::BrLtUI),
            Opcode::LtS => (a, b, Micro::BrLtSR, Micro::BrLtSI),
            // a <= b is b >= a.
            Opcode::LeU => (b, a, Micro::BrGeUR, Micro::BrGeUI),
            Opcode::LeS => (b, a, Micro::BrGeSR, Micro::BrGeSI),
            _ => (a, b, Micro::BrNeR, Micro::BrNeI),
        };
        self.branch(Branch { a, b, registers, immediate }, targets);
    }

    fn branch(&mut self, branch: Branch, targets: [u64; 2]) {
        let a = self.materialise(branch.a);
        match branch.b {
            Source::Const(imm) => self.push(branch.immediate, SINK, a, 0, imm),
            Source::Reg(b) => self.push(branch.registers, SINK, a, b, 0),
        }
        self.links();
        self.push_data(targets);
    }

    fn indirect(
        &mut self,
        block: &Block,
        (target, hint, approach): (Operand, Hint, Approach),
        tail: &[Inst],
    ) {
        let (operand, offset) = match tail {
            [and, link] if is_link(link) => {
                let a = self.reg(block, and.args[0]);
                let (dst, link) = self.link(block, link);
                return self.push(Micro::IndirectLink, dst, a, 0, link);
            }
            [add, _] => (add.args[0], self.source(block, add.args[1])),
            [and] => (and.args[0], Source::Const(0)),
            _ => {
                let a = self.reg(block, target);
                let number = Reg::from(approach.number());
                let dst = if hint == Hint::Return { SINK } else { ZERO };
                return self.push(Micro::Indirect, dst, a, number, approach.salt());
            }
        };
        let a = self.reg(block, operand);
        if let Source::Const(offset) = offset {
            self.push(Micro::IndirectEven, SINK, a, 0, offset);
        }
    }
}

/// Whether it writes a return address: a constant into a register.
fn is_link(inst: &Inst) -> bool {
    inst.op == Opcode::Mov && inst.dst.as_slot().is_some() && inst.args[0].is_const()
}

fn clears_low_bit(block: &Block, inst: &Inst) -> bool {
    use crate::block::OperandKind::Const;
    let mask = block.operand(inst.args[1]);
    inst.op == Opcode::And && inst.ty == Type::I64 && mask == Const(!1) && !inst.args[0].is_const()
}
