//! What a translation depends on beside its pc: the flags of its block key in system mode.

use base::CpuFrame;

use super::{Privilege, envcfg, slot, status};
use crate::riscv64::csr::{self, FRM_MASK, KEY_FRM_SHIFT};

/// The privilege mode: two bits, numbered as [`Privilege`].
pub const PRIV_SHIFT: u32 = KEY_FRM_SHIFT + 3;
/// The mode's two bits.
pub const PRIV: u64 = 3 << PRIV_SHIFT;
/// mstatus.FS is off: floating-point instructions are illegal.
pub const FS_OFF: u64 = 1 << (PRIV_SHIFT + 2);
/// mstatus.FS is not dirty: what writes a floating-point register makes it so.
pub const FS_NOT_DIRTY: u64 = 1 << (PRIV_SHIFT + 3);
/// CBO.ZERO is legal in this mode.
pub const CBO_ZERO: u64 = 1 << (PRIV_SHIFT + 4);
/// CBO.CLEAN and CBO.FLUSH are legal in this mode.
pub const CBO_CLEAN: u64 = 1 << (PRIV_SHIFT + 5);
/// CBO.INVAL is legal in this mode.
pub const CBO_INVAL: u64 = 1 << (PRIV_SHIFT + 6);

/// The privilege mode in a key's flags.
#[must_use]
pub const fn privilege(flags: u64) -> Privilege {
    match (flags & PRIV) >> PRIV_SHIFT {
        0 => Privilege::User,
        1 => Privilege::Supervisor,
        _ => Privilege::Machine,
    }
}

/// The flags that the hart's state calls for. Everything in this module's crate that changes the
/// state keeps [`CpuFrame::key_flags`] in step; who writes slots otherwise does it with this.
#[must_use]
pub fn key_flags(frame: &CpuFrame) -> u64 {
    let frm = csr::key_flags(0, frame.get(slot::FRM) & FRM_MASK);
    let level = (frame.get(slot::PRIV) & 3) << PRIV_SHIFT;
    let fp = match frame.get(slot::MSTATUS) & status::FS {
        0 => FS_OFF | FS_NOT_DIRTY,
        status::FS_DIRTY => 0,
        _ => FS_NOT_DIRTY,
    };
    frm | level | fp | cache_blocks(envcfg::effective(frame))
}

fn cache_blocks(envcfg: u64) -> u64 {
    let mut flags = 0;
    if envcfg & envcfg::CBZE != 0 {
        flags |= CBO_ZERO;
    }
    if envcfg & envcfg::CBCFE != 0 {
        flags |= CBO_CLEAN;
    }
    if envcfg & envcfg::CBIE != 0 {
        flags |= CBO_INVAL;
    }
    flags
}
