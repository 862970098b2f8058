//! Operations on vectors of integers.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    InstBuilder, InstructionData, Opcode as ClifOpcode, Value, ValueDef, types,
};
use ir::ops::{SATURATED, Shape, flag};
use ir::{Block, Inst, Opcode, Operand, OperandKind, Type};

use super::Lowering;
use super::values::clif_type;

impl Lowering<'_, '_> {
    pub(super) fn vector(&mut self, block: &Block, inst: &Inst) {
        if inst.op.info().shape == Shape::CallWide {
            return self.call(block, inst);
        }
        let upper_zero = self.keeps_upper_zero(block, inst);
        let value = match inst.op.info().shape {
            Shape::Splat => self.splat(block, inst),
            Shape::GetLane => self.get_lane(block, inst),
            Shape::SetLane => self.set_lane(block, inst),
            Shape::Shuffle => self.shuffle(block, inst),
            Shape::ShiftLanes => self.shift_lanes(block, inst),
            Shape::Lengthen => self.lengthen(block, inst),
            Shape::Narrow => self.narrow(block, inst),
            _ if inst.op.info().has(flag::SATURATES) => self.saturate(block, inst),
            _ if inst.op.info().has(flag::FP_FLAGS) => self.vector_float(block, inst),
            Shape::Ternary => {
                let [mask, ones, zeros] = [0, 1, 2].map(|index| self.arg(block, inst, index));
                self.fb.ins().bitselect(mask, ones, zeros)
            }
            Shape::Unary | Shape::FpUnary => self.unary_lanes(block, inst),
            _ => self.binary_lanes(block, inst),
        };
        if upper_zero {
            self.upper_zero.insert(self.as_made(value));
        }
        self.define(inst, value);
    }

    /// Whether the upper half of a result is zero because those of the operands are.
    fn keeps_upper_zero(&mut self, block: &Block, inst: &Inst) -> bool {
        let mut is_zero = |index: usize| {
            let vector = self.held_vector(block, inst.args[index]);
            vector.is_some_and(|vector| self.upper_zero.contains(&vector))
        };
        match inst.op {
            Opcode::And => is_zero(0) || is_zero(1),
            Opcode::ShlLanes
            | Opcode::ShrLanesU
            | Opcode::ShrLanesS
            | Opcode::AndNot
            | Opcode::Neg
            | Opcode::AbsLanes => is_zero(0),
            Opcode::Add
            | Opcode::Sub
            | Opcode::Mul
            | Opcode::Or
            | Opcode::Xor
            | Opcode::MinS
            | Opcode::MinU
            | Opcode::MaxS
            | Opcode::MaxU
            | Opcode::AvgLanesU
            | Opcode::LanesGtS
            | Opcode::LanesGtU => is_zero(0) && is_zero(1),
            _ => false,
        }
    }

    /// What stands in the vector register of an operand, as the value that it was made as; `None` if it is in none.
    fn held_vector(&mut self, block: &Block, operand: Operand) -> Option<Value> {
        let value = match block.operand(operand) {
            OperandKind::Temp(index) => self.temp(index),
            OperandKind::Slot(slot) if self.guest.is_wide(slot) => {
                let variable = self.variable(slot);
                self.fb.use_var(variable)
            }
            _ => return None,
        };
        self.is_vector(value).then(|| self.as_made(value))
    }

    /// The vector that a value looks at, as it was made first.
    pub(super) fn as_made(&self, mut vector: Value) -> Value {
        let dfg = &self.fb.func.dfg;
        while let ValueDef::Result(def, _) = dfg.value_def(vector)
            && let InstructionData::LoadNoOffset { opcode: ClifOpcode::Bitcast, arg, .. } =
                dfg.insts[def]
            && dfg.value_type(arg).is_vector()
        {
            vector = arg;
        }
        vector
    }

    pub(super) fn zext_wide(&mut self, block: &Block, inst: &Inst) {
        let value = match self.held_vector(block, inst.args[0]) {
            Some(vector) if matches!(inst.ty.bits(), 32 | 64) => self.low_part(vector, inst.ty),
            _ => self.extend_scalar(block, inst),
        };
        self.upper_zero.insert(value);
        self.define(inst, value);
    }

    /// The low bits of a vector, extended without leaving vector registers.
    fn low_part(&mut self, vector: Value, ty: Type) -> Value {
        if ty.bits() == 64 && self.upper_zero.contains(&vector) {
            return vector;
        }
        let (ty, lanes) = match ty.bits() {
            32 => (Type::F32, types::F32X4),
            _ => (Type::F64, types::F64X2),
        };
        let low = self.low_lane(vector, ty);
        let zero = self.zeros(Type::WIDE);
        let zero = self.bitcast(zero, lanes);
        let extended = self.fb.ins().insertlane(zero, low, 0);
        self.extended.insert(extended, low);
        extended
    }

    fn extend_scalar(&mut self, block: &Block, inst: &Inst) -> Value {
        let scalar = self.arg(block, inst, 0);
        let zero = self.zeros(Type::WIDE);
        // Cranelift's `scalar_to_vector` trusts that the register holds nothing above a float.
        let vector = match inst.ty {
            Type::F32 | Type::F64 => {
                let lanes = if inst.ty == Type::F32 { types::F32X4 } else { types::F64X2 };
                let zero = self.bitcast(zero, lanes);
                self.fb.ins().insertlane(zero, scalar, 0)
            }
            Type::I32 => self.fb.ins().scalar_to_vector(types::I32X4, scalar),
            _ => {
                let whole = self.convert(scalar, Type::I64);
                self.fb.ins().scalar_to_vector(types::I64X2, whole)
            }
        };
        self.extended.insert(vector, scalar);
        vector
    }

    pub(super) fn zeros(&mut self, ty: Type) -> Value {
        let zeros = self.fb.func.dfg.constants.insert(vec![0; 16].into());
        self.fb.ins().vconst(clif_type(ty), zeros)
    }

    /// A vector of integers with one value in all lanes.
    pub(super) fn splat_of(&mut self, ty: Type, value: u64) -> Value {
        let bytes = value.to_le_bytes();
        let bytes = bytes[..ty.lane().bytes() as usize].repeat(ty.lanes() as usize);
        let constant = self.fb.func.dfg.constants.insert(bytes.into());
        self.fb.ins().vconst(clif_type(ty), constant)
    }

    fn splat(&mut self, block: &Block, inst: &Inst) -> Value {
        if let OperandKind::Const(value) = block.operand(inst.args[0]) {
            return self.splat_of(inst.ty, value);
        }
        let lane = self.arg(block, inst, 0);
        self.fb.ins().splat(clif_type(inst.ty), lane)
    }

    fn get_lane(&mut self, block: &Block, inst: &Inst) -> Value {
        let vector = self.arg(block, inst, 0);
        let lane = self.fb.ins().extractlane(vector, inst.imm as u8);
        match (inst.op, self.fb.func.dfg.value_type(lane)) {
            (_, types::I64 | types::F32 | types::F64) => lane,
            (Opcode::LaneS, _) => self.fb.ins().sextend(types::I64, lane),
            _ => self.fb.ins().uextend(types::I64, lane),
        }
    }

    fn set_lane(&mut self, block: &Block, inst: &Inst) -> Value {
        let (vector, lane) = (self.arg(block, inst, 0), self.arg(block, inst, 1));
        let changed = self.fb.ins().insertlane(vector, lane, inst.imm as u8);
        if inst.imm == 0 {
            self.extended.insert(changed, lane);
        }
        changed
    }

    fn shuffle(&mut self, block: &Block, inst: &Inst) -> Value {
        let (a, b) = (self.arg(block, inst, 0), self.arg(block, inst, 1));
        let mut bytes = [0; 16];
        for (half, &operand) in bytes.chunks_exact_mut(8).zip(&inst.args[2..]) {
            if let OperandKind::Const(value) = block.operand(operand) {
                half.copy_from_slice(&value.to_le_bytes());
            }
        }
        let mask = self.fb.func.dfg.immediates.push(bytes.to_vec().into());
        self.fb.ins().shuffle(a, b, mask)
    }

    fn shift_lanes(&mut self, block: &Block, inst: &Inst) -> Value {
        let a = self.arg(block, inst, 0);
        let (bits, by) = (inst.ty.lane().bits() as i32, inst.imm);
        // The host takes the number modulo the width.
        match inst.op {
            Opcode::ShrLanesS => self.fb.ins().sshr_imm_u(a, i64::from(by.min(bits - 1))),
            _ if by >= bits => self.zeros(inst.ty),
            Opcode::ShlLanes => self.fb.ins().ishl_imm_u(a, i64::from(by)),
            _ => self.fb.ins().ushr_imm_u(a, i64::from(by)),
        }
    }

    fn lengthen(&mut self, block: &Block, inst: &Inst) -> Value {
        let a = self.arg(block, inst, 0);
        match inst.op {
            Opcode::LengthenLowS => self.fb.ins().swiden_low(a),
            Opcode::LengthenLowU => self.fb.ins().uwiden_low(a),
            Opcode::LengthenHighS => self.fb.ins().swiden_high(a),
            _ => self.fb.ins().uwiden_high(a),
        }
    }

    fn unary_lanes(&mut self, block: &Block, inst: &Inst) -> Value {
        let a = self.arg(block, inst, 0);
        match inst.op {
            Opcode::AbsLanes => self.fb.ins().iabs(a),
            Opcode::FNeg => self.fb.ins().fneg(a),
            Opcode::FAbs => self.fb.ins().fabs(a),
            _ => self.unary(block, inst),
        }
    }

    fn binary_lanes(&mut self, block: &Block, inst: &Inst) -> Value {
        let (a, b) = (self.arg(block, inst, 0), self.arg(block, inst, 1));
        // The host neither multiplies bytes nor compares lanes of 64 bits to choose between them.
        let long = inst.ty == Type::I64x2;
        match inst.op {
            Opcode::Mul if inst.ty == Type::I8x16 => self.multiply_bytes(a, b),
            Opcode::MinS if long => self.choose_lanes(Opcode::LanesGtS, a, b, b, a),
            Opcode::MaxS if long => self.choose_lanes(Opcode::LanesGtS, a, b, a, b),
            Opcode::MinU if long => self.choose_lanes(Opcode::LanesGtU, a, b, b, a),
            Opcode::MaxU if long => self.choose_lanes(Opcode::LanesGtU, a, b, a, b),
            Opcode::Swizzle => self.fb.ins().swizzle(a, b),
            Opcode::AvgLanesU => self.fb.ins().avg_round(a, b),
            op @ (Opcode::LanesEq
            | Opcode::LanesGtS
            | Opcode::LanesGeS
            | Opcode::LanesGtU
            | Opcode::LanesGeU) => self.compare_lanes(op, a, b),
            _ => self.binary(block, inst),
        }
    }

    /// The host multiplies lanes of 16 bits: those of even and of odd bytes.
    fn multiply_bytes(&mut self, a: Value, b: Value) -> Value {
        let [a, b] = [a, b].map(|value| self.bitcast(value, types::I16X8));
        let even = self.fb.ins().imul(a, b);
        let low = self.splat_of(Type::I16x8, 0xff);
        let even = self.fb.ins().band(even, low);
        let [a, b] = [a, b].map(|value| self.fb.ins().ushr_imm_u(value, 8));
        let odd = self.fb.ins().imul(a, b);
        let odd = self.fb.ins().ishl_imm_u(odd, 8);
        let both = self.fb.ins().bor(even, odd);
        self.bitcast(both, types::I8X16)
    }

    fn choose_lanes(&mut self, op: Opcode, a: Value, b: Value, yes: Value, no: Value) -> Value {
        let mask = self.compare_lanes(op, a, b);
        self.fb.ins().bitselect(mask, yes, no)
    }

    fn compare_lanes(&mut self, op: Opcode, a: Value, b: Value) -> Value {
        let long = self.fb.func.dfg.value_type(a) == types::I64X2;
        // The host compares lanes of 64 bits with their signs only.
        let (op, a, b) = match op {
            Opcode::LanesGtU if long => (Opcode::LanesGtS, self.flip_signs(a), self.flip_signs(b)),
            Opcode::LanesGeU if long => (Opcode::LanesGeS, self.flip_signs(a), self.flip_signs(b)),
            _ => (op, a, b),
        };
        let condition = match op {
            Opcode::LanesEq => IntCC::Equal,
            Opcode::LanesGtS => IntCC::SignedGreaterThan,
            Opcode::LanesGeS => IntCC::SignedGreaterThanOrEqual,
            Opcode::LanesGtU => IntCC::UnsignedGreaterThan,
            _ => IntCC::UnsignedGreaterThanOrEqual,
        };
        self.fb.ins().icmp(condition, a, b)
    }

    fn flip_signs(&mut self, a: Value) -> Value {
        let signs = self.splat_of(Type::I64x2, 1 << 63);
        self.fb.ins().bxor(a, signs)
    }

    /// Sums and differences: what the host does not saturate is computed elsewhere.
    fn saturate(&mut self, block: &Block, inst: &Inst) -> Value {
        let (a, b) = (self.arg(block, inst, 0), self.arg(block, inst, 1));
        if !matches!(inst.ty, Type::I8x16 | Type::I16x8) {
            return self.slow(inst, &[a, b]);
        }
        let (result, exact) = match inst.op {
            Opcode::SatAddS => (self.fb.ins().sadd_sat(a, b), self.fb.ins().iadd(a, b)),
            Opcode::SatAddU => (self.fb.ins().uadd_sat(a, b), self.fb.ins().iadd(a, b)),
            Opcode::SatSubS => (self.fb.ins().ssub_sat(a, b), self.fb.ins().isub(a, b)),
            _ => (self.fb.ins().usub_sat(a, b), self.fb.ins().isub(a, b)),
        };
        self.note_saturation(result, exact);
        result
    }

    fn narrow(&mut self, block: &Block, inst: &Inst) -> Value {
        let a = self.arg(block, inst, 0);
        if inst.ty == Type::I64x2 {
            return self.slow(inst, &[a]);
        }
        let zero = self.zeros(inst.ty);
        let (narrowed, back) = match inst.op {
            Opcode::SatNarrowS => {
                let narrowed = self.fb.ins().snarrow(a, zero);
                (narrowed, self.fb.ins().swiden_low(narrowed))
            }
            Opcode::SatNarrowSU => {
                let narrowed = self.fb.ins().unarrow(a, zero);
                (narrowed, self.fb.ins().uwiden_low(narrowed))
            }
            _ => {
                let most = self.splat_of(inst.ty, u64::MAX >> (64 - inst.ty.lane().bits() / 2));
                let clamped = self.fb.ins().umin(a, most);
                let narrowed = self.fb.ins().unarrow(clamped, zero);
                (narrowed, self.fb.ins().uwiden_low(narrowed))
            }
        };
        self.note_saturation(back, a);
        narrowed
    }

    /// Notes in the flags that a saturating operation had another result than the exact one.
    fn note_saturation(&mut self, result: Value, exact: Value) {
        let same = self.fb.ins().icmp(IntCC::Equal, result, exact);
        let all = self.fb.ins().vall_true(same);
        self.unless(all, |lowering| {
            let flags = lowering.flags();
            let flags = lowering.fb.ins().bor_imm_u(flags, SATURATED as i64);
            let slot = lowering.guest.fp_flags.offset() as i32;
            lowering.store_frame(flags, slot);
        });
    }
}
