//! Control and status registers that a user-level program can reach: their numbers and where their
//! state lies (volume II, "CSR Listing").

use base::CpuFrame;

use super::slot;

/// Accrued floating-point exceptions.
pub const FFLAGS: u16 = 0x001;
/// Dynamic rounding mode.
pub const FRM: u16 = 0x002;
/// Both of them.
pub const FCSR: u16 = 0x003;
/// Entropy source (Zkr). Not open to user mode: nothing sets mseccfg.USEED.
pub const SEED: u16 = 0x015;
/// Cycles executed.
pub const CYCLE: u16 = 0xc00;
/// Wall-clock time, in ticks of [`TIMEBASE_HZ`].
pub const TIME: u16 = 0xc01;
/// Instructions retired.
pub const INSTRET: u16 = 0xc02;
/// The first and the last of the hardware performance counters.
pub const HPMCOUNTERS: std::ops::RangeInclusive<u16> = 0xc03..=0xc1f;

/// Ticks of `time` in a second.
pub const TIMEBASE_HZ: u64 = 10_000_000;

/// The bits of `fflags`.
pub const FFLAGS_MASK: u64 = 0x1f;
/// The bits of `frm`, once shifted down.
pub const FRM_MASK: u64 = 7;
/// Where `frm` stands in `fcsr`.
pub const FRM_SHIFT: u32 = 5;

/// In a block key's flags: where `frm` stands. The rounding mode is part of a translation's
/// identity, so that an instruction with dynamic rounding costs no more than one with static.
pub const KEY_FRM_SHIFT: u32 = 48;

/// The floating-point control and status register.
#[must_use]
pub fn fcsr(frame: &CpuFrame) -> u64 {
    frame.get(slot::FRM) << FRM_SHIFT | frame.get(slot::FFLAGS)
}

/// Writes the floating-point control and status register; bits beyond it are ignored, as a csrw
/// would. Keeps the translation flags in step: `frm` must be written in no other way.
pub fn set_fcsr(frame: &mut CpuFrame, value: u64) {
    frame.set(slot::FFLAGS, value & FFLAGS_MASK);
    frame.set(slot::FRM, value >> FRM_SHIFT & FRM_MASK);
    frame.key_flags = key_flags(frame.key_flags, frame.get(slot::FRM));
}

/// Translation flags with this `frm`.
#[must_use]
pub const fn key_flags(old: u64, frm: u64) -> u64 {
    old & !(FRM_MASK << KEY_FRM_SHIFT) | (frm & FRM_MASK) << KEY_FRM_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fcsr_and_the_translation_flags_stay_in_step() {
        let mut frame = CpuFrame::new();
        set_fcsr(&mut frame, 0xffff_ff00 | 3 << 5 | 0x11);
        assert_eq!(fcsr(&frame), 3 << 5 | 0x11);
        assert_eq!(frame.key_flags, 3 << KEY_FRM_SHIFT);
        set_fcsr(&mut frame, 0);
        assert_eq!((fcsr(&frame), frame.key_flags), (0, 0));
    }
}
