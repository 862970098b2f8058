//! The host's processor, for tests that are held against it: where the manuals leave something open, Ferry does as Intel's
//! cores, and others differ.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__cpuid, __cpuid_count};

/// Whether what the manuals leave open is as in Intel's cores.
#[must_use]
#[cfg(target_arch = "x86_64")]
pub fn is_intel() -> bool {
    let leaf = __cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

/// Whether the x87 FPU remembers opcode and operand of exceptions only, as Ferry does (CPUID, `FDP_EXCPTN_ONLY`).
#[must_use]
#[cfg(target_arch = "x86_64")]
pub fn remembers_only_exceptions() -> bool {
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ebx >> 6 & 1 != 0
}

/// No host but x86-64 is one of Intel's.
#[must_use]
#[cfg(not(target_arch = "x86_64"))]
pub const fn is_intel() -> bool {
    false
}
