//! Addresses, and plain accesses of one register.

use arch::aarch64::slot;
use ir::{MemOrder, Type, Val};

use crate::aarch64::register::width;
use crate::aarch64::{Flow, Insn, Tags};

/// How an address is made, as the tables number it.
const POST_INDEX: u8 = 1;
const PRE_INDEX: u8 = 2;

/// An address as an operation takes it: a base and a constant.
#[derive(Clone, Copy)]
pub(super) struct Address<'b> {
    pub(super) base: Val<'b>,
    pub(super) offset: i32,
}

impl Address<'_> {
    /// The address of what follows so many bytes after it.
    pub(super) fn plus(self, bytes: i32) -> Self {
        Self { offset: self.offset + bytes, ..self }
    }
}

/// The type of an integer of 2^size bytes.
pub(super) fn integer(size: u8) -> Type {
    [Type::I8, Type::I16, Type::I32, Type::I64][usize::from(size & 3)]
}

impl<'b> Insn<'b> {
    /// X[n] or SP plus a constant.
    pub(super) fn at(&self, rn: u8, imm: i64) -> Address<'b> {
        let base = self.base(rn);
        match self.tags {
            // No offset in an instruction is longer than 17 bits.
            Tags::Fault => Address { base, offset: imm as i32 },
            Tags::Ignored => {
                let sum = if imm == 0 { base } else { base + self.imm(imm) };
                Address { base: self.untagged(sum), offset: 0 }
            }
        }
    }

    /// An address as one value.
    pub(super) fn sum(&self, at: Address<'b>) -> Val<'b> {
        if at.offset == 0 { at.base } else { at.base + self.imm(at.offset.into()) }
    }

    /// Accesses the address of a mode, and then changes X[n] or SP as it says.
    pub(super) fn indexed(
        &self,
        (rn, imm, mode): (u8, i64, u8),
        access: impl FnOnce(Address<'b>) -> Flow,
    ) -> Flow {
        let at = self.at(rn, if mode == POST_INDEX { 0 } else { imm });
        if mode != POST_INDEX && mode != PRE_INDEX {
            return access(at);
        }
        self.then_step(rn, (self.imm(imm), Some(imm as u64)), || access(at))
    }

    /// X[n] or SP plus X[m], extended and shifted.
    pub(super) fn at_register(&self, rn: u8, rm: u8, option: u8, shift: u8) -> Address<'b> {
        let sum = self.base(rn) + self.extended(rm, option, shift);
        Address { base: self.untagged(sum), offset: 0 }
    }

    /// A label.
    pub(super) fn at_label(&self, imm: i64) -> Address<'b> {
        Address { base: self.konst(self.pc.wrapping_offset(imm).0), offset: 0 }
    }

    /// R[t] = the integer there, zero-extended.
    pub(super) fn load(&self, ty: Type, rt: u8, at: Address<'b>) -> Flow {
        self.load_ordered(ty, rt, at, MemOrder::Plain)
    }

    pub(super) fn load_ordered(&self, ty: Type, rt: u8, at: Address<'b>, order: MemOrder) -> Flow {
        self.set_x(rt, self.b.load_u(ty, at.base, at.offset, order))
    }

    /// R[t] = the integer there, sign-extended to the size that `sf` says.
    pub(super) fn load_signed(&self, ty: Type, sf: bool, rt: u8, at: Address<'b>) -> Flow {
        self.load_signed_ordered(ty, sf, rt, at, MemOrder::Plain)
    }

    pub(super) fn load_signed_ordered(
        &self,
        ty: Type,
        sf: bool,
        rt: u8,
        at: Address<'b>,
        order: MemOrder,
    ) -> Flow {
        let value = self.b.load_s(ty, at.base, at.offset, order);
        self.set_r(rt, value.at(width(sf)))
    }

    /// The memory there = the low bits of R[t].
    pub(super) fn store(&self, ty: Type, rt: u8, at: Address<'b>) -> Flow {
        self.store_ordered(ty, rt, at, MemOrder::Plain)
    }

    pub(super) fn store_ordered(&self, ty: Type, rt: u8, at: Address<'b>, order: MemOrder) -> Flow {
        self.b.store(ty, at.base, at.offset, self.x(rt).at(ty), order);
        Flow::Next
    }

    /// 2^size bytes, zero-extended to 128 bits.
    pub(super) fn load_v(&self, size: u8, at: Address<'b>) -> Val<'b> {
        match size {
            0 | 1 => {
                let ty = integer(size);
                self.b.load_u(ty, at.base, at.offset, MemOrder::Plain).zext_wide(Type::WIDE)
            }
            2 => self.b.load_f(Type::F32, at.base, at.offset).zext_wide(Type::WIDE),
            3 => self.b.load_f(Type::F64, at.base, at.offset).zext_wide(Type::WIDE),
            _ => self.b.load_wide(at.base, at.offset, MemOrder::Plain),
        }
    }

    /// V[t] = 2^size bytes there, zero-extended.
    pub(super) fn load_fp(&self, size: u8, rt: u8, at: Address<'b>) -> Flow {
        self.b.set_wide(slot::v(rt), self.load_v(size, at));
        Flow::Next
    }

    /// 2^size bytes there = the low bits of V[t].
    pub(super) fn store_fp(&self, size: u8, rt: u8, at: Address<'b>) -> Flow {
        let ty = match size {
            0 | 1 => integer(size),
            2 => Type::F32,
            3 => Type::F64,
            _ => Type::WIDE,
        };
        self.b.store(ty, at.base, at.offset, self.b.slot_at(slot::v(rt), ty), MemOrder::Plain);
        Flow::Next
    }
}
