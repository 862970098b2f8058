//! How a guest describes itself to the layers that know no guest.

use base::cpu::{Effects, SLOT_COUNT};
use base::{Helper, HelperId, RegSlot};

use crate::Inst;

/// A guest architecture, as IR and what is below it see one.
#[derive(Debug)]
pub struct Guest {
    /// `riscv64`, `aarch64`, `x86_64`.
    pub name: &'static str,
    /// Name of a register slot in the text form; `None` if the guest has no such slot.
    pub slot_name: fn(RegSlot) -> Option<&'static str>,
    /// In which class of host register a slot's value is best kept.
    pub slot_class: fn(RegSlot) -> SlotClass,
    /// The functions that [`crate::Opcode::Call`] may name.
    pub helpers: &'static [Helper],
    /// The slot that holds the sticky floating-point exception flags, in the bit order of
    /// `base::float::Flags` (NX 1, UF 2, OF 4, DZ 8, NV 16, ID 32), and [`crate::ops::SATURATED`].
    pub fp_flags: RegSlot,
    /// The guest's floating-point rules.
    pub fp: FpRules,
    /// The slot that is the stack pointer by convention: accesses relative to it are private to
    /// the thread in practice.
    pub stack_pointer: RegSlot,
    /// Where a jump to an address that no code can have raises its exception.
    pub bad_jumps: BadJumps,
}

/// Which instruction a jump to an address that no code can have is an exception of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadJumps {
    /// That which would be at the target: its fetch faults.
    Target,
    /// The jump itself, which has had no effect.
    Jump,
}

/// The class of host register that suits a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotClass {
    /// General purpose.
    Integer,
    /// Scalar floating point.
    Float,
    /// Vectors: the slot is a *wide* one of 128 bits, which are its own 64 and those of the next slot.
    Vector,
}

/// Where guests differ in IEEE 754's freedoms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FpRules {
    /// NaN results are canonical; tininess after rounding; conversions of NaN give the maximum.
    RiscV,
    /// The first signalling NaN operand, else the first quiet one; tininess before rounding;
    /// conversions of NaN give zero (A-profile, FPCR.AH = 0).
    Arm,
    /// The first NaN operand, else the negative default NaN; subnormal operands raise "denormal
    /// operand"; tininess after rounding; conversions that are invalid give the integer indefinite; of
    /// minimum and maximum the second operand if either is a NaN or both are zeros (SSE and AVX).
    X86,
}

impl Guest {
    /// Whether a slot is a wide one.
    #[must_use]
    pub fn is_wide(&self, slot: RegSlot) -> bool {
        (self.slot_class)(slot) == SlotClass::Vector
    }

    /// The helper of that id; `None` if there is none.
    #[must_use]
    pub fn helper(&self, id: HelperId) -> Option<&'static Helper> {
        self.helpers.get(usize::from(id.0))
    }

    /// What the helper does that a call names, besides computing its result: anything, if there is none.
    #[must_use]
    pub fn effects(&self, call: &Inst) -> Effects {
        self.helper(call.helper()).map_or(Effects::Memory, |helper| helper.effects)
    }

    /// Whether it is a call that needs every register in the frame, and may change any of them there.
    #[must_use]
    pub fn uses_frame(&self, inst: &Inst) -> bool {
        inst.op.info().shape.is_call()
            && !matches!(self.effects(inst), Effects::Pure | Effects::FpFlags)
    }

    /// The slot of that name; `None` if there is none. Slow: it asks for every slot's name.
    #[must_use]
    pub fn slot_by_name(&self, name: &str) -> Option<RegSlot> {
        (0..SLOT_COUNT as u16).map(RegSlot).find(|&slot| (self.slot_name)(slot) == Some(name))
    }
}
