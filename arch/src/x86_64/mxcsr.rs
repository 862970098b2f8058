//! MXCSR (SDM vol. 1, §10.2.3): how it is put together from the frame, and what it means for arithmetic.

use base::CpuFrame;
use base::float::{DenormalsIn, DenormalsOut, Env, Flags, Round, Rules};

use super::{key, slot};
use crate::frame::Registers;

/// The sticky flags: IE, DE, ZE, OE, UE, PE from bit 0 on.
pub const STICKY: u32 = 0x3f;
/// Denormals are zeros.
pub const DAZ: u32 = 1 << 6;
/// Where the masks stand, in the order of the flags.
pub const MASKS_SHIFT: u32 = 7;
/// The masks: exceptions that are not taken.
pub const MASKS: u32 = STICKY << MASKS_SHIFT;
/// Where the rounding mode stands.
pub const RC_SHIFT: u32 = 13;
/// The rounding mode: 0 to nearest, 1 down, 2 up, 3 toward zero.
pub const RC: u32 = 3 << RC_SHIFT;
/// Flush to zero.
pub const FTZ: u32 = 1 << 15;
/// The bits that exist, as FXSAVE tells (MXCSR_MASK). Setting another is a general-protection fault.
pub const WRITABLE: u32 = 0xffff;
/// The value that programs start with.
pub const INIT: u32 = MASKS;

/// The sticky flags, from those of which the frame has them.
const FLAGS: [(u32, Flags); 6] = [
    (1 << 0, Flags::NV),
    (1 << 1, Flags::ID),
    (1 << 2, Flags::DZ),
    (1 << 3, Flags::OF),
    (1 << 4, Flags::UF),
    (1 << 5, Flags::NX),
];

/// MXCSR's sticky flags, from what [`slot::FP_FLAGS`] holds.
#[must_use]
pub fn sticky_of(flags: Flags) -> u32 {
    FLAGS.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(bit, _)| bit).sum()
}

/// What [`slot::FP_FLAGS`] holds for an MXCSR.
#[must_use]
pub fn flags_of(mxcsr: u32) -> Flags {
    let set = FLAGS.iter().filter(|(bit, _)| mxcsr & bit != 0);
    set.fold(Flags::NONE, |flags, &(_, flag)| flags | flag)
}

/// MXCSR.
#[must_use]
pub fn get(frame: &CpuFrame) -> u32 {
    read(frame)
}

/// Writes MXCSR, and the translation flags with it. Bits that do not exist are ignored: instructions check them first.
pub fn set(frame: &mut CpuFrame, value: u32) {
    write(frame, value);
}

/// [`get`], also while the CPU runs.
pub(crate) fn read(registers: &impl Registers) -> u32 {
    let sticky = sticky_of(Flags(registers.slot(slot::FP_FLAGS) as u8));
    registers.slot(slot::MXCSR) as u32 | sticky
}

/// [`set`], also while the CPU runs.
pub(crate) fn write(registers: &mut impl Registers, value: u32) {
    registers.set_slot(slot::MXCSR, u64::from(value & WRITABLE & !STICKY));
    registers.set_slot(slot::FP_FLAGS, u64::from(flags_of(value).0));
    registers.change_key_flags(|old| key::key_flags(old, value));
}

/// The rounding mode that an MXCSR names.
#[must_use]
pub const fn round(mxcsr: u32) -> Round {
    match (mxcsr & RC) >> RC_SHIFT {
        0 => Round::NearestEven,
        1 => Round::Down,
        2 => Round::Up,
        _ => Round::TowardZero,
    }
}

/// What an MXCSR means for arithmetic. Flushing takes place only if underflow is masked.
#[must_use]
pub fn env(mxcsr: u32) -> Env {
    const UNDERFLOW_MASK: u32 = 1 << 11;
    let mut rules = Rules::X86;
    if mxcsr & DAZ != 0 {
        rules.denormals_in = DenormalsIn::Flush;
    }
    if mxcsr & FTZ != 0 && mxcsr & UNDERFLOW_MASK != 0 {
        rules.denormals_out = DenormalsOut::FlushInexact;
    }
    let mut env = Env::new(rules);
    env.round = round(mxcsr);
    env.trapping = flags_of((!mxcsr & MASKS) >> MASKS_SHIFT);
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mxcsr_is_what_was_written_to_it() {
        let mut frame = CpuFrame::new();
        for bit in 0..16 {
            set(&mut frame, 1 << bit);
            assert_eq!(get(&frame), 1 << bit);
            assert_eq!(frame.get(slot::MXCSR) as u32 & STICKY, 0);
        }
        set(&mut frame, u32::MAX);
        assert_eq!(get(&frame), WRITABLE);
        assert_eq!(frame.key_flags, key::RC | key::DAZ | key::FTZ);
    }

    #[test]
    fn flags_have_their_own_order() {
        assert_eq!(flags_of(0x21), Flags::NV | Flags::NX);
        assert_eq!(sticky_of(Flags::ID | Flags::UF), 0x12);
    }

    #[test]
    fn arithmetic_follows_mxcsr() {
        assert_eq!(env(INIT), Env::new(Rules::X86));
        assert_eq!(env(INIT | DAZ).rules.denormals_in, DenormalsIn::Flush);
        assert_eq!(env(INIT | FTZ).rules.denormals_out, DenormalsOut::FlushInexact);
        assert_eq!(env((INIT | FTZ) & !(1 << 11)).rules, Rules::X86);
        assert_eq!(env(1 << RC_SHIFT).round, Round::Down);
    }
}
