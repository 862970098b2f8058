//! System V and POSIX interprocess communication.

use super::row::rows;

rows! {
    mq_open(Str, OpenFlags, Mode, Ptr) => pass;
    mq_unlink(Str) => pass;
    mq_timedsend(Fd, InBuf, Size, Int, Timespec) => pass_blocking;
    mq_timedreceive(Fd, Ptr, Size, Ptr, Timespec) => pass_blocking;
    mq_notify(Fd, Ptr) => enosys, "not implemented yet";
    mq_getsetattr(Fd, Ptr, Ptr) => pass;
    msgget(Hex, Hex) => pass;
    msgctl(Int, Int, Ptr) => pass;
    msgrcv(Int, Ptr, Size, Long, Hex) => pass_blocking;
    msgsnd(Int, Ptr, Size, Hex) => pass_blocking;
    semget(Hex, Int, Hex) => pass;
    semctl(Int, Int, Int, Ptr) => enosys, "not implemented yet";
    semop(Int, Ptr, Size) => pass_blocking;
    semtimedop(Int, Ptr, Size, Timespec) => pass_blocking;
    shmget(Hex, Size, Hex) => pass;
    shmctl(Int, Int, Ptr) => pass;
    shmat(Int, Addr, Hex) => enosys, "not implemented yet";
    shmdt(Addr) => enosys, "not implemented yet";
    add_key(Str, Str, Ptr, Size, Int) => pass;
    request_key(Str, Str, Str, Int) => pass;
    keyctl(Int, Hex, Hex, Hex, Hex) => enosys, "its arguments depend on the command";
}
