//! menvcfg and senvcfg ("Machine Environment Configuration Register", "Supervisor Environment
//! Configuration Register"), and the state-enable registers (Smstateen, Ssstateen).

use base::{CpuFrame, RegSlot};

use super::access::WriteEffect;
use super::context::SystemContext;
use super::{Privilege, interrupt};
use crate::riscv64::feature::Feature;
use crate::riscv64::slot;

/// Fences of I/O order memory too: nothing to do, fences order both.
pub const FIOM: u64 = 1;
/// CBO.INVAL: 0 illegal, 1 flushes, 3 invalidates; 2 is reserved.
pub const CBIE: u64 = 3 << 4;
/// CBO.CLEAN and CBO.FLUSH are legal.
pub const CBCFE: u64 = 1 << 6;
/// CBO.ZERO is legal.
pub const CBZE: u64 = 1 << 7;
/// menvcfg: A and D of page-table entries are updated (Svadu).
pub const ADUE: u64 = 1 << 61;
/// menvcfg: page-based memory types are available (Svpbmt).
pub const PBMTE: u64 = 1 << 62;
/// menvcfg: stimecmp is available (Sstc).
pub const STCE: u64 = 1 << 63;

/// CBIE: the reserved value.
const CBIE_RESERVED: u64 = 2 << 4;

/// mstateen0 to 3: sstateen of the same number is open to supervisor level.
pub const STATEEN_SE: u64 = 1 << 63;
/// mstateen0: senvcfg is open to supervisor level.
pub const STATEEN_ENVCFG: u64 = 1 << 62;
/// mstateen0: siselect and sireg are open to supervisor level.
pub const STATEEN_CSRIND: u64 = 1 << 60;
/// mstateen0: the rest of AIA's state is, but for the IMSIC's.
pub const STATEEN_AIA: u64 = 1 << 59;
/// mstateen0: the IMSIC's state is.
pub const STATEEN_IMSIC: u64 = 1 << 58;
/// What AIA has in mstateen0.
const STATEEN_OF_AIA: u64 = STATEEN_CSRIND | STATEEN_AIA | STATEEN_IMSIC;

/// The fields for cache blocks and fences that a CPU has.
fn common(ctx: &SystemContext) -> u64 {
    let when = |feature, fields| if ctx.features.has(feature) { fields } else { 0 };
    FIOM | when(Feature::Zicbom, CBIE | CBCFE) | when(Feature::Zicboz, CBZE)
}

/// `value` within `writable`, CBIE as it was if the new one is reserved.
fn legal(old: u64, value: u64, writable: u64) -> u64 {
    let new = value & writable;
    if new & CBIE == CBIE_RESERVED { new & !CBIE | old & CBIE } else { new }
}

/// Writes menvcfg.
pub fn set_menvcfg(frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
    let when = |feature, field| if ctx.features.has(feature) { field } else { 0 };
    let writable = common(ctx)
        | when(Feature::Svadu, ADUE)
        | when(Feature::Svpbmt, PBMTE)
        | when(Feature::Sstc, STCE);
    let old = frame.get(slot::MENVCFG);
    let new = legal(old, value, writable);
    frame.set(slot::MENVCFG, new);
    let mut effect = WriteEffect::KEY;
    if (old ^ new) & (ADUE | PBMTE) != 0 {
        effect |= WriteEffect::TRANSLATION;
    }
    if (old ^ new) & STCE != 0 {
        interrupt::announce_timer(frame, ctx);
        effect |= WriteEffect::INTERRUPTS;
    }
    effect
}

/// Writes senvcfg.
pub fn set_senvcfg(frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
    let new = legal(frame.get(slot::SENVCFG), value, common(ctx));
    frame.set(slot::SENVCFG, new);
    WriteEffect::KEY
}

/// The fields for cache blocks as they hold at the hart's level. Machine level may do everything.
#[must_use]
pub fn effective(frame: &CpuFrame) -> u64 {
    let (machine, supervisor) = (frame.get(slot::MENVCFG), frame.get(slot::SENVCFG));
    match Privilege::of(frame) {
        Privilege::Machine => CBIE | CBCFE | CBZE,
        Privilege::Supervisor => machine,
        Privilege::User => {
            let both = machine & supervisor & (CBCFE | CBZE);
            let inval = machine & CBIE != 0 && supervisor & CBIE != 0;
            both | if inval { CBIE } else { 0 }
        }
    }
}

/// Writes mstateen0. Of the state that it guards, a hart has sstateen0, senvcfg, and that of AIA.
pub fn set_mstateen0(frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
    let aia = if ctx.features.has(Feature::Ssaia) { STATEEN_OF_AIA } else { 0 };
    frame.set(slot::MSTATEEN0, value & (STATEEN_SE | STATEEN_ENVCFG | aia));
    WriteEffect::NONE
}

/// Writes mstateen1 to 3, which guard sstateen of the same number.
pub fn set_mstateen(frame: &mut CpuFrame, index: u16, value: u64) -> WriteEffect {
    frame.set(RegSlot(slot::MSTATEEN0.0 + (index & 3)), value & STATEEN_SE);
    WriteEffect::NONE
}

/// Whether supervisor level may access sstateen of this index.
#[must_use]
pub fn is_sstateen_open(frame: &CpuFrame, ctx: &SystemContext, index: u16) -> bool {
    // Without Smstateen there is nothing that could close it.
    !ctx.features.has(Feature::Smstateen)
        || frame.get(RegSlot(slot::MSTATEEN0.0 + (index & 3))) & STATEEN_SE != 0
}

/// Whether a bit of mstateen0 lets supervisor level in.
#[must_use]
pub fn is_open(frame: &CpuFrame, ctx: &SystemContext, bit: u64) -> bool {
    !ctx.features.has(Feature::Smstateen) || frame.get(slot::MSTATEEN0) & bit != 0
}

/// Whether supervisor level may access senvcfg.
#[must_use]
pub fn is_senvcfg_open(frame: &CpuFrame, ctx: &SystemContext) -> bool {
    is_open(frame, ctx, STATEEN_ENVCFG)
}

/// Reads mstateen0 to 3.
#[must_use]
pub fn mstateen(frame: &CpuFrame, index: u16) -> u64 {
    frame.get(RegSlot(slot::MSTATEEN0.0 + (index & 3)))
}
