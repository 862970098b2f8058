//! How instructions reach the SIMD and floating-point registers (Arm ARM, C1.2.5): the rules that hold for all of
//! them. A 64-bit result clears the upper half of its register, a scalar one all that is above it.

use arch::aarch64::helpers::Arg;
use arch::aarch64::slot;
use base::HelperId;
use decoders::aarch64::{F2, F3, V2, V3};
use ir::{FpRound, Opcode, Type, Val};

use super::{Flow, Insn};

/// An arrangement, as the decoder gives it: twice the binary logarithm of an element's bytes, and 1
/// more if the elements fill the register, not half of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arrangement(pub(super) u8);

impl Arrangement {
    /// Binary logarithm of an element's bytes.
    pub(super) const fn size(self) -> u8 {
        self.0 / 2
    }

    /// Whether it fills the register.
    pub(super) const fn full(self) -> bool {
        self.0 & 1 != 0
    }

    /// Bytes that it has.
    pub(super) const fn bytes(self) -> u8 {
        if self.full() { 16 } else { 8 }
    }

    /// How many elements it has.
    pub(super) const fn count(self) -> u32 {
        (self.bytes() >> self.size()) as u32
    }

    /// The integer vector of such elements.
    pub(super) const fn ty(self) -> Type {
        int_vector(self.size())
    }

    /// What a helper is told of it.
    pub(super) const fn arg(self) -> Arg {
        Arg::lanes(self.size() as u32, self.count())
    }
}

/// The vector of integers of this size (0 = B, 1 = H, 2 = S, else D).
pub(super) const fn int_vector(size: u8) -> Type {
    match size {
        0 => Type::I8x16,
        1 => Type::I16x8,
        2 => Type::I32x4,
        _ => Type::I64x2,
    }
}

/// The vector of floats of this size; `None` for half precision, which IR does not know.
pub(super) const fn float_vector(size: u8) -> Option<Type> {
    match size {
        2 => Some(Type::F32x4),
        3 => Some(Type::F64x2),
        _ => None,
    }
}

/// The float of this size; `None` for half precision.
pub(super) const fn float(size: u8) -> Option<Type> {
    match size {
        2 => Some(Type::F32),
        3 => Some(Type::F64),
        _ => None,
    }
}

/// Bits of an element of this size.
pub(super) const fn bits(size: u8) -> u32 {
    8 << size
}

/// What a helper is told of a scalar.
pub(super) const fn scalar_arg(size: u8) -> Arg {
    Arg::lanes(size as u32, 1)
}

/// How helpers number the rounding modes.
pub(super) const fn mode_number(round: FpRound) -> u8 {
    match round {
        FpRound::NearestEven => 0,
        FpRound::Up => 1,
        FpRound::Down => 2,
        FpRound::TowardZero => 3,
        FpRound::NearestAway => 4,
    }
}

/// How an instruction takes its integers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    Signed,
    Unsigned,
}

/// Whether a result is rounded or truncated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rounded {
    No,
    Yes,
}

impl<'b> Insn<'b> {
    /// V[n], all of it.
    #[inline]
    pub(super) fn v(&self, n: u8, ty: Type) -> Val<'b> {
        self.b.wide(slot::v(n)).as_vector(ty)
    }

    /// The low bits of V[n].
    #[inline]
    pub(super) fn low(&self, n: u8, ty: Type) -> Val<'b> {
        self.b.slot_at(slot::v(n), ty)
    }

    /// The half of V[n] that an instruction with or without `2` in its name takes, in the lower half.
    pub(super) fn half(&self, n: u8, full: bool) -> Val<'b> {
        let value = self.v(n, Type::WIDE);
        if full { Self::shuffle(value, value, |i| (i + 8) % 16) } else { value }
    }

    /// V[n] with zeros where the arrangement has no elements: they neither saturate nor raise flags.
    pub(super) fn counted(&self, n: u8, t: Arrangement) -> Val<'b> {
        if t.full() { self.v(n, t.ty()) } else { self.low(n, Type::I64).zext_wide(t.ty()) }
    }

    /// V[n] with the lower half in the upper one, too, if the arrangement has no upper one: it raises the same
    /// flags.
    pub(super) fn repeated(&self, n: u8, full: bool, ty: Type) -> Val<'b> {
        match full {
            true => self.v(n, ty),
            false => self.b.splat(Type::WIDE, self.low(n, Type::I64)).as_vector(ty),
        }
    }

    /// A scalar of V[n], and zeros above it.
    pub(super) fn scalar(&self, n: u8, size: u8) -> Val<'b> {
        let ty = int_vector(size);
        self.low(n, ty.lane()).zext_wide(ty)
    }

    /// V[d] = value.
    #[inline]
    pub(super) fn set_v(&self, d: u8, value: Val<'b>) -> Flow {
        self.b.set_wide(slot::v(d), value);
        Flow::Next
    }

    /// V[d] = value, or its lower half.
    pub(super) fn set_vt(&self, d: u8, full: bool, value: Val<'b>) -> Flow {
        let value = if full { value } else { value.at(Type::I64).zext_wide(Type::WIDE) };
        self.set_v(d, value)
    }

    /// V[d] = value, a scalar.
    pub(super) fn set_scalar(&self, d: u8, value: Val<'b>) -> Flow {
        self.set_v(d, value.zext_wide(Type::WIDE))
    }

    /// A vector helper's result. What operands it has no use for is given the first.
    pub(super) fn call_v(&self, helper: HelperId, arg: Arg, vectors: &[Val<'b>]) -> Val<'b> {
        let mut all = [vectors[0]; 3];
        all[..vectors.len()].copy_from_slice(vectors);
        self.b.call_wide(helper, self.konst(arg.raw()), all)
    }

    /// Every element has this value.
    pub(super) fn splat(&self, ty: Type, value: u64) -> Val<'b> {
        self.b.splat(ty, self.konst(value))
    }

    /// What was converted from integers, divided by 2^fbits: exactly, and without flags.
    pub(super) fn quotient_of_power(&self, value: Val<'b>, fbits: u8) -> Val<'b> {
        let ty = value.ty();
        let power = match ty.lane() {
            Type::F32 => u64::from(127 - fbits) << 23,
            _ => (1023 - u64::from(fbits)) << 52,
        };
        let power = match ty.is_vector() {
            true => self.splat(ty, power),
            false => self.b.konst_of(ty, power),
        };
        value.fmul(power, self.round())
    }

    /// Bytes of `n` (0 to 15) and `m` (16 to 31): byte `i` is number `byte(i)`.
    pub(super) fn shuffle(n: Val<'b>, m: Val<'b>, byte: impl Fn(u8) -> u8) -> Val<'b> {
        n.shuffle(m, std::array::from_fn(|i| byte(i as u8)))
    }

    /// Elements of `n`, followed by those of `m`, of an arrangement: element `i` is number
    /// `element(i)`. In a 64-bit one the upper half repeats the lower.
    pub(super) fn elements(
        n: Val<'b>,
        m: Val<'b>,
        t: Arrangement,
        element: impl Fn(u8) -> u8,
    ) -> Val<'b> {
        let (size, bytes) = (t.size(), t.bytes());
        Self::shuffle(n, m, |i| {
            let i = i % bytes;
            let from = (element(i >> size) << size) + i % (1 << size);
            if from < bytes { from } else { from - bytes + 16 }
        })
    }

    /// Vd = f(Vn), element by element, of integers.
    pub(super) fn map2(&self, V2 { rd, rn, t }: V2, f: impl FnOnce(Val<'b>) -> Val<'b>) -> Flow {
        let t = Arrangement(t);
        self.set_vt(rd, t.full(), f(self.v(rn, t.ty())))
    }

    /// Vd = f(Vn, Vm), element by element, of integers.
    pub(super) fn map3(
        &self,
        V3 { rd, rn, rm, t }: V3,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        self.set_vt(rd, t.full(), f(self.v(rn, t.ty()), self.v(rm, t.ty())))
    }

    /// Vd = f(Vn) of elements that may saturate.
    pub(super) fn saturate2(
        &self,
        V2 { rd, rn, t }: V2,
        f: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> Flow {
        self.set_v(rd, f(self.counted(rn, Arrangement(t))))
    }

    /// sat(-n)
    pub(super) fn saturated_neg(&self, n: Val<'b>) -> Val<'b> {
        self.b.zeros().as_vector(n.ty()).lanes(Opcode::SatSubS, n)
    }

    /// sat(|n|): of n and what saturates if it can, the greater.
    pub(super) fn saturated_abs(&self, n: Val<'b>) -> Val<'b> {
        n.max_s(self.saturated_neg(n))
    }

    /// Vd = f(Vn, Vm) of elements that may saturate.
    pub(super) fn saturate3(
        &self,
        V3 { rd, rn, rm, t }: V3,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let t = Arrangement(t);
        self.set_v(rd, f(self.counted(rn, t), self.counted(rm, t)))
    }

    /// The same of scalars.
    pub(super) fn saturate_scalar3(
        &self,
        F3 { rd, rn, rm, size }: F3,
        f: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        self.set_v(rd, f(self.scalar(rn, size), self.scalar(rm, size)))
    }

    /// Vd = helper(Vn), of one that computes all lanes.
    pub(super) fn pure2(&self, V2 { rd, rn, t }: V2, helper: HelperId, arg: Arg) -> Flow {
        let value = self.call_v(helper, arg, &[self.v(rn, Type::WIDE)]);
        self.set_vt(rd, Arrangement(t).full(), value)
    }

    /// Vd = helper(Vn, Vm), of one that computes all lanes.
    pub(super) fn pure3(&self, V3 { rd, rn, rm, t }: V3, helper: HelperId) -> Flow {
        let t = Arrangement(t);
        let operands = [rn, rm].map(|n| self.v(n, Type::WIDE));
        self.set_vt(rd, t.full(), self.call_v(helper, t.arg(), &operands))
    }

    /// Vd = helper(Vn, Vm, Vd), of one that computes all lanes.
    pub(super) fn pure_into(&self, V3 { rd, rn, rm, t }: V3, helper: HelperId) -> Flow {
        let t = Arrangement(t);
        let operands = [rn, rm, rd].map(|n| self.v(n, Type::WIDE));
        self.set_vt(rd, t.full(), self.call_v(helper, t.arg(), &operands))
    }

    /// Vd = helper(Vn), of one that raises flags or saturates: its other lanes are zero.
    pub(super) fn helper2(&self, V2 { rd, rn, t }: V2, helper: HelperId) -> Flow {
        let arg = Arrangement(t).arg();
        self.set_v(rd, self.call_v(helper, arg, &[self.v(rn, Type::WIDE)]))
    }

    /// Vd = helper(Vn, Vm), of one that raises flags or saturates.
    pub(super) fn helper3(&self, V3 { rd, rn, rm, t }: V3, helper: HelperId) -> Flow {
        let operands = [rn, rm].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helper, Arrangement(t).arg(), &operands))
    }

    /// Vd = helper(Vn, Vm, Vd), of one that raises flags or saturates.
    pub(super) fn helper_into(
        &self,
        V3 { rd, rn, rm, .. }: V3,
        helper: HelperId,
        arg: Arg,
    ) -> Flow {
        let operands = [rn, rm, rd].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helper, arg, &operands))
    }

    /// Vd = helper(Vn), a scalar, of one that raises flags or saturates.
    pub(super) fn scalar_helper2(&self, F2 { rd, rn, size }: F2, helper: HelperId) -> Flow {
        self.set_v(rd, self.call_v(helper, scalar_arg(size), &[self.v(rn, Type::WIDE)]))
    }

    /// Vd = helper(Vn, Vm), a scalar, of one that raises flags or saturates.
    pub(super) fn scalar_helper3(&self, F3 { rd, rn, rm, size }: F3, helper: HelperId) -> Flow {
        let operands = [rn, rm].map(|n| self.v(n, Type::WIDE));
        self.set_v(rd, self.call_v(helper, scalar_arg(size), &operands))
    }

    /// V[d] = the lowest element of a vector.
    pub(super) fn scalar_of(&self, d: u8, size: u8, value: Val<'b>) -> Flow {
        self.set_scalar(d, value.at(int_vector(size).lane()))
    }

    /// The elements of the operand's lower half, or of its upper one, at twice their width.
    pub(super) fn long(&self, n: u8, t: Arrangement, sign: Sign) -> Val<'b> {
        self.v(n, t.ty()).lengthen(match (sign, t.full()) {
            (Sign::Signed, false) => Opcode::LengthenLowS,
            (Sign::Signed, true) => Opcode::LengthenHighS,
            (Sign::Unsigned, false) => Opcode::LengthenLowU,
            (Sign::Unsigned, true) => Opcode::LengthenHighU,
        })
    }

    /// Writes elements of twice an arrangement's width, truncated: to the lower half of V[d],
    /// clearing the upper one, or to the upper one.
    pub(super) fn set_truncated(&self, d: u8, t: Arrangement, wide: Val<'b>) -> Flow {
        let low = |i: u8| {
            let i = i % 8;
            ((i >> t.size()) << (t.size() + 1)) + i % (1 << t.size())
        };
        let wide = wide.as_vector(t.ty());
        if t.full() {
            let old = self.v(d, t.ty());
            return self
                .set_v(d, Self::shuffle(old, wide, |i| if i < 8 { i } else { 16 + low(i) }));
        }
        self.set_vt(d, false, Self::shuffle(wide, wide, low))
    }

    /// Writes a lower half whose upper one is zero: to the lower half of V[d], clearing the upper
    /// one, or to the upper one.
    pub(super) fn set_half(&self, d: u8, full: bool, value: Val<'b>) -> Flow {
        if !full {
            return self.set_v(d, value);
        }
        let old = self.v(d, Type::I8x16);
        self.set_v(
            d,
            Self::shuffle(old, value.as_vector(Type::I8x16), |i| if i < 8 { i } else { i + 8 }),
        )
    }
}
