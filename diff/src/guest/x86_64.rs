//! x86-64: SYSCALL, the time-stamp counter, random numbers, CPUID.

use super::Outside;

/// By the first bytes, the least significant one first: no more of an instruction may be known.
pub(super) fn outside(word: u64) -> Option<Outside> {
    match word & 0xffff {
        // SYSCALL
        0x050f => Some(Outside::Kernel),
        // RDTSC, CPUID
        0x310f | 0xa20f => Some(Outside::World),
        // RDTSCP; RDRAND and RDSEED of a register of 32 bits, with and without a prefix REX.W
        0x010f if word >> 16 & 0xff == 0xf9 => Some(Outside::World),
        0xc70f if word >> 16 & 0xf0 == 0xf0 => Some(Outside::World),
        0x0f48 if word >> 16 & 0xf0ff == 0xf0c7 => Some(Outside::World),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_from_outside_is_open() {
        assert_eq!(outside(0x050f), Some(Outside::Kernel));
        // rdtsc, rdtscp, rdrand eax, rdrand rax, vmcall, add rax, rcx
        assert_eq!(outside(0x310f), Some(Outside::World));
        assert_eq!(outside(0x00f9_010f), Some(Outside::World));
        assert_eq!(outside(0x00f0_c70f), Some(Outside::World));
        assert_eq!(outside(0xf0c7_0f48), Some(Outside::World));
        assert_eq!(outside(0x00c1_010f), None);
        assert_eq!(outside(0x00c8_0148), None);
    }
}
