//! Advanced SIMD structure loads and stores, of whole registers and of single elements (Arm ARM, C4.1.94).
//!
//! Memory is accessed element by element where elements are interleaved, as the manual does it: a fault
//! leaves all registers as they were.

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

impl<'b> Insn<'b> {
    /// Accesses X[n] or SP; with post-index then X[n] or SP += X[m], or the size of what is accessed if m is 31.
    fn at_structure(
        &self,
        (rn, rm, mode): (u8, u8, u8),
        bytes: u64,
        access: impl FnOnce(Address<'b>),
    ) -> Flow {
        access(self.at(rn, 0));
        if mode != 0 {
            let step = if rm == 31 { self.konst(bytes) } else { self.x(rm) };
            self.set_x_or_sp(rn, self.x_or_sp(rn) + step);
        }
        Flow::Next
    }

    fn load_lane(&self, size: u8, at: Address<'b>) -> Val<'b> {
        self.b.load_u(integer(size), at.base, at.offset, MemOrder::Plain)
    }

    fn vector(&self, size: u8, n: u8) -> Val<'b> {
        self.b.wide(slot::v(n % REGISTERS)).as_vector(elements(size))
    }

    /// LD1 to LD4 of several registers: element e of register r is at (e * regs + r) * 2^size. LD1's registers lie
    /// one behind the other.
    pub(super) fn load_registers(&self, args: Structure, interleaved: u8) -> Flow {
        let Structure { q, size, rt, rn, rm, mode, regs } = args;
        let bytes = if q { 16 } else { 8 };
        self.at_structure((rn, rm, mode), bytes * u64::from(regs), |at| {
            for r in 0..regs {
                let value = if interleaved == 1 {
                    let whole = at.plus(i32::from(r) * bytes as i32);
                    self.load_v(if q { 4 } else { 3 }, whole)
                } else {
                    self.gather(size, (bytes >> size) as u32, at.plus(i32::from(r) << size), regs)
                };
                self.b.set_wide(slot::v((rt + r) % REGISTERS), value);
            }
        })
    }

    /// A vector of elements that lie `regs` elements apart from each other.
    fn gather(&self, size: u8, count: u32, at: Address<'b>, regs: u8) -> Val<'b> {
        let step = i32::from(regs) << size;
        let first = self.load_lane(size, at).at(integer(size)).zext_wide(elements(size));
        (1..count).fold(first, |vector, e| {
            let element = self.load_lane(size, at.plus(e as i32 * step));
            vector.set_lane(e, element.at(integer(size)))
        })
    }

    /// ST1 to ST4 of several registers.
    pub(super) fn store_registers(&self, args: Structure, interleaved: u8) -> Flow {
        let Structure { q, size, rt, rn, rm, mode, regs } = args;
        let bytes = if q { 16 } else { 8 };
        self.at_structure((rn, rm, mode), bytes * u64::from(regs), |at| {
            if interleaved == 1 {
                for r in 0..regs {
                    let whole = at.plus(i32::from(r) * bytes as i32);
                    self.store_fp(if q { 4 } else { 3 }, (rt + r) % REGISTERS, whole);
                }
                return;
            }
            for e in 0..(bytes >> size) as u32 {
                for r in 0..regs {
                    let place = (e as i32 * i32::from(regs) + i32::from(r)) << size;
                    self.store_lane(size, self.vector(size, rt + r), e, at.plus(place));
                }
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
