//! Operations on vectors, most of which are called as functions. A wide register is two, named by the
//! first.

use base::cpu::Effects;

use super::{LowerError, Lowerer, ZERO};
use crate::block::{Block, Inst};
use crate::fp::FpOp;
use crate::guest::Guest;
use crate::interp::micro::{Micro, Reg};
use crate::lanes;
use crate::ops::{Opcode, flag};
use crate::types::Type;

impl Lowerer {
    pub(super) fn zext_wide(&mut self, block: &Block, inst: &Inst) {
        let from = self.reg(block, inst.args[0]);
        let mask = u64::MAX >> (64 - inst.ty.bits());
        self.define(inst.dst, Type::I64, Micro::ZextWide, from, ZERO, mask);
    }

    pub(super) fn vector(&mut self, guest: &Guest, block: &Block, inst: &Inst) {
        match inst.op {
            Opcode::Mov => self.move_wide(block, inst),
            Opcode::CallWide => self.call_wide(guest, block, inst),
            op if op.info().has(flag::FP_FLAGS) => {
                let [a, b, c] = self.wide_operands(block, inst);
                let dst = self.dst(inst.dst);
                let imm = u64::from(c) | u64::from(guest.fp_flags.0) << 16;
                self.push(Micro::WideFloat, dst, a, b, imm);
                self.push_data([FpOp::from(inst).pack(guest.fp), 0]);
            }
            _ => self.wide_function(block, inst),
        }
    }

    fn move_wide(&mut self, block: &Block, inst: &Inst) {
        if self.retarget_wide(inst.args[0], inst.dst) {
            return;
        }
        let from = self.reg(block, inst.args[0]);
        self.define(inst.dst, Type::I64, Micro::MovWide, from, ZERO, 0);
    }

    fn wide_operands(&mut self, block: &Block, inst: &Inst) -> [Reg; 3] {
        [inst.args[0], inst.args[1], inst.args[2]].map(|operand| match operand.is_none() {
            true => ZERO,
            false => self.reg(block, operand),
        })
    }

    fn wide_function(&mut self, block: &Block, inst: &Inst) {
        let Some(function) = lanes::function(inst) else { return self.unsupported(inst) };
        let [a, b, c] = match inst.op {
            Opcode::Shuffle => self.shuffle_operands(block, inst),
            _ => self.wide_operands(block, inst),
        };
        let dst = self.dst(inst.dst);
        let kind = if inst.result_type().is_vector() { Micro::Wide } else { Micro::Lane };
        self.push(kind, dst, a, b, function as usize as u64);
        self.push_data([c.into(), inst.imm as u64]);
    }

    /// The two constants of a shuffle go to two neighbouring registers.
    fn shuffle_operands(&mut self, block: &Block, inst: &Inst) -> [Reg; 3] {
        let (a, b) = (self.reg(block, inst.args[0]), self.reg(block, inst.args[1]));
        let mut place = super::SCRATCH;
        for operand in [inst.args[2], inst.args[3]] {
            let crate::OperandKind::Const(value) = block.operand(operand) else {
                self.fail(LowerError::BadOperand(operand));
                continue;
            };
            self.push(Micro::Const, place, 0, 0, value);
            place += 1;
        }
        [a, b, super::SCRATCH]
    }

    fn call_wide(&mut self, guest: &Guest, block: &Block, inst: &Inst) {
        let Some(helper) = guest.helper(inst.helper()) else {
            return self.fail(LowerError::UnknownHelper(inst.helper()));
        };
        let [a, b, c] = self.wide_operands(block, inst);
        let number = self.reg(block, inst.args[3]);
        let kind = match helper.effects {
            Effects::Memory => Micro::CallWideMemory,
            Effects::Pure | Effects::FpFlags | Effects::Frame => Micro::CallWide,
        };
        let dst = if inst.dst.is_none() { WIDE_SINK } else { self.dst(inst.dst) };
        self.push(kind, dst, a, b, u64::from(c) | u64::from(number) << 16);
        self.push_data([helper.code.address() as u64, 0]);
    }
}

/// Where wide results go that nobody wants.
const WIDE_SINK: Reg = super::SCRATCH;
