//! Floating-point operations.

use super::{Lowerer, ZERO};
use crate::block::{Block, Inst};
use crate::guest::{FpRules, Guest};
use crate::interp::eval::Pure;
use crate::interp::float::{RULES_SHIFT, float_function, pack_environment};
use crate::interp::micro::{Micro, Reg};
use crate::ops::Opcode;
use crate::types::{FpMode, FpRound, Type};

/// Micro-operations for what is frequent: rounding to nearest even, subnormal numbers kept. Those of arithmetic look
/// at results only, so they are none for a guest that is told of subnormal operands.
fn frequent(inst: &Inst, rules: FpRules) -> Option<Micro> {
    if inst.mode().has(FpMode::FLUSH) || inst.mode().has(FpMode::ZERO_INPUTS) {
        return None;
    }
    let compares = inst.op.info().shape == crate::ops::Shape::FpCompare;
    if !compares && (inst.round() != FpRound::NearestEven || rules == FpRules::X86) {
        return None;
    }
    Some(match (inst.op, inst.ty) {
        (Opcode::FAdd, Type::F64) => Micro::FAddD,
        (Opcode::FSub, Type::F64) => Micro::FSubD,
        (Opcode::FMul, Type::F64) => Micro::FMulD,
        (Opcode::FDiv, Type::F64) => Micro::FDivD,
        (Opcode::FMulAdd, Type::F64) => Micro::FMulAddD,
        (Opcode::FAdd, Type::F32) => Micro::FAddS,
        (Opcode::FSub, Type::F32) => Micro::FSubS,
        (Opcode::FMul, Type::F32) => Micro::FMulS,
        (Opcode::FDiv, Type::F32) => Micro::FDivS,
        (Opcode::FMulAdd, Type::F32) => Micro::FMulAddS,
        (Opcode::FEq, Type::F64) => Micro::FEqD,
        (Opcode::FLt, Type::F64) => Micro::FLtD,
        (Opcode::FLe, Type::F64) => Micro::FLeD,
        _ => return None,
    })
}

/// The same for operands that were NaN-boxed.
fn boxed(inst: &Inst, rules: FpRules) -> Option<Micro> {
    Some(match (frequent(inst, rules), inst.op, inst.ty) {
        (Some(Micro::FAddS), ..) => Micro::FAddSBoxed,
        (Some(Micro::FSubS), ..) => Micro::FSubSBoxed,
        (Some(Micro::FMulS), ..) => Micro::FMulSBoxed,
        (Some(Micro::FDivS), ..) => Micro::FDivSBoxed,
        (Some(Micro::FMulAddS), ..) => Micro::FMulAddSBoxed,
        (_, Opcode::FEq, Type::F32) => Micro::FEqSBoxed,
        (_, Opcode::FLt, Type::F32) => Micro::FLtSBoxed,
        (_, Opcode::FLe, Type::F32) => Micro::FLeSBoxed,
        _ => return None,
    })
}

fn sign_bit(ty: Type) -> u64 {
    1 << (ty.bits() - 1)
}

impl Lowerer {
    pub(super) fn floating(&mut self, guest: &Guest, block: &Block, inst: &Inst) {
        let count = inst.op.info().shape.operands();
        let mut regs = [ZERO; 3];
        for (reg, operand) in regs.iter_mut().zip(&inst.args[..count]) {
            *reg = self.reg(block, *operand);
        }
        let [a, b, c] = regs;
        let sign = sign_bit(inst.ty);
        match inst.op {
            Opcode::FNeg => self.define(inst.dst, Type::I64, Micro::XorI, a, 0, sign),
            Opcode::FAbs => self.define(inst.dst, Type::I64, Micro::AndI, a, 0, !sign),
            Opcode::FCopySign if a == b => self.define(inst.dst, Type::I64, Micro::Mov, a, 0, 0),
            Opcode::FCopySign => {
                let function: Pure = match inst.ty {
                    Type::F32 => |a, b| a & !(1 << 31) | b & 1 << 31,
                    _ => |a, b| a & !(1 << 63) | b & 1 << 63,
                };
                let function = function as usize as u64;
                self.define(inst.dst, Type::I64, Micro::Pure, a, b, function);
            }
            _ => self.arithmetic(guest, inst, [a, b, c]),
        }
    }

    fn arithmetic(&mut self, guest: &Guest, inst: &Inst, mut regs: [Reg; 3]) {
        let operands = &inst.args[..inst.op.info().shape.operands()];
        let kind = match boxed(inst, guest.fp) {
            Some(kind) if self.take_unboxed(operands, &mut regs) => Some(kind),
            _ => frequent(inst, guest.fp),
        };
        let [a, b, c] = regs;
        match kind {
            Some(kind) => {
                let rules = guest.fp.pack(inst.mode()) << RULES_SHIFT;
                let imm = u64::from(guest.fp_flags.0) | u64::from(c) << 16 | rules;
                self.define(inst.dst, Type::I64, kind, a, b, imm);
            }
            None => self.float_call(guest, inst, regs),
        }
    }

    fn float_call(&mut self, guest: &Guest, inst: &Inst, [a, b, c]: [Reg; 3]) {
        let Some(function) = float_function(inst, guest.fp) else { return self.unsupported(inst) };
        let dst = self.dst(inst.dst);
        self.push(Micro::Float, dst, a, b, 0);
        let environment = pack_environment(c, guest.fp_flags, inst, guest.fp);
        self.push_data([function as usize as u64, environment]);
    }
}
