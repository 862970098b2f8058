//! Bits and bytes (SDM vol. 1, 5.1.6), bit manipulation (BMI1, BMI2), CRC32.

use arch::x86_64::{helpers, slot};
use decoders::x86_64::{Code, Mnemonic, OpKind};
use ir::{Opcode, Type, Val};

use super::operand::{Address, Place, number};
use super::table::Semantics;
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Bt => |i| i.bit_test(None),
        M::Bts => |i| i.bit_test(Some(Change::Set)),
        M::Btr => |i| i.bit_test(Some(Change::Reset)),
        M::Btc => |i| i.bit_test(Some(Change::Complement)),
        M::Bsf => |i| i.bit_scan(Val::ctz),
        M::Bsr => |i| i.bit_scan(|v| v.clz() ^ i.konst_of(v.ty(), u64::from(v.ty().bits()) - 1)),
        M::Tzcnt => |i| i.count_zeros(Val::ctz),
        M::Lzcnt => |i| i.count_zeros(Val::clz),
        M::Popcnt => |i| i.popcnt(),
        M::Andn => |i| i.andn(),
        M::Bextr => |i| i.bextr(),
        M::Bzhi => |i| i.bzhi(),
        M::Blsi => |i| i.lowest_set(|a| a & a.negate(), |a, zero| a.ne(zero)),
        M::Blsr => |i| i.lowest_set(|a| a & i.less(a), |a, zero| a.eq(zero)),
        M::Blsmsk => |i| i.lowest_set(|a| a ^ i.less(a), |a, zero| a.eq(zero)),
        M::Pdep => |i| i.deposit(helpers::PDEP),
        M::Pext => |i| i.deposit(helpers::PEXT),
        M::Crc32 => |i| i.crc32(),
        M::Seto
        | M::Setno
        | M::Setb
        | M::Setae
        | M::Sete
        | M::Setne
        | M::Setbe
        | M::Seta
        | M::Sets
        | M::Setns
        | M::Setp
        | M::Setnp
        | M::Setl
        | M::Setge
        | M::Setle
        | M::Setg => |i| i.set_op(0, i.condition(i.i.condition_code())),
        _ => return None,
    })
}

/// What becomes of a bit that is tested.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Set,
    Reset,
    Complement,
}

impl<'b> Insn<'b> {
    /// A value minus 1.
    fn less(&self, value: Val<'b>) -> Val<'b> {
        value - self.konst_of(value.ty(), 1)
    }

    /// Where the bit is: operand 0, or the part of a bit string in memory that a register says. And the bit's number
    /// there.
    fn tested(&self) -> (Place<'b>, Val<'b>) {
        let place = self.place(0);
        let ty = place.ty();
        let mask = self.konst_of(ty, u64::from(ty.bits()) - 1);
        if self.i.op1_kind() != OpKind::Register {
            return (place, self.konst_of(ty, self.i.immediate(1)) & mask);
        }
        let offset = self.gpr(number(self.i.op1_register())).at(ty);
        let place = match place {
            Place::Memory(at, ty) => {
                let (bits, bytes) = (ty.bits().trailing_zeros(), ty.bytes().trailing_zeros());
                let part = offset.sext().shr_s(self.konst(bits.into()));
                let distance = part.shl(self.konst(bytes.into()));
                Place::Memory(self.at_distance(at, distance), ty)
            }
            place => place,
        };
        (place, offset & mask)
    }

    /// So many bytes from the operand in memory. An offset of 32 bits wraps there.
    fn at_distance(&self, at: Address<'b>, distance: Val<'b>) -> Address<'b> {
        if !self.has_short_addresses() {
            return Address { base: at.base + distance, ..at };
        }
        let offset = (self.linear(self.effective_address()) + distance).low32().zext();
        let base = self.segment_base().map_or(offset, |segment| segment + offset);
        Address { base, offset: 0 }
    }

    /// BT, BTS, BTR, BTC: CF is the bit as it was.
    fn bit_test(&self, change: Option<Change>) -> Flow {
        let (place, bit) = self.tested();
        let one = self.konst_of(bit.ty(), 1);
        let old = match change {
            None => self.read(place),
            Some(change) => {
                let mask = one.shl(bit);
                let (atomic, operand) = match change {
                    Change::Set => (Opcode::AtomicOr, mask),
                    Change::Reset => (Opcode::AtomicAnd, !mask),
                    Change::Complement => (Opcode::AtomicXor, mask),
                };
                self.combine(place, (atomic, operand), |old| match change {
                    Change::Set => old | mask,
                    Change::Reset => old & operand,
                    Change::Complement => old ^ mask,
                })
                .0
            }
        };
        self.set_carry(|| (old.shr_u(bit) & one).zext());
        Flow::Next
    }

    /// BSF, BSR: of 0, ZF is set, and the destination as it was.
    fn bit_scan(&self, scan: impl FnOnce(Val<'b>) -> Val<'b>) -> Flow {
        let source = self.op(1);
        let n = number(self.i.op0_register());
        let found = scan(source).zext();
        let merged = match source.ty() {
            Type::I16 => self.gpr(n) & self.konst(!0xffff) | found,
            _ => found,
        };
        let is_any = source.ne(self.konst_of(source.ty(), 0));
        self.b.set_slot(slot::gpr(n), is_any.select(merged, self.gpr(n)));
        let number = || is_any.select(found, self.konst(0));
        self.set_zero(|| is_any);
        self.set_sign(number);
        self.set_aux(number);
        self.set_carry(|| self.konst(0));
        self.set_less(|| self.konst(0));
        Flow::Next
    }

    /// TZCNT, LZCNT: CF says that there is none.
    fn count_zeros(&self, count: impl FnOnce(Val<'b>) -> Val<'b>) -> Flow {
        let source = self.op(1);
        let result = count(source).zext();
        self.write(self.place(0), result);
        self.flags_of_count(result, || self.is_zero(source));
        Flow::Next
    }

    /// POPCNT: ZF; all others are 0.
    fn popcnt(&self) -> Flow {
        let result = self.op(1).popcnt().zext();
        self.write(self.place(0), result);
        self.flags_of_count(result, || self.konst(0));
        Flow::Next
    }

    /// ANDN: !a & b
    fn andn(&self) -> Flow {
        let (a, b) = (self.op(1), self.op(2));
        let result = b.and_not(a);
        self.write(self.place(0), result);
        self.flags_of_bits(result, || self.konst(0));
        Flow::Next
    }

    /// The low bits of a value of 64 bits, as many as another says.
    fn low_bits(&self, value: Val<'b>, count: Val<'b>) -> Val<'b> {
        let one = self.konst(1);
        let mask = one.shl(count) - one;
        count.lt_u(self.konst(64)).select(value & mask, value)
    }

    /// BEXTR: bits 7:0 of the control say from which bit, bits 15:8 how many.
    fn bextr(&self) -> Flow {
        let (source, control) = (self.op(1), self.op(2).zext());
        let byte = self.konst(0xff);
        let (start, count) = (control & byte, control.shr_u(self.konst(8)) & byte);
        let shifted = source.zext().shr_u(start);
        let from = start.lt_u(self.konst(64)).select(shifted, self.konst(0));
        let result = self.low_bits(from, count).at(source.ty());
        self.write(self.place(0), result);
        self.flags_of_count(result.zext(), || self.konst(0));
        Flow::Next
    }

    /// BZHI: CF says that the index is beyond the operand.
    fn bzhi(&self) -> Flow {
        let (source, index) = (self.op(1), self.op(2).low8().zext());
        let result = self.low_bits(source.zext(), index).at(source.ty());
        self.write(self.place(0), result);
        let last = self.konst(u64::from(source.ty().bits()) - 1);
        self.flags_of_bits(result, || last.lt_u(index));
        Flow::Next
    }

    /// BLSI, BLSR, BLSMSK
    fn lowest_set(
        &self,
        op: impl FnOnce(Val<'b>) -> Val<'b>,
        carry: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let source = self.op(1);
        let result = op(source);
        self.write(self.place(0), result);
        self.flags_of_bits(result, || carry(source, self.konst_of(source.ty(), 0)));
        Flow::Next
    }

    /// PDEP, PEXT
    fn deposit(&self, helper: base::HelperId) -> Flow {
        let (source, mask) = (self.op(1).zext(), self.op(2).zext());
        self.set_op(0, self.call(helper, &[source, mask]))
    }

    /// CRC32
    fn crc32(&self) -> Flow {
        let value = self.op(1);
        let accumulator = self.op(0).low32().zext();
        let bytes = self.konst(value.ty().bytes().into());
        self.set_op(0, self.call(helpers::CRC32, &[accumulator, value.zext(), bytes]))
    }
}
