//! How instructions reach the registers: the rules that hold for all of them.

use arch::riscv64::slot;
use base::HelperId;
use ir::{FpRound, Type, Val};

use super::{Flow, Insn};

impl<'b> Insn<'b> {
    /// x[n]: x0 is 0.
    #[inline]
    pub(super) fn x(&self, n: u8) -> Val<'b> {
        if n == 0 { self.konst(0) } else { self.b.slot(slot::x(n)) }
    }

    /// x[n] = value: a write to x0 vanishes.
    #[inline]
    pub(super) fn set_x(&self, n: u8, value: Val<'b>) -> Flow {
        if n != 0 {
            self.b.set_slot(slot::x(n), value);
        }
        Flow::Next
    }

    /// The 64 bits of f[n].
    #[inline]
    pub(super) fn f(&self, n: u8) -> Val<'b> {
        self.unit.write();
        self.b.slot(slot::f(n))
    }

    /// The same for an instruction that changes nothing of the floating-point unit, flags included.
    #[inline]
    pub(super) fn f_only(&self, n: u8) -> Val<'b> {
        self.unit.read();
        self.b.slot(slot::f(n))
    }

    /// All 64 bits of f[n] = value.
    #[inline]
    pub(super) fn set_f(&self, n: u8, value: Val<'b>) -> Flow {
        self.unit.write();
        self.b.set_slot(slot::f(n), value);
        Flow::Next
    }

    /// f[n] as binary64.
    #[inline]
    pub(super) fn d(&self, n: u8) -> Val<'b> {
        self.f(n).at(Type::F64)
    }

    /// f[n] as binary32: the canonical NaN if it is not NaN-boxed.
    #[inline]
    pub(super) fn s(&self, n: u8) -> Val<'b> {
        self.f(n).nan_unbox()
    }

    /// f[n] = value, a binary32, NaN-boxed.
    #[inline]
    pub(super) fn set_s(&self, n: u8, value: Val<'b>) -> Flow {
        self.set_f(n, value.nan_box())
    }

    /// f[n] = value, 16 bits with zeros above, NaN-boxed.
    #[inline]
    pub(super) fn set_h(&self, n: u8, value: Val<'b>) -> Flow {
        self.set_f(n, value | self.konst(!0xffff))
    }

    #[inline]
    pub(super) fn konst(&self, value: u64) -> Val<'b> {
        self.b.konst(value)
    }

    #[inline]
    pub(super) fn konst_w(&self, value: u64) -> Val<'b> {
        self.b.konst_of(Type::I32, value)
    }

    #[inline]
    pub(super) fn imm(&self, value: i64) -> Val<'b> {
        self.b.konst(value as u64)
    }

    /// Emits what `emit` does with the rounding mode of an `rm` field: static, or that of `frm`.
    /// Reserved modes, of either, make the instruction illegal (chapter F, "Floating-Point Control
    /// and Status Register").
    #[inline]
    pub(super) fn rounded(&self, rm: u8, emit: impl FnOnce(FpRound) -> Flow) -> Flow {
        const DYNAMIC: u8 = 7;
        let mode = if rm == DYNAMIC { self.frm } else { rm };
        FpRound::ALL.get(usize::from(mode)).map_or(Flow::Undefined, |&round| emit(round))
    }

    pub(super) fn call(&self, helper: HelperId, args: &[Val<'b>]) -> Val<'b> {
        self.b.call(helper, args)
    }

    /// As [`Insn::call`] for a helper that takes a rounding mode as its last argument.
    pub(super) fn call_rounded(
        &self,
        helper: HelperId,
        args: &[Val<'b>],
        round: FpRound,
    ) -> Val<'b> {
        let mut all = [self.konst(round as u64); 4];
        all[..args.len()].copy_from_slice(args);
        self.b.call(helper, &all[..=args.len()])
    }
}
