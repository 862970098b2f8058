//! Operations with status flags.

use base::defect::{Defect, is_seeded};

use super::{Lowerer, SINK, Source, ZERO};
use crate::block::{Block, Inst, Operand};
use crate::fold;
use crate::interp::StatusOp;
use crate::interp::micro::Micro;
use crate::ops::Opcode;
use crate::status;
use crate::types::Type;

impl Lowerer {
    pub(super) fn status(&mut self, block: &Block, inst: &Inst) {
        let arithmetic = status::arithmetic(inst.op);
        let (a, b) = (self.source(block, inst.args[0]), self.source(block, inst.args[1]));
        let (a, b) = match (a, b) {
            (Source::Const(_), Source::Reg(_)) if arithmetic != Opcode::Sub => (b, a),
            pair => pair,
        };
        let constant = match b {
            Source::Const(value) => i32::try_from(fold::sext(inst.ty, value)).ok(),
            Source::Reg(_) => None,
        };
        let a = self.materialise(a);
        let b = if constant.is_some() { ZERO } else { self.materialise(b) };
        let (registers, immediate) = match arithmetic {
            Opcode::Sub => (Micro::StatusSubR, Micro::StatusSubI),
            Opcode::And => (Micro::StatusAndR, Micro::StatusAndI),
            Opcode::Or => (Micro::StatusOrR, Micro::StatusOrI),
            Opcode::Xor => (Micro::StatusXorR, Micro::StatusXorI),
            _ => (Micro::StatusAddR, Micro::StatusAddI),
        };
        let kind = if constant.is_some() { immediate } else { registers };
        let op = StatusOp {
            constant: constant.unwrap_or_default(),
            first: inst.first_slot(),
            ty: if is_seeded(Defect::NarrowCarryOfWhole) { Type::I64 } else { inst.ty },
            keeps_carry: status::keeps_carry(inst.op),
        };
        if self.is_unread(inst.dst) {
            self.push(kind, SINK, a, b, op.pack());
        } else {
            self.define(inst.dst, inst.ty, kind, a, b, op.pack());
        }
    }

    /// Whether nobody reads a result.
    fn is_unread(&self, dst: Operand) -> bool {
        let uses = dst.as_temp().and_then(|temp| self.uses.get(usize::from(temp)));
        uses == Some(&0)
    }
}
