//! Where the registers of a RISC-V hart lie in the CPU frame. The vector registers' place is
//! [`V0`] onwards: 32 registers of up to 256 bits.

use base::RegSlot;

/// Integer register `x[n]`, n in 1..=31. Slot 0 is never used: x0 is a constant.
#[inline]
#[must_use]
pub const fn x(n: u8) -> RegSlot {
    assert!(n > 0 && n < 32);
    RegSlot(n as u16)
}

/// Floating-point register `f[n]`, n in 0..=31 (FLEN = 64; narrower values are NaN-boxed).
#[inline]
#[must_use]
pub const fn f(n: u8) -> RegSlot {
    assert!(n < 32);
    RegSlot(32 + n as u16)
}

/// `fflags`, bits 4:0 of fcsr: NV DZ OF UF NX from the top.
pub const FFLAGS: RegSlot = RegSlot(64);
/// `frm`, bits 7:5 of fcsr, as a number 0..=7.
pub const FRM: RegSlot = RegSlot(65);
/// The address of the reservation set that LR registered; [`NO_RESERVATION`] if none.
pub const RESERVATION_ADDR: RegSlot = RegSlot(66);
/// What LR read there (the low doubleword or the sign-extended word).
pub const RESERVATION_VALUE: RegSlot = RegSlot(67);
/// First slot of the vector registers, 32 × 256 bits.
pub const V0: RegSlot = RegSlot(128);

/// In [`RESERVATION_ADDR`]: no reservation. Never a valid LR address, since it is odd.
pub const NO_RESERVATION: u64 = u64::MAX;

/// Calling-convention names of the integer registers, in order.
pub const X_NAMES: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// Calling-convention names of the floating-point registers, in order.
pub const F_NAMES: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
    "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
    "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

/// The slot's name in traces and in the text form of IR.
#[must_use]
pub fn name(slot: RegSlot) -> Option<&'static str> {
    match slot.0 {
        n @ 1..=31 => Some(X_NAMES[n as usize]),
        n @ 32..=63 => Some(F_NAMES[n as usize - 32]),
        64 => Some("fflags"),
        65 => Some("frm"),
        66 => Some("reservation_addr"),
        67 => Some("reservation_value"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_calling_convention() {
        assert_eq!(name(x(10)), Some("a0"));
        assert_eq!(name(f(31)), Some("ft11"));
        assert_eq!(name(RegSlot(0)), None);
    }
}
