//! Blocks to text.

use std::fmt::{self, Display, Formatter};

use base::GuestVirt;
use base::cpu::{Admission, Approach};

use crate::block::{Block, BlockKey, Hint, Inst, Operand, OperandKind, Terminator};
use crate::guest::Guest;
use crate::ops::{Opcode, Shape, flag};
use crate::types::{FpMode, MemOrder};

/// Shows a block in the text form.
#[derive(Clone, Copy, Debug)]
pub struct DisplayBlock<'a> {
    block: &'a Block,
    guest: &'a Guest,
}

/// Shows one operation of a block in the text form.
#[derive(Clone, Copy, Debug)]
pub struct DisplayInst<'a> {
    inst: &'a Inst,
    block: &'a Block,
    guest: &'a Guest,
}

impl Block {
    /// The block as text, with the guest's names.
    #[must_use]
    pub fn display<'a>(&'a self, guest: &'a Guest) -> DisplayBlock<'a> {
        DisplayBlock { block: self, guest }
    }

    /// One of its operations as text, with the guest's names.
    #[must_use]
    pub fn display_inst<'a>(&'a self, inst: &'a Inst, guest: &'a Guest) -> DisplayInst<'a> {
        DisplayInst { inst, block: self, guest }
    }

    /// Guest bytes, guest instructions and temporaries, as far as they follow from the operations.
    pub(super) fn derived_sizes(&self) -> (u32, u32, u16) {
        let marks = || self.insts.iter().filter(|inst| inst.op == Opcode::Mark);
        let end = |mark: &Inst| (mark.imm as u32).saturating_add(u32::from(mark.aux));
        let bytes = marks().map(end).max().unwrap_or(0);
        let end_of = |inst: &Inst| {
            let numbers = if inst.result_type().is_vector() { 2 } else { 1 };
            inst.dst.as_temp().map(|temp| temp.saturating_add(numbers))
        };
        let temps = self.insts.iter().filter_map(end_of).max().unwrap_or(0);
        (bytes, marks().count() as u32, temps)
    }
}

impl Display for DisplayBlock<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { block, guest } = *self;
        write!(f, "block {:#x}", block.key.pc())?;
        if block.key.flags() != 0 {
            write!(f, "/{:#x}", block.key.flags() >> BlockKey::PC_BITS)?;
        }
        let (bytes, insns, temps) = block.derived_sizes();
        if bytes != block.guest_bytes {
            write!(f, " bytes {}", block.guest_bytes)?;
        }
        if insns != block.guest_insns {
            write!(f, " insns {}", block.guest_insns)?;
        }
        if temps != block.temps {
            write!(f, " temps {}", block.temps)?;
        }
        if block.admits != Admission::ALL {
            write!(f, " admits {}", block.admits.bits())?;
        }
        writeln!(f, " {{")?;
        for inst in &block.insts {
            writeln!(f, "  {}", block.display_inst(inst, guest))?;
        }
        write!(f, "  ")?;
        self.terminator(f)?;
        writeln!(f, "\n}}")
    }
}

impl DisplayBlock<'_> {
    fn terminator(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let operand = |operand| DisplayOperand { operand, block: self.block, guest: self.guest };
        match self.block.terminator {
            Terminator::Jump { target, hint } => {
                write!(f, "jump {target}{}", DisplayHint(hint))
            }
            Terminator::Branch { cond, taken, fallthrough } => {
                write!(f, "branch {}, {taken}, {fallthrough}", operand(cond))
            }
            Terminator::Indirect { target, hint, approach } => {
                write!(f, "indirect {}{}", operand(target), DisplayHint(hint))?;
                match approach {
                    Approach::PLAIN => Ok(()),
                    approach => write!(f, " by {}", approach.number()),
                }
            }
            Terminator::Trap { trap, pc } => write!(f, "trap {}, {pc}", trap.name()),
            Terminator::Lookup { target } => write!(f, "lookup {target}"),
        }
    }
}

struct DisplayHint(Hint);

impl Display for DisplayHint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Hint::Plain => Ok(()),
            Hint::Call(GuestVirt(back)) => write!(f, " call {back:#x}"),
            Hint::Return => write!(f, " return"),
            Hint::Far => write!(f, " far"),
        }
    }
}

struct DisplayOperand<'a> {
    operand: Operand,
    block: &'a Block,
    guest: &'a Guest,
}

impl Display for DisplayOperand<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.block.operand(self.operand) {
            OperandKind::None => write!(f, "_"),
            OperandKind::Temp(index) => write!(f, "%{index}"),
            OperandKind::Slot(slot) => match (self.guest.slot_name)(slot) {
                Some(name) => write!(f, "{name}"),
                None => write!(f, "${}", slot.0),
            },
            OperandKind::Const(value) if (value as i64).unsigned_abs() < 1024 => {
                write!(f, "{}", value as i64)
            }
            OperandKind::Const(value) => write!(f, "{value:#x}"),
        }
    }
}

impl Display for DisplayInst<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let inst = self.inst;
        if inst.op == Opcode::Mark {
            return write!(f, "{} {:#x} {}", inst.op.info().name, inst.imm, inst.aux);
        }
        if !inst.dst.is_none() {
            write!(f, "{} = ", self.operand(inst.dst))?;
        }
        write!(f, "{}", inst.op.info().name)?;
        self.suffixes(f)?;
        if inst.op.info().shape.is_call() { self.call(f) } else { self.arguments(f) }
    }
}

impl DisplayInst<'_> {
    fn operand(&self, operand: Operand) -> DisplayOperand<'_> {
        DisplayOperand { operand, block: self.block, guest: self.guest }
    }

    fn suffixes(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (inst, info) = (self.inst, self.inst.op.info());
        if inst.op.types().len() > 1 {
            write!(f, ".{}", inst.ty.name())?;
        }
        if !inst.op.other_types(inst.ty).is_empty() {
            write!(f, ".{}", inst.other_type().name())?;
        }
        if info.has(flag::ROUNDS) {
            write!(f, ".{}", inst.round().name())?;
        }
        if info.shape == Shape::Condition {
            write!(f, ".{}", inst.condition().name())?;
        }
        let modes = FpMode::NAMED.into_iter().filter(|&(mode, _)| inst.mode().has(mode));
        for (_, name) in modes.filter(|_| info.has(flag::FP_FLAGS)) {
            write!(f, ".{name}")?;
        }
        if info.shape.has_order() && inst.order() != MemOrder::Plain {
            write!(f, ".{}", inst.order().name())?;
        }
        Ok(())
    }

    fn arguments(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shape = self.inst.op.info().shape;
        for (index, &arg) in self.inst.args[..shape.operands()].iter().enumerate() {
            write!(f, "{}", if index == 0 { " " } else { ", " })?;
            if index == 0 && shape.has_address() {
                self.address(f)?;
            } else {
                write!(f, "{}", self.operand(arg))?;
            }
        }
        if shape.has_lane_number() {
            write!(f, ", {}", self.inst.imm)?;
        }
        if shape == Shape::Status {
            write!(f, ", {}", self.operand(Operand::slot(self.inst.first_slot())))?;
        }
        Ok(())
    }

    fn address(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.operand(self.inst.args[0]))?;
        match self.inst.imm {
            0 => {}
            offset @ 1.. => write!(f, " + {offset}")?,
            offset => write!(f, " - {}", offset.unsigned_abs())?,
        }
        write!(f, "]")
    }

    fn call(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.guest.helper(self.inst.helper()) {
            Some(helper) => write!(f, " {}(", helper.name)?,
            None => write!(f, " #{}(", self.inst.helper().0)?,
        }
        let count = self.inst.args.iter().rposition(|arg| !arg.is_none()).map_or(0, |i| i + 1);
        for (index, &arg) in self.inst.args[..count].iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", self.operand(arg))?;
        }
        write!(f, ")")
    }
}
