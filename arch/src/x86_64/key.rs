//! What beside the pc is part of a translation's identity: what MXCSR ([`super::mxcsr`]) says of arithmetic, and the trap
//! flag. Programs that leave both alone have none of these bits. They lie as high as they can: an address that is not canonical is taken for the
//! key of another one only if it differs in these bits alone, and then only where that key is in use.

use base::CpuFrame;

use super::{flags, mxcsr, slot};

/// In a block key's flags: where MXCSR.RC stands.
pub const RC_SHIFT: u32 = 56;
/// In a block key's flags: MXCSR.RC.
pub const RC: u64 = 3 << RC_SHIFT;
/// In a block key's flags: MXCSR.DAZ.
pub const DAZ: u64 = 1 << 58;
/// In a block key's flags: MXCSR.FTZ.
pub const FTZ: u64 = 1 << 59;
/// In a block key's flags: not all exceptions are masked in MXCSR.
pub const UNMASKED: u64 = 1 << 60;

/// In a block key's flags: EFLAGS.TF.
pub const TRACED: u64 = 1 << 61;

const MASK: u64 = RC | DAZ | FTZ | UNMASKED;

/// Translation flags with this MXCSR.
#[must_use]
pub const fn key_flags(old: u64, mxcsr: u32) -> u64 {
    let mxcsr = mxcsr as u64;
    let rc = (mxcsr & mxcsr::RC as u64) >> mxcsr::RC_SHIFT << RC_SHIFT;
    let daz = if mxcsr & mxcsr::DAZ as u64 == 0 { 0 } else { DAZ };
    let ftz = if mxcsr & mxcsr::FTZ as u64 == 0 { 0 } else { FTZ };
    let unmasked = if mxcsr & mxcsr::MASKS as u64 == mxcsr::MASKS as u64 { 0 } else { UNMASKED };
    old & !MASK | rc | daz | ftz | unmasked
}

/// Translation flags with these EFLAGS.
#[must_use]
pub const fn with_trap_flag(old: u64, eflags: u64) -> u64 {
    let traced = if eflags & flags::TF == 0 { 0 } else { TRACED };
    old & !TRACED | traced
}

/// Has the translation flags follow what the frame's MXCSR slot holds, which somebody has restored.
pub fn follow(frame: &mut CpuFrame) {
    frame.key_flags = key_flags(frame.key_flags, frame.get(slot::MXCSR) as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_mxcsr() {
        assert_eq!(key_flags(0, mxcsr::INIT), 0);
        assert_eq!(key_flags(1 << 50, 0x7f80), 1 << 50 | RC);
        assert_eq!(key_flags(RC | DAZ, 0x9f80), FTZ);
        assert_eq!(key_flags(0, 0x1fc0), DAZ);
        assert_eq!(key_flags(0, 0x1f00), UNMASKED);
    }

    #[test]
    fn keys_follow_the_trap_flag() {
        assert_eq!(with_trap_flag(DAZ, 0x302), DAZ | TRACED);
        assert_eq!(with_trap_flag(DAZ | TRACED, 0x202), DAZ);
        assert_eq!(key_flags(TRACED, mxcsr::INIT), TRACED);
    }
}
