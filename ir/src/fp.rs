//! What the floating-point operations compute, on raw bits: the one place where operations meet
//! [`base::float`]. The interpreter and the back end's slow paths both come here.

use base::float::{self, Env, F32, F64, Flags, Round, fast, soft};

use crate::guest::FpRules;
use crate::ops::Opcode;
use crate::types::{FpRound, Type};

impl FpRules {
    /// The rules as the floating-point library names them.
    #[inline]
    #[must_use]
    pub const fn rules(self) -> float::Rules {
        match self {
            Self::RiscV => float::Rules::RISCV,
        }
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

/// A floating-point operation without its operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FpOp {
    /// An operation whose row has the flag `FP_FLAGS`.
    pub op: Opcode,
    /// Its type: F32 or F64.
    pub ty: Type,
    /// Its rounding.
    pub round: FpRound,
    /// Its second type, for conversions.
    pub other: Type,
}

impl FpOp {
    /// Computes the operation on raw bits, adding to `flags`. Operations that do not belong to
    /// floating point give 0.
    #[inline]
    #[must_use]
    pub fn evaluate(self, rules: FpRules, args: [u64; 3], flags: &mut u64) -> u64 {
        let mut env = Env::new(rules.rules());
        env.round = self.round.mode();
        env.flags = Flags(*flags as u8);
        let result = match self.ty {
            Type::F32 => self.evaluate32(args, &mut env),
            _ => self.evaluate64(args, &mut env),
        };
        *flags = u64::from(env.flags.0);
        result
    }
}

macro_rules! evaluate {
    ($name:ident, $format:ty, $bits:ty, $convert:ident) => {
        impl FpOp {
            #[inline]
            fn $name(self, [a, b, c]: [u64; 3], env: &mut Env) -> u64 {
                let (x, y, z) = (a as $bits, b as $bits, c as $bits);
                match self.op {
                    Opcode::FAdd => fast::add::<$format>(x, y, env).into(),
                    Opcode::FSub => fast::sub::<$format>(x, y, env).into(),
                    Opcode::FMul => fast::mul::<$format>(x, y, env).into(),
                    Opcode::FDiv => fast::div::<$format>(x, y, env).into(),
                    Opcode::FSqrt => fast::sqrt::<$format>(x, env).into(),
                    Opcode::FMulAdd => fast::fma::<$format>(x, y, z, env).into(),
                    Opcode::FMin => soft::minimum_number::<$format>(x, y, env).into(),
                    Opcode::FMax => soft::maximum_number::<$format>(x, y, env).into(),
                    Opcode::FEq => soft::eq::<$format>(x, y, env).into(),
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
        let op = FpOp { op, ty, round: FpRound::NearestEven, other };
        (op.evaluate(FpRules::RiscV, args, &mut flags), flags)
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
