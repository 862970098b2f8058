//! FPCR and FPSR (DDI 0487, C5.2): which bits there are, how FPSR is put together from the frame, what FPCR means
//! for arithmetic, and what of it is part of a translation's identity.

use base::CpuFrame;
use base::float::{DenormalsIn, DenormalsOut, Env, Flags, NanRule, Round, Rules};

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

/// In a block key's flags: where the rounding mode stands. All of A64's flags lie where addresses have their tags: a
/// pointer with a wrong authentication code, which differs in bits 54 to 48, is never taken for the key of a right
/// one.
pub const KEY_RMODE_SHIFT: u32 = 56;
/// In a block key's flags: FPCR.FZ.
pub const KEY_FZ: u64 = 1 << 58;
/// In a block key's flags: FPCR.DN.
pub const KEY_DN: u64 = 1 << 59;
/// In a block key's flags: FPCR.FZ16.
pub const KEY_FZ16: u64 = 1 << 60;
/// In a block key's flags: FPCR.AHP.
pub const KEY_AHP: u64 = 1 << 61;

const KEY_MASK: u64 = RMODE_MASK << KEY_RMODE_SHIFT | KEY_FZ | KEY_DN | KEY_FZ16 | KEY_AHP;

/// FPSR.QC: an Advanced SIMD operation has saturated.
pub const QC: u64 = 1 << 27;

/// In [`slot::FP_FLAGS`]: FPSR.QC. The bit is the one in which IR notes saturation (`ir::ops::SATURATED`).
pub const SATURATED: u64 = 1 << 7;

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

/// What of FPCR translation flags say.
#[must_use]
pub const fn from_key(flags: u64) -> u64 {
    const fn bit(flags: u64, from: u64, to: u64) -> u64 {
        if flags & from == 0 { 0 } else { to }
    }
    (flags >> KEY_RMODE_SHIFT & RMODE_MASK) << RMODE_SHIFT
        | bit(flags, KEY_FZ, FZ)
        | bit(flags, KEY_DN, DN)
        | bit(flags, KEY_FZ16, FZ16)
        | bit(flags, KEY_AHP, AHP)
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

/// FPSR, from what [`slot::FP_FLAGS`] holds.
#[must_use]
pub fn fpsr_of(fp_flags: u64) -> u64 {
    let flags = FPSR_FLAGS.iter().filter(|(_, flag)| Flags(fp_flags as u8).contains(*flag));
    let saturated = if fp_flags & SATURATED == 0 { 0 } else { QC };
    flags.map(|(bit, _)| bit).sum::<u64>() | saturated
}

/// What [`slot::FP_FLAGS`] holds for an FPSR, of which bits that do not exist are ignored.
#[must_use]
pub fn fp_flags_of(fpsr: u64) -> u64 {
    let flags = FPSR_FLAGS.iter().filter(|(bit, _)| fpsr & bit != 0);
    let raised = flags.fold(Flags::NONE, |raised, &(_, flag)| raised | flag);
    u64::from(raised.0) | if fpsr & QC == 0 { 0 } else { SATURATED }
}

/// FPSR.
#[must_use]
pub fn fpsr(frame: &CpuFrame) -> u64 {
    fpsr_of(frame.get(slot::FP_FLAGS))
}

/// Writes FPSR. Bits that it does not have are ignored.
pub fn set_fpsr(frame: &mut CpuFrame, value: u64) {
    frame.set(slot::FP_FLAGS, fp_flags_of(value));
}

/// The rounding mode of an FPCR.
#[must_use]
pub const fn round(fpcr: u64) -> Round {
    match fpcr >> RMODE_SHIFT & RMODE_MASK {
        0 => Round::NearestEven,
        1 => Round::Up,
        2 => Round::Down,
        _ => Round::TowardZero,
    }
}

/// What an FPCR means for arithmetic in single and double precision.
#[must_use]
pub const fn env(fpcr: u64) -> Env {
    let rules = if fpcr & FZ == 0 { Rules::ARM } else { FLUSHING };
    with_common(fpcr, rules)
}

/// What an FPCR means for arithmetic in half precision.
#[must_use]
pub const fn env_half(fpcr: u64) -> Env {
    let rules = if fpcr & FZ16 == 0 { Rules::ARM } else { FLUSHING_HALF };
    with_common(fpcr, rules)
}

const FLUSHING: Rules = Rules {
    denormals_in: DenormalsIn::FlushAndReport,
    denormals_out: DenormalsOut::Flush,
    ..Rules::ARM
};

/// A half-precision operand that is flushed raises no flag (shared/functions/float/fpunpack, FPUnpackBase).
const FLUSHING_HALF: Rules = Rules { denormals_in: DenormalsIn::Flush, ..FLUSHING };

const fn with_common(fpcr: u64, rules: Rules) -> Env {
    let nan = if fpcr & DN == 0 { NanRule::Arm } else { NanRule::Default };
    Env {
        round: round(fpcr),
        flags: Flags::NONE,
        rules: Rules { nan, ..rules },
        trapping: Flags::NONE,
    }
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
        assert_eq!(from_key(frame.key_flags), fpcr(&frame));
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
        assert_eq!(frame.get(slot::FP_FLAGS), 0xbf);
        for bit in [27, 7, 4, 3, 2, 1, 0] {
            set_fpsr(&mut frame, 1 << bit);
            assert_eq!(fpsr(&frame), 1 << bit);
        }
        frame.set(slot::FP_FLAGS, u64::from(Flags::UF.0));
        assert_eq!(fpsr(&frame), 1 << 3);
        frame.set(slot::FP_FLAGS, SATURATED);
        assert_eq!(fpsr(&frame), QC);
        set_fpsr(&mut frame, 0);
        assert_eq!(fpsr(&frame), 0);
    }

    #[test]
    fn arithmetic_follows_fpcr() {
        assert_eq!(env(0), Env::new(Rules::ARM));
        assert_eq!(env(FZ16).rules, Rules::ARM, "it is for half precision alone");
        assert_eq!(env_half(FZ).rules, Rules::ARM, "and this for the others");
        let flushing = env(FZ | DN | 3 << RMODE_SHIFT);
        assert_eq!(flushing.round, Round::TowardZero);
        assert_eq!(flushing.rules.nan, NanRule::Default);
        assert_eq!(flushing.rules.denormals_in, DenormalsIn::FlushAndReport);
        assert_eq!(env_half(FZ16).rules.denormals_in, DenormalsIn::Flush);
        assert_eq!(env_half(FZ16).rules.denormals_out, DenormalsOut::Flush);
        assert_eq!([1, 2].map(|mode| round(mode << RMODE_SHIFT)), [Round::Up, Round::Down]);
    }
}
