//! AES, PCLMULQDQ, SHA, GFNI, and SSE4.2's comparisons of strings (SDM vol. 1, 12 and 5.12 to 5.22).

use arch::x86_64::helpers::{self, string_compare};
use arch::x86_64::slot;
use base::HelperId;
use decoders::x86_64::{Code, Mnemonic};
use ir::{Type, Val};

use super::data::{RAX, RCX, RDX};
use super::table::Semantics;
use super::vector::{Align, vector_number};
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Aesenc | M::Vaesenc => |i| i.helper2(helpers::AESENC),
        M::Aesenclast | M::Vaesenclast => |i| i.helper2(helpers::AESENCLAST),
        M::Aesdec | M::Vaesdec => |i| i.helper2(helpers::AESDEC),
        M::Aesdeclast | M::Vaesdeclast => |i| i.helper2(helpers::AESDECLAST),
        M::Aesimc | M::Vaesimc => |i| i.helper1(helpers::AESIMC, 0),
        M::Aeskeygenassist | M::Vaeskeygenassist => {
            |i| i.helper1(helpers::AESKEYGENASSIST, i.imm8().into())
        }
        M::Pclmulqdq | M::Vpclmulqdq => |i| i.pclmulqdq(),
        M::Sha1nexte => |i| i.helper2(helpers::SHA1NEXTE),
        M::Sha1msg1 => |i| i.helper2(helpers::SHA1MSG1),
        M::Sha1msg2 => |i| i.helper2(helpers::SHA1MSG2),
        M::Sha1rnds4 => |i| i.with_immediate(helpers::SHA1RNDS4),
        M::Sha256msg1 => |i| i.helper2(helpers::SHA256MSG1),
        M::Sha256msg2 => |i| i.helper2(helpers::SHA256MSG2),
        M::Sha256rnds2 => |i| i.sha256rnds2(),
        M::Gf2p8mulb | M::Vgf2p8mulb => |i| i.helper2(helpers::GF2P8MULB),
        M::Gf2p8affineqb | M::Vgf2p8affineqb => |i| i.with_immediate(helpers::GF2P8AFFINEQB),
        M::Gf2p8affineinvqb | M::Vgf2p8affineinvqb => {
            |i| i.with_immediate(helpers::GF2P8AFFINEINVQB)
        }
        M::Pcmpistri | M::Vpcmpistri => |i| i.compare_strings(None, Wanted::Index),
        M::Pcmpistrm | M::Vpcmpistrm => |i| i.compare_strings(None, Wanted::Mask),
        M::Pcmpestri | M::Vpcmpestri => |i| i.compare_strings(Some(Type::I32), Wanted::Index),
        M::Pcmpestrm | M::Vpcmpestrm => |i| i.compare_strings(Some(Type::I32), Wanted::Mask),
        M::Pcmpestri64 | M::Vpcmpestri64 => |i| i.compare_strings(Some(Type::I64), Wanted::Index),
        M::Pcmpestrm64 | M::Vpcmpestrm64 => |i| i.compare_strings(Some(Type::I64), Wanted::Mask),
        _ => return None,
    })
}

/// What a comparison of strings gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// A place, in ECX.
    Index,
    /// All places, in XMM0.
    Mask,
}

impl<'b> Insn<'b> {
    /// A helper of two vectors and the immediate.
    fn with_immediate(&self, helper: HelperId) -> Flow {
        let imm = u64::from(self.imm8());
        self.packed2(|a, b| self.wide(helper, imm, a, b))
    }

    /// PCLMULQDQ: bits 0 and 4 of the immediate choose doublewords.
    fn pclmulqdq(&self) -> Flow {
        let imm = self.imm8();
        let chosen = |value: Val<'b>, bit: u8| match imm >> bit & 1 {
            0 => value,
            _ => Self::elements(value, value, 3, |_| 1),
        };
        self.packed2(|a, b| self.wide(helpers::PCLMULLQLQDQ, 0, chosen(a, 0), chosen(b, 4)))
    }

    /// SHA256RNDS2: the words stand in XMM0.
    fn sha256rnds2(&self) -> Flow {
        let (cdgh, abef) = (self.v(0), self.v(1));
        let vectors = [cdgh, abef, self.xmm0()];
        self.set_v(self.b.call_wide(helpers::SHA256RNDS2, self.konst(0), vectors))
    }

    /// PCMPESTRI and its like. Lengths, if explicit, are those in (E|R)AX and (E|R)DX. Operands in memory need not be aligned.
    fn compare_strings(&self, lengths: Option<Type>, wanted: Wanted) -> Flow {
        let a = self.half(vector_number(self.i.op_register(0)), super::vector::Half::Low);
        let b = self.low_half(self.vector_place(1, Align::Any));
        let imm = self.konst(self.imm8().into());
        let arg = match lengths {
            Some(ty) => {
                let [a, b] = [RAX, RDX].map(|n| self.gpr(n).at(ty).sext());
                imm | self.call(helpers::PCMPESTR_LENGTHS, &[a, b])
            }
            None => imm,
        };
        let result = |helper: HelperId| self.b.call_wide(helper, arg, [a, b, a]);
        let found = result(helpers::PCMPSTR_RESULT).as_vector(Type::I64x2).lane_u(0);
        match wanted {
            Wanted::Index => self.b.set_slot(slot::gpr(RCX), self.index_of_strings(found)),
            Wanted::Mask => {
                let _ = self.set_halves(0, &[result(helpers::PCMPSTR_MASK)]);
            }
        }
        self.flags_of_strings(found)
    }

    /// The least element that was found, or the most significant one by bit 6 of the immediate; their number if none was.
    fn index_of_strings(&self, found: Val<'b>) -> Val<'b> {
        let count = if self.imm8() & 1 == 0 { 16 } else { 8 };
        if self.imm8() & 0x40 == 0 {
            return (found | self.konst(1 << count)).ctz();
        }
        let found = found.low16();
        let last = self.b.konst_of(Type::I16, 15) - found.clz();
        self.is_zero(found).select(self.konst(count), last.zext())
    }

    /// CF: any was found; ZF and SF: the operands end; OF: the first was found; AF and PF are clear.
    fn flags_of_strings(&self, found: Val<'b>) -> Flow {
        let bit = |n: u32| found.shr_u(self.konst(n.into())) & self.konst(1);
        let (second, first) = (string_compare::ENDS_SECOND, string_compare::ENDS_FIRST);
        let sign = || bit(first).shl(self.konst(63)) | self.konst(1);
        let any = || found.low16().ne(self.b.konst_of(Type::I16, 0));
        self.set_carry(any);
        self.set_zero(|| bit(second) ^ self.konst(1));
        self.set_sign(sign);
        self.set_aux(sign);
        self.set_less(|| bit(first) ^ bit(0));
        Flow::Next
    }
}
