//! AArch64: the generic timer, FEAT_RNG, FEAT_PMUv3, store-exclusive.

use trace::Register;

use super::Outside;

pub(super) fn outside(word: u32) -> Option<Outside> {
    match word {
        // SVC
        _ if word & 0xffe0_001f == 0xd400_0001 => Some(Outside::Kernel),
        // MRS
        _ if word >> 20 == 0xd53 && is_of_the_world(word >> 5 & 0xffff) => Some(Outside::World),
        // STXR, STLXR, STXP, STLXP and their byte and halfword forms: loads and stores exclusive with o2 and L clear.
        _ if word & 0x3fe0_0000 == 0x0800_0000 || word & 0xbfe0_0000 == 0x8820_0000 => {
            Some(Outside::Contention)
        }
        _ => None,
    }
}

/// op0:op1:CRn:CRm:op2 of registers that no program's state decides.
fn is_of_the_world(system_register: u32) -> bool {
    matches!(
        system_register,
        // RNDR, RNDRRS
        0xd920 | 0xd921
        // CNTFRQ to CNTVCTSS, the timers' registers
        | 0xdf00..=0xdf1f
        // PMCCNTR and the event counters
        | 0xdce8 | 0xdf40..=0xdf7f
    )
}

pub(super) fn defined(register: Register) -> u128 {
    match register {
        // Only the flags themselves: what dumps show beside them differs between tools.
        Register::FLAGS => 0xf000_0000,
        _ => u128::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_from_outside_is_open() {
        // svc #0, mrs x0, cntvct_el0, mrs x0, tpidr_el0, stxr w0, x1, [x2], ldxr x0, [x1], stlxp w0, x1, x2, [x3]
        assert_eq!(outside(0xd400_0001), Some(Outside::Kernel));
        assert_eq!(outside(0xd53b_e040), Some(Outside::World));
        assert_eq!(outside(0xd53b_d040), None);
        assert_eq!(outside(0xc800_7c41), Some(Outside::Contention));
        assert_eq!(outside(0xc85f_7c20), None);
        assert_eq!(outside(0xc820_8861), Some(Outside::Contention));
        // add x0, x1, x2, stlr x0, [x1], cas x0, x1, [x2], casp
        assert_eq!(outside(0x8b02_0020), None);
        assert_eq!(outside(0xc89f_fc20), None);
        assert_eq!(outside(0xc8a0_7c41), None);
        assert_eq!(outside(0x4820_7c82), None);
    }
}
