//! Guest memory and helper calls. In a process a guest address is a host address, so an access is one
//! host instruction; in a whole machine a probe of the TLB comes before it (`softmmu`). A fault is
//! taken by rolling back to the last sync point.

use base::CpuFrame;
use base::cpu::Effects;
use base::defect::{Defect, is_seeded};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, SigRef, Value, types};
use ir::ops::Shape;
use ir::types::MemOrder;
use ir::{Block, Inst, Opcode, Type};

use super::Lowering;
use super::softmmu::Access;
use super::values::clif_type;
use crate::entry::ExitCode;
use crate::register_mapper::accumulates_flags;

/// Flags of a guest access: it may fault.
pub(super) fn guest_flags() -> MemFlagsData {
    MemFlagsData::new()
}

impl Lowering<'_, '_> {
    /// Stands before each access to memory that others can see or that may fault. Without it,
    /// Cranelift drops a store that a later one overwrites, a store of what was just loaded, and a
    /// load of what was loaded before, even round a loop that waits for it to change; its setting
    /// `enable_alias_analysis` is without effect. Costs no code.
    pub(super) fn keep_next_access(&mut self) {
        self.fb.ins().sequence_point();
    }

    pub(super) fn memory(&mut self, block: &Block, inst: &Inst) {
        if !matches!(inst.op.info().shape, Shape::Load | Shape::Store | Shape::AlignCheck) {
            self.recent_stores.forget();
        }
        match inst.op.info().shape {
            Shape::Load => self.guest_load(block, inst),
            Shape::Store => self.guest_store(block, inst),
            Shape::AtomicRmw => self.atomic_rmw(block, inst),
            Shape::AtomicCas => self.atomic_cas(block, inst),
            Shape::AlignCheck => self.align_check(block, inst),
            // Host accesses keep every other order, and Cranelift moves no guest access.
            _ if inst.order() != MemOrder::SeqCst => {}
            _ => {
                self.fb.ins().fence();
            }
        }
    }

    fn guest_load(&mut self, block: &Block, inst: &Inst) {
        let base = self.arg(block, inst, 0);
        let (flags, offset) = (guest_flags(), inst.imm);
        if let Some(value) = self.stored_before(inst, base) {
            self.define_loaded(inst, value);
            return;
        }
        self.recent_stores.forget();
        let (base, offset) = self.host_access(base, offset, inst.ty.bytes(), Access::Read);
        self.keep_next_access();
        let ins = self.fb.ins();
        let value = match (inst.op, inst.ty) {
            (_, ty) if ty.is_float() || ty.bits() >= 64 => {
                ins.load(clif_type(ty), flags, base, offset)
            }
            (Opcode::LoadS, Type::I8) => ins.sload8(types::I64, flags, base, offset),
            (Opcode::LoadS, Type::I16) if is_seeded(Defect::HalfwordUnsigned) => {
                ins.uload16(types::I64, flags, base, offset)
            }
            (Opcode::LoadS, Type::I16) => ins.sload16(types::I64, flags, base, offset),
            (Opcode::LoadS, _) => ins.sload32(flags, base, offset),
            (_, Type::I8) => ins.uload8(types::I64, flags, base, offset),
            (_, Type::I16) => ins.uload16(types::I64, flags, base, offset),
            _ => ins.uload32(flags, base, offset),
        };
        self.define(inst, value);
    }

    /// What a load finds, if stores of this block have it, as an integer of the loaded width. A
    /// store that reaches a device leaves the region, so what is found is memory's.
    fn stored_before(&mut self, inst: &Inst, base: Value) -> Option<Value> {
        if inst.order() != MemOrder::Plain || inst.ty.is_vector() {
            return None;
        }
        let ty = clif_type(inst.ty).as_int();
        if let Some(value) = self.forwarded(base, inst.imm, ty) {
            return Some(value);
        }
        if self.is_softmmu() {
            return None;
        }
        let value = self.load_if_not_stored(base, inst.imm, ty)?;
        self.recent_stores.forget();
        Some(value)
    }

    /// Gives a load its result: integers are extended to 64 bits.
    fn define_loaded(&mut self, inst: &Inst, value: Value) {
        let value = match (inst.op, inst.ty) {
            (_, ty @ (Type::F32 | Type::F64)) => self.bitcast(value, clif_type(ty)),
            (_, Type::I64) => value,
            (Opcode::LoadS, _) => self.fb.ins().sextend(types::I64, value),
            _ => self.fb.ins().uextend(types::I64, value),
        };
        self.define(inst, value);
    }

    fn guest_store(&mut self, block: &Block, inst: &Inst) {
        let (base, value) = (self.arg(block, inst, 0), self.arg(block, inst, 1));
        let (host, offset) = self.host_access(base, inst.imm, inst.ty.bytes(), Access::Write);
        self.keep_next_access();
        self.fb.ins().store(guest_flags(), value, host, offset);
        match inst.ty.is_vector() {
            true => self.recent_stores.forget(),
            false => self.recent_stores.note(base, inst.imm, value, inst.ty.bytes()),
        }
        if inst.order() == MemOrder::SeqCst {
            self.recent_stores.forget();
            self.fb.ins().fence();
        }
    }

    fn address(&mut self, block: &Block, inst: &Inst) -> Value {
        let base = self.arg(block, inst, 0);
        if inst.imm == 0 {
            return base;
        }
        let offset = self.konst(i64::from(inst.imm) as u64);
        self.fb.ins().iadd(base, offset)
    }

    /// Where the host has what an atomic works on.
    fn atomic_address(&mut self, block: &Block, inst: &Inst) -> Value {
        let address = self.address(block, inst);
        self.host_access(address, 0, inst.ty.bytes(), Access::Write).0
    }

    fn atomic_rmw(&mut self, block: &Block, inst: &Inst) {
        let (address, operand) = (self.atomic_address(block, inst), self.arg(block, inst, 1));
        let op = match inst.op {
            Opcode::AtomicSwap => AtomicRmwOp::Xchg,
            Opcode::AtomicAdd => AtomicRmwOp::Add,
            Opcode::AtomicAnd => AtomicRmwOp::And,
            Opcode::AtomicOr => AtomicRmwOp::Or,
            Opcode::AtomicXor => AtomicRmwOp::Xor,
            Opcode::AtomicMinS if is_seeded(Defect::AtomicMinimumUnsigned) => AtomicRmwOp::Umin,
            Opcode::AtomicMinS => AtomicRmwOp::Smin,
            Opcode::AtomicMaxS => AtomicRmwOp::Smax,
            Opcode::AtomicMinU => AtomicRmwOp::Umin,
            _ => AtomicRmwOp::Umax,
        };
        let old = self.fb.ins().atomic_rmw(clif_type(inst.ty), guest_flags(), op, address, operand);
        self.define(inst, old);
    }

    fn atomic_cas(&mut self, block: &Block, inst: &Inst) {
        let address = self.atomic_address(block, inst);
        let (expected, new) = (self.arg(block, inst, 1), self.arg(block, inst, 2));
        let old = self.fb.ins().atomic_cas(guest_flags(), address, expected, new);
        self.define(inst, old);
    }

    fn align_check(&mut self, block: &Block, inst: &Inst) {
        let address = self.address(block, inst);
        let mask = self.konst(u64::from(inst.ty.bytes()) - 1);
        let low = self.fb.ins().band(address, mask);
        let zero = self.konst(0);
        let misaligned = self.fb.ins().icmp(IntCC::NotEqual, low, zero);
        // The interpreter repeats the instruction and says what is wrong with it.
        self.leave_if(misaligned, self.pc, ExitCode::Interpret);
    }

    pub(super) fn call(&mut self, block: &Block, inst: &Inst) {
        if self.guest.uses_frame(inst) {
            self.recent_stores.forget();
            self.write_back();
            let result = self.call_helper(block, inst);
            self.reload();
            if self.guest.effects(inst) == Effects::Memory {
                self.check_helper_fault();
            }
            self.define(inst, result);
        } else if let Some(result) = self.intrinsic(block, inst) {
            self.define(inst, result);
        } else {
            let result = self.call_helper(block, inst);
            if accumulates_flags(inst, self.guest) {
                self.flags_changed();
            }
            self.define(inst, result);
        }
    }

    fn call_helper(&mut self, block: &Block, inst: &Inst) -> Value {
        let mut args = vec![self.frame];
        let wide = inst.op == Opcode::CallWide;
        let order = if wide { [3, 0, 1, 2] } else { [0, 1, 2, 3] };
        args.extend(order.map(|n| self.arg(block, inst, n)));
        let table = self.load_frame(types::I64, CpuFrame::HELPERS);
        let entry = i32::from(inst.helper().0) * 8;
        let function = self.fb.ins().load(types::I64, Self::frame_flags(), table, entry);
        let sig = if wide { self.sigs.wide_helper } else { self.sigs.helper };
        self.call_function(sig, function, &args)
    }

    fn call_function(&mut self, sig: SigRef, function: Value, args: &[Value]) -> Value {
        let call = self.fb.ins().call_indirect(sig, function, args);
        self.fb.inst_results(call)[0]
    }

    /// A helper that faulted did nothing: the interpreter repeats the instruction.
    fn check_helper_fault(&mut self) {
        let fault = self.load_frame(types::I64, CpuFrame::FAULT);
        self.leave_if(fault, self.pc, ExitCode::Interpret);
    }
}
