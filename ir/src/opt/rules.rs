//! The algebra: which operations are simpler ones in disguise.
//!
//! A rule says what the result is in terms of values; whether those values can still be read is
//! for the caller to find out. Rules hold for the bits that the operation's type reads.

use super::values::{Computation, Known, Values};
use crate::fold;
use crate::ops::{Opcode, Shape};
use crate::types::Type;
use base::defect::{Defect, is_seeded};

/// What an operation is instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rewrite {
    /// This, unchanged.
    To(Known),
    /// Another operation.
    Op(Opcode, Type, [Known; 3]),
}

use Known::Const;
use Rewrite::To;

/// The rules for an operation of a type.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) values: &'a Values,
    pub(super) ty: Type,
}

type Found = Option<Rewrite>;

impl Rules<'_> {
    /// The first rule that fits. Of two constants at least one is on the right.
    pub(super) fn rewrite(self, op: Opcode, args: [Known; 4]) -> Found {
        let [a, b, c, _] = args;
        match op.info().shape {
            Shape::Binary => self.binary(op, a, b),
            Shape::Compare => self.compare(op, a, b),
            Shape::Select => self.select(a, b, c),
            Shape::Extend => self.extend(op, a),
            Shape::Unary | Shape::FpUnary => self.unary(op, a),
            _ => None,
        }
    }

    /// The bits of a constant that the type reads.
    fn konst(self, known: Known) -> Option<u64> {
        known.constant().map(|value| fold::zext(self.ty, value))
    }

    fn number(self, value: u64) -> Known {
        Const(fold::sext(self.ty, value) as u64)
    }

    fn op(self, op: Opcode, a: Known, b: Known) -> Found {
        Some(Rewrite::Op(op, self.ty, [a, b, Known::None]))
    }

    fn unary_op(self, op: Opcode, a: Known) -> Found {
        Some(Rewrite::Op(op, self.ty, [a, Known::None, Known::None]))
    }

    /// How a value was computed, if at this type.
    fn how(&self, known: Known) -> Option<&Computation> {
        self.values.computation(known).filter(|how| how.ty == self.ty)
    }

    /// `x` and `c` if the value is `op(x, c)` at this type.
    fn with_constant(self, op: Opcode, known: Known) -> Option<(Known, u64)> {
        let how = self.how(known).filter(|how| how.op == op)?;
        Some((how.args[0], self.konst(how.args[1])?))
    }

    fn unary(self, op: Opcode, a: Known) -> Found {
        let how = self.how(a)?;
        match (op, how.op) {
            (Opcode::Not, Opcode::Not)
            | (Opcode::Neg, Opcode::Neg)
            | (Opcode::Bswap, Opcode::Bswap)
            | (Opcode::FNeg, Opcode::FNeg)
            | (Opcode::NanUnbox, Opcode::NanBox) => Some(To(how.args[0])),
            (Opcode::FAbs, Opcode::FAbs) => Some(To(a)),
            (Opcode::FAbs, Opcode::FNeg) => self.unary_op(op, how.args[0]),
            _ => None,
        }
    }

    fn extend(self, op: Opcode, a: Known) -> Found {
        let (facts, bits) = (self.values.facts(a), self.ty.bits());
        let unchanged = match op {
            Opcode::Sext if is_seeded(Defect::DropsExtension) => facts.unsigned <= bits,
            Opcode::Sext => facts.signed <= bits || facts.unsigned < bits,
            _ => facts.unsigned <= bits,
        };
        unchanged.then_some(To(a))
    }

    fn binary(self, op: Opcode, a: Known, b: Known) -> Found {
        if a == b
            && let Some(found) = self.same_operands(op, a)
        {
            return Some(found);
        }
        match (self.konst(b), self.konst(a)) {
            (Some(k), _) => self.right_constant(op, a, k),
            (None, Some(k)) => self.left_constant(op, k, b),
            (None, None) => self.both_conditions(op, a, b),
        }
    }

    /// `x < y | x == y` is `x <= y`, and `x <= y & x != y` is `x < y`.
    fn both_conditions(self, op: Opcode, a: Known, b: Known) -> Found {
        if self.ty != Type::I64 {
            return None;
        }
        self.ordered(op, a, b).or_else(|| self.ordered(op, b, a))
    }

    fn ordered(self, op: Opcode, order: Known, equality: Known) -> Found {
        let (order, equality) =
            (self.values.computation(order)?, self.values.computation(equality)?);
        let joined = match (op, order.op, equality.op) {
            (Opcode::Or, Opcode::LtU, Opcode::Eq) => Opcode::LeU,
            (Opcode::Or, Opcode::LtS, Opcode::Eq) => Opcode::LeS,
            (Opcode::And, Opcode::LeU, Opcode::Ne) => Opcode::LtU,
            (Opcode::And, Opcode::LeS, Opcode::Ne) => Opcode::LtS,
            _ => return None,
        };
        let [x, y, ..] = order.args;
        let of_the_same = [[x, y], [y, x]].iter().any(|pair| pair[..] == equality.args[..2]);
        (of_the_same && order.ty == equality.ty).then_some(Rewrite::Op(
            joined,
            order.ty,
            [x, y, Known::None],
        ))
    }

    fn same_operands(self, op: Opcode, a: Known) -> Found {
        match op {
            Opcode::Sub | Opcode::Xor | Opcode::AndNot | Opcode::RemU | Opcode::RemS => {
                Some(To(Const(0)))
            }
            Opcode::And | Opcode::Or => Some(To(a)),
            Opcode::MinU | Opcode::MinS | Opcode::MaxU | Opcode::MaxS => Some(To(a)),
            _ => None,
        }
    }

    fn left_constant(self, op: Opcode, k: u64, b: Known) -> Found {
        let ones = fold::zext(self.ty, u64::MAX);
        match op {
            Opcode::Sub if k == 0 => self.unary_op(Opcode::Neg, b),
            Opcode::AndNot if k == ones => self.unary_op(Opcode::Not, b),
            Opcode::AndNot | Opcode::Shl | Opcode::ShrU | Opcode::ShrS if k == 0 => {
                Some(To(Const(0)))
            }
            Opcode::Rotl | Opcode::Rotr | Opcode::MulHiSU if k == 0 => Some(To(Const(0))),
            Opcode::ShrS | Opcode::Rotl | Opcode::Rotr if k == ones => Some(To(self.number(k))),
            _ => None,
        }
    }

    fn right_constant(self, op: Opcode, a: Known, k: u64) -> Found {
        match op {
            Opcode::Add | Opcode::Sub => self.sum(op, a, k),
            Opcode::And | Opcode::Or | Opcode::Xor | Opcode::AndNot => self.bitwise(op, a, k),
            Opcode::Shl | Opcode::ShrU | Opcode::ShrS | Opcode::Rotl | Opcode::Rotr => {
                self.shift(op, a, k)
            }
            Opcode::Mul | Opcode::MulHiU | Opcode::MulHiS | Opcode::MulHiSU => {
                self.product(op, a, k)
            }
            Opcode::DivU | Opcode::DivS | Opcode::RemU | Opcode::RemS => self.quotient(op, a, k),
            _ => self.extreme(op, a, k),
        }
    }

    fn sum(self, op: Opcode, a: Known, k: u64) -> Found {
        if k == 0 {
            return Some(To(a));
        }
        if op == Opcode::Sub {
            return self.op(Opcode::Add, a, self.number(k.wrapping_neg()));
        }
        let (x, c) = self.with_constant(Opcode::Add, a)?;
        let wrong = u64::from(is_seeded(Defect::SumOffByOne));
        self.op(Opcode::Add, x, self.number(c.wrapping_add(k).wrapping_add(wrong)))
    }

    fn bitwise(self, op: Opcode, a: Known, k: u64) -> Found {
        let ones = fold::zext(self.ty, u64::MAX);
        match (op, k) {
            (Opcode::And, 0) => return Some(To(Const(0))),
            (Opcode::Or, _) if k == ones => return Some(To(self.number(k))),
            (Opcode::And, _) if k == ones || self.covers(a, k) => return Some(To(a)),
            (Opcode::Or | Opcode::Xor | Opcode::AndNot, 0) => return Some(To(a)),
            (Opcode::Xor, _) if k == ones => return self.unary_op(Opcode::Not, a),
            (Opcode::AndNot, _) => return self.op(Opcode::And, a, self.number(!k)),
            _ => {}
        }
        if let Some((x, c)) = self.with_constant(op, a) {
            let both = match op {
                Opcode::And => c & k,
                Opcode::Or => c | k,
                _ => c ^ k,
            };
            return self.op(op, x, self.number(both));
        }
        match (op, self.ty, k) {
            (Opcode::And, Type::I64, 0xff) => zero_extension(Type::I8, a),
            (Opcode::And, Type::I64, 0xffff) => zero_extension(Type::I16, a),
            (Opcode::And, Type::I64, 0xffff_ffff) => zero_extension(Type::I32, a),
            (Opcode::Xor, Type::I64, 1) => self.inverted(a),
            _ => None,
        }
    }

    /// Whether a mask leaves every bit that a value can have.
    fn covers(self, a: Known, mask: u64) -> bool {
        mask.trailing_ones() >= self.values.facts(a).unsigned
    }

    fn shift(self, op: Opcode, a: Known, k: u64) -> Found {
        let bits = self.ty.bits();
        let by = k as u32 % bits;
        if by == 0 {
            return Some(To(a));
        }
        if u64::from(by) != k {
            return self.op(op, a, Const(by.into()));
        }
        if op == Opcode::ShrU && self.values.facts(a).unsigned <= by {
            return Some(To(Const(0)));
        }
        if let Some((x, c)) = self.with_constant(op, a) {
            return self.shift_twice(op, x, c as u32 % bits + by);
        }
        let extend = match op {
            Opcode::ShrU => Opcode::Zext,
            Opcode::ShrS => Opcode::Sext,
            _ => return None,
        };
        let (x, c) = self.with_constant(Opcode::Shl, a)?;
        let narrow = match (self.ty, 64 - by) {
            (Type::I64, 8) => Type::I8,
            (Type::I64, 16) => Type::I16,
            (Type::I64, 32) => Type::I32,
            _ => return None,
        };
        let same_amount = c == u64::from(by);
        same_amount.then_some(Rewrite::Op(extend, narrow, [x, Known::None, Known::None]))
    }

    fn shift_twice(self, op: Opcode, x: Known, by: u32) -> Found {
        let bits = self.ty.bits();
        let by = match op {
            Opcode::Shl | Opcode::ShrU if by >= bits => return Some(To(Const(0))),
            Opcode::ShrS => by.min(bits - 1),
            _ => by % bits,
        };
        self.op(op, x, Const(by.into()))
    }

    fn product(self, op: Opcode, a: Known, k: u64) -> Found {
        match (op, k) {
            (_, 0) | (Opcode::MulHiU, 1) => Some(To(Const(0))),
            (Opcode::Mul, 1) => Some(To(a)),
            (Opcode::Mul, _) if k == fold::zext(self.ty, u64::MAX) => self.unary_op(Opcode::Neg, a),
            (Opcode::Mul, _) if k.is_power_of_two() => {
                self.op(Opcode::Shl, a, Const(k.trailing_zeros().into()))
            }
            _ => None,
        }
    }

    fn quotient(self, op: Opcode, a: Known, k: u64) -> Found {
        let ones = fold::zext(self.ty, u64::MAX);
        match (op, k) {
            (Opcode::DivU | Opcode::DivS, 0) => Some(To(Const(u64::MAX))),
            (Opcode::RemU | Opcode::RemS, 0) | (Opcode::DivU | Opcode::DivS, 1) => Some(To(a)),
            (Opcode::RemU | Opcode::RemS, 1) => Some(To(Const(0))),
            (Opcode::DivS, _) if k == ones => self.unary_op(Opcode::Neg, a),
            (Opcode::RemS, _) if k == ones => Some(To(Const(0))),
            (Opcode::DivU, _) if k.is_power_of_two() => {
                self.op(Opcode::ShrU, a, Const(k.trailing_zeros().into()))
            }
            (Opcode::RemU, _) if k.is_power_of_two() => self.op(Opcode::And, a, self.number(k - 1)),
            _ => None,
        }
    }

    /// Minimum and maximum with a constant beyond which there is nothing.
    fn extreme(self, op: Opcode, a: Known, k: u64) -> Found {
        let ones = fold::zext(self.ty, u64::MAX);
        let most = ones >> 1;
        let (lowest, highest) = match op {
            Opcode::MinU | Opcode::MaxU => (0, ones),
            _ => (most + 1, most),
        };
        match op {
            Opcode::MinU | Opcode::MinS if k == highest => Some(To(a)),
            Opcode::MaxU | Opcode::MaxS if k == lowest => Some(To(a)),
            Opcode::MinU | Opcode::MinS if k == lowest => Some(To(self.number(k))),
            Opcode::MaxU | Opcode::MaxS if k == highest => Some(To(self.number(k))),
            _ => None,
        }
    }

    fn compare(self, op: Opcode, a: Known, b: Known) -> Found {
        if a == b {
            let holds = matches!(op, Opcode::Eq | Opcode::LeU | Opcode::LeS);
            return Some(To(Const(holds.into())));
        }
        match (self.konst(a), self.konst(b)) {
            (_, Some(k)) => self.compare_with(op, a, k),
            (Some(0), None) if op == Opcode::LtU => self.op(Opcode::Ne, b, Const(0)),
            (Some(0), None) if op == Opcode::LeU => Some(To(Const(1))),
            _ => None,
        }
    }

    fn compare_with(self, op: Opcode, a: Known, k: u64) -> Found {
        let ones = fold::zext(self.ty, u64::MAX);
        let most = ones >> 1;
        let unsigned = self.values.facts(a).unsigned;
        let beyond = unsigned < 64 && k >> unsigned != 0;
        match (op, k) {
            (Opcode::LtU, 0) => Some(To(Const(0))),
            (Opcode::LtU, 1) | (Opcode::LeU, 0) => self.op(Opcode::Eq, a, Const(0)),
            (Opcode::LeU, _) if k == ones => Some(To(Const(1))),
            (Opcode::LtS, _) if k == most + 1 => Some(To(Const(0))),
            (Opcode::LeS, _) if k == most => Some(To(Const(1))),
            (Opcode::LtU | Opcode::LeU | Opcode::Ne, _) if beyond => Some(To(Const(1))),
            (Opcode::Eq, _) if beyond => Some(To(Const(0))),
            (Opcode::Ne, 0) | (Opcode::Eq, 1) if unsigned <= 1 => Some(To(a)),
            (Opcode::Eq, 0) if self.ty == Type::I64 && self.inverted(a).is_some() => {
                self.inverted(a)
            }
            (Opcode::Eq | Opcode::Ne, _) => self.equality(op, a, k),
            _ => self.narrowed(op, a, k),
        }
    }

    fn equality(self, op: Opcode, a: Known, k: u64) -> Found {
        if let Some((x, c)) = self.with_constant(Opcode::Add, a) {
            return self.op(op, x, self.number(k.wrapping_sub(c)));
        }
        let difference = if k == 0 { self.difference(op, a) } else { None };
        difference.or_else(|| self.narrowed(op, a, k))
    }

    /// A comparison of what was extended with a constant is one of the value before, if the constant is the extension
    /// of its own low bits.
    fn narrowed(self, op: Opcode, a: Known, k: u64) -> Found {
        let how = self.values.computation(a).filter(|_| self.ty == Type::I64)?;
        let (keeps_order, extended) = match how.op {
            Opcode::Sext => (
                matches!(op, Opcode::Eq | Opcode::Ne | Opcode::LtS | Opcode::LeS),
                fold::sext(how.ty, k) as u64,
            ),
            Opcode::Zext => (
                matches!(op, Opcode::Eq | Opcode::Ne | Opcode::LtU | Opcode::LeU),
                fold::zext(how.ty, k),
            ),
            _ => return None,
        };
        let low = Const(fold::sext(how.ty, k) as u64);
        (keeps_order && extended == k).then_some(Rewrite::Op(
            op,
            how.ty,
            [how.args[0], low, Known::None],
        ))
    }

    /// That `x - y` or `x ^ y` is zero, or not.
    fn difference(self, op: Opcode, a: Known) -> Found {
        let how = self.how(a).filter(|how| matches!(how.op, Opcode::Sub | Opcode::Xor))?;
        self.op(op, how.args[0], how.args[1])
    }

    /// The opposite of a comparison, at whatever type it compares.
    fn inverted(self, a: Known) -> Found {
        let how = self.values.computation(a)?;
        let [x, y, ..] = how.args;
        let (op, args) = match how.op {
            Opcode::Eq => (Opcode::Ne, [x, y]),
            Opcode::Ne => (Opcode::Eq, [x, y]),
            Opcode::LtU => (Opcode::LeU, [y, x]),
            Opcode::LeU => (Opcode::LtU, [y, x]),
            Opcode::LtS => (Opcode::LeS, [y, x]),
            Opcode::LeS => (Opcode::LtS, [y, x]),
            _ => return None,
        };
        Some(Rewrite::Op(op, how.ty, [args[0], args[1], Known::None]))
    }

    fn select(self, cond: Known, a: Known, b: Known) -> Found {
        if let Some(cond) = cond.constant() {
            return Some(To(if cond == 0 { b } else { a }));
        }
        if a == b {
            return Some(To(a));
        }
        match (self.ty, self.konst(a), self.konst(b)) {
            (Type::I64, Some(1), Some(0)) => return self.op(Opcode::Ne, cond, Const(0)),
            (Type::I64, Some(0), Some(1)) => return self.op(Opcode::Eq, cond, Const(0)),
            _ => {}
        }
        let how = self.values.computation(cond)?;
        match (how.op, how.ty, how.args[1]) {
            (Opcode::Ne, Type::I64, Const(0)) => {
                Some(Rewrite::Op(Opcode::Select, self.ty, [how.args[0], a, b]))
            }
            (Opcode::Eq, Type::I64, Const(0)) => {
                Some(Rewrite::Op(Opcode::Select, self.ty, [how.args[0], b, a]))
            }
            _ => None,
        }
    }
}

fn zero_extension(ty: Type, a: Known) -> Found {
    Some(Rewrite::Op(Opcode::Zext, ty, [a, Known::None, Known::None]))
}
