//! What beside FPCR ([`super::fpcr`]) is part of a translation's identity. Both bits choose translations that any
//! program may run under; the others are quicker, and do for nearly all of them. So a CPU begins without, and keeps
//! what it once was given.

use base::CpuFrame;

use super::slot;

/// In a block key's flags: addresses may have tags, which are to be ignored (TCR_EL1.TBI0). It is set for a CPU at the
/// first fault of an address with a tag, and stays.
pub const TAGGED: u64 = 1 << 62;

/// In a block key's flags: the stack pointer may be no multiple of 16, and is checked where it is the base of an access
/// (SCTLR_EL1.SA0). Without the bit, it is a multiple of 16 whenever translations are entered, and they are left,
/// with a trap of misalignment, before an instruction that would make it anything else.
pub const STACK_CHECKED: u64 = 1 << 63;

/// Sets the bit for a CPU. Whether it was clear.
pub fn check_stack(frame: &mut CpuFrame) -> bool {
    let is_new = frame.key_flags & STACK_CHECKED == 0;
    frame.key_flags |= STACK_CHECKED;
    is_new
}

/// Writes SP, and keeps the translation flags in step. Whoever is no translation writes it by this.
pub fn set_sp(frame: &mut CpuFrame, value: u64) {
    frame.set(slot::SP, value);
    if !value.is_multiple_of(16) {
        frame.key_flags |= STACK_CHECKED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_is_not_aligned_is_checked_from_then_on() {
        let mut frame = CpuFrame::new();
        set_sp(&mut frame, 0x7fff_fff0);
        assert_eq!((frame.get(slot::SP), frame.key_flags), (0x7fff_fff0, 0));
        set_sp(&mut frame, 0x7fff_fff8);
        set_sp(&mut frame, 0x7fff_ffe0);
        assert_eq!((frame.get(slot::SP), frame.key_flags), (0x7fff_ffe0, STACK_CHECKED));
        assert!(!check_stack(&mut frame));
        frame.key_flags = TAGGED;
        assert!(check_stack(&mut frame));
        assert_eq!(frame.key_flags, TAGGED | STACK_CHECKED);
    }
}
