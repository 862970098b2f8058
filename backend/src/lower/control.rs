//! Entries, exits, sync points and polls.

use std::mem::offset_of;

use base::cpu::{Approach, JumpCacheEntry, PC_DELTA};
use base::defect::{Defect, is_seeded};
use base::{CpuFrame, GuestVirt};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{
    BlockCall, ExternalName, GlobalValueData, InstBuilder, InstructionData, JumpTableData,
    UserExternalName, Value, ValueDef, types,
};
use ir::{BadJumps, Block, BlockKey, Hint, SlotSet, Terminator, Type};

use super::Lowering;
use crate::compiler::{EXIT_SLOTS, ExitSite};
use crate::entry::ExitCode;
use crate::region::Edge;

/// Backward jumps between polls. It bounds how far a fault is replayed and the latency of
/// interrupts; below a few hundred the polls themselves would show.
const FUEL: i64 = 256;

impl Lowering<'_, '_> {
    pub(super) fn declare_variables(&mut self) {
        for slot in self.map.used.iter() {
            let ty = self.slot_type(slot);
            self.variables[slot.index()] = Some(self.fb.declare_var(ty));
        }
    }

    /// The function's start: dispatches to the entries.
    pub(super) fn enter(&mut self, number: Value) {
        let region = self.region;
        let fuel = self.fb.ins().iconst(types::I32, FUEL);
        self.fb.def_var(self.fuel, fuel);
        if let [only] = region.entries[..] {
            self.entry(only);
            return;
        }
        let pads: Vec<_> = region.entries.iter().map(|_| self.fb.create_block()).collect();
        let pool = &mut self.fb.func.dfg.value_lists;
        let calls: Vec<_> = pads.iter().map(|&pad| BlockCall::new(pad, [], pool)).collect();
        let table = self.fb.create_jump_table(JumpTableData::new(calls[0], &calls));
        let number = self.fb.ins().ireduce(types::I32, number);
        self.fb.ins().br_table(number, table);
        for (&pad, &block) in pads.iter().zip(&region.entries) {
            self.begin(pad);
            self.entry(block);
        }
    }

    /// One entry: everything is in the frame. The entries are the first sync points, in order.
    fn entry(&mut self, block: usize) {
        let pc = self.region.blocks[block].key.pc();
        self.keep_next_access();
        let interrupt = self.load_frame(types::I32, CpuFrame::INTERRUPT);
        self.leave_if(interrupt, pc, ExitCode::Interrupted);
        if let Some(span) = self.region.span {
            self.check_span(span, pc);
        }
        self.note_sync_point(pc);
        for slot in self.map.blocks[block].live_in.iter() {
            self.load_slot(slot);
        }
        self.flags_changed();
        let target = self.clif_blocks[block];
        self.fb.ins().jump(target, &[]);
    }

    fn load_slot(&mut self, slot: base::RegSlot) {
        let value = self.load_frame(self.slot_type(slot), slot.offset() as i32);
        let variable = self.variable(slot);
        self.fb.def_var(variable, value);
    }

    /// A sync point: the frame becomes complete, as of the start of the instruction at `pc`.
    pub(super) fn sync(&mut self, pc: GuestVirt) {
        self.write_back();
        self.note_sync_point(pc);
    }

    fn note_sync_point(&mut self, pc: GuestVirt) {
        let number = self.output.sync_points.len();
        self.output.sync_points.push(pc);
        let number = self.fb.ins().iconst(types::I32, number as i64);
        self.store_frame(number, CpuFrame::SYNC_POINT);
    }

    /// Stores all dirty slots to the frame.
    pub(super) fn write_back(&mut self) {
        self.store_dirty();
        self.dirty = SlotSet::NONE;
    }

    pub(super) fn store_dirty(&mut self) {
        for slot in self.dirty.iter() {
            let variable = self.variable(slot);
            let value = self.fb.use_var(variable);
            self.store_frame(value, slot.offset() as i32);
        }
    }

    /// Takes from the frame again what is needed of it: a helper may have changed it.
    pub(super) fn reload(&mut self) {
        for slot in self.reloads.next().into_iter().flat_map(SlotSet::iter) {
            self.load_slot(slot);
        }
        self.flags_changed();
    }

    /// Leaves the region if `condition` is not zero, with a complete frame as of `pc`. Lowering goes
    /// on in the block that this returns.
    pub(super) fn leave_if(
        &mut self,
        condition: Value,
        pc: GuestVirt,
        code: ExitCode,
    ) -> cranelift_codegen::ir::Block {
        let (out, stay) = (self.fb.create_block(), self.fb.create_block());
        self.fb.set_cold_block(out);
        self.fb.ins().brif(condition, out, &[], stay, &[]);
        self.begin(out);
        self.leave(pc, code);
        self.begin(stay);
        stay
    }

    /// Leaves the region with a complete frame as of `pc`.
    pub(super) fn leave(&mut self, pc: GuestVirt, code: ExitCode) {
        let pc = self.konst(pc.0);
        self.leave_at(pc, code);
    }

    pub(super) fn leave_at(&mut self, pc: Value, code: ExitCode) {
        self.store_dirty();
        self.store_frame(pc, CpuFrame::PC);
        let code = self.konst(code as u64);
        self.fb.ins().return_(&[code]);
    }

    pub(super) fn terminator(&mut self, index: usize, block: &Block) {
        match block.terminator {
            Terminator::Jump { target, .. } => self.go(index, target),
            Terminator::Branch { cond, taken, fallthrough } => {
                let cond = self.condition(block, cond);
                self.branch(index, cond, taken, fallthrough);
            }
            Terminator::Indirect { target, hint, approach } => {
                let target = self.read(block, target, Type::I64);
                match hint {
                    Hint::Far => self.leave_indirectly(target, approach),
                    _ => self.indirect(index, (target, approach)),
                }
            }
            Terminator::Trap { trap, pc } => self.leave(pc, ExitCode::of_trap(trap)),
            Terminator::Lookup { target } => self.leave(target, ExitCode::Lookup),
        }
    }

    fn branch(&mut self, index: usize, cond: Value, taken: GuestVirt, fallthrough: GuestVirt) {
        // Cranelift has the second way follow the branch. A loop is in one piece if that is the way back.
        let loops = self.goes_back(index, taken) && !self.goes_back(index, fallthrough);
        let (cond, taken, fallthrough) = match loops.then(|| self.complement(cond)).flatten() {
            Some(not) => (not, fallthrough, taken),
            None => (cond, taken, fallthrough),
        };
        let (yes, no) = (self.edge_block(index, taken), self.edge_block(index, fallthrough));
        self.fb.ins().brif(cond, yes.block, &[], no.block, &[]);
        for edge in [yes, no] {
            if edge.is_new {
                self.begin(edge.block);
                self.go(index, edge.pc);
            }
        }
    }

    fn goes_back(&self, from: usize, to: GuestVirt) -> bool {
        matches!(self.region.edge(to), Edge::Inside(to) if self.rank[from] >= self.rank[to])
    }

    /// The opposite of a condition that is a comparison.
    fn complement(&mut self, cond: Value) -> Option<Value> {
        let ValueDef::Result(def, _) = self.fb.func.dfg.value_def(cond) else { return None };
        match self.fb.func.dfg.insts[def] {
            InstructionData::IntCompare { cond, args: [a, b], .. } => {
                Some(self.fb.ins().icmp(cond.complement(), a, b))
            }
            InstructionData::FloatCompare { cond, args: [a, b], .. } => {
                Some(self.fb.ins().fcmp(cond.complement(), a, b))
            }
            _ => None,
        }
    }

    /// The block to branch to for an edge: the target itself if nothing comes between. What is passed to a block to which
    /// several edges go would have to be computed before the branch, whichever way it goes: a block
    /// of the edge's own takes that.
    fn edge_block(&mut self, from: usize, pc: GuestVirt) -> EdgeBlock {
        match self.region.edge(pc) {
            Edge::Inside(to) if self.rank[from] < self.rank[to] && !self.joins[to] => {
                EdgeBlock { block: self.clif_blocks[to], is_new: false, pc }
            }
            edge => {
                let block = self.fb.create_block();
                if matches!(edge, Edge::Out(_)) {
                    self.fb.set_cold_block(block);
                }
                EdgeBlock { block, is_new: true, pc }
            }
        }
    }

    /// Goes on at a known pc, inside or outside.
    fn go(&mut self, from: usize, pc: GuestVirt) {
        match self.region.edge(pc) {
            Edge::Inside(to) => self.go_inside(from, to),
            Edge::Out(pc) => self.exit(pc),
        }
    }

    fn go_inside(&mut self, from: usize, to: usize) {
        if self.rank[from] >= self.rank[to] {
            self.poll_and_go(to);
        } else {
            let target = self.clif_blocks[to];
            self.fb.ins().jump(target, &[]);
        }
    }

    /// A jump backwards, which now and then has a sync point and looks at the interrupt word. All of
    /// that stands out of the way: the common path is a decrement and the jump itself.
    fn poll_and_go(&mut self, to: usize) {
        let (pc, target) = (self.region.blocks[to].key.pc(), self.clif_blocks[to]);
        let fuel = self.fb.use_var(self.fuel);
        let left = self.fb.ins().iadd_imm_s(fuel, -1);
        self.fb.def_var(self.fuel, left);
        let due = self.fb.create_block();
        self.fb.set_cold_block(due);
        self.fb.ins().brif(left, target, &[], due, &[]);
        self.begin(due);
        // What follows in the block being lowered is not on this way.
        let dirty = self.dirty;
        self.sync(pc);
        let fuel = self.fb.ins().iconst(types::I32, FUEL);
        self.fb.def_var(self.fuel, fuel);
        self.forget_numbers();
        self.keep_next_access();
        let interrupt = self.load_frame(types::I32, CpuFrame::INTERRUPT);
        let stay = self.leave_if(interrupt, pc, ExitCode::Interrupted);
        self.fb.set_cold_block(stay);
        self.fb.ins().jump(target, &[]);
        self.dirty = dirty;
    }

    /// Leaves for a known pc through a slot that the runtime links to the region there.
    fn exit(&mut self, target: GuestVirt) {
        if self.is_softmmu() && target.page() != self.region.key().pc().page() {
            return self.exit_to_other_page(target);
        }
        self.store_dirty();
        let number = self.output.exits.len();
        self.output.exits.push(ExitSite { target });
        let slot = self.exit_slot(number);
        let code = self.fb.ins().load(types::I64, Self::frame_flags(), slot, 0);
        self.jump_to_region(code);
    }

    fn exit_slot(&mut self, number: usize) -> Value {
        let name = UserExternalName { namespace: EXIT_SLOTS, index: 0 };
        let name = self.fb.func.declare_imported_user_function(name);
        let slot = self.fb.create_global_value(GlobalValueData::Symbol {
            name: ExternalName::user(name),
            offset: (number as i64 * 8).into(),
            colocated: true,
            tls: false,
        });
        self.fb.ins().symbol_value(types::I64, slot)
    }

    pub(super) fn jump_to_region(&mut self, code: Value) {
        let (sig, frame) = (self.sigs.region, self.frame);
        let number = self.konst(0);
        self.fb.ins().return_call_indirect(sig, code, &[frame, number]);
    }

    /// Goes on at a computed pc: predicted blocks of this region first, then the jump cache.
    fn indirect(&mut self, index: usize, (target, approach): (Value, Approach)) {
        let mut predicted = self.region.predicted(index);
        predicted.retain(|&to| self.region.blocks[to].admits.has(approach));
        let pcs: Vec<u64> = predicted.iter().map(|&to| self.region.blocks[to].key.pc().0).collect();
        match Selection::of(&pcs) {
            Some(selection) if pcs.len() > MAX_COMPARED => {
                self.select_target(index, target, &predicted, selection);
            }
            _ => {
                for &to in predicted.iter().take(MAX_COMPARED) {
                    let next = self.fb.create_block();
                    self.go_if_there(index, target, to, next);
                    self.begin(next);
                }
            }
        }
        match approach {
            _ if !self.is_softmmu() => {
                let key = self.region.blocks[index].key;
                self.probe_jump_cache(key, target, approach);
            }
            Approach::PLAIN => self.probe_virtual_jumps(target),
            // The jump cache of a whole machine does not tell approaches apart.
            _ => self.leave_indirectly(target, approach),
        }
    }

    /// Goes on in a block of the region if a target is its pc, else elsewhere.
    fn go_if_there(
        &mut self,
        index: usize,
        target: Value,
        to: usize,
        otherwise: cranelift_codegen::ir::Block,
    ) {
        let pc = self.guest_pc(self.region.blocks[to].key.pc());
        let hit = match is_seeded(Defect::ComputedTargetUnchecked) {
            false => self.fb.ins().icmp(IntCC::Equal, target, pc),
            true => self.konst(1),
        };
        let inside = self.fb.create_block();
        self.fb.ins().brif(hit, inside, &[], otherwise, &[]);
        self.begin(inside);
        self.go_inside(index, to);
    }

    /// Goes on in the block of the region whose pc a target is, by a table of some of their bits; lowering goes on where it is none.
    fn select_target(
        &mut self,
        index: usize,
        target: Value,
        predicted: &[usize],
        selection: Selection,
    ) {
        let miss = self.fb.create_block();
        let mut table = vec![miss; 1 << selection.bits];
        let pads: Vec<_> = predicted.iter().map(|_| self.fb.create_block()).collect();
        for (&pad, &to) in pads.iter().zip(predicted) {
            table[selection.index(self.region.blocks[to].key.pc().0)] = pad;
        }
        let pool = &mut self.fb.func.dfg.value_lists;
        let calls: Vec<_> = table.iter().map(|&block| BlockCall::new(block, [], pool)).collect();
        let miss_call = BlockCall::new(miss, [], pool);
        let table = self.fb.create_jump_table(JumpTableData::new(miss_call, &calls));
        let selected = self.fb.ins().ushr_imm_u(target, i64::from(selection.shift));
        let selected = self.fb.ins().band_imm_u(selected, (1 << selection.bits) - 1);
        let selected = self.fb.ins().ireduce(types::I32, selected);
        self.fb.ins().br_table(selected, table);
        for (&pad, &to) in pads.iter().zip(predicted) {
            self.begin(pad);
            self.go_if_there(index, target, to, miss);
        }
        self.begin(miss);
    }

    /// What the guest sees of a pc that the region knows.
    fn guest_pc(&mut self, pc: GuestVirt) -> Value {
        if self.is_softmmu() {
            let delta = self.load_frame(types::I64, PC_DELTA.offset() as i32);
            self.fb.ins().iadd_imm_s(delta, pc.0 as i64)
        } else {
            self.konst(pc.0)
        }
    }

    /// Leaves the region for a computed pc.
    pub(super) fn leave_indirectly(&mut self, target: Value, approach: Approach) {
        if approach != Approach::PLAIN {
            let number = self.konst(approach.number().into());
            self.store_frame(number, CpuFrame::APPROACH);
        }
        if self.guest.bad_jumps == BadJumps::Jump {
            let pc = self.konst(self.pc.0);
            self.store_frame(pc, CpuFrame::JUMPED_FROM);
        }
        self.leave_at(target, ExitCode::Indirect);
    }

    fn probe_jump_cache(&mut self, key: BlockKey, target: Value, approach: Approach) {
        // A target with bits where the flags are must not be taken for one without them.
        let beside = self.konst(key.flags().wrapping_add(approach.salt()));
        let wanted = self.fb.ins().iadd(target, beside);
        let cache = self.load_frame(types::I64, CpuFrame::JUMP_CACHE);
        let entry = self.jump_cache_entry(cache, wanted);
        let found = self.fb.ins().load(types::I64, Self::frame_flags(), entry, 0);
        let hit = self.fb.ins().icmp(IntCC::Equal, found, wanted);
        let (yes, no) = (self.fb.create_block(), self.fb.create_block());
        self.fb.set_cold_block(no);
        self.fb.ins().brif(hit, yes, &[], no, &[]);
        self.begin(no);
        self.leave_indirectly(target, approach);
        self.begin(yes);
        self.store_dirty();
        let offset = offset_of!(JumpCacheEntry, code) as i32;
        let code = self.fb.ins().load(types::I64, Self::frame_flags(), entry, offset);
        self.jump_to_region(code);
    }

    /// The entry that [`JumpCacheEntry::index`] selects.
    fn jump_cache_entry(&mut self, cache: Value, key: Value) -> Value {
        // (key >> 1 & mask) times the 16 bytes of an entry.
        let scaled = self.fb.ins().ishl_imm_u(key, 3);
        let mask = (JumpCacheEntry::COUNT as i64 - 1) << 4;
        let offset = self.fb.ins().band_imm_u(scaled, mask);
        self.fb.ins().iadd(cache, offset)
    }
}

/// How many pcs a computed target is compared with, one after the other; more are told apart by a table.
const MAX_COMPARED: usize = 4;

/// Bits by which pcs are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Selection {
    shift: u32,
    bits: u32,
}

impl Selection {
    /// A table of this many bits at most.
    const MAX_BITS: u32 = 7;
    const MAX_SHIFT: u32 = 12;

    /// The fewest bits that are not the same in any two of these.
    fn of(pcs: &[u64]) -> Option<Self> {
        let mut all = (1..=Self::MAX_BITS)
            .flat_map(|bits| (0..=Self::MAX_SHIFT).map(move |shift| Self { shift, bits }));
        all.find(|selection| {
            let mut seen = [false; 1 << Self::MAX_BITS];
            pcs.iter().all(|&pc| !std::mem::replace(&mut seen[selection.index(pc)], true))
        })
    }

    fn index(self, pc: u64) -> usize {
        (pc >> self.shift) as usize & ((1 << self.bits) - 1)
    }
}

/// Where a branch goes.
struct EdgeBlock {
    block: cranelift_codegen::ir::Block,
    /// Made for this edge, and still to be filled.
    is_new: bool,
    pc: GuestVirt,
}
