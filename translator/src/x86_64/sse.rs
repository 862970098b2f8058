//! What instructions of SSE and AVX have in common beside their operands ([`super::vector`]): the floating-point environment, scalars in
//! the low element of a register, and helpers of vectors.

use arch::x86_64::{helpers, key, slot};
use base::HelperId;
use decoders::x86_64::OpKind;
use ir::{FpMode, FpRound, MemOrder, Type, Val};

use super::vector::{Align, Half, VectorPlace, vector_number};
use super::{Flow, Insn};

/// Elements of instructions whose names end so.
pub(super) const PS: Type = Type::F32x4;
pub(super) const PD: Type = Type::F64x2;
pub(super) const SS: Type = Type::F32;
pub(super) const SD: Type = Type::F64;

/// The vector of a scalar type.
pub(super) fn vector_of(ty: Type) -> Type {
    match ty {
        Type::I8 => Type::I8x16,
        Type::I16 => Type::I16x8,
        Type::I32 => Type::I32x4,
        Type::F32 => Type::F32x4,
        Type::F64 => Type::F64x2,
        _ => Type::I64x2,
    }
}

/// The vector of integers as wide as these elements.
pub(super) fn integers(ty: Type) -> Type {
    match ty.lane().bits() {
        8 => Type::I8x16,
        16 => Type::I16x8,
        32 => Type::I32x4,
        _ => Type::I64x2,
    }
}

impl<'b> Insn<'b> {
    /// The immediate byte, the last operand.
    pub(super) fn imm8(&self) -> u8 {
        self.i.immediate(self.i.op_count() - 1) as u8
    }

    /// How arithmetic departs from the usual, by MXCSR.
    fn fp_mode(&self) -> FpMode {
        let mode = |bit: u64, mode: FpMode| if self.key & bit != 0 { mode.0 } else { 0 };
        FpMode(mode(key::FTZ, FpMode::FLUSH) | mode(key::DAZ, FpMode::ZERO_INPUTS))
    }

    /// Arithmetic of which MXCSR has the flags. An exception that is not masked is raised before the instruction has any effect
    /// (SDM vol. 1, 11.5.2).
    pub(super) fn fp(&self, semantics: impl FnOnce() -> Flow) -> Flow {
        let before = self.begin_fp();
        let flow = semantics();
        self.end_fp(before);
        flow
    }

    /// Before arithmetic: what [`Insn::end_fp`] wants.
    pub(super) fn begin_fp(&self) -> Option<Val<'b>> {
        self.b.set_fp_mode(self.fp_mode());
        (self.key & key::UNMASKED != 0).then(|| {
            self.touch_memory();
            self.call(helpers::XM_BEGIN, &[])
        })
    }

    /// Behind arithmetic, before its result is stored anywhere.
    pub(super) fn end_fp(&self, before: Option<Val<'b>>) {
        if let Some(before) = before {
            self.raise_if(self.call(helpers::XM_END, &[before]));
        }
    }

    /// Raises what a source in memory raises: once arithmetic has begun, the flags are not what they were. What is stored raises
    /// behind it.
    fn touch_memory(&self) {
        if !self.i.op_kinds().skip(1).any(|kind| kind == OpKind::Memory) {
            return;
        }
        let (at, size) = (self.address(), self.i.memory_size().size());
        if size == 16 && !self.is_vex() {
            self.b.align_check(Type::WIDE, self.linear(at));
        }
        match size {
            4 => drop(self.load(at, Type::I32)),
            8 => drop(self.load(at, Type::I64)),
            _ => {
                for offset in (0..size as i32).step_by(16) {
                    let at = at.plus(offset);
                    let _ = self.b.load_wide(at.base, at.offset, MemOrder::Acquire);
                }
            }
        }
    }

    /// The operand whose upper elements a scalar instruction keeps, and the one that it reads.
    fn scalar_operands(&self) -> (u32, u32) {
        if self.is_vex() { (1, 2) } else { (0, 1) }
    }

    /// Operand 0, a register, becomes the first source with another element 0.
    pub(super) fn set_scalar(&self, ty: Type, value: Val<'b>) -> Flow {
        let (upper, _) = self.scalar_operands();
        self.set_v(self.v(upper).as_vector(vector_of(ty)).set_lane(0, value))
    }

    /// A function of the low elements of both sources: ADDSS and its like.
    pub(super) fn scalar2(&self, ty: Type, op: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let (a, b) = self.scalar_operands();
        let value = op(self.scalar(a, ty), self.scalar(b, ty));
        self.set_scalar(ty, value)
    }

    /// A function of the low element of the last source, of another type than the result: SQRTSS, CVTSS2SD and their like.
    pub(super) fn scalar1(
        &self,
        from: Type,
        to: Type,
        op: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        let (_, b) = self.scalar_operands();
        self.set_scalar(to, op(self.scalar(b, from)))
    }

    /// Arithmetic of two operands at a type, a vector's or a scalar's.
    pub(super) fn fp2(&self, ty: Type, op: fn(Val<'b>, Val<'b>, FpRound) -> Val<'b>) -> Flow {
        self.fp(|| match ty.is_vector() {
            true => self.packed2(|a, b| op(a.as_vector(ty), b.as_vector(ty), self.round())),
            false => self.scalar2(ty, |a, b| op(a, b, self.round())),
        })
    }

    /// Arithmetic of one operand, likewise.
    pub(super) fn fp1(&self, ty: Type, op: impl Fn(Val<'b>, FpRound) -> Val<'b>) -> Flow {
        self.fp(|| match ty.is_vector() {
            true => self.packed1(|a| op(a.as_vector(ty), self.round())),
            false => self.scalar1(ty, ty, |a| op(a, self.round())),
        })
    }

    /// A function of two vectors at a type.
    pub(super) fn lanes2(&self, ty: Type, op: impl Fn(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        self.packed2(|a, b| op(a.as_vector(ty), b.as_vector(ty)))
    }

    /// A helper of two vectors.
    pub(super) fn wide(&self, helper: HelperId, arg: u64, a: Val<'b>, b: Val<'b>) -> Val<'b> {
        self.b.call_wide(helper, self.konst(arg), [a, b, a])
    }

    /// An instruction that is a helper of its two vectors.
    pub(super) fn helper2(&self, helper: HelperId) -> Flow {
        self.packed2(|a, b| self.wide(helper, 0, a, b))
    }

    /// One that is a helper of its last operand.
    pub(super) fn helper1(&self, helper: HelperId, arg: u64) -> Flow {
        self.packed1(|a| self.wide(helper, arg, a, a))
    }

    /// A function of two vectors that is another one in the upper half of 256 bits.
    pub(super) fn by_half2(&self, op: impl Fn(Half, Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let (a, b) = self.scalar_operands();
        let [a, b] = [a, b].map(|n| self.vector_place(n, self.usual_alignment()));
        let value = |&half: &Half| op(half, self.read_half(a, half), self.read_half(b, half));
        let values: Vec<_> = self.halves().iter().map(value).collect();
        self.set_halves(vector_number(self.i.op0_register()), &values)
    }

    /// A function of one vector, operand 1, likewise.
    pub(super) fn by_half1(&self, op: impl Fn(Half, Val<'b>) -> Val<'b>) -> Flow {
        let a = self.vector_place(1, self.usual_alignment());
        let value = |&half: &Half| op(half, self.read_half(a, half));
        let values: Vec<_> = self.halves().iter().map(value).collect();
        self.set_halves(vector_number(self.i.op0_register()), &values)
    }

    /// Whether the destination has 256 bits.
    pub(super) fn writes_256(&self) -> bool {
        self.i.op0_kind() == OpKind::Register && self.i.op0_register().is_ymm()
    }

    /// Operand 0, a register, becomes as many of these as it has halves.
    pub(super) fn set_all(&self, values: &[Val<'b>]) -> Flow {
        let count = if self.writes_256() { 2 } else { 1 };
        self.set_halves(vector_number(self.i.op0_register()), &values[..count])
    }

    /// Operand `n`: a register's bits 127:0, or so many bits of memory of any alignment, with zeros above them.
    pub(super) fn low_of(&self, n: u32, bits: u32) -> Val<'b> {
        match self.vector_place(n, Align::Any) {
            VectorPlace::Register(register) => self.half(register, Half::Low),
            place @ VectorPlace::Memory(at) => match bits {
                16 => self.load(at, Type::I16).zext_wide(Type::WIDE),
                32 => self.load(at, Type::I32).zext_wide(Type::WIDE),
                64 => self.load(at, Type::I64).zext_wide(Type::WIDE),
                _ => self.read_half(place, Half::Low),
            },
        }
    }

    /// Bytes of `a` (0 to 15) and `b` (16 to 31): byte `i` is number `byte(i)`.
    pub(super) fn bytes(a: Val<'b>, b: Val<'b>, byte: impl Fn(u8) -> u8) -> Val<'b> {
        a.shuffle(b, std::array::from_fn(|i| byte(i as u8)))
    }

    /// Elements of `1 << size` bytes of `a`, followed by those of `b`: element `i` is number `element(i)`.
    pub(super) fn elements(
        a: Val<'b>,
        b: Val<'b>,
        size: u8,
        element: impl Fn(u8) -> u8,
    ) -> Val<'b> {
        Self::bytes(a, b, |i| (element(i >> size) << size) + (i & ((1 << size) - 1)))
    }

    /// ZF and CF, and the others clear, as of PTEST and COMISS: `zero` is 0 if ZF is set, `odd` 1 unless PF is.
    pub(super) fn flags_of_test(&self, zero: Val<'b>, carry: Val<'b>, odd: Val<'b>) -> Flow {
        self.set_zero(|| zero);
        self.set_carry(|| carry);
        self.set_sign(|| odd);
        self.set_aux(|| odd);
        self.set_less(|| self.konst(0));
        Flow::Next
    }

    /// Bits 127:0 of register XMM0, where it is named by nothing but the opcode.
    pub(super) fn xmm0(&self) -> Val<'b> {
        self.b.wide(slot::xmm(0))
    }
}
