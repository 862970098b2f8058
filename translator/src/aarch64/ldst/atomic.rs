//! Load-acquire and store-release, exclusives, and FEAT_LSE.
//!
//! Atomic operations of IR are sequentially consistent, which is more than any acquire and release ask for. A
//! store-release and a load-acquire after it stay in their order (Arm ARM, B2.3): both are [`MemOrder::SeqCst`].

use arch::aarch64::{helpers, slot};
use decoders::aarch64::{Atomic, CasPair, Extension, LoadPair, StoreExcl, StorePair};
use ir::{MemOrder, Opcode, Type, Val};

use super::address::{Address, integer};
use crate::aarch64::{Flow, Insn};

impl<'b> Insn<'b> {
    /// AArch64.UnalignedAccessFaults, for accesses that are ordered or more than one: with FEAT_LSE2 they need
    /// not be aligned, but must not cross a multiple of 16 bytes.
    pub(super) fn check_alignment(&self, ty: Type, addr: Val<'b>) {
        if ty == Type::I8 {
            return;
        }
        if ty == Type::WIDE || !self.frontend.extensions.contains(Extension::LSE2) {
            return self.b.align_check(ty, addr);
        }
        let last = (addr & self.konst(15)) + self.konst(u64::from(ty.bytes()) - 1);
        // What crosses is not aligned either, so that the address that is reported is its own.
        let crosses = last & self.konst(16);
        self.b.align_check(ty, crosses.select(addr, self.konst(0)));
    }

    /// The address in X[n] or SP, which must be aligned.
    pub(super) fn aligned(&self, ty: Type, rn: u8, imm: i64) -> Address<'b> {
        let base = self.sum(self.at(rn, imm));
        self.check_alignment(ty, base);
        Address { base, offset: 0 }
    }

    /// What the local monitor remembers of an access: its address, and its size where no address has bits. A store
    /// exclusive of another size than the load's fails, for of the bytes beyond nothing is known.
    fn monitored(&self, size: u8, addr: Val<'b>) -> Val<'b> {
        match size {
            // As the helper for STXP has it.
            4 => addr,
            _ => addr | self.konst((u64::from(size) + 1) << 56),
        }
    }

    /// The local monitor holds the address, and what was read there. A store exclusive then succeeds if the value is
    /// still there, even if it changed and changed back, or was stored again by another PE. There the manual demands
    /// that it fail (B2.12): this deviates from it, as other emulators do, for the sake of plain stores, which would
    /// have to look for monitors. A program notices only if it takes success to mean that no store has come.
    fn monitor(&self, size: u8, addr: Val<'b>, value: Val<'b>) {
        self.b.set_slot(slot::EXCLUSIVE_ADDR, self.monitored(size, addr));
        self.b.set_slot(slot::EXCLUSIVE_LO, value);
    }

    /// LDXR, LDAXR
    pub(super) fn load_exclusive(&self, size: u8, rt: u8, rn: u8, order: MemOrder) -> Flow {
        let ty = integer(size);
        let at = self.aligned(ty, rn, 0);
        let value = self.b.load_u(ty, at.base, at.offset, order);
        self.monitor(size, at.base, value);
        self.set_x(rt, value)
    }

    /// Without a branch: a compare-and-swap of the value that was read in any case, which stores that same value
    /// again unless the monitor holds the address. 0 if it has stored the new one, else 1.
    fn store_if_monitored(&self, size: u8, addr: Val<'b>, new: Val<'b>) -> Val<'b> {
        let ty = integer(size);
        let seen = self.b.slot(slot::EXCLUSIVE_LO);
        let passes = self.monitored(size, addr).eq(self.b.slot(slot::EXCLUSIVE_ADDR));
        let new = passes.select(new, seen);
        let old = self.b.atomic_cas(ty, addr, seen.at(ty), new.at(ty));
        let success = passes & old.eq(seen.at(ty));
        self.b.set_slot(slot::EXCLUSIVE_ADDR, self.konst(slot::NO_EXCLUSIVE));
        success ^ self.konst(1)
    }

    /// STXR, STLXR
    pub(super) fn store_exclusive(&self, StoreExcl { size, rs, rt, rn }: StoreExcl) -> Flow {
        let at = self.aligned(integer(size), rn, 0);
        self.set_x(rs, self.store_if_monitored(size, at.base, self.x(rt)))
    }

    /// LDXP, LDAXP
    pub(super) fn load_exclusive_pair(
        &self,
        LoadPair { sf, rt, rt2, rn }: LoadPair,
        order: MemOrder,
    ) -> Flow {
        if sf {
            let at = self.aligned(Type::WIDE, rn, 0);
            let both = self.b.load_wide(at.base, at.offset, order);
            let (low, high) = (both.lane_u(0), both.lane_u(1));
            self.monitor(4, at.base, low);
            self.b.set_slot(slot::EXCLUSIVE_HI, high);
            self.set_x(rt, low);
            return self.set_x(rt2, high);
        }
        let at = self.aligned(Type::I64, rn, 0);
        let both = self.b.load_u(Type::I64, at.base, at.offset, order);
        self.monitor(3, at.base, both);
        self.set_r(rt, both.low32());
        self.set_x(rt2, both.shr_u(self.konst(32)))
    }

    /// STXP, STLXP
    pub(super) fn store_exclusive_pair(
        &self,
        StorePair { sf, rs, rt, rt2, rn }: StorePair,
    ) -> Flow {
        if sf {
            let at = self.aligned(Type::WIDE, rn, 0);
            let registers = [at.base, self.konst(rt.into()), self.konst(rt2.into())];
            return self.set_x(rs, self.call(helpers::STXP, &registers));
        }
        let at = self.aligned(Type::I64, rn, 0);
        let new = self.pair_of_words(self.x(rt), self.x(rt2));
        self.set_x(rs, self.store_if_monitored(3, at.base, new))
    }

    fn pair_of_words(&self, low: Val<'b>, high: Val<'b>) -> Val<'b> {
        low.low32().zext() | high.shl(self.konst(32))
    }

    /// LDADD and its like: R[t] = memory; memory = memory op R[s]
    pub(super) fn atomic(&self, op: Opcode, args: Atomic) -> Flow {
        self.atomic_of(op, args, self.x(args.rs))
    }

    pub(super) fn atomic_of(
        &self,
        op: Opcode,
        Atomic { size, rt, rn, .. }: Atomic,
        operand: Val<'b>,
    ) -> Flow {
        let ty = integer(size);
        let at = self.aligned(ty, rn, 0);
        let old = self.b.atomic(op, ty, at.base, operand.at(ty));
        self.set_r(rt, old)
    }

    /// CAS: if memory == R[s] then memory = R[t]; R[s] = what was there
    pub(super) fn compare_and_swap(&self, Atomic { size, rs, rt, rn, .. }: Atomic) -> Flow {
        let ty = integer(size);
        let at = self.aligned(ty, rn, 0);
        let old = self.b.atomic_cas(ty, at.base, self.x(rs).at(ty), self.x(rt).at(ty));
        self.set_r(rs, old)
    }

    /// CASP: the same of pairs of registers
    pub(super) fn compare_and_swap_pair(&self, CasPair { sf, rs, rt, rn, .. }: CasPair) -> Flow {
        if sf {
            let at = self.aligned(Type::WIDE, rn, 0);
            let registers = [at.base, self.konst(rs.into()), self.konst(rt.into())];
            self.b.call_void(helpers::CASP, &registers);
            return Flow::Next;
        }
        let at = self.aligned(Type::I64, rn, 0);
        let expected = self.pair_of_words(self.x(rs), self.x(rs + 1));
        let new = self.pair_of_words(self.x(rt), self.x(rt + 1));
        let old = self.b.atomic_cas(Type::I64, at.base, expected, new);
        self.set_r(rs, old.low32());
        self.set_x(rs + 1, old.shr_u(self.konst(32)))
    }
}
