//! Shifts and rotations (SDM vol. 1, 5.1.5). Counts are taken modulo 32, or 64 for operands of 64 bits; a count of 0
//! leaves all flags alone.

use arch::x86_64::slot;
use base::RegSlot;
use base::defect::{Defect, is_seeded};
use decoders::x86_64::{Code, Mnemonic, OpKind};
use ir::{Type, Val};

use super::operand::Place;
use super::table::Semantics;
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Shl | M::Sal => |i| i.shift(Insn::shl),
        M::Shr => |i| i.shift(Insn::shr),
        M::Sar => |i| i.shift(Insn::sar),
        M::Rol => |i| i.rotate(Insn::rol),
        M::Ror => |i| i.rotate(Insn::ror),
        M::Rcl => |i| i.rotate(Insn::rcl),
        M::Rcr => |i| i.rotate(Insn::rcr),
        M::Shld => |i| i.shld(),
        M::Shrd => |i| i.shrd(),
        M::Sarx => |i| i.shift_without_flags(Val::shr_s),
        M::Shlx => |i| i.shift_without_flags(Val::shl),
        M::Shrx => |i| i.shift_without_flags(Val::shr_u),
        M::Rorx => |i| i.shift_without_flags(Val::rotr),
        _ => return None,
    })
}

/// By how much.
#[derive(Clone, Copy)]
enum Count<'b> {
    /// A constant, not 0.
    Known(u32),
    /// A value of 64 bits.
    Value(Val<'b>),
}

/// What a shift or rotation gives.
struct Shifted<'b> {
    result: Val<'b>,
    /// The bit that was shifted out last: 0 or 1.
    carry: Val<'b>,
    /// SF xor OF after a shift, OF after a rotation: 0 or 1.
    sense: Val<'b>,
}

impl<'b> Insn<'b> {
    /// Operand `n` as a count for a value of a type; `None` if it is 0.
    fn count(&self, n: u32, ty: Type) -> Option<Count<'b>> {
        let mask = if ty == Type::I64 { 63 } else { 31 };
        if self.i.op_kind(n) == OpKind::Register {
            return Some(Count::Value(self.gpr(1) & self.konst(mask)));
        }
        let known = self.i.immediate(n) & mask;
        (known != 0).then_some(Count::Known(known as u32))
    }

    /// A count as a value of 64 bits.
    fn amount(&self, count: Count<'b>) -> Val<'b> {
        match count {
            Count::Known(count) => self.konst(count.into()),
            Count::Value(count) => count,
        }
    }

    /// A number minus a count.
    fn minus(&self, number: u32, count: Count<'b>) -> Val<'b> {
        match count {
            Count::Known(count) => self.konst(u64::from(number.wrapping_sub(count) & 63)),
            Count::Value(count) => self.konst(number.into()) - count,
        }
    }

    /// A count minus 1.
    fn less_one(&self, count: Count<'b>) -> Val<'b> {
        match count {
            Count::Known(count) => self.konst(u64::from(count) - 1),
            Count::Value(count) => count - self.konst(1),
        }
    }

    /// What a flag's slot gets: its old value if the count is 0.
    fn unless_zero(&self, count: Count<'b>, slot: RegSlot, new: Val<'b>) -> Val<'b> {
        match count {
            Count::Known(_) => new,
            Count::Value(count) => count.select(new, self.b.slot(slot)),
        }
    }

    /// Bit 0 of a value of 64 bits.
    fn lowest(&self, value: Val<'b>) -> Val<'b> {
        value & self.konst(1)
    }

    fn set_carry_unless_zero(&self, count: Count<'b>, carry: Val<'b>) {
        self.set_carry(|| self.unless_zero(count, slot::CARRY, carry));
    }

    /// All flags of a shift.
    fn flags_of_shift(&self, count: Count<'b>, shifted: &Shifted<'b>) {
        let extended = shifted.result.sext();
        self.set_zero(|| self.unless_zero(count, slot::ZERO, extended));
        self.set_sign(|| self.unless_zero(count, slot::SIGN, extended));
        self.set_aux(|| self.unless_zero(count, slot::AUX, extended));
        self.set_carry_unless_zero(count, shifted.carry);
        self.set_less(|| self.unless_zero(count, slot::LESS, shifted.sense));
    }

    fn shift(&self, shift: impl FnOnce(&Self, Val<'b>, Count<'b>) -> Shifted<'b>) -> Flow {
        self.shifted(shift, Self::flags_of_shift)
    }

    /// A rotation has no part in ZF, SF, PF and AF.
    fn rotate(&self, rotate: impl FnOnce(&Self, Val<'b>, Count<'b>) -> Shifted<'b>) -> Flow {
        self.shifted(rotate, |insn, count, rotated| {
            insn.set_carry_unless_zero(count, rotated.carry);
            insn.set_less(|| {
                let less = rotated.sense ^ insn.sign();
                insn.unless_zero(count, slot::LESS, less)
            });
        })
    }

    /// The first operand becomes what a function says of it and the count; flags follow unless that is known to be 0.
    fn shifted(
        &self,
        shift: impl FnOnce(&Self, Val<'b>, Count<'b>) -> Shifted<'b>,
        flags: impl FnOnce(&Self, Count<'b>, &Shifted<'b>),
    ) -> Flow {
        let place = self.place(0);
        let value = self.read(place);
        let Some(count) = self.count(1, place.ty()) else {
            self.write(place, value);
            return Flow::Next;
        };
        let shifted = shift(self, value, count);
        self.write(place, shifted.result);
        flags(self, count, &shifted);
        Flow::Next
    }

    /// OF after a shift or rotation by 1 to the left: whether the highest two bits differ.
    fn overflow_to_left(&self, value: Val<'b>) -> Val<'b> {
        self.top_bit(value ^ value.shl(self.konst_of(value.ty(), 1)))
    }

    /// SF xor OF after a shift to the left; by 1, that is the carry.
    fn less_to_left(
        &self,
        count: Count<'b>,
        value: Val<'b>,
        (result, carry): (Val<'b>, Val<'b>),
    ) -> Val<'b> {
        match count {
            Count::Known(1) => carry,
            _ => self.overflow_to_left(value) ^ self.top_bit(result),
        }
    }

    /// SHL
    fn shl(&self, value: Val<'b>, count: Count<'b>) -> Shifted<'b> {
        let (ty, by) = (value.ty(), self.amount(count));
        if ty == Type::I64 {
            let carry = self.lowest(value.shr_u(self.minus(64, count)));
            let result = value.shl(by);
            return Shifted {
                result,
                carry,
                sense: self.less_to_left(count, value, (result, carry)),
            };
        }
        let wide = value.zext().shl(by);
        let (carry, result) = (self.bit_of(wide, ty.bits()), wide.at(ty));
        Shifted { result, carry, sense: self.less_to_left(count, value, (result, carry)) }
    }

    /// SHR: OF is the sign before, and SF 0.
    fn shr(&self, value: Val<'b>, count: Count<'b>) -> Shifted<'b> {
        let (ty, wide) = (value.ty(), value.zext());
        let before = wide.shr_u(self.less_one(count));
        let result = wide.shr_u(self.amount(count)).at(ty);
        Shifted { result, carry: self.lowest(before), sense: self.top_bit(value) }
    }

    /// SAR: OF is 0.
    fn sar(&self, value: Val<'b>, count: Count<'b>) -> Shifted<'b> {
        let (ty, wide) = (value.ty(), value.sext());
        let carry = self.lowest(wide.shr_s(self.less_one(count)));
        let result = match is_seeded(Defect::SarBringsZeros) {
            true => value.zext().shr_u(self.amount(count)).at(ty),
            false => wide.shr_s(self.amount(count)).at(ty),
        };
        Shifted { result, carry, sense: self.is_negative(wide) }
    }

    /// ROL: the carry is the lowest bit.
    fn rol(&self, value: Val<'b>, count: Count<'b>) -> Shifted<'b> {
        let result = value.rotl(self.amount(count).at(value.ty()));
        let carry = self.bit_of(result, 0);
        let sense = self.unless_constant(count, self.overflow_to_left(value));
        Shifted { result, carry, sense }
    }

    /// OF, which rotations of registers by constants above 1 leave alone.
    fn unless_constant(&self, count: Count<'b>, overflow: Val<'b>) -> Val<'b> {
        match count {
            Count::Known(2..) if self.i.op0_kind() == OpKind::Register => self.overflow(),
            _ => overflow,
        }
    }

    /// ROR: the carry is the highest bit; OF, by 1, is it xor the next.
    fn ror(&self, value: Val<'b>, count: Count<'b>) -> Shifted<'b> {
        let result = value.rotr(self.amount(count).at(value.ty()));
        let carry = self.top_bit(result);
        let overflow = self.bit_of(value, 0) ^ self.top_bit(value);
        Shifted { result, carry, sense: self.unless_constant(count, overflow) }
    }

    /// A count modulo a width plus 1.
    fn modulo(&self, count: Count<'b>, bits: u32) -> Count<'b> {
        match count {
            Count::Known(count) => Count::Known(count % (bits + 1)),
            Count::Value(count) if bits >= 32 => Count::Value(count),
            Count::Value(count) => Count::Value(count.rem_u(self.konst(u64::from(bits) + 1))),
        }
    }

    /// The operand with the carry above it, rotated left, where there is room for both: the result and the carry.
    fn rotate_with_carry(
        &self,
        value: Val<'b>,
        left: Val<'b>,
        right: Val<'b>,
    ) -> (Val<'b>, Val<'b>) {
        let bits = value.ty().bits();
        let all = value.zext() | self.carry().shl(self.konst(bits.into()));
        let rotated = all.shl(left) | all.shr_u(right);
        (rotated.at(value.ty()), self.bit_of(rotated, bits))
    }

    /// RCL
    fn rcl(&self, value: Val<'b>, count: Count<'b>) -> Shifted<'b> {
        let (bits, sense) = (value.ty().bits(), self.overflow_to_left(value));
        let count = self.modulo(count, bits);
        if value.ty() != Type::I64 {
            let (left, right) = (self.amount(count), self.minus(bits + 1, count));
            let (result, carry) = self.rotate_with_carry(value, left, right);
            return Shifted {
                result,
                carry,
                sense: self.unless_none(count, sense, self.overflow()),
            };
        }
        // What shifts by 64 if the count is 1, in two steps.
        let wrapped = value.shr_u(self.konst(1)).shr_u(self.minus(64, count));
        let carried = self.carry().shl(self.less_one(count));
        let rotated = value.shl(self.amount(count)) | carried | wrapped;
        let carry = self.lowest(value.shr_u(self.minus(64, count)));
        Shifted { result: self.unless_none(count, rotated, value), carry, sense }
    }

    /// RCR: OF, by 1, is the highest bit xor the carry that takes its place.
    fn rcr(&self, value: Val<'b>, count: Count<'b>) -> Shifted<'b> {
        let (bits, sense) = (value.ty().bits(), self.top_bit(value) ^ self.carry());
        let count = self.modulo(count, bits);
        if value.ty() != Type::I64 {
            let (left, right) = (self.minus(bits + 1, count), self.amount(count));
            let (result, carry) = self.rotate_with_carry(value, left, right);
            return Shifted {
                result,
                carry,
                sense: self.unless_none(count, sense, self.overflow()),
            };
        }
        let wrapped = value.shl(self.konst(1)).shl(self.minus(64, count));
        let carried = self.carry().shl(self.minus(64, count));
        let rotated = value.shr_u(self.amount(count)) | carried | wrapped;
        let carry = self.lowest(value.shr_u(self.less_one(count)));
        Shifted { result: self.unless_none(count, rotated, value), carry, sense }
    }

    fn unless_none(&self, count: Count<'b>, new: Val<'b>, old: Val<'b>) -> Val<'b> {
        match count {
            Count::Known(0) => old,
            Count::Known(_) => new,
            Count::Value(count) => count.select(new, old),
        }
    }

    /// SHLD and SHRD: from the destination, the source and the count, the result, the carry, and what OF is by 1.
    fn double(&self, shift: impl FnOnce(Val<'b>, Val<'b>, Count<'b>) -> [Val<'b>; 3]) -> Flow {
        let (place, source) = (self.place(0), self.op(1));
        let value = self.read(place);
        let Some(count) = self.count(2, place.ty()) else {
            self.write(place, value);
            return Flow::Next;
        };
        let [result, carry, overflow] = shift(value, source, count);
        self.write(place, result);
        let sense = overflow ^ self.top_bit(result);
        self.flags_of_shift(count, &Shifted { result, carry, sense });
        Flow::Next
    }

    /// What is shifted, of less than 64 bits: the destination and the source, or, for counts beyond their width,
    /// the destination again.
    fn joined(&self, upper: Val<'b>, lower: Val<'b>, then: Val<'b>) -> Val<'b> {
        let bits = self.konst(upper.ty().bits().into());
        let pair = upper.zext().shl(bits) | lower.zext();
        if upper.ty() == Type::I32 { pair } else { pair.shl(bits) | then.zext() }
    }

    /// SHLD
    fn shld(&self) -> Flow {
        self.double(|value, source, count| {
            let (by, overflow) = (self.amount(count), self.overflow_to_left(value));
            if value.ty() == Type::I64 {
                let low = source.shr_u(self.konst(1)).shr_u(self.minus(63, count));
                let carry = self.lowest(value.shr_u(self.minus(64, count)));
                return [value.shl(by) | low, carry, overflow];
            }
            let all = self.joined(value, source, value);
            let width = if value.ty() == Type::I32 { 64 } else { 48 };
            let carry = self.lowest(all.shr_u(self.minus(width, count)));
            [all.shl(by).shr_u(self.konst(32)).at(value.ty()), carry, overflow]
        })
    }

    /// SHRD
    fn shrd(&self) -> Flow {
        self.double(|value, source, count| {
            let by = self.amount(count);
            let overflow = self.top_bit(value) ^ self.bit_of(source, 0);
            if value.ty() == Type::I64 {
                let high = source.shl(self.konst(1)).shl(self.minus(63, count));
                let carry = self.lowest(value.shr_u(self.less_one(count)));
                return [value.shr_u(by) | high, carry, overflow];
            }
            let all = match value.ty() {
                Type::I32 => self.joined(source, value, value),
                _ => self.joined(value, source, value),
            };
            let carry = self.lowest(all.shr_u(self.less_one(count)));
            [all.shr_u(by).at(value.ty()), carry, overflow]
        })
    }

    /// SARX, SHLX, SHRX, RORX: no flags; counts modulo the width.
    fn shift_without_flags(&self, shift: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>) -> Flow {
        let value = self.op(1);
        let by = match self.place(2) {
            Place::Immediate(by, _) => self.konst_of(value.ty(), by),
            place => self.read(place),
        };
        self.set_op(0, shift(value, by))
    }
}
