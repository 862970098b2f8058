//! Volume II: illegal in user mode; executed by the machine in system mode.

use decoders::riscv64::{RvPrivileged, Sfence};

use super::{Flow, Insn};

impl RvPrivileged for Insn<'_> {
    /// MRET
    fn mret(&self) -> Flow {
        self.privileged()
    }

    /// WFI: in user mode illegal unless it completes at once, which hardware does not.
    fn wfi(&self) -> Flow {
        self.privileged()
    }

    /// SRET
    fn sret(&self) -> Flow {
        self.privileged()
    }

    /// SFENCE.VMA
    fn sfence_vma(&self, _: Sfence) -> Flow {
        self.privileged()
    }

    /// SINVAL.VMA (Svinval)
    fn sinval_vma(&self, _: Sfence) -> Flow {
        self.privileged()
    }

    /// SFENCE.W.INVAL (Svinval)
    fn sfence_w_inval(&self) -> Flow {
        self.privileged()
    }

    /// SFENCE.INVAL.IR (Svinval)
    fn sfence_inval_ir(&self) -> Flow {
        self.privileged()
    }
}
