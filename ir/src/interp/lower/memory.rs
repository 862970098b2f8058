//! Loads, stores and atomic operations.

use super::{LowerError, Lowerer, SINK, Source, ZERO};
use crate::block::{Block, Inst, Operand};
use crate::interp::eval::pure_function;
use crate::interp::micro::{Micro, Reg};
use crate::ops::Opcode;
use crate::types::{MemOrder, Type};

/// Whether the host orders everything but a store before a later load by itself.
const TOTAL_STORE_ORDER: bool = cfg!(target_arch = "x86_64");

impl Lowerer {
    /// The base register and offset of an address.
    fn address(&mut self, block: &Block, inst: &Inst) -> (Reg, u64) {
        let offset = i64::from(inst.imm) as u64;
        match self.source(block, inst.args[0]) {
            Source::Reg(reg) => (reg, offset),
            Source::Const(value) => (ZERO, value.wrapping_add(offset)),
        }
    }

    /// A register that holds an address.
    fn address_register(&mut self, block: &Block, inst: &Inst) -> Reg {
        let (base, offset) = self.address(block, inst);
        if offset == 0 {
            return base;
        }
        let reg = self.materialise(Source::Const(offset));
        self.push(Micro::AddR, reg, base, reg, 0);
        reg
    }

    fn light_fence(&mut self) {
        if !TOTAL_STORE_ORDER {
            self.push(Micro::LightFence, SINK, 0, 0, 0);
        }
    }

    pub(super) fn load(&mut self, block: &Block, inst: &Inst) {
        let kind = match (inst.op, inst.ty) {
            (_, Type::I64 | Type::F64) => Micro::Load64,
            (Opcode::LoadS, Type::I8) => Micro::LoadS8,
            (Opcode::LoadS, Type::I16) => Micro::LoadS16,
            (Opcode::LoadS, Type::I32) => Micro::LoadS32,
            (_, Type::I8) => Micro::LoadU8,
            (_, Type::I16) => Micro::LoadU16,
            (_, Type::I32) => Micro::LoadU32,
            // What is above a binary32 in a register is unspecified: it may as well be a box.
            (_, Type::F32) => Micro::LoadBoxed,
            _ => Micro::LoadWide,
        };
        let (base, offset) = self.address(block, inst);
        if inst.order() == MemOrder::SeqCst {
            self.light_fence();
        }
        self.define(inst.dst, Type::I64, kind, base, 0, offset);
        if matches!(inst.order(), MemOrder::Acquire | MemOrder::SeqCst) {
            self.light_fence();
        }
    }

    pub(super) fn fence(&mut self, inst: &Inst) {
        match inst.order() {
            MemOrder::SeqCst => self.push(Micro::Fence, SINK, 0, 0, 0),
            _ => self.light_fence(),
        }
    }

    pub(super) fn store(&mut self, block: &Block, inst: &Inst) {
        let kind = match inst.ty {
            Type::I8 => Micro::Store8,
            Type::I16 => Micro::Store16,
            Type::I32 | Type::F32 => Micro::Store32,
            Type::I64 | Type::F64 => Micro::Store64,
            _ => Micro::StoreWide,
        };
        let value = self.reg(block, inst.args[1]);
        let (base, offset) = self.address(block, inst);
        if matches!(inst.order(), MemOrder::Release | MemOrder::SeqCst) {
            self.light_fence();
        }
        self.push(kind, SINK, base, value, offset);
        if inst.order() == MemOrder::SeqCst {
            self.push(Micro::Fence, SINK, 0, 0, 0);
        }
    }

    pub(super) fn atomic(&mut self, block: &Block, inst: &Inst) {
        let kind = match inst.ty {
            Type::I8 => Micro::Rmw8,
            Type::I16 => Micro::Rmw16,
            Type::I32 => Micro::Rmw32,
            Type::I64 => Micro::Rmw64,
            _ => return self.unsupported(inst),
        };
        let Some(function) = pure_function(inst.op, inst.ty) else {
            return self.unsupported(inst);
        };
        let addr = self.address_register(block, inst);
        let value = self.reg(block, inst.args[1]);
        self.define(inst.dst, inst.ty, kind, addr, value, function as usize as u64);
    }

    pub(super) fn compare_and_swap(&mut self, block: &Block, inst: &Inst) {
        let kind = match inst.ty {
            Type::I8 => Micro::Cas8,
            Type::I16 => Micro::Cas16,
            Type::I32 => Micro::Cas32,
            Type::I64 => Micro::Cas64,
            _ => return self.unsupported(inst),
        };
        let addr = self.address_register(block, inst);
        let [expected, new]: [Operand; 2] = [inst.args[1], inst.args[2]];
        let (expected, new) = (self.reg(block, expected), self.reg(block, new));
        self.define(inst.dst, inst.ty, kind, addr, expected, u64::from(new));
    }

    pub(super) fn align_check(&mut self, block: &Block, inst: &Inst) {
        let (base, offset) = self.address(block, inst);
        let mask = inst.ty.bytes() as Reg - 1;
        self.push(Micro::AlignCheck, SINK, base, mask, offset);
    }

    pub(super) fn unsupported(&mut self, inst: &Inst) {
        self.fail(LowerError::Unsupported(inst.op, inst.ty));
    }
}
