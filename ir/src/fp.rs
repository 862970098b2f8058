//! What the floating-point operations compute, on raw bits: the one place where operations meet
//! [`base::float`]. The interpreter and the back end's slow paths both come here.

use std::cmp::Ordering;

use base::float::soft::Inexact;
use base::float::{
    self, DenormalsIn, DenormalsOut, Env, F32, F64, Flags, NanRule, Round, fast, soft,
};

use crate::block::Inst;
use crate::guest::FpRules;
use crate::lanes;
use crate::ops::{Opcode, Shape, flag};
use crate::types::{FpMode, FpRound, Type};

impl FpRules {
    /// The rules as the floating-point library names them.
    #[inline]
    #[must_use]
    pub const fn rules(self, mode: FpMode) -> float::Rules {
        let mut rules = match self {
            Self::RiscV => float::Rules::RISCV,
            Self::Arm => float::Rules::ARM,
            Self::X86 => float::Rules::X86,
        };
        match self {
            Self::X86 => {
                if mode.has(FpMode::FLUSH) {
                    rules.denormals_out = DenormalsOut::FlushInexact;
                }
                if mode.has(FpMode::ZERO_INPUTS) {
                    rules.denormals_in = DenormalsIn::Flush;
                }
            }
            Self::RiscV | Self::Arm => {
                if mode.has(FpMode::FLUSH) {
                    rules.denormals_in = DenormalsIn::FlushAndReport;
                    rules.denormals_out = DenormalsOut::Flush;
                }
            }
        }
        if mode.has(FpMode::DEFAULT_NAN) {
            rules.nan = NanRule::Default;
        }
        rules
    }

    /// Rules and how an operation departs from them, as a number of 8 bits.
    #[inline]
    #[must_use]
    pub const fn pack(self, mode: FpMode) -> u64 {
        (self as u64) << 3 | mode.0 as u64
    }

    /// What such a number means.
    #[inline]
    #[must_use]
    pub const fn unpack(number: u64) -> (Self, FpMode) {
        let rules = match number >> 3 & 3 {
            1 => Self::Arm,
            2 => Self::X86,
            _ => Self::RiscV,
        };
        (rules, FpMode(number as u8 & FpMode::ALL.0))
    }
}

impl FpRound {
    /// The mode as the floating-point library names it.
    #[inline]
    #[must_use]
    pub const fn mode(self) -> Round {
        match self {
            Self::NearestEven => Round::NearestEven,
            Self::TowardZero => Round::TowardZero,
            Self::Down => Round::Down,
            Self::Up => Round::Up,
            Self::NearestAway => Round::NearestAway,
        }
    }
}

/// An operation that adds to the floating-point flags, without its operands: one of floating point, or
/// a saturating one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FpOp {
    /// An operation whose row has the flag `FP_FLAGS`.
    pub op: Opcode,
    /// Its type: F32, F64 or a vector.
    pub ty: Type,
    /// Its rounding.
    pub round: FpRound,
    /// How it departs from the guest's usual rules.
    pub mode: FpMode,
    /// Its second type, for conversions.
    pub other: Type,
}

impl From<&Inst> for FpOp {
    fn from(inst: &Inst) -> Self {
        let other = inst.other_type();
        Self { op: inst.op, ty: inst.ty, round: inst.round(), mode: inst.mode(), other }
    }
}

impl FpOp {
    /// Bits of what [`FpOp::pack`] gives.
    pub const PACKED_BITS: u32 = 40;

    /// The operation and a guest's rules as a number.
    #[must_use]
    pub const fn pack(self, rules: FpRules) -> u64 {
        self.op as u64
            | (self.ty as u64) << 8
            | (self.other as u64) << 16
            | (self.round as u64) << 24
            | rules.pack(self.mode) << 32
    }

    /// What such a number means. Bits above [`FpOp::PACKED_BITS`] do not matter.
    #[must_use]
    pub fn unpack(packed: u64) -> (Self, FpRules) {
        let byte = |n: u32| (packed >> (8 * n)) as u8 as usize;
        let (rules, mode) = FpRules::unpack(packed >> 32);
        let op = Self {
            op: Opcode::ALL[byte(0) % Opcode::ALL.len()],
            ty: Type::ALL[byte(1) % Type::ALL.len()],
            other: Type::ALL[byte(2) % Type::ALL.len()],
            round: FpRound::ALL[byte(3) % FpRound::ALL.len()],
            mode,
        };
        (op, rules)
    }

    /// Computes a scalar operation on raw bits, adding to `flags`. Operations that do not belong to
    /// floating point give 0.
    #[inline]
    #[must_use]
    pub fn evaluate(self, rules: FpRules, args: [u64; 3], flags: &mut u64) -> u64 {
        let mut env = Env::new(rules.rules(self.mode));
        env.round = self.round.mode();
        env.flags = Flags(*flags as u8);
        let result = match self.ty {
            Type::F32 => self.evaluate32(rules, args, &mut env),
            _ => self.evaluate64(rules, args, &mut env),
        };
        *flags = u64::from(env.flags.0);
        result
    }

    /// Computes an operation on raw bits, be it a scalar or a vector, adding to `flags`.
    #[must_use]
    pub fn compute(self, rules: FpRules, args: [u128; 3], flags: &mut u64) -> u128 {
        match self.ty.is_vector() {
            true => self.evaluate_wide(rules, args, flags),
            false => self.evaluate(rules, args.map(|arg| arg as u64), flags).into(),
        }
    }

    /// Computes a vector operation on raw bits, lane by lane, adding to `flags`. A conversion between
    /// formats reads or writes lower halves; what it does not write is zero.
    #[must_use]
    pub fn evaluate_wide(self, rules: FpRules, args: [u128; 3], flags: &mut u64) -> u128 {
        if self.op.info().has(flag::SATURATES) {
            let [a, b, _] = args;
            return lanes::saturating(self.op, self.ty, [a, b], flags).unwrap_or_default();
        }
        let scalar = Self { ty: self.ty.lane(), other: self.other.lane(), ..self };
        let from = match self.op.info().shape {
            Shape::IntToFp | Shape::FpToFp => self.other,
            _ => self.ty,
        };
        let to = match self.op.info().shape {
            Shape::FpToInt => self.other,
            _ => self.ty,
        };
        let is_mask = matches!(self.op, Opcode::FLanesEq | Opcode::FLanesGt | Opcode::FLanesGe);
        let mut result = 0;
        for lane in 0..from.lanes().min(to.lanes()) {
            let args = args.map(|arg| lanes::get(from, arg, lane));
            let value = scalar.evaluate(rules, args, flags);
            let value = if is_mask { value.wrapping_neg() } else { value };
            result = lanes::set(to, result, lane, value);
        }
        result
    }
}

macro_rules! evaluate {
    ($name:ident, $format:ty, $bits:ty, $convert:ident) => {
        impl FpOp {
            #[inline]
            fn $name(self, rules: FpRules, [a, b, c]: [u64; 3], env: &mut Env) -> u64 {
                let (x, y, z) = (a as $bits, b as $bits, c as $bits);
                match self.op {
                    Opcode::FAdd => fast::add::<$format>(x, y, env).into(),
                    Opcode::FSub => fast::sub::<$format>(x, y, env).into(),
                    Opcode::FMul => fast::mul::<$format>(x, y, env).into(),
                    Opcode::FDiv => fast::div::<$format>(x, y, env).into(),
                    Opcode::FSqrt => fast::sqrt::<$format>(x, env).into(),
                    Opcode::FMulAdd => fast::fma::<$format>(x, y, z, env).into(),
                    Opcode::FMin if rules == FpRules::Arm => {
                        soft::min_num::<$format>(x, y, env).into()
                    }
                    Opcode::FMax if rules == FpRules::Arm => {
                        soft::max_num::<$format>(x, y, env).into()
                    }
                    Opcode::FMin if rules == FpRules::X86 => {
                        soft::min_x86::<$format>(x, y, env).into()
                    }
                    Opcode::FMax if rules == FpRules::X86 => {
                        soft::max_x86::<$format>(x, y, env).into()
                    }
                    Opcode::FMin => soft::minimum_number::<$format>(x, y, env).into(),
                    Opcode::FMax => soft::maximum_number::<$format>(x, y, env).into(),
                    Opcode::FMinimum => soft::minimum::<$format>(x, y, env).into(),
                    Opcode::FMaximum => soft::maximum::<$format>(x, y, env).into(),
                    Opcode::FRound => {
                        let (round, quietly) = (env.round, Inexact::Suppress);
                        fast::round_to_integral::<$format>(x, round, quietly, env).into()
                    }
                    Opcode::FRoundX => {
                        let (round, aloud) = (env.round, Inexact::Signal);
                        fast::round_to_integral::<$format>(x, round, aloud, env).into()
                    }
                    Opcode::FCmpFlags => {
                        packed_flags(soft::compare_signaling::<$format>(x, y, env))
                    }
                    Opcode::FCmpFlagsQ => packed_flags(soft::compare_quiet::<$format>(x, y, env)),
                    Opcode::FEq | Opcode::FLanesEq => soft::eq::<$format>(x, y, env).into(),
                    Opcode::FLanesGt => soft::lt::<$format>(y, x, env).into(),
                    Opcode::FLanesGe => soft::le::<$format>(y, x, env).into(),
                    Opcode::FLt => soft::lt::<$format>(x, y, env).into(),
                    Opcode::FLe => soft::le::<$format>(x, y, env).into(),
                    Opcode::FLtQ => soft::lt_quiet::<$format>(x, y, env).into(),
                    Opcode::FLeQ => soft::le_quiet::<$format>(x, y, env).into(),
                    Opcode::FToS if self.other == Type::I64 => {
                        fast::to_int::<$format, i64>(x, env.round, env) as u64
                    }
                    Opcode::FToS => {
                        i64::from(fast::to_int::<$format, i32>(x, env.round, env)) as u64
                    }
                    Opcode::FToU if self.other == Type::I64 => {
                        fast::to_int::<$format, u64>(x, env.round, env)
                    }
                    Opcode::FToU => fast::to_int::<$format, u32>(x, env.round, env).into(),
                    Opcode::SToF if self.other == Type::I64 => {
                        fast::from_int::<$format, i64>(a as i64, env).into()
                    }
                    Opcode::SToF => fast::from_int::<$format, i32>(a as i32, env).into(),
                    Opcode::UToF if self.other == Type::I64 => {
                        fast::from_int::<$format, u64>(a, env).into()
                    }
                    Opcode::UToF => fast::from_int::<$format, u32>(a as u32, env).into(),
                    Opcode::FCvt => self.$convert(a, env),
                    _ => 0,
                }
            }
        }
    };
}

evaluate!(evaluate32, F32, u32, convert_to32);
evaluate!(evaluate64, F64, u64, convert_to64);

/// N, Z, C and V of a comparison, in bits 31 to 28.
pub(crate) const fn packed_flags(order: Option<Ordering>) -> u64 {
    match order {
        Some(Ordering::Less) => 0b1000 << 28,
        Some(Ordering::Equal) => 0b0110 << 28,
        Some(Ordering::Greater) => 0b0010 << 28,
        None => 0b0011 << 28,
    }
}

impl FpOp {
    #[inline]
    fn convert_to32(self, a: u64, env: &mut Env) -> u64 {
        match self.other {
            Type::F64 => fast::narrow(a, env).into(),
            _ => soft::convert::<F32, F32>(a as u32, env).into(),
        }
    }

    #[inline]
    fn convert_to64(self, a: u64, env: &mut Env) -> u64 {
        match self.other {
            Type::F32 => fast::widen(a as u32, env),
            _ => soft::convert::<F64, F64>(a, env),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(op: Opcode, ty: Type, other: Type, args: [u64; 3]) -> (u64, u64) {
        let mut flags = 0;
        let op = FpOp { op, ty, round: FpRound::NearestEven, mode: FpMode::NONE, other };
        (op.evaluate(FpRules::RiscV, args, &mut flags), flags)
    }

    #[test]
    fn operations_survive_packing() {
        for &op in Opcode::ALL {
            for (round, rules) in FpRound::ALL.into_iter().flat_map(|round| {
                [FpRules::RiscV, FpRules::Arm, FpRules::X86].map(|rules| (round, rules))
            }) {
                let (ty, other) = (Type::F64x2, Type::I64);
                let op = FpOp { op, ty, round, mode: FpMode::FLUSH, other };
                let above = 0x155 << FpOp::PACKED_BITS;
                assert_eq!(FpOp::unpack(op.pack(rules) | above), (op, rules));
            }
        }
    }

    #[test]
    fn operations_reach_the_library() {
        let f = |x: f64| x.to_bits();
        assert_eq!(evaluate(Opcode::FAdd, Type::F64, Type::I64, [f(1.0), f(2.0), 0]), (f(3.0), 0));
        assert_eq!(evaluate(Opcode::FDiv, Type::F64, Type::I64, [f(1.0), f(3.0), 0]).1, 1);
        assert_eq!(evaluate(Opcode::FCvt, Type::F32, Type::F64, [f(0.5), 0, 0]).0, 0x3f00_0000);
        assert_eq!(
            evaluate(Opcode::FToS, Type::F64, Type::I32, [f(-7.0), 0, 0]),
            (-7_i64 as u64, 0)
        );
        assert_eq!(
            evaluate(Opcode::UToF, Type::F64, Type::I32, [u64::MAX, 0, 0]).0,
            f(4294967295.0)
        );
    }
}
