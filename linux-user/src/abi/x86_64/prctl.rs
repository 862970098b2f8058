//! arch_prctl(2) (`arch/x86/kernel/process_64.c`, `asm/prctl.h`).

use arch::x86_64::CpuModel;
use arch::x86_64::slot;
use base::{CpuFrame, GuestVirt};
use syscalls::Errno;

use crate::syscalls::Args;
use crate::user::UserPtr;

const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;
const ARCH_GET_CPUID: u64 = 0x1011;
const ARCH_SET_CPUID: u64 = 0x1012;
const ARCH_GET_XCOMP_SUPP: u64 = 0x1021;
const ARCH_GET_XCOMP_PERM: u64 = 0x1022;
const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
const ARCH_GET_XCOMP_GUEST_PERM: u64 = 0x1024;
const ARCH_REQ_XCOMP_GUEST_PERM: u64 = 0x1025;
const ARCH_GET_UNTAG_MASK: u64 = 0x4001;
const ARCH_ENABLE_TAGGED_ADDR: u64 = 0x4002;
const ARCH_GET_MAX_TAG_BITS: u64 = 0x4003;

/// State components that the kernel knows of (`XFEATURE_MAX`).
const COMPONENTS: u64 = 20;

/// One past what a segment's base can be: the end of a program's half of the address space (`TASK_SIZE_MAX`).
const TASK_SIZE_MAX: u64 = (1 << 47) - 0x1000;

/// arch_prctl(2)
pub(super) fn arch_prctl(cpu: &CpuModel, frame: &mut CpuFrame, args: &Args) -> Result<u64, Errno> {
    let (value, out) = (args.long(1), UserPtr::<u64>::new(GuestVirt(args.long(1))));
    let answer = match args.long(0) {
        ARCH_SET_FS | ARCH_SET_GS if value >= TASK_SIZE_MAX => return Err(Errno::EPERM),
        ARCH_SET_FS => {
            frame.set(slot::FS_BASE, value);
            frame.set(slot::FS, 0);
            return Ok(0);
        }
        ARCH_SET_GS => {
            frame.set(slot::GS_BASE, value);
            frame.set(slot::GS, 0);
            return Ok(0);
        }
        ARCH_GET_FS => frame.get(slot::FS_BASE),
        ARCH_GET_GS => frame.get(slot::GS_BASE),
        // CPUID never faults here, and cannot be made to.
        ARCH_GET_CPUID => return Ok(1),
        ARCH_SET_CPUID => return Err(Errno::ENODEV),
        ARCH_GET_XCOMP_SUPP | ARCH_GET_XCOMP_PERM | ARCH_GET_XCOMP_GUEST_PERM => cpu.xcr0(),
        // Nothing needs a permission; what there is, is had.
        ARCH_REQ_XCOMP_PERM | ARCH_REQ_XCOMP_GUEST_PERM if value >= COMPONENTS => {
            return Err(Errno::EINVAL);
        }
        ARCH_REQ_XCOMP_PERM | ARCH_REQ_XCOMP_GUEST_PERM => return Err(Errno::EOPNOTSUPP),
        ARCH_GET_UNTAG_MASK => u64::MAX,
        ARCH_GET_MAX_TAG_BITS => 0,
        ARCH_ENABLE_TAGGED_ADDR if value == 0 => return Ok(0),
        ARCH_ENABLE_TAGGED_ADDR => return Err(Errno::ENODEV),
        // Shadow stacks (ARCH_SHSTK_*), what was proposed for them before (ARCH_CET_*), other vdsos: as in a kernel that is
        // configured without.
        _ => return Err(Errno::EINVAL),
    };
    out.write(answer)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_a_programs_own_addresses() {
        let mut frame = CpuFrame::new();
        let cpu = CpuModel::default();
        let mut call = |code, value| {
            arch_prctl(&cpu, &mut frame, &Args([code, value, 0, 0, 0, 0]))
                .map(|_| frame.get(slot::FS_BASE))
        };
        assert_eq!(call(ARCH_SET_FS, 0x7000), Ok(0x7000));
        assert_eq!(call(ARCH_SET_FS, TASK_SIZE_MAX), Err(Errno::EPERM));
        assert_eq!(call(ARCH_SET_GS, 0x8000), Ok(0x7000));
        assert_eq!(call(ARCH_SET_CPUID, 0), Err(Errno::ENODEV));
        for code in [0x3001, 0x5001, 0x5002, 0x5003, 0x5005] {
            assert_eq!(call(code, 0), Err(Errno::EINVAL), "no shadow stacks");
        }
        for code in [ARCH_REQ_XCOMP_PERM, ARCH_REQ_XCOMP_GUEST_PERM] {
            assert_eq!(call(code, 18), Err(Errno::EOPNOTSUPP), "no tiles");
            assert_eq!(call(code, 20), Err(Errno::EINVAL));
        }
        assert_eq!(call(ARCH_GET_GS, u64::MAX), Err(Errno::EFAULT));
        assert_eq!(frame.get(slot::GS_BASE), 0x8000);
    }
}
