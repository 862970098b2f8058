//! Data processing - immediate (Arm ARM, C4.1.92).

use base::defect::{Defect, is_seeded};
use decoders::aarch64::{
    AddImm, AddTag, Bitfield, DpImm, Extract, LogicImm, MinMax, MoveWide, PcRel,
};
use ir::Val;

use super::register::width;
use super::{Flow, Insn};

/// Where the allocation tag of an address lies.
const TAG: u64 = 15 << 56;

/// `length` ones.
fn ones(length: u32) -> u64 {
    if length >= 64 { u64::MAX } else { (1 << length) - 1 }
}

impl<'b> Insn<'b> {
    fn add_operands(&self, AddImm { sf, rn, imm, sh, .. }: AddImm) -> (Val<'b>, Val<'b>) {
        let imm = u64::from(imm) << if sh { 12 } else { 0 };
        (self.r_or_sp(sf, rn), self.konst_r(sf, imm))
    }

    /// ADDG, SUBG: memory has no tags, and so no tag but 0 is chosen (AArch64.ChooseNonExcludedTag is
    /// not reached).
    fn add_tag(&self, rd: u8, sum: Val<'b>) -> Flow {
        self.set_x_or_sp(rd, sum & self.konst(!TAG))
    }

    fn logic_operands(&self, LogicImm { sf, rn, imm, .. }: LogicImm) -> (Val<'b>, Val<'b>) {
        (self.r(sf, rn), self.konst_r(sf, imm as u64))
    }

    fn min_max_operands(&self, MinMax { sf, rn, imm, .. }: MinMax) -> (Val<'b>, Val<'b>) {
        (self.r(sf, rn), self.konst_r(sf, imm as u64))
    }
}

impl DpImm for Insn<'_> {
    /// ADR: X[d] = PC + imm
    fn adr(&self, PcRel { rd, imm }: PcRel) -> Flow {
        self.set_x(rd, self.konst(self.pc.wrapping_offset(imm).0))
    }

    /// ADRP: X[d] = PC<63:12>:Zeros(12) + imm
    fn adrp(&self, PcRel { rd, imm }: PcRel) -> Flow {
        self.set_x(rd, self.konst((self.pc.0 & !0xfff).wrapping_add_signed(imm)))
    }

    /// ADD (immediate): R[d] or SP = R[n] or SP + imm
    fn add_imm(&self, args: AddImm) -> Flow {
        let (n, imm) = self.add_operands(args);
        match (args.sf, args.imm) {
            (true, 0) => self.step_x_or_sp(args.rd, n, (args.rn, 0)),
            _ => self.step_x_or_sp(args.rd, (n + imm).zext(), (args.rn, args.imm.into())),
        }
    }

    /// ADDS (immediate): R[d] = R[n] or SP + imm, and the flags of it
    fn adds_imm(&self, args: AddImm) -> Flow {
        let (n, imm) = self.add_operands(args);
        self.adds(args.rd, n, imm)
    }

    /// SUB (immediate): R[d] or SP = R[n] or SP - imm
    fn sub_imm(&self, args: AddImm) -> Flow {
        let (n, imm) = self.add_operands(args);
        self.step_x_or_sp(args.rd, (n - imm).zext(), (args.rn, args.imm.into()))
    }

    /// SUBS (immediate): R[d] = R[n] or SP - imm, and the flags of it
    fn subs_imm(&self, args: AddImm) -> Flow {
        let (n, imm) = self.add_operands(args);
        self.subs(args.rd, n, imm)
    }

    /// ADDG: X[d] or SP = X[n] or SP + offset, with another tag
    fn addg(&self, AddTag { rd, rn, offset, .. }: AddTag) -> Flow {
        self.add_tag(rd, self.x_or_sp(rn) + self.konst(offset.into()))
    }

    /// SUBG: X[d] or SP = X[n] or SP - offset, with another tag
    fn subg(&self, AddTag { rd, rn, offset, .. }: AddTag) -> Flow {
        self.add_tag(rd, self.x_or_sp(rn) - self.konst(offset.into()))
    }

    /// SMAX (immediate): R[d] = max_s(R[n], imm)
    fn smax_imm(&self, args: MinMax) -> Flow {
        let (n, imm) = self.min_max_operands(args);
        self.set_r(args.rd, n.max_s(imm))
    }

    /// UMAX (immediate): R[d] = max_u(R[n], imm)
    fn umax_imm(&self, args: MinMax) -> Flow {
        let (n, imm) = self.min_max_operands(args);
        self.set_r(args.rd, n.max_u(imm))
    }

    /// SMIN (immediate): R[d] = min_s(R[n], imm)
    fn smin_imm(&self, args: MinMax) -> Flow {
        let (n, imm) = self.min_max_operands(args);
        self.set_r(args.rd, n.min_s(imm))
    }

    /// UMIN (immediate): R[d] = min_u(R[n], imm)
    fn umin_imm(&self, args: MinMax) -> Flow {
        let (n, imm) = self.min_max_operands(args);
        self.set_r(args.rd, n.min_u(imm))
    }

    /// AND (immediate): R[d] or SP = R[n] AND imm
    fn and_imm(&self, LogicImm { rd, rn, imm, .. }: LogicImm) -> Flow {
        // The mask of a W register has zeros above it.
        let result = self.x(rn) & self.imm(imm);
        self.step_x_or_sp(rd, result, (rd, imm as u64))
    }

    /// ORR (immediate): R[d] or SP = R[n] OR imm
    fn orr_imm(&self, args: LogicImm) -> Flow {
        if args.rn == 31 {
            return self.set_x_or_sp(args.rd, self.imm(args.imm));
        }
        let (n, imm) = self.logic_operands(args);
        self.set_r_or_sp(args.rd, n | imm)
    }

    /// EOR (immediate): R[d] or SP = R[n] EOR imm
    fn eor_imm(&self, args: LogicImm) -> Flow {
        let (n, imm) = self.logic_operands(args);
        self.set_r_or_sp(args.rd, n ^ imm)
    }

    /// ANDS (immediate): R[d] = R[n] AND imm, and the flags of it
    fn ands_imm(&self, LogicImm { sf, rd, rn, imm }: LogicImm) -> Flow {
        let result = self.x(rn) & self.imm(imm);
        self.set_logic_flags(result.at(width(sf)));
        self.set_x(rd, result)
    }

    /// MOVN: R[d] = NOT (imm << 16 * hw)
    fn movn(&self, MoveWide { sf, rd, imm, hw }: MoveWide) -> Flow {
        let value = !(u64::from(imm) << (16 * hw));
        self.set_x(rd, self.konst(if sf { value } else { value & 0xffff_ffff }))
    }

    /// MOVZ: R[d] = imm << 16 * hw
    fn movz(&self, MoveWide { rd, imm, hw, .. }: MoveWide) -> Flow {
        self.set_x(rd, self.konst(u64::from(imm) << (16 * hw)))
    }

    /// MOVK: R[d]<16 * hw + 15 : 16 * hw> = imm
    fn movk(&self, MoveWide { sf, rd, imm, hw }: MoveWide) -> Flow {
        let kept = if sf { u64::MAX } else { 0xffff_ffff } & !(0xffff << (16 * hw));
        let rest = self.x(rd) & self.konst(kept);
        match imm {
            0 => self.set_x(rd, rest),
            _ => self.set_x(rd, rest | self.konst(u64::from(imm) << (16 * hw))),
        }
    }

    /// SBFM: R[d] = a field of R[n], moved, sign-extended
    fn sbfm(&self, Bitfield { sf, rd, rn, immr, imms }: Bitfield) -> Flow {
        let (ty, n) = (width(sf), self.r(sf, rn));
        let top = ty.bits() - 1;
        let (immr, imms) = (u32::from(immr), u32::from(imms));
        let by = |amount: u32| self.b.konst_of(ty, amount.into());
        let result = match (immr, imms) {
            (0, 7) => return self.set_r(rd, self.narrow(sf, self.x(rn).low8().sext())),
            (0, 15) => return self.set_r(rd, self.narrow(sf, self.x(rn).low16().sext())),
            (0, 31) => return self.set_r(rd, self.narrow(sf, self.x(rn).low32().sext())),
            _ if imms == top => n.shr_s(by(immr)),
            _ if imms >= immr => n.shl(by(top - imms)).shr_s(by(top - imms + immr)),
            _ => n.shl(by(top - imms)).shr_s(by(immr - imms - 1)),
        };
        self.set_r(rd, result)
    }

    /// BFM: a field of R[d] = one of R[n]
    fn bfm(&self, Bitfield { sf, rd, rn, immr, imms }: Bitfield) -> Flow {
        let (ty, n, d) = (width(sf), self.r(sf, rn), self.r(sf, rd));
        let (immr, imms) = (u32::from(immr), u32::from(imms));
        let by = |amount: u32| self.b.konst_of(ty, amount.into());
        let (field, mask) = if imms >= immr {
            let mask = ones(imms - immr + 1);
            (n.shr_u(by(immr)) & self.konst_r(sf, mask), mask)
        } else {
            let (mask, lsb) = (ones(imms + 1), ty.bits() - immr);
            ((n & self.konst_r(sf, mask)).shl(by(lsb)), mask << lsb)
        };
        self.set_r(rd, d & self.konst_r(sf, !mask) | field)
    }

    /// UBFM: R[d] = a field of R[n], moved, zero-extended
    fn ubfm(&self, Bitfield { sf, rd, rn, immr, imms }: Bitfield) -> Flow {
        let (ty, n) = (width(sf), self.r(sf, rn));
        let (immr, imms) = (u32::from(immr), u32::from(imms));
        let by = |amount: u32| self.b.konst_of(ty, amount.into());
        let result = if immr == 0 {
            // A mask of a W register has zeros above it.
            let too_few = u32::from(is_seeded(Defect::UbfxTooNarrow));
            return self.set_x(rd, self.x(rn) & self.konst(ones(imms + 1 - too_few)));
        } else if imms == ty.bits() - 1 {
            n.shr_u(by(immr))
        } else if imms + 1 == immr {
            n.shl(by(ty.bits() - immr))
        } else if imms >= immr {
            let field = self.x(rn).shr_u(self.konst(immr.into()));
            return self.set_x(rd, field & self.konst(ones(imms - immr + 1)));
        } else {
            (n & self.konst_r(sf, ones(imms + 1))).shl(by(ty.bits() - immr))
        };
        self.set_r(rd, result)
    }

    /// EXTR: R[d] = (R[n]:R[m])<lsb + width - 1 : lsb>
    fn extr(&self, Extract { sf, rd, rn, rm, lsb }: Extract) -> Flow {
        let (ty, n, m) = (width(sf), self.r(sf, rn), self.r(sf, rm));
        let by = |amount: u32| self.b.konst_of(ty, amount.into());
        let lsb = u32::from(lsb);
        let result = match lsb {
            0 => m,
            _ if rn == rm => m.rotr(by(lsb)),
            _ => n.shl(by(ty.bits() - lsb)) | m.shr_u(by(lsb)),
        };
        self.set_r(rd, result)
    }
}

impl<'b> Insn<'b> {
    /// A 64-bit value as a register of the size that `sf` says.
    fn narrow(&self, sf: bool, value: Val<'b>) -> Val<'b> {
        value.at(width(sf))
    }
}
