//! Integer vectors of SSE and AVX (SDM vol. 1, 10 to 14): arithmetic, comparisons, shifts, and what rearranges elements. Instructions of
//! MMX registers stand elsewhere.

use arch::x86_64::helpers;
use base::HelperId;
use base::defect::{Defect, is_seeded};
use decoders::x86_64::{Code, Mnemonic, OpKind};
use ir::{MemOrder, Opcode, Type, Val};

use super::sse::integers;
use super::table::Semantics;
use super::vector::{Half, VectorPlace, is_mmx, vector_number};
use super::{Flow, Insn};

const B: Type = Type::I8x16;
const W: Type = Type::I16x8;
const D: Type = Type::I32x4;
const Q: Type = Type::I64x2;

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    if is_mmx(code) { None } else { by_mnemonic(code.mnemonic()) }
}

/// What a mnemonic means of vectors of 128 and 256 bits.
pub(super) fn by_mnemonic(mnemonic: Mnemonic) -> Option<Semantics> {
    let chapters = [arithmetic, helped, logic, shifts, shuffles, elements];
    chapters.iter().find_map(|chapter| chapter(mnemonic))
}

fn arithmetic(mnemonic: Mnemonic) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Paddb | M::Vpaddb => |i| i.lanes2(B, |a, b| a + b),
        M::Paddw | M::Vpaddw => |i| i.lanes2(W, |a, b| a + b),
        M::Paddd | M::Vpaddd => |i| i.lanes2(D, |a, b| a + b),
        M::Paddq | M::Vpaddq => |i| i.lanes2(Q, |a, b| a + b),
        M::Psubb | M::Vpsubb => |i| i.lanes2(B, |a, b| a - b),
        M::Psubw | M::Vpsubw => |i| i.lanes2(W, |a, b| a - b),
        M::Psubd | M::Vpsubd => |i| i.lanes2(D, |a, b| a - b),
        M::Psubq | M::Vpsubq => |i| i.lanes2(Q, |a, b| a - b),
        M::Pmullw | M::Vpmullw => |i| i.lanes2(W, |a, b| a * b),
        M::Pmulld | M::Vpmulld => |i| i.lanes2(D, |a, b| a * b),
        M::Pcmpeqb | M::Vpcmpeqb => |i| i.lanes2(B, |a, b| a.lanes(Opcode::LanesEq, b)),
        M::Pcmpeqw | M::Vpcmpeqw => |i| i.lanes2(W, |a, b| a.lanes(Opcode::LanesEq, b)),
        M::Pcmpeqd | M::Vpcmpeqd => |i| i.lanes2(D, |a, b| a.lanes(Opcode::LanesEq, b)),
        M::Pcmpeqq | M::Vpcmpeqq => |i| i.lanes2(Q, |a, b| a.lanes(Opcode::LanesEq, b)),
        M::Pcmpgtb | M::Vpcmpgtb => |i| i.lanes2(B, |a, b| a.lanes(Opcode::LanesGtS, b)),
        M::Pcmpgtw | M::Vpcmpgtw => |i| i.lanes2(W, |a, b| a.lanes(Opcode::LanesGtS, b)),
        M::Pcmpgtd | M::Vpcmpgtd => |i| i.lanes2(D, |a, b| a.lanes(Opcode::LanesGtS, b)),
        M::Pcmpgtq | M::Vpcmpgtq => |i| i.lanes2(Q, |a, b| a.lanes(Opcode::LanesGtS, b)),
        M::Pminub | M::Vpminub => |i| i.lanes2(B, Val::min_u),
        M::Pminuw | M::Vpminuw => |i| i.lanes2(W, Val::min_u),
        M::Pminud | M::Vpminud => |i| i.lanes2(D, Val::min_u),
        M::Pminsb | M::Vpminsb => |i| i.lanes2(B, Val::min_s),
        M::Pminsw | M::Vpminsw => |i| i.lanes2(W, Val::min_s),
        M::Pminsd | M::Vpminsd => |i| i.lanes2(D, Val::min_s),
        M::Pmaxub | M::Vpmaxub => |i| i.lanes2(B, Val::max_u),
        M::Pmaxuw | M::Vpmaxuw => |i| i.lanes2(W, Val::max_u),
        M::Pmaxud | M::Vpmaxud => |i| i.lanes2(D, Val::max_u),
        M::Pmaxsb | M::Vpmaxsb => |i| i.lanes2(B, Val::max_s),
        M::Pmaxsw | M::Vpmaxsw => |i| i.lanes2(W, Val::max_s),
        M::Pmaxsd | M::Vpmaxsd => |i| i.lanes2(D, Val::max_s),
        M::Pavgb | M::Vpavgb => |i| i.lanes2(B, |a, b| a.lanes(Opcode::AvgLanesU, b)),
        M::Pavgw | M::Vpavgw => |i| i.lanes2(W, |a, b| a.lanes(Opcode::AvgLanesU, b)),
        M::Pabsb | M::Vpabsb => |i| i.packed1(|a| a.as_vector(B).abs_lanes()),
        M::Pabsw | M::Vpabsw => |i| i.packed1(|a| a.as_vector(W).abs_lanes()),
        M::Pabsd | M::Vpabsd => |i| i.packed1(|a| a.as_vector(D).abs_lanes()),
        M::Pmovsxbw | M::Vpmovsxbw => |i| i.lengthen(B, W, Opcode::LengthenLowS),
        M::Pmovsxbd | M::Vpmovsxbd => |i| i.lengthen(B, D, Opcode::LengthenLowS),
        M::Pmovsxbq | M::Vpmovsxbq => |i| i.lengthen(B, Q, Opcode::LengthenLowS),
        M::Pmovsxwd | M::Vpmovsxwd => |i| i.lengthen(W, D, Opcode::LengthenLowS),
        M::Pmovsxwq | M::Vpmovsxwq => |i| i.lengthen(W, Q, Opcode::LengthenLowS),
        M::Pmovsxdq | M::Vpmovsxdq => |i| i.lengthen(D, Q, Opcode::LengthenLowS),
        M::Pmovzxbw | M::Vpmovzxbw => |i| i.lengthen(B, W, Opcode::LengthenLowU),
        M::Pmovzxbd | M::Vpmovzxbd => |i| i.lengthen(B, D, Opcode::LengthenLowU),
        M::Pmovzxbq | M::Vpmovzxbq => |i| i.lengthen(B, Q, Opcode::LengthenLowU),
        M::Pmovzxwd | M::Vpmovzxwd => |i| i.lengthen(W, D, Opcode::LengthenLowU),
        M::Pmovzxwq | M::Vpmovzxwq => |i| i.lengthen(W, Q, Opcode::LengthenLowU),
        M::Pmovzxdq | M::Vpmovzxdq => |i| i.lengthen(D, Q, Opcode::LengthenLowU),
        _ => return None,
    })
}

/// What is a helper of two vectors, which compiled code has as the host's instruction.
fn helped(mnemonic: Mnemonic) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Paddsb | M::Vpaddsb => |i| i.helper2(helpers::PADDSB),
        M::Paddsw | M::Vpaddsw => |i| i.helper2(helpers::PADDSW),
        M::Paddusb | M::Vpaddusb => |i| i.helper2(helpers::PADDUSB),
        M::Paddusw | M::Vpaddusw => |i| i.helper2(helpers::PADDUSW),
        M::Psubsb | M::Vpsubsb => |i| i.helper2(helpers::PSUBSB),
        M::Psubsw | M::Vpsubsw => |i| i.helper2(helpers::PSUBSW),
        M::Psubusb | M::Vpsubusb => |i| i.helper2(helpers::PSUBUSB),
        M::Psubusw | M::Vpsubusw => |i| i.helper2(helpers::PSUBUSW),
        M::Packsswb | M::Vpacksswb => |i| i.helper2(helpers::PACKSSWB),
        M::Packssdw | M::Vpackssdw => |i| i.helper2(helpers::PACKSSDW),
        M::Packuswb | M::Vpackuswb => |i| i.helper2(helpers::PACKUSWB),
        M::Packusdw | M::Vpackusdw => |i| i.helper2(helpers::PACKUSDW),
        M::Pmulhw | M::Vpmulhw => |i| i.helper2(helpers::PMULHW),
        M::Pmulhuw | M::Vpmulhuw => |i| i.helper2(helpers::PMULHUW),
        M::Pmulhrsw | M::Vpmulhrsw => |i| i.helper2(helpers::PMULHRSW),
        M::Pmaddwd | M::Vpmaddwd => |i| i.helper2(helpers::PMADDWD),
        M::Pmaddubsw | M::Vpmaddubsw => |i| i.helper2(helpers::PMADDUBSW),
        M::Pmuludq | M::Vpmuludq => |i| i.helper2(helpers::PMULUDQ),
        M::Pmuldq | M::Vpmuldq => |i| i.helper2(helpers::PMULDQ),
        M::Psadbw | M::Vpsadbw => |i| i.helper2(helpers::PSADBW),
        M::Pshufb | M::Vpshufb => |i| i.helper2(helpers::PSHUFB),
        M::Phaddw | M::Vphaddw => |i| i.helper2(helpers::PHADDW),
        M::Phaddd | M::Vphaddd => |i| i.helper2(helpers::PHADDD),
        M::Phaddsw | M::Vphaddsw => |i| i.helper2(helpers::PHADDSW),
        M::Phsubw | M::Vphsubw => |i| i.helper2(helpers::PHSUBW),
        M::Phsubd | M::Vphsubd => |i| i.helper2(helpers::PHSUBD),
        M::Phsubsw | M::Vphsubsw => |i| i.helper2(helpers::PHSUBSW),
        M::Psignb | M::Vpsignb => |i| i.helper2(helpers::PSIGNB),
        M::Psignw | M::Vpsignw => |i| i.helper2(helpers::PSIGNW),
        M::Psignd | M::Vpsignd => |i| i.helper2(helpers::PSIGND),
        M::Vpsllvd => |i| i.helper2(helpers::VPSLLVD),
        M::Vpsllvq => |i| i.helper2(helpers::VPSLLVQ),
        M::Vpsrlvd => |i| i.helper2(helpers::VPSRLVD),
        M::Vpsrlvq => |i| i.helper2(helpers::VPSRLVQ),
        M::Vpsravd => |i| i.helper2(helpers::VPSRAVD),
        M::Phminposuw | M::Vphminposuw => |i| i.helper1(helpers::PHMINPOSUW, 0),
        M::Mpsadbw | M::Vmpsadbw => |i| i.mpsadbw(),
        _ => return None,
    })
}

fn logic(mnemonic: Mnemonic) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Pand | M::Vpand | M::Andps | M::Vandps | M::Andpd | M::Vandpd => {
            |i| i.packed2(|a, b| a & b)
        }
        M::Por | M::Vpor | M::Orps | M::Vorps | M::Orpd | M::Vorpd => |i| i.packed2(|a, b| a | b),
        M::Pxor | M::Vpxor | M::Xorps | M::Vxorps | M::Xorpd | M::Vxorpd => |i| i.xor_vectors(),
        M::Pandn | M::Vpandn | M::Andnps | M::Vandnps | M::Andnpd | M::Vandnpd => {
            |i| i.packed2(|a, b| b.and_not(a))
        }
        M::Ptest | M::Vptest => |i| i.test_vectors(None),
        M::Vtestps => |i| i.test_vectors(Some((D, 1 << 31))),
        M::Vtestpd => |i| i.test_vectors(Some((Q, 1 << 63))),
        M::Pmovmskb | M::Vpmovmskb => |i| i.signs(helpers::PMOVMSKB, 16),
        M::Movmskps | M::Vmovmskps => |i| i.signs(helpers::MOVMSKPS, 4),
        M::Movmskpd | M::Vmovmskpd => |i| i.signs(helpers::MOVMSKPD, 2),
        _ => return None,
    })
}

fn shifts(mnemonic: Mnemonic) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Psllw | M::Vpsllw => |i| i.shift_lanes(W, Val::shl_lanes, helpers::PSLLW),
        M::Pslld | M::Vpslld => |i| i.shift_lanes(D, Val::shl_lanes, helpers::PSLLD),
        M::Psllq | M::Vpsllq => |i| i.shift_lanes(Q, Val::shl_lanes, helpers::PSLLQ),
        M::Psrlw | M::Vpsrlw => |i| i.shift_lanes(W, Val::shr_lanes_u, helpers::PSRLW),
        M::Psrld | M::Vpsrld => |i| i.shift_lanes(D, Val::shr_lanes_u, helpers::PSRLD),
        M::Psrlq | M::Vpsrlq => |i| i.shift_lanes(Q, Val::shr_lanes_u, helpers::PSRLQ),
        M::Psraw | M::Vpsraw => |i| i.shift_lanes(W, Val::shr_lanes_s, helpers::PSRAW),
        M::Psrad | M::Vpsrad => |i| i.shift_lanes(D, Val::shr_lanes_s, helpers::PSRAD),
        M::Pslldq | M::Vpslldq => |i| i.shift_bytes(|n, by| if n >= by { n - by } else { 16 }),
        M::Psrldq | M::Vpsrldq => |i| i.shift_bytes(|n, by| (n + by).min(16)),
        M::Palignr | M::Vpalignr => |i| i.palignr(),
        _ => return None,
    })
}

fn shuffles(mnemonic: Mnemonic) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Punpcklbw | M::Vpunpcklbw => |i| i.interleave(0, 0),
        M::Punpcklwd | M::Vpunpcklwd => |i| i.interleave(1, 0),
        M::Punpckldq | M::Vpunpckldq | M::Unpcklps | M::Vunpcklps => |i| i.interleave(2, 0),
        M::Punpcklqdq | M::Vpunpcklqdq | M::Unpcklpd | M::Vunpcklpd => |i| i.interleave(3, 0),
        M::Punpckhbw | M::Vpunpckhbw => |i| i.interleave(0, 8),
        M::Punpckhwd | M::Vpunpckhwd => |i| i.interleave(1, 4),
        M::Punpckhdq | M::Vpunpckhdq | M::Unpckhps | M::Vunpckhps => |i| i.interleave(2, 2),
        M::Punpckhqdq | M::Vpunpckhqdq | M::Unpckhpd | M::Vunpckhpd => |i| i.interleave(3, 1),
        M::Pshufd | M::Vpshufd => |i| i.shuffle_words(),
        M::Pshufhw | M::Vpshufhw => |i| i.shuffle_halves(4),
        M::Pshuflw | M::Vpshuflw => |i| i.shuffle_halves(0),
        M::Shufps | M::Vshufps => |i| i.shufps(),
        M::Shufpd | M::Vshufpd => |i| i.shufpd(),
        M::Blendps | M::Vblendps | M::Vpblendd => |i| i.blend(2),
        M::Blendpd | M::Vblendpd => |i| i.blend(3),
        M::Pblendw | M::Vpblendw => |i| i.blend(1),
        M::Pblendvb => |i| i.blend_by_xmm0(B),
        M::Blendvps => |i| i.blend_by_xmm0(D),
        M::Blendvpd => |i| i.blend_by_xmm0(Q),
        M::Vpblendvb => |i| i.blend_by_register(B),
        M::Vblendvps => |i| i.blend_by_register(D),
        M::Vblendvpd => |i| i.blend_by_register(Q),
        _ => return None,
    })
}

fn elements(mnemonic: Mnemonic) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Pinsrb | M::Vpinsrb => |i| i.insert(B),
        M::Pinsrw | M::Vpinsrw => |i| i.insert(W),
        M::Pinsrd | M::Vpinsrd => |i| i.insert(D),
        M::Pinsrq | M::Vpinsrq => |i| i.insert(Q),
        M::Pextrb | M::Vpextrb => |i| i.extract(B),
        M::Pextrw | M::Vpextrw => |i| i.extract(W),
        M::Pextrd | M::Vpextrd | M::Extractps | M::Vextractps => |i| i.extract(D),
        M::Pextrq | M::Vpextrq => |i| i.extract(Q),
        M::Insertps | M::Vinsertps => |i| i.insertps(),
        _ => return None,
    })
}

impl<'b> Insn<'b> {
    /// PXOR and its like, which clear registers most of the time.
    fn xor_vectors(&self) -> Flow {
        let (a, b) = if self.is_vex() { (1, 2) } else { (0, 1) };
        let same =
            self.i.op_kind(b) == OpKind::Register && self.i.op_register(a) == self.i.op_register(b);
        self.packed2(|a, b| if same { self.b.zeros() } else { a ^ b })
    }

    /// PMOVSX, PMOVZX: as many elements as there is room for.
    fn lengthen(&self, from: Type, to: Type, op: Opcode) -> Flow {
        let steps = (to.lane().bits() / from.lane().bits()).trailing_zeros();
        let bits = (if self.writes_256() { 256 } else { 128 }) >> steps;
        let mut value = self.low_of(1, bits).as_vector(from);
        for _ in 1..steps {
            value = value.lengthen(op);
        }
        let high = match op {
            Opcode::LengthenLowS => Opcode::LengthenHighS,
            _ => Opcode::LengthenHighU,
        };
        match self.writes_256() {
            true => self.set_all(&[value.lengthen(op), value.lengthen(high)]),
            false => self.set_all(&[value.lengthen(op)]),
        }
    }

    /// MPSADBW: the upper half has bits 5:3 of the immediate.
    fn mpsadbw(&self) -> Flow {
        let imm = u64::from(self.imm8());
        self.by_half2(|half, a, b| {
            let arg = if half == Half::High { imm >> 3 & 7 } else { imm & 7 };
            self.wide(helpers::MPSADBW, arg, a, b)
        })
    }

    /// PTEST, VTESTPS, VTESTPD: whether there are bits in common, and bits of the second without the first; of all, or a mask in
    /// each element.
    fn test_vectors(&self, mask: Option<(Type, u64)>) -> Flow {
        let [a, b] = [0, 1].map(|n| self.vector_place(n, self.usual_alignment()));
        let mut found: Option<[Val<'b>; 2]> = None;
        for &half in self.halves() {
            let (x, y) = (self.read_half(a, half), self.read_half(b, half));
            let y = match mask {
                Some((ty, bits)) => y & self.b.splat(ty, self.konst(bits)),
                None => y,
            };
            let new = [x & y, y.and_not(x)];
            found = Some(match found {
                Some([common, rest]) => [common | new[0], rest | new[1]],
                None => new,
            });
        }
        let [common, rest] = found.unwrap_or([self.b.zeros(); 2]).map(|bits| {
            let bits = bits.as_vector(Q);
            bits.lane_u(0) | bits.lane_u(1)
        });
        self.flags_of_test(common, rest.eq(self.konst(0)), self.konst(1))
    }

    /// PMOVMSKB and its like.
    fn signs(&self, helper: HelperId, count: u64) -> Flow {
        let n = vector_number(self.i.op_register(1));
        let signs = |half: Half| {
            let vector = self.half(n, half);
            self.wide(helper, 0, vector, vector).as_vector(Q).lane_u(0)
        };
        let value = match self.is_256() {
            true => signs(Half::Low) | signs(Half::High).shl(self.konst(count)),
            false => signs(Half::Low),
        };
        self.set_op(0, value)
    }

    /// Shifts of elements: by the immediate, or by the low doubleword of a vector of 128 bits.
    fn shift_lanes(&self, ty: Type, by: fn(Val<'b>, u32) -> Val<'b>, helper: HelperId) -> Flow {
        let last = self.i.op_count() - 1;
        let first = u32::from(self.i.op_count() == 3);
        let source = self.vector_place(first, self.usual_alignment());
        let amount = match self.i.op_kind(last) {
            OpKind::Register | OpKind::Memory => Err(self.v(last)),
            _ => Ok(u32::from(self.imm8()).min(ty.lane().bits())),
        };
        let shifted = |&half: &Half| {
            let value = self.read_half(source, half);
            match amount {
                Ok(amount) => by(value.as_vector(ty), amount),
                Err(vector) => self.wide(helper, 0, value, vector),
            }
        };
        let values: Vec<_> = self.halves().iter().map(shifted).collect();
        self.set_halves(vector_number(self.i.op0_register()), &values)
    }

    /// PSLLDQ, PSRLDQ: byte `n` is number `byte(n, by)`, and 16 is zero.
    fn shift_bytes(&self, byte: impl Fn(u8, u8) -> u8) -> Flow {
        let by = self.imm8().min(16);
        let zeros = self.b.zeros();
        let first = u32::from(self.i.op_count() == 3);
        let source = self.vector_place(first, self.usual_alignment());
        let value =
            |&half: &Half| Self::bytes(self.read_half(source, half), zeros, |n| byte(n, by));
        let values: Vec<_> = self.halves().iter().map(value).collect();
        self.set_halves(vector_number(self.i.op0_register()), &values)
    }

    /// PALIGNR: bytes from one on of the second operand, then the first, then zeros.
    fn palignr(&self) -> Flow {
        let by = self.imm8();
        let zeros = self.b.zeros();
        self.packed2(|a, b| match by {
            0..=15 if is_seeded(Defect::PalignrOffByOne) => {
                Self::bytes(b, a, |n| (n + by + 1).min(31))
            }
            0..=16 => Self::bytes(b, a, |n| n + by),
            _ => Self::bytes(a, zeros, |n| n.saturating_add(by - 16).min(16)),
        })
    }

    /// PUNPCKLBW and its like: pairs of elements of `1 << size` bytes, from one on.
    fn interleave(&self, size: u8, first: u8) -> Flow {
        let count = 16 >> size;
        self.packed2(|a, b| {
            Self::elements(a, b, size, |n| first + n / 2 + if n % 2 == 0 { 0 } else { count })
        })
    }

    /// PSHUFD.
    fn shuffle_words(&self) -> Flow {
        let imm = self.imm8();
        self.packed1(|a| Self::elements(a, a, 2, |n| imm >> (2 * n) & 3))
    }

    /// PSHUFHW, PSHUFLW: the four halves from one on.
    fn shuffle_halves(&self, first: u8) -> Flow {
        let imm = self.imm8();
        self.packed1(|a| {
            Self::elements(a, a, 1, |n| match n.wrapping_sub(first) {
                k @ 0..=3 => first + (imm >> (2 * k) & 3),
                _ => n,
            })
        })
    }

    /// SHUFPS: two words of each.
    fn shufps(&self) -> Flow {
        let imm = self.imm8();
        self.packed2(|a, b| {
            Self::elements(a, b, 2, |n| (imm >> (2 * n) & 3) + if n < 2 { 0 } else { 4 })
        })
    }

    /// SHUFPD: a doubleword of each; the upper half has the next two bits.
    fn shufpd(&self) -> Flow {
        let imm = self.imm8();
        self.by_half2(|half, a, b| {
            let imm = if half == Half::High { imm >> 2 } else { imm };
            Self::elements(a, b, 3, |n| (imm >> n & 1) + 2 * n)
        })
    }

    /// BLENDPS and its like: elements of `1 << size` bytes. The upper half has the bits that follow, of which PBLENDW has none.
    fn blend(&self, size: u8) -> Flow {
        let (imm, count) = (self.imm8(), 16 >> size);
        self.by_half2(|half, a, b| {
            let imm = if half == Half::High && size > 1 { imm >> count } else { imm };
            Self::elements(a, b, size, |n| if imm >> n & 1 != 0 { n + count } else { n })
        })
    }

    /// Elements of `b` where the mask is negative, else those of `a`.
    fn by_signs(&self, ty: Type, mask: Val<'b>, a: Val<'b>, b: Val<'b>) -> Val<'b> {
        let ty = integers(ty);
        let zeros = self.b.zeros().as_vector(ty);
        zeros.lanes(Opcode::LanesGtS, mask.as_vector(ty)).bit_select(b, a)
    }

    /// PBLENDVB, BLENDVPS, BLENDVPD.
    fn blend_by_xmm0(&self, ty: Type) -> Flow {
        let mask = self.xmm0();
        let (a, b) = (self.v(0), self.v(1));
        self.set_v(self.by_signs(ty, mask, a, b))
    }

    /// VPBLENDVB, VBLENDVPS, VBLENDVPD.
    fn blend_by_register(&self, ty: Type) -> Flow {
        let mask = vector_number(self.i.op_register(3));
        self.by_half2(|half, a, b| self.by_signs(ty, self.half(mask, half), a, b))
    }

    /// PINSRB and its like.
    fn insert(&self, ty: Type) -> Flow {
        let count = self.i.op_count();
        let lane = u32::from(self.imm8()) % ty.lanes();
        let value = self.op(count - 2);
        let old = self.v(count - 3).as_vector(ty);
        self.set_v(old.set_lane(lane, value))
    }

    /// PEXTRB and its like.
    fn extract(&self, ty: Type) -> Flow {
        let n = vector_number(self.i.op_register(1));
        let lane = u32::from(self.imm8()) % ty.lanes();
        self.set_op(0, self.half(n, Half::Low).as_vector(ty).lane_u(lane))
    }

    /// INSERTPS: a word of the second operand, chosen by bits 7:6 if it is a register, to the place in bits 5:4; then zeros where bits
    /// 3:0 say so.
    fn insertps(&self) -> Flow {
        let imm = self.imm8();
        let count = self.i.op_count();
        let (from, source) = match self.vector_place(count - 2, super::vector::Align::Any) {
            VectorPlace::Register(n) => (imm >> 6, self.half(n, Half::Low)),
            VectorPlace::Memory(at) => {
                let word = self.b.load_u(Type::I32, at.base, at.offset, MemOrder::Acquire);
                (0, word.at(Type::I32).zext_wide(Type::WIDE))
            }
        };
        let old = self.v(count - 3);
        let inserted =
            Self::elements(old, source, 2, |n| if n == imm >> 4 & 3 { from + 4 } else { n });
        let zeros = self.b.zeros();
        self.set_v(match imm & 15 {
            0 => inserted,
            mask => Self::elements(inserted, zeros, 2, |n| if mask >> n & 1 != 0 { 4 } else { n }),
        })
    }
}
