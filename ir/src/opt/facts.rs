//! What is known of a value's bits.

use super::values::{Known, Values};
use crate::block::Inst;
use crate::fold;
use crate::ops::{Opcode, Shape};
use crate::types::Type;

/// How many of a value's bits say something, counted from the lowest: the value is the zero
/// extension of its low `unsigned` bits, and the sign extension of its low `signed` bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) unsigned: u32,
    pub(super) signed: u32,
}

impl Facts {
    /// Nothing is known of a value of that many bits.
    pub(super) const fn unknown(bits: u32) -> Self {
        Self { unsigned: bits, signed: bits }
    }

    pub(super) const fn of(value: u64) -> Self {
        let significant = if (value as i64) < 0 { !value } else { value };
        Self { unsigned: 64 - value.leading_zeros(), signed: 65 - significant.leading_zeros() }
    }

    const fn unsigned(bits: u32) -> Self {
        Self { unsigned: bits, signed: 64 }
    }

    const fn signed(bits: u32) -> Self {
        Self { unsigned: 64, signed: bits }
    }

    /// What is known when only so many low bits are read.
    fn read_at(self, bits: u32) -> Self {
        Self {
            unsigned: self.unsigned.min(bits),
            signed: if self.signed <= bits { self.signed } else { bits },
        }
    }

    fn max(self, other: Self) -> Self {
        Self { unsigned: self.unsigned.max(other.unsigned), signed: self.signed.max(other.signed) }
    }

    fn shifted_left(self, by: u32) -> Self {
        Self { unsigned: self.unsigned + by, signed: self.signed + by }
    }

    /// Puts the facts in terms of a value of that many bits, and lets each fact sharpen the other.
    fn within(self, bits: u32) -> Self {
        let unsigned = self.unsigned.min(bits);
        Self { unsigned, signed: self.signed.min(unsigned + 1).min(bits) }
    }
}

/// What is known of an operation's result.
pub(super) fn of_result(inst: &Inst, args: &[Known; 4], values: &Values) -> Facts {
    let bits = inst.result_type().bits();
    let arg = |index: usize| values.facts(args[index]).read_at(inst.operand_type(index).bits());
    let facts = match inst.op.info().shape {
        _ if inst.ty.is_vector() => Facts::unknown(bits),
        Shape::Compare | Shape::FpCompare | Shape::Condition => Facts::unsigned(1),
        Shape::Flags | Shape::FpFlags => Facts::unsigned(32),
        Shape::Load if inst.op == Opcode::LoadS => Facts::signed(inst.ty.bits()),
        Shape::Load => Facts::unsigned(inst.ty.bits()),
        Shape::Extend => extension(inst.op, arg(0), inst.ty.bits()),
        Shape::Select => arg(1).max(arg(2)),
        Shape::FpToInt if inst.other_type() == Type::I64 => Facts::unknown(bits),
        Shape::FpToInt if inst.op == Opcode::FToS => Facts::signed(inst.other_type().bits()),
        Shape::FpToInt => Facts::unsigned(inst.other_type().bits()),
        Shape::Unary if inst.op == Opcode::Mov => arg(0),
        Shape::Unary if matches!(inst.op, Opcode::Clz | Opcode::Ctz | Opcode::Popcnt) => {
            Facts::unsigned(7)
        }
        Shape::Binary => {
            let konst = args[1].constant().map(|k| fold::zext(inst.ty, k));
            binary(inst.op, bits, arg(0), arg(1), konst)
        }
        _ => Facts::unknown(bits),
    };
    facts.within(bits)
}

fn extension(op: Opcode, arg: Facts, from: u32) -> Facts {
    match op {
        Opcode::Zext => Facts::unsigned(arg.unsigned),
        _ if arg.unsigned < from => Facts::unsigned(arg.unsigned),
        _ => Facts::signed(arg.signed),
    }
}

fn binary(op: Opcode, bits: u32, a: Facts, b: Facts, konst: Option<u64>) -> Facts {
    let amount = konst.map(|k| k as u32 % bits);
    match (op, amount) {
        (Opcode::And, _) => {
            Facts { unsigned: a.unsigned.min(b.unsigned), signed: a.signed.max(b.signed) }
        }
        (Opcode::AndNot, _) => Facts { unsigned: a.unsigned, signed: a.signed.max(b.signed) },
        (Opcode::Or | Opcode::Xor, _) => a.max(b),
        (Opcode::Add, _) => a.max(b).shifted_left(1),
        (Opcode::ShrU, Some(by)) => Facts::unsigned(a.unsigned.saturating_sub(by)),
        (Opcode::ShrS, Some(by)) if a.unsigned < bits => {
            Facts::unsigned(a.unsigned.saturating_sub(by))
        }
        (Opcode::ShrS, Some(by)) => Facts::signed(a.signed.saturating_sub(by).max(1)),
        (Opcode::Shl, Some(by)) => a.shifted_left(by),
        (Opcode::DivU | Opcode::RemU, _) if konst.is_some_and(|k| k != 0) => {
            Facts::unsigned(a.unsigned)
        }
        (Opcode::MinS | Opcode::MaxS | Opcode::MinU | Opcode::MaxU, _) => a.max(b),
        _ => Facts::unknown(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_know_their_size() {
        for (value, unsigned, signed) in [
            (0, 0, 1),
            (1, 1, 2),
            (0xff, 8, 9),
            (u64::MAX, 64, 1),
            (-128_i64 as u64, 64, 8),
            (1 << 63, 64, 64),
        ] {
            assert_eq!(Facts::of(value), Facts { unsigned, signed }, "{value:#x}");
        }
    }
}
