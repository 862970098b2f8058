//! Advanced SIMD: vector by indexed element (Arm ARM, C4.1.96): one element of Vm is every element
//! of the second operand.

use arch::aarch64::helpers::{self, Arg};
use base::HelperId;
use decoders::aarch64::{ElemHalf, ElemRot, ElemV, SimdElement};
use ir::{Type, Val};

use super::simd_three_same::{Addition, Part};
use super::vector::{Arrangement, Rounded, Sign, float_vector};
use super::{Flow, Insn};
use Sign::{Signed, Unsigned};

impl<'b> Insn<'b> {
    /// Element `index` of V[m], everywhere.
    pub(super) fn element(&self, m: u8, ty: Type, index: u8) -> Val<'b> {
        let value = self.v(m, ty);
        let size = ty.lane().bytes().ilog2() as u8;
        Self::elements(value, value, Arrangement(2 * size + 1), |_| index)
    }

    /// Vd = f(Vd, Vn, Vm[index]), of integers.
    fn element_into(
        &self,
        ElemV { rd, rn, rm, index, t }: ElemV,
        f: impl FnOnce(Val<'b>, Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        let element = self.element(rm, t.ty(), index);
        self.set_vt(rd, t.full(), f(self.v(rd, t.ty()), self.v(rn, t.ty()), element))
    }

    /// Vd = f(Vd, Vn, Vm[index]), the latter two of elements widened.
    fn element_long(
        &self,
        ElemV { rd, rn, rm, index, t }: ElemV,
        sign: Sign,
        f: impl FnOnce(Val<'b>, Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        let (m, wide) = (self.v(rm, t.ty()), t.ty().widened());
        let element = match sign {
            Signed => m.lane_s(index.into()),
            Unsigned => m.lane_u(index.into()),
        };
        let element = self.b.splat(wide, element);
        self.set_v(rd, f(self.v(rd, wide), self.long(rn, t, sign), element))
    }

    fn element_doubling_long(&self, args: ElemV, helper: HelperId) -> Flow {
        let ElemV { rd, rn, rm, index, t } = args;
        let t = Arrangement(t);
        let operands = [self.half(rn, t.full()), self.element(rm, t.ty(), index)];
        self.doubling_long(rd, t, operands, helper)
    }

    /// Vd = helper(Vn, Vm[index], Vd), of one that raises flags or saturates.
    fn element_helper(
        &self,
        ElemV { rd, rn, rm, index, t }: ElemV,
        helper: HelperId,
        arg: Arg,
    ) -> Flow {
        let element = self.element(rm, Arrangement(t).ty(), index);
        let operands = [self.v(rn, Type::WIDE), element, self.v(rd, Type::WIDE)];
        self.set_v(rd, self.call_v(helper, arg, &operands))
    }

    /// Vd = f(Vn, Vm[index]) of floats; helper(Vn, Vm[index]) in half precision.
    fn float_element(
        &self,
        args: ElemV,
        helper: HelperId,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let ElemV { rd, rn, rm, index, t } = args;
        let t = Arrangement(t);
        match float_vector(t.size()) {
            Some(ty) => {
                let n = self.repeated(rn, t.full(), ty);
                self.set_vt(rd, t.full(), f(n, self.element(rm, ty, index)))
            }
            None => self.element_two(args, helper),
        }
    }

    /// Vd = helper(Vn, Vm[index]), of one that raises flags or saturates.
    fn element_two(&self, ElemV { rd, rn, rm, index, t }: ElemV, helper: HelperId) -> Flow {
        let t = Arrangement(t);
        let operands = [self.v(rn, Type::WIDE), self.element(rm, t.ty(), index)];
        self.set_v(rd, self.call_v(helper, t.arg(), &operands))
    }

    fn element_sqdmulh(&self, ElemV { rd, rn, rm, index, t }: ElemV, rounded: Rounded) -> Flow {
        let t = Arrangement(t);
        let operands = [self.counted(rn, t), self.element(rm, t.ty(), index)];
        self.set_v(rd, self.doubled_high(t, operands, rounded))
    }

    /// Vd = Vd + Vn × Vm[index], with the sign of Vn inverted or not.
    fn element_fma(&self, args: ElemV, f: impl FnOnce(Val<'b>) -> Val<'b>, signs: u8) -> Flow {
        let t = Arrangement(args.t);
        match float_vector(t.size()) {
            Some(ty) => {
                let d = self.repeated(args.rd, t.full(), ty);
                self.float_element(args, helpers::FMLA, |n, m| f(n).fmul_add(m, d, self.round()))
            }
            None => self.element_helper(args, helpers::FMLA, t.arg().with(signs)),
        }
    }

    /// Dot products: the element is a word of small ones. Raises no flags.
    fn element_dot(&self, args: ElemV, helper: HelperId, swapped: Swapped) -> Flow {
        let ElemV { rd, rn, rm, index, t } = args;
        let t = Arrangement(t);
        let (n, m) = (self.v(rn, Type::WIDE), self.element(rm, Type::I32x4, index));
        let (n, m) = if swapped == Swapped::Yes { (m, n) } else { (n, m) };
        let value = self.call_v(helper, t.arg(), &[n, m, self.v(rd, Type::WIDE)]);
        self.set_vt(rd, t.full(), value)
    }

    fn element_fmlal(&self, args: ElemV, part: Part, addition: Addition) -> Flow {
        let ElemV { rd, rn, rm, index, t } = args;
        let t = Arrangement(t);
        let operands = [self.half_elements(rn, t, part), self.element(rm, Type::I16x8, index)];
        self.half_products(rd, operands, t, addition)
    }
}

/// Whether a helper has the element as its first operand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Swapped {
    No,
    Yes,
}

impl SimdElement for Insn<'_> {
    /// SMLAL, SMLAL2 (by element): Vd[i] += Vn[i] × Vm[index]
    fn smlal_e(&self, args: ElemV) -> Flow {
        self.element_long(args, Signed, |d, n, m| d + n * m)
    }

    /// SQDMLAL, SQDMLAL2 (by element): Vd[i] = sat(Vd[i] + sat(2 × Vn[i] × Vm[index]))
    fn sqdmlal_e(&self, args: ElemV) -> Flow {
        self.element_doubling_long(args, helpers::SQDMLAL)
    }

    /// SMLSL, SMLSL2 (by element): Vd[i] -= Vn[i] × Vm[index]
    fn smlsl_e(&self, args: ElemV) -> Flow {
        self.element_long(args, Signed, |d, n, m| d - n * m)
    }

    /// SQDMLSL, SQDMLSL2 (by element): Vd[i] = sat(Vd[i] - sat(2 × Vn[i] × Vm[index]))
    fn sqdmlsl_e(&self, args: ElemV) -> Flow {
        self.element_doubling_long(args, helpers::SQDMLSL)
    }

    /// MUL (by element): Vd[i] = Vn[i] × Vm[index]
    fn mul_e(&self, args: ElemV) -> Flow {
        self.element_into(args, |_, n, m| n * m)
    }

    /// SMULL, SMULL2 (by element): Vd[i] = Vn[i] × Vm[index]
    fn smull_e(&self, args: ElemV) -> Flow {
        self.element_long(args, Signed, |_, n, m| n * m)
    }

    /// SQDMULL, SQDMULL2 (by element): Vd[i] = sat(2 × Vn[i] × Vm[index])
    fn sqdmull_e(&self, args: ElemV) -> Flow {
        self.element_doubling_long(args, helpers::SQDMULL)
    }

    /// SQDMULH (by element): Vd[i] = sat(the upper half of 2 × Vn[i] × Vm[index])
    fn sqdmulh_e(&self, args: ElemV) -> Flow {
        self.element_sqdmulh(args, Rounded::No)
    }

    /// SQRDMULH (by element): Vd[i] = sat(the upper half of 2 × Vn[i] × Vm[index], rounded)
    fn sqrdmulh_e(&self, args: ElemV) -> Flow {
        self.element_sqdmulh(args, Rounded::Yes)
    }

    /// FMLA (by element): Vd[i] += Vn[i] × Vm[index], rounded once
    fn fmla_e(&self, args: ElemV) -> Flow {
        self.element_fma(args, |n| n, 0)
    }

    /// FMLS (by element): Vd[i] -= Vn[i] × Vm[index], rounded once
    fn fmls_e(&self, args: ElemV) -> Flow {
        self.element_fma(args, Val::fneg, 1)
    }

    /// FMUL (by element): Vd[i] = Vn[i] × Vm[index]
    fn fmul_e(&self, args: ElemV) -> Flow {
        self.float_element(args, helpers::FMUL, |n, m| n.fmul(m, self.round()))
    }

    /// MLA (by element): Vd[i] += Vn[i] × Vm[index]
    fn mla_e(&self, args: ElemV) -> Flow {
        self.element_into(args, |d, n, m| d + n * m)
    }

    /// UMLAL, UMLAL2 (by element): Vd[i] += Vn[i] × Vm[index]
    fn umlal_e(&self, args: ElemV) -> Flow {
        self.element_long(args, Unsigned, |d, n, m| d + n * m)
    }

    /// MLS (by element): Vd[i] -= Vn[i] × Vm[index]
    fn mls_e(&self, args: ElemV) -> Flow {
        self.element_into(args, |d, n, m| d - n * m)
    }

    /// UMLSL, UMLSL2 (by element): Vd[i] -= Vn[i] × Vm[index]
    fn umlsl_e(&self, args: ElemV) -> Flow {
        self.element_long(args, Unsigned, |d, n, m| d - n * m)
    }

    /// UMULL, UMULL2 (by element): Vd[i] = Vn[i] × Vm[index]
    fn umull_e(&self, args: ElemV) -> Flow {
        self.element_long(args, Unsigned, |_, n, m| n * m)
    }

    /// FMULX (by element): Vd[i] = Vn[i] × Vm[index]; 2 for 0 × ∞
    fn fmulx_e(&self, args: ElemV) -> Flow {
        self.element_two(args, helpers::FMULX)
    }

    /// SDOT (by element): Vd[i] += the products of four bytes with those of Vm[index]
    fn sdot_e(&self, args: ElemV) -> Flow {
        self.element_dot(args, helpers::SDOT, Swapped::No)
    }

    /// UDOT (by element): the same, unsigned
    fn udot_e(&self, args: ElemV) -> Flow {
        self.element_dot(args, helpers::UDOT, Swapped::No)
    }

    /// SUDOT (by element): the same, Vn signed, Vm unsigned
    fn sudot_e(&self, args: ElemV) -> Flow {
        self.element_dot(args, helpers::USDOT, Swapped::Yes)
    }

    /// USDOT (by element): the same, Vn unsigned, Vm signed
    fn usdot_e(&self, args: ElemV) -> Flow {
        self.element_dot(args, helpers::USDOT, Swapped::No)
    }

    /// BFDOT (by element): Vd[i] += the products of two BFloat16 with those of Vm[index]
    fn bfdot_e(&self, args: ElemV) -> Flow {
        self.element_dot(args, helpers::BFDOT, Swapped::No)
    }

    /// BFMLALB, BFMLALT (by element): Vd[i] += Vn[j] × Vm[index], the even or odd BFloat16
    fn bfmlal_e(&self, ElemHalf { rd, rn, rm, index, q }: ElemHalf) -> Flow {
        let element = self.element(rm, Type::I16x8, index);
        let operands = [self.v(rn, Type::WIDE), element, self.v(rd, Type::WIDE)];
        let arg = Arg::lanes(2, 4).with(q.into());
        self.set_v(rd, self.call_v(helpers::BFMLAL, arg, &operands))
    }

    /// FMLAL (by element): Vd[i] += Vn[i] × Vm[index], from half precision, rounded once
    fn fmlal_e(&self, args: ElemV) -> Flow {
        self.element_fmlal(args, Part::First, Addition::Plus)
    }

    /// FMLSL (by element): Vd[i] -= Vn[i] × Vm[index]
    fn fmlsl_e(&self, args: ElemV) -> Flow {
        self.element_fmlal(args, Part::First, Addition::Minus)
    }

    /// FMLAL2 (by element): the same of the upper half
    fn fmlal2_e(&self, args: ElemV) -> Flow {
        self.element_fmlal(args, Part::Last, Addition::Plus)
    }

    /// FMLSL2 (by element): the same of the upper half
    fn fmlsl2_e(&self, args: ElemV) -> Flow {
        self.element_fmlal(args, Part::Last, Addition::Minus)
    }

    /// SQRDMLAH (by element): Vd[i] = sat(Vd[i] + the upper half of 2 × Vn[i] × Vm[index], rounded)
    fn sqrdmlah_e(&self, args: ElemV) -> Flow {
        self.element_helper(args, helpers::SQRDMLAH, Arrangement(args.t).arg())
    }

    /// SQRDMLSH (by element): Vd[i] = sat(Vd[i] - the upper half of 2 × Vn[i] × Vm[index], rounded)
    fn sqrdmlsh_e(&self, args: ElemV) -> Flow {
        self.element_helper(args, helpers::SQRDMLSH, Arrangement(args.t).arg())
    }

    /// FCMLA (by element): Vd += Vn × Vm[index], of complex numbers, one half of it
    fn fcmla_e(&self, ElemRot { rd, rn, rm, index, rot, t }: ElemRot) -> Flow {
        // A complex number is two elements.
        let pair = self.element(rm, Arrangement(t + 2).ty(), index);
        let operands = [self.v(rn, Type::WIDE), pair, self.v(rd, Type::WIDE)];
        let arg = Arrangement(t).arg().with(rot);
        self.set_v(rd, self.call_v(helpers::FCMLA, arg, &operands))
    }
}
