//! Sockets.

use super::row::rows;

rows! {
    socket(SocketDomain, SocketType, Int) => pass;
    socketpair(SocketDomain, SocketType, Int, OutFds) => pass;
    bind(Fd, Ptr, Size) => pass;
    listen(Fd, Int) => pass;
    accept(Fd, Ptr, Ptr) => pass_blocking;
    accept4(Fd, Ptr, Ptr, SocketType) => pass_blocking;
    connect(Fd, Ptr, Size) => pass_blocking;
    getsockname(Fd, Ptr, Ptr) => pass;
    getpeername(Fd, Ptr, Ptr) => pass;
    sendto(Fd, InBuf, Size, Hex, Ptr, Size) => pass_blocking;
    recvfrom(Fd, OutBuf, Size, Hex, Ptr, Ptr) => pass_blocking;
    setsockopt(Fd, Int, Int, Ptr, Size) => pass;
    getsockopt(Fd, Int, Int, Ptr, Ptr) => pass;
    shutdown(Fd, Int) => pass;
    sendmsg(Fd, Ptr, Hex) => enosys, "not implemented yet";
    recvmsg(Fd, Ptr, Hex) => enosys, "not implemented yet";
    sendmmsg(Fd, Ptr, Size, Hex) => enosys, "not implemented yet";
    recvmmsg(Fd, Ptr, Size, Hex, Timespec) => enosys, "not implemented yet";
}
