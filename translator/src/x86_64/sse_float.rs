//! Floating point of SSE, AVX and FMA (SDM vol. 1, 10 to 14): arithmetic, comparisons, rounding. Conversions stand in
//! [`super::sse_convert`].

use arch::x86_64::helpers::{
    self,
    sse_float::{Arithmetic, arg},
};
use arch::x86_64::key;
use decoders::x86_64::{Code, Mnemonic, OpKind};
use ir::{Condition, FpRound, Opcode, Type, Val};

use super::sse::{PD, PS, SD, SS, integers, vector_of};
use super::table::Semantics;
use super::vector::is_mmx;
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    if is_mmx(code) {
        return None;
    }
    Some(match code.mnemonic() {
        M::Addps | M::Vaddps => |i| i.arithmetic2(PS, Arithmetic::Add),
        M::Addpd | M::Vaddpd => |i| i.arithmetic2(PD, Arithmetic::Add),
        M::Addss | M::Vaddss => |i| i.arithmetic2(SS, Arithmetic::Add),
        M::Addsd | M::Vaddsd => |i| i.arithmetic2(SD, Arithmetic::Add),
        M::Subps | M::Vsubps => |i| i.arithmetic2(PS, Arithmetic::Sub),
        M::Subpd | M::Vsubpd => |i| i.arithmetic2(PD, Arithmetic::Sub),
        M::Subss | M::Vsubss => |i| i.arithmetic2(SS, Arithmetic::Sub),
        M::Subsd | M::Vsubsd => |i| i.arithmetic2(SD, Arithmetic::Sub),
        M::Mulps | M::Vmulps => |i| i.arithmetic2(PS, Arithmetic::Mul),
        M::Mulpd | M::Vmulpd => |i| i.arithmetic2(PD, Arithmetic::Mul),
        M::Mulss | M::Vmulss => |i| i.arithmetic2(SS, Arithmetic::Mul),
        M::Mulsd | M::Vmulsd => |i| i.arithmetic2(SD, Arithmetic::Mul),
        M::Divps | M::Vdivps => |i| i.arithmetic2(PS, Arithmetic::Div),
        M::Divpd | M::Vdivpd => |i| i.arithmetic2(PD, Arithmetic::Div),
        M::Divss | M::Vdivss => |i| i.arithmetic2(SS, Arithmetic::Div),
        M::Divsd | M::Vdivsd => |i| i.arithmetic2(SD, Arithmetic::Div),
        M::Minps | M::Vminps => |i| i.fp2(PS, |a, b, _| a.fmin(b)),
        M::Minpd | M::Vminpd => |i| i.fp2(PD, |a, b, _| a.fmin(b)),
        M::Minss | M::Vminss => |i| i.fp2(SS, |a, b, _| a.fmin(b)),
        M::Minsd | M::Vminsd => |i| i.fp2(SD, |a, b, _| a.fmin(b)),
        M::Maxps | M::Vmaxps => |i| i.fp2(PS, |a, b, _| a.fmax(b)),
        M::Maxpd | M::Vmaxpd => |i| i.fp2(PD, |a, b, _| a.fmax(b)),
        M::Maxss | M::Vmaxss => |i| i.fp2(SS, |a, b, _| a.fmax(b)),
        M::Maxsd | M::Vmaxsd => |i| i.fp2(SD, |a, b, _| a.fmax(b)),
        M::Sqrtps | M::Vsqrtps => |i| i.fp1(PS, Val::fsqrt),
        M::Sqrtpd | M::Vsqrtpd => |i| i.fp1(PD, Val::fsqrt),
        M::Sqrtss | M::Vsqrtss => |i| i.fp1(SS, Val::fsqrt),
        M::Sqrtsd | M::Vsqrtsd => |i| i.fp1(SD, Val::fsqrt),
        M::Rcpps | M::Vrcpps => |i| i.helper1(helpers::RCP, 0),
        M::Rsqrtps | M::Vrsqrtps => |i| i.helper1(helpers::RSQRT, 0),
        M::Rcpss | M::Vrcpss => |i| i.estimate_scalar(helpers::RCP),
        M::Rsqrtss | M::Vrsqrtss => |i| i.estimate_scalar(helpers::RSQRT),
        M::Haddps | M::Vhaddps => |i| i.horizontal(PS, Arithmetic::Add),
        M::Haddpd | M::Vhaddpd => |i| i.horizontal(PD, Arithmetic::Add),
        M::Hsubps | M::Vhsubps => |i| i.horizontal(PS, Arithmetic::Sub),
        M::Hsubpd | M::Vhsubpd => |i| i.horizontal(PD, Arithmetic::Sub),
        M::Addsubps | M::Vaddsubps => |i| i.add_and_subtract(PS),
        M::Addsubpd | M::Vaddsubpd => |i| i.add_and_subtract(PD),
        M::Dpps | M::Vdpps => |i| i.dot_product(PS),
        M::Dppd | M::Vdppd => |i| i.dot_product(PD),
        M::Roundps | M::Vroundps => |i| i.round_to_integral(PS),
        M::Roundpd | M::Vroundpd => |i| i.round_to_integral(PD),
        M::Roundss | M::Vroundss => |i| i.round_to_integral(SS),
        M::Roundsd | M::Vroundsd => |i| i.round_to_integral(SD),
        M::Cmpps | M::Vcmpps => |i| i.compare_packed(PS),
        M::Cmppd | M::Vcmppd => |i| i.compare_packed(PD),
        M::Cmpss | M::Vcmpss => |i| i.compare_scalar(SS),
        M::Cmpsd if !is_string(code) => |i| i.compare_scalar(SD),
        M::Vcmpsd => |i| i.compare_scalar(SD),
        M::Comiss | M::Vcomiss => |i| i.set_flags_by_comparison(SS, Val::fcmp_flags),
        M::Comisd | M::Vcomisd => |i| i.set_flags_by_comparison(SD, Val::fcmp_flags),
        M::Ucomiss | M::Vucomiss => |i| i.set_flags_by_comparison(SS, Val::fcmp_flags_q),
        M::Ucomisd | M::Vucomisd => |i| i.set_flags_by_comparison(SD, Val::fcmp_flags_q),
        mnemonic => return fused(mnemonic),
    })
}

fn is_string(code: Code) -> bool {
    matches!(code, Code::Cmpsd_m32_m32)
}

/// Which operands of FMA are multiplied and which is added, by the digits of its name.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// The first and the third, and the second is added.
    F132,
    /// The second and the first.
    F213,
    /// The second and the third.
    F231,
}

/// What is negated before a fused multiplication and addition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Negate {
    Nothing,
    Addend,
    Product,
    Both,
    /// The addend in even elements.
    Even,
    /// The addend in odd elements.
    Odd,
}

/// FMA: nine products and sums in three orders, of packed and scalar numbers.
fn fused(mnemonic: Mnemonic) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Vfmadd132ps => |i| i.fma(PS, Order::F132, Negate::Nothing),
        M::Vfmadd132pd => |i| i.fma(PD, Order::F132, Negate::Nothing),
        M::Vfmadd132ss => |i| i.fma(SS, Order::F132, Negate::Nothing),
        M::Vfmadd132sd => |i| i.fma(SD, Order::F132, Negate::Nothing),
        M::Vfmadd213ps => |i| i.fma(PS, Order::F213, Negate::Nothing),
        M::Vfmadd213pd => |i| i.fma(PD, Order::F213, Negate::Nothing),
        M::Vfmadd213ss => |i| i.fma(SS, Order::F213, Negate::Nothing),
        M::Vfmadd213sd => |i| i.fma(SD, Order::F213, Negate::Nothing),
        M::Vfmadd231ps => |i| i.fma(PS, Order::F231, Negate::Nothing),
        M::Vfmadd231pd => |i| i.fma(PD, Order::F231, Negate::Nothing),
        M::Vfmadd231ss => |i| i.fma(SS, Order::F231, Negate::Nothing),
        M::Vfmadd231sd => |i| i.fma(SD, Order::F231, Negate::Nothing),
        M::Vfmsub132ps => |i| i.fma(PS, Order::F132, Negate::Addend),
        M::Vfmsub132pd => |i| i.fma(PD, Order::F132, Negate::Addend),
        M::Vfmsub132ss => |i| i.fma(SS, Order::F132, Negate::Addend),
        M::Vfmsub132sd => |i| i.fma(SD, Order::F132, Negate::Addend),
        M::Vfmsub213ps => |i| i.fma(PS, Order::F213, Negate::Addend),
        M::Vfmsub213pd => |i| i.fma(PD, Order::F213, Negate::Addend),
        M::Vfmsub213ss => |i| i.fma(SS, Order::F213, Negate::Addend),
        M::Vfmsub213sd => |i| i.fma(SD, Order::F213, Negate::Addend),
        M::Vfmsub231ps => |i| i.fma(PS, Order::F231, Negate::Addend),
        M::Vfmsub231pd => |i| i.fma(PD, Order::F231, Negate::Addend),
        M::Vfmsub231ss => |i| i.fma(SS, Order::F231, Negate::Addend),
        M::Vfmsub231sd => |i| i.fma(SD, Order::F231, Negate::Addend),
        M::Vfnmadd132ps => |i| i.fma(PS, Order::F132, Negate::Product),
        M::Vfnmadd132pd => |i| i.fma(PD, Order::F132, Negate::Product),
        M::Vfnmadd132ss => |i| i.fma(SS, Order::F132, Negate::Product),
        M::Vfnmadd132sd => |i| i.fma(SD, Order::F132, Negate::Product),
        M::Vfnmadd213ps => |i| i.fma(PS, Order::F213, Negate::Product),
        M::Vfnmadd213pd => |i| i.fma(PD, Order::F213, Negate::Product),
        M::Vfnmadd213ss => |i| i.fma(SS, Order::F213, Negate::Product),
        M::Vfnmadd213sd => |i| i.fma(SD, Order::F213, Negate::Product),
        M::Vfnmadd231ps => |i| i.fma(PS, Order::F231, Negate::Product),
        M::Vfnmadd231pd => |i| i.fma(PD, Order::F231, Negate::Product),
        M::Vfnmadd231ss => |i| i.fma(SS, Order::F231, Negate::Product),
        M::Vfnmadd231sd => |i| i.fma(SD, Order::F231, Negate::Product),
        M::Vfnmsub132ps => |i| i.fma(PS, Order::F132, Negate::Both),
        M::Vfnmsub132pd => |i| i.fma(PD, Order::F132, Negate::Both),
        M::Vfnmsub132ss => |i| i.fma(SS, Order::F132, Negate::Both),
        M::Vfnmsub132sd => |i| i.fma(SD, Order::F132, Negate::Both),
        M::Vfnmsub213ps => |i| i.fma(PS, Order::F213, Negate::Both),
        M::Vfnmsub213pd => |i| i.fma(PD, Order::F213, Negate::Both),
        M::Vfnmsub213ss => |i| i.fma(SS, Order::F213, Negate::Both),
        M::Vfnmsub213sd => |i| i.fma(SD, Order::F213, Negate::Both),
        M::Vfnmsub231ps => |i| i.fma(PS, Order::F231, Negate::Both),
        M::Vfnmsub231pd => |i| i.fma(PD, Order::F231, Negate::Both),
        M::Vfnmsub231ss => |i| i.fma(SS, Order::F231, Negate::Both),
        M::Vfnmsub231sd => |i| i.fma(SD, Order::F231, Negate::Both),
        M::Vfmaddsub132ps => |i| i.fma(PS, Order::F132, Negate::Even),
        M::Vfmaddsub132pd => |i| i.fma(PD, Order::F132, Negate::Even),
        M::Vfmaddsub213ps => |i| i.fma(PS, Order::F213, Negate::Even),
        M::Vfmaddsub213pd => |i| i.fma(PD, Order::F213, Negate::Even),
        M::Vfmaddsub231ps => |i| i.fma(PS, Order::F231, Negate::Even),
        M::Vfmaddsub231pd => |i| i.fma(PD, Order::F231, Negate::Even),
        M::Vfmsubadd132ps => |i| i.fma(PS, Order::F132, Negate::Odd),
        M::Vfmsubadd132pd => |i| i.fma(PD, Order::F132, Negate::Odd),
        M::Vfmsubadd213ps => |i| i.fma(PS, Order::F213, Negate::Odd),
        M::Vfmsubadd213pd => |i| i.fma(PD, Order::F213, Negate::Odd),
        M::Vfmsubadd231ps => |i| i.fma(PS, Order::F231, Negate::Odd),
        M::Vfmsubadd231pd => |i| i.fma(PD, Order::F231, Negate::Odd),
        _ => return None,
    })
}

impl<'b> Insn<'b> {
    /// An operation on values of a type. While exceptions are not masked, the flags that interrupt it are those of the helper.
    fn arithmetic(&self, op: Arithmetic, ty: Type, values: [Val<'b>; 3]) -> Val<'b> {
        let [a, b, c] =
            values.map(|value| if ty.is_vector() { value.as_vector(ty) } else { value });
        if self.key & key::UNMASKED != 0 {
            let arg = arg(op as u8, ty.lane() == SD, ty.lanes());
            if ty.is_vector() {
                return self.b.call_wide(helpers::ARITHMETIC, self.konst(arg), [a, b, c]);
            }
            let vector = vector_of(ty);
            let values = [a, b, c].map(|value| value.zext_wide(vector));
            let result = self.b.call_wide(helpers::ARITHMETIC, self.konst(arg), values);
            return result.as_vector(vector).lane_u(0);
        }
        match op {
            Arithmetic::Add => a.fadd(b, self.round()),
            Arithmetic::Sub => a.fsub(b, self.round()),
            Arithmetic::Mul => a.fmul(b, self.round()),
            Arithmetic::Div => a.fdiv(b, self.round()),
            Arithmetic::Fma => a.fmul_add(b, c, self.round()),
        }
    }

    /// ADDPS and its like, at a type, a vector's or a scalar's.
    fn arithmetic2(&self, ty: Type, op: Arithmetic) -> Flow {
        self.fp(|| match ty.is_vector() {
            true => self.packed2(|a, b| self.arithmetic(op, ty, [a, b, b])),
            false => self.scalar2(ty, |a, b| self.arithmetic(op, ty, [a, b, b])),
        })
    }

    /// FMA: `±(a * b) ± c`, rounded once.
    fn fma(&self, ty: Type, order: Order, negate: Negate) -> Flow {
        let op = |x: Val<'b>, y: Val<'b>, z: Val<'b>| {
            let (a, b, c) = match order {
                Order::F132 => (x, z, y),
                Order::F213 => (y, x, z),
                Order::F231 => (y, z, x),
            };
            let a = match negate {
                Negate::Product | Negate::Both => self.negate_number(a, u64::MAX),
                _ => a,
            };
            let c = match negate {
                Negate::Addend | Negate::Both => self.negate_number(c, u64::MAX),
                Negate::Even => self.negate_number(c, 0b0101),
                Negate::Odd => self.negate_number(c, 0b1010),
                Negate::Nothing | Negate::Product => c,
            };
            self.arithmetic(Arithmetic::Fma, ty, [a, b, c])
        };
        self.fp(|| match ty.is_vector() {
            true => self.packed3(|x, y, z| op(x.as_vector(ty), y.as_vector(ty), z.as_vector(ty))),
            false => {
                let value = op(self.scalar(0, ty), self.scalar(1, ty), self.scalar(2, ty));
                let old = self.v(0).as_vector(vector_of(ty));
                self.set_v(old.set_lane(0, value))
            }
        })
    }

    /// A number with its sign inverted, in the elements that the mask names; NaNs as they are.
    fn negate_number(&self, value: Val<'b>, elements: u64) -> Val<'b> {
        let ty = value.ty();
        let bits = ty.lane().bits();
        let sign = 1_u64 << (bits - 1);
        let infinity = if bits == 32 { 0x7f80_0000 } else { 0x7ff0_0000_0000_0000 };
        if !ty.is_vector() {
            let integer = if bits == 32 { Type::I32 } else { Type::I64 };
            let konst = |value: u64| self.b.konst_of(integer, value);
            let raw = value.at(integer);
            let is_nan = konst(infinity).lt_u(raw & konst(!sign));
            return (raw ^ is_nan.select(konst(0), konst(sign))).at(ty);
        }
        let integer = integers(ty);
        let splat = |value: u64| self.b.splat(integer, self.konst(value));
        let raw = value.as_vector(integer);
        let is_nan = (raw & splat(!sign & (u64::MAX >> (64 - bits))))
            .lanes(Opcode::LanesGtS, splat(infinity));
        let mut signs = splat(sign).and_not(is_nan);
        if elements != u64::MAX {
            let size = if bits == 32 { 2 } else { 3 };
            let zeros = self.b.zeros();
            let count = 16 >> size;
            signs = Self::elements(signs, zeros, size, |n| {
                if elements >> n & 1 != 0 { n } else { n + count }
            });
        }
        (raw ^ signs).as_vector(ty)
    }

    /// RCPSS, RSQRTSS.
    fn estimate_scalar(&self, helper: base::HelperId) -> Flow {
        self.scalar1(SS, SS, |a| {
            let vector = a.zext_wide(PS);
            self.wide(helper, 0, vector, vector).as_vector(PS).lane_u(0)
        })
    }

    /// HADDPS and its like: of neighbours, those of the first operand, then those of the second.
    fn horizontal(&self, ty: Type, op: Arithmetic) -> Flow {
        let size = if ty == PS { 2 } else { 3 };
        self.fp(|| {
            self.lanes2(ty, |a, b| {
                let even = Self::elements(a, b, size, |n| 2 * n);
                let odd = Self::elements(a, b, size, |n| 2 * n + 1);
                self.arithmetic(op, ty, [even, odd, odd])
            })
        })
    }

    /// ADDSUBPS, ADDSUBPD: even elements are subtracted.
    fn add_and_subtract(&self, ty: Type) -> Flow {
        self.fp(|| {
            self.lanes2(ty, |a, b| {
                self.arithmetic(Arithmetic::Add, ty, [a, self.negate_number(b, 0b0101), a])
            })
        })
    }

    /// DPPS, DPPD.
    fn dot_product(&self, ty: Type) -> Flow {
        let arg = arg(self.imm8(), ty == PD, ty.lanes());
        self.fp(|| self.packed2(|a, b| self.wide(helpers::DP, arg, a, b)))
    }

    /// ROUNDPS and its like: by the immediate, whose bit 2 stands for MXCSR's mode, and bit 3 for silence.
    fn round_to_integral(&self, ty: Type) -> Flow {
        const MODES: [FpRound; 4] =
            [FpRound::NearestEven, FpRound::Down, FpRound::Up, FpRound::TowardZero];
        let imm = self.imm8();
        let round = if imm & 4 != 0 { self.round() } else { MODES[usize::from(imm & 3)] };
        self.fp1(ty, |a, _| if imm & 8 != 0 { a.fround(round) } else { a.fround_x(round) })
    }

    /// The predicate of a comparison: with VEX there are 32.
    fn predicate(&self) -> u8 {
        self.imm8() & if self.is_vex() { 31 } else { 7 }
    }

    /// Whether both sources are one register.
    fn compares_with_itself(&self) -> bool {
        let (a, b) = if self.is_vex() { (1, 2) } else { (0, 1) };
        self.i.op_kind(b) == OpKind::Register && self.i.op_register(a) == self.i.op_register(b)
    }

    /// CMPPS, CMPPD.
    fn compare_packed(&self, ty: Type) -> Flow {
        let predicate = self.predicate();
        let with_itself = self.compares_with_itself();
        let arg = arg(predicate, ty == PD, ty.lanes());
        self.fp(|| {
            self.lanes2(ty, |a, b| match predicate {
                0 => a.lanes(Opcode::FLanesEq, b),
                1 => b.lanes(Opcode::FLanesGt, a),
                2 => b.lanes(Opcode::FLanesGe, a),
                13 => a.lanes(Opcode::FLanesGe, b),
                14 => a.lanes(Opcode::FLanesGt, b),
                3 if with_itself => !a.lanes(Opcode::FLanesEq, b),
                7 if with_itself => a.lanes(Opcode::FLanesEq, b),
                4 => !a.lanes(Opcode::FLanesEq, b),
                5 => !b.lanes(Opcode::FLanesGt, a),
                6 => !b.lanes(Opcode::FLanesGe, a),
                9 => !a.lanes(Opcode::FLanesGe, b),
                10 => !a.lanes(Opcode::FLanesGt, b),
                _ => self.wide(helpers::CMP_LANES, arg, a, b),
            })
        })
    }

    /// CMPSS, CMPSD.
    fn compare_scalar(&self, ty: Type) -> Flow {
        let predicate = self.predicate();
        let with_itself = self.compares_with_itself();
        self.fp(|| {
            self.scalar2(ty, |a, b| {
                let holds = match predicate {
                    0 | 4 => a.feq(b),
                    3 | 7 if with_itself => a.feq(b),
                    1 | 5 => a.flt(b),
                    2 | 6 => a.fle(b),
                    9 | 13 => b.fle(a),
                    10 | 14 => b.flt(a),
                    _ => {
                        let [a, b] = [a, b].map(|value| value.zext_wide(vector_of(ty)));
                        let arg = arg(predicate, ty == SD, 1);
                        return self
                            .wide(helpers::CMP_LANES, arg, a, b)
                            .as_vector(vector_of(ty))
                            .lane_u(0);
                    }
                };
                let holds = match predicate {
                    3..=6 | 9 | 10 => holds ^ self.konst(1),
                    _ => holds,
                };
                (self.konst(0) - holds).at(ty)
            })
        })
    }

    /// COMISS and its like: ZF, PF, CF are 000 if greater, 001 if less, 100 if equal, 111 if unordered.
    fn set_flags_by_comparison(&self, ty: Type, compare: fn(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        self.fp(|| {
            let flags = compare(self.scalar(0, ty), self.scalar(1, ty));
            let equal = flags.cond(Condition::Eq) | flags.cond(Condition::Vs);
            let zero = equal ^ self.konst(1);
            self.flags_of_test(zero, flags.cond(Condition::Lt), flags.cond(Condition::Vc))
        })
    }
}
