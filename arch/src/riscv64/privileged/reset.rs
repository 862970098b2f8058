//! What a hart is after reset ("Reset"), as far as the manual says it.

use base::CpuFrame;

use super::context::SystemContext;
use super::{Privilege, slot, status};
use crate::riscv64::feature::Feature;

/// misa: 64 bits wide.
const MXL_64: u64 = 2 << 62;

/// Puts a hart into its state after reset: machine level, interrupts and translation off, PMP
/// off, cause 0. Registers whose value the manual leaves open are zero; pc and the integer
/// registers are left to whoever starts the hart.
pub fn reset(frame: &mut CpuFrame, ctx: &SystemContext) {
    for index in slot::PRIV.0..=slot::SISELECT.0 {
        frame.slots[usize::from(index)] = 0;
    }
    frame.set(slot::MSTATUS, status::RESET);
    frame.set(slot::MISA, misa(ctx));
    frame.set(slot::MVENDORID, ctx.features.vendor);
    frame.set(slot::MARCHID, ctx.features.architecture);
    frame.set(slot::MIMPID, ctx.features.implementation);
    frame.set(slot::MHARTID, ctx.hart);
    // No timer before somebody asks for one.
    frame.set(slot::STIMECMP, u64::MAX);
    frame.set(slot::RESERVATION_ADDR, slot::NO_RESERVATION);
    Privilege::Machine.enter(frame);
}

/// misa: the letters that the CPU has.
fn misa(ctx: &SystemContext) -> u64 {
    let letters: [(char, &[Feature]); 9] = [
        ('a', &[Feature::A]),
        ('b', &[Feature::Zba, Feature::Zbb, Feature::Zbs]),
        ('c', &[Feature::C]),
        ('d', &[Feature::D]),
        ('f', &[Feature::F]),
        ('i', &[Feature::I]),
        ('m', &[Feature::M]),
        ('s', &[Feature::S]),
        ('u', &[]),
    ];
    let has = |features: &[Feature]| features.iter().all(|&f| ctx.features.has(f));
    letters
        .iter()
        .filter(|(_, features)| has(features))
        .fold(MXL_64, |misa, (letter, _)| misa | 1 << (*letter as u32 - 'a' as u32))
}
