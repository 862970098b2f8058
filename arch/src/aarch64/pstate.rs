//! PSTATE as one value, in the layout of SPSR_EL1 (DDI 0487, C5.2): what an exception saves, a signal frame holds
//! and debuggers call cpsr.

use base::{CpuFrame, RegSlot};

use super::slot;

/// The condition flags.
pub const NZCV: u64 = 0xf << 28;
/// Tag check override.
pub const TCO: u64 = 1 << 25;
/// Data-independent timing.
pub const DIT: u64 = 1 << 24;
/// Software step.
pub const SS: u64 = 1 << 21;
/// Speculative store bypass safe.
pub const SSBS: u64 = 1 << 12;
/// How an indirect branch came here: [`CpuFrame::approach`].
pub const BTYPE: u64 = 3 << BTYPE_SHIFT;
const BTYPE_SHIFT: u32 = 10;
/// Mode: exception level and stack pointer. EL0 is 0.
pub const MODE: u64 = 0x1f;

/// Bits that are 0 or 1 in a slot of their own.
const SINGLE: [(u64, RegSlot); 3] = [(TCO, slot::TCO), (DIT, slot::DIT), (SSBS, slot::SSBS)];

/// PSTATE at EL0.
#[must_use]
pub fn pstate(frame: &CpuFrame) -> u64 {
    let set = SINGLE.iter().filter(|(_, slot)| frame.get(*slot) != 0);
    let single = set.map(|(bit, _)| bit).sum::<u64>();
    frame.get(slot::NZCV) & NZCV | single | frame.approach << BTYPE_SHIFT & BTYPE
}

/// Has control come to where the frame's pc is as by BLR: so Linux enters signal handlers, if there is FEAT_BTI.
pub fn called_indirectly(frame: &mut CpuFrame) {
    const CALL: u64 = 0b10;
    frame.approach = CALL;
}

/// Writes what EL0 has of PSTATE; other bits are ignored.
pub fn set_pstate(frame: &mut CpuFrame, value: u64) {
    frame.set(slot::NZCV, value & NZCV);
    frame.approach = (value & BTYPE) >> BTYPE_SHIFT;
    SINGLE.iter().for_each(|&(bit, slot)| frame.set(slot, u64::from(value & bit != 0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pstate_is_what_was_written_to_it() {
        let mut frame = CpuFrame::new();
        set_pstate(&mut frame, u64::MAX);
        assert_eq!(pstate(&frame), 0xf300_1c00);
        assert_eq!((frame.get(slot::NZCV), frame.get(slot::DIT)), (0xf000_0000, 1));
        for bit in [31, 30, 29, 28, 25, 24, 12, 11, 10] {
            set_pstate(&mut frame, 1 << bit);
            assert_eq!(pstate(&frame), 1 << bit);
        }
        set_pstate(&mut frame, 0x3c5);
        assert_eq!(pstate(&frame), 0);
    }
}
