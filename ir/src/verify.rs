//! Which blocks are valid. The rules come from the table of operations; who runs, lowers or
//! optimises a block relies on all of them.

use base::cpu::{HelperCode, SLOT_COUNT, TEMP_COUNT};
use base::{HelperId, RegSlot};

use crate::block::{Block, Inst, Operand, OperandKind};
use crate::guest::Guest;
use crate::ops::{Opcode, Shape, flag};
use crate::status;
use crate::types::{Condition, FpMode, FpRound, MemOrder, Type};

/// Why a block is not valid. `at` is the index of the operation; the terminator counts as the one
/// after the last.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message beside each variant says what it is")]
pub enum VerifyError {
    #[error("the block does not start with a mark")]
    NoMark,
    #[error("op {at}: the mark's instruction has no length")]
    EmptyInstruction { at: usize },
    #[error("op {at}: the mark lies before the end of the instruction before it")]
    MarkOrder { at: usize },
    #[error("the marks make {marked} guest bytes, the block says {said}")]
    GuestBytes { marked: u32, said: u32 },
    #[error("the marks make {marked} guest instructions, the block says {said}")]
    GuestInsns { marked: u32, said: u32 },
    #[error("{temps} temporaries are more than a frame holds")]
    TooManyTemps { temps: u16 },
    #[error("op {at}: does not work at {}", ty.name())]
    Type { at: usize, ty: Type },
    #[error("op {at}: does not convert from or to {}", ty.name())]
    OtherType { at: usize, ty: Type },
    #[error("op {at}: aux {aux:#x} says something that the operation has no use for")]
    Aux { at: usize, aux: u16 },
    #[error("op {at}: imm {imm} says something that the operation has no use for")]
    Imm { at: usize, imm: i32 },
    #[error("op {at}: operand {index} is missing")]
    MissingOperand { at: usize, index: usize },
    #[error("op {at}: operand {index} is one too many")]
    ExtraOperand { at: usize, index: usize },
    #[error("op {at}: needs a place for its result")]
    MissingResult { at: usize },
    #[error("op {at}: has no result")]
    ExtraResult { at: usize },
    #[error("op {at}: a constant cannot be written")]
    ConstantResult { at: usize },
    #[error("op {at}: a slot takes 64 bits or 128, not {}", ty.name())]
    SlotWrite { at: usize, ty: Type },
    #[error("op {at}: slot {} has 64 bits, 128 are read", slot.0)]
    NarrowSlot { at: usize, slot: RegSlot },
    #[error("op {at}: operand {index} is a constant in place of a vector")]
    WideConstant { at: usize, index: usize },
    #[error("op {at}: does not name bytes of its operands by constants")]
    ShuffleBytes { at: usize },
    #[error("op {at}: %{temp} is defined a second time")]
    Redefined { at: usize, temp: u16 },
    #[error("op {at}: %{temp} is not defined here")]
    Undefined { at: usize, temp: u16 },
    #[error("op {at}: %{temp} is not below the block's number of temporaries")]
    TempRange { at: usize, temp: u16 },
    #[error("op {at}: %{temp} has {has} bits, {needs} are read")]
    NarrowTemp { at: usize, temp: u16, has: u32, needs: u32 },
    #[error("op {at}: the guest has no slot {}", slot.0)]
    Slot { at: usize, slot: RegSlot },
    #[error("op {at}: the pool has no constant {index}")]
    Pool { at: usize, index: usize },
    #[error("op {at}: the guest has no helper {}", helper.0)]
    Helper { at: usize, helper: HelperId },
}

/// Checks a block against every rule.
///
/// # Errors
/// The first rule that it breaks.
pub fn verify(block: &Block, guest: &Guest) -> Result<(), VerifyError> {
    if usize::from(block.temps) > TEMP_COUNT {
        return Err(VerifyError::TooManyTemps { temps: block.temps });
    }
    check_marks(block)?;
    let widths = vec![0; usize::from(block.temps)];
    let mut verifier = Verifier { block, guest, widths, at: 0 };
    for (at, inst) in block.insts.iter().enumerate() {
        verifier.at = at;
        verifier.inst(inst)?;
    }
    verifier.at = block.insts.len();
    match block.terminator.operand() {
        Some(operand) => verifier.operand(0, operand, Type::I64.bits()),
        None => Ok(()),
    }
}

/// In debug builds, checks a block that Ferry itself made.
///
/// # Panics
/// In debug builds, if the block breaks a rule; the message has the block's text.
pub fn verify_debug(block: &Block, guest: &Guest) {
    if cfg!(debug_assertions)
        && let Err(error) = verify(block, guest)
    {
        panic!("invalid block: {error}\n{}", block.display(guest));
    }
}

fn check_marks(block: &Block) -> Result<(), VerifyError> {
    if block.insts.first().is_none_or(|inst| inst.op != Opcode::Mark) {
        return Err(VerifyError::NoMark);
    }
    let (mut end, mut insns) = (0, 0);
    for (at, mark) in block.insts.iter().enumerate().filter(|(_, i)| i.op == Opcode::Mark) {
        if mark.aux == 0 {
            return Err(VerifyError::EmptyInstruction { at });
        }
        if mark.imm < end {
            return Err(VerifyError::MarkOrder { at });
        }
        end = mark.imm.saturating_add(i32::from(mark.aux));
        insns += 1;
    }
    if end as u32 != block.guest_bytes {
        return Err(VerifyError::GuestBytes { marked: end as u32, said: block.guest_bytes });
    }
    if insns != block.guest_insns {
        return Err(VerifyError::GuestInsns { marked: insns, said: block.guest_insns });
    }
    Ok(())
}

struct Verifier<'a> {
    block: &'a Block,
    guest: &'a Guest,
    /// Bits of each temporary that is defined; 0 for the others.
    widths: Vec<u32>,
    at: usize,
}

impl Verifier<'_> {
    fn inst(&mut self, inst: &Inst) -> Result<(), VerifyError> {
        let at = self.at;
        if !inst.op.types().contains(&inst.ty) {
            return Err(VerifyError::Type { at, ty: inst.ty });
        }
        self.aux(inst)?;
        self.imm(inst)?;
        self.operands(inst)?;
        self.result(inst)
    }

    fn aux(&self, inst: &Inst) -> Result<(), VerifyError> {
        let (at, aux, info) = (self.at, inst.aux, inst.op.info());
        if info.shape == Shape::Mark {
            return Ok(());
        }
        let mut rest = aux;
        if !inst.op.other_types(inst.ty).is_empty() {
            let other = Type::ALL.get(usize::from(aux >> 8)).copied();
            let ty = other.ok_or(VerifyError::Aux { at, aux })?;
            if !inst.op.other_types(inst.ty).contains(&ty) {
                return Err(VerifyError::OtherType { at, ty });
            }
            rest &= 0xff;
        }
        if info.has(flag::FP_FLAGS) {
            rest &= !Inst::mode_aux(FpMode::ALL);
        }
        let values = match info.shape {
            shape if shape.has_order() => MemOrder::ALL.len(),
            Shape::Condition => Condition::ALL.len(),
            _ if info.has(flag::ROUNDS) => FpRound::ALL.len(),
            _ => 1,
        };
        if usize::from(rest) < values { Ok(()) } else { Err(VerifyError::Aux { at, aux }) }
    }

    fn imm(&self, inst: &Inst) -> Result<(), VerifyError> {
        let shape = inst.op.info().shape;
        if shape == Shape::Status {
            return self.status_slots(inst);
        }
        let free = shape.has_address() || shape.is_call() || shape == Shape::Mark;
        let numbers = match shape {
            Shape::GetLane | Shape::SetLane => inst.ty.lanes(),
            Shape::ShiftLanes => inst.ty.lane().bits() + 1,
            _ => 1,
        };
        if free || (0..numbers as i32).contains(&inst.imm) {
            Ok(())
        } else {
            Err(VerifyError::Imm { at: self.at, imm: inst.imm })
        }
    }

    fn status_slots(&self, inst: &Inst) -> Result<(), VerifyError> {
        let Ok(first) = u16::try_from(inst.imm) else {
            return Err(VerifyError::Imm { at: self.at, imm: inst.imm });
        };
        (0..status::SLOTS).try_for_each(|index| self.slot(RegSlot(first.saturating_add(index))))
    }

    fn operands(&self, inst: &Inst) -> Result<(), VerifyError> {
        let at = self.at;
        let count = match inst.op.info().shape {
            Shape::Call | Shape::CallWide => self.helper_arguments(inst)?,
            shape => shape.operands(),
        };
        if inst.op == Opcode::Shuffle && !self.names_bytes(&inst.args[2..]) {
            return Err(VerifyError::ShuffleBytes { at });
        }
        for (index, &arg) in inst.args.iter().enumerate() {
            if index >= count {
                if !arg.is_none() {
                    return Err(VerifyError::ExtraOperand { at, index });
                }
                continue;
            }
            self.operand(index, arg, inst.operand_type(index).bits())?;
        }
        Ok(())
    }

    fn helper_arguments(&self, inst: &Inst) -> Result<usize, VerifyError> {
        let unknown = VerifyError::Helper { at: self.at, helper: inst.helper() };
        if u16::try_from(inst.imm).is_err() {
            return Err(unknown);
        }
        let helper = self.guest.helper(inst.helper()).ok_or(unknown.clone())?;
        match (inst.op, helper.code) {
            (Opcode::Call, HelperCode::Scalar(_)) | (Opcode::CallWide, HelperCode::Wide(_)) => {
                Ok(usize::from(helper.args))
            }
            _ => Err(unknown),
        }
    }

    /// Whether constants name bytes of two vectors.
    fn names_bytes(&self, constants: &[Operand]) -> bool {
        constants.iter().all(|&operand| match self.block.operand(operand) {
            OperandKind::Const(bytes) => bytes.to_le_bytes().iter().all(|&byte| byte < 32),
            _ => false,
        })
    }

    fn operand(&self, index: usize, operand: Operand, needs: u32) -> Result<(), VerifyError> {
        let at = self.at;
        if operand.is_none() {
            return Err(VerifyError::MissingOperand { at, index });
        }
        if let Some(temp) = operand.as_temp() {
            return match self.widths.get(usize::from(temp)) {
                None => Err(VerifyError::TempRange { at, temp }),
                Some(0) => Err(VerifyError::Undefined { at, temp }),
                Some(&has) if has < needs => Err(VerifyError::NarrowTemp { at, temp, has, needs }),
                Some(_) => Ok(()),
            };
        }
        if let Some(slot) = operand.as_slot() {
            self.slot(slot)?;
            let narrow = needs > 64 && !self.guest.is_wide(slot);
            return if narrow { Err(VerifyError::NarrowSlot { at, slot }) } else { Ok(()) };
        }
        if needs > 64 {
            return Err(VerifyError::WideConstant { at, index });
        }
        match operand.pool_index() {
            Some(index) if index >= self.block.pool.len() => Err(VerifyError::Pool { at, index }),
            _ => Ok(()),
        }
    }

    fn slot(&self, slot: RegSlot) -> Result<(), VerifyError> {
        if slot.index() < SLOT_COUNT && (self.guest.slot_name)(slot).is_some() {
            Ok(())
        } else {
            Err(VerifyError::Slot { at: self.at, slot })
        }
    }

    fn result(&mut self, inst: &Inst) -> Result<(), VerifyError> {
        let at = self.at;
        let shape = inst.op.info().shape;
        if inst.dst.is_none() {
            let needed = shape.has_result();
            return if needed { Err(VerifyError::MissingResult { at }) } else { Ok(()) };
        }
        if !shape.has_result() && !shape.is_call() {
            return Err(VerifyError::ExtraResult { at });
        }
        let ty = inst.result_type();
        if let Some(slot) = inst.dst.as_slot() {
            self.slot(slot)?;
            let bits = if self.guest.is_wide(slot) { 128 } else { 64 };
            let fits = ty.bits() == bits;
            return if fits { Ok(()) } else { Err(VerifyError::SlotWrite { at, ty }) };
        }
        let Some(temp) = inst.dst.as_temp() else {
            return Err(VerifyError::ConstantResult { at });
        };
        self.define(temp, ty.bits())?;
        // A wide temporary takes the number after its own, too.
        if ty.is_vector() { self.define(temp + 1, TAKEN) } else { Ok(()) }
    }

    fn define(&mut self, temp: u16, bits: u32) -> Result<(), VerifyError> {
        let at = self.at;
        match self.widths.get_mut(usize::from(temp)) {
            None => Err(VerifyError::TempRange { at, temp }),
            Some(width @ 0) => {
                *width = bits;
                Ok(())
            }
            Some(_) => Err(VerifyError::Redefined { at, temp }),
        }
    }
}

/// The width of a number that belongs to the wide temporary before it: too narrow for any operand.
const TAKEN: u32 = 1;

#[cfg(test)]
mod tests;
