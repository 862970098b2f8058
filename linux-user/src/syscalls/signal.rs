//! Signals: dispositions, masks, sending, waiting.

use super::row::rows;

rows! {
    rt_sigaction(Signal, Ptr, Ptr, Size) => enosys, "not implemented yet";
    rt_sigprocmask(SigHow, Ptr, Ptr, Size) => enosys, "not implemented yet";
    rt_sigpending(Ptr, Size) => enosys, "not implemented yet";
    rt_sigsuspend(Ptr, Size) => enosys, "not implemented yet";
    rt_sigtimedwait(Ptr, Ptr, Timespec, Size) => enosys, "not implemented yet";
    rt_sigqueueinfo(Int, Signal, Ptr) => enosys, "not implemented yet";
    rt_tgsigqueueinfo(Int, Int, Signal, Ptr) => enosys, "not implemented yet";
    rt_sigreturn() => enosys, "not implemented yet";
    sigaltstack(Ptr, Ptr) => enosys, "not implemented yet";
    kill(Int, Signal) => enosys, "not implemented yet";
    tkill(Int, Signal) => enosys, "not implemented yet";
    tgkill(Int, Int, Signal) => enosys, "not implemented yet";
    pidfd_send_signal(Fd, Signal, Ptr, Hex) => enosys, "not implemented yet";
    signalfd4(Int, Ptr, Size, OpenFlags) => enosys, "not implemented yet";
    restart_syscall() => enosys, "not implemented yet";
}
