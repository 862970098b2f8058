//! Guest memory and computed jumps in a whole machine: probes of the TLB and of the jump cache by
//! virtual address.

use std::mem::offset_of;

use base::cpu::{Approach, CheckedSpan, PC_DELTA, VirtualJumpEntry};
use base::{CpuFrame, GuestVirt, TlbEntry};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};

use super::Lowering;
use crate::compiler::MemoryModel;
use crate::entry::ExitCode;

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    Read,
    /// A store, or an atomic read-modify-write.
    Write,
}

impl Lowering<'_, '_> {
    pub(super) fn is_softmmu(&self) -> bool {
        self.options.memory == MemoryModel::Softmmu
    }

    /// Where the host has a guest access of so many bytes: base and offset.
    pub(super) fn host_access(
        &mut self,
        base: Value,
        offset: i32,
        bytes: u32,
        access: Access,
    ) -> (Value, i32) {
        if !self.is_softmmu() {
            return (base, offset);
        }
        let addr = self.plus(base, i64::from(offset));
        (self.probe_tlb(addr, bytes, access), 0)
    }

    fn plus(&mut self, value: Value, more: i64) -> Value {
        if more == 0 { value } else { self.fb.ins().iadd_imm_s(value, more) }
    }

    /// The host address of a guest access: see [`TlbEntry`].
    fn probe_tlb(&mut self, addr: Value, bytes: u32, access: Access) -> Value {
        if self.options.count_probes {
            let old = self.load_frame(types::I64, CpuFrame::TLB_PROBES);
            let sum = self.fb.ins().iadd_imm_s(old, 1);
            self.store_frame(sum, CpuFrame::TLB_PROBES);
        }
        // What the slow path changes must be read again after it.
        self.keep_next_access();
        let table = self.load_frame(types::I64, CpuFrame::TLB);
        let mask = self.load_frame(types::I64, CpuFrame::TLB_MASK);
        let context = self.load_frame(types::I64, CpuFrame::TLB_CONTEXT);
        let shifted = self.fb.ins().ushr_imm_u(addr, i64::from(TlbEntry::INDEX_SHIFT));
        let offset = self.fb.ins().band(shifted, mask);
        let entry = self.fb.ins().iadd(table, offset);
        let last = self.plus(addr, i64::from(bytes) - 1);
        let page = self.fb.ins().band_imm_s(last, !TlbEntry::CONTEXT_MASK as i64);
        let wanted = self.fb.ins().bor(page, context);
        let tag = match access {
            Access::Read => offset_of!(TlbEntry, read),
            Access::Write => offset_of!(TlbEntry, write),
        };
        let flags = Self::frame_flags();
        let tag = self.fb.ins().load(types::I64, flags, entry, tag as i32);
        let addend = offset_of!(TlbEntry, addend) as i32;
        let addend = self.fb.ins().load(types::I64, flags, entry, addend);
        let host = self.fb.ins().iadd(addr, addend);
        let hit = self.fb.ins().icmp(IntCC::Equal, tag, wanted);
        let (slow, done) = (self.fb.create_block(), self.fb.create_block());
        self.fb.set_cold_block(slow);
        let result = self.fb.append_block_param(done, types::I64);
        self.fb.ins().brif(hit, done, &[BlockArg::Value(host)], slow, &[]);
        self.begin(slow);
        let write = if access == Access::Write { CpuFrame::SLOW_WRITE } else { 0 };
        let host = self.ask_for_host_address(addr, u64::from(bytes) | write);
        let fault = self.fault_block();
        let arg = BlockArg::Value;
        self.fb.ins().brif(host, done, &[arg(host)], fault, &[arg(addr)]);
        self.begin(done);
        result
    }

    fn ask_for_host_address(&mut self, addr: Value, what: u64) -> Value {
        let function = self.load_frame(types::I64, CpuFrame::MEMORY_SLOW_CALL);
        let (frame, what) = (self.frame, self.konst(what));
        let zero = self.konst(0);
        let sig = self.sigs.slow;
        self.fb.ins().call_indirect(sig, function, &[frame, addr, what, zero, zero]);
        self.keep_next_access();
        self.load_frame(types::I64, CpuFrame::HOST_ADDRESS)
    }

    /// Where an access goes that tier 0 must make: leaves as a fault of the host's would.
    fn fault_block(&mut self) -> cranelift_codegen::ir::Block {
        match self.fault {
            Some(block) => block,
            None => {
                let block = self.fb.create_block();
                self.fb.set_cold_block(block);
                self.fb.append_block_param(block, types::I64);
                *self.fault.insert(block)
            }
        }
    }

    /// Fills the block of [`Lowering::fault_block`], if there is one.
    pub(super) fn fill_fault_block(&mut self) {
        let Some(block) = self.fault else { return };
        self.begin(block);
        let addr = self.fb.block_params(block)[0];
        self.store_frame(addr, CpuFrame::FAULT_ADDR);
        self.keep_next_access();
        let at = self.load_frame(types::I64, CpuFrame::SLOW_PC);
        self.store_frame(at, CpuFrame::FAULT);
        let code = self.konst(ExitCode::Fault as u64);
        self.fb.ins().return_(&[code]);
    }

    /// At an entry of a region that spans pages: whether they lie as they did when it was made.
    pub(super) fn check_span(&mut self, span: u64, pc: GuestVirt) {
        let table = self.load_frame(types::I64, CpuFrame::CHECKED_SPANS);
        let environment = self.load_frame(types::I64, CpuFrame::JUMP_ENVIRONMENT);
        let entry = CheckedSpan::index(span) * size_of::<CheckedSpan>();
        let known = self.load_entry(table, entry + offset_of!(CheckedSpan, span));
        let checked = self.load_entry(table, entry + offset_of!(CheckedSpan, environment));
        let wanted = self.konst(span);
        let other_span = self.fb.ins().bxor(known, wanted);
        let other_environment = self.fb.ins().bxor(checked, environment);
        let unchecked = self.fb.ins().bor(other_span, other_environment);
        let (out, stay) = (self.fb.create_block(), self.fb.create_block());
        self.fb.set_cold_block(out);
        self.fb.ins().brif(unchecked, out, &[], stay, &[]);
        self.begin(out);
        self.store_frame(wanted, CpuFrame::UNCHECKED_SPAN);
        self.leave(pc, ExitCode::Unchecked);
        self.begin(stay);
    }

    /// Leaves for a known pc on another page: where that lies is the address space's affair.
    pub(super) fn exit_to_other_page(&mut self, target: GuestVirt) {
        let delta = self.load_frame(types::I64, PC_DELTA.offset() as i32);
        let target = self.fb.ins().iadd_imm_s(delta, target.0 as i64);
        self.probe_virtual_jumps(target);
    }

    /// Goes on at a virtual pc, if the jump cache knows it in this environment.
    pub(super) fn probe_virtual_jumps(&mut self, target: Value) {
        self.keep_next_access();
        let cache = self.load_frame(types::I64, CpuFrame::VIRTUAL_JUMPS);
        let environment = self.load_frame(types::I64, CpuFrame::JUMP_ENVIRONMENT);
        let shift = i64::from(VirtualJumpEntry::OFFSET_SHIFT);
        let scaled = self.fb.ins().ishl_imm_u(target, shift);
        let offset = self.fb.ins().band_imm_u(scaled, VirtualJumpEntry::OFFSET_MASK as i64);
        let entry = self.fb.ins().iadd(cache, offset);
        let known = self.load_entry(entry, offset_of!(VirtualJumpEntry, target));
        let valid = self.load_entry(entry, offset_of!(VirtualJumpEntry, environment));
        let (no, near, yes) =
            (self.fb.create_block(), self.fb.create_block(), self.fb.create_block());
        self.fb.set_cold_block(no);
        let same = self.fb.ins().icmp(IntCC::Equal, known, target);
        self.fb.ins().brif(same, near, &[], no, &[]);
        self.begin(near);
        let same = self.fb.ins().icmp(IntCC::Equal, valid, environment);
        self.fb.ins().brif(same, yes, &[], no, &[]);
        self.begin(no);
        self.leave_indirectly(target, Approach::PLAIN);
        self.begin(yes);
        self.store_dirty();
        let delta = self.load_entry(entry, offset_of!(VirtualJumpEntry, delta));
        self.store_frame(delta, PC_DELTA.offset() as i32);
        let code = self.load_entry(entry, offset_of!(VirtualJumpEntry, code));
        self.jump_to_region(code);
    }

    fn load_entry(&mut self, entry: Value, offset: usize) -> Value {
        self.fb.ins().load(types::I64, Self::frame_flags(), entry, offset as i32)
    }
}
