//! Waiting for readiness.

use super::row::rows;

rows! {
    ppoll(Ptr, Size, Timespec, Ptr, Size) => enosys, "not implemented yet";
    pselect6(Int, Ptr, Ptr, Ptr, Timespec, Ptr) => enosys, "not implemented yet";
    epoll_create1(OpenFlags) => pass;
    epoll_ctl(Fd, EpollOp, Fd, Ptr) => enosys, "not implemented yet";
    epoll_pwait(Fd, Ptr, Size, Int, Ptr, Size) => enosys, "not implemented yet";
    epoll_pwait2(Fd, Ptr, Size, Timespec, Ptr, Size) => enosys, "not implemented yet";
    eventfd2(Int, OpenFlags) => pass;
    io_setup(Int, Ptr) => enosys, "kernel asynchronous I/O is not implemented";
    io_destroy(Hex) => enosys, "kernel asynchronous I/O is not implemented";
    io_submit(Hex, Int, Ptr) => enosys, "kernel asynchronous I/O is not implemented";
    io_cancel(Hex, Ptr, Ptr) => enosys, "kernel asynchronous I/O is not implemented";
    io_getevents(Hex, Int, Int, Ptr, Timespec) => enosys, "kernel asynchronous I/O is not implemented";
    io_pgetevents(Hex, Int, Int, Ptr, Timespec, Ptr) => enosys, "kernel asynchronous I/O is not implemented";
    io_uring_setup(Int, Ptr) => enosys, "its rings would let the guest name any address to the kernel";
    io_uring_enter(Fd, Int, Int, Hex, Ptr, Size) => enosys, "its rings would let the guest name any address to the kernel";
    io_uring_register(Fd, Int, Ptr, Int) => enosys, "its rings would let the guest name any address to the kernel";
}
