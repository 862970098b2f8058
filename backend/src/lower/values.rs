//! Operands and results: IR's values are containers of 64 bits that each operation reads at its own
//! type; Cranelift's are typed.

use std::cmp::Ordering;

use base::RegSlot;
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Value, types};
use ir::guest::SlotClass;
use ir::{Block, Inst, Operand, OperandKind, Type};

use super::Lowering;

/// Cranelift's name of a type.
pub(super) fn clif_type(ty: Type) -> cranelift_codegen::ir::Type {
    match ty {
        Type::I8 => types::I8,
        Type::I16 => types::I16,
        Type::I32 => types::I32,
        Type::I64 => types::I64,
        Type::F32 => types::F32,
        Type::F64 => types::F64,
        Type::I8x16 => types::I8X16,
        Type::I16x8 => types::I16X8,
        Type::I32x4 => types::I32X4,
        Type::I64x2 => types::I64X2,
        Type::F32x4 => types::F32X4,
        Type::F64x2 => types::F64X2,
    }
}

impl Lowering<'_, '_> {
    /// The type in which a slot is kept in host registers.
    pub(super) fn slot_type(&self, slot: RegSlot) -> cranelift_codegen::ir::Type {
        match (self.guest.slot_class)(slot) {
            SlotClass::Integer => types::I64,
            SlotClass::Float => types::F64,
            SlotClass::Vector => clif_type(Type::WIDE),
        }
    }

    /// Operand `index` of an instruction, at the type at which the operation reads it.
    pub(super) fn arg(&mut self, block: &Block, inst: &Inst, index: usize) -> Value {
        self.read(block, inst.args[index], inst.operand_type(index))
    }

    /// An operand at a type of at most its width.
    pub(super) fn read(&mut self, block: &Block, operand: Operand, ty: Type) -> Value {
        match block.operand(operand) {
            OperandKind::None => self.constant(0, ty),
            OperandKind::Const(value) => self.constant(value, ty),
            OperandKind::Temp(index) => {
                let value = self.temp(index);
                self.convert(value, ty)
            }
            OperandKind::Slot(slot) if slot == self.guest.fp_flags => {
                let flags = self.flags();
                self.convert(flags, ty)
            }
            OperandKind::Slot(slot) => {
                let variable = self.variable(slot);
                let value = self.fb.use_var(variable);
                self.convert(value, ty)
            }
        }
    }

    /// The operand as a condition: an integer of any width, true if not zero.
    pub(super) fn condition(&mut self, block: &Block, operand: Operand) -> Value {
        let value = match block.operand(operand) {
            OperandKind::Temp(index) if !self.is_vector(self.temp(index)) => self.temp(index),
            _ => self.read(block, operand, Type::I64),
        };
        self.as_integer(value)
    }

    pub(super) fn temp(&self, index: u16) -> Value {
        self.temps[usize::from(index)].expect("verified: defined before use")
    }

    fn constant(&mut self, value: u64, ty: Type) -> Value {
        match ty {
            Type::F32 => self.fb.ins().f32const(Ieee32::with_bits(value as u32)),
            Type::F64 => self.fb.ins().f64const(Ieee64::with_bits(value)),
            _ => {
                let mask = u64::MAX >> (64 - ty.bits());
                self.fb.ins().iconst(clif_type(ty), (value & mask) as i64)
            }
        }
    }

    pub(super) fn is_vector(&self, value: Value) -> bool {
        self.fb.func.dfg.value_type(value).is_vector()
    }

    /// The low bits of a value, reinterpreted. Only conditions are narrower than what is asked for,
    /// and they are zero-extended.
    pub(super) fn convert(&mut self, value: Value, ty: Type) -> Value {
        let to = clif_type(ty);
        if self.fb.func.dfg.value_type(value) == to {
            return value;
        }
        if ty.is_vector() {
            return self.bitcast(value, to);
        }
        if self.is_vector(value) {
            return self.low_lane(value, ty);
        }
        let integer = self.as_integer(value);
        let bits = to.as_int();
        let sized = match self.fb.func.dfg.value_type(integer).bits().cmp(&bits.bits()) {
            Ordering::Greater => self.fb.ins().ireduce(bits, integer),
            Ordering::Less => self.fb.ins().uextend(bits, integer),
            Ordering::Equal => integer,
        };
        if ty.is_float() { self.bitcast(sized, to) } else { sized }
    }

    /// The low bits of a vector. Where a scalar was put there, that scalar's.
    pub(super) fn low_lane(&mut self, vector: Value, ty: Type) -> Value {
        let made = self.as_made(vector);
        if let Some(&scalar) = self.extended.get(&made)
            && self.fb.func.dfg.value_type(scalar).bits() >= ty.bits()
        {
            return self.convert(scalar, ty);
        }
        if let Some(&low) = self.low_lanes.get(&(made, ty)) {
            return low;
        }
        let low = self.extract_low(vector, ty);
        self.low_lanes.insert((made, ty), low);
        low
    }

    fn extract_low(&mut self, vector: Value, ty: Type) -> Value {
        // As a scalar of floating point it stays in its register; moving that to another is one instruction.
        let (lanes, float) = match ty {
            Type::F64 | Type::I64 => (types::F64X2, Type::F64),
            _ => (types::F32X4, Type::F32),
        };
        let vector = self.bitcast(vector, lanes);
        let low = self.fb.ins().extractlane(vector, 0);
        if ty == float { low } else { self.convert(low, ty) }
    }

    /// A value's bits as an integer of its width.
    pub(super) fn as_integer(&mut self, value: Value) -> Value {
        match self.fb.func.dfg.value_type(value) {
            types::F32 => self.bitcast(value, types::I32),
            types::F64 => self.bitcast(value, types::I64),
            _ => value,
        }
    }

    pub(super) fn bitcast(&mut self, value: Value, to: cranelift_codegen::ir::Type) -> Value {
        if self.fb.func.dfg.value_type(value) == to {
            return value;
        }
        // Lanes are numbered from the lowest.
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        self.fb.ins().bitcast(to, flags, value)
    }

    /// Gives an instruction its result: a temporary keeps its type, a slot takes 64 bits in the
    /// slot's own type.
    pub(super) fn define(&mut self, inst: &Inst, value: Value) {
        if let Some(index) = inst.dst.as_temp() {
            self.temps[usize::from(index)] = Some(value);
        } else if let Some(slot) = inst.dst.as_slot() {
            self.define_slot(slot, value);
        }
    }

    /// Writes a slot's variable, which thereby is dirty. The floating-point flags are kept in the
    /// frame.
    pub(super) fn define_slot(&mut self, slot: RegSlot, value: Value) {
        let ty = match (self.guest.slot_class)(slot) {
            SlotClass::Integer => Type::I64,
            SlotClass::Float => Type::F64,
            SlotClass::Vector => Type::WIDE,
        };
        let value = self.convert(value, ty);
        if slot == self.guest.fp_flags {
            self.store_frame(value, slot.offset() as i32);
            self.flags_changed();
            return;
        }
        let variable = self.variable(slot);
        self.fb.def_var(variable, value);
        self.dirty.insert(slot);
    }
}
