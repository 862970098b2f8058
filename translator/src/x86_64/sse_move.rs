//! Moves of SSE and AVX (SDM vol. 1, 10 to 14), to and from memory and general registers as well, and MXCSR.

use arch::x86_64::helpers;
use arch::x86_64::helpers::gather::What;
use decoders::x86_64::{Code, Mnemonic, OpKind};
use ir::{MemOrder, Type, Val};

use super::operand::Place;
use super::table::Semantics;
use super::vector::{Align, Half, VectorPlace, is_mmx, vector_number};
use super::{Flow, Insn};

const Q: Type = Type::I64x2;

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    if is_mmx(code) {
        return None;
    }
    Some(match code.mnemonic() {
        M::Movaps | M::Vmovaps | M::Movapd | M::Vmovapd | M::Movdqa | M::Vmovdqa => {
            |i| i.move_vector(Align::Demanded)
        }
        M::Movntps | M::Vmovntps | M::Movntpd | M::Vmovntpd | M::Movntdq | M::Vmovntdq => {
            |i| i.move_vector(Align::Demanded)
        }
        M::Movntdqa | M::Vmovntdqa => |i| i.move_vector(Align::Demanded),
        M::Movups | M::Vmovups | M::Movupd | M::Vmovupd | M::Movdqu | M::Vmovdqu => {
            |i| i.move_vector(Align::Any)
        }
        M::Lddqu | M::Vlddqu => |i| i.move_vector(Align::Any),
        M::Movss | M::Vmovss => |i| i.move_scalar(Type::F32),
        M::Movsd if !matches!(code, Code::Movsd_m32_m32) => |i| i.move_scalar(Type::F64),
        M::Vmovsd => |i| i.move_scalar(Type::F64),
        M::Movd | M::Vmovd => |i| i.move_integer(Type::I32),
        M::Movq | M::Vmovq => |i| i.move_integer(Type::I64),
        M::Movhps | M::Vmovhps | M::Movhpd | M::Vmovhpd => |i| i.move_half(1),
        M::Movlps | M::Vmovlps | M::Movlpd | M::Vmovlpd => |i| i.move_half(0),
        M::Movhlps | M::Vmovhlps => {
            |i| i.combine_registers(|a, b| Insn::elements(a, b, 3, |n| [3, 1][usize::from(n)]))
        }
        M::Movlhps | M::Vmovlhps => {
            |i| i.combine_registers(|a, b| Insn::elements(a, b, 3, |n| [0, 2][usize::from(n)]))
        }
        M::Movddup | M::Vmovddup => |i| i.movddup(),
        M::Movsldup | M::Vmovsldup => |i| i.packed1(|a| Insn::elements(a, a, 2, |n| n & !1)),
        M::Movshdup | M::Vmovshdup => |i| i.packed1(|a| Insn::elements(a, a, 2, |n| n | 1)),
        M::Maskmovdqu | M::Vmaskmovdqu => |i| i.maskmovdqu(),
        M::Ldmxcsr | M::Vldmxcsr => |i| i.ldmxcsr(),
        M::Stmxcsr | M::Vstmxcsr => |i| i.set_op(0, i.call(helpers::MXCSR, &[])),
        _ => return None,
    })
}

impl<'b> Insn<'b> {
    /// MOVSS, MOVSD: from memory with zeros above, to memory, or a register's low element into another register.
    fn move_scalar(&self, ty: Type) -> Flow {
        let last = self.i.op_count() - 1;
        if self.i.op0_kind() == OpKind::Memory {
            return self.store_low(ty);
        }
        let value = self.scalar(last, ty);
        match self.i.op_kind(last) {
            OpKind::Memory => self.set_v(value.zext_wide(Type::WIDE)),
            _ => self.set_scalar(ty, value),
        }
    }

    /// The low element of operand 1 to memory, operand 0.
    fn store_low(&self, ty: Type) -> Flow {
        let value = self.scalar(1, ty);
        let at = self.address();
        self.b.store(ty, at.base, at.offset, value, MemOrder::Release);
        Flow::Next
    }

    /// MOVD, MOVQ: between general registers or memory and the low element of a vector, with zeros above it.
    fn move_integer(&self, ty: Type) -> Flow {
        let is_vector = |n: u32| {
            self.i.op_kind(n) == OpKind::Register && self.i.op_register(n).is_vector_register()
        };
        // By its own opcode, MOVD has 64 bits with REX.W.
        let ty = if self.i.memory_size().size() == 8 { Type::I64 } else { ty };
        match (is_vector(0), is_vector(1)) {
            (true, true) => self.set_v(self.scalar(1, Type::I64).zext_wide(Type::WIDE)),
            (true, false) => {
                let value = self.op(1);
                self.set_v(value.zext_wide(Type::WIDE))
            }
            _ if self.i.op0_kind() == OpKind::Memory => self.store_low(ty),
            _ => self.set_op(0, self.scalar(1, ty)),
        }
    }

    /// MOVHPS, MOVLPS and their like: a half of a vector of 128 bits from memory, the other as in the first source, or to memory.
    fn move_half(&self, lane: u32) -> Flow {
        if self.i.op0_kind() == OpKind::Memory {
            let n = vector_number(self.i.op_register(1));
            let value = self.half(n, Half::Low).as_vector(Q).lane_u(lane);
            self.store(self.address(), Type::I64, value);
            return Flow::Next;
        }
        let last = self.i.op_count() - 1;
        let value = self.scalar(last, Type::I64);
        let old = self.v(last - 1).as_vector(Q);
        self.set_v(old.set_lane(lane, value))
    }

    /// A function of the last two operands, registers, of 128 bits.
    fn combine_registers(&self, op: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let last = self.i.op_count() - 1;
        self.set_v(op(self.v(last - 1), self.v(last)))
    }

    /// MOVDDUP: even doublewords, twice. With 128 bits only 64 are read.
    fn movddup(&self) -> Flow {
        if self.is_256() {
            return self.packed1(|a| Self::elements(a, a, 3, |_| 0));
        }
        self.set_v(self.b.splat(Q, self.scalar(1, Type::I64)))
    }

    /// Where MASKMOVQ and MASKMOVDQU store: at RDI, which has 32 bits with an address-size prefix.
    pub(super) fn masked_address(&self) -> Val<'b> {
        let rdi = self.gpr(7);
        let offset = match self.i.op0_kind() {
            OpKind::MemorySegEDI => rdi.low32().zext(),
            _ => rdi,
        };
        match self.segment_base() {
            Some(segment) => segment + offset,
            None => offset,
        }
    }

    /// MASKMOVDQU: to where DS:RDI, or another segment, points.
    fn maskmovdqu(&self) -> Flow {
        let [data, mask] = [1, 2].map(|n| vector_number(self.i.op_register(n)));
        let what = What { data, mask, ..What::default() };
        self.b.call_void(helpers::MASKMOVDQU, &[self.konst(what.raw()), self.masked_address()]);
        Flow::Next
    }

    /// LDMXCSR: bits that do not exist raise #GP.
    fn ldmxcsr(&self) -> Flow {
        let value = match self.place(0) {
            Place::Memory(at, _) => self.load(at, Type::I32),
            _ => return Flow::Undefined,
        };
        self.raise_if(value & self.konst(!u64::from(arch::x86_64::mxcsr::WRITABLE)));
        self.b.call_void(helpers::SET_MXCSR, &[value]);
        self.look_up_next()
    }

    /// A vector place's lower half.
    pub(super) fn low_half(&self, place: VectorPlace<'b>) -> Val<'b> {
        self.read_half(place, Half::Low)
    }
}
