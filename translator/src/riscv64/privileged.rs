//! Volume II: what user mode may not execute.

use decoders::riscv64::{RvPrivileged, Sfence};

use super::{Flow, Insn};

impl RvPrivileged for Insn<'_> {
    /// MRET
    fn mret(&self) -> Flow {
        Flow::Undefined
    }

    /// WFI: in user mode illegal unless it completes at once, which hardware does not.
    fn wfi(&self) -> Flow {
        Flow::Undefined
    }

    /// SRET
    fn sret(&self) -> Flow {
        Flow::Undefined
    }

    /// SFENCE.VMA
    fn sfence_vma(&self, _: Sfence) -> Flow {
        Flow::Undefined
    }

    /// SINVAL.VMA (Svinval)
    fn sinval_vma(&self, _: Sfence) -> Flow {
        Flow::Undefined
    }

    /// SFENCE.W.INVAL (Svinval)
    fn sfence_w_inval(&self) -> Flow {
        Flow::Undefined
    }

    /// SFENCE.INVAL.IR (Svinval)
    fn sfence_inval_ir(&self) -> Flow {
        Flow::Undefined
    }
}
