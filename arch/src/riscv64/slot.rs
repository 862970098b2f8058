//! Where the registers of a RISC-V hart lie in the CPU frame. The vector registers' place is
//! [`V0`] onwards: 32 registers of up to 256 bits.

use base::RegSlot;
use base::cpu::PC_DELTA;

macro_rules! registers {
    ($($(#[$doc:meta])* $id:ident $slot:literal $name:literal;)*) => {
        $($(#[$doc])* pub const $id: RegSlot = RegSlot($slot);)*

        fn privileged_name(slot: u16) -> Option<&'static str> {
            match slot {
                $($slot => Some($name),)*
                _ => None,
            }
        }
    };
}

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

// The privileged architecture (volume II). Full-system mode alone uses what follows; a user-mode
// hart leaves it zero, which is user level. What each bit means stands in
// [`super::privileged`].
registers! {
    /// The privilege mode: 0 user, 1 supervisor, 3 machine.
    PRIV 68 "priv";
    /// Machine status, of which sstatus is a view. SD, SXL and UXL are kept up to date in it.
    MSTATUS 69 "mstatus";
    /// Machine interrupt enable, of which sie is a view.
    MIE 70 "mie";
    /// Supervisor scratch.
    SSCRATCH 71 "sscratch";
    /// Supervisor exception program counter.
    SEPC 72 "sepc";
    /// Supervisor trap cause.
    SCAUSE 73 "scause";
    /// Supervisor trap value.
    STVAL 74 "stval";
    /// Supervisor trap handler base address.
    STVEC 75 "stvec";
    /// Supervisor address translation and protection.
    SATP 76 "satp";
    /// The bits of mip that software writes: SSIP, SEIP, and STIP unless stimecmp drives it.
    MIP_SW 77 "mip_sw";
    /// Machine interrupt delegation.
    MIDELEG 78 "mideleg";
    /// Machine exception delegation.
    MEDELEG 79 "medeleg";
    /// Supervisor timer compare (Sstc).
    STIMECMP 80 "stimecmp";
    /// Supervisor counter enable.
    SCOUNTEREN 81 "scounteren";
    /// Supervisor environment configuration.
    SENVCFG 82 "senvcfg";
    /// Machine trap handler base address.
    MTVEC 83 "mtvec";
    /// Machine counter enable.
    MCOUNTEREN 84 "mcounteren";
    /// Machine counter inhibit.
    MCOUNTINHIBIT 85 "mcountinhibit";
    /// Machine scratch.
    MSCRATCH 86 "mscratch";
    /// Machine exception program counter.
    MEPC 87 "mepc";
    /// Machine trap cause.
    MCAUSE 88 "mcause";
    /// Machine trap value.
    MTVAL 89 "mtval";
    /// Machine environment configuration.
    MENVCFG 90 "menvcfg";
    /// mcycle: its value if it is inhibited, else what to add to the time source's cycles.
    MCYCLE 91 "mcycle";
    /// minstret: likewise.
    MINSTRET 92 "minstret";
    /// The machine ISA register.
    MISA 93 "misa";
    /// Vendor.
    MVENDORID 94 "mvendorid";
    /// Architecture.
    MARCHID 95 "marchid";
    /// Implementation.
    MIMPID 96 "mimpid";
    /// Hart.
    MHARTID 97 "mhartid";
    /// Machine state enable 0 (Smstateen).
    MSTATEEN0 98 "mstateen0";
    /// Machine state enable 1.
    MSTATEEN1 99 "mstateen1";
    /// Machine state enable 2.
    MSTATEEN2 100 "mstateen2";
    /// Machine state enable 3.
    MSTATEEN3 101 "mstateen3";
    /// Supervisor state enable 0 (Ssstateen).
    SSTATEEN0 102 "sstateen0";
    /// Supervisor state enable 1.
    SSTATEEN1 103 "sstateen1";
    /// Supervisor state enable 2.
    SSTATEEN2 104 "sstateen2";
    /// Supervisor state enable 3.
    SSTATEEN3 105 "sstateen3";
    /// Physical memory protection: configurations 0 to 7.
    PMPCFG0 106 "pmpcfg0";
    /// Physical memory protection: configurations 8 to 15.
    PMPCFG2 107 "pmpcfg2";
}

/// `pmpaddr[n]`, n in 0..=15: physical memory protection, bits 55:2 of an address.
#[inline]
#[must_use]
pub const fn pmpaddr(n: u8) -> RegSlot {
    assert!(n < 16);
    RegSlot(108 + n as u16)
}

/// Machine indirect register select (Smaia).
pub const MISELECT: RegSlot = RegSlot(124);
/// Supervisor indirect register select (Ssaia).
pub const SISELECT: RegSlot = RegSlot(125);

/// Names of the addresses of physical memory protection, in order.
const PMPADDR_NAMES: [&str; 16] = [
    "pmpaddr0",
    "pmpaddr1",
    "pmpaddr2",
    "pmpaddr3",
    "pmpaddr4",
    "pmpaddr5",
    "pmpaddr6",
    "pmpaddr7",
    "pmpaddr8",
    "pmpaddr9",
    "pmpaddr10",
    "pmpaddr11",
    "pmpaddr12",
    "pmpaddr13",
    "pmpaddr14",
    "pmpaddr15",
];

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

/// The slot's name in user mode, which has no privileged registers.
#[must_use]
pub fn user_name(slot: RegSlot) -> Option<&'static str> {
    if slot.0 < PRIV.0 { name(slot) } else { None }
}

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
        n @ 68..=107 => privileged_name(n),
        n @ 108..=123 => Some(PMPADDR_NAMES[n as usize - 108]),
        124 => Some("miselect"),
        125 => Some("siselect"),
        n if n == PC_DELTA.0 => Some("pc_delta"),
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

    #[test]
    fn privileged_registers_have_the_manual_s_names() {
        assert_eq!(name(MSTATUS), Some("mstatus"));
        assert_eq!(name(PMPCFG2), Some("pmpcfg2"));
        assert_eq!(name(pmpaddr(15)), Some("pmpaddr15"));
        assert_eq!(name(RegSlot(126)), None);
        let names: Vec<_> = (0..512).filter_map(|n| name(RegSlot(n))).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
    }
}
