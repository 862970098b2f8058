//! satp ("Supervisor Address Translation and Protection Register").

use base::{CpuFrame, GuestPhys};

use super::access::WriteEffect;
use super::context::SystemContext;
use crate::riscv64::feature::Feature;
use crate::riscv64::slot;

/// Where MODE stands.
pub const MODE_SHIFT: u32 = 60;
/// Where ASID stands; all its 16 bits are implemented.
pub const ASID_SHIFT: u32 = 44;
/// The physical page number of the root page table.
pub const PPN: u64 = (1 << ASID_SHIFT) - 1;

/// MODE: how addresses are translated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Mode {
    /// Not at all.
    Bare = 0,
    /// Three levels.
    Sv39 = 8,
    /// Four levels.
    Sv48 = 9,
    /// Five levels.
    Sv57 = 10,
}

impl Mode {
    /// MODE of a satp value; `None` if it is reserved.
    #[must_use]
    pub const fn of(satp: u64) -> Option<Self> {
        match satp >> MODE_SHIFT {
            0 => Some(Self::Bare),
            8 => Some(Self::Sv39),
            9 => Some(Self::Sv48),
            10 => Some(Self::Sv57),
            _ => None,
        }
    }

    /// Levels of page tables.
    #[must_use]
    pub const fn levels(self) -> u32 {
        match self {
            Self::Bare => 0,
            Self::Sv39 => 3,
            Self::Sv48 => 4,
            Self::Sv57 => 5,
        }
    }

    fn is_present(self, ctx: &SystemContext) -> bool {
        match self {
            Self::Bare => true,
            Self::Sv39 => ctx.features.has(Feature::Sv39),
            Self::Sv48 => ctx.features.has(Feature::Sv48),
            Self::Sv57 => ctx.features.has(Feature::Sv57),
        }
    }
}

/// The root page table.
#[must_use]
pub const fn root(satp: u64) -> GuestPhys {
    GuestPhys((satp & PPN) << 12)
}

/// The address space.
#[must_use]
pub const fn asid(satp: u64) -> u16 {
    (satp >> ASID_SHIFT) as u16
}

/// Writes satp. With a mode that the CPU does not have, the write has no effect at all.
pub fn set_satp(frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
    if !Mode::of(value).is_some_and(|mode| mode.is_present(ctx)) {
        return WriteEffect::NONE;
    }
    frame.set(slot::SATP, value);
    WriteEffect::TRANSLATION
}
