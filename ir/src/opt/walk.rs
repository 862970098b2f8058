//! The forward walk: each operation once, in order, through the passes that are on.

use base::cpu::Effects;

use super::values::{Known, Values, computation};
use super::{Passes, Stats, checks, facts, forward, number, simplify};
use crate::block::{Block, Inst, Operand};
use crate::guest::Guest;
use crate::ops::{Opcode, flag};

/// What the passes of the walk share.
pub(super) struct Walk<'a> {
    pub(super) block: &'a mut Block,
    pub(super) guest: &'a Guest,
    pub(super) values: &'a mut Values,
    pub(super) stats: &'a mut Stats,
    pub(super) checked: checks::Checked,
    pub(super) passes: Passes,
    /// How often the floating-point flags were written other than by adding to them.
    pub(super) flag_writes: i32,
}

pub(super) fn run(
    block: &mut Block,
    guest: &Guest,
    passes: Passes,
    values: &mut Values,
    stats: &mut Stats,
) {
    values.reset(guest, block.temps);
    let checked = checks::Checked::default();
    let mut walk = Walk { block, guest, values, stats, checked, passes, flag_writes: 0 };
    let mut kept = 0;
    for index in 0..walk.block.insts.len() {
        let mut inst = walk.block.insts[index];
        if walk.step(&mut inst) {
            walk.block.insts[kept] = inst;
            kept += 1;
        }
    }
    walk.block.insts.truncate(kept);
    walk.terminator();
}

impl Walk<'_> {
    /// Takes an operation through the passes; whether it is still needed.
    fn step(&mut self, inst: &mut Inst) -> bool {
        if inst.op == Opcode::Mark {
            return true;
        }
        if self.passes.has(Passes::FORWARD) {
            forward::operands(self, inst);
        }
        if self.passes.has(Passes::SIMPLIFY) {
            simplify::inst(self, inst);
        }
        let args = self.read(inst);
        if inst.op == Opcode::AlignCheck {
            return !self.passes.has(Passes::CHECKS) || checks::needed(self, inst, args[0]);
        }
        let result = self.result(inst, args);
        self.effects(inst);
        self.write(inst, result)
    }

    /// What the operands hold.
    pub(super) fn read(&mut self, inst: &Inst) -> [Known; 4] {
        inst.args.map(|arg| self.values.read(self.block, arg))
    }

    /// What the operation computes. It may become a move from the holder of that.
    fn result(&mut self, inst: &mut Inst, args: [Known; 4]) -> Known {
        let bits = inst.result_type().bits();
        if inst.dst.is_none() {
            return Known::None;
        }
        if inst.op == Opcode::Mov {
            return args[0];
        }
        let repeatable = self.is_repeatable(inst);
        if repeatable
            && self.passes.has(Passes::NUMBER)
            && let Some(known) = number::merge(self, inst, args)
        {
            return known;
        }
        let facts = facts::of_result(inst, &args, self.values);
        let shown = repeatable.then(|| computation(inst, args));
        let known = self.values.add(bits, facts, shown);
        if repeatable && self.passes.has(Passes::NUMBER) {
            number::remember(self, inst, args, known);
        }
        known
    }

    /// Whether doing it again on the same operands changes nothing and gives the same.
    fn is_repeatable(&self, inst: &Inst) -> bool {
        match inst.op {
            Opcode::Call | Opcode::CallWide => self.guest.effects(inst) == Effects::Pure,
            op => !op.info().has_any(flag::FAULTS | flag::READS | flag::WRITES | flag::SPECIAL),
        }
    }

    /// Forgets what the operation may have changed besides its destination.
    fn effects(&mut self, inst: &Inst) {
        if inst.dst.as_slot() == Some(self.guest.fp_flags) {
            self.flag_writes += 1;
        }
        if inst.op.info().shape.is_call() {
            if self.guest.uses_frame(inst) {
                self.values.forget_slots();
                self.flag_writes += 1;
            } else if self.guest.effects(inst) == Effects::FpFlags {
                self.flags_changed();
                self.flag_writes += 1;
            }
        } else if inst.op.info().has(flag::FP_FLAGS) {
            self.flags_changed();
        }
    }

    fn flags_changed(&mut self) {
        let unknown = self.values.unknown(64);
        self.values.write_slot(self.guest.fp_flags, unknown);
    }

    /// Notes what the destination holds now; whether the operation is still needed.
    fn write(&mut self, inst: &Inst, result: Known) -> bool {
        if let Some(temp) = inst.dst.as_temp() {
            self.values.write_temp(temp, inst.result_type().bits(), result);
        } else if let Some(slot) = inst.dst.as_slot() {
            let forwards = self.passes.has(Passes::FORWARD) && inst.op == Opcode::Mov;
            if forwards && self.values.slot_holds(slot, result) {
                self.stats.same_writes += 1;
                return false;
            }
            self.values.write_slot(slot, result);
        }
        true
    }

    /// The operand to read for something known; `None` if nothing holds it any more.
    pub(super) fn operand(&mut self, known: Known) -> Option<Operand> {
        match known {
            Known::Const(value) => Some(self.block.constant(value)),
            Known::Value(index) => self.values.holder(index),
            Known::None => Some(Operand::NONE),
        }
    }

    fn terminator(&mut self) {
        if self.passes.has(Passes::FORWARD)
            && let Some(operand) = self.block.terminator.operand()
        {
            let operand = forward::operand(self, operand);
            self.block.terminator = self.block.terminator.with_operand(operand);
        }
        if self.passes.has(Passes::SIMPLIFY) {
            simplify::terminator(self);
        }
    }
}
