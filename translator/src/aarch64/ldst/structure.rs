//! Advanced SIMD structure loads and stores, of whole registers and of single elements (Arm ARM, C4.1.94).
//!
//! Where elements are interleaved, memory is accessed 16 bytes at a time, and bytes are put in their places by
//! shuffles. A fault leaves all registers as they were.

use arch::aarch64::slot;
use decoders::aarch64::{Lane, Structure};
use ir::{MemOrder, Type, Val};

use super::address::{Address, integer};
use crate::aarch64::{Flow, Insn};

/// Registers of the SIMD&FP file.
const REGISTERS: u8 = 32;

/// The vector of elements of 2^size bytes.
pub(super) fn elements(size: u8) -> Type {
    [Type::I8x16, Type::I16x8, Type::I32x4, Type::I64x2][usize::from(size & 3)]
}

/// The size of a register of 16 or 8 bytes, as loads and stores number it.
fn whole_size(bytes: u8) -> u8 {
    if bytes == 16 { 4 } else { 3 }
}

/// Registers of so many bytes, whose elements of 2^size bytes lie in memory by turns: element e of register r is number
/// e * regs + r.
#[derive(Clone, Copy)]
struct Interleaved {
    size: u8,
    regs: u8,
    bytes: u8,
}

impl Interleaved {
    /// Memory in pieces of 16 bytes, and one of 8 at the end if there is a rest: where each starts, and its length.
    fn chunks(self) -> impl Iterator<Item = (u8, u8)> {
        let all = self.regs * self.bytes;
        (0..all).step_by(16).map(move |start| (start, (all - start).min(16)))
    }

    /// Of a byte of a register, the piece of memory and the byte in it.
    fn in_memory(self, r: u8, byte: u8) -> (u8, u8) {
        let (element, within) = (byte >> self.size, byte & ((1 << self.size) - 1));
        let place = ((element * self.regs + r) << self.size) | within;
        (place / 16, place % 16)
    }

    /// Of a byte of memory, the register and the byte in it.
    fn in_registers(self, place: u8) -> (u8, u8) {
        let (number, within) = (place >> self.size, place & ((1 << self.size) - 1));
        let element = number / self.regs;
        (number % self.regs, element << self.size | within)
    }
}

/// The vector of which each byte is the one that `from` names, by a vector's number and its own.
fn pick<'b>(vectors: &[Val<'b>], from: impl Fn(u8) -> (u8, u8)) -> Val<'b> {
    let bytes = |vector: Val<'b>| vector.as_vector(Type::I8x16);
    let mut picked = bytes(vectors[0]);
    for (number, &vector) in vectors.iter().enumerate().skip(1) {
        let number = number as u8;
        picked = picked.shuffle(
            bytes(vector),
            std::array::from_fn(|byte| match from(byte as u8) {
                (0, place) if number == 1 => place,
                (of, place) if of == number => 16 + place,
                _ => byte as u8,
            }),
        );
    }
    match vectors {
        [one] => bytes(*one).shuffle(bytes(*one), std::array::from_fn(|byte| from(byte as u8).1)),
        _ => picked,
    }
}

impl<'b> Insn<'b> {
    /// Accesses X[n] or SP; with post-index then X[n] or SP += X[m], or the size of what is accessed if m is 31.
    fn at_structure(
        &self,
        (rn, rm, mode): (u8, u8, u8),
        bytes: u64,
        access: impl FnOnce(Address<'b>),
    ) -> Flow {
        let at = self.at(rn, 0);
        let access = || {
            access(at);
            Flow::Next
        };
        match (mode, rm) {
            (0, _) => access(),
            (_, 31) => self.then_step(rn, (self.konst(bytes), Some(bytes)), access),
            _ => self.then_step(rn, (self.x(rm), None), access),
        }
    }

    fn load_lane(&self, size: u8, at: Address<'b>) -> Val<'b> {
        self.b.load_u(integer(size), at.base, at.offset, MemOrder::Plain)
    }

    fn vector(&self, size: u8, n: u8) -> Val<'b> {
        self.b.wide(slot::v(n % REGISTERS)).as_vector(elements(size))
    }

    /// LD1 to LD4 of several registers. LD1's registers lie one behind the other; those of the others are
    /// interleaved, as [`Interleaved`] says.
    pub(super) fn load_registers(&self, args: Structure, interleaved: u8) -> Flow {
        let Structure { q, size, rt, rn, rm, mode, regs } = args;
        let bytes: u8 = if q { 16 } else { 8 };
        self.at_structure((rn, rm, mode), u64::from(bytes * regs), |at| {
            let set = |r: u8, value| self.b.set_wide(slot::v((rt + r) % REGISTERS), value);
            if interleaved == 1 {
                let whole = |r: u8| at.plus((r * bytes).into());
                return (0..regs).for_each(|r| set(r, self.load_v(whole_size(bytes), whole(r))));
            }
            let layout = Interleaved { size, regs, bytes };
            let memory: Vec<_> = layout
                .chunks()
                .map(|(start, length)| self.load_v(whole_size(length), at.plus(start.into())))
                .collect();
            for r in 0..regs {
                let value = pick(&memory, |byte| layout.in_memory(r, byte % bytes));
                set(r, if q { value } else { value.at(Type::I64).zext_wide(Type::WIDE) });
            }
        })
    }

    /// ST1 to ST4 of several registers.
    pub(super) fn store_registers(&self, args: Structure, interleaved: u8) -> Flow {
        let Structure { q, size, rt, rn, rm, mode, regs } = args;
        let bytes: u8 = if q { 16 } else { 8 };
        self.at_structure((rn, rm, mode), u64::from(bytes * regs), |at| {
            if interleaved == 1 {
                for r in 0..regs {
                    let whole = at.plus((r * bytes).into());
                    self.store_fp(whole_size(bytes), (rt + r) % REGISTERS, whole);
                }
                return;
            }
            let layout = Interleaved { size, regs, bytes };
            let registers: Vec<_> = (0..regs).map(|r| self.vector(0, rt + r)).collect();
            for (start, length) in layout.chunks() {
                let value = pick(&registers, |byte| layout.in_registers(start + byte % length));
                let ty = if length == 16 { Type::WIDE } else { Type::I64 };
                let value = if length == 16 { value } else { value.at(Type::I64) };
                let to = at.plus(start.into());
                self.b.store(ty, to.base, to.offset, value, MemOrder::Plain);
            }
        })
    }

    fn store_lane(&self, size: u8, vector: Val<'b>, lane: u32, at: Address<'b>) {
        let value = vector.lane_u(lane).at(integer(size));
        self.b.store(integer(size), at.base, at.offset, value, MemOrder::Plain);
    }

    /// LD1 to LD4 of one element of each register; the others stay.
    pub(super) fn load_lanes(&self, Lane { size, rt, rn, rm, mode, regs, index }: Lane) -> Flow {
        self.at_structure((rn, rm, mode), u64::from(regs) << size, |at| {
            for r in 0..regs {
                let element = self.load_lane(size, at.plus(i32::from(r) << size)).at(integer(size));
                let vector = self.vector(size, rt + r).set_lane(index.into(), element);
                self.b.set_wide(slot::v((rt + r) % REGISTERS), vector);
            }
        })
    }

    /// ST1 to ST4 of one element of each register.
    pub(super) fn store_lanes(&self, Lane { size, rt, rn, rm, mode, regs, index }: Lane) -> Flow {
        self.at_structure((rn, rm, mode), u64::from(regs) << size, |at| {
            for r in 0..regs {
                let place = at.plus(i32::from(r) << size);
                self.store_lane(size, self.vector(size, rt + r), index.into(), place);
            }
        })
    }

    /// LD1R to LD4R: every element of a register = the one in memory.
    pub(super) fn load_replicated(&self, args: Structure) -> Flow {
        let Structure { q, size, rt, rn, rm, mode, regs } = args;
        self.at_structure((rn, rm, mode), u64::from(regs) << size, |at| {
            for r in 0..regs {
                let element = self.load_lane(size, at.plus(i32::from(r) << size));
                let all = self.b.splat(elements(size), element);
                let value = if q { all } else { all.at(Type::I64).zext_wide(Type::WIDE) };
                self.b.set_wide(slot::v((rt + r) % REGISTERS), value);
            }
        })
    }
}
