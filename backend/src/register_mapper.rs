//! The register mapper: which guest registers a region keeps in SSA values, where they enter, and
//! where they are written back to the frame (*sync points*).
//!
//! Compiled code is exact at faults by rolling back: a fault discards what the region holds in host
//! registers, and the interpreter runs again from the last sync point passed, where the frame was
//! complete. That is sound because between a sync point and a fault the code performs stores first
//! and loads afterwards, never a store after a load:
//!
//! * the path through the stores depends on no load, so it is the same again, and the stores, which
//!   other threads may have seen and answered, are *not performed again* (the interpreter
//!   suppresses them until the first load);
//! * the loads are performed again and may see newer values, as if the thread had been slower.
//!
//! So a sync point comes before the first store after any load; before and after atomics and
//! helpers that touch memory, which can be neither repeated nor skipped; and, so that replaying
//! takes bounded time, now and then in loops (at their polls).
//!
//! The floating-point flags are never held in a register: operations add to them in the frame at
//! once. Adding again does no harm, but reading them would: an instruction that names their slot is
//! one that can be neither repeated nor skipped.
//!
//! Sync points lie at the boundaries of guest instructions only. An instruction that itself loads
//! and then stores has one at its start, and another must follow before the next access.

use base::RegSlot;
use base::cpu::Effects;
use base::defect::{Defect, is_seeded};
use ir::ops::flag;
use ir::{Block, Guest, Inst, Opcode, Operand, Precision, SlotSet};

use crate::region::Region;

/// What was accessed since the last sync point, as far as it matters for the next access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Since {
    /// Nothing, or stores only.
    Stores,
    /// A load: a store needs a sync point.
    Loads,
    /// Something that must not be repeated: any access needs a sync point.
    Unrepeatable,
}

/// What an operation does to memory, for the placement of sync points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    Load,
    Store,
    /// An atomic, a helper that touches memory or the whole frame, or the floating-point flags by
    /// name.
    Unrepeatable,
}

fn access_of(inst: &Inst, guest: &Guest) -> Option<Access> {
    if inst.names_slot(guest.fp_flags) {
        return Some(Access::Unrepeatable);
    }
    if inst.op.info().shape.is_call() {
        return guest.uses_frame(inst).then_some(Access::Unrepeatable);
    }
    let info = inst.op.info();
    if info.has(flag::FAULTS | flag::READS | flag::WRITES) {
        Some(Access::Unrepeatable)
    } else if info.has(flag::FAULTS | flag::WRITES) {
        Some(Access::Store)
    } else if info.has(flag::FAULTS) {
        Some(Access::Load)
    } else {
        None
    }
}

/// One block's part of the plan.
#[derive(Clone, Debug, Default)]
pub struct BlockPlan {
    /// Slots that may be dirty (newer in SSA values than in the frame) at its start.
    pub dirty_in: SlotSet,
    /// Slots whose value is needed from its start on, be it to read them or to write them back.
    pub live_in: SlotSet,
    /// Before which of its marks (indices of [`Opcode::Mark`] operations) a sync point lies.
    pub syncs: Vec<usize>,
    /// After each of its calls that use the frame: slots whose value is needed from there on.
    pub reloads: Vec<SlotSet>,
}

/// The plan for a region.
#[derive(Clone, Debug)]
pub struct RegisterMap {
    /// A plan for each block, in the region's order.
    pub blocks: Vec<BlockPlan>,
    /// All slots that the region reads or writes.
    pub used: SlotSet,
}

impl RegisterMap {
    /// Plans a region.
    #[must_use]
    pub fn new(region: &Region, guest: &Guest, precision: Precision) -> Self {
        let mut blocks = vec![BlockPlan::default(); region.blocks.len()];
        let order = region.order();
        place_syncs(region, guest, precision, &order, &mut blocks);
        let used = propagate_dirty(region, guest, &order, &mut blocks);
        propagate_live(region, guest, &order, &mut blocks);
        Self { blocks, used }
    }
}

/// Forward: what was accessed since the last sync point, and so where the sync points are.
fn place_syncs(
    region: &Region,
    guest: &Guest,
    precision: Precision,
    order: &[usize],
    plans: &mut [BlockPlan],
) {
    let mut since_in = vec![None; region.blocks.len()];
    for &entry in &region.entries {
        since_in[entry] = Some(Since::Stores);
    }
    let mut changed = true;
    while changed {
        changed = false;
        for &index in order {
            let Some(since) = since_in[index] else { continue };
            let (syncs, out) = sync_block(&region.blocks[index], guest, precision, since);
            plans[index].syncs = syncs;
            for next in region.successors(index) {
                if since_in[next] < Some(out) {
                    since_in[next] = Some(out);
                    changed = true;
                }
            }
        }
    }
}

fn sync_block(
    block: &Block,
    guest: &Guest,
    precision: Precision,
    mut since: Since,
) -> (Vec<usize>, Since) {
    let mut syncs = Vec::new();
    for (mark, insn) in guest_insns(block) {
        let (needs_sync, after) = classify(insn, guest, since);
        let sync = match precision {
            Precision::Replay => needs_sync,
            Precision::EveryAccess => insn.iter().any(|i| access_of(i, guest).is_some()),
            Precision::None => insn.iter().any(|i| guest.uses_frame(i)),
        };
        let needs_flags = terminator_slot(block) == Some(guest.fp_flags);
        let after = if needs_flags { Since::Unrepeatable } else { after };
        if sync {
            syncs.push(mark);
        }
        since = after;
    }
    (syncs, since)
}

/// Whether a guest instruction needs a sync point before it, and what holds after it.
fn classify(insn: &[Inst], guest: &Guest, before: Since) -> (bool, Since) {
    let accesses: Vec<Access> = insn.iter().filter_map(|i| access_of(i, guest)).collect();
    let Some(&first) = accesses.first() else { return (false, before) };
    let store_after_load = {
        let load = accesses.iter().position(|&a| a == Access::Load);
        let store = accesses.iter().rposition(|&a| a == Access::Store);
        load.zip(store).is_some_and(|(l, s)| l < s)
    };
    let unrepeatable = store_after_load || accesses.contains(&Access::Unrepeatable);
    let needs_sync = unrepeatable
        || (before == Since::Unrepeatable && !is_seeded(Defect::LosesSyncPoint))
        || (before == Since::Loads && accesses.contains(&Access::Store));
    let after = if unrepeatable {
        Since::Unrepeatable
    } else if accesses.contains(&Access::Load) {
        Since::Loads
    } else if needs_sync || first == Access::Store {
        Since::Stores
    } else {
        before
    };
    (needs_sync, after)
}

/// The operations of each guest instruction, with the index of its mark.
fn guest_insns(block: &Block) -> impl Iterator<Item = (usize, &[Inst])> {
    let insts = &block.insts;
    let marks = insts.iter().enumerate().filter(|(_, i)| i.op == Opcode::Mark).map(|(n, _)| n);
    marks.map(move |mark| {
        let rest = &insts[mark + 1..];
        let len = rest.iter().position(|i| i.op == Opcode::Mark).unwrap_or(rest.len());
        (mark, &rest[..len])
    })
}

/// The slot that an operation writes, if it is one that is held in a register.
pub fn written_slot(inst: &Inst, guest: &Guest) -> Option<RegSlot> {
    inst.dst.as_slot().filter(|&slot| slot != guest.fp_flags)
}

/// Whether it may set floating-point flags.
#[must_use]
pub fn accumulates_flags(inst: &Inst, guest: &Guest) -> bool {
    if inst.op.info().shape.is_call() {
        return guest.effects(inst) == Effects::FpFlags;
    }
    inst.op.info().has(flag::FP_FLAGS)
}

fn read_slots(inst: &Inst, guest: &Guest) -> impl Iterator<Item = RegSlot> + use<> {
    let flags = guest.fp_flags;
    inst.args.into_iter().filter_map(Operand::as_slot).filter(move |&slot| slot != flags)
}

fn terminator_slot(block: &Block) -> Option<RegSlot> {
    match block.terminator {
        ir::Terminator::Branch { cond: operand, .. }
        | ir::Terminator::Indirect { target: operand, .. } => operand.as_slot(),
        _ => None,
    }
}

fn held_terminator_slot(block: &Block, guest: &Guest) -> Option<RegSlot> {
    terminator_slot(block).filter(|&slot| slot != guest.fp_flags)
}

/// Forward: which slots may be dirty. Returns all slots in use.
fn propagate_dirty(
    region: &Region,
    guest: &Guest,
    order: &[usize],
    plans: &mut [BlockPlan],
) -> SlotSet {
    let mut used = SlotSet::NONE;
    let mut changed = true;
    while changed {
        changed = false;
        for &index in order {
            let block = &region.blocks[index];
            let mut dirty = plans[index].dirty_in;
            for (n, inst) in block.insts.iter().enumerate() {
                if plans[index].syncs.contains(&n) || guest.uses_frame(inst) {
                    dirty = SlotSet::NONE;
                }
                read_slots(inst, guest).for_each(|s| used.insert(s));
                if let Some(slot) = written_slot(inst, guest) {
                    used.insert(slot);
                    dirty.insert(slot);
                }
            }
            held_terminator_slot(block, guest).into_iter().for_each(|s| used.insert(s));
            for next in region.successors(index) {
                changed |= plans[next].dirty_in.add_all(&dirty);
            }
        }
    }
    used
}

/// Backward: which slots are needed.
fn propagate_live(region: &Region, guest: &Guest, order: &[usize], plans: &mut [BlockPlan]) {
    let mut changed = true;
    while changed {
        changed = false;
        for &index in order.iter().rev() {
            let mut live = SlotSet::NONE;
            for next in region.successors(index) {
                live.add_all(&plans[next].live_in);
            }
            let (live, reloads) = live_before(&region.blocks[index], guest, &plans[index], live);
            changed |= plans[index].live_in.add_all(&live);
            plans[index].reloads = reloads;
        }
    }
}

/// What is needed before a block, and after its calls, if that is needed after it.
fn live_before(
    block: &Block,
    guest: &Guest,
    plan: &BlockPlan,
    mut live: SlotSet,
) -> (SlotSet, Vec<SlotSet>) {
    let mut reloads = Vec::new();
    let dirty = dirty_before_each(block, guest, plan);
    // Every block may leave by its terminator or a poll, writing back what is dirty then.
    live.add_all(&dirty[block.insts.len()]);
    held_terminator_slot(block, guest).into_iter().for_each(|s| live.insert(s));
    for (n, inst) in block.insts.iter().enumerate().rev() {
        if let Some(slot) = written_slot(inst, guest) {
            live.remove(slot);
        }
        if guest.uses_frame(inst) {
            reloads.push(std::mem::replace(&mut live, SlotSet::NONE));
        }
        read_slots(inst, guest).for_each(|s| live.insert(s));
        let leaves = inst.op == Opcode::AlignCheck || guest.uses_frame(inst);
        if leaves || plan.syncs.contains(&n) {
            live.add_all(&dirty[n]);
        }
    }
    reloads.reverse();
    (live, reloads)
}

/// What is dirty before each operation of a block, and at last after all of them.
fn dirty_before_each(block: &Block, guest: &Guest, plan: &BlockPlan) -> Vec<SlotSet> {
    let mut dirty = plan.dirty_in;
    let mut all = Vec::with_capacity(block.insts.len() + 1);
    for (n, inst) in block.insts.iter().enumerate() {
        all.push(dirty);
        if plan.syncs.contains(&n) || guest.uses_frame(inst) {
            dirty = SlotSet::NONE;
        }
        written_slot(inst, guest).into_iter().for_each(|s| dirty.insert(s));
    }
    all.push(dirty);
    all
}
