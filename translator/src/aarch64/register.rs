//! How instructions reach the registers: the rules that hold for all of them.

use arch::aarch64::slot;
use base::HelperId;
use ir::{Condition, Type, Val};

use super::{Flow, Insn, Stack, Tags};

/// What SP must be a multiple of where it is the base of an access.
const STACK_ALIGNMENT: u64 = 16;

/// The type of a general-purpose register of the size that `sf` says.
#[inline]
pub(super) fn width(sf: bool) -> Type {
    if sf { Type::I64 } else { Type::I32 }
}

impl<'b> Insn<'b> {
    /// X[n]: XZR for 31.
    #[inline]
    pub(super) fn x(&self, n: u8) -> Val<'b> {
        if n == 31 { self.konst(0) } else { self.b.slot(slot::x(n)) }
    }

    /// X[n], or SP for 31.
    #[inline]
    pub(super) fn x_or_sp(&self, n: u8) -> Val<'b> {
        self.b.slot(if n == 31 { slot::SP } else { slot::x(n) })
    }

    /// X[n] or W[n].
    #[inline]
    pub(super) fn r(&self, sf: bool, n: u8) -> Val<'b> {
        self.x(n).at(width(sf))
    }

    /// X[n] or W[n], or SP or WSP for 31.
    #[inline]
    pub(super) fn r_or_sp(&self, sf: bool, n: u8) -> Val<'b> {
        self.x_or_sp(n).at(width(sf))
    }

    /// X[n] = value: a write to XZR vanishes.
    #[inline]
    pub(super) fn set_x(&self, n: u8, value: Val<'b>) -> Flow {
        if n != 31 {
            self.b.set_slot(slot::x(n), value);
        }
        Flow::Next
    }

    /// X[n] = value, or SP for 31.
    #[inline]
    pub(super) fn set_x_or_sp(&self, n: u8, value: Val<'b>) -> Flow {
        if n == 31 {
            self.will_be_sp(value);
        }
        self.b.set_slot(if n == 31 { slot::SP } else { slot::x(n) }, value);
        Flow::Next
    }

    /// The same where the value is X[from] or SP plus or minus a multiple of `step`.
    #[inline]
    pub(super) fn step_x_or_sp(&self, n: u8, value: Val<'b>, (from, step): (u8, u64)) -> Flow {
        if (n, from) != (31, 31) || !step.is_multiple_of(STACK_ALIGNMENT) {
            return self.set_x_or_sp(n, value);
        }
        self.b.set_slot(slot::SP, value);
        Flow::Next
    }

    /// Accesses memory, and then X[n] or SP += step, which is of this value if it is a constant.
    pub(super) fn then_step(
        &self,
        n: u8,
        (step, known): (Val<'b>, Option<u64>),
        access: impl FnOnce() -> Flow,
    ) -> Flow {
        let is_multiple = known.is_some_and(|step| step.is_multiple_of(STACK_ALIGNMENT));
        if n == 31 && !is_multiple {
            self.will_be_sp(self.x_or_sp(n) + step);
        }
        let flow = access();
        self.b.set_slot(if n == 31 { slot::SP } else { slot::x(n) }, self.x_or_sp(n) + step);
        flow
    }

    /// A value that SP gets: in translations that do not check SP where it is used, it is checked here. Comes before
    /// all that the instruction does, since it may be executed again.
    fn will_be_sp(&self, value: Val<'b>) {
        if self.stack == Stack::Aligned {
            self.b.align_check(Type::WIDE, value);
        }
    }

    /// X[n], or SP for 31, as the base of an access: CheckSPAlignment.
    #[inline]
    pub(super) fn base(&self, n: u8) -> Val<'b> {
        let base = self.x_or_sp(n);
        if n == 31 && self.stack == Stack::Checked {
            self.b.align_check(Type::WIDE, base);
        }
        base
    }

    /// X[n] or W[n] = value, by its type; the upper half is then zero.
    #[inline]
    pub(super) fn set_r(&self, n: u8, value: Val<'b>) -> Flow {
        if n == 31 { Flow::Next } else { self.set_x(n, value.zext()) }
    }

    /// The same, or SP or WSP for 31.
    #[inline]
    pub(super) fn set_r_or_sp(&self, n: u8, value: Val<'b>) -> Flow {
        self.set_x_or_sp(n, value.zext())
    }

    #[inline]
    pub(super) fn konst(&self, value: u64) -> Val<'b> {
        self.b.konst(value)
    }

    #[inline]
    pub(super) fn imm(&self, value: i64) -> Val<'b> {
        self.b.konst(value as u64)
    }

    /// A constant of the size that `sf` says.
    #[inline]
    pub(super) fn konst_r(&self, sf: bool, value: u64) -> Val<'b> {
        self.b.konst_of(width(sf), if sf { value } else { value & 0xffff_ffff })
    }

    /// PSTATE's N, Z, C and V in bits 31 to 28.
    #[inline]
    pub(super) fn nzcv(&self) -> Val<'b> {
        self.b.slot(slot::NZCV)
    }

    #[inline]
    pub(super) fn set_nzcv(&self, flags: Val<'b>) -> Flow {
        self.b.set_slot(slot::NZCV, flags);
        Flow::Next
    }

    /// ConditionHolds(cond): 1 or 0; `None` if it always does.
    #[inline]
    pub(super) fn condition(&self, cond: u8) -> Option<Val<'b>> {
        Condition::ALL.get(usize::from(cond)).map(|&condition| self.nzcv().cond(condition))
    }

    /// Where the condition holds `if_true`, else `if_false`.
    pub(super) fn choose(&self, cond: u8, if_true: Val<'b>, if_false: Val<'b>) -> Val<'b> {
        match self.condition(cond) {
            Some(holds) => holds.select(if_true, if_false),
            None => if_true,
        }
    }

    /// An address, without its tag.
    #[inline]
    pub(super) fn untagged(&self, addr: Val<'b>) -> Val<'b> {
        match self.tags {
            Tags::Fault => addr,
            Tags::Ignored => addr & self.konst((1 << 56) - 1),
        }
    }

    #[inline]
    pub(super) fn call(&self, helper: HelperId, args: &[Val<'b>]) -> Val<'b> {
        self.b.call(helper, args)
    }
}
