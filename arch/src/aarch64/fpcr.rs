//! FPCR and FPSR (DDI 0487, C5.2): which bits there are, how FPSR is put together from the frame, and what of FPCR
//! is part of a translation's identity.

use base::CpuFrame;
use base::float::Flags;

use super::slot;

/// Alternative half-precision format.
pub const AHP: u64 = 1 << 26;
/// Default NaN.
pub const DN: u64 = 1 << 25;
/// Flush denormalised numbers of single and double precision to zero.
pub const FZ: u64 = 1 << 24;
/// Where the rounding mode stands: 0 to nearest, 1 up, 2 down, 3 toward zero.
pub const RMODE_SHIFT: u32 = 22;
/// The rounding mode, once shifted down.
pub const RMODE_MASK: u64 = 3;
/// Flush denormalised numbers of half precision to zero.
pub const FZ16: u64 = 1 << 19;

/// The bits of FPCR that can be set. Exceptions are not trapped, so the enables read as zero; so do Len and Stride,
/// which AArch32 alone would use, and what FEAT_AFP and FEAT_EBF16 add.
pub const FPCR_WRITABLE: u64 = AHP | DN | FZ | RMODE_MASK << RMODE_SHIFT | FZ16;

/// In a block key's flags: where the rounding mode stands.
pub const KEY_RMODE_SHIFT: u32 = 48;
/// In a block key's flags: FPCR.FZ.
pub const KEY_FZ: u64 = 1 << 50;
/// In a block key's flags: FPCR.DN.
pub const KEY_DN: u64 = 1 << 51;
/// In a block key's flags: FPCR.FZ16.
pub const KEY_FZ16: u64 = 1 << 52;
/// In a block key's flags: FPCR.AHP.
pub const KEY_AHP: u64 = 1 << 53;

const KEY_MASK: u64 = RMODE_MASK << KEY_RMODE_SHIFT | KEY_FZ | KEY_DN | KEY_FZ16 | KEY_AHP;

/// FPSR.QC: an Advanced SIMD operation has saturated.
pub const QC: u64 = 1 << 27;

/// The flags of FPSR, from the ones that the frame holds.
const FPSR_FLAGS: [(u64, Flags); 6] = [
    (1 << 7, Flags::ID),
    (1 << 4, Flags::NX),
    (1 << 3, Flags::UF),
    (1 << 2, Flags::OF),
    (1 << 1, Flags::DZ),
    (1 << 0, Flags::NV),
];

/// Translation flags with this FPCR.
#[must_use]
pub const fn key_flags(old: u64, fpcr: u64) -> u64 {
    const fn bit(fpcr: u64, from: u64, to: u64) -> u64 {
        if fpcr & from == 0 { 0 } else { to }
    }
    old & !KEY_MASK
        | (fpcr >> RMODE_SHIFT & RMODE_MASK) << KEY_RMODE_SHIFT
        | bit(fpcr, FZ, KEY_FZ)
        | bit(fpcr, DN, KEY_DN)
        | bit(fpcr, FZ16, KEY_FZ16)
        | bit(fpcr, AHP, KEY_AHP)
}

/// FPCR.
#[must_use]
pub fn fpcr(frame: &CpuFrame) -> u64 {
    frame.get(slot::FPCR)
}

/// Writes FPCR, and the translation flags with it. Bits that cannot be set are ignored.
pub fn set_fpcr(frame: &mut CpuFrame, value: u64) {
    frame.set(slot::FPCR, value & FPCR_WRITABLE);
    frame.key_flags = key_flags(frame.key_flags, frame.get(slot::FPCR));
}

/// FPSR.
#[must_use]
pub fn fpsr(frame: &CpuFrame) -> u64 {
    let raised = Flags(frame.get(slot::FP_FLAGS) as u8);
    let flags = FPSR_FLAGS.iter().filter(|(_, flag)| raised.contains(*flag));
    let saturated = if frame.get(slot::QC) == 0 { 0 } else { QC };
    flags.map(|(bit, _)| bit).sum::<u64>() | saturated
}

/// Writes FPSR. Bits that it does not have are ignored.
pub fn set_fpsr(frame: &mut CpuFrame, value: u64) {
    let flags = FPSR_FLAGS.iter().filter(|(bit, _)| value & bit != 0);
    let raised = flags.fold(Flags::NONE, |raised, &(_, flag)| raised | flag);
    frame.set(slot::FP_FLAGS, u64::from(raised.0));
    frame.set(slot::QC, u64::from(value & QC != 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fpcr_and_the_translation_flags_stay_in_step() {
        let mut frame = CpuFrame::new();
        frame.key_flags = 1 << 63;
        set_fpcr(&mut frame, u64::MAX);
        assert_eq!(fpcr(&frame), 0x07c8_0000);
        assert_eq!(frame.key_flags, 1 << 63 | KEY_MASK);
        set_fpcr(&mut frame, 2 << RMODE_SHIFT | DN);
        assert_eq!(frame.key_flags, 1 << 63 | 2 << KEY_RMODE_SHIFT | KEY_DN);
        set_fpcr(&mut frame, 0);
        assert_eq!((fpcr(&frame), frame.key_flags), (0, 1 << 63));
    }

    #[test]
    fn fpsr_is_what_was_written_to_it() {
        let mut frame = CpuFrame::new();
        set_fpsr(&mut frame, u64::MAX);
        assert_eq!(fpsr(&frame), 0x0800_009f);
        assert_eq!((frame.get(slot::FP_FLAGS), frame.get(slot::QC)), (0x3f, 1));
        for bit in [27, 7, 4, 3, 2, 1, 0] {
            set_fpsr(&mut frame, 1 << bit);
            assert_eq!(fpsr(&frame), 1 << bit);
        }
        frame.set(slot::FP_FLAGS, u64::from(Flags::UF.0));
        assert_eq!(fpsr(&frame), 1 << 3);
    }
}
