//! What scalar Advanced SIMD instructions have in common: the rest of the destination is zero. What
//! IR does with vectors only is done with a vector whose other lanes are zero: they stay so, raise
//! no flags and do not saturate.

use arch::aarch64::helpers::{self, Arg};
use base::HelperId;
use decoders::aarch64::{CvtS, ElemS, F2, F3, ShiftS};
use ir::{FpRound, Opcode, Type, Val};

use super::vector::{Sign, float, float_vector, int_vector, mode_number, scalar_arg};
use super::{Flow, Insn};
use Sign::{Signed, Unsigned};

impl<'b> Insn<'b> {
    /// Vd = all ones or zeros, of doublewords.
    pub(super) fn mask3(
        &self,
        F3 { rd, rn, rm, .. }: F3,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let [n, m] = [rn, rm].map(|n| self.low(n, Type::I64));
        self.set_scalar(rd, f(n, m).negate())
    }

    /// The same with zero.
    pub(super) fn mask2(
        &self,
        F2 { rd, rn, .. }: F2,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        self.set_scalar(rd, f(self.low(rn, Type::I64), self.konst(0)).negate())
    }

    /// Vd = all ones or zeros, of floats; helper(Vn, Vm) in half precision.
    pub(super) fn float_mask3(
        &self,
        args: F3,
        helper: HelperId,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let F3 { rd, rn, rm, size } = args;
        match float(size) {
            Some(ty) => self.set_mask(rd, size, f(self.low(rn, ty), self.low(rm, ty))),
            None => self.scalar_helper3(args, helper),
        }
    }

    /// The same with zero, which is the helper's first or second operand.
    pub(super) fn float_mask2(
        &self,
        F2 { rd, rn, size }: F2,
        (helper, first): (HelperId, Zero),
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        match float(size) {
            Some(ty) => self.set_mask(rd, size, f(self.low(rn, ty), self.b.konst_of(ty, 0))),
            None => {
                let (n, zeros) = (self.v(rn, Type::WIDE), self.b.zeros());
                let operands = if first == Zero::First { [zeros, n] } else { [n, zeros] };
                self.set_v(rd, self.call_v(helper, scalar_arg(size), &operands))
            }
        }
    }

    pub(super) fn set_mask(&self, rd: u8, size: u8, yes: Val<'b>) -> Flow {
        self.set_scalar(rd, yes.negate().at(int_vector(size).lane()))
    }

    /// Vd = helper(Vn, Vm), of doublewords, of one that computes all lanes.
    pub(super) fn pure_scalar3(&self, F3 { rd, rn, rm, size }: F3, helper: HelperId) -> Flow {
        let operands = [rn, rm].map(|n| self.v(n, Type::WIDE));
        self.scalar_of(rd, size, self.call_v(helper, scalar_arg(size), &operands))
    }

    /// Vd = helper(Vn, Vm, Vd), of one that saturates.
    pub(super) fn scalar_into(&self, F3 { rd, rn, rm, size }: F3, helper: HelperId) -> Flow {
        let operands = [rn, rm, rd].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helper, scalar_arg(size), &operands))
    }

    /// SUQADD and USQADD, which add to the destination.
    pub(super) fn saturate_scalar_into(&self, F2 { rd, rn, size }: F2, helper: HelperId) -> Flow {
        let operands = [rn, rd].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helper, scalar_arg(size), &operands))
    }

    /// Vd = f(Vn), of integers, where f of zeros is zero.
    pub(super) fn scalar_map2(
        &self,
        F2 { rd, rn, size }: F2,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        self.set_v(rd, f(self.scalar(rn, size)))
    }

    /// Vd = Vn saturated to half its width.
    pub(super) fn scalar_narrow(&self, F2 { rd, rn, size }: F2, op: Opcode) -> Flow {
        self.set_v(rd, self.scalar(rn, size + 1).sat_narrow(op))
    }

    /// To an integer of the same width.
    pub(super) fn round_scalar(&self, args: F2, sign: Sign, round: FpRound) -> Flow {
        let F2 { rd, rn, size } = args;
        let int = int_vector(size).lane();
        match (float(size), sign) {
            (Some(ty), Signed) => self.set_scalar(rd, self.low(rn, ty).fto_s(int, round).at(int)),
            (Some(ty), Unsigned) => self.set_scalar(rd, self.low(rn, ty).fto_u(int, round).at(int)),
            (None, Signed) => self.cvt(rd, rn, size, helpers::FCVTS, [mode_number(round), 0]),
            (None, Unsigned) => self.cvt(rd, rn, size, helpers::FCVTU, [mode_number(round), 0]),
        }
    }

    /// From an integer of the same width.
    pub(super) fn convert_scalar(&self, F2 { rd, rn, size }: F2, sign: Sign) -> Flow {
        self.convert_scalar_fixed(CvtS { rd, rn, size, fbits: 0 }, sign)
    }

    /// From a fixed-point number of the same width.
    pub(super) fn convert_scalar_fixed(
        &self,
        CvtS { rd, rn, fbits, size }: CvtS,
        sign: Sign,
    ) -> Flow {
        let Some(ty) = float(size) else {
            let helper = if sign == Signed { helpers::SCVTF } else { helpers::UCVTF };
            return self.cvt(rd, rn, size, helper, [0, fbits]);
        };
        let integer = self.low(rn, int_vector(size).lane());
        let value = match sign {
            Signed => integer.sto_f(ty, self.round()),
            Unsigned => integer.uto_f(ty, self.round()),
        };
        let scaled = if fbits == 0 { value } else { self.quotient_of_power(value, fbits) };
        self.set_scalar(rd, scaled)
    }

    /// A helper that takes two numbers.
    pub(super) fn cvt(&self, rd: u8, rn: u8, size: u8, helper: HelperId, [a, b]: [u8; 2]) -> Flow {
        let arg = scalar_arg(size).with(a).and(b);
        self.set_v(rd, self.call_v(helper, arg, &[self.v(rn, Type::WIDE)]))
    }

    /// Vd = f of the two lower elements of Vn; helper(Vn) in half precision.
    pub(super) fn pair(
        &self,
        F2 { rd, rn, size }: F2,
        helper: HelperId,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        match float_vector(size) {
            Some(ty) => {
                let high = self.v(rn, ty).lane_u(1);
                self.set_scalar(rd, f(self.low(rn, ty.lane()), high))
            }
            None => {
                let arg = Arg::lanes(size.into(), 2);
                self.set_v(rd, self.call_v(helper, arg, &[self.v(rn, Type::WIDE)]))
            }
        }
    }

    /// Vd = f(Vn) of an element that is shifted.
    pub(super) fn shift_scalar(
        &self,
        ShiftS { rd, rn, size, .. }: ShiftS,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        self.set_v(rd, f(self.scalar(rn, size)))
    }

    /// Vd = f(Vd, Vn) of an element that is shifted.
    pub(super) fn shift_scalar_into(
        &self,
        args: ShiftS,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let d = self.scalar(args.rd, args.size);
        self.shift_scalar(args, |n| f(d, n))
    }

    /// Vd = f(Vn), saturated to half its width.
    pub(super) fn shift_scalar_narrow(
        &self,
        ShiftS { rd, rn, size, .. }: ShiftS,
        op: Opcode,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        self.set_v(rd, f(self.scalar(rn, size + 1)).sat_narrow(op))
    }

    /// SQSHL and UQSHL (immediate): as those by register.
    pub(super) fn saturate_scalar_left(
        &self,
        ShiftS { rd, rn, shift, size }: ShiftS,
        helper: HelperId,
    ) -> Flow {
        let amount = self.splat(int_vector(size), shift.into());
        let operands = [self.v(rn, Type::WIDE), amount];
        self.set_v(rd, self.call_v(helper, scalar_arg(size), &operands))
    }

    /// Vd = helper(Vn, Vm[index], Vd), of one that raises flags or saturates.
    pub(super) fn element_scalar(
        &self,
        ElemS { rd, rn, rm, index, size }: ElemS,
        helper: HelperId,
    ) -> Flow {
        let element = self.element(rm, int_vector(size), index);
        let operands = [self.v(rn, Type::WIDE), element, self.v(rd, Type::WIDE)];
        self.set_v(rd, self.call_v(helper, scalar_arg(size), &operands))
    }

    /// The same of one that takes no destination.
    pub(super) fn element_scalar2(
        &self,
        ElemS { rd, rn, rm, index, size }: ElemS,
        helper: HelperId,
    ) -> Flow {
        let operands = [self.v(rn, Type::WIDE), self.element(rm, int_vector(size), index)];
        self.set_v(rd, self.call_v(helper, scalar_arg(size), &operands))
    }

    /// Vd = Vd + Vn × Vm[index], with the sign of Vn inverted or not.
    pub(super) fn element_scalar_fma(
        &self,
        args: ElemS,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
        signs: u8,
    ) -> Flow {
        let ElemS { rd, rn, rm, index, size } = args;
        match float_vector(size) {
            Some(ty) => {
                let m = self.v(rm, ty).lane_u(index.into());
                let (n, d) = (self.low(rn, ty.lane()), self.low(rd, ty.lane()));
                self.set_scalar(rd, f(n).fmul_add(m, d, self.round()))
            }
            None => {
                let element = self.element(rm, int_vector(size), index);
                let operands = [self.v(rn, Type::WIDE), element, self.v(rd, Type::WIDE)];
                let arg = scalar_arg(size).with(signs);
                self.set_v(rd, self.call_v(helpers::FMLA, arg, &operands))
            }
        }
    }
}

/// Where a helper has zero as operand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    First,
    Second,
}
