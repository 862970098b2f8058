//! Packed flags and conditions on them. Where it is known how flags were made, a condition looks at what
//! they were made from; the flags themselves are then computed only where somebody still needs them,
//! since Cranelift puts what has no effects next to its uses.

use base::defect::{Defect, is_seeded};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::{Block, Condition, FpMode, FpRules, Inst, Opcode, OperandKind, Type};

use super::Lowering;
use super::integer::comparison;

/// How packed flags came about.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// Of `a - b`.
    Difference(Value, Value),
    /// Of `a + 0`.
    Result(Value),
    /// Of a comparison of floating-point numbers.
    Float(Value, Value),
}

impl Lowering<'_, '_> {
    pub(super) fn packed_flags(&mut self, block: &Block, inst: &Inst) {
        let [a, b, carry] = [0, 1, 2].map(|index| self.arg(block, inst, index));
        let [known_b, known_carry] = [1, 2].map(|index| block.operand(inst.args[index]));
        let origin = match (inst.op, known_b, known_carry) {
            (Opcode::FlagsSub, _, OperandKind::Const(1)) => Some(Origin::Difference(a, b)),
            (Opcode::FlagsAdd, OperandKind::Const(0), OperandKind::Const(0)) => {
                Some(Origin::Result(a))
            }
            _ => None,
        };
        let flags = match (origin, inst.op, known_carry) {
            (Some(Origin::Result(_)), ..) => self.flags_of_result(inst.ty, a),
            (_, Opcode::FlagsSub, OperandKind::Const(1)) => self.flags_of_difference(inst.ty, a, b),
            (_, Opcode::FlagsSub, _) => {
                let b = self.fb.ins().bnot(b);
                self.flags_of_sum(inst.ty, a, b, carry)
            }
            _ => self.flags_of_sum(inst.ty, a, b, carry),
        };
        if let Some(origin) = origin {
            self.flag_origins.insert(flags, origin);
        }
        self.define(inst, flags);
    }

    fn flags_of_result(&mut self, ty: Type, result: Value) -> Value {
        let zero = self.konst(0);
        self.pack_flags(ty, result, zero, zero)
    }

    fn flags_of_difference(&mut self, ty: Type, a: Value, b: Value) -> Value {
        let difference = self.fb.ins().isub(a, b);
        let condition = match is_seeded(Defect::CarryOfEqualsLost) {
            true => IntCC::UnsignedGreaterThan,
            false => IntCC::UnsignedGreaterThanOrEqual,
        };
        let no_borrow = self.fb.ins().icmp(condition, a, b);
        let no_borrow = self.fb.ins().uextend(types::I64, no_borrow);
        let (from_b, from_a) = (self.fb.ins().bxor(a, b), self.fb.ins().bxor(a, difference));
        let overflows = self.fb.ins().band(from_a, from_b);
        let overflow = self.sign(overflows, ty);
        self.pack_flags(ty, difference, no_borrow, overflow)
    }

    fn flags_of_sum(&mut self, ty: Type, a: Value, b: Value, carry: Value) -> Value {
        let carry = self.fb.ins().band_imm_u(carry, 1);
        let carry = self.convert(carry, ty);
        let sum = self.fb.ins().iadd(a, b);
        let sum = self.fb.ins().iadd(sum, carry);
        let both = self.fb.ins().band(a, b);
        let either = self.fb.ins().bor(a, b);
        let not_sum = self.fb.ins().bnot(sum);
        let lost = self.fb.ins().band(either, not_sum);
        let carries = self.fb.ins().bor(both, lost);
        let (from_a, from_b) = (self.fb.ins().bxor(a, sum), self.fb.ins().bxor(b, sum));
        let overflows = self.fb.ins().band(from_a, from_b);
        let [carry, overflow] = [carries, overflows].map(|value| self.sign(value, ty));
        self.pack_flags(ty, sum, carry, overflow)
    }

    /// N and Z of a result, with C and V as numbers 0 or 1. Where the host adds scaled numbers at once, these three sums are
    /// three instructions.
    fn pack_flags(&mut self, ty: Type, result: Value, carry: Value, overflow: Value) -> Value {
        let negative = self.sign(result, ty);
        let zero = self.fb.ins().icmp_imm_u(IntCC::Equal, result, 0);
        let zero = self.fb.ins().uextend(types::I64, zero);
        let parts = [(carry, 1), (zero, 2), (negative, 3)];
        let flags = parts.into_iter().fold(overflow, |flags, (part, bit)| {
            let part = self.fb.ins().ishl_imm_u(part, bit);
            self.fb.ins().iadd(flags, part)
        });
        self.fb.ins().ishl_imm_u(flags, 28)
    }

    /// A value's sign, 0 or 1.
    fn sign(&mut self, value: Value, ty: Type) -> Value {
        let sign = self.fb.ins().ushr_imm_u(value, i64::from(ty.bits()) - 1);
        self.convert(sign, Type::I64)
    }

    pub(super) fn flag_condition(&mut self, block: &Block, inst: &Inst) {
        let flags = self.arg(block, inst, 0);
        let condition = inst.condition();
        let origin = self.flag_origins.get(&flags).copied();
        let holds = origin.and_then(|origin| self.condition_of(origin, condition));
        let holds = holds.unwrap_or_else(|| self.condition_of_bits(flags, condition));
        self.define(inst, holds);
    }

    fn condition_of(&mut self, origin: Origin, condition: Condition) -> Option<Value> {
        Some(match origin {
            Origin::Difference(a, b) => {
                let (op, swapped) = condition.of_difference()?;
                let (a, b) = if swapped { (b, a) } else { (a, b) };
                self.fb.ins().icmp(comparison(op), a, b)
            }
            Origin::Result(a) => {
                let ty = self.fb.func.dfg.value_type(a);
                let zero = self.fb.ins().iconst(ty, 0);
                match condition.of_result() {
                    Ok((op, false)) => self.fb.ins().icmp(comparison(op), a, zero),
                    Ok((op, true)) => self.fb.ins().icmp(comparison(op), zero, a),
                    Err(always) => self.fb.ins().iconst(types::I8, i64::from(always)),
                }
            }
            Origin::Float(a, b) => self.fb.ins().fcmp(float_comparison(condition), a, b),
        })
    }

    /// A condition on flags that come from elsewhere: whether their number is in its mask.
    fn condition_of_bits(&mut self, flags: Value, condition: Condition) -> Value {
        let single = match condition {
            Condition::Eq | Condition::Ne => Some(30),
            Condition::Cs | Condition::Cc => Some(29),
            Condition::Mi | Condition::Pl => Some(31),
            Condition::Vs | Condition::Vc => Some(28),
            _ => None,
        };
        let bit = match single {
            Some(bit) => self.fb.ins().ushr_imm_u(flags, bit),
            None => {
                let number = self.fb.ins().ushr_imm_u(flags, 28);
                let number = self.fb.ins().band_imm_u(number, 15);
                let mask = self.konst(condition.mask().into());
                self.fb.ins().ushr(mask, number)
            }
        };
        let inverts = !is_seeded(Defect::ConditionInverted);
        let bit = if inverts && single.is_some() && condition as u8 % 2 == 1 {
            self.fb.ins().bnot(bit)
        } else {
            bit
        };
        let bit = self.fb.ins().band_imm_u(bit, 1);
        self.fb.ins().ireduce(types::I8, bit)
    }

    /// The flags of a comparison are those of the host's; only raising flags is the slow path's.
    pub(super) fn float_flags(&mut self, block: &Block, inst: &Inst) {
        let args = [0, 1].map(|index| self.arg(block, inst, index));
        let Some(flags) = self.float_compare_flags(inst, args) else {
            let flags = self.slow(inst, &args);
            return self.define(inst, flags);
        };
        let mut silent = self.fb.ins().fcmp(FloatCC::Ordered, args[0], args[1]);
        if let Some(usual) = self.watched_operands(inst, &args) {
            silent = self.fb.ins().band(silent, usual);
        }
        self.unless(silent, |lowering| {
            lowering.slow(inst, &args);
        });
        self.flag_origins.insert(flags, Origin::Float(args[0], args[1]));
        self.define(inst, flags);
    }

    fn float_compare_flags(&mut self, inst: &Inst, [a, b]: [Value; 2]) -> Option<Value> {
        let reads_zeros = match self.guest.fp {
            FpRules::X86 => FpMode::ZERO_INPUTS,
            FpRules::RiscV | FpRules::Arm => FpMode::FLUSH,
        };
        if inst.mode().has(reads_zeros) {
            return None;
        }
        let bits = [
            (FloatCC::LessThan, 31),
            (FloatCC::Equal, 30),
            (FloatCC::UnorderedOrGreaterThanOrEqual, 29),
            (FloatCC::Unordered, 28),
        ];
        let zero = self.konst(0);
        Some(bits.into_iter().fold(zero, |flags, (condition, bit)| {
            let holds = self.fb.ins().fcmp(condition, a, b);
            let holds = self.fb.ins().uextend(types::I64, holds);
            let holds = self.fb.ins().ishl_imm_u(holds, bit);
            self.fb.ins().bor(flags, holds)
        }))
    }

    /// Does something, out of line, where a condition does not hold.
    pub(super) fn unless(&mut self, condition: Value, act: impl FnOnce(&mut Self)) {
        let (cold, done) = (self.fb.create_block(), self.fb.create_block());
        self.fb.set_cold_block(cold);
        self.fb.ins().brif(condition, done, &[], cold, &[]);
        self.begin(cold);
        act(self);
        self.fb.ins().jump(done, &[]);
        self.begin(done);
    }
}

/// What a condition says of two numbers whose comparison made the flags: less N, equal Z and C,
/// greater C, unordered C and V.
fn float_comparison(condition: Condition) -> FloatCC {
    match condition {
        Condition::Eq => FloatCC::Equal,
        Condition::Ne => FloatCC::NotEqual,
        Condition::Cs | Condition::Pl => FloatCC::UnorderedOrGreaterThanOrEqual,
        Condition::Cc | Condition::Mi => FloatCC::LessThan,
        Condition::Vs => FloatCC::Unordered,
        Condition::Vc => FloatCC::Ordered,
        Condition::Hi => FloatCC::UnorderedOrGreaterThan,
        Condition::Ls => FloatCC::LessThanOrEqual,
        Condition::Ge => FloatCC::GreaterThanOrEqual,
        Condition::Lt => FloatCC::UnorderedOrLessThan,
        Condition::Gt => FloatCC::GreaterThan,
        Condition::Le => FloatCC::UnorderedOrLessThanOrEqual,
    }
}
