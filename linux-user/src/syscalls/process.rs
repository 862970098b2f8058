//! Processes: creation, replacement, end, identity.

use super::row::rows;

rows! {
    wait4(Int, Ptr, WaitOptions, Ptr) => pass_blocking;
    waitid(Int, Int, Ptr, WaitOptions, Ptr) => pass_blocking;
    getpid() => pass;
    getppid() => pass;
    getpgid(Int) => pass;
    setpgid(Int, Int) => pass;
    getsid(Int) => pass;
    setsid() => pass;
    getpriority(Int, Int) => pass;
    setpriority(Int, Int, Int) => pass;
    ioprio_get(Int, Int) => pass;
    ioprio_set(Int, Int, Int) => pass;
    pidfd_open(Int, Hex) => pass;
    pidfd_getfd(Fd, Int, Hex) => pass;
    kcmp(Int, Int, Int, Hex, Hex) => pass;
    ptrace(Int, Int, Addr, Addr) => enosys, "it would show Ferry's registers, not the guest's";
    unshare(CloneFlags) => pass, "a user namespace needs a process without threads, and Ferry has some";
    setns(Fd, Hex) => pass, "as unshare";
}
