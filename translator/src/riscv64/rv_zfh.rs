//! Zfh and Zfhmin: half-precision floating point, version 1.0. IR has no 16-bit floats: what
//! computes is a helper, on whole registers.

use arch::riscv64::helpers;
use base::HelperId;
use decoders::riscv64::{I, R, R2, R2Rm, R4Rm, RRm, RvZfh, S};
use ir::{MemOrder, Type, Val};

use super::{Flow, Insn};

impl<'b> Insn<'b> {
    /// f[n] with the sign of its 16 bits inverted; what is not NaN-boxed stays so.
    fn negated_h(&self, n: u8) -> Val<'b> {
        self.f(n) ^ self.konst(0x8000)
    }

    fn fma_h(&self, rd: u8, a: Val<'b>, b: Val<'b>, c: Val<'b>, rm: u8) -> Flow {
        self.rounded(rm, |round| {
            self.set_f(rd, self.call_rounded(helpers::FMADD_H, &[a, b, c], round))
        })
    }

    fn arithmetic_h(&self, helper: HelperId, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| {
            self.set_f(rd, self.call_rounded(helper, &[self.f(rs1), self.f(rs2)], round))
        })
    }

    pub(super) fn unary_f(&self, helper: HelperId, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.call_rounded(helper, &[self.f(rs1)], round)))
    }

    pub(super) fn binary_f(&self, helper: HelperId, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_f(rd, self.call(helper, &[self.f(rs1), self.f(rs2)]))
    }

    pub(super) fn comparison_f(&self, helper: HelperId, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.call(helper, &[self.f(rs1), self.f(rs2)]))
    }

    fn integer_from_f(&self, helper: HelperId, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.call_rounded(helper, &[self.f(rs1)], round)))
    }

    fn f_from_integer(&self, helper: HelperId, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.call_rounded(helper, &[self.x(rs1)], round)))
    }
}

impl RvZfh for Insn<'_> {
    /// FLH: f[rd] = M[x[rs1] + imm][15:0], NaN-boxed
    fn flh(&self, I { rd, rs1, imm }: I) -> Flow {
        self.set_h(rd, self.b.load_u(Type::I16, self.x(rs1), imm as i32, MemOrder::Plain))
    }

    /// FSH: M[x[rs1] + imm] = f[rs2][15:0], NaN-boxed or not
    fn fsh(&self, S { rs1, rs2, imm }: S) -> Flow {
        self.b.store(Type::I16, self.x(rs1), imm as i32, self.f_only(rs2), MemOrder::Plain);
        Flow::Next
    }

    /// FCVT.S.H: f[rd] = f[rs1] as binary32
    fn fcvt_s_h(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FCVT_S_H, args)
    }

    /// FCVT.H.S: f[rd] = f[rs1] as binary16
    fn fcvt_h_s(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FCVT_H_S, args)
    }

    /// FMV.X.H: x[rd] = sext(f[rs1][15:0]), NaN-boxed or not
    fn fmv_x_h(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.f_only(rs1).low16().sext())
    }

    /// FMV.H.X: f[rd] = x[rs1][15:0], NaN-boxed
    fn fmv_h_x(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_h(rd, self.x(rs1))
    }

    /// FCVT.D.H: f[rd] = f[rs1] as binary64
    fn fcvt_d_h(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FCVT_D_H, args)
    }

    /// FCVT.H.D: f[rd] = f[rs1] as binary16
    fn fcvt_h_d(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FCVT_H_D, args)
    }

    /// FMADD.H: f[rd] = f[rs1] × f[rs2] + f[rs3], rounded once
    fn fmadd_h(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.fma_h(rd, self.f(rs1), self.f(rs2), self.f(rs3), rm)
    }

    /// FMSUB.H: f[rd] = f[rs1] × f[rs2] - f[rs3], rounded once
    fn fmsub_h(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.fma_h(rd, self.f(rs1), self.f(rs2), self.negated_h(rs3), rm)
    }

    /// FNMSUB.H: f[rd] = -(f[rs1] × f[rs2]) + f[rs3], rounded once
    fn fnmsub_h(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.fma_h(rd, self.negated_h(rs1), self.f(rs2), self.f(rs3), rm)
    }

    /// FNMADD.H: f[rd] = -(f[rs1] × f[rs2]) - f[rs3], rounded once
    fn fnmadd_h(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.fma_h(rd, self.negated_h(rs1), self.f(rs2), self.negated_h(rs3), rm)
    }

    /// FADD.H: f[rd] = f[rs1] + f[rs2]
    fn fadd_h(&self, args: RRm) -> Flow {
        self.arithmetic_h(helpers::FADD_H, args)
    }

    /// FSUB.H: f[rd] = f[rs1] - f[rs2]
    fn fsub_h(&self, args: RRm) -> Flow {
        self.arithmetic_h(helpers::FSUB_H, args)
    }

    /// FMUL.H: f[rd] = f[rs1] × f[rs2]
    fn fmul_h(&self, args: RRm) -> Flow {
        self.arithmetic_h(helpers::FMUL_H, args)
    }

    /// FDIV.H: f[rd] = f[rs1] ÷ f[rs2]
    fn fdiv_h(&self, args: RRm) -> Flow {
        self.arithmetic_h(helpers::FDIV_H, args)
    }

    /// FSQRT.H: f[rd] = √f[rs1]
    fn fsqrt_h(&self, args: R2Rm) -> Flow {
        self.unary_f(helpers::FSQRT_H, args)
    }

    /// FSGNJ.H: f[rd] = |f[rs1]| with the sign of f[rs2]
    fn fsgnj_h(&self, args: R) -> Flow {
        self.binary_f(helpers::FSGNJ_H, args)
    }

    /// FSGNJN.H: f[rd] = |f[rs1]| with the opposite sign of f[rs2]
    fn fsgnjn_h(&self, args: R) -> Flow {
        self.binary_f(helpers::FSGNJN_H, args)
    }

    /// FSGNJX.H: f[rd] = f[rs1] with the exclusive or of both signs
    fn fsgnjx_h(&self, args: R) -> Flow {
        self.binary_f(helpers::FSGNJX_H, args)
    }

    /// FMIN.H: f[rd] = the smaller of f[rs1] and f[rs2]
    fn fmin_h(&self, args: R) -> Flow {
        self.binary_f(helpers::FMIN_H, args)
    }

    /// FMAX.H: f[rd] = the greater of f[rs1] and f[rs2]
    fn fmax_h(&self, args: R) -> Flow {
        self.binary_f(helpers::FMAX_H, args)
    }

    /// FEQ.H: x[rd] = f[rs1] == f[rs2]; quiet
    fn feq_h(&self, args: R) -> Flow {
        self.comparison_f(helpers::FEQ_H, args)
    }

    /// FLT.H: x[rd] = f[rs1] < f[rs2]; signalling
    fn flt_h(&self, args: R) -> Flow {
        self.comparison_f(helpers::FLT_H, args)
    }

    /// FLE.H: x[rd] = f[rs1] <= f[rs2]; signalling
    fn fle_h(&self, args: R) -> Flow {
        self.comparison_f(helpers::FLE_H, args)
    }

    /// FCLASS.H: x[rd] = the class of f[rs1], one bit of ten
    fn fclass_h(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.call(helpers::FCLASS_H, &[self.f_only(rs1)]))
    }

    /// FCVT.W.H: x[rd] = sext(s32(f[rs1]))
    fn fcvt_w_h(&self, args: R2Rm) -> Flow {
        self.integer_from_f(helpers::FCVT_W_H, args)
    }

    /// FCVT.WU.H: x[rd] = sext(u32(f[rs1]))
    fn fcvt_wu_h(&self, args: R2Rm) -> Flow {
        self.integer_from_f(helpers::FCVT_WU_H, args)
    }

    /// FCVT.L.H: x[rd] = s64(f[rs1])
    fn fcvt_l_h(&self, args: R2Rm) -> Flow {
        self.integer_from_f(helpers::FCVT_L_H, args)
    }

    /// FCVT.LU.H: x[rd] = u64(f[rs1])
    fn fcvt_lu_h(&self, args: R2Rm) -> Flow {
        self.integer_from_f(helpers::FCVT_LU_H, args)
    }

    /// FCVT.H.W: f[rd] = x[rs1][31:0], signed
    fn fcvt_h_w(&self, args: R2Rm) -> Flow {
        self.f_from_integer(helpers::FCVT_H_W, args)
    }

    /// FCVT.H.WU: f[rd] = x[rs1][31:0], unsigned
    fn fcvt_h_wu(&self, args: R2Rm) -> Flow {
        self.f_from_integer(helpers::FCVT_H_WU, args)
    }

    /// FCVT.H.L: f[rd] = x[rs1], signed
    fn fcvt_h_l(&self, args: R2Rm) -> Flow {
        self.f_from_integer(helpers::FCVT_H_L, args)
    }

    /// FCVT.H.LU: f[rd] = x[rs1], unsigned
    fn fcvt_h_lu(&self, args: R2Rm) -> Flow {
        self.f_from_integer(helpers::FCVT_H_LU, args)
    }
}
