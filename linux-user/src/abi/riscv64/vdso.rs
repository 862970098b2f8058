//! The functions of the RISC-V vdso (`arch/riscv/kernel/vdso`): each makes the system call of its
//! name. The clock functions must agree with the host's clocks to the nanosecond, and only the host
//! can read those.

use crate::loader::vdso::{DEF_CFA, Unwinding, VdsoSpec};

/// `addi a7, zero, number`
const fn li_a7(number: u32) -> u32 {
    number << 20 | 17 << 7 | 0x13
}

const ECALL: u32 = 0x0000_0073;
const RET: u32 = 0x0000_8067;
/// `e_flags`: RVC, double-float ABI.
const EF_RISCV_LP64D_C: u32 = 0x5;

/// The vdso.
pub(super) static SPEC: VdsoSpec = VdsoSpec {
    machine: goblin::elf::header::EM_RISCV,
    flags: EF_RISCV_LP64D_C,
    version: "LINUX_4.15",
    functions: &[
        // Unwinders know a signal frame by exactly these two instructions.
        ("__vdso_rt_sigreturn", &[li_a7(139), ECALL]),
        ("__vdso_gettimeofday", &[li_a7(169), ECALL, RET]),
        ("__vdso_clock_gettime", &[li_a7(113), ECALL, RET]),
        ("__vdso_clock_getres", &[li_a7(114), ECALL, RET]),
        ("__vdso_getcpu", &[li_a7(168), ECALL, RET]),
        ("__vdso_flush_icache", &[li_a7(259), ECALL, RET]),
        ("__vdso_riscv_hwprobe", &[li_a7(258), ECALL, RET]),
    ],
    // The canonical frame address is sp; the return address is in ra.
    unwinding: Unwinding {
        return_column: 1,
        rules: &[DEF_CFA, 2, 0],
        handler_return: Some("__vdso_rt_sigreturn"),
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigreturn_is_what_unwinders_look_for() {
        assert_eq!(SPEC.functions[0].1, [0x08b0_0893, 0x0000_0073]);
    }
}
