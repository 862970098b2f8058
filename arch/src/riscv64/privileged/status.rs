//! mstatus and sstatus ("Machine Status Registers", "Supervisor Status Register").

use base::CpuFrame;

use super::access::WriteEffect;
use super::context::SystemContext;
use super::{Privilege, key_flags};
use crate::riscv64::feature::Feature;
use crate::riscv64::slot;

/// Supervisor interrupt enable.
pub const SIE: u64 = 1 << 1;
/// Machine interrupt enable.
pub const MIE: u64 = 1 << 3;
/// SIE before the trap to supervisor level.
pub const SPIE: u64 = 1 << 5;
/// MIE before the trap to machine level.
pub const MPIE: u64 = 1 << 7;
/// The level before the trap to supervisor level.
pub const SPP: u64 = 1 << 8;
/// The level before the trap to machine level: see [`mpp`].
pub const MPP: u64 = 3 << MPP_SHIFT;
/// Where MPP stands.
pub const MPP_SHIFT: u32 = 11;
/// State of the floating-point unit: 0 off, 1 initial, 2 clean, 3 dirty.
pub const FS: u64 = 3 << 13;
/// FS: dirty.
pub const FS_DIRTY: u64 = 3 << 13;
/// Loads and stores have the privilege of MPP.
pub const MPRV: u64 = 1 << 17;
/// Supervisor level may access user pages.
pub const SUM: u64 = 1 << 18;
/// Executable pages can be read.
pub const MXR: u64 = 1 << 19;
/// satp and SFENCE.VMA are illegal at supervisor level.
pub const TVM: u64 = 1 << 20;
/// WFI is illegal below machine level.
pub const TW: u64 = 1 << 21;
/// SRET is illegal at supervisor level.
pub const TSR: u64 = 1 << 22;
/// User level is 64 bits wide: read-only.
pub const UXL_64: u64 = 2 << 32;
/// Supervisor level is 64 bits wide: read-only.
pub const SXL_64: u64 = 2 << 34;
/// FS or another unit's state is dirty: read-only, a summary.
pub const SD: u64 = 1 << 63;

/// What mstatus has of writable fields, FS apart.
const WRITABLE: u64 = SIE | MIE | SPIE | MPIE | SPP | MPP | MPRV | SUM | MXR | TVM | TW | TSR;

/// What sstatus shows of mstatus.
pub const SSTATUS: u64 = SIE | SPIE | SPP | FS | SUM | MXR | UXL_64 | SD;

/// What mstatus is after reset.
pub const RESET: u64 = UXL_64 | SXL_64;

/// MPP. Never the reserved level 2: no write lets it in.
#[must_use]
pub fn mpp(mstatus: u64) -> Privilege {
    Privilege::from_number((mstatus & MPP) >> MPP_SHIFT).unwrap_or(Privilege::User)
}

/// Whether the floating-point unit is off: its instructions and registers are illegal.
#[must_use]
pub fn is_fp_off(frame: &CpuFrame) -> bool {
    frame.get(slot::MSTATUS) & FS == 0
}

/// Notes that a floating-point register was written.
pub fn set_fp_dirty(frame: &mut CpuFrame) {
    frame.set(slot::MSTATUS, frame.get(slot::MSTATUS) | FS_DIRTY | SD);
    frame.key_flags = key_flags(frame);
}

/// mstatus from fields, with what is read-only or a summary put right. The reserved level in MPP
/// leaves MPP as it was.
fn legal(ctx: &SystemContext, old: u64, value: u64) -> u64 {
    let fs = if ctx.features.has(Feature::F) { FS } else { 0 };
    let mut new = value & (WRITABLE | fs);
    if Privilege::from_number((new & MPP) >> MPP_SHIFT).is_none() {
        new = new & !MPP | old & MPP;
    }
    let summary = if new & FS == FS_DIRTY { SD } else { 0 };
    new | summary | RESET
}

/// Writes mstatus.
pub fn set_mstatus(frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
    let old = frame.get(slot::MSTATUS);
    let new = legal(ctx, old, value);
    frame.set(slot::MSTATUS, new);
    effect(old, new)
}

/// sstatus.
#[must_use]
pub fn sstatus(frame: &CpuFrame) -> u64 {
    frame.get(slot::MSTATUS) & SSTATUS
}

/// Writes sstatus: the fields of mstatus that it shows.
pub fn set_sstatus(frame: &mut CpuFrame, ctx: &SystemContext, value: u64) -> WriteEffect {
    let old = frame.get(slot::MSTATUS);
    let new = with_sstatus(ctx, old, value);
    frame.set(slot::MSTATUS, new);
    effect(old, new)
}

/// What writing this to sstatus makes of mstatus.
#[must_use]
pub(crate) fn with_sstatus(ctx: &SystemContext, old: u64, value: u64) -> u64 {
    legal(ctx, old, old & !SSTATUS | value & SSTATUS)
}

fn effect(old: u64, new: u64) -> WriteEffect {
    let changed = old ^ new;
    let mut effect = WriteEffect::NONE;
    let mprv_level = if (old | new) & MPRV != 0 { MPP } else { 0 };
    if changed & (SUM | MXR | MPRV | mprv_level) != 0 {
        effect |= WriteEffect::TRANSLATION;
    }
    if changed & new & (SIE | MIE) != 0 {
        effect |= WriteEffect::INTERRUPTS;
    }
    if changed & FS != 0 {
        effect |= WriteEffect::KEY;
    }
    effect
}
