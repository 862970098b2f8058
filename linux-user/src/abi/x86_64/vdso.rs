//! The functions of the x86-64 vdso (`arch/x86/entry/vdso`): each makes the system call of its name. The clock functions
//! must agree with the host's clocks to the nanosecond, and only the host can read those.

use crate::loader::vdso::{DEF_CFA, OFFSET, Unwinding, VdsoSpec};

/// `mov eax, number; syscall; ret`
const fn call(number: u32) -> [u32; 2] {
    [number << 8 | 0xb8, 0xc305_0f00 | number >> 24]
}

const GETTIMEOFDAY: &[u32] = &call(96);
const CLOCK_GETTIME: &[u32] = &call(228);
const CLOCK_GETRES: &[u32] = &call(229);
const TIME: &[u32] = &call(201);
const GETCPU: &[u32] = &call(309);

/// The vdso. Handlers return by code of their own.
pub(super) static SPEC: VdsoSpec = VdsoSpec {
    machine: goblin::elf::header::EM_X86_64,
    flags: 0,
    version: "LINUX_2.6",
    functions: &[
        ("__vdso_gettimeofday", GETTIMEOFDAY),
        ("gettimeofday", GETTIMEOFDAY),
        ("__vdso_clock_gettime", CLOCK_GETTIME),
        ("clock_gettime", CLOCK_GETTIME),
        ("__vdso_clock_getres", CLOCK_GETRES),
        ("clock_getres", CLOCK_GETRES),
        ("__vdso_time", TIME),
        ("time", TIME),
        ("__vdso_getcpu", GETCPU),
        ("getcpu", GETCPU),
    ],
    // The canonical frame address is RSP + 8; the return address lies below it.
    unwinding: Unwinding {
        return_column: 16,
        rules: &[DEF_CFA, 7, 8, OFFSET | 16, 1],
        handler_return: None,
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_three_instructions() {
        let bytes: Vec<u8> = CLOCK_GETTIME.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes, [0xb8, 228, 0, 0, 0, 0x0f, 0x05, 0xc3]);
    }
}
