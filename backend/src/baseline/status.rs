//! Operations with status flags: the host's are of the same kind.

use base::defect::{Defect, is_seeded};
use ir::Type;
use ir::interp::{Micro, MicroOp, Reg, StatusOp};

use super::Baseline;
use super::asm::{Alu, Cc, Host, Shift, Width, slot};

const W: Width = Width::Bits64;
const D: Width = Width::Bits32;

impl Baseline<'_> {
    /// The result goes to its register, and what flags follow from to their slots ([`ir::status`]).
    pub(super) fn status(&mut self, MicroOp { kind, dst, a, b, imm }: MicroOp) {
        let op = StatusOp::unpack(imm);
        let (alu, is_immediate) = form(kind);
        match is_immediate {
            true => self.asm.mov_imm(Host::Rcx, op.constant as i64 as u64),
            false => self.load_to(Host::Rcx, b),
        }
        self.load(a);
        self.held.clear();
        let [zero, sign, carry, less, aux] = std::array::from_fn(|n| op.first.0 + n as Reg);
        match alu {
            Alu::Add | Alu::Sub => {
                self.auxiliary(op.ty, aux);
                self.arithmetic(op.ty, alu);
                self.carry_and_less(op, carry, less);
            }
            _ => {
                self.asm.alu(W, alu, Host::Rax, Host::Rcx);
                self.sign_extend(op.ty);
                self.asm.with_register(W, &[0x8b], Host::Rdx, Host::Rax);
                self.asm.shift_imm(W, Shift::Shr, Host::Rdx, 63);
                self.store_from(Host::Rdx, less);
                self.asm.store_frame_imm(0, slot(carry).1);
                self.set(aux);
            }
        }
        self.set(zero);
        self.set(sign);
        self.set(dst);
    }

    /// The operands' exclusive or, zero-extended, in its slot.
    fn auxiliary(&mut self, ty: Type, aux: Reg) {
        let width = if ty == Type::I64 { W } else { D };
        self.asm.with_register(width, &[0x8b], Host::Rdx, Host::Rax);
        self.asm.alu(width, Alu::Xor, Host::Rdx, Host::Rcx);
        match ty {
            Type::I8 => self.asm.with_register(D, &[0x0f, 0xb6], Host::Rdx, Host::Rdx),
            Type::I16 => self.asm.with_register(D, &[0x0f, 0xb7], Host::Rdx, Host::Rdx),
            _ => {}
        }
        self.store_from(Host::Rdx, aux);
    }

    /// RAX op= RCX in the type's width, for the flags of it.
    fn arithmetic(&mut self, ty: Type, op: Alu) {
        let opcode = (op as u8) << 3 | 3;
        match ty {
            Type::I8 => self.asm.with_register(D, &[opcode - 1], Host::Rax, Host::Rcx),
            Type::I16 => self.asm.with_register(D, &[0x66, opcode], Host::Rax, Host::Rcx),
            Type::I32 => self.asm.alu(D, op, Host::Rax, Host::Rcx),
            _ => self.asm.alu(W, op, Host::Rax, Host::Rcx),
        }
    }

    /// CF, and SF xor OF, of the operation just done, whose result is then sign-extended. Slots are written as a whole: they
    /// are read so.
    fn carry_and_less(&mut self, op: StatusOp, carry: Reg, less: Reg) {
        self.asm.set(Cc::Less, Host::Rdx);
        if !op.keeps_carry || is_seeded(Defect::QuickDecWritesCarry) {
            self.asm.set(Cc::Below, Host::Rcx);
            self.store_from(Host::Rcx, carry);
        }
        self.store_from(Host::Rdx, less);
        self.sign_extend(op.ty);
    }

    fn sign_extend(&mut self, ty: Type) {
        match ty {
            Type::I8 => self.asm.with_register(W, &[0x0f, 0xbe], Host::Rax, Host::Rax),
            Type::I16 => self.asm.with_register(W, &[0x0f, 0xbf], Host::Rax, Host::Rax),
            Type::I32 => self.asm.with_register(W, &[0x63], Host::Rax, Host::Rax),
            _ => {}
        }
    }
}

/// The host's operation, and whether its second operand is a constant.
fn form(kind: Micro) -> (Alu, bool) {
    match kind {
        Micro::StatusAddR => (Alu::Add, false),
        Micro::StatusAddI => (Alu::Add, true),
        Micro::StatusSubR => (Alu::Sub, false),
        Micro::StatusSubI => (Alu::Sub, true),
        Micro::StatusAndR => (Alu::And, false),
        Micro::StatusAndI => (Alu::And, true),
        Micro::StatusOrR => (Alu::Or, false),
        Micro::StatusOrI => (Alu::Or, true),
        Micro::StatusXorR => (Alu::Xor, false),
        _ => (Alu::Xor, true),
    }
}
