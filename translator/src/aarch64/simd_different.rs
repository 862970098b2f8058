//! Advanced SIMD: three registers of different types (Arm ARM, C4.1.96), long, wide and narrow.
//! With `2` in its name an instruction takes or writes upper halves.

use arch::aarch64::helpers::{self, Arg};
use base::HelperId;
use decoders::aarch64::{Q3Half, SimdDifferent, V3};
use ir::{Type, Val};

use super::vector::{Arrangement, Rounded, Sign, bits};
use super::{Flow, Insn};
use Sign::{Signed, Unsigned};

impl<'b> Insn<'b> {
    /// Vd = f(Vn, Vm), of elements widened.
    fn long3(
        &self,
        V3 { rd, rn, rm, t }: V3,
        sign: Sign,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        self.set_v(rd, f(self.long(rn, t, sign), self.long(rm, t, sign)))
    }

    /// Vd = f(Vd, Vn, Vm), the latter two of elements widened.
    fn long_into(
        &self,
        args: V3,
        sign: Sign,
        f: impl FnOnce(Val<'b>, Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let d = self.v(args.rd, Arrangement(args.t).ty().widened());
        self.long3(args, sign, |n, m| f(d, n, m))
    }

    /// Vd = f(Vn, Vm), the latter of elements widened.
    fn wide3(
        &self,
        V3 { rd, rn, rm, t }: V3,
        sign: Sign,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        self.set_v(rd, f(self.v(rn, t.ty().widened()), self.long(rm, t, sign)))
    }

    /// Vd = the upper halves of the elements of f(Vn, Vm), with a number added before.
    fn high_halves(
        &self,
        V3 { rd, rn, rm, t }: V3,
        rounded: Rounded,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        let wide = t.ty().widened();
        let exact = f(self.v(rn, wide), self.v(rm, wide));
        let value = match rounded {
            Rounded::No => exact,
            Rounded::Yes => exact + self.splat(wide, 1 << (bits(t.size()) - 1)),
        };
        self.set_truncated(rd, t, value.shr_lanes_u(bits(t.size())))
    }

    /// The absolute difference of widened elements.
    fn distance(n: Val<'b>, m: Val<'b>) -> Val<'b> {
        // The difference fits the wide element with its sign.
        (n - m).abs_lanes()
    }

    /// Vd = helper(Vn, Vm, Vd), of saturating doubling products.
    pub(super) fn doubling_long(
        &self,
        rd: u8,
        t: Arrangement,
        [n, m]: [Val<'b>; 2],
        helper: HelperId,
    ) -> Flow {
        let arg = Arg::lanes(t.size().into(), Arrangement(t.0 & !1).count());
        self.set_v(rd, self.call_v(helper, arg, &[n, m, self.v(rd, Type::WIDE)]))
    }

    fn doubling3(&self, V3 { rd, rn, rm, t }: V3, helper: HelperId) -> Flow {
        let t = Arrangement(t);
        self.doubling_long(rd, t, [rn, rm].map(|n| self.half(n, t.full())), helper)
    }
}

impl SimdDifferent for Insn<'_> {
    /// SADDL, SADDL2: Vd[i] = Vn[i] + Vm[i]
    fn saddl(&self, args: V3) -> Flow {
        self.long3(args, Signed, |n, m| n + m)
    }

    /// SADDW, SADDW2: Vd[i] = Vn[i] + Vm[i]
    fn saddw(&self, args: V3) -> Flow {
        self.wide3(args, Signed, |n, m| n + m)
    }

    /// SSUBL, SSUBL2: Vd[i] = Vn[i] - Vm[i]
    fn ssubl(&self, args: V3) -> Flow {
        self.long3(args, Signed, |n, m| n - m)
    }

    /// SSUBW, SSUBW2: Vd[i] = Vn[i] - Vm[i]
    fn ssubw(&self, args: V3) -> Flow {
        self.wide3(args, Signed, |n, m| n - m)
    }

    /// ADDHN, ADDHN2: Vd[i] = the upper half of Vn[i] + Vm[i]
    fn addhn(&self, args: V3) -> Flow {
        self.high_halves(args, Rounded::No, |n, m| n + m)
    }

    /// SABAL, SABAL2: Vd[i] += |Vn[i] - Vm[i]|
    fn sabal(&self, args: V3) -> Flow {
        self.long_into(args, Signed, |d, n, m| d + Self::distance(n, m))
    }

    /// SUBHN, SUBHN2: Vd[i] = the upper half of Vn[i] - Vm[i]
    fn subhn(&self, args: V3) -> Flow {
        self.high_halves(args, Rounded::No, |n, m| n - m)
    }

    /// SABDL, SABDL2: Vd[i] = |Vn[i] - Vm[i]|
    fn sabdl(&self, args: V3) -> Flow {
        self.long3(args, Signed, Self::distance)
    }

    /// SMLAL, SMLAL2 (vector): Vd[i] += Vn[i] × Vm[i]
    fn smlal(&self, args: V3) -> Flow {
        self.long_into(args, Signed, |d, n, m| d + n * m)
    }

    /// SQDMLAL, SQDMLAL2 (vector): Vd[i] = sat(Vd[i] + sat(2 × Vn[i] × Vm[i]))
    fn sqdmlal_v(&self, args: V3) -> Flow {
        self.doubling3(args, helpers::SQDMLAL)
    }

    /// SMLSL, SMLSL2 (vector): Vd[i] -= Vn[i] × Vm[i]
    fn smlsl(&self, args: V3) -> Flow {
        self.long_into(args, Signed, |d, n, m| d - n * m)
    }

    /// SQDMLSL, SQDMLSL2 (vector): Vd[i] = sat(Vd[i] - sat(2 × Vn[i] × Vm[i]))
    fn sqdmlsl_v(&self, args: V3) -> Flow {
        self.doubling3(args, helpers::SQDMLSL)
    }

    /// SMULL, SMULL2 (vector): Vd[i] = Vn[i] × Vm[i]
    fn smull_v(&self, args: V3) -> Flow {
        self.long3(args, Signed, |n, m| n * m)
    }

    /// SQDMULL, SQDMULL2 (vector): Vd[i] = sat(2 × Vn[i] × Vm[i])
    fn sqdmull_v(&self, args: V3) -> Flow {
        self.doubling3(args, helpers::SQDMULL)
    }

    /// PMULL, PMULL2 of bytes: Vd[i] = Vn[i] × Vm[i], polynomials over {0, 1}
    fn pmull(&self, V3 { rd, rn, rm, t }: V3) -> Flow {
        let helper = if t & 1 == 0 { helpers::PMULL } else { helpers::PMULL2 };
        let operands = [rn, rm].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helper, Arg::lanes(0, 8), &operands))
    }

    /// UADDL, UADDL2: Vd[i] = Vn[i] + Vm[i]
    fn uaddl(&self, args: V3) -> Flow {
        self.long3(args, Unsigned, |n, m| n + m)
    }

    /// UADDW, UADDW2: Vd[i] = Vn[i] + Vm[i]
    fn uaddw(&self, args: V3) -> Flow {
        self.wide3(args, Unsigned, |n, m| n + m)
    }

    /// USUBL, USUBL2: Vd[i] = Vn[i] - Vm[i]
    fn usubl(&self, args: V3) -> Flow {
        self.long3(args, Unsigned, |n, m| n - m)
    }

    /// USUBW, USUBW2: Vd[i] = Vn[i] - Vm[i]
    fn usubw(&self, args: V3) -> Flow {
        self.wide3(args, Unsigned, |n, m| n - m)
    }

    /// RADDHN, RADDHN2: Vd[i] = the upper half of Vn[i] + Vm[i], rounded
    fn raddhn(&self, args: V3) -> Flow {
        self.high_halves(args, Rounded::Yes, |n, m| n + m)
    }

    /// UABAL, UABAL2: Vd[i] += |Vn[i] - Vm[i]|
    fn uabal(&self, args: V3) -> Flow {
        self.long_into(args, Unsigned, |d, n, m| d + Self::distance(n, m))
    }

    /// RSUBHN, RSUBHN2: Vd[i] = the upper half of Vn[i] - Vm[i], rounded
    fn rsubhn(&self, args: V3) -> Flow {
        self.high_halves(args, Rounded::Yes, |n, m| n - m)
    }

    /// UABDL, UABDL2: Vd[i] = |Vn[i] - Vm[i]|
    fn uabdl(&self, args: V3) -> Flow {
        self.long3(args, Unsigned, Self::distance)
    }

    /// UMLAL, UMLAL2 (vector): Vd[i] += Vn[i] × Vm[i]
    fn umlal(&self, args: V3) -> Flow {
        self.long_into(args, Unsigned, |d, n, m| d + n * m)
    }

    /// UMLSL, UMLSL2 (vector): Vd[i] -= Vn[i] × Vm[i]
    fn umlsl(&self, args: V3) -> Flow {
        self.long_into(args, Unsigned, |d, n, m| d - n * m)
    }

    /// UMULL, UMULL2 (vector): Vd[i] = Vn[i] × Vm[i]
    fn umull_v(&self, args: V3) -> Flow {
        self.long3(args, Unsigned, |n, m| n * m)
    }

    /// PMULL, PMULL2 of doublewords: Vd = Vn[q] × Vm[q], polynomials over {0, 1}
    fn pmull_d(&self, Q3Half { rd, rn, rm, q }: Q3Half) -> Flow {
        let helper = if q { helpers::PMULL2_D } else { helpers::PMULL_D };
        let operands = [rn, rm].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helper, Arg::lanes(3, 1), &operands))
    }
}
