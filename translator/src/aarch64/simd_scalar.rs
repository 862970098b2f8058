//! Advanced SIMD: scalar instructions (Arm ARM, C4.1.96 "Advanced SIMD scalar …"). The methods in
//! [`super::scalar`] say how they reach the registers.

use arch::aarch64::helpers;
use decoders::aarch64::{CvtS, DupS, ElemS, F2, F3, Q2, ShiftS, SimdScalar};
use ir::{FpRound, Opcode, Type, Val};

use super::scalar::Zero;
use super::vector::{Sign, float_vector, int_vector, mode_number, scalar_arg};
use super::{Flow, Insn};
use Sign::{Signed, Unsigned};

/// The rounding mode of conversions to fixed-point numbers.
const TOWARD_ZERO: u8 = mode_number(FpRound::TowardZero);

impl SimdScalar for Insn<'_> {
    /// DUP (element), scalar: Vd = Vn[index]
    fn dup_s(&self, DupS { rd, rn, index, size }: DupS) -> Flow {
        let ty = int_vector(size);
        self.set_scalar(rd, self.v(rn, ty).lane_u(index.into()))
    }

    /// SUQADD: Vd = sat(Vd + Vn), signed + unsigned
    fn suqadd_s(&self, args: F2) -> Flow {
        self.saturate_scalar_into(args, helpers::SUQADD)
    }

    /// SQABS: Vd = sat(|Vn|)
    fn sqabs_s(&self, args: F2) -> Flow {
        self.scalar_map2(args, |n| self.saturated_abs(n))
    }

    /// CMGT (zero): Vd = Vn > 0, all ones or zeros
    fn cmgt_s0(&self, args: F2) -> Flow {
        self.mask2(args, |n, zero| zero.lt_s(n))
    }

    /// CMEQ (zero): Vd = Vn == 0
    fn cmeq_s0(&self, args: F2) -> Flow {
        self.mask2(args, Val::eq)
    }

    /// CMLT (zero): Vd = Vn < 0
    fn cmlt_s0(&self, args: F2) -> Flow {
        self.mask2(args, Val::lt_s)
    }

    /// ABS: Vd = |Vn|
    fn abs_s(&self, args: F2) -> Flow {
        self.scalar_map2(args, Val::abs_lanes)
    }

    /// SQXTN: Vd = sat(Vn)
    fn sqxtn_s(&self, args: F2) -> Flow {
        self.scalar_narrow(args, Opcode::SatNarrowS)
    }

    /// FCVTNS (vector), scalar: Vd = s(Vn), to nearest, ties to even
    fn fcvtns_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Signed, FpRound::NearestEven)
    }

    /// FCVTMS (vector), scalar: downward
    fn fcvtms_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Signed, FpRound::Down)
    }

    /// FCVTAS (vector), scalar: to nearest, ties away from zero
    fn fcvtas_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Signed, FpRound::NearestAway)
    }

    /// SCVTF (vector, integer), scalar: Vd = s(Vn)
    fn scvtf_s(&self, args: F2) -> Flow {
        self.convert_scalar(args, Signed)
    }

    /// FCMGT (zero): Vd = Vn > 0; signalling
    fn fcmgt_s0(&self, args: F2) -> Flow {
        self.float_mask2(args, (helpers::FCMGT, Zero::Second), |n, zero| zero.flt(n))
    }

    /// FCMEQ (zero): Vd = Vn == 0; quiet
    fn fcmeq_s0(&self, args: F2) -> Flow {
        self.float_mask2(args, (helpers::FCMEQ, Zero::Second), Val::feq)
    }

    /// FCMLT (zero): Vd = Vn < 0; signalling
    fn fcmlt_s0(&self, args: F2) -> Flow {
        self.float_mask2(args, (helpers::FCMGT, Zero::First), Val::flt)
    }

    /// FCVTPS (vector), scalar: upward
    fn fcvtps_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Signed, FpRound::Up)
    }

    /// FCVTZS (vector, integer), scalar: toward zero
    fn fcvtzs_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Signed, FpRound::TowardZero)
    }

    /// FRECPE: Vd = an estimate of 1 ÷ Vn
    fn frecpe_s(&self, args: F2) -> Flow {
        self.scalar_helper2(args, helpers::FRECPE)
    }

    /// FRECPX: Vd = a power of two near 1 ÷ Vn
    fn frecpx_s(&self, args: F2) -> Flow {
        self.scalar_helper2(args, helpers::FRECPX)
    }

    /// USQADD: Vd = sat(Vd + Vn), unsigned + signed
    fn usqadd_s(&self, args: F2) -> Flow {
        self.saturate_scalar_into(args, helpers::USQADD)
    }

    /// SQNEG: Vd = sat(-Vn)
    fn sqneg_s(&self, args: F2) -> Flow {
        self.scalar_map2(args, |n| self.saturated_neg(n))
    }

    /// CMGE (zero): Vd = Vn >= 0
    fn cmge_s0(&self, args: F2) -> Flow {
        self.mask2(args, |n, zero| zero.le_s(n))
    }

    /// CMLE (zero): Vd = Vn <= 0
    fn cmle_s0(&self, args: F2) -> Flow {
        self.mask2(args, Val::le_s)
    }

    /// NEG (vector), scalar: Vd = -Vn
    fn neg_s(&self, args: F2) -> Flow {
        self.scalar_map2(args, Val::negate)
    }

    /// SQXTUN: Vd = sat(Vn), from signed to unsigned
    fn sqxtun_s(&self, args: F2) -> Flow {
        self.scalar_narrow(args, Opcode::SatNarrowSU)
    }

    /// UQXTN: Vd = sat(Vn)
    fn uqxtn_s(&self, args: F2) -> Flow {
        self.scalar_narrow(args, Opcode::SatNarrowU)
    }

    /// FCVTXN: Vd = Vn in single precision, rounded to odd
    fn fcvtxn_s(&self, Q2 { rd, rn }: Q2) -> Flow {
        let value = self.call_v(helpers::FCVTXN, scalar_arg(2), &[self.v(rn, Type::WIDE)]);
        self.set_v(rd, value)
    }

    /// FCVTNU (vector), scalar: Vd = u(Vn), to nearest, ties to even
    fn fcvtnu_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Unsigned, FpRound::NearestEven)
    }

    /// FCVTMU (vector), scalar: downward
    fn fcvtmu_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Unsigned, FpRound::Down)
    }

    /// FCVTAU (vector), scalar: to nearest, ties away from zero
    fn fcvtau_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Unsigned, FpRound::NearestAway)
    }

    /// UCVTF (vector, integer), scalar: Vd = u(Vn)
    fn ucvtf_s(&self, args: F2) -> Flow {
        self.convert_scalar(args, Unsigned)
    }

    /// FCMGE (zero): Vd = Vn >= 0; signalling
    fn fcmge_s0(&self, args: F2) -> Flow {
        self.float_mask2(args, (helpers::FCMGE, Zero::Second), |n, zero| zero.fle(n))
    }

    /// FCMLE (zero): Vd = Vn <= 0; signalling
    fn fcmle_s0(&self, args: F2) -> Flow {
        self.float_mask2(args, (helpers::FCMGE, Zero::First), Val::fle)
    }

    /// FCVTPU (vector), scalar: upward
    fn fcvtpu_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Unsigned, FpRound::Up)
    }

    /// FCVTZU (vector, integer), scalar: toward zero
    fn fcvtzu_s(&self, args: F2) -> Flow {
        self.round_scalar(args, Unsigned, FpRound::TowardZero)
    }

    /// FRSQRTE: Vd = an estimate of 1 ÷ √Vn
    fn frsqrte_s(&self, args: F2) -> Flow {
        self.scalar_helper2(args, helpers::FRSQRTE)
    }

    /// ADDP (scalar): Vd = Vn[0] + Vn[1]
    fn addp_s(&self, Q2 { rd, rn }: Q2) -> Flow {
        let high = self.v(rn, Type::I64x2).lane_u(1);
        self.set_scalar(rd, self.low(rn, Type::I64) + high)
    }

    /// FMAXNMP (scalar): the greater of Vn[0] and Vn[1], numbers before quiet NaNs
    fn fmaxnmp_s(&self, args: F2) -> Flow {
        self.pair(args, helpers::FMAXNMV, Val::fmax)
    }

    /// FADDP (scalar): Vd = Vn[0] + Vn[1]
    fn faddp_s(&self, args: F2) -> Flow {
        self.pair(args, helpers::FADDV, |n, m| n.fadd(m, self.round()))
    }

    /// FMAXP (scalar): the greater of Vn[0] and Vn[1], or a NaN
    fn fmaxp_s(&self, args: F2) -> Flow {
        self.pair(args, helpers::FMAXV, Val::fmaximum)
    }

    /// FMINNMP (scalar): the smaller of Vn[0] and Vn[1], numbers before quiet NaNs
    fn fminnmp_s(&self, args: F2) -> Flow {
        self.pair(args, helpers::FMINNMV, Val::fmin)
    }

    /// FMINP (scalar): the smaller of Vn[0] and Vn[1], or a NaN
    fn fminp_s(&self, args: F2) -> Flow {
        self.pair(args, helpers::FMINV, Val::fminimum)
    }

    /// SQDMLAL (vector), scalar: Vd = sat(Vd + sat(2 × Vn × Vm))
    fn sqdmlal_s(&self, args: F3) -> Flow {
        self.scalar_into(args, helpers::SQDMLAL)
    }

    /// SQDMLSL (vector), scalar: Vd = sat(Vd - sat(2 × Vn × Vm))
    fn sqdmlsl_s(&self, args: F3) -> Flow {
        self.scalar_into(args, helpers::SQDMLSL)
    }

    /// SQDMULL (vector), scalar: Vd = sat(2 × Vn × Vm)
    fn sqdmull_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::SQDMULL)
    }

    /// SQADD: Vd = sat(Vn + Vm)
    fn sqadd_s(&self, args: F3) -> Flow {
        self.saturate_scalar3(args, |n, m| n.lanes(Opcode::SatAddS, m))
    }

    /// SQSUB: Vd = sat(Vn - Vm)
    fn sqsub_s(&self, args: F3) -> Flow {
        self.saturate_scalar3(args, |n, m| n.lanes(Opcode::SatSubS, m))
    }

    /// CMGT (register): Vd = Vn > Vm
    fn cmgt_s(&self, args: F3) -> Flow {
        self.mask3(args, |n, m| m.lt_s(n))
    }

    /// CMGE (register): Vd = Vn >= Vm
    fn cmge_s(&self, args: F3) -> Flow {
        self.mask3(args, |n, m| m.le_s(n))
    }

    /// SSHL: Vd = Vn << Vm, to the right if that is negative
    fn sshl_s(&self, args: F3) -> Flow {
        self.pure_scalar3(args, helpers::SSHL)
    }

    /// SQSHL (register): Vd = sat(Vn << Vm)
    fn sqshl_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::SQSHL)
    }

    /// SRSHL: Vd = Vn << Vm, rounded
    fn srshl_s(&self, args: F3) -> Flow {
        self.pure_scalar3(args, helpers::SRSHL)
    }

    /// SQRSHL: Vd = sat(Vn << Vm, rounded)
    fn sqrshl_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::SQRSHL)
    }

    /// ADD (vector), scalar: Vd = Vn + Vm
    fn add_s(&self, F3 { rd, rn, rm, .. }: F3) -> Flow {
        self.set_scalar(rd, self.low(rn, Type::I64) + self.low(rm, Type::I64))
    }

    /// CMTST: Vd = (Vn & Vm) != 0
    fn cmtst_s(&self, args: F3) -> Flow {
        self.mask3(args, |n, m| (n & m).ne(self.konst(0)))
    }

    /// SQDMULH (vector), scalar: Vd = sat(the upper half of 2 × Vn × Vm)
    fn sqdmulh_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::SQDMULH)
    }

    /// FMULX: Vd = Vn × Vm; 2 for 0 × ∞
    fn fmulx_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::FMULX)
    }

    /// FCMEQ (register): Vd = Vn == Vm; quiet
    fn fcmeq_s(&self, args: F3) -> Flow {
        self.float_mask3(args, helpers::FCMEQ, Val::feq)
    }

    /// FRECPS: Vd = 2 - Vn × Vm
    fn frecps_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::FRECPS)
    }

    /// FRSQRTS: Vd = (3 - Vn × Vm) ÷ 2
    fn frsqrts_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::FRSQRTS)
    }

    /// UQADD: Vd = sat(Vn + Vm)
    fn uqadd_s(&self, args: F3) -> Flow {
        self.saturate_scalar3(args, |n, m| n.lanes(Opcode::SatAddU, m))
    }

    /// UQSUB: Vd = sat(Vn - Vm)
    fn uqsub_s(&self, args: F3) -> Flow {
        self.saturate_scalar3(args, |n, m| n.lanes(Opcode::SatSubU, m))
    }

    /// CMHI (register): Vd = Vn > Vm, unsigned
    fn cmhi_s(&self, args: F3) -> Flow {
        self.mask3(args, |n, m| m.lt_u(n))
    }

    /// CMHS (register): Vd = Vn >= Vm, unsigned
    fn cmhs_s(&self, args: F3) -> Flow {
        self.mask3(args, |n, m| m.le_u(n))
    }

    /// USHL: Vd = Vn << Vm, to the right if that is negative
    fn ushl_s(&self, args: F3) -> Flow {
        self.pure_scalar3(args, helpers::USHL)
    }

    /// UQSHL (register): Vd = sat(Vn << Vm)
    fn uqshl_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::UQSHL)
    }

    /// URSHL: Vd = Vn << Vm, rounded
    fn urshl_s(&self, args: F3) -> Flow {
        self.pure_scalar3(args, helpers::URSHL)
    }

    /// UQRSHL: Vd = sat(Vn << Vm, rounded)
    fn uqrshl_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::UQRSHL)
    }

    /// SUB (vector), scalar: Vd = Vn - Vm
    fn sub_s(&self, F3 { rd, rn, rm, .. }: F3) -> Flow {
        self.set_scalar(rd, self.low(rn, Type::I64) - self.low(rm, Type::I64))
    }

    /// CMEQ (register): Vd = Vn == Vm
    fn cmeq_s(&self, args: F3) -> Flow {
        self.mask3(args, Val::eq)
    }

    /// SQRDMULH (vector), scalar: Vd = sat(the upper half of 2 × Vn × Vm, rounded)
    fn sqrdmulh_s(&self, args: F3) -> Flow {
        self.scalar_helper3(args, helpers::SQRDMULH)
    }

    /// FCMGE (register): Vd = Vn >= Vm; signalling
    fn fcmge_s(&self, args: F3) -> Flow {
        self.float_mask3(args, helpers::FCMGE, |n, m| m.fle(n))
    }

    /// FACGE: Vd = |Vn| >= |Vm|; signalling
    fn facge_s(&self, args: F3) -> Flow {
        self.float_mask3(args, helpers::FACGE, |n, m| m.fabs().fle(n.fabs()))
    }

    /// FABD: Vd = |Vn - Vm|
    fn fabd_s(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FABD, |n, m| n.fsub(m, self.round()).fabs())
    }

    /// FCMGT (register): Vd = Vn > Vm; signalling
    fn fcmgt_s(&self, args: F3) -> Flow {
        self.float_mask3(args, helpers::FCMGT, |n, m| m.flt(n))
    }

    /// FACGT: Vd = |Vn| > |Vm|; signalling
    fn facgt_s(&self, args: F3) -> Flow {
        self.float_mask3(args, helpers::FACGT, |n, m| m.fabs().flt(n.fabs()))
    }

    /// SQRDMLAH (vector), scalar: Vd = sat(Vd + the upper half of 2 × Vn × Vm, rounded)
    fn sqrdmlah_s(&self, args: F3) -> Flow {
        self.scalar_into(args, helpers::SQRDMLAH)
    }

    /// SQRDMLSH (vector), scalar: Vd = sat(Vd - the upper half of 2 × Vn × Vm, rounded)
    fn sqrdmlsh_s(&self, args: F3) -> Flow {
        self.scalar_into(args, helpers::SQRDMLSH)
    }

    /// SSHR: Vd = Vn >> shift
    fn sshr_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar(args, |n| Self::lanes_shifted(n, Signed, args.shift))
    }

    /// SSRA: Vd += Vn >> shift
    fn ssra_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_into(args, |d, n| d + Self::lanes_shifted(n, Signed, args.shift))
    }

    /// SRSHR: Vd = Vn >> shift, rounded
    fn srshr_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar(args, |n| Self::lanes_rounded(n, Signed, args.shift))
    }

    /// SRSRA: Vd += Vn >> shift, rounded
    fn srsra_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_into(args, |d, n| d + Self::lanes_rounded(n, Signed, args.shift))
    }

    /// SHL: Vd = Vn << shift
    fn shl_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar(args, |n| n.shl_lanes(args.shift.into()))
    }

    /// SQSHL (immediate): Vd = sat(Vn << shift)
    fn sqshl_si(&self, args: ShiftS) -> Flow {
        self.saturate_scalar_left(args, helpers::SQSHL)
    }

    /// SQSHRN: Vd = sat(Vn >> shift)
    fn sqshrn_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_narrow(args, Opcode::SatNarrowS, |n| {
            Self::lanes_shifted(n, Signed, args.shift)
        })
    }

    /// SQRSHRN: Vd = sat(Vn >> shift, rounded)
    fn sqrshrn_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_narrow(args, Opcode::SatNarrowS, |n| {
            Self::lanes_rounded(n, Signed, args.shift)
        })
    }

    /// SCVTF (vector, fixed-point), scalar: Vd = s(Vn) ÷ 2^fbits
    fn scvtf_sf(&self, args: CvtS) -> Flow {
        self.convert_scalar_fixed(args, Signed)
    }

    /// FCVTZS (vector, fixed-point), scalar: Vd = s(Vn × 2^fbits), toward zero
    fn fcvtzs_sf(&self, CvtS { rd, rn, fbits, size }: CvtS) -> Flow {
        self.cvt(rd, rn, size, helpers::FCVTS, [TOWARD_ZERO, fbits])
    }

    /// USHR: Vd = Vn >> shift
    fn ushr_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar(args, |n| Self::lanes_shifted(n, Unsigned, args.shift))
    }

    /// USRA: Vd += Vn >> shift
    fn usra_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_into(args, |d, n| d + Self::lanes_shifted(n, Unsigned, args.shift))
    }

    /// URSHR: Vd = Vn >> shift, rounded
    fn urshr_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar(args, |n| Self::lanes_rounded(n, Unsigned, args.shift))
    }

    /// URSRA: Vd += Vn >> shift, rounded
    fn ursra_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_into(args, |d, n| d + Self::lanes_rounded(n, Unsigned, args.shift))
    }

    /// SRI: Vd = Vn >> shift, with the bits of Vd above
    fn sri_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_into(args, |d, n| self.inserted_right(d, n, args.shift))
    }

    /// SLI: Vd = Vn << shift, with the bits of Vd below
    fn sli_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_into(args, |d, n| self.inserted_left(d, n, args.shift))
    }

    /// SQSHLU: Vd = sat(Vn << shift), from signed to unsigned
    fn sqshlu_si(&self, ShiftS { rd, rn, shift, size }: ShiftS) -> Flow {
        self.cvt(rd, rn, size, helpers::SQSHLU, [shift, 0])
    }

    /// UQSHL (immediate): Vd = sat(Vn << shift)
    fn uqshl_si(&self, args: ShiftS) -> Flow {
        self.saturate_scalar_left(args, helpers::UQSHL)
    }

    /// SQSHRUN: Vd = sat(Vn >> shift), from signed to unsigned
    fn sqshrun_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_narrow(args, Opcode::SatNarrowSU, |n| {
            Self::lanes_shifted(n, Signed, args.shift)
        })
    }

    /// SQRSHRUN: Vd = sat(Vn >> shift, rounded), from signed to unsigned
    fn sqrshrun_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_narrow(args, Opcode::SatNarrowSU, |n| {
            Self::lanes_rounded(n, Signed, args.shift)
        })
    }

    /// UQSHRN: Vd = sat(Vn >> shift)
    fn uqshrn_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_narrow(args, Opcode::SatNarrowU, |n| {
            Self::lanes_shifted(n, Unsigned, args.shift)
        })
    }

    /// UQRSHRN: Vd = sat(Vn >> shift, rounded)
    fn uqrshrn_s(&self, args: ShiftS) -> Flow {
        self.shift_scalar_narrow(args, Opcode::SatNarrowU, |n| {
            Self::lanes_rounded(n, Unsigned, args.shift)
        })
    }

    /// UCVTF (vector, fixed-point), scalar: Vd = u(Vn) ÷ 2^fbits
    fn ucvtf_sf(&self, args: CvtS) -> Flow {
        self.convert_scalar_fixed(args, Unsigned)
    }

    /// FCVTZU (vector, fixed-point), scalar: Vd = u(Vn × 2^fbits), toward zero
    fn fcvtzu_sf(&self, CvtS { rd, rn, fbits, size }: CvtS) -> Flow {
        self.cvt(rd, rn, size, helpers::FCVTU, [TOWARD_ZERO, fbits])
    }

    /// SQDMLAL (by element), scalar: Vd = sat(Vd + sat(2 × Vn × Vm[index]))
    fn sqdmlal_se(&self, args: ElemS) -> Flow {
        self.element_scalar(args, helpers::SQDMLAL)
    }

    /// SQDMLSL (by element), scalar: Vd = sat(Vd - sat(2 × Vn × Vm[index]))
    fn sqdmlsl_se(&self, args: ElemS) -> Flow {
        self.element_scalar(args, helpers::SQDMLSL)
    }

    /// SQDMULL (by element), scalar: Vd = sat(2 × Vn × Vm[index])
    fn sqdmull_se(&self, args: ElemS) -> Flow {
        self.element_scalar2(args, helpers::SQDMULL)
    }

    /// SQDMULH (by element), scalar: Vd = sat(the upper half of 2 × Vn × Vm[index])
    fn sqdmulh_se(&self, args: ElemS) -> Flow {
        self.element_scalar2(args, helpers::SQDMULH)
    }

    /// SQRDMULH (by element), scalar: Vd = sat(the upper half of 2 × Vn × Vm[index], rounded)
    fn sqrdmulh_se(&self, args: ElemS) -> Flow {
        self.element_scalar2(args, helpers::SQRDMULH)
    }

    /// FMLA (by element), scalar: Vd += Vn × Vm[index], rounded once
    fn fmla_se(&self, args: ElemS) -> Flow {
        self.element_scalar_fma(args, |n| n, 0)
    }

    /// FMLS (by element), scalar: Vd -= Vn × Vm[index], rounded once
    fn fmls_se(&self, args: ElemS) -> Flow {
        self.element_scalar_fma(args, Val::fneg, 1)
    }

    /// FMUL (by element), scalar: Vd = Vn × Vm[index]
    fn fmul_se(&self, args: ElemS) -> Flow {
        let ElemS { rd, rn, rm, index, size } = args;
        let Some(ty) = float_vector(size) else {
            return self.element_scalar2(args, helpers::FMUL);
        };
        let m = self.v(rm, ty).lane_u(index.into());
        self.set_scalar(rd, self.low(rn, ty.lane()).fmul(m, self.round()))
    }

    /// FMULX (by element), scalar: Vd = Vn × Vm[index]; 2 for 0 × ∞
    fn fmulx_se(&self, args: ElemS) -> Flow {
        self.element_scalar2(args, helpers::FMULX)
    }

    /// SQRDMLAH (by element), scalar: Vd = sat(Vd + the upper half of 2 × Vn × Vm[index], rounded)
    fn sqrdmlah_se(&self, args: ElemS) -> Flow {
        self.element_scalar(args, helpers::SQRDMLAH)
    }

    /// SQRDMLSH (by element), scalar: Vd = sat(Vd - the upper half of 2 × Vn × Vm[index], rounded)
    fn sqrdmlsh_se(&self, args: ElemS) -> Flow {
        self.element_scalar(args, helpers::SQRDMLSH)
    }
}
