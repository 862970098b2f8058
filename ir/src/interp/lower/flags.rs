//! Packed flags and conditions.

use super::{Lowerer, Source, ZERO};
use crate::block::{Block, Inst};
use crate::interp::micro::Micro;
use crate::ops::Opcode;
use crate::types::Type;

impl Lowerer {
    pub(super) fn flags(&mut self, block: &Block, inst: &Inst) {
        let [a, b, carry] =
            [inst.args[0], inst.args[1], inst.args[2]].map(|operand| self.source(block, operand));
        let word = inst.ty == Type::I32;
        let a = self.materialise(a);
        let choose = |wide, narrow| if word { narrow } else { wide };
        let (kind, b, imm) = match (inst.op, b, carry) {
            (Opcode::FlagsSub, Source::Const(b), Source::Const(1)) => {
                (choose(Micro::FlagsCmpI, Micro::FlagsCmpWI), ZERO, b)
            }
            (Opcode::FlagsSub, Source::Reg(b), Source::Const(1)) => {
                (choose(Micro::FlagsCmpR, Micro::FlagsCmpWR), b, 0)
            }
            (Opcode::FlagsAdd, Source::Const(0), Source::Const(0)) => {
                (choose(Micro::FlagsNz, Micro::FlagsNzW), ZERO, 0)
            }
            (op, b, carry) => {
                let (b, carry) = (self.materialise(b), self.materialise(carry));
                let kind = match op {
                    Opcode::FlagsSub => choose(Micro::FlagsSub, Micro::FlagsSubW),
                    _ => choose(Micro::FlagsAdd, Micro::FlagsAddW),
                };
                (kind, b, carry.into())
            }
        };
        self.define(inst.dst, Type::I64, kind, a, b, imm);
    }

    pub(super) fn condition(&mut self, block: &Block, inst: &Inst) {
        let flags = self.reg(block, inst.args[0]);
        let mask = u64::from(inst.condition().mask());
        self.define(inst.dst, Type::I64, Micro::Cond, flags, ZERO, mask);
    }
}
