//! Dead code: results that nothing reads, and slot writes that nobody can see before the slot is
//! written again. What else an operation does stays: a load may fault, whatever becomes of its
//! result.

use base::cpu::{Effects, TEMP_COUNT};

use super::{Precision, SlotSet, Stats, effects};
use crate::block::{Block, Inst, Operand};
use crate::guest::Guest;
use crate::ops::{Opcode, flag};

/// Walks blocks from the end to the start.
#[derive(Debug, Default)]
pub(super) struct Eliminator {
    /// Which temporaries are read further on.
    temps: Vec<bool>,
}

/// Which slots are read further on, at one place of a walk from a block's end to its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live<'g> {
    pub(super) slots: SlotSet,
    guest: &'g Guest,
    precision: Precision,
    /// The instruction that is being walked exposes slots, and so does its mark.
    exposed: bool,
}

impl<'g> Live<'g> {
    pub(super) fn new(slots: SlotSet, guest: &'g Guest, precision: Precision) -> Self {
        Self { slots, guest, precision, exposed: false }
    }

    /// Moves to the place before an operation.
    pub(super) fn step(&mut self, inst: &Inst) {
        if inst.op == Opcode::Mark {
            if std::mem::take(&mut self.exposed) && self.precision == Precision::Replay {
                self.slots = SlotSet::ALL;
            }
            return;
        }
        if let Some(slot) = inst.dst.as_slot() {
            self.slots.remove(slot);
        }
        if self.precision.exposes_slots(inst, self.guest) {
            (self.slots, self.exposed) = (SlotSet::ALL, true);
            return;
        }
        inst.args.iter().filter_map(|arg| arg.as_slot()).for_each(|slot| self.slots.insert(slot));
        if inst.op == Opcode::Call && effects(inst, self.guest) == Effects::FpFlags {
            self.slots.insert(self.guest.fp_flags);
        }
    }
}

impl Eliminator {
    pub(super) fn run(
        &mut self,
        block: &mut Block,
        guest: &Guest,
        precision: Precision,
        live_out: &SlotSet,
        stats: &mut Stats,
    ) {
        self.temps.clear();
        self.temps.resize(usize::from(block.temps), false);
        let mut live = Live::new(*live_out, guest, precision);
        if let Some(operand) = block.terminator.operand() {
            self.reads(&mut live, operand);
        }
        let mut kept = block.insts.len();
        for index in (0..block.insts.len()).rev() {
            let mut inst = block.insts[index];
            if !self.is_needed(&mut inst, block, &live, stats) {
                continue;
            }
            for arg in inst.args {
                self.reads(&mut live, arg);
            }
            live.step(&inst);
            kept -= 1;
            block.insts[kept] = inst;
        }
        block.insts.drain(..kept);
    }

    fn reads(&mut self, live: &mut Live<'_>, operand: Operand) {
        if let Some(temp) = operand.as_temp() {
            self.temps[usize::from(temp)] = true;
        } else if let Some(slot) = operand.as_slot() {
            live.slots.insert(slot);
        }
    }

    /// Whether an operation must stay. If it stays for its effects alone, its result goes to a
    /// temporary that nothing reads.
    fn is_needed(
        &mut self,
        inst: &mut Inst,
        block: &mut Block,
        live: &Live<'_>,
        stats: &mut Stats,
    ) -> bool {
        if let Some(temp) = inst.dst.as_temp() {
            let dead = !self.temps[usize::from(temp)] && !has_effects(inst, live);
            stats.dead += u64::from(dead);
            return !dead;
        }
        let Some(slot) = inst.dst.as_slot() else {
            let dead = inst.op == Opcode::Call && !has_effects(inst, live);
            stats.dead += u64::from(dead);
            return !dead;
        };
        let itself = inst.op == Opcode::Mov && inst.args[0] == inst.dst;
        if live.slots.contains(slot) && !itself {
            return true;
        }
        if !has_effects(inst, live) {
            stats.dead_writes += 1;
            return false;
        }
        if usize::from(block.temps) < TEMP_COUNT {
            inst.dst = Operand::temp(block.temps);
            block.temps += 1;
            self.temps.push(false);
            stats.dead_writes += 1;
        }
        true
    }
}

/// Whether an operation does more than to give a result.
fn has_effects(inst: &Inst, live: &Live<'_>) -> bool {
    let info = inst.op.info();
    match inst.op {
        Opcode::Call => effects(inst, live.guest) != Effects::Pure,
        _ if info.has(flag::FP_FLAGS) => live.slots.contains(live.guest.fp_flags),
        _ => info.has_any(flag::FAULTS | flag::READS | flag::WRITES | flag::SPECIAL),
    }
}
