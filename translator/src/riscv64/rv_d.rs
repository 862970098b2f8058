//! D: double-precision floating point, version 2.2.

use arch::riscv64::helpers;
use base::defect::{Defect, is_seeded};
use decoders::riscv64::{I, R, R2, R2Rm, R4Rm, RRm, RvD, S};
use ir::{MemOrder, Type};

use super::{Flow, Insn};

impl RvD for Insn<'_> {
    /// FLD: f[rd] = M[x[rs1] + imm][63:0]
    fn fld(&self, I { rd, rs1, imm }: I) -> Flow {
        self.set_f(rd, self.b.load_f(Type::F64, self.x(rs1), imm as i32))
    }

    /// FSD: M[x[rs1] + imm] = f[rs2]
    fn fsd(&self, S { rs1, rs2, imm }: S) -> Flow {
        self.b.store(Type::I64, self.x(rs1), imm as i32, self.f_only(rs2), MemOrder::Plain);
        Flow::Next
    }

    /// FMADD.D: f[rd] = f[rs1] × f[rs2] + f[rs3], rounded once
    fn fmadd_d(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.rounded(rm, |round| {
            if is_seeded(Defect::FmaddRoundsTwice) {
                let product = self.d(rs1).fmul(self.d(rs2), round);
                return self.set_f(rd, product.fadd(self.d(rs3), round));
            }
            let result = self.d(rs1).fmul_add(self.d(rs2), self.d(rs3), round);
            self.set_f(rd, result)
        })
    }

    /// FMSUB.D: f[rd] = f[rs1] × f[rs2] - f[rs3], rounded once
    fn fmsub_d(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.rounded(rm, |round| {
            let result = self.d(rs1).fmul_add(self.d(rs2), self.d(rs3).fneg(), round);
            self.set_f(rd, result)
        })
    }

    /// FNMSUB.D: f[rd] = -(f[rs1] × f[rs2]) + f[rs3], rounded once
    fn fnmsub_d(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.rounded(rm, |round| {
            let result = self.d(rs1).fneg().fmul_add(self.d(rs2), self.d(rs3), round);
            self.set_f(rd, result)
        })
    }

    /// FNMADD.D: f[rd] = -(f[rs1] × f[rs2]) - f[rs3], rounded once
    fn fnmadd_d(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.rounded(rm, |round| {
            let result = self.d(rs1).fneg().fmul_add(self.d(rs2), self.d(rs3).fneg(), round);
            self.set_f(rd, result)
        })
    }

    /// FADD.D: f[rd] = f[rs1] + f[rs2]
    fn fadd_d(&self, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.d(rs1).fadd(self.d(rs2), round)))
    }

    /// FSUB.D: f[rd] = f[rs1] - f[rs2]
    fn fsub_d(&self, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.d(rs1).fsub(self.d(rs2), round)))
    }

    /// FMUL.D: f[rd] = f[rs1] × f[rs2]
    fn fmul_d(&self, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.d(rs1).fmul(self.d(rs2), round)))
    }

    /// FDIV.D: f[rd] = f[rs1] ÷ f[rs2]
    fn fdiv_d(&self, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.d(rs1).fdiv(self.d(rs2), round)))
    }

    /// FSQRT.D: f[rd] = √f[rs1]
    fn fsqrt_d(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.d(rs1).fsqrt(round)))
    }

    /// FSGNJ.D: f[rd] = |f[rs1]| with the sign of f[rs2]; FMV.D if they are one register
    fn fsgnj_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if rs1 == rs2 {
            return self.set_f(rd, self.f(rs1));
        }
        self.set_f(rd, self.d(rs1).fcopysign(self.d(rs2)))
    }

    /// FSGNJN.D: f[rd] = |f[rs1]| with the opposite sign of f[rs2]; FNEG.D if they are one register
    fn fsgnjn_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if rs1 == rs2 {
            return self.set_f(rd, self.d(rs1).fneg());
        }
        self.set_f(rd, self.d(rs1).fcopysign(self.d(rs2).fneg()))
    }

    /// FSGNJX.D: f[rd] = f[rs1] with the exclusive or of both signs; FABS.D if they are one register
    fn fsgnjx_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if rs1 == rs2 {
            return self.set_f(rd, self.d(rs1).fabs());
        }
        self.set_f(rd, self.f(rs1) ^ (self.f(rs2) & self.konst(1 << 63)))
    }

    /// FMIN.D: f[rd] = the smaller of f[rs1] and f[rs2] (IEEE 754-2019 minimumNumber)
    fn fmin_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_f(rd, self.d(rs1).fmin(self.d(rs2)))
    }

    /// FMAX.D: f[rd] = the greater of f[rs1] and f[rs2] (IEEE 754-2019 maximumNumber)
    fn fmax_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_f(rd, self.d(rs1).fmax(self.d(rs2)))
    }

    /// FEQ.D: x[rd] = f[rs1] == f[rs2]; quiet
    fn feq_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.d(rs1).feq(self.d(rs2)))
    }

    /// FLT.D: x[rd] = f[rs1] < f[rs2]; signalling
    fn flt_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.d(rs1).flt(self.d(rs2)))
    }

    /// FLE.D: x[rd] = f[rs1] <= f[rs2]; signalling
    fn fle_d(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.d(rs1).fle(self.d(rs2)))
    }

    /// FCLASS.D: x[rd] = the class of f[rs1], one bit of ten
    fn fclass_d(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.call(helpers::FCLASS_D, &[self.f_only(rs1)]))
    }

    /// FCVT.W.D: x[rd] = sext(s32(f[rs1]))
    fn fcvt_w_d(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.d(rs1).fto_s(Type::I32, round)))
    }

    /// FCVT.WU.D: x[rd] = sext(u32(f[rs1]))
    fn fcvt_wu_d(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.d(rs1).fto_u(Type::I32, round).low32().sext()))
    }

    /// FCVT.L.D (RV64): x[rd] = s64(f[rs1])
    fn fcvt_l_d(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.d(rs1).fto_s(Type::I64, round)))
    }

    /// FCVT.LU.D (RV64): x[rd] = u64(f[rs1])
    fn fcvt_lu_d(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.d(rs1).fto_u(Type::I64, round)))
    }

    /// FCVT.D.W: f[rd] = x[rs1][31:0], signed
    fn fcvt_d_w(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.x(rs1).low32().sto_f(Type::F64, round)))
    }

    /// FCVT.D.WU: f[rd] = x[rs1][31:0], unsigned
    fn fcvt_d_wu(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.x(rs1).low32().uto_f(Type::F64, round)))
    }

    /// FCVT.D.L (RV64): f[rd] = x[rs1], signed
    fn fcvt_d_l(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.x(rs1).sto_f(Type::F64, round)))
    }

    /// FCVT.D.LU (RV64): f[rd] = x[rs1], unsigned
    fn fcvt_d_lu(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.x(rs1).uto_f(Type::F64, round)))
    }

    /// FCVT.S.D: f[rd] = f[rs1] as binary32
    fn fcvt_s_d(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.d(rs1).fcvt(Type::F32, round)))
    }

    /// FCVT.D.S: f[rd] = f[rs1] as binary64
    fn fcvt_d_s(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_f(rd, self.s(rs1).fcvt(Type::F64, round)))
    }

    /// FMV.X.D (RV64): x[rd] = f[rs1]
    fn fmv_x_d(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.f_only(rs1))
    }

    /// FMV.D.X (RV64): f[rd] = x[rs1]
    fn fmv_d_x(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_f(rd, self.x(rs1))
    }
}
