//! Zicbom, Zicboz: cache-block operations, version 1.0, on blocks of 64 bytes.

use arch::riscv64::cpu::CACHE_BLOCK;
use arch::riscv64::privileged::key;
use decoders::riscv64::{Cbo, RvZicbo};
use ir::{MemOrder, Type, Val};

use super::system::Level;
use super::{Flow, Insn};

impl<'b> Insn<'b> {
    /// Caches are coherent, so that only the fault of a block that may not be accessed remains: in a
    /// whole machine that of a store, though it may be accessed if it can be read, which the machine
    /// sees to; for a program there is no difference.
    fn manage(&self, rs1: u8) -> Flow {
        if self.level != Level::Program {
            return Flow::System;
        }
        let _ = self.b.load_u(Type::I8, self.block(rs1), 0, MemOrder::Plain);
        Flow::Next
    }

    fn clean(&self, rs1: u8) -> Flow {
        if self.level.has(key::CBO_CLEAN, true) { self.manage(rs1) } else { Flow::Undefined }
    }

    fn block(&self, rs1: u8) -> Val<'b> {
        self.x(rs1) & self.konst(!(CACHE_BLOCK - 1))
    }
}

impl RvZicbo for Insn<'_> {
    /// CBO.INVAL (Zicbom): Linux keeps it from user mode (senvcfg.CBIE = 0), unlike the others.
    fn cbo_inval(&self, Cbo { rs1 }: Cbo) -> Flow {
        if self.level.has(key::CBO_INVAL, false) { self.manage(rs1) } else { Flow::Undefined }
    }

    /// CBO.CLEAN (Zicbom)
    fn cbo_clean(&self, Cbo { rs1 }: Cbo) -> Flow {
        self.clean(rs1)
    }

    /// CBO.FLUSH (Zicbom)
    fn cbo_flush(&self, Cbo { rs1 }: Cbo) -> Flow {
        self.clean(rs1)
    }

    /// CBO.ZERO (Zicboz): the block that holds address x[rs1] = 0
    fn cbo_zero(&self, Cbo { rs1 }: Cbo) -> Flow {
        if !self.level.has(key::CBO_ZERO, true) {
            return Flow::Undefined;
        }
        if self.level != Level::Program {
            // First the byte that is named: a fault has its address.
            self.b.store(Type::I8, self.x(rs1), 0, self.konst(0), MemOrder::Plain);
        }
        let block = self.block(rs1);
        for offset in (0..CACHE_BLOCK as i32).step_by(8) {
            self.b.store(Type::I64, block, offset, self.konst(0), MemOrder::Plain);
        }
        Flow::Next
    }
}
