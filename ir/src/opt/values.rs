//! Values: what temporaries and slots hold at a place of the forward walk, how it was computed,
//! and where it can still be read.

use base::defect::{Defect, is_seeded};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use base::RegSlot;
use base::cpu::SLOT_COUNT;

use super::facts::Facts;
use crate::block::{Block, Inst, Operand, OperandKind};
use crate::guest::{Guest, SlotClass};
use crate::ops::Opcode;
use crate::types::Type;

/// What an operand holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Known {
    /// This, in as many low bits as the operand has.
    Const(u64),
    /// A value of [`Values`].
    Value(u32),
    /// No operand.
    None,
}

impl Known {
    pub(super) fn constant(self) -> Option<u64> {
        match self {
            Self::Const(value) => Some(value),
            _ => None,
        }
    }
}

/// A computation: equal ones give equal values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Computation {
    pub(super) op: Opcode,
    pub(super) ty: Type,
    pub(super) aux: u16,
    /// The helper of a call; for operations on the floating-point flags, what those flags are
    /// counted by.
    pub(super) imm: i32,
    pub(super) args: [Known; 4],
}

#[derive(Clone, Copy, Debug)]
struct Value {
    bits: u32,
    facts: Facts,
    computation: Option<Computation>,
    /// A temporary that holds it, or none.
    temp: Operand,
    /// A slot that held it and may still, or none.
    slot: Operand,
    slot_came_first: bool,
}

/// The state of the forward walk.
#[derive(Debug)]
pub(super) struct Values {
    values: Vec<Value>,
    temps: Vec<Known>,
    /// What slots hold, with the generation in which that was found out.
    slots: Box<[(u32, Known); SLOT_COUNT]>,
    generation: u32,
    slot_class: fn(RegSlot) -> SlotClass,
    computed: HashMap<Computation, u32, BuildHasherDefault<Fold>>,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            temps: Vec::new(),
            slots: Box::new([(0, Known::None); SLOT_COUNT]),
            generation: 0,
            slot_class: |_| SlotClass::Integer,
            computed: HashMap::default(),
        }
    }
}

impl Values {
    /// Forgets everything, for a block of a guest with so many temporaries.
    pub(super) fn reset(&mut self, guest: &Guest, temps: u16) {
        self.slot_class = guest.slot_class;
        self.values.clear();
        self.temps.clear();
        self.temps.resize(usize::from(temps), Known::None);
        self.computed.clear();
        self.forget_slots();
    }

    /// Forgets what all slots hold.
    pub(super) fn forget_slots(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.slots.fill((0, Known::None));
            self.generation = 1;
        }
    }

    /// A value of which nothing is known but its width.
    pub(super) fn unknown(&mut self, bits: u32) -> Known {
        self.add(bits, Facts::unknown(bits), None)
    }

    pub(super) fn add(
        &mut self,
        bits: u32,
        facts: Facts,
        computation: Option<Computation>,
    ) -> Known {
        let index = self.values.len() as u32;
        let (temp, slot) = (Operand::NONE, Operand::NONE);
        let value = Value { bits, facts, computation, temp, slot, slot_came_first: false };
        self.values.push(value);
        Known::Value(index)
    }

    /// What an operand holds.
    pub(super) fn read(&mut self, block: &Block, operand: Operand) -> Known {
        match block.operand(operand) {
            OperandKind::None => Known::None,
            OperandKind::Const(value) => Known::Const(value),
            OperandKind::Temp(index) => self.temps[usize::from(index)],
            OperandKind::Slot(slot) => self.read_slot(slot),
        }
    }

    fn read_slot(&mut self, slot: RegSlot) -> Known {
        let (generation, known) = self.slots[slot.index()];
        if generation == self.generation {
            return known;
        }
        let known = self.unknown(self.slot_bits(slot));
        self.write_slot(slot, known);
        known
    }

    fn slot_bits(&self, slot: RegSlot) -> u32 {
        if (self.slot_class)(slot) == SlotClass::Vector { 128 } else { 64 }
    }

    /// Whether a slot is known to hold this already.
    pub(super) fn slot_holds(&self, slot: RegSlot, known: Known) -> bool {
        self.slots[slot.index()] == (self.generation, known)
    }

    pub(super) fn write_slot(&mut self, slot: RegSlot, known: Known) {
        self.slots[slot.index()] = (self.generation, known);
        let Known::Value(index) = known else { return };
        let bits = self.slot_bits(slot);
        let value = &mut self.values[index as usize];
        // A narrow copy of a value cannot stand for all of it.
        if bits < value.bits {
            return;
        }
        let stale = value
            .slot
            .as_slot()
            .is_none_or(|old| self.slots[old.index()] != (self.generation, known));
        if stale {
            value.slot = Operand::slot(slot);
            value.slot_came_first |= value.temp.is_none();
        }
    }

    pub(super) fn write_temp(&mut self, temp: u16, bits: u32, known: Known) {
        self.temps[usize::from(temp)] = known;
        let Known::Value(index) = known else { return };
        let value = &mut self.values[index as usize];
        // A narrow copy of a value cannot stand for all of it.
        if value.temp.is_none() && bits >= value.bits {
            value.temp = Operand::temp(temp);
        }
    }

    /// The slot that holds a value, if one still does.
    fn live_slot(&self, index: u32) -> Option<Operand> {
        let value = &self.values[index as usize];
        let slot = value.slot.as_slot()?;
        if is_seeded(Defect::ForwardsStaleSlots) {
            return Some(value.slot);
        }
        self.slot_holds(slot, Known::Value(index)).then_some(value.slot)
    }

    /// The operand that is best read for a value of [`Values`]: its first holder if it still
    /// holds it. `None` if nothing does any more.
    pub(super) fn holder(&self, index: u32) -> Option<Operand> {
        let value = &self.values[index as usize];
        let temp = (!value.temp.is_none()).then_some(value.temp);
        let slot = self.live_slot(index);
        if value.slot_came_first { slot.or(temp) } else { temp.or(slot) }
    }

    /// How many low bits a known operand has.
    pub(super) fn bits(&self, known: Known) -> u32 {
        match known {
            Known::Value(index) => self.values[index as usize].bits,
            Known::Const(_) => 64,
            Known::None => 0,
        }
    }

    pub(super) fn facts(&self, known: Known) -> Facts {
        match known {
            Known::Value(index) => self.values[index as usize].facts,
            Known::Const(value) => Facts::of(value),
            Known::None => Facts::unknown(64),
        }
    }

    /// How a value was computed, if that is known.
    pub(super) fn computation(&self, known: Known) -> Option<&Computation> {
        match known {
            Known::Value(index) => self.values[index as usize].computation.as_ref(),
            _ => None,
        }
    }

    /// The value of an equal computation, if there was one.
    pub(super) fn equal(&self, computation: &Computation) -> Option<u32> {
        self.computed.get(computation).copied()
    }

    /// Remembers how a value was computed, for [`Values::equal`].
    pub(super) fn remember(&mut self, computation: Computation, known: Known) {
        if let Known::Value(index) = known {
            self.computed.insert(computation, index);
        }
    }
}

/// The computation that an operation makes of what its operands hold.
pub(super) fn computation(inst: &Inst, args: [Known; 4]) -> Computation {
    Computation { op: inst.op, ty: inst.ty, aux: inst.aux, imm: inst.imm, args }
}

/// A hash for small keys that are written whole: fast, and good enough for a table that nobody
/// attacks.
#[derive(Default)]
pub(super) struct Fold(u64);

impl Fold {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.mix(byte.into()));
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_i32(&mut self, value: i32) {
        self.mix(u64::from(value as u32));
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value as u64);
    }
}
