//! The privileged architecture ("The RISC-V Instruction Set Manual", volume II: machine level 1.13,
//! supervisor level 1.13) as logic on a hart's state, with no execution loop, TLB or device.
//!
//! Every register's value lies in the CPU frame ([`crate::riscv64::slot`]); what other threads write, and
//! what a machine gives to its harts, lies in a [`SystemContext`]. One file a chapter:
//!
//! | File | Of volume II |
//! |---|---|
//! | `csr` | "CSR Listing": one row a register |
//! | `access` | "CSR Address Mapping Conventions": who may read and write |
//! | `status` | mstatus, sstatus |
//! | `envcfg` | menvcfg, senvcfg; Smstateen, Ssstateen |
//! | `trap` | medeleg, mideleg, xtvec, xepc, xcause, xtval; MRET, SRET |
//! | `interrupt` | mip, mie, sip, sie; stimecmp (Sstc); WFI |
//! | `aia` | Smaia, Ssaia |
//! | `counter` | mcycle, minstret, mcounteren, mcountinhibit, scounteren; Zicntr, Zihpm |
//! | `pmp` | "Physical Memory Protection" |
//! | `mmu` | satp; Sv39, Sv48, Sv57, Svnapot, Svpbmt, Svade, Svadu |
//! | `execute` | the instructions, SFENCE.VMA and Svinval included |
//!
//! Absent: the hypervisor extension, debug and trigger registers, Smepmp and mseccfg, Sscofpmf,
//! Smrnmi, Ssdbltrp, Zicfilp, Zicfiss and pointer masking. Their registers are illegal, their
//! fields read-only zero.

pub mod access;
pub mod aia;
pub mod context;
pub mod counter;
pub mod csr;
pub mod envcfg;
pub mod execute;
pub mod interrupt;
pub mod key;
pub mod mmu;
pub mod pmp;
pub mod reset;
pub mod satp;
pub mod status;
#[cfg(test)]
mod tests;
pub mod trap;

use base::CpuFrame;

use super::slot;
pub use access::{Illegal, WriteEffect};
pub use context::{CsrFeatures, FenceScope, SystemContext, SystemHooks, TimeSource};
pub use execute::{Outcome, SystemInsn, SystemOp, execute};
pub use interrupt::Interrupt;
pub use key::key_flags;
pub use reset::reset;
pub use trap::{Cause, Exception, INTERRUPT};

/// A privilege level ("Privilege Levels"), numbered as the manual does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Privilege {
    /// User level.
    User = 0,
    /// Supervisor level.
    Supervisor = 1,
    /// Machine level.
    Machine = 3,
}

impl Privilege {
    /// The level of this number; `None` for 2, which is reserved, and what is no level.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::User),
            1 => Some(Self::Supervisor),
            3 => Some(Self::Machine),
            _ => None,
        }
    }

    /// The level at which the hart runs.
    #[inline]
    #[must_use]
    pub fn of(frame: &CpuFrame) -> Self {
        match frame.get(slot::PRIV) & 3 {
            0 => Self::User,
            1 => Self::Supervisor,
            _ => Self::Machine,
        }
    }

    /// Makes the hart run at this level. The translation flags follow it.
    pub fn enter(self, frame: &mut CpuFrame) {
        frame.set(slot::PRIV, self as u64);
        frame.key_flags = key_flags(frame);
    }
}
