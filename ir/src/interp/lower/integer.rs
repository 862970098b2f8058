//! Integer operations, and calls.

use base::cpu::Effects;
use base::defect::{Defect, is_seeded};

use super::{LowerError, Lowerer, SINK, Source, ZERO};
use crate::block::{Block, Inst, Operand};
use crate::guest::Guest;
use crate::interp::eval::pure_function;
use crate::interp::micro::{Micro, Reg};
use crate::ops::Opcode;
use crate::types::Type;

/// Micro-operations of a binary operation: of two registers, and of a register and an immediate.
struct Forms {
    registers: Micro,
    immediate: Option<Micro>,
    /// Whether the result is sign-extended from the operation's type.
    extended: bool,
}

const fn forms(registers: Micro, immediate: Option<Micro>) -> Option<Forms> {
    Some(Forms { registers, immediate, extended: false })
}

const fn word_forms(registers: Micro, immediate: Option<Micro>) -> Option<Forms> {
    Some(Forms { registers, immediate, extended: true })
}

fn forms_of(op: Opcode, ty: Type) -> Option<Forms> {
    match ty {
        Type::I64 => wide(op).or_else(|| low_bits(op)),
        Type::I32 => word(op).or_else(|| low_bits(op)),
        _ => low_bits(op),
    }
}

/// Operations whose low result bits depend on the operands' low bits only: the 64-bit form serves
/// every type.
fn low_bits(op: Opcode) -> Option<Forms> {
    match op {
        Opcode::Add => forms(Micro::AddR, Some(Micro::AddI)),
        Opcode::Sub => forms(Micro::SubR, None),
        Opcode::And => forms(Micro::AndR, Some(Micro::AndI)),
        Opcode::Or => forms(Micro::OrR, Some(Micro::OrI)),
        Opcode::Xor => forms(Micro::XorR, Some(Micro::XorI)),
        Opcode::AndNot => forms(Micro::AndNotR, None),
        Opcode::Mul => forms(Micro::MulR, None),
        _ => None,
    }
}

fn wide(op: Opcode) -> Option<Forms> {
    match op {
        Opcode::Shl => forms(Micro::ShlR, Some(Micro::ShlI)),
        Opcode::ShrU => forms(Micro::ShrUR, Some(Micro::ShrUI)),
        Opcode::ShrS => forms(Micro::ShrSR, Some(Micro::ShrSI)),
        Opcode::Rotr => forms(Micro::RotrR, Some(Micro::RotrI)),
        Opcode::MulHiU => forms(Micro::MulHiUR, None),
        Opcode::MulHiS => forms(Micro::MulHiSR, None),
        Opcode::MulHiSU => forms(Micro::MulHiSUR, None),
        Opcode::DivU => forms(Micro::DivUR, None),
        Opcode::DivS => forms(Micro::DivSR, None),
        Opcode::RemU => forms(Micro::RemUR, None),
        Opcode::RemS => forms(Micro::RemSR, None),
        Opcode::MinU => forms(Micro::MinUR, None),
        Opcode::MinS => forms(Micro::MinSR, None),
        Opcode::MaxU => forms(Micro::MaxUR, None),
        Opcode::MaxS => forms(Micro::MaxSR, None),
        Opcode::Eq => forms(Micro::EqR, Some(Micro::EqI)),
        Opcode::Ne => forms(Micro::NeR, Some(Micro::NeI)),
        Opcode::LtU if is_seeded(Defect::ImmediateComparesSigned) => {
            forms(Micro::LtUR, Some(Micro::LtSI))
        }
        Opcode::LtU => forms(Micro::LtUR, Some(Micro::LtUI)),
        Opcode::LtS => forms(Micro::LtSR, Some(Micro::LtSI)),
        _ => None,
    }
}

fn word(op: Opcode) -> Option<Forms> {
    match op {
        Opcode::Add if is_seeded(Defect::WordSumUnextended) => {
            word_forms(Micro::AddR, Some(Micro::AddI))
        }
        Opcode::Eq => forms(Micro::EqWR, Some(Micro::EqWI)),
        Opcode::Ne => forms(Micro::NeWR, Some(Micro::NeWI)),
        Opcode::LtU => forms(Micro::LtUWR, Some(Micro::LtUWI)),
        Opcode::LtS => forms(Micro::LtSWR, Some(Micro::LtSWI)),
        Opcode::Add => word_forms(Micro::AddWR, Some(Micro::AddWI)),
        Opcode::Sub => word_forms(Micro::SubWR, None),
        Opcode::Mul => word_forms(Micro::MulWR, None),
        Opcode::Shl => word_forms(Micro::ShlWR, Some(Micro::ShlWI)),
        Opcode::ShrU => word_forms(Micro::ShrUWR, Some(Micro::ShrUWI)),
        Opcode::ShrS => word_forms(Micro::ShrSWR, Some(Micro::ShrSWI)),
        Opcode::Rotr => word_forms(Micro::RotrWR, Some(Micro::RotrWI)),
        Opcode::DivU => word_forms(Micro::DivUWR, None),
        Opcode::DivS => word_forms(Micro::DivSWR, None),
        Opcode::RemU => word_forms(Micro::RemUWR, None),
        Opcode::RemS => word_forms(Micro::RemSWR, None),
        _ => None,
    }
}

fn unary_form(op: Opcode, ty: Type) -> Option<Micro> {
    Some(match (op, ty) {
        (Opcode::Clz, Type::I64) => Micro::Clz,
        (Opcode::Clz, Type::I32) => Micro::ClzW,
        (Opcode::Ctz, Type::I64) => Micro::Ctz,
        (Opcode::Ctz, Type::I32) => Micro::CtzW,
        (Opcode::Popcnt, Type::I64) => Micro::Popcnt,
        (Opcode::Popcnt, Type::I32) => Micro::PopcntW,
        (Opcode::Bswap, Type::I64) => Micro::Bswap,
        (Opcode::NanBox, _) => Micro::NanBox,
        (Opcode::NanUnbox, _) => Micro::NanUnbox,
        _ => return None,
    })
}

impl Lowerer {
    pub(super) fn constant(&mut self, to: Operand, value: u64) {
        self.define(to, Type::I64, Micro::Const, 0, 0, value);
    }

    fn mov(&mut self, to: Operand, from: Reg) {
        self.define(to, Type::I64, Micro::Mov, from, 0, 0);
    }

    /// An operation that is called as a function.
    fn pure(&mut self, inst: &Inst, a: Reg, b: Reg) {
        match pure_function(inst.op, inst.ty) {
            Some(f) => self.define(inst.dst, inst.ty, Micro::Pure, a, b, f as usize as u64),
            None => self.fail(LowerError::Unsupported(inst.op, inst.ty)),
        }
    }

    /// Folds an operation on constants; false if it must be executed.
    fn fold(&mut self, inst: &Inst, a: Source, b: Source) -> bool {
        let (Source::Const(a), Source::Const(b)) = (a, b) else { return false };
        let Some(function) = pure_function(inst.op, inst.ty) else { return false };
        self.constant(inst.dst, function(a, b));
        true
    }

    pub(super) fn unary(&mut self, block: &Block, inst: &Inst) {
        let operand = inst.args[0];
        if inst.op == Opcode::Mov {
            return self.move_operand(block, inst.dst, operand);
        }
        if self.box_last(inst) {
            return;
        }
        let source = self.source(block, operand);
        if self.fold(inst, source, Source::Const(0)) {
            return;
        }
        let a = self.materialise(source);
        match inst.op {
            Opcode::Not => self.define(inst.dst, Type::I64, Micro::XorI, a, 0, u64::MAX),
            Opcode::Neg => self.define(inst.dst, Type::I64, Micro::SubR, ZERO, a, 0),
            _ => match unary_form(inst.op, inst.ty) {
                Some(kind) => self.define(inst.dst, Type::I64, kind, a, 0, 0),
                None => self.pure(inst, a, ZERO),
            },
        }
    }

    fn move_operand(&mut self, block: &Block, to: Operand, from: Operand) {
        if self.retarget(from, to, Type::I64) {
            return;
        }
        match self.source(block, from) {
            Source::Const(value) => self.constant(to, value),
            Source::Reg(from) => self.mov(to, from),
        }
    }

    pub(super) fn extend(&mut self, block: &Block, inst: &Inst) {
        let operand = inst.args[0];
        if inst.op == Opcode::Sext && self.retarget(operand, inst.dst, inst.ty) {
            return;
        }
        let source = self.source(block, operand);
        if self.fold(inst, source, Source::Const(0)) {
            return;
        }
        let a = self.materialise(source);
        let (kind, imm) = match (inst.op, inst.ty) {
            (Opcode::Sext, Type::I8) => (Micro::SextB, 0),
            (Opcode::Sext, Type::I16) => (Micro::SextH, 0),
            (Opcode::Sext, Type::I32) => (Micro::SextW, 0),
            (Opcode::Zext, Type::I8) => (Micro::AndI, 0xff),
            (Opcode::Zext, Type::I16) => (Micro::AndI, 0xffff),
            (Opcode::Zext, Type::I32) => (Micro::ZextW, 0),
            _ => (Micro::Mov, 0),
        };
        self.define(inst.dst, Type::I64, kind, a, 0, imm);
    }

    pub(super) fn binary(&mut self, block: &Block, inst: &Inst) {
        let a = self.source(block, inst.args[0]);
        let b = self.source(block, inst.args[1]);
        if self.fold(inst, a, b) {
            return;
        }
        let (a, b) = match (a, b) {
            (Source::Const(_), Source::Reg(_))
                if inst.op.info().has(crate::ops::flag::COMMUTES) =>
            {
                (b, a)
            }
            pair => pair,
        };
        match (inst.op, b) {
            (Opcode::Sub, Source::Const(value)) => {
                self.immediate(&Inst { op: Opcode::Add, ..*inst }, a, value.wrapping_neg());
            }
            (Opcode::AndNot, Source::Const(value)) => {
                self.immediate(&Inst { op: Opcode::And, ..*inst }, a, !value);
            }
            (Opcode::Rotl, Source::Const(value)) => {
                self.immediate(&Inst { op: Opcode::Rotr, ..*inst }, a, value.wrapping_neg());
            }
            (_, Source::Const(value)) => self.immediate(inst, a, value),
            (_, Source::Reg(b)) => self.registers(inst, a, b),
        }
    }

    fn immediate(&mut self, inst: &Inst, a: Source, value: u64) {
        let forms = forms_of(inst.op, inst.ty);
        let Some((form, kind)) = forms.and_then(|f| f.immediate.map(|kind| (f.extended, kind)))
        else {
            let b = self.materialise(Source::Const(value));
            return self.registers(inst, a, b);
        };
        let a = self.materialise(a);
        let extended = if form { inst.ty } else { Type::I64 };
        self.define(inst.dst, extended, kind, a, 0, value);
    }

    fn registers(&mut self, inst: &Inst, a: Source, b: Reg) {
        let a = self.materialise(a);
        match forms_of(inst.op, inst.ty) {
            Some(form) => {
                let extended = if form.extended { inst.ty } else { Type::I64 };
                self.define(inst.dst, extended, form.registers, a, b, 0);
            }
            None => self.pure(inst, a, b),
        }
    }

    pub(super) fn compare(&mut self, block: &Block, inst: &Inst) {
        if is_seeded(Defect::ComparesAllBits) {
            return self.binary(block, &Inst { ty: Type::I64, ..*inst });
        }
        let extension = match inst.ty {
            Type::I8 => Micro::SextB,
            Type::I16 => Micro::SextH,
            _ => return self.binary(block, inst),
        };
        let a = self.source(block, inst.args[0]);
        let b = self.source(block, inst.args[1]);
        if self.fold(inst, a, b) {
            return;
        }
        let [a, b] = [a, b].map(|source| self.extended(source, inst.ty, extension));
        let inst = Inst { ty: Type::I64, ..*inst };
        match b {
            Source::Const(value) => self.immediate(&inst, a, value),
            Source::Reg(b) => self.registers(&inst, a, b),
        }
    }

    /// Sign-extended to 64 bits, which keeps the order of unsigned numbers, too.
    fn extended(&mut self, source: Source, ty: Type, extension: Micro) -> Source {
        match source {
            Source::Const(value) => Source::Const(crate::fold::sext(ty, value) as u64),
            Source::Reg(from) => {
                let to = self.next_scratch();
                self.push(extension, to, from, 0, 0);
                Source::Reg(to)
            }
        }
    }

    pub(super) fn select(&mut self, block: &Block, inst: &Inst) {
        let [cond, if_true, if_false] =
            [inst.args[0], inst.args[1], inst.args[2]].map(|operand| self.reg(block, operand));
        let (if_true, if_false) = match is_seeded(Defect::SelectSwapped) {
            true => (if_false, if_true),
            false => (if_true, if_false),
        };
        let imm = u64::from(if_false);
        self.define(inst.dst, Type::I64, Micro::Select, cond, if_true, imm);
    }

    pub(super) fn call(&mut self, guest: &Guest, block: &Block, inst: &Inst) {
        let Some(helper) = guest.helper(inst.helper()) else {
            return self.fail(LowerError::UnknownHelper(inst.helper()));
        };
        let [a, b, c, d] = inst.args.map(|operand| match operand.is_none() {
            true => ZERO,
            false => self.reg(block, operand),
        });
        let kind = match helper.effects {
            Effects::Memory => Micro::CallMemory,
            Effects::Pure | Effects::FpFlags | Effects::Frame => Micro::Call,
        };
        let dst = if inst.dst.is_none() { SINK } else { self.dst(inst.dst) };
        self.push(kind, dst, a, b, u64::from(c) | u64::from(d) << 16);
        self.push_data([helper.code.address() as u64, 0]);
    }
}
