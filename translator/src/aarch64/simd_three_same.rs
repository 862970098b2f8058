//! Advanced SIMD: three registers of the same type (Arm ARM, C4.1.96), half precision and extension included.

use arch::aarch64::helpers::{self, Arg};
use base::HelperId;
use base::defect::{Defect, is_seeded};
use decoders::aarch64::{Q3, Q3Half, Rot, SimdThreeSame, V3};
use ir::{Opcode, Type, Val};

use super::vector::{Arrangement, Rounded, Sign, float_vector};
use super::{Flow, Insn};
use Sign::{Signed, Unsigned};

impl<'b> Insn<'b> {
    /// Vd = f(Vd, Vn, Vm), element by element, of integers.
    fn map_into(&self, args: V3, f: impl FnOnce(Val<'b>, Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let d = self.v(args.rd, Arrangement(args.t).ty());
        self.map3(args, |n, m| f(d, n, m))
    }

    /// Vd = f(Vn, Vm), element by element, of floats; helper(Vn, Vm) in half precision.
    pub(super) fn float3(
        &self,
        args: V3,
        helper: HelperId,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let V3 { rd, rn, rm, t } = args;
        let t = Arrangement(t);
        match float_vector(t.size()) {
            Some(ty) => {
                let [n, m] = [rn, rm].map(|n| self.repeated(n, t.full(), ty));
                self.set_vt(rd, t.full(), f(n, m))
            }
            None => self.helper3(args, helper),
        }
    }

    /// Vd = Vd + Vn × Vm, with the sign of Vn inverted or not.
    fn float_fma(&self, args: V3, f: impl FnOnce(Val<'b>) -> Val<'b>, signs: u8) -> Flow {
        let t = Arrangement(args.t);
        match float_vector(t.size()) {
            Some(ty) => {
                let d = self.repeated(args.rd, t.full(), ty);
                self.float3(args, helpers::FMLA, |n, m| f(n).fmul_add(m, d, self.round()))
            }
            None => self.helper_into(args, helpers::FMLA, t.arg().with(signs)),
        }
    }

    /// Vd = f of the even and the odd elements of Vn, then Vm: of neighbours.
    fn pairs(&self, V3 { rd, rn, rm, t }: V3, f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let t = Arrangement(t);
        let (n, m) = (self.v(rn, t.ty()), self.v(rm, t.ty()));
        let [even, odd] = [0, 1].map(|odd| Self::elements(n, m, t, |i| 2 * i + odd));
        self.set_vt(rd, t.full(), f(even, odd))
    }

    /// The same of floats.
    fn float_pairs(
        &self,
        args: V3,
        helper: HelperId,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        match float_vector(Arrangement(args.t).size()) {
            Some(ty) => self.pairs(args, |even, odd| f(even.as_vector(ty), odd.as_vector(ty))),
            None => self.helper3(args, helper),
        }
    }

    /// The absolute difference.
    fn difference(n: Val<'b>, m: Val<'b>, sign: Sign) -> Val<'b> {
        match sign {
            Signed => n.max_s(m) - n.min_s(m),
            Unsigned => n.max_u(m) - n.min_u(m),
        }
    }

    /// (n + m) >> 1 without overflow: the bits that both have, and half of those that one has.
    fn half_of_sum(n: Val<'b>, m: Val<'b>, sign: Sign) -> Val<'b> {
        (n & m) + Self::lanes_shifted(n ^ m, sign, 1)
    }

    /// (n + m + 1) >> 1 without overflow.
    fn rounded_half_of_sum(n: Val<'b>, m: Val<'b>, sign: Sign) -> Val<'b> {
        match (sign, n.ty()) {
            (Unsigned, Type::I8x16 | Type::I16x8) => n.lanes(Opcode::AvgLanesU, m),
            _ => (n | m) - Self::lanes_shifted(n ^ m, sign, 1),
        }
    }

    /// (n - m) >> 1 without overflow: half of the bits that one has, less those that m alone has.
    fn half_of_difference(n: Val<'b>, m: Val<'b>, sign: Sign) -> Val<'b> {
        Self::lanes_shifted(n ^ m, sign, 1) - m.and_not(n)
    }

    /// All ones where an element is not zero.
    pub(super) fn nonzero(&self, value: Val<'b>) -> Val<'b> {
        !value.lanes(Opcode::LanesEq, self.b.zeros())
    }

    /// Vd = helper(Vn, Vm, Vd), of one that raises no flags, on whole registers.
    fn matrix(&self, Q3 { rd, rn, rm }: Q3, helper: HelperId) -> Flow {
        self.pure_into(V3 { rd, rn, rm, t: 5 }, helper)
    }

    /// FMLAL and its like: Vd = Vd ± Vn × Vm, of the halves from element `first` on.
    pub(super) fn half_products(
        &self,
        rd: u8,
        [n, m]: [Val<'b>; 2],
        t: Arrangement,
        addition: Addition,
    ) -> Flow {
        let arg = t.arg().with(addition as u8);
        self.set_v(rd, self.call_v(helpers::FMLAL, arg, &[n, m, self.v(rd, Type::WIDE)]))
    }

    /// The half-precision elements of V[n] that an instruction of this arrangement takes: the first or last of
    /// as many as there are results.
    pub(super) fn half_elements(&self, n: u8, t: Arrangement, part: Part) -> Val<'b> {
        let count = t.count() as u8;
        match part {
            Part::First => self.v(n, Type::WIDE),
            Part::Last if t.full() => self.half(n, true),
            Part::Last => {
                let value = self.v(n, Type::I16x8);
                Self::elements(value, value, Arrangement(3), |i| (i + count) % 8)
            }
        }
    }

    fn fmlal3(&self, V3 { rd, rn, rm, t }: V3, part: Part, addition: Addition) -> Flow {
        let t = Arrangement(t);
        let operands = [rn, rm].map(|n| self.half_elements(n, t, part));
        self.half_products(rd, operands, t, addition)
    }

    /// SQDMULH and SQRDMULH: the upper halves of doubled products. Of halfwords, for which they are
    /// much used, without a helper: a product shifted by one less, which saturates where both
    /// factors are the least number.
    pub(super) fn doubled_high(
        &self,
        t: Arrangement,
        [n, m]: [Val<'b>; 2],
        rounded: Rounded,
    ) -> Val<'b> {
        if t.size() != 1 {
            let helper = match rounded {
                Rounded::No => helpers::SQDMULH,
                Rounded::Yes => helpers::SQRDMULH,
            };
            return self.call_v(helper, t.arg(), &[n, m]);
        }
        let [low, high] = [Opcode::LengthenLowS, Opcode::LengthenHighS].map(|half| {
            let product = n.lengthen(half) * m.lengthen(half);
            let exact = match rounded {
                Rounded::No => product,
                Rounded::Yes => product + self.splat(Type::I32x4, 1 << 14),
            };
            exact.shr_lanes_s(15).sat_narrow(Opcode::SatNarrowS)
        });
        Self::shuffle(low, high, |i| if i < 8 { i } else { i + 8 })
    }

    fn sqdmulh3(&self, V3 { rd, rn, rm, t }: V3, rounded: Rounded) -> Flow {
        let t = Arrangement(t);
        self.set_v(rd, self.doubled_high(t, [rn, rm].map(|n| self.counted(n, t)), rounded))
    }

    fn sqrdml(&self, args: V3, helper: HelperId) -> Flow {
        self.helper_into(args, helper, Arrangement(args.t).arg())
    }
}

/// Which elements FMLAL (the first) and FMLAL2 (the last) multiply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    First,
    Last,
}

/// Whether products are added or subtracted, as helpers number it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Addition {
    Plus,
    Minus,
}

impl SimdThreeSame for Insn<'_> {
    /// SHADD: Vd[i] = (Vn[i] + Vm[i]) >> 1
    fn shadd(&self, args: V3) -> Flow {
        self.map3(args, |n, m| Self::half_of_sum(n, m, Signed))
    }

    /// SQADD: Vd[i] = sat(Vn[i] + Vm[i])
    fn sqadd_v(&self, args: V3) -> Flow {
        if is_seeded(Defect::SqaddWraps) {
            return self.saturate3(args, |n, m| n + m);
        }
        self.saturate3(args, |n, m| n.lanes(Opcode::SatAddS, m))
    }

    /// SRHADD: Vd[i] = (Vn[i] + Vm[i] + 1) >> 1
    fn srhadd(&self, args: V3) -> Flow {
        self.map3(args, |n, m| Self::rounded_half_of_sum(n, m, Signed))
    }

    /// SHSUB: Vd[i] = (Vn[i] - Vm[i]) >> 1
    fn shsub(&self, args: V3) -> Flow {
        self.map3(args, |n, m| Self::half_of_difference(n, m, Signed))
    }

    /// SQSUB: Vd[i] = sat(Vn[i] - Vm[i])
    fn sqsub_v(&self, args: V3) -> Flow {
        self.saturate3(args, |n, m| n.lanes(Opcode::SatSubS, m))
    }

    /// CMGT (register): Vd[i] = Vn[i] > Vm[i], all ones or zeros
    fn cmgt_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n.lanes(Opcode::LanesGtS, m))
    }

    /// CMGE (register): Vd[i] = Vn[i] >= Vm[i]
    fn cmge_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n.lanes(Opcode::LanesGeS, m))
    }

    /// SSHL: Vd[i] = Vn[i] << Vm[i], to the right if that is negative
    fn sshl_v(&self, args: V3) -> Flow {
        self.pure3(args, helpers::SSHL)
    }

    /// SQSHL (register): Vd[i] = sat(Vn[i] << Vm[i])
    fn sqshl_v(&self, args: V3) -> Flow {
        self.helper3(args, helpers::SQSHL)
    }

    /// SRSHL: Vd[i] = Vn[i] << Vm[i], rounded
    fn srshl_v(&self, args: V3) -> Flow {
        self.pure3(args, helpers::SRSHL)
    }

    /// SQRSHL: Vd[i] = sat(Vn[i] << Vm[i], rounded)
    fn sqrshl_v(&self, args: V3) -> Flow {
        self.helper3(args, helpers::SQRSHL)
    }

    /// SMAX: Vd[i] = the greater
    fn smax_v(&self, args: V3) -> Flow {
        self.map3(args, Val::max_s)
    }

    /// SMIN: Vd[i] = the smaller
    fn smin_v(&self, args: V3) -> Flow {
        self.map3(args, Val::min_s)
    }

    /// SABD: Vd[i] = |Vn[i] - Vm[i]|
    fn sabd(&self, args: V3) -> Flow {
        self.map3(args, |n, m| Self::difference(n, m, Signed))
    }

    /// SABA: Vd[i] += |Vn[i] - Vm[i]|
    fn saba(&self, args: V3) -> Flow {
        self.map_into(args, |d, n, m| d + Self::difference(n, m, Signed))
    }

    /// ADD (vector): Vd[i] = Vn[i] + Vm[i]
    fn add_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n + m)
    }

    /// CMTST: Vd[i] = (Vn[i] & Vm[i]) != 0
    fn cmtst_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| self.nonzero(n & m))
    }

    /// MLA (vector): Vd[i] += Vn[i] × Vm[i]
    fn mla_v(&self, args: V3) -> Flow {
        self.map_into(args, |d, n, m| d + n * m)
    }

    /// MUL (vector): Vd[i] = Vn[i] × Vm[i]
    fn mul_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n * m)
    }

    /// SMAXP: the greater of neighbours
    fn smaxp(&self, args: V3) -> Flow {
        self.pairs(args, Val::max_s)
    }

    /// SMINP: the smaller of neighbours
    fn sminp(&self, args: V3) -> Flow {
        self.pairs(args, Val::min_s)
    }

    /// SQDMULH (vector): Vd[i] = sat(the upper half of 2 × Vn[i] × Vm[i])
    fn sqdmulh_v(&self, args: V3) -> Flow {
        self.sqdmulh3(args, Rounded::No)
    }

    /// ADDP (vector): sums of neighbours
    fn addp_v(&self, args: V3) -> Flow {
        if is_seeded(Defect::AddpSwapsVectors) {
            return self.pairs(V3 { rn: args.rm, rm: args.rn, ..args }, |n, m| n + m);
        }
        self.pairs(args, |n, m| n + m)
    }

    /// FMAXNM (vector): Vd[i] = the greater, numbers before quiet NaNs
    fn fmaxnm_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FMAXNM, Val::fmax)
    }

    /// FMLA (vector): Vd[i] += Vn[i] × Vm[i], rounded once
    fn fmla_v(&self, args: V3) -> Flow {
        self.float_fma(args, |n| n, 0)
    }

    /// FADD (vector): Vd[i] = Vn[i] + Vm[i]
    fn fadd_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FADD, |n, m| n.fadd(m, self.round()))
    }

    /// FMULX: Vd[i] = Vn[i] × Vm[i]; 2 for 0 × ∞
    fn fmulx_v(&self, args: V3) -> Flow {
        self.helper3(args, helpers::FMULX)
    }

    /// FCMEQ (register): Vd[i] = Vn[i] == Vm[i]; quiet
    fn fcmeq_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FCMEQ, |n, m| n.lanes(Opcode::FLanesEq, m))
    }

    /// FMAX (vector): Vd[i] = the greater, or a NaN
    fn fmax_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FMAX, Val::fmaximum)
    }

    /// FRECPS: Vd[i] = 2 - Vn[i] × Vm[i]
    fn frecps_v(&self, args: V3) -> Flow {
        self.helper3(args, helpers::FRECPS)
    }

    /// AND (vector): Vd = Vn & Vm
    fn and_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n & m)
    }

    /// BIC (vector, register): Vd = Vn & ~Vm
    fn bic_v(&self, args: V3) -> Flow {
        self.map3(args, Val::and_not)
    }

    /// FMINNM (vector): Vd[i] = the smaller, numbers before quiet NaNs
    fn fminnm_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FMINNM, Val::fmin)
    }

    /// FMLS (vector): Vd[i] -= Vn[i] × Vm[i], rounded once
    fn fmls_v(&self, args: V3) -> Flow {
        self.float_fma(args, Val::fneg, 1)
    }

    /// FSUB (vector): Vd[i] = Vn[i] - Vm[i]
    fn fsub_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FSUB, |n, m| n.fsub(m, self.round()))
    }

    /// FMIN (vector): Vd[i] = the smaller, or a NaN
    fn fmin_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FMIN, Val::fminimum)
    }

    /// FRSQRTS: Vd[i] = (3 - Vn[i] × Vm[i]) ÷ 2
    fn frsqrts_v(&self, args: V3) -> Flow {
        self.helper3(args, helpers::FRSQRTS)
    }

    /// ORR (vector, register): Vd = Vn | Vm
    fn orr_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n | m)
    }

    /// ORN (vector): Vd = Vn | ~Vm
    fn orn_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n | !m)
    }

    /// UHADD: Vd[i] = (Vn[i] + Vm[i]) >> 1
    fn uhadd(&self, args: V3) -> Flow {
        self.map3(args, |n, m| Self::half_of_sum(n, m, Unsigned))
    }

    /// UQADD: Vd[i] = sat(Vn[i] + Vm[i])
    fn uqadd_v(&self, args: V3) -> Flow {
        self.saturate3(args, |n, m| n.lanes(Opcode::SatAddU, m))
    }

    /// URHADD: Vd[i] = (Vn[i] + Vm[i] + 1) >> 1
    fn urhadd(&self, args: V3) -> Flow {
        self.map3(args, |n, m| Self::rounded_half_of_sum(n, m, Unsigned))
    }

    /// UHSUB: Vd[i] = (Vn[i] - Vm[i]) >> 1
    fn uhsub(&self, args: V3) -> Flow {
        self.map3(args, |n, m| Self::half_of_difference(n, m, Unsigned))
    }

    /// UQSUB: Vd[i] = sat(Vn[i] - Vm[i])
    fn uqsub_v(&self, args: V3) -> Flow {
        self.saturate3(args, |n, m| n.lanes(Opcode::SatSubU, m))
    }

    /// CMHI (register): Vd[i] = Vn[i] > Vm[i], unsigned
    fn cmhi_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n.lanes(Opcode::LanesGtU, m))
    }

    /// CMHS (register): Vd[i] = Vn[i] >= Vm[i], unsigned
    fn cmhs_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n.lanes(Opcode::LanesGeU, m))
    }

    /// USHL: Vd[i] = Vn[i] << Vm[i], to the right if that is negative
    fn ushl_v(&self, args: V3) -> Flow {
        self.pure3(args, helpers::USHL)
    }

    /// UQSHL (register): Vd[i] = sat(Vn[i] << Vm[i])
    fn uqshl_v(&self, args: V3) -> Flow {
        self.helper3(args, helpers::UQSHL)
    }

    /// URSHL: Vd[i] = Vn[i] << Vm[i], rounded
    fn urshl_v(&self, args: V3) -> Flow {
        self.pure3(args, helpers::URSHL)
    }

    /// UQRSHL: Vd[i] = sat(Vn[i] << Vm[i], rounded)
    fn uqrshl_v(&self, args: V3) -> Flow {
        self.helper3(args, helpers::UQRSHL)
    }

    /// UMAX: Vd[i] = the greater
    fn umax_v(&self, args: V3) -> Flow {
        self.map3(args, Val::max_u)
    }

    /// UMIN: Vd[i] = the smaller
    fn umin_v(&self, args: V3) -> Flow {
        self.map3(args, Val::min_u)
    }

    /// UABD: Vd[i] = |Vn[i] - Vm[i]|
    fn uabd(&self, args: V3) -> Flow {
        self.map3(args, |n, m| Self::difference(n, m, Unsigned))
    }

    /// UABA: Vd[i] += |Vn[i] - Vm[i]|
    fn uaba(&self, args: V3) -> Flow {
        self.map_into(args, |d, n, m| d + Self::difference(n, m, Unsigned))
    }

    /// SUB (vector): Vd[i] = Vn[i] - Vm[i]
    fn sub_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n - m)
    }

    /// CMEQ (register): Vd[i] = Vn[i] == Vm[i]
    fn cmeq_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n.lanes(Opcode::LanesEq, m))
    }

    /// MLS (vector): Vd[i] -= Vn[i] × Vm[i]
    fn mls_v(&self, args: V3) -> Flow {
        self.map_into(args, |d, n, m| d - n * m)
    }

    /// PMUL: Vd[i] = Vn[i] × Vm[i], polynomials over {0, 1}
    fn pmul(&self, args: V3) -> Flow {
        self.pure3(args, helpers::PMUL)
    }

    /// UMAXP: the greater of neighbours
    fn umaxp(&self, args: V3) -> Flow {
        self.pairs(args, Val::max_u)
    }

    /// UMINP: the smaller of neighbours
    fn uminp(&self, args: V3) -> Flow {
        self.pairs(args, Val::min_u)
    }

    /// SQRDMULH (vector): Vd[i] = sat(the upper half of 2 × Vn[i] × Vm[i], rounded)
    fn sqrdmulh_v(&self, args: V3) -> Flow {
        self.sqdmulh3(args, Rounded::Yes)
    }

    /// FMAXNMP (vector): the greater of neighbours, numbers before quiet NaNs
    fn fmaxnmp_v(&self, args: V3) -> Flow {
        self.float_pairs(args, helpers::FMAXNMP, Val::fmax)
    }

    /// FADDP (vector): sums of neighbours
    fn faddp_v(&self, args: V3) -> Flow {
        self.float_pairs(args, helpers::FADDP, |n, m| n.fadd(m, self.round()))
    }

    /// FMUL (vector): Vd[i] = Vn[i] × Vm[i]
    fn fmul_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FMUL, |n, m| n.fmul(m, self.round()))
    }

    /// FCMGE (register): Vd[i] = Vn[i] >= Vm[i]; signalling
    fn fcmge_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FCMGE, |n, m| n.lanes(Opcode::FLanesGe, m))
    }

    /// FACGE: Vd[i] = |Vn[i]| >= |Vm[i]|; signalling
    fn facge_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FACGE, |n, m| n.fabs().lanes(Opcode::FLanesGe, m.fabs()))
    }

    /// FMAXP (vector): the greater of neighbours, or a NaN
    fn fmaxp_v(&self, args: V3) -> Flow {
        self.float_pairs(args, helpers::FMAXP, Val::fmaximum)
    }

    /// FDIV (vector): Vd[i] = Vn[i] ÷ Vm[i]
    fn fdiv_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FDIV, |n, m| n.fdiv(m, self.round()))
    }

    /// EOR (vector): Vd = Vn ^ Vm
    fn eor_v(&self, args: V3) -> Flow {
        self.map3(args, |n, m| n ^ m)
    }

    /// BSL: Vd = Vn where Vd is 1, else Vm
    fn bsl(&self, args: V3) -> Flow {
        self.map_into(args, |d, n, m| d.bit_select(n, m))
    }

    /// FMINNMP (vector): the smaller of neighbours, numbers before quiet NaNs
    fn fminnmp_v(&self, args: V3) -> Flow {
        self.float_pairs(args, helpers::FMINNMP, Val::fmin)
    }

    /// FABD: Vd[i] = |Vn[i] - Vm[i]|
    fn fabd_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FABD, |n, m| n.fsub(m, self.round()).fabs())
    }

    /// FCMGT (register): Vd[i] = Vn[i] > Vm[i]; signalling
    fn fcmgt_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FCMGT, |n, m| n.lanes(Opcode::FLanesGt, m))
    }

    /// FACGT: Vd[i] = |Vn[i]| > |Vm[i]|; signalling
    fn facgt_v(&self, args: V3) -> Flow {
        self.float3(args, helpers::FACGT, |n, m| n.fabs().lanes(Opcode::FLanesGt, m.fabs()))
    }

    /// FMINP (vector): the smaller of neighbours, or a NaN
    fn fminp_v(&self, args: V3) -> Flow {
        self.float_pairs(args, helpers::FMINP, Val::fminimum)
    }

    /// BIT: Vd = Vn where Vm is 1
    fn bit(&self, args: V3) -> Flow {
        self.map_into(args, |d, n, m| m.bit_select(n, d))
    }

    /// BIF: Vd = Vn where Vm is 0
    fn bif(&self, args: V3) -> Flow {
        self.map_into(args, |d, n, m| m.bit_select(d, n))
    }

    /// FMLAL (vector): Vd[i] += Vn[i] × Vm[i], from half precision, rounded once
    fn fmlal(&self, args: V3) -> Flow {
        self.fmlal3(args, Part::First, Addition::Plus)
    }

    /// FMLSL (vector): Vd[i] -= Vn[i] × Vm[i]
    fn fmlsl(&self, args: V3) -> Flow {
        self.fmlal3(args, Part::First, Addition::Minus)
    }

    /// FMLAL2 (vector): the same of the upper halves
    fn fmlal2(&self, args: V3) -> Flow {
        self.fmlal3(args, Part::Last, Addition::Plus)
    }

    /// FMLSL2 (vector): the same of the upper halves
    fn fmlsl2(&self, args: V3) -> Flow {
        self.fmlal3(args, Part::Last, Addition::Minus)
    }

    /// SDOT (vector): Vd[i] += the products of four bytes each
    fn sdot(&self, args: V3) -> Flow {
        self.pure_into(args, helpers::SDOT)
    }

    /// UDOT (vector): the same, unsigned
    fn udot(&self, args: V3) -> Flow {
        self.pure_into(args, helpers::UDOT)
    }

    /// USDOT (vector): the same, Vn unsigned, Vm signed
    fn usdot(&self, args: V3) -> Flow {
        self.pure_into(args, helpers::USDOT)
    }

    /// SMMLA: Vd += Vn × the transpose of Vm, of 2×8 matrices
    fn smmla(&self, args: Q3) -> Flow {
        self.matrix(args, helpers::SMMLA)
    }

    /// USMMLA: the same, Vn unsigned, Vm signed
    fn usmmla(&self, args: Q3) -> Flow {
        self.matrix(args, helpers::USMMLA)
    }

    /// UMMLA: the same, unsigned
    fn ummla(&self, args: Q3) -> Flow {
        self.matrix(args, helpers::UMMLA)
    }

    /// SQRDMLAH (vector): Vd[i] = sat(Vd[i] + the upper half of 2 × Vn[i] × Vm[i], rounded)
    fn sqrdmlah_v(&self, args: V3) -> Flow {
        self.sqrdml(args, helpers::SQRDMLAH)
    }

    /// SQRDMLSH (vector): Vd[i] = sat(Vd[i] - the upper half of 2 × Vn[i] × Vm[i], rounded)
    fn sqrdmlsh_v(&self, args: V3) -> Flow {
        self.sqrdml(args, helpers::SQRDMLSH)
    }

    /// FCMLA: Vd += Vn × Vm, of complex numbers, one half of it
    fn fcmla(&self, Rot { rd, rn, rm, rot, t }: Rot) -> Flow {
        self.helper_into(V3 { rd, rn, rm, t }, helpers::FCMLA, Arrangement(t).arg().with(rot))
    }

    /// FCADD: Vd = Vn + Vm turned by 90 (rot = 0) or 270 degrees, of complex numbers
    fn fcadd(&self, Rot { rd, rn, rm, rot, t }: Rot) -> Flow {
        let arg = Arrangement(t).arg().with(2 * rot + 1);
        let operands = [rn, rm].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helpers::FCADD, arg, &operands))
    }

    /// BFMMLA: Vd += Vn × the transpose of Vm, of 2×4 matrices
    fn bfmmla(&self, args: Q3) -> Flow {
        self.matrix(args, helpers::BFMMLA)
    }

    /// BFDOT (vector): Vd[i] += the products of two BFloat16 each
    fn bfdot(&self, args: V3) -> Flow {
        self.pure_into(args, helpers::BFDOT)
    }

    /// BFMLALB, BFMLALT (vector): Vd[i] += Vn[j] × Vm[j], the even or odd BFloat16
    fn bfmlal(&self, Q3Half { rd, rn, rm, q }: Q3Half) -> Flow {
        let arg = Arg::lanes(2, 4).with(q.into());
        self.helper_into(V3 { rd, rn, rm, t: 5 }, helpers::BFMLAL, arg)
    }
}
