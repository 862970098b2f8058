//! RISC-V: "Zicntr" and "Zihpm" counters, the entropy source "Zkr", "Zalrsc".

use trace::{RegClass, Register};

use super::Outside;

const SYSTEM: u64 = 0x73;
const AMO: u64 = 0x2f;
const ECALL: u64 = 0x0000_0073;
const SC: u64 = 0b00011;

#[inline]
pub(super) fn outside(word: u64) -> Option<Outside> {
    match word & 0x7f {
        SYSTEM if word == ECALL => Some(Outside::Kernel),
        SYSTEM if word >> 12 & 3 != 0 && is_of_the_world(word >> 20 & 0xfff) => {
            Some(Outside::World)
        }
        AMO if word >> 27 & 0x1f == SC => Some(Outside::Contention),
        _ => None,
    }
}

/// Counters, time, entropy, and what interrupts are pending.
fn is_of_the_world(csr: u64) -> bool {
    matches!(csr, 0xc00..=0xc1f | 0xb00 | 0xb02..=0xb1f | 0x015 | 0x344 | 0x144)
}

/// Of the status registers, what one emulator has and another has not is not compared: only that both have it.
pub(super) fn defined(register: Register) -> u128 {
    match (register.class, register.number) {
        // mcycle, minstret and their like, mip, sip: as time goes by.
        (RegClass::Control, number) if is_of_the_world(u64::from(number)) => 0,
        // pmpaddr: of physical addresses bits 55 to 2; some have more.
        (RegClass::Control, 0x3b0..=0x3ef) => (1 << 54) - 1,
        _ => u128::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_from_outside_is_open() {
        assert_eq!(outside(0x0000_0073), Some(Outside::Kernel));
        // ebreak, rdtime a0, csrrw a0, mstatus, a1, sc.d a0, a1, (a2), amoadd.d a0, a1, (a2), add a0, a1, a2
        assert_eq!(outside(0x0010_0073), None);
        assert_eq!(outside(0xc010_2573), Some(Outside::World));
        assert_eq!(outside(0x3005_9573), None);
        assert_eq!(outside(0x18b6_352f), Some(Outside::Contention));
        assert_eq!(outside(0x00b6_352f), None);
        assert_eq!(outside(0x00c5_8533), None);
    }
}
