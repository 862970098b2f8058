//! Calls that only x86 has: segment registers, ports.

use syscalls::Errno;

use super::row::rows;
use super::{Args, SyscallResult};
use crate::task::Task;

rows! {
    arch_prctl(Hex, Hex) => arch_prctl;
    iopl(Int) => iopl, "no privilege is enough: ports are the host's";
    ioperm(Hex, Size, Int) => ioperm, "no privilege is enough: ports are the host's";
    modify_ldt(Int, Ptr, Size) => enosys, "no local descriptor tables, as in a kernel without CONFIG_MODIFY_LDT_SYSCALL";
    set_thread_area(Ptr) => enosys, "for 32-bit programs alone";
    get_thread_area(Ptr) => enosys, "for 32-bit programs alone";
}

/// arch_prctl(2)
fn arch_prctl(task: &mut Task, args: &Args) -> SyscallResult {
    let abi = task.process.abi;
    Ok(abi.arch_prctl(task.cpu.frame_mut(), args)?)
}

/// iopl(2), for somebody without privilege.
fn iopl(_: &mut Task, args: &Args) -> SyscallResult {
    match args.uint(0) {
        0 => Ok(0),
        1..=3 => Err(Errno::EPERM.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// ioperm(2), for somebody without privilege.
fn ioperm(_: &mut Task, args: &Args) -> SyscallResult {
    const PORTS: u64 = 1 << 16;
    match args.long(0).checked_add(args.long(1)) {
        Some(end) if end <= PORTS && end > args.long(0) => {}
        _ => return Err(Errno::EINVAL.into()),
    }
    if args.int(2) == 0 { Ok(0) } else { Err(Errno::EPERM.into()) }
}
