//! Clocks and timers.

use super::row::rows;

rows! {
    clock_gettime(Clock, Ptr) => pass;
    clock_getres(Clock, Ptr) => pass;
    clock_settime(Clock, Timespec) => pass;
    clock_adjtime(Clock, Ptr) => pass;
    adjtimex(Ptr) => pass;
    gettimeofday(Ptr, Ptr) => pass;
    settimeofday(Ptr, Ptr) => pass;
    times(Ptr) => pass;
    nanosleep(Timespec, Ptr) => pass_blocking;
    clock_nanosleep(Clock, Hex, Timespec, Ptr) => pass_blocking;
    getitimer(Int, Ptr) => pass;
    setitimer(Int, Ptr, Ptr) => pass;
    timer_create(Clock, Ptr, Ptr) => enosys, "not implemented yet";
    timer_settime(Int, Hex, Ptr, Ptr) => enosys, "not implemented yet";
    timer_gettime(Int, Ptr) => enosys, "not implemented yet";
    timer_getoverrun(Int) => enosys, "not implemented yet";
    timer_delete(Int) => enosys, "not implemented yet";
    timerfd_create(Clock, OpenFlags) => pass;
    timerfd_settime(Fd, Hex, Ptr, Ptr) => pass;
    timerfd_gettime(Fd, Ptr) => pass;
}
