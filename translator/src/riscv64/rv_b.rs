//! B: Zba, Zbb, Zbs, version 1.0; and Zbc, Zbkb, Zbkc, Zbkx.

use arch::riscv64::helpers;
use decoders::riscv64::{R, R2, RvB, Shift};
use ir::Val;

use super::{Flow, Insn};

impl<'b> Insn<'b> {
    /// Rotations by 32 bits sign-extend.
    fn rotated_w(&self, rd: u8, value: Val<'b>) -> Flow {
        self.set_x(rd, value.sext())
    }

    fn bit(&self, index: Val<'b>) -> Val<'b> {
        self.konst(1).shl(index)
    }

    fn shamt(&self, shamt: u8) -> Val<'b> {
        self.konst(shamt.into())
    }

    fn sh_add(&self, R { rd, rs1, rs2 }: R, shift: u64) -> Flow {
        self.set_x(rd, self.x(rs1).shl(self.konst(shift)) + self.x(rs2))
    }

    fn sh_add_uw(&self, R { rd, rs1, rs2 }: R, shift: u64) -> Flow {
        self.set_x(rd, self.x(rs1).low32().zext().shl(self.konst(shift)) + self.x(rs2))
    }
}

impl RvB for Insn<'_> {
    /// ADD.UW (Zba): x[rd] = x[rs1][31:0] + x[rs2]
    fn add_uw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        let word = self.x(rs1).low32().zext();
        // ZEXT.W by name.
        self.set_x(rd, if rs2 == 0 { word } else { word + self.x(rs2) })
    }

    /// SH1ADD (Zba): x[rd] = (x[rs1] << 1) + x[rs2]
    fn sh1add(&self, args: R) -> Flow {
        self.sh_add(args, 1)
    }

    /// SH1ADD.UW (Zba): x[rd] = (x[rs1][31:0] << 1) + x[rs2]
    fn sh1add_uw(&self, args: R) -> Flow {
        self.sh_add_uw(args, 1)
    }

    /// SH2ADD (Zba): x[rd] = (x[rs1] << 2) + x[rs2]
    fn sh2add(&self, args: R) -> Flow {
        self.sh_add(args, 2)
    }

    /// SH2ADD.UW (Zba): x[rd] = (x[rs1][31:0] << 2) + x[rs2]
    fn sh2add_uw(&self, args: R) -> Flow {
        self.sh_add_uw(args, 2)
    }

    /// SH3ADD (Zba): x[rd] = (x[rs1] << 3) + x[rs2]
    fn sh3add(&self, args: R) -> Flow {
        self.sh_add(args, 3)
    }

    /// SH3ADD.UW (Zba): x[rd] = (x[rs1][31:0] << 3) + x[rs2]
    fn sh3add_uw(&self, args: R) -> Flow {
        self.sh_add_uw(args, 3)
    }

    /// SLLI.UW (Zba): x[rd] = x[rs1][31:0] << shamt
    fn slli_uw(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1).low32().zext().shl(self.shamt(shamt)))
    }

    /// ANDN (Zbb, Zbkb): x[rd] = x[rs1] & ~x[rs2]
    fn andn(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).and_not(self.x(rs2)))
    }

    /// ORN (Zbb, Zbkb): x[rd] = x[rs1] | ~x[rs2]
    fn orn(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1) | !self.x(rs2))
    }

    /// XNOR (Zbb, Zbkb): x[rd] = ~(x[rs1] ^ x[rs2])
    fn xnor(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, !(self.x(rs1) ^ self.x(rs2)))
    }

    /// ROL (Zbb, Zbkb): x[rd] = x[rs1] rotated left by x[rs2][5:0]
    fn rol(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).rotl(self.x(rs2)))
    }

    /// ROLW (Zbb, Zbkb): x[rd] = sext(x[rs1][31:0] rotated left by x[rs2][4:0])
    fn rolw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.rotated_w(rd, self.x(rs1).low32().rotl(self.x(rs2).low32()))
    }

    /// ROR (Zbb, Zbkb): x[rd] = x[rs1] rotated right by x[rs2][5:0]
    fn ror(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).rotr(self.x(rs2)))
    }

    /// RORI (Zbb, Zbkb): x[rd] = x[rs1] rotated right by shamt
    fn rori(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1).rotr(self.shamt(shamt)))
    }

    /// RORIW (Zbb, Zbkb): x[rd] = sext(x[rs1][31:0] rotated right by shamt)
    fn roriw(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.rotated_w(rd, self.x(rs1).low32().rotr(self.konst_w(shamt.into())))
    }

    /// RORW (Zbb, Zbkb): x[rd] = sext(x[rs1][31:0] rotated right by x[rs2][4:0])
    fn rorw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.rotated_w(rd, self.x(rs1).low32().rotr(self.x(rs2).low32()))
    }

    /// REV8 (Zbb, Zbkb): x[rd] = x[rs1] with its bytes reversed
    fn rev8(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).bswap())
    }

    /// CLZ (Zbb): x[rd] = leading zeros of x[rs1]
    fn clz(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).clz())
    }

    /// CLZW (Zbb): x[rd] = leading zeros of x[rs1][31:0]
    fn clzw(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).low32().clz().zext())
    }

    /// CTZ (Zbb): x[rd] = trailing zeros of x[rs1]
    fn ctz(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).ctz())
    }

    /// CTZW (Zbb): x[rd] = trailing zeros of x[rs1][31:0]
    fn ctzw(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).low32().ctz().zext())
    }

    /// CPOP (Zbb): x[rd] = bits set in x[rs1]
    fn cpop(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).popcnt())
    }

    /// CPOPW (Zbb): x[rd] = bits set in x[rs1][31:0]
    fn cpopw(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).low32().popcnt().zext())
    }

    /// MAX (Zbb): x[rd] = max_s(x[rs1], x[rs2])
    fn max(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).max_s(self.x(rs2)))
    }

    /// MAXU (Zbb): x[rd] = max_u(x[rs1], x[rs2])
    fn maxu(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).max_u(self.x(rs2)))
    }

    /// MIN (Zbb): x[rd] = min_s(x[rs1], x[rs2])
    fn min(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).min_s(self.x(rs2)))
    }

    /// MINU (Zbb): x[rd] = min_u(x[rs1], x[rs2])
    fn minu(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).min_u(self.x(rs2)))
    }

    /// SEXT.B (Zbb): x[rd] = sext(x[rs1][7:0])
    fn sext_b(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).low8().sext())
    }

    /// SEXT.H (Zbb): x[rd] = sext(x[rs1][15:0])
    fn sext_h(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).low16().sext())
    }

    /// ORC.B (Zbb): each byte of x[rd] = 0xff if that of x[rs1] is not 0, else 0
    fn orc_b(&self, R2 { rd, rs1 }: R2) -> Flow {
        let (low, x) = (0x7f7f_7f7f_7f7f_7f7f, self.x(rs1));
        let (low, high) = (self.konst(low), self.konst(!low));
        // Bit 7 of each byte says whether the byte is not 0; 2^8 - 2^0 of it then fills the byte.
        let nonzero = (((x & low) + low) | x) & high;
        self.set_x(rd, nonzero.shl(self.konst(1)) - nonzero.shr_u(self.konst(7)))
    }

    /// ZEXT.H (Zbb): x[rd] = x[rs1][15:0]
    fn zext_h(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.x(rs1).low16().zext())
    }

    /// PACKW (Zbkb): x[rd] = sext(x[rs2][15:0] : x[rs1][15:0])
    fn packw(&self, R { rd, rs1, rs2 }: R) -> Flow {
        let high = self.x(rs2).shl(self.konst(16));
        self.set_x(rd, (self.x(rs1).low16().zext() | high).low32().sext())
    }

    /// CLMUL (Zbc, Zbkc): x[rd] = (x[rs1] ⊗ x[rs2])[63:0]
    fn clmul(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.call(helpers::CLMUL, &[self.x(rs1), self.x(rs2)]))
    }

    /// CLMULH (Zbc, Zbkc): x[rd] = (x[rs1] ⊗ x[rs2])[127:64]
    fn clmulh(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.call(helpers::CLMULH, &[self.x(rs1), self.x(rs2)]))
    }

    /// CLMULR (Zbc): x[rd] = (x[rs1] ⊗ x[rs2])[126:63]
    fn clmulr(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.call(helpers::CLMULR, &[self.x(rs1), self.x(rs2)]))
    }

    /// BCLR (Zbs): x[rd] = x[rs1] & ~(1 << x[rs2][5:0])
    fn bclr(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).and_not(self.bit(self.x(rs2))))
    }

    /// BCLRI (Zbs): x[rd] = x[rs1] & ~(1 << shamt)
    fn bclri(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1) & self.konst(!(1 << shamt)))
    }

    /// BEXT (Zbs): x[rd] = x[rs1] >> x[rs2][5:0] & 1
    fn bext(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).shr_u(self.x(rs2)) & self.konst(1))
    }

    /// BEXTI (Zbs): x[rd] = x[rs1] >> shamt & 1
    fn bexti(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1).shr_u(self.shamt(shamt)) & self.konst(1))
    }

    /// BINV (Zbs): x[rd] = x[rs1] ^ 1 << x[rs2][5:0]
    fn binv(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1) ^ self.bit(self.x(rs2)))
    }

    /// BINVI (Zbs): x[rd] = x[rs1] ^ 1 << shamt
    fn binvi(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1) ^ self.konst(1 << shamt))
    }

    /// BSET (Zbs): x[rd] = x[rs1] | 1 << x[rs2][5:0]
    fn bset(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1) | self.bit(self.x(rs2)))
    }

    /// BSETI (Zbs): x[rd] = x[rs1] | 1 << shamt
    fn bseti(&self, Shift { rd, rs1, shamt }: Shift) -> Flow {
        self.set_x(rd, self.x(rs1) | self.konst(1 << shamt))
    }

    /// PACK (Zbkb): x[rd] = x[rs2][31:0] : x[rs1][31:0]
    fn pack(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.x(rs1).low32().zext() | self.x(rs2).shl(self.konst(32)))
    }

    /// PACKH (Zbkb): x[rd] = x[rs2][7:0] : x[rs1][7:0]
    fn packh(&self, R { rd, rs1, rs2 }: R) -> Flow {
        let high = self.x(rs2).low8().zext().shl(self.konst(8));
        self.set_x(rd, self.x(rs1).low8().zext() | high)
    }

    /// BREV8 (Zbkb): x[rd] = x[rs1] with the bits of each byte reversed
    fn brev8(&self, R2 { rd, rs1 }: R2) -> Flow {
        self.set_x(rd, self.call(helpers::BREV8, &[self.x(rs1)]))
    }

    /// XPERM4 (Zbkx): each nibble of x[rd] = the nibble of x[rs1] that x[rs2]'s selects
    fn xperm4(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.call(helpers::XPERM4, &[self.x(rs1), self.x(rs2)]))
    }

    /// XPERM8 (Zbkx): each byte of x[rd] = the byte of x[rs1] that x[rs2]'s selects
    fn xperm8(&self, R { rd, rs1, rs2 }: R) -> Flow {
        self.set_x(rd, self.call(helpers::XPERM8, &[self.x(rs1), self.x(rs2)]))
    }
}
