//! Floating-point operations as functions, by the guest's rules.

use base::RegSlot;
use base::float::soft::Inexact;
use base::float::{Env, F32, F64, Flags, Format, RawBits, Round, Rules, fast};

use crate::block::Inst;
use crate::fp::packed_flags;
use crate::guest::FpRules;
use crate::ops::Opcode;
use crate::types::{FpRound, Type};

/// A floating-point operation on 64-bit containers. Reads and raises flags in the environment.
pub(super) type Float = fn(&mut Env, u64, u64, u64) -> u64;

/// The word beside a [`super::micro::Micro::Float`]'s function: its third operand and environment.
pub(super) fn pack_environment(c: u16, flags: RegSlot, inst: &Inst, rules: FpRules) -> u64 {
    let round = (inst.round() as u64) << 32;
    u64::from(c) | u64::from(flags.0) << 16 | round | rules.pack(inst.mode()) << RULES_SHIFT
}

/// Where rules stand in such a word.
pub(super) const RULES_SHIFT: u32 = 40;

/// The rounding in such a word.
pub(super) fn unpack_round(word: u64) -> Round {
    let index = (word >> 32) as usize & 7;
    FpRound::ALL[index % FpRound::ALL.len()].mode()
}

/// The rules that a number of [`FpRules::pack`] means.
pub(super) fn unpack_rules(number: u64) -> Rules {
    let (rules, mode) = FpRules::unpack(number);
    rules.rules(mode)
}

/// Runs `operation` on an environment whose flags come from and go to a register.
#[inline(always)]
pub(super) fn with_flags(
    flags: &mut u64,
    round: Round,
    rules: Rules,
    operation: impl FnOnce(&mut Env) -> u64,
) -> u64 {
    let before = Flags(*flags as u8);
    let mut env = Env { round, flags: before, ..Env::new(rules) };
    let result = operation(&mut env);
    if env.flags != before {
        *flags |= u64::from(env.flags.0);
    }
    result
}

/// The function of a floating-point operation; `None` if it is none, or of types that it cannot
/// have.
pub(super) fn float_function(inst: &Inst, rules: FpRules) -> Option<Float> {
    match (inst.op, inst.ty, inst.other_type()) {
        (Opcode::FCvt, Type::F64, Type::F32) => Some(|env, a, _, _| fast::widen(a as u32, env)),
        (Opcode::FCvt, Type::F32, Type::F64) => Some(|env, a, _, _| fast::narrow(a, env).into()),
        (Opcode::FCvt, ..) => None,
        (Opcode::FToS | Opcode::FToU, Type::F32, to) => to_int::<F32>(inst.op, to),
        (Opcode::FToS | Opcode::FToU, Type::F64, to) => to_int::<F64>(inst.op, to),
        (Opcode::SToF | Opcode::UToF, Type::F32, from) => from_int::<F32>(inst.op, from),
        (Opcode::SToF | Opcode::UToF, Type::F64, from) => from_int::<F64>(inst.op, from),
        (op, Type::F32, _) => number::<F32>(op, rules).or_else(|| arithmetic::<F32>(op)),
        (op, Type::F64, _) => number::<F64>(op, rules).or_else(|| arithmetic::<F64>(op)),
        _ => None,
    }
}

fn bits<F: Format>(raw: u64) -> F::Bits {
    F::Bits::from_u64(raw)
}

fn round<F: fast::HostFormat>(a: u64, inexact: Inexact, env: &mut Env) -> u64 {
    fast::round_to_integral::<F>(bits::<F>(a), env.round, inexact, env).to_u64()
}

/// Minimum and maximum where numbers win over NaNs: guests differ.
fn number<F: fast::HostFormat>(op: Opcode, rules: FpRules) -> Option<Float> {
    Some(match (op, rules) {
        (Opcode::FMin, FpRules::RiscV) => {
            |env, a, b, _| fast::minimum_number::<F>(bits::<F>(a), bits::<F>(b), env).to_u64()
        }
        (Opcode::FMax, FpRules::RiscV) => {
            |env, a, b, _| fast::maximum_number::<F>(bits::<F>(a), bits::<F>(b), env).to_u64()
        }
        (Opcode::FMin, FpRules::Arm) => {
            |env, a, b, _| fast::min_num::<F>(bits::<F>(a), bits::<F>(b), env).to_u64()
        }
        (Opcode::FMax, FpRules::Arm) => {
            |env, a, b, _| fast::max_num::<F>(bits::<F>(a), bits::<F>(b), env).to_u64()
        }
        (Opcode::FMin, FpRules::X86) => {
            |env, a, b, _| fast::min_x86::<F>(bits::<F>(a), bits::<F>(b), env).to_u64()
        }
        (Opcode::FMax, FpRules::X86) => {
            |env, a, b, _| fast::max_x86::<F>(bits::<F>(a), bits::<F>(b), env).to_u64()
        }
        _ => return None,
    })
}

fn arithmetic<F: fast::HostFormat>(op: Opcode) -> Option<Float> {
    Some(match op {
        Opcode::FAdd => |env, a, b, _| fast::add::<F>(bits::<F>(a), bits::<F>(b), env).to_u64(),
        Opcode::FSub => |env, a, b, _| fast::sub::<F>(bits::<F>(a), bits::<F>(b), env).to_u64(),
        Opcode::FMul => |env, a, b, _| fast::mul::<F>(bits::<F>(a), bits::<F>(b), env).to_u64(),
        Opcode::FDiv => |env, a, b, _| fast::div::<F>(bits::<F>(a), bits::<F>(b), env).to_u64(),
        Opcode::FSqrt => |env, a, _, _| fast::sqrt::<F>(bits::<F>(a), env).to_u64(),
        Opcode::FMulAdd => {
            |env, a, b, c| fast::fma::<F>(bits::<F>(a), bits::<F>(b), bits::<F>(c), env).to_u64()
        }
        Opcode::FMinimum => {
            |env, a, b, _| fast::minimum::<F>(bits::<F>(a), bits::<F>(b), env).to_u64()
        }
        Opcode::FMaximum => {
            |env, a, b, _| fast::maximum::<F>(bits::<F>(a), bits::<F>(b), env).to_u64()
        }
        Opcode::FRound => |env, a, _, _| round::<F>(a, Inexact::Suppress, env),
        Opcode::FRoundX => |env, a, _, _| round::<F>(a, Inexact::Signal, env),
        Opcode::FCmpFlags => |env, a, b, _| {
            packed_flags(fast::compare_signaling::<F>(bits::<F>(a), bits::<F>(b), env))
        },
        Opcode::FCmpFlagsQ => {
            |env, a, b, _| packed_flags(fast::compare_quiet::<F>(bits::<F>(a), bits::<F>(b), env))
        }
        Opcode::FNeg => |_, a, _, _| bits::<F>(a ^ F::SIGN).to_u64(),
        Opcode::FAbs => |_, a, _, _| bits::<F>(a & !F::SIGN).to_u64(),
        Opcode::FCopySign => |_, a, b, _| bits::<F>(a & !F::SIGN | b & F::SIGN).to_u64(),
        Opcode::FEq => |env, a, b, _| fast::eq::<F>(bits::<F>(a), bits::<F>(b), env).into(),
        Opcode::FLt => |env, a, b, _| fast::lt::<F>(bits::<F>(a), bits::<F>(b), env).into(),
        Opcode::FLe => |env, a, b, _| fast::le::<F>(bits::<F>(a), bits::<F>(b), env).into(),
        Opcode::FLtQ => |env, a, b, _| fast::lt_quiet::<F>(bits::<F>(a), bits::<F>(b), env).into(),
        Opcode::FLeQ => |env, a, b, _| fast::le_quiet::<F>(bits::<F>(a), bits::<F>(b), env).into(),
        _ => return None,
    })
}

fn to_int<F: fast::HostFormat>(op: Opcode, to: Type) -> Option<Float> {
    Some(match (op, to) {
        (Opcode::FToS, Type::I32) => {
            |env, a, _, _| fast::to_int::<F, i32>(bits::<F>(a), env.round, env) as i64 as u64
        }
        (Opcode::FToS, Type::I64) => {
            |env, a, _, _| fast::to_int::<F, i64>(bits::<F>(a), env.round, env) as u64
        }
        (Opcode::FToU, Type::I32) => {
            |env, a, _, _| fast::to_int::<F, u32>(bits::<F>(a), env.round, env).into()
        }
        (Opcode::FToU, Type::I64) => {
            |env, a, _, _| fast::to_int::<F, u64>(bits::<F>(a), env.round, env)
        }
        _ => return None,
    })
}

fn from_int<F: fast::HostFormat>(op: Opcode, from: Type) -> Option<Float> {
    Some(match (op, from) {
        (Opcode::SToF, Type::I32) => {
            |env, a, _, _| fast::from_int::<F, i32>(a as i32, env).to_u64()
        }
        (Opcode::SToF, Type::I64) => {
            |env, a, _, _| fast::from_int::<F, i64>(a as i64, env).to_u64()
        }
        (Opcode::UToF, Type::I32) => {
            |env, a, _, _| fast::from_int::<F, u32>(a as u32, env).to_u64()
        }
        (Opcode::UToF, Type::I64) => |env, a, _, _| fast::from_int::<F, u64>(a, env).to_u64(),
        _ => return None,
    })
}
