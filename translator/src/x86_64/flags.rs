//! The arithmetic flags (SDM vol. 1, 3.4.3.1), written as the values from which they follow ([`arch::x86_64::slot`]),
//! and conditions on them (vol. 1, appendix B).
//!
//! # Undefined flags
//!
//! Where the SDM leaves a flag undefined, it is as Intel's cores since Sunny Cove have it:
//!
//! | After | Flag | Is |
//! |---|---|---|
//! | AND, OR, XOR, TEST, shifts, MUL, IMUL, and what follows of BMI | AF | 0 |
//! | shifts and rotations by more than 1 | OF | what it would be by 1, but: |
//! | ROL, ROR of a register by a constant above 1 | OF | as before |
//! | RCL, RCR by a multiple of the width and 1 | OF | as before |
//! | MUL, IMUL | SF, PF | of the low half |
//! | MUL, IMUL | ZF | 0 |
//! | DIV, IDIV | all | as before |
//! | BT, BTS, BTR, BTC | OF, SF, AF, PF | as before |
//! | BSF, BSR | PF | of the number, or of 0 |
//! | BSF, BSR | CF, OF, SF, AF | 0 |
//! | TZCNT, LZCNT | OF, SF, AF, PF | 0 |
//! | ANDN, BEXTR, BLSI, BLSMSK, BLSR, BZHI | PF | 0 |
//! | BEXTR | SF | 0 |

use arch::x86_64::slot;
use base::RegSlot;
use decoders::x86_64::ConditionCode;
use ir::{Opcode, Type, Val};

use super::Insn;
use super::live::Live;

impl<'b> Insn<'b> {
    /// Writes the slot of a flag, which is computed only if anybody can see it.
    fn set_flag(&self, which: Live, slot: RegSlot, value: impl FnOnce() -> Val<'b>) {
        if self.live.has_any(which) {
            self.b.set_slot(slot, value());
        }
    }

    /// ZF, of a value that is 0 if it is set.
    pub(super) fn set_zero(&self, value: impl FnOnce() -> Val<'b>) {
        self.set_flag(Live::ZERO, slot::ZERO, value);
    }

    /// CF: 0 or 1.
    pub(super) fn set_carry(&self, value: impl FnOnce() -> Val<'b>) {
        self.set_flag(Live::CARRY, slot::CARRY, value);
    }

    /// SF xor OF: 0 or 1.
    pub(super) fn set_less(&self, value: impl FnOnce() -> Val<'b>) {
        self.set_flag(Live::LESS, slot::LESS, value);
    }

    /// AF: bit 4 of the value xor SIGN.
    pub(super) fn set_aux(&self, value: impl FnOnce() -> Val<'b>) {
        self.set_flag(Live::AUX, slot::AUX, value);
    }

    /// SF and PF of a result, of its type.
    pub(super) fn set_sign(&self, value: impl FnOnce() -> Val<'b>) {
        self.set_flag(Live::SIGN, slot::SIGN, value);
    }

    /// ZF, SF and PF of a result, of its type; gives it sign-extended.
    pub(super) fn set_result(&self, result: Val<'b>) {
        if self.live.has_any(Live::RESULT) {
            let extended = result.sext();
            self.set_zero(|| extended);
            self.set_sign(|| extended);
        }
    }

    /// Whether a value is negative: 0 or 1.
    pub(super) fn is_negative(&self, value: Val<'b>) -> Val<'b> {
        value.lt_s(self.b.konst_of(value.ty(), 0))
    }

    /// All flags but CF of the sum of `a` and `b` and, if any, a carry.
    pub(super) fn flags_of_sum(&self, (a, b): (Val<'b>, Val<'b>), sum: Val<'b>) {
        self.set_result(sum);
        self.set_less(|| self.is_negative(((a ^ sum) & (b ^ sum)) ^ sum));
        self.set_aux(|| self.wide_xor(a, b));
    }

    /// An operation with its flags, unless nobody can see any of them. It must be the last thing that may show.
    pub(super) fn status(&self, op: Opcode, a: Val<'b>, b: Val<'b>) -> Option<Val<'b>> {
        self.live.has_any(Live::ALL).then(|| self.b.status(op, (a, b), slot::ZERO))
    }

    /// `a ^ b` as a slot takes it.
    pub(super) fn wide_xor(&self, a: Val<'b>, b: Val<'b>) -> Val<'b> {
        (a ^ b).zext()
    }

    /// Flags of a result of BMI1 or BMI2: as of a logical operation, but PF is 0.
    pub(super) fn flags_of_bits(&self, result: Val<'b>, carry: impl FnOnce() -> Val<'b>) {
        let extended = result.sext();
        // A low byte of odd parity.
        let odd = extended & self.konst(!0xff) | self.konst(1);
        self.set_zero(|| extended);
        self.set_sign(|| odd);
        self.set_aux(|| odd);
        self.set_carry(carry);
        self.set_less(|| self.is_negative(extended));
    }

    /// ZF of a number of bits, and CF; OF, SF, AF and PF are 0.
    pub(super) fn flags_of_count(&self, number: Val<'b>, carry: impl FnOnce() -> Val<'b>) {
        self.set_zero(|| number);
        self.set_sign(|| self.konst(1));
        self.set_aux(|| self.konst(1));
        self.set_carry(carry);
        self.set_less(|| self.konst(0));
    }

    /// CF.
    pub(super) fn carry(&self) -> Val<'b> {
        self.b.slot(slot::CARRY)
    }

    /// SF.
    pub(super) fn sign(&self) -> Val<'b> {
        self.is_negative(self.b.slot(slot::SIGN))
    }

    /// OF.
    pub(super) fn overflow(&self) -> Val<'b> {
        self.b.slot(slot::LESS) ^ self.sign()
    }

    /// ZF.
    pub(super) fn zero(&self) -> Val<'b> {
        self.b.slot(slot::ZERO).eq(self.konst(0))
    }

    /// PF.
    pub(super) fn parity(&self) -> Val<'b> {
        (self.b.slot(slot::SIGN).low8().popcnt().zext() & self.konst(1)) ^ self.konst(1)
    }

    /// A condition: 1 or 0.
    pub(super) fn condition(&self, code: ConditionCode) -> Val<'b> {
        use ConditionCode as C;
        let not = |value: Val<'b>| value ^ self.konst(1);
        match code {
            C::o => self.overflow(),
            C::no => not(self.overflow()),
            C::b => self.carry(),
            C::ae => not(self.carry()),
            C::e => self.zero(),
            C::ne => self.b.slot(slot::ZERO).ne(self.konst(0)),
            C::be => self.carry() | self.zero(),
            C::a => not(self.carry() | self.zero()),
            C::s => self.sign(),
            C::ns => not(self.sign()),
            C::p => self.parity(),
            C::np => not(self.parity()),
            C::l => self.b.slot(slot::LESS),
            C::ge => not(self.b.slot(slot::LESS)),
            C::le => self.b.slot(slot::LESS) | self.zero(),
            C::g => not(self.b.slot(slot::LESS) | self.zero()),
            C::None => self.konst(1),
        }
    }

    /// EFLAGS.CF, PF, AF, ZF and SF in their places, and bit 1 (LAHF).
    pub(super) fn packed_low(&self) -> Val<'b> {
        let at = |bit: u64, value: Val<'b>| value.shl(self.konst(bit));
        let aux = self.b.slot(slot::AUX) ^ self.b.slot(slot::SIGN);
        let ends = self.carry() | at(2, self.parity()) | (aux & self.konst(1 << 4));
        ends | at(6, self.zero()) | at(7, self.sign()) | self.konst(2)
    }

    /// Takes CF, PF, AF, ZF and SF from their places (SAHF). OF stays as it is.
    pub(super) fn set_packed_low(&self, flags: Val<'b>) {
        let bit = |n: u64| flags.shr_u(self.konst(n)) & self.konst(1);
        let negative = bit(7);
        let sign = negative.shl(self.konst(63)) | (bit(2) ^ self.konst(1));
        let overflow = self.overflow();
        self.set_zero(|| bit(6) ^ self.konst(1));
        self.set_sign(|| sign);
        self.set_carry(|| bit(0));
        self.set_less(|| overflow ^ negative);
        self.set_aux(|| sign ^ (flags & self.konst(1 << 4)));
    }

    /// Whether a value of a type is zero: 1 or 0.
    pub(super) fn is_zero(&self, value: Val<'b>) -> Val<'b> {
        value.eq(self.b.konst_of(value.ty(), 0))
    }

    /// A bit of a value: 1 or 0.
    pub(super) fn bit_of(&self, value: Val<'b>, bit: u32) -> Val<'b> {
        let ty = value.ty();
        let shifted = if bit == 0 { value } else { value.shr_u(self.b.konst_of(ty, bit.into())) };
        (shifted & self.b.konst_of(ty, 1)).zext()
    }

    /// The most significant bit of a value: 1 or 0.
    pub(super) fn top_bit(&self, value: Val<'b>) -> Val<'b> {
        self.is_negative(value)
    }

    /// A constant of a type: of its low bits.
    pub(super) fn konst_of(&self, ty: Type, value: u64) -> Val<'b> {
        let bits = ty.bits();
        self.b.konst_of(ty, if bits >= 64 { value } else { value & ((1 << bits) - 1) })
    }
}
