//! M: integer multiplication and division, version 2.0. IR's division has RISC-V's results for
//! division by zero and overflow.

use decoders::riscv64::{R, RvM};

use super::{Flow, Insn};

impl RvM for Insn<'_> {
    /// MUL: x[rd] = (x[rs1] × x[rs2])[63:0]
    fn mul(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1) * self.x(rs2))
    }

    /// MULH: x[rd] = (x[rs1] s×s x[rs2])[127:64]
    fn mulh(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).mulhi_s(self.x(rs2)))
    }

    /// MULHSU: x[rd] = (x[rs1] s×u x[rs2])[127:64]
    fn mulhsu(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).mulhi_su(self.x(rs2)))
    }

    /// MULHU: x[rd] = (x[rs1] u×u x[rs2])[127:64]
    fn mulhu(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).mulhi_u(self.x(rs2)))
    }

    /// MULW (RV64M): x[rd] = sext((x[rs1] × x[rs2])[31:0])
    fn mulw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, (self.x(rs1).low32() * self.x(rs2).low32()).sext())
    }

    /// DIV: x[rd] = x[rs1] ÷s x[rs2]
    fn div(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).div_s(self.x(rs2)))
    }

    /// DIVU: x[rd] = x[rs1] ÷u x[rs2]
    fn divu(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).div_u(self.x(rs2)))
    }

    /// REM: x[rd] = x[rs1] %s x[rs2]
    fn rem(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).rem_s(self.x(rs2)))
    }

    /// REMU: x[rd] = x[rs1] %u x[rs2]
    fn remu(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).rem_u(self.x(rs2)))
    }

    /// DIVW (RV64M): x[rd] = sext(x[rs1][31:0] ÷s x[rs2][31:0])
    fn divw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).low32().div_s(self.x(rs2).low32()).sext())
    }

    /// DIVUW (RV64M): x[rd] = sext(x[rs1][31:0] ÷u x[rs2][31:0])
    fn divuw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).low32().div_u(self.x(rs2).low32()).sext())
    }

    /// REMW (RV64M): x[rd] = sext(x[rs1][31:0] %s x[rs2][31:0])
    fn remw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).low32().rem_s(self.x(rs2).low32()).sext())
    }

    /// REMUW (RV64M): x[rd] = sext(x[rs1][31:0] %u x[rs2][31:0])
    fn remuw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).low32().rem_u(self.x(rs2).low32()).sext())
    }
}
