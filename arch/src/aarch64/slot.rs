//! Where the registers of an AArch64 PE lie in the CPU frame. Slots 128 to 255 are kept for what SVE adds,
//! slots 256 to 510 for the system registers of a whole machine.

use base::RegSlot;
use base::cpu::PC_DELTA;

macro_rules! registers {
    ($($(#[$doc:meta])* $id:ident $slot:literal $name:literal;)*) => {
        $($(#[$doc])* pub const $id: RegSlot = RegSlot($slot);)*

        fn special_name(slot: u16) -> Option<&'static str> {
            match slot {
                $($slot => Some($name),)*
                _ => None,
            }
        }
    };
}

/// General-purpose register `X[n]`, n in 0..=30. What number 31 means depends on the operand: the constant 0 or
/// [`SP`].
#[inline]
#[must_use]
pub const fn x(n: u8) -> RegSlot {
    assert!(n < 31);
    RegSlot(n as u16)
}

/// SIMD and floating-point register `V[n]`, n in 0..=31: 128 bits, in this slot (bits 63:0) and the next one. IR
/// names the even slot only, and always at its full width.
#[inline]
#[must_use]
pub const fn v(n: u8) -> RegSlot {
    assert!(n < 32);
    RegSlot(64 + 2 * n as u16)
}

registers! {
    /// The stack pointer of the current exception level.
    SP 31 "sp";
    /// The condition flags as MRS NZCV gives them: N, Z, C, V in bits 31 to 28, all others 0.
    NZCV 32 "nzcv";
    /// The cumulative exception flags of FPSR, in the bit order of [`base::float::Flags`], and FPSR.QC as
    /// [`super::fpcr::SATURATED`].
    FP_FLAGS 33 "fp_flags";
    /// Floating-point control register. Written by [`super::fpcr::set_fpcr`] only, which keeps the block key in
    /// step.
    FPCR 35 "fpcr";
    /// EL0 read/write software thread ID register.
    TPIDR_EL0 36 "tpidr_el0";
    /// EL0 read-only software thread ID register.
    TPIDRRO_EL0 37 "tpidrro_el0";
    /// The address that the local monitor holds; [`NO_EXCLUSIVE`] if it is open.
    EXCLUSIVE_ADDR 38 "exclusive_addr";
    /// What the load exclusive read there: all of it, or the first register of a pair.
    EXCLUSIVE_LO 39 "exclusive_lo";
    /// The second register of a pair.
    EXCLUSIVE_HI 40 "exclusive_hi";
    /// Pointer authentication key A for instructions, bits 63:0.
    APIAKEY_LO 41 "apiakeylo_el1";
    /// Bits 127:64.
    APIAKEY_HI 42 "apiakeyhi_el1";
    /// Pointer authentication key B for instructions, bits 63:0.
    APIBKEY_LO 43 "apibkeylo_el1";
    /// Bits 127:64.
    APIBKEY_HI 44 "apibkeyhi_el1";
    /// Pointer authentication key A for data, bits 63:0.
    APDAKEY_LO 45 "apdakeylo_el1";
    /// Bits 127:64.
    APDAKEY_HI 46 "apdakeyhi_el1";
    /// Pointer authentication key B for data, bits 63:0.
    APDBKEY_LO 47 "apdbkeylo_el1";
    /// Bits 127:64.
    APDBKEY_HI 48 "apdbkeyhi_el1";
    /// Pointer authentication key for generic authentication, bits 63:0.
    APGAKEY_LO 49 "apgakeylo_el1";
    /// Bits 127:64.
    APGAKEY_HI 50 "apgakeyhi_el1";
    /// PSTATE.DIT, data-independent timing: 0 or 1.
    DIT 51 "dit";
    /// PSTATE.SSBS, speculative store bypass safe: 0 or 1.
    SSBS 52 "ssbs";
    /// PSTATE.TCO, tag check override: 0 or 1.
    TCO 53 "tco";
    /// EL0 read/write software thread ID register 2 (SME).
    TPIDR2_EL0 54 "tpidr2_el0";
}

/// In [`EXCLUSIVE_ADDR`]: the local monitor is open. No load exclusive leaves it there, since it would have to be
/// aligned.
pub const NO_EXCLUSIVE: u64 = u64::MAX;

macro_rules! numbered {
    ($($(#[$doc:meta])* $id:ident $prefix:literal $($n:literal)*;)*) => {
        $($(#[$doc])* pub const $id: &[&str] = &[$(concat!($prefix, $n)),*];)*
    };
}

numbered! {
    /// Names of the general-purpose registers, in order.
    X_NAMES "x" 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30;
    /// Names of the SIMD and floating-point registers, in order.
    V_NAMES "v" 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31;
}

/// Whether a slot is one of the SIMD and floating-point registers': the even one that names it, or its upper half.
#[must_use]
pub const fn is_vector(slot: RegSlot) -> bool {
    slot.0 >= v(0).0 && slot.0 <= v(31).0 + 1
}

/// The slot's name in traces and in the text form of IR. The upper half of a 128-bit register has none.
#[must_use]
pub fn name(slot: RegSlot) -> Option<&'static str> {
    match slot.0 {
        n @ 0..=30 => Some(X_NAMES[usize::from(n)]),
        n @ 64..=127 if n % 2 == 0 => Some(V_NAMES[usize::from(n - 64) / 2]),
        n if n == PC_DELTA.0 => Some("pc_delta"),
        n => special_name(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_the_manual_s_names() {
        assert_eq!(name(x(0)), Some("x0"));
        assert_eq!(name(x(30)), Some("x30"));
        assert_eq!(name(SP), Some("sp"));
        assert_eq!(name(v(31)), Some("v31"));
        assert_eq!(name(RegSlot(v(31).0 + 1)), None);
        assert_eq!(name(APGAKEY_HI), Some("apgakeyhi_el1"));
        assert_eq!(name(RegSlot(55)), None);
    }

    #[test]
    fn no_two_slots_share_a_name() {
        let names: Vec<_> = (0..512).filter_map(|n| name(RegSlot(n))).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
        assert_eq!(names.len(), 31 + 32 + 23 + 1);
    }

    #[test]
    fn vector_registers_are_told_by_their_slots() {
        assert!(is_vector(v(0)) && is_vector(RegSlot(v(31).0 + 1)));
        assert!(!is_vector(TPIDR2_EL0) && !is_vector(RegSlot(128)));
    }
}
