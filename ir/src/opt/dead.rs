//! Dead code: results that nothing reads, and slot writes that nobody can see before the slot is
//! written again. What else an operation does stays: a load may fault, whatever becomes of its
//! result.

use base::cpu::{Effects, TEMP_COUNT};

use super::Stats;
use super::exposure::{Exposure, reads_all_slots};
use crate::block::{Block, Inst, Operand};
use crate::guest::Guest;
use crate::ops::{Opcode, flag};
use crate::{Precision, SlotSet};

/// Walks blocks from the end to the start.
#[derive(Debug, Default)]
pub(super) struct Eliminator {
    /// Which temporaries are read further on.
    temps: Vec<bool>,
    exposure: Exposure,
}

/// Which slots are read further on, at one place of a walk from a block's end to its start.
#[derive(Debug)]
pub(super) struct Live<'a> {
    pub(super) slots: SlotSet,
    guest: &'a Guest,
    precision: Precision,
    exposure: &'a mut Exposure,
}

impl<'a> Live<'a> {
    /// The end of a block, after which `slots` are read.
    pub(super) fn at_end(
        block: &Block,
        slots: SlotSet,
        guest: &'a Guest,
        precision: Precision,
        exposure: &'a mut Exposure,
    ) -> Self {
        exposure.of(block, guest, precision);
        let mut live = Self { slots, guest, precision, exposure };
        if let Some(slot) = block.terminator.operand().and_then(Operand::as_slot) {
            live.slots.insert(slot);
        }
        live
    }

    /// Moves to the place before an operation, given the one that stood at `index`.
    pub(super) fn step(&mut self, index: usize, inst: &Inst) {
        if inst.op == Opcode::Mark {
            if self.exposure.pop(index) {
                self.slots = SlotSet::ALL;
            }
            return;
        }
        if let Some(slot) = inst.dst.as_slot() {
            self.slots.remove(slot);
        }
        if reads_all_slots(inst, self.guest, self.precision) {
            self.slots = SlotSet::ALL;
            return;
        }
        inst.args.into_iter().filter_map(Operand::as_slot).for_each(|s| self.slots.insert(s));
        if inst.op.info().shape.is_call() && self.guest.effects(inst) == Effects::FpFlags {
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
        let Self { temps, exposure } = self;
        temps.clear();
        temps.resize(usize::from(block.temps), false);
        let read = |operand: Operand, temps: &mut [bool]| {
            if let Some(temp) = operand.as_temp() {
                temps[usize::from(temp)] = true;
            }
        };
        let mut live = Live::at_end(block, *live_out, guest, precision, exposure);
        block.terminator.operand().into_iter().for_each(|operand| read(operand, temps));
        let mut kept = block.insts.len();
        for index in (0..block.insts.len()).rev() {
            let mut inst = block.insts[index];
            if !is_needed(&mut inst, block, temps, &live, stats) {
                continue;
            }
            inst.args.into_iter().for_each(|arg| read(arg, temps));
            live.step(index, &inst);
            kept -= 1;
            block.insts[kept] = inst;
        }
        block.insts.drain(..kept);
    }
}

/// Whether an operation must stay. If it stays for its effects alone, its result goes to a
/// temporary that nothing reads.
fn is_needed(
    inst: &mut Inst,
    block: &mut Block,
    temps: &mut Vec<bool>,
    live: &Live<'_>,
    stats: &mut Stats,
) -> bool {
    if let Some(temp) = inst.dst.as_temp() {
        let dead = !temps[usize::from(temp)] && !has_effects(inst, live);
        stats.dead += u64::from(dead);
        return !dead;
    }
    let Some(slot) = inst.dst.as_slot() else {
        let dead = inst.op.info().shape.is_call() && !has_effects(inst, live);
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
    // A wide temporary takes two numbers.
    let numbers = if inst.result_type().is_vector() { 2 } else { 1 };
    if usize::from(block.temps + numbers) <= TEMP_COUNT {
        inst.dst = Operand::temp(block.temps);
        block.temps += numbers;
        temps.resize(usize::from(block.temps), false);
        stats.dead_writes += 1;
    }
    true
}

/// Whether an operation does more than to give a result.
fn has_effects(inst: &Inst, live: &Live<'_>) -> bool {
    let info = inst.op.info();
    match inst.op {
        Opcode::Call | Opcode::CallWide => live.guest.effects(inst) != Effects::Pure,
        _ if info.has(flag::FP_FLAGS) => live.slots.contains(live.guest.fp_flags),
        _ => info.has_any(flag::FAULTS | flag::READS | flag::WRITES | flag::SPECIAL),
    }
}
