//! Binary arithmetic and logical instructions (SDM vol. 1, 5.1.2 and 5.1.4).

use arch::x86_64::{helpers, slot};
use base::defect::{Defect, is_seeded};
use decoders::x86_64::{Code, Instruction, Mnemonic, OpKind, Register};
use ir::{Opcode, Type, Val};

use super::data::{RAX, RDX};
use super::operand::Place;
use super::table::Semantics;
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Add => |i| i.add(),
        M::Adc => |i| i.adc(),
        M::Sub => |i| i.sub(),
        M::Sbb => |i| i.sbb(),
        M::Cmp => |i| i.cmp(),
        M::Inc => |i| i.inc(),
        M::Dec => |i| i.dec(),
        M::Neg => |i| i.neg(),
        M::Mul => |i| i.mul(),
        M::Imul => |i| i.imul(),
        M::Mulx => |i| i.mulx(),
        M::Div => |i| i.div(),
        M::Idiv => |i| i.idiv(),
        M::Adcx => |i| i.adcx(),
        M::Adox => |i| i.adox(),
        M::And => |i| i.logic(Opcode::AtomicAnd, Opcode::StatusAnd, |a, b| a & b),
        M::Or => |i| i.logic(Opcode::AtomicOr, Opcode::StatusOr, |a, b| a | b),
        M::Xor => |i| i.xor(),
        M::Not => |i| i.not(),
        M::Test => |i| i.test(),
        _ => return None,
    })
}

impl<'b> Insn<'b> {
    /// A place gets what a function makes of what is there. Gives both. Under LOCK, memory is changed by an atomic
    /// operation with an operand, which does the same.
    pub(super) fn combine(
        &self,
        place: Place<'b>,
        (atomic, operand): (Opcode, Val<'b>),
        new: impl FnOnce(Val<'b>) -> Val<'b>,
    ) -> (Val<'b>, Val<'b>) {
        match place {
            Place::Memory(at, ty) if self.is_locked() => {
                let old = self.atomic(atomic, at, ty, operand);
                (old, new(old))
            }
            _ => {
                let old = self.read(place);
                let value = new(old);
                self.write(place, value);
                (old, value)
            }
        }
    }

    /// Writes what an operation makes of a place and a value there, and its flags. Memory is written first: that may
    /// fault.
    fn with_status(
        &self,
        status: Opcode,
        (atomic, operand): (Opcode, Val<'b>),
        b: Val<'b>,
        plain: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let place = self.place(0);
        if let Place::Memory(..) = place {
            let (a, _) = self.combine(place, (atomic, operand), |a| plain(a, b));
            let _ = self.status(status, a, b);
        } else {
            let a = self.read(place);
            self.write(place, self.status(status, a, b).unwrap_or_else(|| plain(a, b)));
        }
        Flow::Next
    }

    /// ADD
    fn add(&self) -> Flow {
        let b = self.op(1);
        self.with_status(Opcode::StatusAdd, (Opcode::AtomicAdd, b), b, |a, b| a + b)
    }

    /// ADC
    fn adc(&self) -> Flow {
        let b = self.op(1);
        let carry = self.carry().at(b.ty());
        let addend = b + carry;
        let (a, sum) = self.combine(self.place(0), (Opcode::AtomicAdd, addend), |a| a + addend);
        // Either sum may wrap, but not both.
        let either = || addend.lt_u(b) | sum.lt_u(a);
        let loses = is_seeded(Defect::AdcLosesCarry);
        self.set_carry(|| if loses { sum.lt_u(a) } else { either() });
        self.flags_of_sum((a, b), sum);
        Flow::Next
    }

    /// SUB
    fn sub(&self) -> Flow {
        let b = self.op(1);
        let negates = self.is_locked() && !is_seeded(Defect::LockedSubAdds);
        let minus = if negates { b.negate() } else { b };
        self.with_status(Opcode::StatusSub, (Opcode::AtomicAdd, minus), b, |a, b| a - b)
    }

    /// SBB
    fn sbb(&self) -> Flow {
        let b = self.op(1);
        let carry = self.carry().at(b.ty());
        let subtrahend = b + carry;
        let minus = if self.is_locked() { subtrahend.negate() } else { subtrahend };
        let (a, difference) =
            self.combine(self.place(0), (Opcode::AtomicAdd, minus), |a| a - subtrahend);
        self.set_carry(|| subtrahend.lt_u(b) | a.lt_u(subtrahend));
        self.set_result(difference);
        self.set_less(|| self.is_negative(((a ^ b) & (a ^ difference)) ^ difference));
        self.set_aux(|| self.wide_xor(a, b));
        Flow::Next
    }

    /// CMP
    fn cmp(&self) -> Flow {
        let _ = self.status(Opcode::StatusSub, self.op(0), self.op(1));
        Flow::Next
    }

    /// INC: CF is as before.
    fn inc(&self) -> Flow {
        let one = self.konst_of(self.place(0).ty(), 1);
        let status = match is_seeded(Defect::IncWritesCarry) {
            true => Opcode::StatusAdd,
            false => Opcode::StatusInc,
        };
        self.with_status(status, (Opcode::AtomicAdd, one), one, |a, b| a + b)
    }

    /// DEC: CF is as before.
    fn dec(&self) -> Flow {
        let ty = self.place(0).ty();
        let (one, minus_one) = (self.konst_of(ty, 1), self.konst_of(ty, u64::MAX));
        self.with_status(Opcode::StatusDec, (Opcode::AtomicAdd, minus_one), one, |a, b| a - b)
    }

    /// NEG
    fn neg(&self) -> Flow {
        let place = self.place(0);
        let a = match place {
            Place::Memory(at, ty) if self.is_locked() => {
                let bytes = self.konst(ty.bytes().into());
                self.call(helpers::LOCK_NEG, &[self.linear(at), bytes]).at(ty)
            }
            _ => {
                let a = self.read(place);
                self.write(place, a.negate());
                a
            }
        };
        let zero = self.konst_of(a.ty(), 0);
        self.set_result(a.negate());
        self.set_carry(|| a.ne(zero));
        self.set_less(|| zero.lt_s(a));
        self.set_aux(|| a.zext());
        Flow::Next
    }

    fn logic(
        &self,
        atomic: Opcode,
        status: Opcode,
        plain: impl FnOnce(Val<'b>, Val<'b>) -> Val<'b>,
    ) -> Flow {
        let b = self.op(1);
        self.with_status(status, (atomic, b), b, plain)
    }

    /// XOR: of a register with itself, a constant.
    fn xor(&self) -> Flow {
        if !self.names_one_register() {
            return self.logic(Opcode::AtomicXor, Opcode::StatusXor, |a, b| a ^ b);
        }
        let place = self.place(0);
        let zero = self.konst_of(place.ty(), 0);
        self.write(place, zero);
        let _ = self.status(Opcode::StatusAnd, zero, zero);
        Flow::Next
    }

    /// Whether both operands are the same register.
    fn names_one_register(&self) -> bool {
        self.i.op1_kind() == OpKind::Register
            && self.i.op0_kind() == OpKind::Register
            && self.i.op0_register() == self.i.op1_register()
    }

    /// NOT: no flags.
    fn not(&self) -> Flow {
        let place = self.place(0);
        let ones = self.konst_of(place.ty(), u64::MAX);
        let _ = self.combine(place, (Opcode::AtomicXor, ones), |a| !a);
        Flow::Next
    }

    /// TEST
    fn test(&self) -> Flow {
        let _ = self.status(Opcode::StatusAnd, self.op(0), self.op(1));
        Flow::Next
    }

    /// ADCX: CF alone.
    fn adcx(&self) -> Flow {
        let carry = self.add_with(self.carry());
        self.set_carry(|| carry);
        Flow::Next
    }

    /// ADOX: OF alone.
    fn adox(&self) -> Flow {
        let carry = self.add_with(self.overflow());
        self.set_less(|| carry ^ self.sign());
        Flow::Next
    }

    /// The first operand plus the second plus a carry; the carry out of it.
    fn add_with(&self, carry: Val<'b>) -> Val<'b> {
        let (place, b) = (self.place(0), self.op(1));
        let addend = b + carry.at(b.ty());
        let a = self.read(place);
        let sum = a + addend;
        self.write(place, sum);
        addend.lt_u(b) | sum.lt_u(a)
    }

    /// The product of the accumulator and an operand: low and high half, each of its type.
    fn wide_product(&self, a: Val<'b>, b: Val<'b>, is_signed: Signed) -> (Val<'b>, Val<'b>) {
        let ty = a.ty();
        if ty == Type::I64 {
            let high = if is_signed == Signed::Yes { a.mulhi_s(b) } else { a.mulhi_u(b) };
            return (a * b, high);
        }
        let (a, b) = match is_signed {
            Signed::Yes => (a.sext(), b.sext()),
            Signed::No => (a.zext(), b.zext()),
        };
        let product = a * b;
        (product.at(ty), product.shr_u(self.konst(ty.bits().into())).at(ty))
    }

    /// Writes a double-width value to the accumulator and RDX, or to AX.
    fn write_double(&self, low: Val<'b>, high: Val<'b>) {
        match low.ty() {
            Type::I8 => {
                let both = low.zext() | high.zext().shl(self.konst(8));
                self.write(Place::Gpr(RAX, Type::I16), both);
            }
            ty => {
                self.write(Place::Gpr(RAX, ty), low);
                self.write(Place::Gpr(RDX, ty), high);
            }
        }
    }

    /// MUL
    fn mul(&self) -> Flow {
        let b = self.op(0);
        let a = self.gpr(RAX).at(b.ty());
        let (low, high) = self.wide_product(a, b, Signed::No);
        self.write_double(low, high);
        self.flags_of_product(low, || high.ne(self.konst_of(high.ty(), 0)));
        Flow::Next
    }

    /// CF and OF say whether the product is more than its low half.
    fn flags_of_product(&self, low: Val<'b>, is_more: impl Fn() -> Val<'b>) {
        self.set_sign(|| low.sext());
        self.set_zero(|| self.konst(1));
        self.set_aux(|| low.sext());
        self.set_carry(&is_more);
        self.set_less(|| is_more() ^ self.is_negative(low));
    }

    /// IMUL, of one operand or more
    fn imul(&self) -> Flow {
        let one = self.i.op_count() == 1;
        let (a, b) = match self.i.op_count() {
            1 => {
                let b = self.op(0);
                (self.gpr(RAX).at(b.ty()), b)
            }
            2 => (self.op(0), self.op(1)),
            _ => (self.op(1), self.op(2)),
        };
        let (low, high) = self.wide_product(a, b, Signed::Yes);
        match one {
            true => self.write_double(low, high),
            false => self.write(self.place(0), low),
        }
        let sign = || low.shr_s(self.konst_of(low.ty(), u64::from(low.ty().bits()) - 1));
        self.flags_of_product(low, || high.ne(sign()));
        Flow::Next
    }

    /// MULX: no flags; the high half is written last.
    fn mulx(&self) -> Flow {
        let b = self.op(2);
        let (low, high) = self.wide_product(self.gpr(RDX).at(b.ty()), b, Signed::No);
        self.write(self.place(1), low);
        self.set_op(0, high)
    }

    /// What is divided, if it is not wider than 64 bits.
    fn dividend(&self, ty: Type) -> Val<'b> {
        let low = self.gpr(RAX).at(ty).zext();
        match ty {
            Type::I8 => self.gpr(RAX).low16().zext(),
            Type::I16 => low | self.gpr(RDX).low16().zext().shl(self.konst(16)),
            _ => low | self.gpr(RDX).shl(self.konst(32)),
        }
    }

    /// DIV: #DE if the quotient does not fit.
    fn div(&self) -> Flow {
        let divisor = self.op(0);
        let ty = divisor.ty();
        if ty == Type::I64 {
            return self.div64(divisor);
        }
        let (n, d) = (self.dividend(ty), divisor.zext());
        let quotient = n.div_u(d);
        // By zero it is all ones, which is too much for any.
        self.raise_if(quotient.shr_u(self.konst(ty.bits().into())));
        self.write_double(quotient.at(ty), n.rem_u(d).at(ty));
        Flow::Next
    }

    fn div64(&self, d: Val<'b>) -> Flow {
        let (low, high) = (self.gpr(RAX), self.gpr(RDX));
        if self.previous.is_some_and(clears_rdx) {
            self.raise_if(d.eq(self.konst(0)));
            self.write_double(low.div_u(d), low.rem_u(d));
            return Flow::Next;
        }
        self.raise_if(d.le_u(high));
        let quotient = self.call(helpers::DIV128, &[low, high, d]);
        self.write_double(quotient, low - quotient * d);
        Flow::Next
    }

    /// IDIV: #DE if the quotient does not fit.
    fn idiv(&self) -> Flow {
        let divisor = self.op(0);
        let ty = divisor.ty();
        if ty == Type::I64 {
            return self.idiv64(divisor);
        }
        let n = match ty {
            Type::I8 => self.gpr(RAX).low16().sext(),
            Type::I16 => self.dividend(ty).low32().sext(),
            _ => self.dividend(ty),
        };
        let d = divisor.sext();
        let quotient = n.div_s(d);
        let is_other = quotient.ne(quotient.at(ty).sext());
        self.raise_if(is_other | d.eq(self.konst(0)));
        self.write_double(quotient.at(ty), n.rem_s(d).at(ty));
        Flow::Next
    }

    fn idiv64(&self, d: Val<'b>) -> Flow {
        let (low, high) = (self.gpr(RAX), self.gpr(RDX));
        if self.previous.is_some_and(|i| i.mnemonic() == Mnemonic::Cqo) {
            let least = low.eq(self.konst(1 << 63)) & d.eq(self.konst(u64::MAX));
            self.raise_if(least | d.eq(self.konst(0)));
            self.write_double(low.div_s(d), low.rem_s(d));
            return Flow::Next;
        }
        self.raise_if(self.call(helpers::IDIV128_OVERFLOWS, &[low, high, d]));
        let quotient = self.call(helpers::IDIV128, &[low, high, d]);
        self.write_double(quotient, low - quotient * d);
        Flow::Next
    }
}

/// Whether factors have signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    Yes,
    No,
}

/// Whether RDX is 0 after an instruction: what compilers put before DIV.
fn clears_rdx(i: &Instruction) -> bool {
    let is_rdx = |register| matches!(register, Register::EDX | Register::RDX);
    let to_rdx = i.op0_kind() == OpKind::Register && is_rdx(i.op0_register());
    let zeroes = match i.mnemonic() {
        Mnemonic::Xor | Mnemonic::Sub => {
            i.op1_kind() == OpKind::Register && i.op1_register() == i.op0_register()
        }
        Mnemonic::Mov => {
            !matches!(i.op1_kind(), OpKind::Register | OpKind::Memory) && i.immediate(1) == 0
        }
        _ => false,
    };
    to_rdx && zeroes
}

const _: () = assert!(slot::gpr(RAX).0 == 0 && slot::gpr(RDX).0 == 2);
