//! FEAT_MOPS: memory copy and memory set.
//!
//! Registers are as option A of the manual has them. The main and the final instruction do some of the bytes and are
//! executed again until all are done; so interrupts come through, and a fault leaves the registers saying what is
//! left. What unprivileged and non-temporal accesses would change, a program does not see.

use base::HelperId;
use decoders::aarch64::Copy;
use ir::Terminator;

use crate::aarch64::{Flow, Insn};

/// A helper's argument: the numbers of destination, source and size.
fn registers(Copy { rd, rs, rn, .. }: Copy) -> u64 {
    u64::from(rd) | u64::from(rs) << 8 | u64::from(rn) << 16
}

impl Insn<'_> {
    /// A prologue.
    pub(super) fn start(&self, helper: HelperId, args: Copy) -> Flow {
        self.b.call_void(helper, &[self.konst(registers(args))]);
        Flow::Next
    }

    /// A main or final instruction: the helper says whether anything is left.
    pub(super) fn repeat(&self, helper: HelperId, args: Copy) -> Flow {
        let more = self.call(helper, &[self.konst(registers(args))]);
        self.b.terminate(Terminator::Branch {
            cond: more.operand(),
            taken: self.pc,
            fallthrough: self.next,
        });
        Flow::EndBlock
    }
}
