//! Advanced SIMD: two registers, half precision included, and operations across lanes (Arm ARM, C4.1.96).

use arch::aarch64::helpers::{self, Arg};
use base::HelperId;
use decoders::aarch64::{CvtV, SimdTwoReg, V2};
use ir::{FpRound, Opcode, Type, Val};

use super::fp::DYNAMIC;
use super::scalar::Zero;
use super::vector::{Arrangement, Sign, bits, float_vector, mode_number};
use super::{Flow, Insn};
use Sign::{Signed, Unsigned};

impl<'b> Insn<'b> {
    /// Elements in reverse order within groups of `group` bytes.
    fn reverse(&self, args: V2, group: u8) -> Flow {
        let t = Arrangement(args.t);
        let last = (group >> t.size()) - 1;
        self.map2(args, |n| Self::elements(n, n, t, |i| i ^ last))
    }

    /// Sums of neighbours, of twice their width.
    fn sums_of_pairs(&self, n: u8, t: Arrangement, sign: Sign) -> Val<'b> {
        let width = bits(t.size()) as u8;
        let pairs = self.v(n, t.ty().widened());
        let low = Self::lanes_shifted(pairs.shl_lanes(width.into()), sign, width);
        low + Self::lanes_shifted(pairs, sign, width)
    }

    fn set_sums_of_pairs(&self, V2 { rd, rn, t }: V2, sign: Sign) -> Flow {
        let t = Arrangement(t);
        self.set_vt(rd, t.full(), self.sums_of_pairs(rn, t, sign))
    }

    fn add_sums_of_pairs(&self, V2 { rd, rn, t }: V2, sign: Sign) -> Flow {
        let t = Arrangement(t);
        let sum = self.v(rd, t.ty().widened()) + self.sums_of_pairs(rn, t, sign);
        self.set_vt(rd, t.full(), sum)
    }

    /// SUQADD and USQADD, which add to the destination.
    fn saturate_into(&self, V2 { rd, rn, t }: V2, helper: HelperId) -> Flow {
        let operands = [rn, rd].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helper, Arrangement(t).arg(), &operands))
    }

    /// Comparisons with zero.
    fn with_zero(&self, args: V2, f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        self.map2(args, |n| f(n, self.b.zeros().as_vector(n.ty())))
    }

    /// SQXTN and its like: elements saturated to half their width.
    fn narrow_lanes(&self, V2 { rd, rn, t }: V2, op: Opcode) -> Flow {
        let t = Arrangement(t);
        self.set_half(rd, t.full(), self.v(rn, t.ty().widened()).sat_narrow(op))
    }

    /// Vd = f(Vn), element by element, of floats; helper(Vn) in half precision.
    fn float2(
        &self,
        V2 { rd, rn, t }: V2,
        (helper, arg): (HelperId, Arg),
        f: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        match float_vector(t.size()) {
            Some(ty) => self.set_vt(rd, t.full(), f(self.repeated(rn, t.full(), ty))),
            None => self.set_v(rd, self.call_v(helper, arg, &[self.v(rn, Type::WIDE)])),
        }
    }

    /// Comparisons with zero of floats. In half precision the helper's first operand is zero if `zero_first`.
    fn float_with_zero(
        &self,
        V2 { rd, rn, t }: V2,
        (helper, first): (HelperId, Zero),
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        let zeros = self.b.zeros();
        match float_vector(t.size()) {
            Some(ty) => {
                let n = self.repeated(rn, t.full(), ty);
                self.set_vt(rd, t.full(), f(n, zeros.as_vector(ty)))
            }
            None => {
                let n = self.v(rn, Type::WIDE);
                let operands = if first == Zero::First { [zeros, n] } else { [n, zeros] };
                self.set_v(rd, self.call_v(helper, t.arg(), &operands))
            }
        }
    }

    /// Changes signs, of NaNs, too.
    fn sign_of_vector(
        &self,
        args: V2,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
        half: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        self.map2(args, |n| match float_vector(Arrangement(args.t).size()) {
            Some(ty) => f(n.as_vector(ty)),
            None => half(n, self.splat(Type::I16x8, 0x8000)),
        })
    }

    /// FRINT*: by a mode of its own.
    fn frint_v(&self, args: V2, round: FpRound) -> Flow {
        let arg = Arrangement(args.t).arg().with(mode_number(round));
        self.float2(args, (helpers::FRINT, arg), |n| n.fround(round))
    }

    /// FRINT32*, FRINT64*.
    fn frintts_v(&self, V2 { rd, rn, t }: V2, mode: u8, bits: u8) -> Flow {
        let arg = Arrangement(t).arg().with(mode).and(bits);
        self.set_v(rd, self.call_v(helpers::FRINTTS, arg, &[self.v(rn, Type::WIDE)]))
    }

    /// To integers of the same width.
    fn round_lanes(&self, args: V2, sign: Sign, round: FpRound) -> Flow {
        let t = Arrangement(args.t);
        let arg = t.arg().with(mode_number(round));
        match sign {
            Signed => self.float2(args, (helpers::FCVTS, arg), |n| n.fto_s(t.ty(), round)),
            Unsigned => self.float2(args, (helpers::FCVTU, arg), |n| n.fto_u(t.ty(), round)),
        }
    }

    /// From integers of the same width.
    fn convert_lanes(&self, V2 { rd, rn, t }: V2, sign: Sign) -> Flow {
        self.convert_lanes_fixed(CvtV { rd, rn, t, fbits: 0 }, sign)
    }

    /// From fixed-point numbers of the same width.
    pub(super) fn convert_lanes_fixed(&self, CvtV { rd, rn, fbits, t }: CvtV, sign: Sign) -> Flow {
        let t = Arrangement(t);
        let Some(ty) = float_vector(t.size()) else {
            let helper = if sign == Signed { helpers::SCVTF } else { helpers::UCVTF };
            let arg = t.arg().and(fbits);
            return self.set_v(rd, self.call_v(helper, arg, &[self.v(rn, Type::WIDE)]));
        };
        let integers = self.repeated(rn, t.full(), t.ty());
        let value = match sign {
            Signed => integers.sto_f(ty, self.round()),
            Unsigned => integers.uto_f(ty, self.round()),
        };
        let scaled = if fbits == 0 { value } else { self.quotient_of_power(value, fbits) };
        self.set_vt(rd, t.full(), scaled)
    }

    /// Writes half as many bits of a helper's result as the operand has.
    fn float_narrow(&self, V2 { rd, rn, t }: V2, helper: HelperId) -> Flow {
        let t = Arrangement(t);
        let arg = Arg::lanes(t.size().into(), Arrangement(t.0 & !1).count());
        self.set_half(rd, t.full(), self.call_v(helper, arg, &[self.v(rn, Type::WIDE)]))
    }

    /// All elements brought together, in all of them.
    fn reduced(value: Val<'b>, t: Arrangement, f: impl Fn(Val<'b>, Val<'b>) -> Val<'b>) -> Val<'b> {
        let (mut value, mut count) = (value, t.count() as u8);
        while count > 1 {
            count /= 2;
            value = f(value, Self::elements(value, value, t, |i| i ^ count));
        }
        value
    }

    fn reduce(&self, V2 { rd, rn, t }: V2, f: impl Fn(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let t = Arrangement(t);
        self.scalar_of(rd, t.size(), Self::reduced(self.v(rn, t.ty()), t, f))
    }

    /// The sum of all elements, of twice their width.
    fn sum_long(&self, V2 { rd, rn, t }: V2, low: Opcode, high: Opcode) -> Flow {
        let t = Arrangement(t);
        let n = self.v(rn, t.ty());
        let lower = n.lengthen(low);
        let wide = if t.full() { lower + n.lengthen(high) } else { lower };
        let size = t.size() + 1;
        self.scalar_of(rd, size, Self::reduced(wide, Arrangement(2 * size + 1), |a, b| a + b))
    }
}

impl SimdTwoReg for Insn<'_> {
    /// REV64: elements in reverse order within doublewords
    fn rev64(&self, args: V2) -> Flow {
        self.reverse(args, 8)
    }

    /// REV16 (vector): bytes in reverse order within halfwords
    fn rev16_v(&self, args: V2) -> Flow {
        self.reverse(args, 2)
    }

    /// SADDLP: sums of neighbours, of twice their width
    fn saddlp(&self, args: V2) -> Flow {
        self.set_sums_of_pairs(args, Signed)
    }

    /// SUQADD: Vd[i] = sat(Vd[i] + Vn[i]), signed + unsigned
    fn suqadd_v(&self, args: V2) -> Flow {
        self.saturate_into(args, helpers::SUQADD)
    }

    /// CLS (vector): Vd[i] = how many bits below its sign are like it
    fn cls_v(&self, args: V2) -> Flow {
        self.pure2(args, helpers::CLS, Arrangement(args.t).arg())
    }

    /// CNT: Vd[i] = set bits
    fn cnt_v(&self, args: V2) -> Flow {
        self.map2(args, Val::popcnt)
    }

    /// SADALP: sums of neighbours added to elements of twice their width
    fn sadalp(&self, args: V2) -> Flow {
        self.add_sums_of_pairs(args, Signed)
    }

    /// SQABS: Vd[i] = sat(|Vn[i]|)
    fn sqabs_v(&self, args: V2) -> Flow {
        self.saturate2(args, |n| self.saturated_abs(n))
    }

    /// CMGT (zero): Vd[i] = Vn[i] > 0, all ones or zeros
    fn cmgt_v0(&self, args: V2) -> Flow {
        self.with_zero(args, |n, zero| n.lanes(Opcode::LanesGtS, zero))
    }

    /// CMEQ (zero): Vd[i] = Vn[i] == 0
    fn cmeq_v0(&self, args: V2) -> Flow {
        self.with_zero(args, |n, zero| n.lanes(Opcode::LanesEq, zero))
    }

    /// CMLT (zero): Vd[i] = Vn[i] < 0
    fn cmlt_v0(&self, args: V2) -> Flow {
        self.with_zero(args, |n, zero| zero.lanes(Opcode::LanesGtS, n))
    }

    /// ABS (vector): Vd[i] = |Vn[i]|
    fn abs_v(&self, args: V2) -> Flow {
        self.map2(args, Val::abs_lanes)
    }

    /// XTN, XTN2: Vd[i] = Vn[i], truncated
    fn xtn(&self, args: V2) -> Flow {
        let t = Arrangement(args.t);
        self.set_truncated(args.rd, t, self.v(args.rn, t.ty().widened()))
    }

    /// SQXTN, SQXTN2: Vd[i] = sat(Vn[i])
    fn sqxtn_v(&self, args: V2) -> Flow {
        self.narrow_lanes(args, Opcode::SatNarrowS)
    }

    /// FCVTN, FCVTN2: Vd[i] = Vn[i] in half the precision
    fn fcvtn(&self, args: V2) -> Flow {
        if args.t <= 3 {
            return self.float_narrow(args, helpers::FCVTN);
        }
        let value = self.v(args.rn, Type::F64x2).fcvt(Type::F32x4, self.round());
        self.set_half(args.rd, Arrangement(args.t).full(), value)
    }

    /// FCVTL, FCVTL2: Vd[i] = Vn[i] in twice the precision
    fn fcvtl(&self, args: V2) -> Flow {
        let half = self.half(args.rn, Arrangement(args.t).full());
        self.set_v(
            args.rd,
            match args.t {
                0..=3 => self.call_v(helpers::FCVTL, Arg::lanes(1, 4), &[half]),
                _ => half.as_vector(Type::F32x4).fcvt(Type::F64x2, self.round()),
            },
        )
    }

    /// FRINTN (vector): Vd[i] = Vn[i] rounded to an integer, to nearest, ties to even
    fn frintn_v(&self, args: V2) -> Flow {
        self.frint_v(args, FpRound::NearestEven)
    }

    /// FRINTM (vector): downward
    fn frintm_v(&self, args: V2) -> Flow {
        self.frint_v(args, FpRound::Down)
    }

    /// FCVTNS (vector): Vd[i] = s(Vn[i]), to nearest, ties to even
    fn fcvtns_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Signed, FpRound::NearestEven)
    }

    /// FCVTMS (vector): downward
    fn fcvtms_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Signed, FpRound::Down)
    }

    /// FCVTAS (vector): to nearest, ties away from zero
    fn fcvtas_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Signed, FpRound::NearestAway)
    }

    /// SCVTF (vector, integer): Vd[i] = s(Vn[i])
    fn scvtf_v(&self, args: V2) -> Flow {
        self.convert_lanes(args, Signed)
    }

    /// FCMGT (zero): Vd[i] = Vn[i] > 0; signalling
    fn fcmgt_v0(&self, args: V2) -> Flow {
        self.float_with_zero(args, (helpers::FCMGT, Zero::Second), |n, zero| {
            n.lanes(Opcode::FLanesGt, zero)
        })
    }

    /// FCMEQ (zero): Vd[i] = Vn[i] == 0; quiet
    fn fcmeq_v0(&self, args: V2) -> Flow {
        self.float_with_zero(args, (helpers::FCMEQ, Zero::Second), |n, zero| {
            n.lanes(Opcode::FLanesEq, zero)
        })
    }

    /// FCMLT (zero): Vd[i] = Vn[i] < 0; signalling
    fn fcmlt_v0(&self, args: V2) -> Flow {
        self.float_with_zero(args, (helpers::FCMGT, Zero::First), |n, zero| {
            zero.lanes(Opcode::FLanesGt, n)
        })
    }

    /// FABS (vector): Vd[i] = |Vn[i]|
    fn fabs_v(&self, args: V2) -> Flow {
        self.sign_of_vector(args, Val::fabs, Val::and_not)
    }

    /// FRINTP (vector): upward
    fn frintp_v(&self, args: V2) -> Flow {
        self.frint_v(args, FpRound::Up)
    }

    /// FRINTZ (vector): toward zero
    fn frintz_v(&self, args: V2) -> Flow {
        self.frint_v(args, FpRound::TowardZero)
    }

    /// FCVTPS (vector): upward
    fn fcvtps_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Signed, FpRound::Up)
    }

    /// FCVTZS (vector, integer): toward zero
    fn fcvtzs_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Signed, FpRound::TowardZero)
    }

    /// URECPE: Vd[i] = an estimate of 1 ÷ Vn[i], fractions
    fn urecpe(&self, args: V2) -> Flow {
        self.helper2(args, helpers::URECPE)
    }

    /// FRECPE: Vd[i] = an estimate of 1 ÷ Vn[i]
    fn frecpe_v(&self, args: V2) -> Flow {
        self.helper2(args, helpers::FRECPE)
    }

    /// REV32 (vector): elements in reverse order within words
    fn rev32_v(&self, args: V2) -> Flow {
        self.reverse(args, 4)
    }

    /// UADDLP: sums of neighbours, of twice their width
    fn uaddlp(&self, args: V2) -> Flow {
        self.set_sums_of_pairs(args, Unsigned)
    }

    /// USQADD: Vd[i] = sat(Vd[i] + Vn[i]), unsigned + signed
    fn usqadd_v(&self, args: V2) -> Flow {
        self.saturate_into(args, helpers::USQADD)
    }

    /// CLZ (vector): Vd[i] = leading zeros
    fn clz_v(&self, args: V2) -> Flow {
        self.pure2(args, helpers::CLZ, Arrangement(args.t).arg())
    }

    /// UADALP: sums of neighbours added to elements of twice their width
    fn uadalp(&self, args: V2) -> Flow {
        self.add_sums_of_pairs(args, Unsigned)
    }

    /// SQNEG: Vd[i] = sat(-Vn[i])
    fn sqneg_v(&self, args: V2) -> Flow {
        self.saturate2(args, |n| self.saturated_neg(n))
    }

    /// CMGE (zero): Vd[i] = Vn[i] >= 0
    fn cmge_v0(&self, args: V2) -> Flow {
        self.with_zero(args, |n, zero| n.lanes(Opcode::LanesGeS, zero))
    }

    /// CMLE (zero): Vd[i] = Vn[i] <= 0
    fn cmle_v0(&self, args: V2) -> Flow {
        self.with_zero(args, |n, zero| zero.lanes(Opcode::LanesGeS, n))
    }

    /// NEG (vector): Vd[i] = -Vn[i]
    fn neg_v(&self, args: V2) -> Flow {
        self.map2(args, Val::negate)
    }

    /// SQXTUN, SQXTUN2: Vd[i] = sat(Vn[i]), from signed to unsigned
    fn sqxtun_v(&self, args: V2) -> Flow {
        self.narrow_lanes(args, Opcode::SatNarrowSU)
    }

    /// SHLL, SHLL2: Vd[i] = Vn[i] << its width, widened
    fn shll(&self, args: V2) -> Flow {
        let t = Arrangement(args.t);
        self.set_v(args.rd, self.long(args.rn, t, Unsigned).shl_lanes(bits(t.size())))
    }

    /// UQXTN, UQXTN2: Vd[i] = sat(Vn[i])
    fn uqxtn_v(&self, args: V2) -> Flow {
        self.narrow_lanes(args, Opcode::SatNarrowU)
    }

    /// FCVTXN, FCVTXN2: Vd[i] = Vn[i] in single precision, rounded to odd
    fn fcvtxn_v(&self, args: V2) -> Flow {
        self.float_narrow(args, helpers::FCVTXN)
    }

    /// FRINTA (vector): to nearest, ties away from zero
    fn frinta_v(&self, args: V2) -> Flow {
        self.frint_v(args, FpRound::NearestAway)
    }

    /// FRINTX (vector): by FPCR's mode, and "inexact" is raised
    fn frintx_v(&self, args: V2) -> Flow {
        let arg = Arrangement(args.t).arg().with(DYNAMIC).and(1);
        self.float2(args, (helpers::FRINT, arg), |n| n.fround_x(self.round()))
    }

    /// FCVTNU (vector): Vd[i] = u(Vn[i]), to nearest, ties to even
    fn fcvtnu_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Unsigned, FpRound::NearestEven)
    }

    /// FCVTMU (vector): downward
    fn fcvtmu_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Unsigned, FpRound::Down)
    }

    /// FCVTAU (vector): to nearest, ties away from zero
    fn fcvtau_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Unsigned, FpRound::NearestAway)
    }

    /// UCVTF (vector, integer): Vd[i] = u(Vn[i])
    fn ucvtf_v(&self, args: V2) -> Flow {
        self.convert_lanes(args, Unsigned)
    }

    /// NOT: Vd = ~Vn
    fn not_v(&self, args: V2) -> Flow {
        self.map2(args, |n| !n)
    }

    /// RBIT (vector): Vd[i] = its bits in reverse order
    fn rbit_v(&self, args: V2) -> Flow {
        self.pure2(args, helpers::RBIT, Arrangement(args.t).arg())
    }

    /// FCMGE (zero): Vd[i] = Vn[i] >= 0; signalling
    fn fcmge_v0(&self, args: V2) -> Flow {
        self.float_with_zero(args, (helpers::FCMGE, Zero::Second), |n, zero| {
            n.lanes(Opcode::FLanesGe, zero)
        })
    }

    /// FCMLE (zero): Vd[i] = Vn[i] <= 0; signalling
    fn fcmle_v0(&self, args: V2) -> Flow {
        self.float_with_zero(args, (helpers::FCMGE, Zero::First), |n, zero| {
            zero.lanes(Opcode::FLanesGe, n)
        })
    }

    /// FNEG (vector): Vd[i] = -Vn[i]
    fn fneg_v(&self, args: V2) -> Flow {
        self.sign_of_vector(args, Val::fneg, |n, sign| n ^ sign)
    }

    /// FRINTI (vector): by FPCR's mode
    fn frinti_v(&self, args: V2) -> Flow {
        let arg = Arrangement(args.t).arg().with(DYNAMIC);
        self.float2(args, (helpers::FRINT, arg), |n| n.fround(self.round()))
    }

    /// FCVTPU (vector): upward
    fn fcvtpu_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Unsigned, FpRound::Up)
    }

    /// FCVTZU (vector, integer): toward zero
    fn fcvtzu_v(&self, args: V2) -> Flow {
        self.round_lanes(args, Unsigned, FpRound::TowardZero)
    }

    /// URSQRTE: Vd[i] = an estimate of 1 ÷ √Vn[i], fractions
    fn ursqrte(&self, args: V2) -> Flow {
        self.helper2(args, helpers::URSQRTE)
    }

    /// FRSQRTE: Vd[i] = an estimate of 1 ÷ √Vn[i]
    fn frsqrte_v(&self, args: V2) -> Flow {
        self.helper2(args, helpers::FRSQRTE)
    }

    /// FSQRT (vector): Vd[i] = √Vn[i]
    fn fsqrt_v(&self, args: V2) -> Flow {
        let arg = Arrangement(args.t).arg();
        self.float2(args, (helpers::FSQRT, arg), |n| n.fsqrt(self.round()))
    }

    /// FRINT32Z (vector): to integers that fit 32 bits, toward zero
    fn frint32z_v(&self, args: V2) -> Flow {
        self.frintts_v(args, mode_number(FpRound::TowardZero), 32)
    }

    /// FRINT64Z (vector): to integers that fit 64 bits, toward zero
    fn frint64z_v(&self, args: V2) -> Flow {
        self.frintts_v(args, mode_number(FpRound::TowardZero), 64)
    }

    /// FRINT32X (vector): by FPCR's mode
    fn frint32x_v(&self, args: V2) -> Flow {
        self.frintts_v(args, DYNAMIC, 32)
    }

    /// FRINT64X (vector): by FPCR's mode
    fn frint64x_v(&self, args: V2) -> Flow {
        self.frintts_v(args, DYNAMIC, 64)
    }

    /// BFCVTN, BFCVTN2: Vd[i] = Vn[i] in BFloat16
    fn bfcvtn(&self, args: V2) -> Flow {
        self.float_narrow(args, helpers::BFCVTN)
    }

    /// SADDLV: the sum of all elements, of twice their width
    fn saddlv(&self, args: V2) -> Flow {
        self.sum_long(args, Opcode::LengthenLowS, Opcode::LengthenHighS)
    }

    /// SMAXV: the greatest element
    fn smaxv(&self, args: V2) -> Flow {
        self.reduce(args, Val::max_s)
    }

    /// SMINV: the smallest element
    fn sminv(&self, args: V2) -> Flow {
        self.reduce(args, Val::min_s)
    }

    /// ADDV: the sum of all elements
    fn addv(&self, args: V2) -> Flow {
        self.reduce(args, |a, b| a + b)
    }

    /// UADDLV: the sum of all elements, of twice their width
    fn uaddlv(&self, args: V2) -> Flow {
        self.sum_long(args, Opcode::LengthenLowU, Opcode::LengthenHighU)
    }

    /// UMAXV: the greatest element
    fn umaxv(&self, args: V2) -> Flow {
        self.reduce(args, Val::max_u)
    }

    /// UMINV: the smallest element
    fn uminv(&self, args: V2) -> Flow {
        self.reduce(args, Val::min_u)
    }

    /// FMAXNMV: the greatest element, numbers before quiet NaNs
    fn fmaxnmv(&self, args: V2) -> Flow {
        self.helper2(args, helpers::FMAXNMV)
    }

    /// FMAXV: the greatest element, or a NaN
    fn fmaxv(&self, args: V2) -> Flow {
        self.helper2(args, helpers::FMAXV)
    }

    /// FMINNMV: the smallest element, numbers before quiet NaNs
    fn fminnmv(&self, args: V2) -> Flow {
        self.helper2(args, helpers::FMINNMV)
    }

    /// FMINV: the smallest element, or a NaN
    fn fminv(&self, args: V2) -> Flow {
        self.helper2(args, helpers::FMINV)
    }
}
