//! x86-64: the time-stamp counter, random numbers, what CPUID says, and flags that instructions leave undefined.

use base::GuestVirt;
use decoders::x86_64::{Decoded, Instruction, Mnemonic, Options, RflagsBits, decode};
use trace::Register;

use super::Outside;

fn decoded(pc: u64, bytes: &[u8]) -> Option<Instruction> {
    match decode(GuestVirt(pc), bytes, Options::default()) {
        Decoded::Instruction(instruction) => Some(instruction),
        _ => None,
    }
}

pub(super) fn outside(bytes: &[u8]) -> Option<Outside> {
    use Mnemonic as M;
    match decoded(0, bytes)?.mnemonic() {
        M::Syscall => Some(Outside::Kernel),
        M::Rdtsc
        | M::Rdtscp
        | M::Rdpmc
        | M::Rdpid
        | M::Rdrand
        | M::Rdseed
        | M::Cpuid
        | M::Xgetbv => Some(Outside::World),
        _ => None,
    }
}

pub(super) fn defined(register: Register) -> u128 {
    /// What user mode has no say in: whether interrupts are taken, their privilege, resuming.
    const KERNEL_S: u128 = 1 << 9 | 3 << 12 | 1 << 16;
    match register {
        Register::FLAGS => !KERNEL_S,
        _ => u128::MAX,
    }
}

/// The flags by the decoder's bits and EFLAGS's.
const FLAGS: [(u32, u128); 6] = [
    (RflagsBits::CF, 1 << 0),
    (RflagsBits::PF, 1 << 2),
    (RflagsBits::AF, 1 << 4),
    (RflagsBits::ZF, 1 << 6),
    (RflagsBits::SF, 1 << 7),
    (RflagsBits::OF, 1 << 11),
];

fn bits(decoder_s: u32) -> u128 {
    FLAGS.iter().filter(|(bit, _)| decoder_s & bit != 0).map(|(_, flag)| flag).sum()
}

pub(super) fn open_flags(pc: u64, bytes: &[u8], before: u128) -> u128 {
    let Some(instruction) = decoded(pc, bytes) else { return before };
    let undefined = bits(instruction.rflags_undefined());
    before & !bits(instruction.rflags_modified()) | undefined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_from_outside_is_open() {
        assert_eq!(outside(&[0x0f, 0x05]), Some(Outside::Kernel));
        assert_eq!(outside(&[0x0f, 0x31]), Some(Outside::World));
        assert_eq!(outside(&[0x48, 0x0f, 0xc7, 0xf0]), Some(Outside::World));
        // cmpxchg8b [rax], add rax, rbx, and nothing at all
        assert_eq!(outside(&[0x0f, 0xc7, 0x08]), None);
        assert_eq!(outside(&[0x48, 0x01, 0xd8]), None);
        assert_eq!(outside(&[]), None);
    }

    #[test]
    fn flags_are_open_until_they_are_written() {
        const AF: u128 = 1 << 4;
        let and_eax_ebx = [0x21, 0xd8];
        let inc_eax = [0xff, 0xc0];
        let mul_ebx = [0xf7, 0xe3];
        let after = open_flags(0, &and_eax_ebx, 0);
        assert_eq!(after, AF);
        assert_eq!(open_flags(0, &[0x90], after), AF);
        assert_eq!(open_flags(0, &inc_eax, after), 0);
        assert_eq!(open_flags(0, &mul_ebx, 0), AF | 1 << 2 | 1 << 6 | 1 << 7);
        assert_eq!(open_flags(0, &inc_eax, 1), 1, "it leaves the carry alone");
    }

    #[test]
    fn what_only_the_kernel_changes_is_not_compared() {
        assert_eq!(defined(Register::FLAGS) & 0xffff_ffff, 0xfffe_cdff);
        assert_eq!(defined(Register::int(0)), u128::MAX);
    }
}
