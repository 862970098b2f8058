//! Scalar floating point (Arm ARM, C4.1.96 "Data processing - Scalar Floating-Point"). Flags
//! accumulate by themselves, and NaNs are as FPCR.DN says: that is part of what IR's operations and
//! the helpers do. IR has no 16-bit floats: what computes them is a helper.

use arch::aarch64::helpers::{self, Arg};
use base::HelperId;
use decoders::aarch64::{
    CvtFixed, CvtInt, F1, F2, F3, F4, Fccmp, Fcmp, FcmpZero, Fcsel, Fcvt, Float, Q2,
};
use ir::{FpRound, Type, Val};

use super::register::width;
use super::vector::{Sign, float, int_vector, mode_number, scalar_arg};
use super::{Flow, Insn};

/// The number that a helper takes FPCR's rounding mode by.
pub(super) const DYNAMIC: u8 = 5;

impl<'b> Insn<'b> {
    /// Vd = f(Vn), a scalar, or helper(Vn) in half precision.
    pub(super) fn fp2(
        &self,
        args: F2,
        (helper, arg): (HelperId, Arg),
        f: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        let F2 { rd, rn, size } = args;
        match float(size) {
            Some(ty) => self.set_scalar(rd, f(self.low(rn, ty))),
            None => self.set_v(rd, self.call_v(helper, arg, &[self.v(rn, Type::WIDE)])),
        }
    }

    /// Vd = f(Vn, Vm), a scalar, or helper(Vn, Vm) in half precision.
    pub(super) fn fp3(
        &self,
        args: F3,
        helper: HelperId,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let F3 { rd, rn, rm, size } = args;
        match float(size) {
            Some(ty) => self.set_scalar(rd, f(self.low(rn, ty), self.low(rm, ty))),
            None => self.scalar_helper3(args, helper),
        }
    }

    /// Vd = Va + Vn × Vm, each with its sign inverted or not.
    fn fma(&self, args: F4, negate_n: Negate, negate_a: Negate) -> Flow {
        let F4 { rd, rn, rm, ra, size } = args;
        let Some(ty) = float(size) else {
            let signs = negate_n as u8 | (negate_a as u8) << 1;
            let operands = [rn, rm, ra].map(|n| self.v(n, Type::WIDE));
            return self
                .set_v(rd, self.call_v(helpers::FMLA, scalar_arg(size).with(signs), &operands));
        };
        let sign =
            |value: Val<'b>, negate| if negate == Negate::Yes { value.fneg() } else { value };
        let (n, a) = (sign(self.low(rn, ty), negate_n), sign(self.low(ra, ty), negate_a));
        self.set_scalar(rd, n.fmul_add(self.low(rm, ty), a, self.round()))
    }

    /// FRINT*: rounds by a mode of its own.
    fn frint(&self, args: F2, round: FpRound) -> Flow {
        let arg = scalar_arg(args.size).with(mode_number(round));
        self.fp2(args, (helpers::FRINT, arg), |n| n.fround(round))
    }

    /// FRINT32*, FRINT64*.
    fn frintts(&self, F2 { rd, rn, size }: F2, mode: u8, bits: u8) -> Flow {
        let arg = scalar_arg(size).with(mode).and(bits);
        self.set_v(rd, self.call_v(helpers::FRINTTS, arg, &[self.v(rn, Type::WIDE)]))
    }

    /// Rd = Vn as an integer.
    fn round_to_x(&self, args: CvtInt, sign: Sign, round: FpRound) -> Flow {
        let CvtInt { rd, rn, sf, size } = args;
        let Some(ty) = float(size) else {
            let fixed = CvtFixed { rd, rn, sf, size, fbits: 0 };
            return self.round_to_fixed(fixed, sign, round);
        };
        let int = width(sf);
        let value = match sign {
            Sign::Signed => self.low(rn, ty).fto_s(int, round),
            Sign::Unsigned => self.low(rn, ty).fto_u(int, round),
        };
        self.set_r(rd, value.at(int))
    }

    /// Rd = Vn × 2^fbits as an integer.
    fn round_to_fixed(&self, args: CvtFixed, sign: Sign, round: FpRound) -> Flow {
        let CvtFixed { rd, rn, sf, size, fbits } = args;
        let arg = integer_arg(size, sf, sign).with(mode_number(round)).and(fbits);
        let operands = [self.konst(arg.raw()), self.low(rn, Type::I64)];
        self.set_r(rd, self.call(helpers::FCVT_TO_X, &operands).at(width(sf)))
    }

    /// Vd = Rn as floating point.
    fn convert_x(&self, CvtInt { rd, rn, sf, size }: CvtInt, sign: Sign) -> Flow {
        self.convert_fixed(CvtFixed { rd, rn, sf, size, fbits: 0 }, sign)
    }

    /// Vd = Rn ÷ 2^fbits as floating point.
    fn convert_fixed(&self, args: CvtFixed, sign: Sign) -> Flow {
        let CvtFixed { rd, rn, sf, size, fbits } = args;
        let Some(ty) = float(size) else {
            let arg = integer_arg(size, sf, sign).and(fbits);
            let operands = [self.konst(arg.raw()), self.x(rn)];
            return self.set_scalar(rd, self.call(helpers::CVTF_FROM_X, &operands).low16());
        };
        let integer = self.r(sf, rn);
        let value = match sign {
            Sign::Signed => integer.sto_f(ty, self.round()),
            Sign::Unsigned => integer.uto_f(ty, self.round()),
        };
        let scaled = if fbits == 0 { value } else { self.quotient_of_power(value, fbits) };
        self.set_scalar(rd, scaled)
    }

    /// NZCV of Vn and a value, or Vn and 0.
    fn compare(&self, rn: u8, rm: Option<u8>, size: u8, quiet: Quiet) -> Val<'b> {
        let Some(ty) = float(size) else {
            let m = rm.map_or(self.konst(0), |rm| self.low(rm, Type::I64));
            return self.compare_half(self.low(rn, Type::I64), m, quiet);
        };
        let m = rm.map_or(self.b.konst_of(ty, 0), |rm| self.low(rm, ty));
        quiet.compare(self.low(rn, ty), m)
    }

    fn compare_half(&self, n: Val<'b>, m: Val<'b>, quiet: Quiet) -> Val<'b> {
        let arg = scalar_arg(1).with(u8::from(quiet == Quiet::No));
        self.call(helpers::FCMP, &[self.konst(arg.raw()), n, m])
    }

    /// NZCV = a comparison if the condition holds, else a constant. Where it does not, zeros are
    /// compared: that raises no flags.
    fn conditional_compare(&self, args: Fccmp, quiet: Quiet) -> Flow {
        let Fccmp { rn, rm, size, cond, nzcv } = args;
        let ty = float(size).unwrap_or(Type::I64);
        let zero = self.b.konst_of(ty, 0);
        let [n, m] = [rn, rm].map(|n| self.choose(cond, self.low(n, ty), zero));
        let flags = match float(size) {
            Some(_) => quiet.compare(n, m),
            None => self.compare_half(n, m, quiet),
        };
        self.set_nzcv(self.choose(cond, flags, self.konst(u64::from(nzcv) << 28)))
    }
}

/// What the helpers of conversions from and to general-purpose registers are told of the registers.
const fn integer_arg(size: u8, sf: bool, sign: Sign) -> Arg {
    let signed = matches!(sign, Sign::Signed) as u32;
    Arg::lanes(size as u32, (sf as u32) << 1 | signed)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Negate {
    No,
    Yes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quiet {
    /// "Invalid" for signalling NaNs only.
    Yes,
    /// "Invalid" for any NaN.
    No,
}

impl Quiet {
    fn compare<'b>(self, n: Val<'b>, m: Val<'b>) -> Val<'b> {
        match self {
            Self::Yes => n.fcmp_flags_q(m),
            Self::No => n.fcmp_flags(m),
        }
    }
}

impl Float for Insn<'_> {
    /// SCVTF (scalar, fixed-point): Vd = s(Rn) ÷ 2^fbits
    fn scvtf_x(&self, args: CvtFixed) -> Flow {
        self.convert_fixed(args, Sign::Signed)
    }

    /// UCVTF (scalar, fixed-point): Vd = u(Rn) ÷ 2^fbits
    fn ucvtf_x(&self, args: CvtFixed) -> Flow {
        self.convert_fixed(args, Sign::Unsigned)
    }

    /// FCVTZS (scalar, fixed-point): Rd = s(Vn × 2^fbits), toward zero
    fn fcvtzs_x(&self, args: CvtFixed) -> Flow {
        self.round_to_fixed(args, Sign::Signed, FpRound::TowardZero)
    }

    /// FCVTZU (scalar, fixed-point): Rd = u(Vn × 2^fbits), toward zero
    fn fcvtzu_x(&self, args: CvtFixed) -> Flow {
        self.round_to_fixed(args, Sign::Unsigned, FpRound::TowardZero)
    }

    /// FCVTNS (scalar): Rd = s(Vn), to nearest, ties to even
    fn fcvtns_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Signed, FpRound::NearestEven)
    }

    /// FCVTNU (scalar): Rd = u(Vn), to nearest, ties to even
    fn fcvtnu_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Unsigned, FpRound::NearestEven)
    }

    /// SCVTF (scalar, integer): Vd = s(Rn)
    fn scvtf_i(&self, args: CvtInt) -> Flow {
        self.convert_x(args, Sign::Signed)
    }

    /// UCVTF (scalar, integer): Vd = u(Rn)
    fn ucvtf_i(&self, args: CvtInt) -> Flow {
        self.convert_x(args, Sign::Unsigned)
    }

    /// FCVTAS (scalar): Rd = s(Vn), to nearest, ties away from zero
    fn fcvtas_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Signed, FpRound::NearestAway)
    }

    /// FCVTAU (scalar): Rd = u(Vn), to nearest, ties away from zero
    fn fcvtau_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Unsigned, FpRound::NearestAway)
    }

    /// FCVTPS (scalar): Rd = s(Vn), upward
    fn fcvtps_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Signed, FpRound::Up)
    }

    /// FCVTPU (scalar): Rd = u(Vn), upward
    fn fcvtpu_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Unsigned, FpRound::Up)
    }

    /// FCVTMS (scalar): Rd = s(Vn), downward
    fn fcvtms_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Signed, FpRound::Down)
    }

    /// FCVTMU (scalar): Rd = u(Vn), downward
    fn fcvtmu_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Unsigned, FpRound::Down)
    }

    /// FCVTZS (scalar, integer): Rd = s(Vn), toward zero
    fn fcvtzs_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Signed, FpRound::TowardZero)
    }

    /// FCVTZU (scalar, integer): Rd = u(Vn), toward zero
    fn fcvtzu_i(&self, args: CvtInt) -> Flow {
        self.round_to_x(args, Sign::Unsigned, FpRound::TowardZero)
    }

    /// FMOV (general): Rd = the bits of Vn
    fn fmov_to_x(&self, CvtInt { rd, rn, sf, size }: CvtInt) -> Flow {
        let bits = match size {
            1 => self.low(rn, Type::I16).zext().at(width(sf)),
            2 => self.low(rn, Type::I32),
            _ => self.low(rn, Type::I64),
        };
        self.set_r(rd, bits)
    }

    /// FMOV (general): Vd = the bits of Rn
    fn fmov_from_x(&self, CvtInt { rd, rn, size, .. }: CvtInt) -> Flow {
        self.set_scalar(rd, self.x(rn).at(int_vector(size).lane()))
    }

    /// FMOV (general): Xd = Vn<127:64>
    fn fmov_xv(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.set_x(rd, self.v(rn, Type::WIDE).lane_u(1))
    }

    /// FMOV (general): Vd<127:64> = Xn
    fn fmov_vx(&self, Q2 { rd, rn }: Q2) -> Flow {
        self.set_v(rd, self.v(rd, Type::WIDE).set_lane(1, self.x(rn)))
    }

    /// FJCVTZS: Wd = Vn modulo 2^32, toward zero; Z if that is exact
    fn fjcvtzs(&self, Q2 { rd, rn }: Q2) -> Flow {
        let result = self.call(helpers::FJCVTZS, &[self.low(rn, Type::I64)]);
        self.set_nzcv(result.shr_u(self.konst(32)));
        self.set_r(rd, result.low32())
    }

    /// FMOV (register): Vd = Vn
    fn fmov(&self, F2 { rd, rn, size }: F2) -> Flow {
        self.set_scalar(rd, self.low(rn, int_vector(size).lane()))
    }

    /// FABS (scalar): Vd = |Vn|
    fn fabs(&self, args: F2) -> Flow {
        self.sign_of_scalar(args, |n| n.fabs(), |n, sign| n.and_not(sign))
    }

    /// FNEG (scalar): Vd = -Vn
    fn fneg(&self, args: F2) -> Flow {
        self.sign_of_scalar(args, |n| n.fneg(), |n, sign| n ^ sign)
    }

    /// FSQRT (scalar): Vd = √Vn
    fn fsqrt(&self, args: F2) -> Flow {
        self.fp2(args, (helpers::FSQRT, scalar_arg(args.size)), |n| n.fsqrt(self.round()))
    }

    /// FCVT: Vd = Vn in another precision
    fn fcvt(&self, Fcvt { rd, rn, from, to }: Fcvt) -> Flow {
        let bits = self.low(rn, Type::I64);
        match (from, to) {
            (1, 3) => self.set_scalar(rd, self.call(helpers::FCVT_D_H, &[bits])),
            (3, 1) => self.set_scalar(rd, self.call(helpers::FCVT_H_D, &[bits]).low16()),
            (1, _) => {
                let value = self.call_v(helpers::FCVTL, scalar_arg(1), &[self.v(rn, Type::WIDE)]);
                self.scalar_of(rd, 2, value)
            }
            (_, 1) => {
                let value = self.call_v(helpers::FCVTN, scalar_arg(1), &[self.v(rn, Type::WIDE)]);
                self.scalar_of(rd, 1, value)
            }
            (2, _) => self.set_scalar(rd, self.low(rn, Type::F32).fcvt(Type::F64, self.round())),
            _ => self.set_scalar(rd, self.low(rn, Type::F64).fcvt(Type::F32, self.round())),
        }
    }

    /// FRINTN (scalar): Vd = Vn rounded to an integer, to nearest, ties to even
    fn frintn(&self, args: F2) -> Flow {
        self.frint(args, FpRound::NearestEven)
    }

    /// FRINTP (scalar): upward
    fn frintp(&self, args: F2) -> Flow {
        self.frint(args, FpRound::Up)
    }

    /// FRINTM (scalar): downward
    fn frintm(&self, args: F2) -> Flow {
        self.frint(args, FpRound::Down)
    }

    /// FRINTZ (scalar): toward zero
    fn frintz(&self, args: F2) -> Flow {
        self.frint(args, FpRound::TowardZero)
    }

    /// FRINTA (scalar): to nearest, ties away from zero
    fn frinta(&self, args: F2) -> Flow {
        self.frint(args, FpRound::NearestAway)
    }

    /// FRINTX (scalar): by FPCR's mode, and "inexact" is raised
    fn frintx(&self, args: F2) -> Flow {
        let arg = scalar_arg(args.size).with(DYNAMIC).and(1);
        self.fp2(args, (helpers::FRINT, arg), |n| n.fround_x(self.round()))
    }

    /// FRINTI (scalar): by FPCR's mode
    fn frinti(&self, args: F2) -> Flow {
        let arg = scalar_arg(args.size).with(DYNAMIC);
        self.fp2(args, (helpers::FRINT, arg), |n| n.fround(self.round()))
    }

    /// FRINT32Z (scalar): to an integer that fits 32 bits, toward zero
    fn frint32z(&self, args: F2) -> Flow {
        self.frintts(args, mode_number(FpRound::TowardZero), 32)
    }

    /// FRINT32X (scalar): by FPCR's mode
    fn frint32x(&self, args: F2) -> Flow {
        self.frintts(args, DYNAMIC, 32)
    }

    /// FRINT64Z (scalar): to an integer that fits 64 bits, toward zero
    fn frint64z(&self, args: F2) -> Flow {
        self.frintts(args, mode_number(FpRound::TowardZero), 64)
    }

    /// FRINT64X (scalar): by FPCR's mode
    fn frint64x(&self, args: F2) -> Flow {
        self.frintts(args, DYNAMIC, 64)
    }

    /// BFCVT: Vd = Vn in BFloat16
    fn bfcvt(&self, Q2 { rd, rn }: Q2) -> Flow {
        let value = self.call_v(helpers::BFCVTN, scalar_arg(1), &[self.v(rn, Type::WIDE)]);
        self.scalar_of(rd, 1, value)
    }

    /// FCMP: NZCV = Vn compared with Vm; quiet
    fn fcmp(&self, Fcmp { rn, rm, size }: Fcmp) -> Flow {
        self.set_nzcv(self.compare(rn, Some(rm), size, Quiet::Yes))
    }

    /// FCMP (with zero): NZCV = Vn compared with 0; quiet
    fn fcmp_z(&self, FcmpZero { rn, size }: FcmpZero) -> Flow {
        self.set_nzcv(self.compare(rn, None, size, Quiet::Yes))
    }

    /// FCMPE: NZCV = Vn compared with Vm; signalling
    fn fcmpe(&self, Fcmp { rn, rm, size }: Fcmp) -> Flow {
        self.set_nzcv(self.compare(rn, Some(rm), size, Quiet::No))
    }

    /// FCMPE (with zero): NZCV = Vn compared with 0; signalling
    fn fcmpe_z(&self, FcmpZero { rn, size }: FcmpZero) -> Flow {
        self.set_nzcv(self.compare(rn, None, size, Quiet::No))
    }

    /// FMOV (scalar, immediate): Vd = VFPExpandImm(imm8)
    fn fmov_imm(&self, F1 { rd, size, imm8 }: F1) -> Flow {
        self.set_scalar(rd, self.konst(expand_imm(size, imm8)))
    }

    /// FCCMP: NZCV = if cond then Vn compared with Vm, quiet, else nzcv
    fn fccmp(&self, args: Fccmp) -> Flow {
        self.conditional_compare(args, Quiet::Yes)
    }

    /// FCCMPE: the same, signalling
    fn fccmpe(&self, args: Fccmp) -> Flow {
        self.conditional_compare(args, Quiet::No)
    }

    /// FMUL (scalar): Vd = Vn × Vm
    fn fmul(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FMUL, |n, m| n.fmul(m, self.round()))
    }

    /// FDIV (scalar): Vd = Vn ÷ Vm
    fn fdiv(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FDIV, |n, m| n.fdiv(m, self.round()))
    }

    /// FADD (scalar): Vd = Vn + Vm
    fn fadd(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FADD, |n, m| n.fadd(m, self.round()))
    }

    /// FSUB (scalar): Vd = Vn - Vm
    fn fsub(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FSUB, |n, m| n.fsub(m, self.round()))
    }

    /// FMAX (scalar): Vd = the greater, or a NaN
    fn fmax(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FMAX, Val::fmaximum)
    }

    /// FMIN (scalar): Vd = the smaller, or a NaN
    fn fmin(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FMIN, Val::fminimum)
    }

    /// FMAXNM (scalar): Vd = the greater, numbers before quiet NaNs
    fn fmaxnm(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FMAXNM, Val::fmax)
    }

    /// FMINNM (scalar): Vd = the smaller, numbers before quiet NaNs
    fn fminnm(&self, args: F3) -> Flow {
        self.fp3(args, helpers::FMINNM, Val::fmin)
    }

    /// FNMUL (scalar): Vd = -(Vn × Vm)
    fn fnmul(&self, args: F3) -> Flow {
        let F3 { rd, rn, rm, size } = args;
        match float(size) {
            Some(ty) => {
                self.set_scalar(rd, self.low(rn, ty).fmul(self.low(rm, ty), self.round()).fneg())
            }
            None => {
                let operands = [rn, rm].map(|n| self.v(n, Type::WIDE));
                let product = self.call_v(helpers::FMUL, scalar_arg(size), &operands);
                self.set_scalar(rd, product.at(Type::I16) ^ self.b.konst_of(Type::I16, 0x8000))
            }
        }
    }

    /// FCSEL: Vd = if cond then Vn else Vm
    fn fcsel(&self, Fcsel { rd, rn, rm, size, cond }: Fcsel) -> Flow {
        let ty = float(size).unwrap_or(Type::I16);
        self.set_scalar(rd, self.choose(cond, self.low(rn, ty), self.low(rm, ty)))
    }

    /// FMADD: Vd = Va + Vn × Vm
    fn fmadd(&self, args: F4) -> Flow {
        self.fma(args, Negate::No, Negate::No)
    }

    /// FMSUB: Vd = Va - Vn × Vm
    fn fmsub(&self, args: F4) -> Flow {
        self.fma(args, Negate::Yes, Negate::No)
    }

    /// FNMADD: Vd = -Va - Vn × Vm
    fn fnmadd(&self, args: F4) -> Flow {
        self.fma(args, Negate::Yes, Negate::Yes)
    }

    /// FNMSUB: Vd = -Va + Vn × Vm
    fn fnmsub(&self, args: F4) -> Flow {
        self.fma(args, Negate::No, Negate::Yes)
    }
}

impl<'b> Insn<'b> {
    /// Changes the sign of a scalar, of NaNs, too.
    fn sign_of_scalar(
        &self,
        F2 { rd, rn, size }: F2,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
        half: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        self.set_scalar(
            rd,
            match float(size) {
                Some(ty) => f(self.low(rn, ty)),
                None => half(self.low(rn, Type::I16), self.b.konst_of(Type::I16, 0x8000)),
            },
        )
    }
}

/// VFPExpandImm: the floating-point number of this size (1 = H, 2 = S, else D) that 8 bits stand for.
pub(super) fn expand_imm(size: u8, imm8: u8) -> u64 {
    let (exponent_bits, fraction_bits) = match size {
        1 => (5, 10),
        2 => (8, 23),
        _ => (11, 52),
    };
    let (sign, b) = (u64::from(imm8 >> 7), u64::from(imm8 >> 6 & 1));
    let replicated = if b == 0 { 0 } else { (1 << (exponent_bits - 3)) - 1 };
    let exponent = (b ^ 1) << (exponent_bits - 1) | replicated << 2 | u64::from(imm8 >> 4 & 3);
    let fraction = u64::from(imm8 & 15) << (fraction_bits - 4);
    sign << (exponent_bits + fraction_bits) | exponent << fraction_bits | fraction
}

#[cfg(test)]
mod tests {
    use super::expand_imm;

    #[test]
    fn immediates_are_numbers() {
        assert_eq!(f64::from_bits(expand_imm(3, 0x70)), 1.0);
        assert_eq!(f64::from_bits(expand_imm(3, 0x3f)), 31.0);
        assert_eq!(f64::from_bits(expand_imm(3, 0xc0)), -0.125);
        for imm8 in 0..=255 {
            let double = f64::from_bits(expand_imm(3, imm8));
            assert_eq!(f64::from(f32::from_bits(expand_imm(2, imm8) as u32)), double);
        }
        assert_eq!(expand_imm(1, 0x70), 0x3c00);
        assert_eq!(expand_imm(1, 0xc0), 0xb000);
    }
}
