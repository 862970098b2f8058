//! What AVX and AVX2 have beyond SSE's instructions in longer registers (SDM vol. 1, 14): broadcasts, permutations across halves,
//! memory under masks, gathers.

use arch::x86_64::helpers::{self, gather::What};
use arch::x86_64::slot;
use base::HelperId;
use decoders::x86_64::{Code, Mnemonic, OpKind, Register};
use ir::{MemOrder, Type};

use super::sse::vector_of;
use super::table::Semantics;
use super::vector::{Align, Half, vector_number};
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Vbroadcastss | M::Vpbroadcastd => |i| i.broadcast(Type::I32),
        M::Vbroadcastsd | M::Vpbroadcastq => |i| i.broadcast(Type::I64),
        M::Vpbroadcastb => |i| i.broadcast(Type::I8),
        M::Vpbroadcastw => |i| i.broadcast(Type::I16),
        M::Vbroadcastf128 | M::Vbroadcasti128 => |i| i.broadcast_half(),
        M::Vinsertf128 | M::Vinserti128 => |i| i.insert_half(),
        M::Vextractf128 | M::Vextracti128 => |i| i.extract_half(),
        M::Vperm2f128 | M::Vperm2i128 => |i| i.permute_halves(),
        M::Vpermq | M::Vpermpd => |i| i.permute_doublewords(),
        M::Vpermd | M::Vpermps => |i| i.permute_words(),
        M::Vpermilps => |i| i.permute_in_halves(2, helpers::VPERMILPS),
        M::Vpermilpd => |i| i.permute_in_halves(3, helpers::VPERMILPD),
        M::Vmaskmovps | M::Vpmaskmovd => |i| i.mask_move(false),
        M::Vmaskmovpd | M::Vpmaskmovq => |i| i.mask_move(true),
        M::Vpgatherdd | M::Vgatherdps => |i| i.gather(false, false),
        M::Vpgatherdq | M::Vgatherdpd => |i| i.gather(false, true),
        M::Vpgatherqd | M::Vgatherqps => |i| i.gather(true, false),
        M::Vpgatherqq | M::Vgatherqpd => |i| i.gather(true, true),
        M::Vzeroupper => |i| i.vzeroupper(),
        M::Vzeroall => |i| i.vzeroall(),
        _ => return None,
    })
}

impl<'b> Insn<'b> {
    /// VBROADCASTSS and its like.
    fn broadcast(&self, ty: Type) -> Flow {
        let value = self.b.splat(vector_of(ty), self.scalar(1, ty));
        self.set_all(&[value, value])
    }

    /// VBROADCASTF128, VBROADCASTI128.
    fn broadcast_half(&self) -> Flow {
        let value = self.low_of(1, 128);
        self.set_all(&[value, value])
    }

    /// VINSERTF128, VINSERTI128.
    fn insert_half(&self) -> Flow {
        let n = vector_number(self.i.op_register(1));
        let value = self.low_of(2, 128);
        match self.imm8() & 1 {
            0 => self.set_all(&[value, self.half(n, Half::High)]),
            _ => self.set_all(&[self.half(n, Half::Low), value]),
        }
    }

    /// VEXTRACTF128, VEXTRACTI128.
    fn extract_half(&self) -> Flow {
        let n = vector_number(self.i.op_register(1));
        let half = if self.imm8() & 1 == 0 { Half::Low } else { Half::High };
        let value = self.half(n, half);
        if self.i.op0_kind() != OpKind::Memory {
            return self.set_v(value);
        }
        let at = self.address();
        self.b.store(Type::WIDE, at.base, at.offset, value, MemOrder::Release);
        Flow::Next
    }

    /// VPERM2F128, VPERM2I128: each half by four bits of the immediate.
    fn permute_halves(&self) -> Flow {
        let imm = self.imm8();
        let [a, b] = [1, 2].map(|n| self.vector_place(n, Align::Any));
        // Both halves are read, whether they are chosen or not: they may fault.
        let halves = [(a, Half::Low), (a, Half::High), (b, Half::Low), (b, Half::High)]
            .map(|(place, half)| self.read_half(place, half));
        let chosen = |bits: u8| match bits & 8 {
            0 => halves[usize::from(bits & 3)],
            _ => self.b.zeros(),
        };
        self.set_all(&[chosen(imm), chosen(imm >> 4)])
    }

    /// VPERMQ, VPERMPD.
    fn permute_doublewords(&self) -> Flow {
        let imm = self.imm8();
        let source = self.vector_place(1, Align::Any);
        let [low, high] = [Half::Low, Half::High].map(|half| self.read_half(source, half));
        let value = |imm: u8| Self::elements(low, high, 3, |n| imm >> (2 * n) & 3);
        self.set_all(&[value(imm), value(imm >> 4)])
    }

    /// VPERMD, VPERMPS: words that those of the second operand name, of eight.
    fn permute_words(&self) -> Flow {
        let indices = vector_number(self.i.op_register(1));
        let source = self.vector_place(2, Align::Any);
        let [low, high] = [Half::Low, Half::High].map(|half| self.read_half(source, half));
        let value = |half: Half| {
            let n = self.half(indices, half).as_vector(Type::I32x4);
            let is_high = n.shl_lanes(29).shr_lanes_s(31);
            let [low, high] = [low, high].map(|from| self.wide(helpers::VPERMILPS, 0, from, n));
            is_high.bit_select(high, low)
        };
        self.set_all(&[value(Half::Low), value(Half::High)])
    }

    /// VPERMILPS, VPERMILPD: by the immediate, of which the upper half of doubles has two bits more; or by a vector.
    fn permute_in_halves(&self, size: u8, helper: HelperId) -> Flow {
        if !matches!(self.i.op_kind(2), OpKind::Immediate8) {
            return self.helper2(helper);
        }
        let imm = self.imm8();
        self.by_half1(|half, a| match size {
            2 => Self::elements(a, a, 2, |n| imm >> (2 * n) & 3),
            _ => {
                let imm = if half == Half::High { imm >> 2 } else { imm };
                Self::elements(a, a, 3, |n| imm >> n & 1)
            }
        })
    }

    /// VMASKMOVPS and its like: elements whose mask is clear are zero, or left alone in memory, and do not fault.
    fn mask_move(&self, long_data: bool) -> Flow {
        let (data, helper) = match self.i.op0_kind() {
            OpKind::Memory => (2, helpers::MASK_STORE),
            _ => (0, helpers::MASK_LOAD),
        };
        let what = What {
            data: vector_number(self.i.op_register(data)),
            mask: vector_number(self.i.op_register(1)),
            long_data,
            long_vector: self.is_256(),
            ..What::default()
        };
        let base = self.linear(self.address());
        self.b.call_void(helper, &[self.konst(what.raw()), base]);
        Flow::Next
    }

    /// VGATHERDPS and its like. The three registers are distinct, or it is undefined.
    fn gather(&self, long_index: bool, long_data: bool) -> Flow {
        let registers = [self.i.op0_register(), self.i.op_register(2), self.i.memory_index()];
        let [data, mask, index] = registers.map(vector_number);
        if data == mask || data == index || mask == index {
            return Flow::Undefined;
        }
        let what = What {
            data,
            mask,
            index,
            scale: self.i.memory_index_scale().trailing_zeros() as u8,
            long_data,
            long_index,
            long_vector: self.is_256()
                || registers.iter().any(|register: &Register| register.is_ymm()),
            short_address: self.i.memory_displ_size() == 4 || self.i.memory_base().is_gpr32(),
        };
        let base = self.linear(self.effective_address());
        let segment = self.segment_base().unwrap_or_else(|| self.konst(0));
        self.b.call_void(helpers::GATHER, &[self.konst(what.raw()), base, segment]);
        Flow::Next
    }

    /// VZEROUPPER.
    fn vzeroupper(&self) -> Flow {
        let zeros = self.b.zeros();
        for n in 0..16 {
            self.b.set_wide(slot::ymm_high(n), zeros);
        }
        Flow::Next
    }

    /// VZEROALL.
    fn vzeroall(&self) -> Flow {
        let zeros = self.b.zeros();
        for n in 0..16 {
            self.b.set_wide(slot::xmm(n), zeros);
        }
        self.vzeroupper()
    }
}
