//! Clocks and timers.

use base::sys::clock;
use syscalls::Errno;

use super::row::rows;
use super::{Args, SyscallResult};
use crate::task::Task;

rows! {
    clock_gettime(Clock, Ptr) => clock_gettime;
    clock_getres(Clock, Ptr) => pass;
    clock_settime(Clock, Timespec) => pass;
    clock_adjtime(Clock, Ptr) => pass;
    adjtimex(Ptr) => pass;
    gettimeofday(Ptr, Ptr) => gettimeofday;
    settimeofday(Ptr, Ptr) => pass;
    times(Ptr) => pass;
    nanosleep(Timespec, Ptr) => pass_blocking;
    clock_nanosleep(Clock, Hex, Timespec, Ptr) => pass_blocking;
    getitimer(Int, Ptr) => pass;
    setitimer(Int, Ptr, Ptr) => pass;
    timer_create(Clock, Ptr, Ptr) => pass;
    timer_settime(Int, Hex, Ptr, Ptr) => pass;
    timer_gettime(Int, Ptr) => pass;
    timer_getoverrun(Int) => pass;
    timer_delete(Int) => pass;
    timerfd_create(Clock, OpenFlags) => pass;
    timerfd_settime(Fd, Hex, Ptr, Ptr) => pass;
    timerfd_gettime(Fd, Ptr) => pass;
}

/// clock_gettime(2), by way of the host's vdso: programs ask often.
fn clock_gettime(_: &mut Task, args: &Args) -> SyscallResult {
    let (seconds, nanoseconds) = clock::now(args.int(0)).ok_or(Errno::EINVAL)?;
    args.ptr(1).write([seconds, nanoseconds])?;
    Ok(0)
}

/// gettimeofday(2), likewise. The time zone is long obsolete, and zero.
fn gettimeofday(_: &mut Task, args: &Args) -> SyscallResult {
    let (seconds, nanoseconds) = clock::now(libc::CLOCK_REALTIME).ok_or(Errno::EINVAL)?;
    args.ptr(0).write_opt([seconds, nanoseconds / 1000])?;
    args.ptr(1).write_opt([0_i32; 2])?;
    Ok(0)
}
