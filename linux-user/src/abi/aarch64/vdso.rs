//! The functions of the arm64 vdso (`arch/arm64/kernel/vdso`): each makes the system call of its name. The clock
//! functions must agree with the host's clocks to the nanosecond, and only the host can read those.

use crate::loader::vdso::{DEF_CFA, Unwinding, VdsoSpec};

/// `mov x8, #number`
const fn mov_x8(number: u32) -> u32 {
    0xd280_0008 | number << 5
}

/// `bti c`
const BTI_C: u32 = 0xd503_245f;
/// `svc #0`
const SVC: u32 = 0xd400_0001;
/// `ret`
const RET: u32 = 0xd65f_03c0;

/// The vdso.
pub(super) static SPEC: VdsoSpec = VdsoSpec {
    machine: goblin::elf::header::EM_AARCH64,
    flags: 0,
    version: "LINUX_2.6.39",
    functions: &[
        // Unwinders know a signal frame by exactly these two instructions.
        ("__kernel_rt_sigreturn", &[mov_x8(139), SVC]),
        ("__kernel_gettimeofday", &[BTI_C, mov_x8(169), SVC, RET]),
        ("__kernel_clock_gettime", &[BTI_C, mov_x8(113), SVC, RET]),
        ("__kernel_clock_getres", &[BTI_C, mov_x8(114), SVC, RET]),
    ],
    // The canonical frame address is SP; the return address is in X30.
    unwinding: Unwinding {
        return_column: 30,
        rules: &[DEF_CFA, 31, 0],
        handler_return: Some("__kernel_rt_sigreturn"),
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigreturn_is_what_unwinders_look_for() {
        assert_eq!(SPEC.functions[0].1, [0xd280_1168, 0xd400_0001]);
    }
}
