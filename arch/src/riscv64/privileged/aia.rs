//! Smaia and Ssaia (RISC-V Advanced Interrupt Architecture 1.0, chapters 2, 3 and 5): interrupts
//! beyond the basic ones, and the way to a hart's interrupt files in an IMSIC.
//!
//! What the manual leaves open: priorities of major interrupts are read-only zero, and no interrupt is
//! virtual (mvien), so that `mtopi` and `stopi` report the default order.

use base::{CpuFrame, RegSlot};

use super::access::{Illegal, Modify, WriteEffect};
use super::context::SystemContext;
use super::interrupt::{self, Interrupt};
use super::{Privilege, envcfg, slot};

/// Which of a hart's interrupt files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterruptFile {
    /// `miselect`, `mireg`, `mtopei`.
    Machine,
    /// `siselect`, `sireg`, `stopei`.
    Supervisor,
}

/// What a CSR instruction asks of an interrupt file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileOp {
    /// Reads `*topei`.
    Top,
    /// Reads `*topei` and claims what it says, at once.
    Claim,
    /// Reads a register and changes it, at once.
    Register {
        /// Which, as `*iselect` numbers them.
        select: u64,
        /// How.
        how: Modify,
    },
}

/// Registers that are reached by what `*iselect` says, or claim what they read: an access does both at
/// once, and may be illegal by what it finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileRegister {
    /// `mireg`, `sireg`.
    Ireg(InterruptFile),
    /// `mtopei`, `stopei`.
    Topei(InterruptFile),
}

/// Bits of `*iselect` that are kept.
pub const ISELECT: u64 = 0xfff;

/// `*iselect`: priorities of major interrupts; only even numbers exist.
const IPRIO: std::ops::RangeInclusive<u64> = 0x30..=0x3f;
/// `*iselect`: registers of the interrupt file.
const FILE: std::ops::RangeInclusive<u64> = 0x70..=0xff;

/// `*topi`: where the interrupt's number stands.
const IID_SHIFT: u32 = 16;
/// `*topi`: the priority, where all are read-only zero.
const IPRIO_ONLY: u64 = 1;

impl InterruptFile {
    fn select(self) -> RegSlot {
        match self {
            Self::Machine => slot::MISELECT,
            Self::Supervisor => slot::SISELECT,
        }
    }
}

/// Executes a CSR instruction. Returns what rd gets.
///
/// # Errors
/// [`Illegal`] if there is no such register, or no interrupt file.
pub(super) fn modify(
    frame: &CpuFrame,
    ctx: &SystemContext,
    register: FileRegister,
    how: Modify,
) -> Result<(u64, WriteEffect), Illegal> {
    let (file, op) = match register {
        FileRegister::Topei(file) if how == Modify::Nothing => (file, FileOp::Top),
        FileRegister::Topei(file) => (file, FileOp::Claim),
        FileRegister::Ireg(file) => match frame.get(file.select()) {
            select if IPRIO.contains(&select) && select.is_multiple_of(2) => {
                return Ok((0, WriteEffect::NONE));
            }
            select if FILE.contains(&select) && is_file_open(frame, ctx) => {
                (file, FileOp::Register { select, how })
            }
            _ => return Err(Illegal),
        },
    };
    let old = ctx.hooks.interrupt_file(ctx.hart, file, op).ok_or(Illegal)?;
    Ok((old, WriteEffect::INTERRUPTS))
}

/// mstateen0.IMSIC guards the interrupt file behind sireg too.
fn is_file_open(frame: &CpuFrame, ctx: &SystemContext) -> bool {
    Privilege::of(frame) == Privilege::Machine || envcfg::is_open(frame, ctx, envcfg::STATEEN_IMSIC)
}

/// mtopi: the first of the interrupts that are pending and enabled for machine level.
#[must_use]
pub fn mtopi(frame: &CpuFrame, ctx: &SystemContext) -> u64 {
    top(interrupt::mip(frame, ctx) & frame.get(slot::MIE) & !frame.get(slot::MIDELEG))
}

/// stopi: the same for supervisor level.
#[must_use]
pub fn stopi(frame: &CpuFrame, ctx: &SystemContext) -> u64 {
    top(interrupt::mip(frame, ctx) & frame.get(slot::MIE) & frame.get(slot::MIDELEG))
}

fn top(ready: u64) -> u64 {
    let first = Interrupt::BY_PRIORITY.into_iter().find(|i| ready & i.bit() != 0);
    first.map_or(0, |interrupt| (interrupt as u64) << IID_SHIFT | IPRIO_ONLY)
}
