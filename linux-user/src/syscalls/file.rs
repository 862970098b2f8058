//! File descriptors and what is read and written through them.

use super::row::rows;

rows! {
    read(Fd, OutBuf, Size) => pass_blocking;
    write(Fd, InBuf, Size) => pass_blocking;
    pread64(Fd, OutBuf, Size, Long) => pass_blocking;
    pwrite64(Fd, InBuf, Size, Long) => pass_blocking;
    readv(Fd, Ptr, Size) => enosys, "vectored input and output is not implemented yet";
    writev(Fd, Ptr, Size) => enosys, "vectored input and output is not implemented yet";
    preadv(Fd, Ptr, Size, Long, Long) => enosys, "vectored input and output is not implemented yet";
    pwritev(Fd, Ptr, Size, Long, Long) => enosys, "vectored input and output is not implemented yet";
    preadv2(Fd, Ptr, Size, Long, Long, Hex) => enosys, "vectored input and output is not implemented yet";
    pwritev2(Fd, Ptr, Size, Long, Long, Hex) => enosys, "vectored input and output is not implemented yet";
    lseek(Fd, Long, Whence) => pass;
    close(Fd) => pass;
    close_range(Int, Int, Hex) => enosys, "not implemented yet";
    dup(Fd) => pass;
    dup3(Fd, Fd, OpenFlags) => pass;
    fcntl(Fd, FcntlCmd, Hex) => enosys, "not implemented yet";
    ioctl(Fd, IoctlRequest, Hex) => enosys, "not implemented yet";
    flock(Fd, Int) => pass_blocking;
    fsync(Fd) => pass;
    fdatasync(Fd) => pass;
    sync() => pass;
    syncfs(Fd) => pass;
    sync_file_range(Fd, Long, Long, Hex) => pass;
    ftruncate(Fd, Long) => pass;
    fallocate(Fd, Hex, Long, Long) => pass;
    fadvise64(Fd, Long, Long, Int) => pass;
    readahead(Fd, Long, Size) => pass;
    sendfile(Fd, Fd, Ptr, Size) => pass_blocking;
    splice(Fd, Ptr, Fd, Ptr, Size, Hex) => pass_blocking;
    tee(Fd, Fd, Size, Hex) => pass_blocking;
    vmsplice(Fd, Ptr, Size, Hex) => enosys, "vectored input and output is not implemented yet";
    copy_file_range(Fd, Ptr, Fd, Ptr, Size, Hex) => pass_blocking;
    pipe2(OutFds, OpenFlags) => pass;
    memfd_create(Str, Hex) => pass;
    memfd_secret(Hex) => enosys, "secret memory cannot be read by Ferry either";
    fstat(Fd, Ptr) => enosys, "not implemented yet";
    getdents64(Fd, Ptr, Size) => pass;
    fchmod(Fd, Mode) => pass;
    fchown(Fd, Int, Int) => pass;
    fstatfs(Fd, Ptr) => pass;
    fsetxattr(Fd, Str, Ptr, Size, Hex) => pass;
    fgetxattr(Fd, Str, Ptr, Size) => pass;
    flistxattr(Fd, Ptr, Size) => pass;
    fremovexattr(Fd, Str) => pass;
    cachestat(Fd, Ptr, Ptr, Hex) => enosys, "not implemented yet";
    vhangup() => pass;
}
