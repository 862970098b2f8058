//! F: single-precision floating point, version 2.2. Flags accumulate in fflags by themselves: that
//! is part of what IR's operations do.

use arch::riscv64::helpers;
use base::defect::{Defect, is_seeded};
use decoders::riscv64::{I, R, R2, R2Rm, R4Rm, RRm, RvF, S};
use ir::{MemOrder, Type};

use super::{Flow, Insn};

impl RvF for Insn<'_> {
    /// FLW: f[rd] = M[x[rs1] + imm][31:0], NaN-boxed
    fn flw(&self, I { rd, rs1, imm }: I) -> Flow {
        self.set_s(rd, self.b.load_f(Type::F32, self.x(rs1), imm as i32))
    }

    /// FSW: M[x[rs1] + imm] = f[rs2][31:0], NaN-boxed or not
    fn fsw(&self, S { rs1, rs2, imm }: S) -> Flow {
        self.b.store(Type::I32, self.x(rs1), imm as i32, self.f_only(rs2), MemOrder::Plain);
        Flow::Next
    }

    /// FMADD.S: f[rd] = f[rs1] × f[rs2] + f[rs3], rounded once
    fn fmadd_s(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.rounded(rm, |round| {
            let result = self.s(rs1).fmul_add(self.s(rs2), self.s(rs3), round);
            self.set_s(rd, result)
        })
    }

    /// FMSUB.S: f[rd] = f[rs1] × f[rs2] - f[rs3], rounded once
    fn fmsub_s(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.rounded(rm, |round| {
            let result = self.s(rs1).fmul_add(self.s(rs2), self.s(rs3).fneg(), round);
            self.set_s(rd, result)
        })
    }

    /// FNMSUB.S: f[rd] = -(f[rs1] × f[rs2]) + f[rs3], rounded once
    fn fnmsub_s(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.rounded(rm, |round| {
            let result = self.s(rs1).fneg().fmul_add(self.s(rs2), self.s(rs3), round);
            self.set_s(rd, result)
        })
    }

    /// FNMADD.S: f[rd] = -(f[rs1] × f[rs2]) - f[rs3], rounded once
    fn fnmadd_s(&self, R4Rm { rd, rs1, rs2, rs3, rm }: R4Rm) -> Flow {
        self.rounded(rm, |round| {
            let result = self.s(rs1).fneg().fmul_add(self.s(rs2), self.s(rs3).fneg(), round);
            self.set_s(rd, result)
        })
    }

    /// FADD.S: f[rd] = f[rs1] + f[rs2]
    fn fadd_s(&self, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| {
            let wrong = is_seeded(Defect::FaddIgnoresRounding);
            let round = if wrong { ir::FpRound::NearestEven } else { round };
            self.set_s(rd, self.s(rs1).fadd(self.s(rs2), round))
        })
    }

    /// FSUB.S: f[rd] = f[rs1] - f[rs2]
    fn fsub_s(&self, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.s(rs1).fsub(self.s(rs2), round)))
    }

    /// FMUL.S: f[rd] = f[rs1] × f[rs2]
    fn fmul_s(&self, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.s(rs1).fmul(self.s(rs2), round)))
    }

    /// FDIV.S: f[rd] = f[rs1] ÷ f[rs2]
    fn fdiv_s(&self, RRm { rd, rs1, rs2, rm }: RRm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.s(rs1).fdiv(self.s(rs2), round)))
    }

    /// FSQRT.S: f[rd] = √f[rs1]
    fn fsqrt_s(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.s(rs1).fsqrt(round)))
    }

    /// FSGNJ.S: f[rd] = |f[rs1]| with the sign of f[rs2]; FMV.S if they are one register
    fn fsgnj_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if rs1 == rs2 {
            return self.set_s(rd, self.s(rs1));
        }
        self.set_s(rd, self.s(rs1).fcopysign(self.s(rs2)))
    }

    /// FSGNJN.S: f[rd] = |f[rs1]| with the opposite sign of f[rs2]; FNEG.S if they are one register
    fn fsgnjn_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if rs1 == rs2 {
            return self.set_s(rd, self.s(rs1).fneg());
        }
        self.set_s(rd, self.s(rs1).fcopysign(self.s(rs2).fneg()))
    }

    /// FSGNJX.S: f[rd] = f[rs1] with the exclusive or of both signs; FABS.S if they are one register
    fn fsgnjx_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if rs1 == rs2 {
            return self.set_s(rd, self.s(rs1).fabs());
        }
        let sign = self.s(rs2).at(Type::I32) & self.konst_w(1 << 31);
        self.set_s(rd, (self.s(rs1).at(Type::I32) ^ sign).at(Type::F32))
    }

    /// FMIN.S: f[rd] = the smaller of f[rs1] and f[rs2] (IEEE 754-2019 minimumNumber)
    fn fmin_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        if is_seeded(Defect::FminKeepsNan) {
            return self.set_s(rd, self.s(rs1).fminimum(self.s(rs2)));
        }
        self.set_s(rd, self.s(rs1).fmin(self.s(rs2)))
    }

    /// FMAX.S: f[rd] = the greater of f[rs1] and f[rs2] (IEEE 754-2019 maximumNumber)
    fn fmax_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_s(rd, self.s(rs1).fmax(self.s(rs2)))
    }

    /// FEQ.S: x[rd] = f[rs1] == f[rs2]; quiet
    fn feq_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.s(rs1).feq(self.s(rs2)))
    }

    /// FLT.S: x[rd] = f[rs1] < f[rs2]; signalling
    fn flt_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.s(rs1).flt(self.s(rs2)))
    }

    /// FLE.S: x[rd] = f[rs1] <= f[rs2]; signalling
    fn fle_s(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.s(rs1).fle(self.s(rs2)))
    }

    /// FCLASS.S: x[rd] = the class of f[rs1], one bit of ten
    fn fclass_s(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.call(helpers::FCLASS_S, &[self.f_only(rs1)]))
    }

    /// FCVT.W.S: x[rd] = sext(s32(f[rs1]))
    fn fcvt_w_s(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.s(rs1).fto_s(Type::I32, round)))
    }

    /// FCVT.WU.S: x[rd] = sext(u32(f[rs1]))
    fn fcvt_wu_s(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.s(rs1).fto_u(Type::I32, round).low32().sext()))
    }

    /// FCVT.L.S (RV64): x[rd] = s64(f[rs1])
    fn fcvt_l_s(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.s(rs1).fto_s(Type::I64, round)))
    }

    /// FCVT.LU.S (RV64): x[rd] = u64(f[rs1])
    fn fcvt_lu_s(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_x(rd, self.s(rs1).fto_u(Type::I64, round)))
    }

    /// FCVT.S.W: f[rd] = x[rs1][31:0], signed
    fn fcvt_s_w(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.x(rs1).low32().sto_f(Type::F32, round)))
    }

    /// FCVT.S.WU: f[rd] = x[rs1][31:0], unsigned
    fn fcvt_s_wu(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.x(rs1).low32().uto_f(Type::F32, round)))
    }

    /// FCVT.S.L (RV64): f[rd] = x[rs1], signed
    fn fcvt_s_l(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.x(rs1).sto_f(Type::F32, round)))
    }

    /// FCVT.S.LU (RV64): f[rd] = x[rs1], unsigned
    fn fcvt_s_lu(&self, R2Rm { rd, rs1, rm }: R2Rm) -> Flow {
        self.rounded(rm, |round| self.set_s(rd, self.x(rs1).uto_f(Type::F32, round)))
    }

    /// FMV.X.W: x[rd] = sext(f[rs1][31:0]), NaN-boxed or not
    fn fmv_x_w(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.f_only(rs1).low32().sext())
    }

    /// FMV.W.X: f[rd] = x[rs1][31:0], NaN-boxed
    fn fmv_w_x(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_s(rd, self.x(rs1).at(Type::F32))
    }
}
