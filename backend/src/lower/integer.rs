//! Integer operations.

use base::defect::{Defect, is_seeded};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::ops::Shape;
use ir::{Block, Inst, Opcode, OperandKind, Type};

use super::Lowering;
use super::values::clif_type;

impl Lowering<'_, '_> {
    pub(super) fn integer(&mut self, block: &Block, inst: &Inst) {
        let value = match inst.op.info().shape {
            Shape::Unary => self.unary(block, inst),
            Shape::Compare => self.compare(block, inst),
            Shape::Select => self.select(block, inst),
            Shape::Extend => self.extend(block, inst),
            _ => self.binary(block, inst),
        };
        self.define(inst, value);
    }

    pub(super) fn unary(&mut self, block: &Block, inst: &Inst) -> Value {
        let a = self.arg(block, inst, 0);
        match inst.op {
            Opcode::Not => self.fb.ins().bnot(a),
            Opcode::Neg => self.fb.ins().ineg(a),
            Opcode::Clz => self.fb.ins().clz(a),
            Opcode::Ctz => self.fb.ins().ctz(a),
            Opcode::Popcnt => self.fb.ins().popcnt(a),
            Opcode::Bswap if inst.ty != Type::I8 => self.fb.ins().bswap(a),
            Opcode::NanBox => self.nan_box(a),
            Opcode::NanUnbox => self.nan_unbox(a),
            _ => a,
        }
    }

    fn nan_box(&mut self, single: Value) -> Value {
        let bits = self.as_integer(single);
        let wide = self.fb.ins().uextend(types::I64, bits);
        let ones = self.konst(0xffff_ffff_0000_0000);
        let boxed = self.fb.ins().bor(wide, ones);
        self.bitcast(boxed, types::F64)
    }

    fn nan_unbox(&mut self, register: Value) -> Value {
        let bits = self.as_integer(register);
        let upper = self.fb.ins().ushr_imm_u(bits, 32);
        let low = self.fb.ins().ireduce(types::I32, bits);
        let ones = self.konst(0xffff_ffff);
        let boxed = self.fb.ins().icmp(IntCC::Equal, upper, ones);
        let canonical = self.fb.ins().iconst(types::I32, 0x7fc0_0000);
        let single = self.fb.ins().select(boxed, low, canonical);
        self.bitcast(single, types::F32)
    }

    fn compare(&mut self, block: &Block, inst: &Inst) -> Value {
        let (a, b) = (self.arg(block, inst, 0), self.arg(block, inst, 1));
        self.fb.ins().icmp(comparison(inst.op), a, b)
    }

    fn select(&mut self, block: &Block, inst: &Inst) -> Value {
        let condition = self.condition(block, inst.args[0]);
        let (a, b) = (self.arg(block, inst, 1), self.arg(block, inst, 2));
        self.fb.ins().select(condition, a, b)
    }

    fn extend(&mut self, block: &Block, inst: &Inst) -> Value {
        let a = self.arg(block, inst, 0);
        let a = self.as_integer(a);
        match (inst.op, self.fb.func.dfg.value_type(a)) {
            (_, types::I64) => a,
            (Opcode::Sext, _) => self.fb.ins().sextend(types::I64, a),
            _ => self.fb.ins().uextend(types::I64, a),
        }
    }

    pub(super) fn binary(&mut self, block: &Block, inst: &Inst) -> Value {
        let (a, b) = (self.arg(block, inst, 0), self.arg(block, inst, 1));
        match inst.op {
            Opcode::Add => self.fb.ins().iadd(a, b),
            Opcode::Sub => self.fb.ins().isub(a, b),
            Opcode::And => self.fb.ins().band(a, b),
            Opcode::Or => self.fb.ins().bor(a, b),
            Opcode::Xor => self.fb.ins().bxor(a, b),
            Opcode::AndNot => {
                let not_b = self.fb.ins().bnot(b);
                self.fb.ins().band(a, not_b)
            }
            Opcode::Shl => self.fb.ins().ishl(a, b),
            Opcode::ShrU => self.fb.ins().ushr(a, b),
            Opcode::ShrS => self.fb.ins().sshr(a, b),
            Opcode::Rotl => self.fb.ins().rotl(a, b),
            Opcode::Rotr => self.fb.ins().rotr(a, b),
            Opcode::Mul => self.fb.ins().imul(a, b),
            Opcode::MinU => self.fb.ins().umin(a, b),
            Opcode::MinS => self.fb.ins().smin(a, b),
            Opcode::MaxU => self.fb.ins().umax(a, b),
            Opcode::MaxS => self.fb.ins().smax(a, b),
            Opcode::MulHiU | Opcode::MulHiS | Opcode::MulHiSU => {
                self.multiply_high(inst.op, inst.ty, a, b)
            }
            op => {
                let safe = match block.operand(inst.args[1]) {
                    OperandKind::Const(value) => is_safe_divisor(value, inst.ty),
                    _ => false,
                };
                self.divide(op, inst.ty, a, b, safe)
            }
        }
    }

    /// The product's upper half. Narrow types multiply at 64 bits and shift.
    fn multiply_high(&mut self, op: Opcode, ty: Type, a: Value, b: Value) -> Value {
        if ty != Type::I64 {
            let a = self.widen(a, Type::I64, op != Opcode::MulHiU);
            let b = self.widen(b, Type::I64, op == Opcode::MulHiS);
            let product = self.fb.ins().imul(a, b);
            let high = self.fb.ins().ushr_imm_u(product, i64::from(ty.bits()));
            return self.fb.ins().ireduce(clif_type(ty), high);
        }
        match op {
            Opcode::MulHiU => self.fb.ins().umulhi(a, b),
            Opcode::MulHiS => self.fb.ins().smulhi(a, b),
            _ => {
                // As unsigned, a negative `a` counts 2^64 too much: take `b` from the upper half.
                let unsigned = self.fb.ins().umulhi(a, b);
                if is_seeded(Defect::HighProductUncorrected) {
                    return unsigned;
                }
                let sign = self.fb.ins().sshr_imm_u(a, 63);
                let excess = self.fb.ins().band(sign, b);
                self.fb.ins().isub(unsigned, excess)
            }
        }
    }

    /// Division with the answers of the operation table for zero divisors and overflow, where the
    /// host would trap.
    fn divide(&mut self, op: Opcode, ty: Type, a: Value, b: Value, safe: bool) -> Value {
        let kind = Division {
            signed: matches!(op, Opcode::DivS | Opcode::RemS),
            remainder: matches!(op, Opcode::RemU | Opcode::RemS),
        };
        // The host divides 32 and 64 bits.
        let wide = if matches!(ty, Type::I8 | Type::I16) { Type::I32 } else { ty };
        let (a, b) = (self.widen(a, wide, kind.signed), self.widen(b, wide, kind.signed));
        let result =
            if safe { self.host_divide(kind, a, b) } else { self.checked_divide(kind, wide, a, b) };
        if wide == ty { result } else { self.fb.ins().ireduce(clif_type(ty), result) }
    }

    fn widen(&mut self, value: Value, ty: Type, signed: bool) -> Value {
        if self.fb.func.dfg.value_type(value) == clif_type(ty) {
            value
        } else if signed {
            self.fb.ins().sextend(clif_type(ty), value)
        } else {
            self.fb.ins().uextend(clif_type(ty), value)
        }
    }

    fn checked_divide(&mut self, kind: Division, ty: Type, a: Value, b: Value) -> Value {
        let clif = clif_type(ty);
        let zero = self.fb.ins().iconst(clif, 0);
        let one = self.fb.ins().iconst(clif, 1);
        let minus_one = self.fb.ins().iconst(clif, (u64::MAX >> (64 - ty.bits())) as i64);
        let by_zero = self.fb.ins().icmp(IntCC::Equal, b, zero);
        let by_minus_one = self.fb.ins().icmp(IntCC::Equal, b, minus_one);
        let avoid = if kind.signed { self.fb.ins().bor(by_zero, by_minus_one) } else { by_zero };
        let divisor = self.fb.ins().select(avoid, one, b);
        let mut result = self.host_divide(kind, a, divisor);
        // Dividing by -1 negates, and leaves no remainder as the substituted 1 does.
        if kind.signed && !kind.remainder {
            let negated = self.fb.ins().ineg(a);
            result = self.fb.ins().select(by_minus_one, negated, result);
        }
        let for_zero =
            if kind.remainder && !is_seeded(Defect::RemainderByZero) { a } else { minus_one };
        self.fb.ins().select(by_zero, for_zero, result)
    }

    fn host_divide(&mut self, kind: Division, a: Value, b: Value) -> Value {
        match (kind.signed, kind.remainder) {
            (true, false) => self.fb.ins().sdiv(a, b),
            (true, true) => self.fb.ins().srem(a, b),
            (false, false) => self.fb.ins().udiv(a, b),
            (false, true) => self.fb.ins().urem(a, b),
        }
    }
}

/// The host's condition for a comparison.
pub(super) fn comparison(op: Opcode) -> IntCC {
    match op {
        Opcode::Ne => IntCC::NotEqual,
        Opcode::LtU => IntCC::UnsignedLessThan,
        Opcode::LeU => IntCC::UnsignedLessThanOrEqual,
        Opcode::LtS => IntCC::SignedLessThan,
        Opcode::LeS => IntCC::SignedLessThanOrEqual,
        _ => IntCC::Equal,
    }
}

#[derive(Clone, Copy)]
struct Division {
    signed: bool,
    remainder: bool,
}

/// Whether the host divides by it without a trap, signed or not.
fn is_safe_divisor(value: u64, ty: Type) -> bool {
    let mask = u64::MAX >> (64 - ty.bits());
    value & mask != 0 && value & mask != mask
}
