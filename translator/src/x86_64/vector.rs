//! How vector instructions reach their operands (SDM vol. 1, 14.1 and vol. 2, 2.3): legacy SSE, whose destination is its first
//! source and which leaves bits 255:128 alone, and VEX, with an operand more, which writes them, with zeros if it is
//! one of 128 bits. Semantics are functions of values of 128 bits; an instruction of 256 bits is two of them.
//!
//! Operands of legacy SSE in memory are aligned, or the instruction raises #GP, except where it says otherwise.

use arch::x86_64::slot;
use decoders::x86_64::{Code, EncodingKind, OpKind, Register};
use ir::{MemOrder, Type, Val};

use super::operand::Address;
use super::{Flow, Insn};

/// What an instruction demands of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Align {
    /// A multiple of the operand's size.
    Demanded,
    /// Nothing.
    Any,
}

/// A half of a vector of 256 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Half {
    Low,
    High,
}

impl Half {
    fn offset(self) -> i32 {
        match self {
            Self::Low => 0,
            Self::High => 16,
        }
    }
}

/// An operand: a register's number, or an address.
#[derive(Clone, Copy)]
pub(super) enum VectorPlace<'b> {
    Register(u8),
    Memory(Address<'b>),
}

/// A vector register's number.
pub(super) fn vector_number(register: Register) -> u8 {
    register.number() as u8 & 31
}

/// Whether an encoding has an MMX register among its operands, which its mnemonic alone does not tell.
pub(super) fn is_mmx(code: Code) -> bool {
    let name = format!("{code:?}");
    name.split('_').any(|part| part == "mm" || part.starts_with("mmm"))
}

impl<'b> Insn<'b> {
    /// Whether it is encoded with a VEX prefix.
    pub(super) fn is_vex(&self) -> bool {
        self.i.code().encoding() == EncodingKind::VEX
    }

    /// Whether it works on 256 bits.
    pub(super) fn is_256(&self) -> bool {
        self.i
            .op_kinds()
            .zip(0..)
            .any(|(kind, n)| kind == OpKind::Register && self.i.op_register(n).is_ymm())
    }

    /// Which halves it works on.
    pub(super) fn halves(&self) -> &'static [Half] {
        if self.is_256() { &[Half::Low, Half::High] } else { &[Half::Low] }
    }

    /// What operands in memory must be, where nothing else is said.
    pub(super) fn usual_alignment(&self) -> Align {
        if self.is_vex() { Align::Any } else { Align::Demanded }
    }

    /// Bits 127:0 or 255:128 of a register.
    pub(super) fn half(&self, n: u8, half: Half) -> Val<'b> {
        self.b.wide(half_slot(n, half))
    }

    /// Where operand `n` is; raises #GP if an address is not as demanded.
    pub(super) fn vector_place(&self, n: u32, align: Align) -> VectorPlace<'b> {
        if self.i.op_kind(n) != OpKind::Memory {
            return VectorPlace::Register(vector_number(self.i.op_register(n)));
        }
        let at = self.address();
        if align == Align::Demanded {
            self.demand_alignment(at);
        }
        VectorPlace::Memory(at)
    }

    fn demand_alignment(&self, at: Address<'b>) {
        let addr = self.linear(at);
        match self.is_256() {
            // No type is as wide: what is misaligned is odd at half the width.
            true => {
                let low = addr & self.konst(31);
                self.raise_if(low);
            }
            false => self.b.align_check(Type::WIDE, addr),
        }
    }

    /// A half of what is there, of 128 bits.
    pub(super) fn read_half(&self, place: VectorPlace<'b>, half: Half) -> Val<'b> {
        match place {
            VectorPlace::Register(n) => self.half(n, half),
            VectorPlace::Memory(at) => {
                let at = at.plus(half.offset());
                self.b.load_wide(at.base, at.offset, MemOrder::Acquire)
            }
        }
    }

    /// Bits 127:0 of operand `n`: a register, or 16 bytes of memory, aligned as usual.
    pub(super) fn v(&self, n: u32) -> Val<'b> {
        self.read_half(self.vector_place(n, self.usual_alignment()), Half::Low)
    }

    /// The low bits of operand `n`, a vector register or so much memory of any alignment: an integer, zero-extended,
    /// or a float, by the type.
    pub(super) fn scalar(&self, n: u32, ty: Type) -> Val<'b> {
        match self.vector_place(n, Align::Any) {
            VectorPlace::Register(n) => {
                let low = self.b.slot_at(slot::xmm(n), ty);
                if ty.is_float() { low } else { low.zext() }
            }
            VectorPlace::Memory(at) if ty.is_float() => self.b.load_f(ty, at.base, at.offset),
            VectorPlace::Memory(at) => self.load(at, ty),
        }
    }

    /// A register becomes values of 128 bits, one a half; the upper one becomes what the encoding says where none is
    /// given.
    pub(super) fn set_halves(&self, n: u8, values: &[Val<'b>]) -> Flow {
        self.b.set_wide(slot::xmm(n), values[0]);
        match values.get(1) {
            Some(high) => self.b.set_wide(slot::ymm_high(n), *high),
            None if self.is_vex() => self.b.set_wide(slot::ymm_high(n), self.b.zeros()),
            None => {}
        }
        Flow::Next
    }

    /// Operand 0, a register, becomes a value of 128 bits.
    pub(super) fn set_v(&self, value: Val<'b>) -> Flow {
        self.set_halves(vector_number(self.i.op0_register()), &[value])
    }

    /// Writes operand `n`, of 128 or 256 bits.
    fn write_halves(&self, place: VectorPlace<'b>, align: Align, values: &[Val<'b>]) -> Flow {
        match place {
            VectorPlace::Register(n) => self.set_halves(n, values),
            VectorPlace::Memory(at) => {
                if values.len() > 1 && align == Align::Any {
                    // The upper half may lie on a page that faults: nothing is stored then.
                    let _ = [Half::Low, Half::High].map(|half| self.read_half(place, half));
                }
                for (value, half) in values.iter().zip([Half::Low, Half::High]) {
                    let at = at.plus(half.offset());
                    self.b.store(Type::WIDE, at.base, at.offset, *value, MemOrder::Release);
                }
                Flow::Next
            }
        }
    }

    /// Every half of the first operand becomes a function of those of all sources: with VEX the operands after the
    /// first, else with the first. All are vectors of the instruction's width.
    fn lanewise<const N: usize>(&self, align: Align, op: impl Fn([Val<'b>; N]) -> Val<'b>) -> Flow {
        if self.writes_mmx() {
            return self.mmx_lanewise(op);
        }
        let first = u32::from(self.has_own_destination(N));
        let places: [_; N] = std::array::from_fn(|n| self.vector_place(first + n as u32, align));
        // All is read before anything is computed: what faults has no effect on flags.
        let read = |&half: &Half| places.map(|at| self.read_half(at, half));
        let operands: Vec<_> = self.halves().iter().map(read).collect();
        let values: Vec<_> = operands.into_iter().map(op).collect();
        self.set_halves(vector_number(self.i.op0_register()), &values)
    }

    /// Whether the first operand is no source, if there are so many of them.
    fn has_own_destination(&self, sources: usize) -> bool {
        let is_vector = |&n: &u32| match self.i.op_kind(n) {
            OpKind::Register => self.i.op_register(n).is_vector_register(),
            OpKind::Memory => true,
            _ => false,
        };
        (0..self.i.op_count()).filter(is_vector).count() > sources
    }

    /// A function of one vector: PABSB and its like.
    pub(super) fn packed1(&self, op: impl Fn(Val<'b>) -> Val<'b>) -> Flow {
        self.lanewise(self.usual_alignment(), |[a]| op(a))
    }

    /// A function of two vectors: PADDB and its like.
    pub(super) fn packed2(&self, op: impl Fn(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        self.lanewise(self.usual_alignment(), |[a, b]| op(a, b))
    }

    /// A function of three vectors, of which the first is the destination: FMA.
    pub(super) fn packed3(&self, op: impl Fn(Val<'b>, Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        self.lanewise(self.usual_alignment(), |[a, b, c]| op(a, b, c))
    }

    /// Operand 1 is copied to operand 0: MOVAPS and its like.
    pub(super) fn move_vector(&self, align: Align) -> Flow {
        let [to, from] = [0, 1].map(|n| self.vector_place(n, align));
        let values: Vec<_> = self.halves().iter().map(|&half| self.read_half(from, half)).collect();
        self.write_halves(to, align, &values)
    }
}

fn half_slot(n: u8, half: Half) -> base::RegSlot {
    match half {
        Half::Low => slot::xmm(n),
        Half::High => slot::ymm_high(n),
    }
}
