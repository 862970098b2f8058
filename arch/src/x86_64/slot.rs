//! Where the registers of a logical processor lie in the CPU frame. Slots 192 to 199 are kept for AVX-512's mask registers,
//! 256 to 383 for the upper halves of its vectors.
//!
//! The arithmetic flags are not packed: they are values from which each of them follows (see [`super::flags`]).

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

/// General-purpose register n, 0..=15, as instructions encode it: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, …
#[inline]
#[must_use]
pub const fn gpr(n: u8) -> RegSlot {
    assert!(n < 16);
    RegSlot(n as u16)
}

/// Bits 127:0 of vector register n, 0..=31 (16 and up are AVX-512's): a wide slot.
#[inline]
#[must_use]
pub const fn xmm(n: u8) -> RegSlot {
    assert!(n < 32);
    RegSlot(64 + 2 * n as u16)
}

/// Bits 255:128 of vector register n, 0..=31: a wide slot.
#[inline]
#[must_use]
pub const fn ymm_high(n: u8) -> RegSlot {
    assert!(n < 32);
    RegSlot(128 + 2 * n as u16)
}

/// Bits 79:0 of the x87 FPU's *physical* register n, 0..=7: a wide slot, whose upper 48 bits are zero. ST(i) is the register
/// (TOP + i) mod 8; MM[n] is bits 63:0 of register n.
#[inline]
#[must_use]
pub const fn fpr(n: u8) -> RegSlot {
    assert!(n < 8);
    RegSlot(48 + 2 * n as u16)
}

registers! {
    /// ZF: set if this is 0.
    ZERO 16 "zero";
    /// SF: bit 63. PF: set if the number of ones in bits 7:0 is even.
    SIGN 17 "sign";
    /// CF: 0 or 1.
    CARRY 18 "carry";
    /// SF xor OF, "less" after a comparison of signed numbers: 0 or 1.
    LESS 19 "less";
    /// AF: bit 4 of this xor [`SIGN`].
    AUX 20 "aux";
    /// DF, the direction of string instructions: 0 or 1.
    DF 21 "df";
    /// The other bits of EFLAGS, in their places.
    OTHER_FLAGS 22 "other_flags";
    /// Base of the segment FS.
    FS_BASE 23 "fs_base";
    /// Base of the segment GS.
    GS_BASE 24 "gs_base";
    /// Segment selector.
    ES 25 "es";
    /// Segment selector.
    CS 26 "cs";
    /// Segment selector.
    SS 27 "ss";
    /// Segment selector.
    DS 28 "ds";
    /// Segment selector.
    FS 29 "fs";
    /// Segment selector.
    GS 30 "gs";
    /// What MXCSR controls; its sticky flags are 0 here. Written by [`super::mxcsr::set`] only, which keeps the block key in
    /// step.
    MXCSR 31 "mxcsr";
    /// MXCSR's sticky flags, in the bit order of [`base::float::Flags`].
    FP_FLAGS 32 "fp_flags";
    /// x87 control word.
    FCW 33 "fcw";
    /// x87 status word, with TOP in its place.
    FSW 34 "fsw";
    /// x87 tags as FXSAVE abridges them: bit n is set if physical register n is not empty.
    FTW 35 "ftw";
    /// x87 last instruction's opcode, 11 bits.
    FOP 36 "fop";
    /// x87 last instruction's address.
    FIP 37 "fip";
    /// x87 last operand's address.
    FDP 38 "fdp";
}

/// No register, and so without a name: what TOP was after the last x87 instruction, if nothing else has written the status word
/// since.
pub(super) const EXPECTED_TOP: RegSlot = RegSlot(39);

/// CS of 64-bit programs (Linux: `__USER_CS`).
pub const USER_CS: u64 = 0x33;
/// CS of 32-bit programs (Linux: `__USER32_CS`).
pub const USER_CS_32: u64 = 0x23;
/// SS of programs (Linux: `__USER_DS`).
pub const USER_SS: u64 = 0x2b;
/// The x87 control word after FNINIT: everything masked, 64 bits of precision, to nearest.
pub const FCW_INIT: u64 = 0x37f;

/// Names of the general-purpose registers, in their encoding's order.
pub const GPR_NAMES: &[&str] = &[
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

macro_rules! numbered {
    ($($(#[$doc:meta])* $id:ident $prefix:literal $($n:literal)*;)*) => {
        $($(#[$doc])* pub const $id: &[&str] = &[$(concat!($prefix, $n)),*];)*
    };
}

numbered! {
    /// Names of the x87 FPU's physical registers, in order.
    FPR_NAMES "fpr" 0 1 2 3 4 5 6 7;
    /// Names of the vector registers' bits 127:0, in order.
    XMM_NAMES "xmm" 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31;
    /// Names of the vector registers' bits 255:128, in order, as gdb has them.
    YMM_HIGH_NAMES "ymmh" 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31;
}

/// Whether a slot is part of a wide one: an x87 or vector register.
#[must_use]
pub const fn is_wide(slot: RegSlot) -> bool {
    matches!(slot.0, 48..=191)
}

/// The slot's name in traces and in the text form of IR. The upper half of a wide register has none.
#[must_use]
pub fn name(slot: RegSlot) -> Option<&'static str> {
    match slot.0 {
        n @ 0..=15 => Some(GPR_NAMES[usize::from(n)]),
        n @ 48..=191 if n % 2 != 0 => None,
        n @ 48..=63 => Some(FPR_NAMES[usize::from(n - 48) / 2]),
        n @ 64..=127 => Some(XMM_NAMES[usize::from(n - 64) / 2]),
        n @ 128..=191 => Some(YMM_HIGH_NAMES[usize::from(n - 128) / 2]),
        n if n == PC_DELTA.0 => Some("pc_delta"),
        n => special_name(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_the_manual_s_names() {
        assert_eq!(name(gpr(4)), Some("rsp"));
        assert_eq!(name(gpr(15)), Some("r15"));
        assert_eq!(name(fpr(7)), Some("fpr7"));
        assert_eq!(name(xmm(0)), Some("xmm0"));
        assert_eq!(name(ymm_high(31)), Some("ymmh31"));
        assert_eq!(name(RegSlot(xmm(0).0 + 1)), None);
        assert_eq!(name(RegSlot(39)), None);
    }

    #[test]
    fn no_two_slots_share_a_name() {
        let names: Vec<_> = (0..512).filter_map(|n| name(RegSlot(n))).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
        assert_eq!(names.len(), 16 + 23 + 8 + 32 + 32 + 1);
    }

    #[test]
    fn wide_slots_are_told() {
        assert!(is_wide(fpr(0)) && is_wide(RegSlot(ymm_high(31).0 + 1)));
        assert!(!is_wide(FDP) && !is_wide(RegSlot(192)));
    }
}
