//! FEAT_MTE for memory without tags, and DC ZVA: what is left of tags is that they read as 0, and that accesses to
//! them fault.

use arch::aarch64::id::CACHE_LINE;
use decoders::aarch64::Tag;
use ir::{MemOrder, Opcode, Type, Val};

use super::address::Address;
use crate::aarch64::{Flow, Insn};

/// Bytes that share an allocation tag.
const GRANULE: i32 = 16;
/// Where the allocation tag of an address lies.
const TAG: u64 = 15 << 56;

impl<'b> Insn<'b> {
    /// DC ZVA: the byte that is named comes first, since a fault has its address.
    pub(in crate::aarch64) fn zero_block(&self, addr: Val<'b>) -> Flow {
        let addr = self.untagged(addr);
        self.b.store(Type::I8, addr, 0, self.konst(0).low8(), MemOrder::Plain);
        let block = addr & self.konst(!(CACHE_LINE - 1));
        self.zero(Address { base: block, offset: 0 }, CACHE_LINE as i32)
    }

    fn zero(&self, at: Address<'b>, bytes: i32) -> Flow {
        let zeros = self.b.zeros();
        for place in (0..bytes).step_by(16) {
            let to = at.plus(place);
            self.b.store(Type::WIDE, to.base, to.offset, zeros, MemOrder::Plain);
        }
        Flow::Next
    }

    /// Faults if a store there would, and does nothing else.
    pub(in crate::aarch64) fn may_store(&self, addr: Val<'b>) -> Flow {
        let _ = self.b.atomic(Opcode::AtomicOr, Type::I8, addr, self.konst(0).low8());
        Flow::Next
    }

    /// STG and its like, since memory has no tags: the address must be aligned, and be one to store to.
    pub(super) fn store_tags(&self, Tag { rn, imm, mode, .. }: Tag, granules: i32) -> Flow {
        self.indexed((rn, imm, mode), |at| {
            let at = self.granule(at);
            for granule in 0..granules {
                self.may_store(at.base + self.imm((granule * GRANULE).into()));
            }
            Flow::Next
        })
    }

    /// STZG and its like: the same, and zeros.
    pub(super) fn store_zeros_and_tags(
        &self,
        Tag { rn, imm, mode, .. }: Tag,
        granules: i32,
    ) -> Flow {
        self.indexed((rn, imm, mode), |at| self.zero(self.granule(at), granules * GRANULE))
    }

    /// An address that must be that of a granule.
    pub(super) fn granule(&self, at: Address<'b>) -> Address<'b> {
        let base = self.sum(at);
        self.b.align_check(Type::WIDE, base);
        Address { base, offset: 0 }
    }

    /// LDG: a load, of the tag 0.
    pub(super) fn load_tag(&self, Tag { rt, rn, imm, .. }: Tag) -> Flow {
        let at = self.at(rn, imm);
        let _ = self.b.load_u(Type::I8, at.base, at.offset, MemOrder::Plain);
        self.set_x(rt, self.x(rt) & self.konst(!TAG))
    }
}
