//! Advanced SIMD: table lookup, permutations, extraction, copies and immediates (Arm ARM, C4.1.96).

use base::defect::{Defect, is_seeded};
use decoders::aarch64::{DupV, Ext, InsV, InsX, Modified, MovX, SimdPermute, Tbl, V2, V3};
use ir::{Opcode, Type, Val};

use super::fp::expand_imm;
use super::register::width;
use super::vector::{Arrangement, int_vector};
use super::{Flow, Insn};

impl<'b> Insn<'b> {
    /// The bytes that Vm numbers, of the table of registers from Vn on; 0 where there is none.
    fn table(&self, Tbl { rn, rm, len, .. }: Tbl) -> Val<'b> {
        let indices = self.v(rm, Type::I8x16);
        let row = |i: u8| {
            // Indices into other rows become great, or wrap around and are great again.
            let here = if i == 0 { indices } else { indices - self.every_byte(16 * i) };
            self.v((rn + i) % 32, Type::I8x16).lanes(Opcode::Swizzle, here)
        };
        (1..=len).fold(row(0), |bytes, i| bytes | row(i))
    }

    fn every_byte(&self, byte: u8) -> Val<'b> {
        self.splat(Type::I8x16, u64::from(byte))
    }

    /// Elements of Vn and Vm: `element(i, count)` numbers them from Vn to Vm.
    fn permute(&self, V3 { rd, rn, rm, t }: V3, element: impl Fn(u8, u8) -> u8) -> Flow {
        let t = Arrangement(t);
        let (n, m, count) = (self.v(rn, t.ty()), self.v(rm, t.ty()), t.count() as u8);
        self.set_vt(rd, t.full(), Self::elements(n, m, t, |i| element(i, count)))
    }

    /// A 64-bit pattern in the whole vector or its lower half.
    fn set_pattern(&self, rd: u8, full: bool, pattern: u64) -> Flow {
        let pattern = self.konst(pattern);
        match full {
            true => self.set_v(rd, self.b.splat(Type::WIDE, pattern)),
            false => self.set_scalar(rd, pattern),
        }
    }

    /// The vector's bits with a pattern.
    fn with_pattern(&self, args: Modified, f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let pattern = self.splat(Type::WIDE, pattern(args, 0));
        self.set_vt(args.rd, Arrangement(args.t).full(), f(self.v(args.rd, Type::WIDE), pattern))
    }
}

/// AdvSIMDExpandImm: the immediate in all elements, shifted left; `ones` (all or none) are shifted in.
fn pattern(Modified { t, imm8, shift, .. }: Modified, ones: u64) -> u64 {
    let element = u64::from(imm8) << shift | ones & ((1 << shift) - 1);
    replicate(element, Arrangement(t).size())
}

/// An element of this size, in all of them.
fn replicate(element: u64, size: u8) -> u64 {
    (size..3).fold(element, |all, size| all | all << (8 << size))
}

impl SimdPermute for Insn<'_> {
    /// TBL: Vd[i] = the byte of the table that Vm[i] numbers, or 0
    fn tbl(&self, args: Tbl) -> Flow {
        self.set_vt(args.rd, args.q, self.table(args))
    }

    /// TBX: Vd[i] = the byte of the table that Vm[i] numbers, if there is one
    fn tbx(&self, args: Tbl) -> Flow {
        let indices = self.v(args.rm, Type::I8x16);
        let end = self.every_byte(16 * (args.len + 1));
        let found = end.lanes(Opcode::LanesGtU, indices);
        let value = found.bit_select(self.table(args), self.v(args.rd, Type::I8x16));
        self.set_vt(args.rd, args.q, value)
    }

    /// UZP1: the even elements of Vn, then of Vm
    fn uzp1(&self, args: V3) -> Flow {
        self.permute(args, |i, _| 2 * i)
    }

    /// TRN1: the even elements of Vn and Vm by turns
    fn trn1(&self, args: V3) -> Flow {
        self.permute(args, |i, count| if i % 2 == 0 { i } else { count + i - 1 })
    }

    /// ZIP1: the elements of the lower halves of Vn and Vm by turns
    fn zip1(&self, args: V3) -> Flow {
        self.permute(args, |i, count| i / 2 + i % 2 * count)
    }

    /// UZP2: the odd elements of Vn, then of Vm
    fn uzp2(&self, args: V3) -> Flow {
        self.permute(args, |i, _| 2 * i + 1)
    }

    /// TRN2: the odd elements of Vn and Vm by turns
    fn trn2(&self, args: V3) -> Flow {
        self.permute(args, |i, count| if i % 2 == 0 { i + 1 } else { count + i })
    }

    /// ZIP2: the elements of the upper halves of Vn and Vm by turns
    fn zip2(&self, args: V3) -> Flow {
        self.permute(args, |i, count| count / 2 + i / 2 + i % 2 * count)
    }

    /// EXT: Vd = (Vm:Vn) from byte `index` on
    fn ext(&self, Ext { rd, rn, rm, index, q }: Ext) -> Flow {
        self.permute(V3 { rd, rn, rm, t: q.into() }, |i, _| i + index)
    }

    /// DUP (element): Vd[i] = Vn[index]
    fn dup_v(&self, DupV { rd, rn, index, t }: DupV) -> Flow {
        let t = Arrangement(t);
        self.set_vt(rd, t.full(), self.element(rn, t.ty(), index))
    }

    /// DUP (general): Vd[i] = Rn
    fn dup_x(&self, V2 { rd, rn, t }: V2) -> Flow {
        let t = Arrangement(t);
        self.set_vt(rd, t.full(), self.b.splat(t.ty(), self.x(rn)))
    }

    /// SMOV: Rd = Vn[index], sign-extended
    fn smov(&self, MovX { sf, rd, rn, index, size }: MovX) -> Flow {
        let value = self.v(rn, int_vector(size)).lane_s(index.into());
        self.set_r(rd, value.at(width(sf)))
    }

    /// UMOV: Rd = Vn[index], zero-extended
    fn umov(&self, MovX { rd, rn, index, size, .. }: MovX) -> Flow {
        if is_seeded(Defect::UmovWrongLane) {
            return self.set_x(rd, self.v(rn, int_vector(size)).lane_u((index ^ 1).into()));
        }
        self.set_x(rd, self.v(rn, int_vector(size)).lane_u(index.into()))
    }

    /// INS (general): Vd[to] = Rn
    fn ins_x(&self, InsX { rd, rn, to, size }: InsX) -> Flow {
        self.set_v(rd, self.v(rd, int_vector(size)).set_lane(to.into(), self.x(rn)))
    }

    /// INS (element): Vd[to] = Vn[from]
    fn ins_v(&self, InsV { rd, rn, to, from, size }: InsV) -> Flow {
        let element = self.v(rn, int_vector(size)).lane_u(from.into());
        self.set_v(rd, self.v(rd, int_vector(size)).set_lane(to.into(), element))
    }

    /// MOVI: Vd[i] = imm8 << shift
    fn movi(&self, args: Modified) -> Flow {
        self.set_pattern(args.rd, Arrangement(args.t).full(), pattern(args, 0))
    }

    /// ORR (vector, immediate): Vd[i] |= imm8 << shift
    fn orr_vi(&self, args: Modified) -> Flow {
        self.with_pattern(args, |d, imm| d | imm)
    }

    /// MOVI (shifting ones): Vd[i] = imm8 << shift, and ones below
    fn movi_msl(&self, args: Modified) -> Flow {
        self.set_pattern(args.rd, Arrangement(args.t).full(), pattern(args, u64::MAX))
    }

    /// MVNI: Vd[i] = ~(imm8 << shift)
    fn mvni(&self, args: Modified) -> Flow {
        self.set_pattern(args.rd, Arrangement(args.t).full(), !pattern(args, 0))
    }

    /// BIC (vector, immediate): Vd[i] &= ~(imm8 << shift)
    fn bic_vi(&self, args: Modified) -> Flow {
        self.with_pattern(args, |d, imm| d.and_not(imm))
    }

    /// MVNI (shifting ones): Vd[i] = ~(imm8 << shift, and ones below)
    fn mvni_msl(&self, args: Modified) -> Flow {
        self.set_pattern(args.rd, Arrangement(args.t).full(), !pattern(args, u64::MAX))
    }

    /// MOVI (64-bit): each bit of imm8 is a byte
    fn movi_d(&self, Modified { rd, t, imm8, .. }: Modified) -> Flow {
        let byte = |bit: u8| if imm8 >> bit & 1 != 0 { 0xff_u64 << (8 * bit) } else { 0 };
        self.set_pattern(rd, Arrangement(t).full(), (0..8).map(byte).sum())
    }

    /// FMOV (vector, immediate): Vd[i] = VFPExpandImm(imm8)
    fn fmov_v(&self, Modified { rd, t, imm8, .. }: Modified) -> Flow {
        let t = Arrangement(t);
        self.set_pattern(rd, t.full(), replicate(expand_imm(t.size(), imm8), t.size()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immediates_fill_elements() {
        let args = |t, imm8, shift| Modified { rd: 0, t, imm8, shift };
        assert_eq!(pattern(args(4, 0x12, 8), 0), 0x0000_1200_0000_1200);
        assert_eq!(pattern(args(5, 0x12, 16), u64::MAX), 0x0012_ffff_0012_ffff);
        assert_eq!(pattern(args(2, 0x34, 8), 0), 0x3400_3400_3400_3400);
        assert_eq!(pattern(args(1, 0x56, 0), 0), 0x5656_5656_5656_5656);
    }
}
