//! Advanced SIMD: vector shift by immediate (Arm ARM, C4.1.96).

use arch::aarch64::helpers;
use decoders::aarch64::{CvtV, ShiftV, SimdShift, V2};
use ir::{FpRound, Opcode, Type, Val};

use super::vector::{Arrangement, Sign, mode_number};
use super::{Flow, Insn};
use Sign::{Signed, Unsigned};

impl<'b> Insn<'b> {
    /// Elements shifted right by 1 to their width.
    pub(super) fn lanes_shifted(value: Val<'b>, sign: Sign, by: u8) -> Val<'b> {
        let width = value.ty().lane().bits();
        match sign {
            Signed => value.shr_lanes_s(u32::from(by).min(width - 1)),
            Unsigned if u32::from(by) == width => value.shr_lanes_u(width - 1).shr_lanes_u(1),
            Unsigned => value.shr_lanes_u(by.into()),
        }
    }

    /// The same, rounded to nearest, ties up: what is shifted out last is added.
    pub(super) fn lanes_rounded(value: Val<'b>, sign: Sign, by: u8) -> Val<'b> {
        let width = value.ty().lane().bits();
        let last = value.shl_lanes(width - u32::from(by)).shr_lanes_u(width - 1);
        Self::lanes_shifted(value, sign, by) + last
    }

    /// SRI: the elements of `n` shifted right into those of `d`.
    pub(super) fn inserted_right(&self, d: Val<'b>, n: Val<'b>, by: u8) -> Val<'b> {
        let width = n.ty().lane().bits();
        let mask = (u64::MAX >> (64 - width)).checked_shr(by.into()).unwrap_or(0);
        if u32::from(by) == width {
            return d;
        }
        self.splat(n.ty(), mask).bit_select(n.shr_lanes_u(by.into()), d)
    }

    /// SLI: the elements of `n` shifted left into those of `d`.
    pub(super) fn inserted_left(&self, d: Val<'b>, n: Val<'b>, by: u8) -> Val<'b> {
        let mask = self.splat(n.ty(), u64::MAX << by);
        mask.bit_select(n.shl_lanes(by.into()), d)
    }

    /// Vd = f(Vn), element by element.
    fn shift(&self, ShiftV { rd, rn, t, .. }: ShiftV, f: impl FnOnce(Val<'b>) -> Val<'b>) -> Flow {
        self.map2(V2 { rd, rn, t }, f)
    }

    /// Vd += f(Vn), element by element.
    fn shift_into(&self, args: ShiftV, f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let d = self.v(args.rd, Arrangement(args.t).ty());
        self.shift(args, |n| f(d, n))
    }

    /// SHRN and RSHRN: the elements of f(Vn), truncated to half their width.
    fn shift_narrow(
        &self,
        ShiftV { rd, rn, t, .. }: ShiftV,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        self.set_truncated(rd, t, f(self.v(rn, t.ty().widened())))
    }

    /// The same, saturated.
    fn shift_saturate(
        &self,
        ShiftV { rd, rn, t, .. }: ShiftV,
        narrow: Opcode,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        self.set_half(rd, t.full(), f(self.v(rn, t.ty().widened())).sat_narrow(narrow))
    }

    /// Conversions from and to fixed-point numbers, and other things of a helper that takes numbers.
    fn numbered(&self, rd: u8, rn: u8, t: u8, helper: base::HelperId, [a, b]: [u8; 2]) -> Flow {
        let arg = Arrangement(t).arg().with(a).and(b);
        self.set_v(rd, self.call_v(helper, arg, &[self.v(rn, Type::WIDE)]))
    }

    /// SQSHL and UQSHL (immediate): as those by register.
    fn saturate_left(&self, ShiftV { rd, rn, shift, t }: ShiftV, helper: base::HelperId) -> Flow {
        let t = Arrangement(t);
        let amount = self.splat(t.ty(), shift.into());
        self.set_v(rd, self.call_v(helper, t.arg(), &[self.v(rn, Type::WIDE), amount]))
    }
}

/// The rounding mode of conversions to fixed-point numbers.
const TOWARD_ZERO: u8 = mode_number(FpRound::TowardZero);

impl SimdShift for Insn<'_> {
    /// SSHR: Vd[i] = Vn[i] >> shift
    fn sshr_v(&self, args: ShiftV) -> Flow {
        self.shift(args, |n| Self::lanes_shifted(n, Signed, args.shift))
    }

    /// SSRA: Vd[i] += Vn[i] >> shift
    fn ssra_v(&self, args: ShiftV) -> Flow {
        self.shift_into(args, |d, n| d + Self::lanes_shifted(n, Signed, args.shift))
    }

    /// SRSHR: Vd[i] = Vn[i] >> shift, rounded
    fn srshr_v(&self, args: ShiftV) -> Flow {
        self.shift(args, |n| Self::lanes_rounded(n, Signed, args.shift))
    }

    /// SRSRA: Vd[i] += Vn[i] >> shift, rounded
    fn srsra_v(&self, args: ShiftV) -> Flow {
        self.shift_into(args, |d, n| d + Self::lanes_rounded(n, Signed, args.shift))
    }

    /// SHL: Vd[i] = Vn[i] << shift
    fn shl_v(&self, args: ShiftV) -> Flow {
        self.shift(args, |n| n.shl_lanes(args.shift.into()))
    }

    /// SQSHL (immediate): Vd[i] = sat(Vn[i] << shift)
    fn sqshl_vi(&self, args: ShiftV) -> Flow {
        self.saturate_left(args, helpers::SQSHL)
    }

    /// SHRN, SHRN2: Vd[i] = Vn[i] >> shift, truncated
    fn shrn(&self, args: ShiftV) -> Flow {
        self.shift_narrow(args, |n| Self::lanes_shifted(n, Unsigned, args.shift))
    }

    /// RSHRN, RSHRN2: Vd[i] = Vn[i] >> shift, rounded, truncated
    fn rshrn(&self, args: ShiftV) -> Flow {
        self.shift_narrow(args, |n| Self::lanes_rounded(n, Unsigned, args.shift))
    }

    /// SQSHRN, SQSHRN2: Vd[i] = sat(Vn[i] >> shift)
    fn sqshrn_v(&self, args: ShiftV) -> Flow {
        self.shift_saturate(args, Opcode::SatNarrowS, |n| {
            Self::lanes_shifted(n, Signed, args.shift)
        })
    }

    /// SQRSHRN, SQRSHRN2: Vd[i] = sat(Vn[i] >> shift, rounded)
    fn sqrshrn_v(&self, args: ShiftV) -> Flow {
        self.shift_saturate(args, Opcode::SatNarrowS, |n| {
            Self::lanes_rounded(n, Signed, args.shift)
        })
    }

    /// SSHLL, SSHLL2: Vd[i] = Vn[i] << shift, widened
    fn sshll(&self, ShiftV { rd, rn, shift, t }: ShiftV) -> Flow {
        self.set_v(rd, self.long(rn, Arrangement(t), Signed).shl_lanes(shift.into()))
    }

    /// SCVTF (vector, fixed-point): Vd[i] = Vn[i] ÷ 2^fbits
    fn scvtf_vf(&self, args: CvtV) -> Flow {
        self.convert_lanes_fixed(args, Signed)
    }

    /// FCVTZS (vector, fixed-point): Vd[i] = Vn[i] × 2^fbits, toward zero
    fn fcvtzs_vf(&self, CvtV { rd, rn, fbits, t }: CvtV) -> Flow {
        self.numbered(rd, rn, t, helpers::FCVTS, [TOWARD_ZERO, fbits])
    }

    /// USHR: Vd[i] = Vn[i] >> shift
    fn ushr_v(&self, args: ShiftV) -> Flow {
        self.shift(args, |n| Self::lanes_shifted(n, Unsigned, args.shift))
    }

    /// USRA: Vd[i] += Vn[i] >> shift
    fn usra_v(&self, args: ShiftV) -> Flow {
        self.shift_into(args, |d, n| d + Self::lanes_shifted(n, Unsigned, args.shift))
    }

    /// URSHR: Vd[i] = Vn[i] >> shift, rounded
    fn urshr_v(&self, args: ShiftV) -> Flow {
        self.shift(args, |n| Self::lanes_rounded(n, Unsigned, args.shift))
    }

    /// URSRA: Vd[i] += Vn[i] >> shift, rounded
    fn ursra_v(&self, args: ShiftV) -> Flow {
        self.shift_into(args, |d, n| d + Self::lanes_rounded(n, Unsigned, args.shift))
    }

    /// SRI: Vd[i] = Vn[i] >> shift, with the bits of Vd[i] above
    fn sri_v(&self, args: ShiftV) -> Flow {
        self.shift_into(args, |d, n| self.inserted_right(d, n, args.shift))
    }

    /// SLI: Vd[i] = Vn[i] << shift, with the bits of Vd[i] below
    fn sli_v(&self, args: ShiftV) -> Flow {
        self.shift_into(args, |d, n| self.inserted_left(d, n, args.shift))
    }

    /// SQSHLU: Vd[i] = sat(Vn[i] << shift), from signed to unsigned
    fn sqshlu_vi(&self, ShiftV { rd, rn, shift, t }: ShiftV) -> Flow {
        self.numbered(rd, rn, t, helpers::SQSHLU, [shift, 0])
    }

    /// UQSHL (immediate): Vd[i] = sat(Vn[i] << shift)
    fn uqshl_vi(&self, args: ShiftV) -> Flow {
        self.saturate_left(args, helpers::UQSHL)
    }

    /// SQSHRUN, SQSHRUN2: Vd[i] = sat(Vn[i] >> shift), from signed to unsigned
    fn sqshrun_v(&self, args: ShiftV) -> Flow {
        self.shift_saturate(args, Opcode::SatNarrowSU, |n| {
            Self::lanes_shifted(n, Signed, args.shift)
        })
    }

    /// SQRSHRUN, SQRSHRUN2: Vd[i] = sat(Vn[i] >> shift, rounded), from signed to unsigned
    fn sqrshrun_v(&self, args: ShiftV) -> Flow {
        self.shift_saturate(args, Opcode::SatNarrowSU, |n| {
            Self::lanes_rounded(n, Signed, args.shift)
        })
    }

    /// UQSHRN, UQSHRN2: Vd[i] = sat(Vn[i] >> shift)
    fn uqshrn_v(&self, args: ShiftV) -> Flow {
        self.shift_saturate(args, Opcode::SatNarrowU, |n| {
            Self::lanes_shifted(n, Unsigned, args.shift)
        })
    }

    /// UQRSHRN, UQRSHRN2: Vd[i] = sat(Vn[i] >> shift, rounded)
    fn uqrshrn_v(&self, args: ShiftV) -> Flow {
        self.shift_saturate(args, Opcode::SatNarrowU, |n| {
            Self::lanes_rounded(n, Unsigned, args.shift)
        })
    }

    /// USHLL, USHLL2: Vd[i] = Vn[i] << shift, widened
    fn ushll(&self, ShiftV { rd, rn, shift, t }: ShiftV) -> Flow {
        self.set_v(rd, self.long(rn, Arrangement(t), Unsigned).shl_lanes(shift.into()))
    }

    /// UCVTF (vector, fixed-point): Vd[i] = Vn[i] ÷ 2^fbits
    fn ucvtf_vf(&self, args: CvtV) -> Flow {
        self.convert_lanes_fixed(args, Unsigned)
    }

    /// FCVTZU (vector, fixed-point): Vd[i] = Vn[i] × 2^fbits, toward zero
    fn fcvtzu_vf(&self, CvtV { rd, rn, fbits, t }: CvtV) -> Flow {
        self.numbered(rd, rn, t, helpers::FCVTU, [TOWARD_ZERO, fbits])
    }
}
