//! Calls of the first architectures, which newer ones do not have: each is another call with some of its arguments
//! fixed. What fits no other call is left out by the kernel, too.

use base::sys::clock;
use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, descriptor, file, fs, notify, poll, signal};
use crate::clone::{self, CloneRequest, flags};
use crate::host::{self, Arg, args};
use crate::signal::with_mask;
use crate::task::Task;
use crate::user::UserSlice;

rows! {
    open(Path, OpenFlags, Mode) => open;
    creat(Path, Mode) => creat;
    stat(Path, Ptr) => stat;
    lstat(Path, Ptr) => lstat;
    access(Path, AccessMode) => access;
    readlink(Path, OutBuf, Size) => readlink;
    mkdir(Path, Mode) => mkdir;
    rmdir(Path) => rmdir;
    mknod(Path, Mode, Hex) => mknod;
    link(Path, Path) => link;
    unlink(Path) => unlink;
    symlink(Path, Path) => symlink;
    rename(Path, Path) => rename;
    chmod(Path, Mode) => chmod;
    chown(Path, Int, Int) => chown;
    lchown(Path, Int, Int) => lchown;
    utime(Path, Ptr) => utime;
    utimes(Path, Ptr) => utimes;
    futimesat(DirFd, Path, Ptr) => futimesat;
    getdents(Fd, Ptr, Size) => getdents;
    dup2(Fd, Fd) => dup2;
    pipe(OutFds) => pipe;
    poll(Ptr, Size, Int) => poll;
    select(Int, Ptr, Ptr, Ptr, Ptr) => select;
    epoll_create(Int) => epoll_create;
    epoll_wait(Fd, Ptr, Size, Int) => epoll_wait;
    eventfd(Int) => eventfd;
    signalfd(Int, Ptr, Size) => signalfd;
    inotify_init() => inotify_init;
    fork() => fork;
    vfork() => vfork;
    getpgrp() => getpgrp;
    pause() => pause;
    alarm(Int) => alarm;
    time(Ptr) => time;
    ustat(Hex, Ptr) => enosys, "superseded by statfs";
    sysfs(Int, Hex, Hex) => enosys, "superseded by /proc/filesystems";
    uselib(Path) => enosys, "removed from Linux";
    _sysctl(Ptr) => enosys, "removed from Linux";
    create_module(Str, Size) => enosys, "removed from Linux";
    get_kernel_syms(Ptr) => enosys, "removed from Linux";
    query_module(Str, Int, Ptr, Size, Ptr) => enosys, "removed from Linux";
    getpmsg() => enosys, "never part of Linux";
    putpmsg() => enosys, "never part of Linux";
    afs_syscall() => enosys, "never part of Linux";
    tuxcall() => enosys, "never part of Linux";
    security() => enosys, "never part of Linux";
    vserver() => enosys, "never part of Linux";
    epoll_ctl_old() => enosys, "never part of Linux";
    epoll_wait_old() => enosys, "never part of Linux";
    uretprobe() => enosys, "for the kernel's own trampolines";
    uprobe() => enosys, "for the kernel's own trampolines";
}

/// The current directory, as an argument.
const HERE: u64 = libc::AT_FDCWD as u64;

/// The arguments of a call with these first and zeros after them.
fn with<const N: usize>(first: [u64; N]) -> Args {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&first);
    Args(all)
}

/// open(2)
fn open(task: &mut Task, args: &Args) -> SyscallResult {
    fs::openat(task, &with([HERE, args.long(0), args.long(1), args.long(2)]))
}

/// creat(2)
fn creat(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    let flags = task.process.abi.open_flags_from_host(flags) as u64;
    fs::openat(task, &with([HERE, args.long(0), flags, args.long(1)]))
}

/// stat(2)
fn stat(task: &mut Task, args: &Args) -> SyscallResult {
    fs::newfstatat(task, &with([HERE, args.long(0), args.long(1)]))
}

/// lstat(2)
fn lstat(task: &mut Task, args: &Args) -> SyscallResult {
    let nofollow = libc::AT_SYMLINK_NOFOLLOW as u64;
    fs::newfstatat(task, &with([HERE, args.long(0), args.long(1), nofollow]))
}

/// access(2)
fn access(task: &mut Task, args: &Args) -> SyscallResult {
    fs::faccessat(task, &with([HERE, args.long(0), args.long(1)]))
}

/// readlink(2)
fn readlink(task: &mut Task, args: &Args) -> SyscallResult {
    fs::readlinkat(task, &with([HERE, args.long(0), args.long(1), args.long(2)]))
}

/// mkdir(2)
fn mkdir(task: &mut Task, args: &Args) -> SyscallResult {
    fs::mkdirat(task, &with([HERE, args.long(0), args.long(1)]))
}

/// rmdir(2)
fn rmdir(task: &mut Task, args: &Args) -> SyscallResult {
    fs::unlinkat(task, &with([HERE, args.long(0), libc::AT_REMOVEDIR as u64]))
}

/// mknod(2)
fn mknod(task: &mut Task, args: &Args) -> SyscallResult {
    fs::mknodat(task, &with([HERE, args.long(0), args.long(1), args.long(2)]))
}

/// link(2)
fn link(task: &mut Task, args: &Args) -> SyscallResult {
    fs::linkat(task, &with([HERE, args.long(0), HERE, args.long(1)]))
}

/// unlink(2)
fn unlink(task: &mut Task, args: &Args) -> SyscallResult {
    fs::unlinkat(task, &with([HERE, args.long(0)]))
}

/// symlink(2)
fn symlink(task: &mut Task, args: &Args) -> SyscallResult {
    fs::symlinkat(task, &with([args.long(0), HERE, args.long(1)]))
}

/// rename(2)
fn rename(task: &mut Task, args: &Args) -> SyscallResult {
    fs::renameat(task, &with([HERE, args.long(0), HERE, args.long(1)]))
}

/// chmod(2)
fn chmod(task: &mut Task, args: &Args) -> SyscallResult {
    fs::fchmodat(task, &with([HERE, args.long(0), args.long(1)]))
}

/// chown(2)
fn chown(task: &mut Task, args: &Args) -> SyscallResult {
    fs::fchownat(task, &with([HERE, args.long(0), args.long(1), args.long(2)]))
}

/// lchown(2)
fn lchown(task: &mut Task, args: &Args) -> SyscallResult {
    let nofollow = libc::AT_SYMLINK_NOFOLLOW as u64;
    fs::fchownat(task, &with([HERE, args.long(0), args.long(1), args.long(2), nofollow]))
}

/// utime(2): two times in seconds.
fn utime(task: &mut Task, args: &Args) -> SyscallResult {
    let times = args.ptr::<[i64; 2]>(1).read_opt()?;
    fs::set_times(task, &with([HERE, args.long(0)]), times.map(|[a, m]| [[a, 0], [m, 0]]))
}

/// utimes(2)
fn utimes(task: &mut Task, args: &Args) -> SyscallResult {
    futimesat(task, &with([HERE, args.long(0), args.long(1)]))
}

/// futimesat(2): two times in seconds and microseconds.
fn futimesat(task: &mut Task, args: &Args) -> SyscallResult {
    let times = args.ptr::<[[i64; 2]; 2]>(2).read_opt()?;
    let is_time = |[_, micros]: &[i64; 2]| (0..1_000_000).contains(micros);
    if !times.iter().flatten().all(is_time) {
        return Err(Errno::EINVAL.into());
    }
    let exactly = |[seconds, micros]: [i64; 2]| [seconds, micros * 1000];
    fs::set_times(task, args, times.map(|times| times.map(exactly)))
}

/// getdents(2)
fn getdents(task: &mut Task, args: &Args) -> SyscallResult {
    let len = file::getdents64(task, args)?;
    let mut entries = UserSlice::new(args.addr(1), len)?.read()?;
    to_old_entries(&mut entries);
    UserSlice::new(args.addr(1), len)?.write(&entries)?;
    Ok(len)
}

/// Makes `struct linux_dirent` of `struct linux_dirent64`, which is as long: the type goes from before the name to
/// the entry's last byte.
fn to_old_entries(entries: &mut [u8]) {
    const LENGTH: usize = 16;
    const TYPE: usize = 18;
    let mut rest = entries;
    while rest.len() > TYPE {
        let len = usize::from(u16::from_ne_bytes([rest[LENGTH], rest[LENGTH + 1]]));
        let len = len.clamp(TYPE + 1, rest.len());
        let (entry, after) = rest.split_at_mut(len);
        entry[TYPE..].rotate_left(1);
        rest = after;
    }
}

/// dup2(2)
fn dup2(task: &mut Task, args: &Args) -> SyscallResult {
    let (old, new) = (args.int(0), args.int(1));
    if old == new {
        host::call(Sysno::fcntl, args![old, libc::F_GETFD])?;
        return Ok(old as u64);
    }
    descriptor::dup3(task, &with([args.long(0), args.long(1)]))
}

/// pipe(2)
fn pipe(task: &mut Task, args: &Args) -> SyscallResult {
    descriptor::pipe2(task, &with([args.long(0)]))
}

/// poll(2): the time is in milliseconds, and negative for ever.
fn poll(task: &mut Task, args: &Args) -> SyscallResult {
    let milliseconds = i64::from(args.int(2));
    let time = [milliseconds / 1000, milliseconds % 1000 * 1_000_000];
    poll::poll_until(task, args, (milliseconds >= 0).then_some(time))
}

/// select(2): what is left of the time is written back, whatever happens.
fn select(task: &mut Task, args: &Args) -> SyscallResult {
    let at = args.ptr::<[i64; 2]>(4);
    let Some([seconds, micros]) = at.read_opt()? else {
        return poll::select_until(task, args, None);
    };
    let seconds = seconds.checked_add(micros / 1_000_000).ok_or(Errno::EINVAL)?;
    let mut time = [seconds, micros % 1_000_000 * 1000];
    let result = poll::select_until(task, args, Some(&mut time));
    // As the kernel, which has done its work by then.
    let _ = at.write([time[0], time[1] / 1000]);
    result
}

/// epoll_create(2)
fn epoll_create(_: &mut Task, args: &Args) -> SyscallResult {
    if args.int(0) <= 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(host::call(Sysno::epoll_create1, args![0])?)
}

/// epoll_wait(2)
fn epoll_wait(task: &mut Task, args: &Args) -> SyscallResult {
    let [fd, events, room, timeout, ..] = args.0;
    poll::epoll_pwait(task, &with([fd, events, room, timeout]))
}

/// eventfd(2)
fn eventfd(_: &mut Task, args: &Args) -> SyscallResult {
    Ok(host::call(Sysno::eventfd2, args![args.uint(0), 0])?)
}

/// signalfd(2)
fn signalfd(task: &mut Task, args: &Args) -> SyscallResult {
    signal::signalfd4(task, &with([args.long(0), args.long(1), args.long(2)]))
}

/// inotify_init(2)
fn inotify_init(task: &mut Task, _: &Args) -> SyscallResult {
    notify::inotify_init1(task, &with([]))
}

fn new_process(task: &mut Task, flags: u64) -> SyscallResult {
    let nowhere = base::GuestVirt(0);
    let flags = flags | libc::SIGCHLD as u64;
    clone::clone(task, &CloneRequest::legacy(flags, nowhere, nowhere, 0, nowhere))
}

/// fork(2)
fn fork(task: &mut Task, _: &Args) -> SyscallResult {
    new_process(task, 0)
}

/// vfork(2)
fn vfork(task: &mut Task, _: &Args) -> SyscallResult {
    new_process(task, flags::VFORK | flags::VM)
}

/// getpgrp(2)
fn getpgrp(_: &mut Task, _: &Args) -> SyscallResult {
    Ok(host::call(Sysno::getpgid, args![0])?)
}

/// pause(2): waits for nothing, and for ever.
fn pause(task: &mut Task, _: &Args) -> SyscallResult {
    with_mask(task, None, Sysno::ppoll, |mask| args![0, 0, 0, mask.pointer(), mask.size()])
}

/// alarm(2): a timer in seconds; what was left of the last one is rounded, but not to nothing.
fn alarm(_: &mut Task, args: &Args) -> SyscallResult {
    const HALF: u64 = 500_000;
    let new = [0, 0, u64::from(args.uint(0)).min(i32::MAX as u64), 0];
    let mut old = [0_u64; 4];
    let pass = [Arg::from(libc::ITIMER_REAL), Arg::reads(&new), Arg::writes(&mut old)];
    host::call(Sysno::setitimer, pass)?;
    let [_, _, seconds, micros] = old;
    let is_up = micros >= HALF || (seconds == 0 && micros != 0);
    Ok(seconds + u64::from(is_up))
}

/// time(2)
fn time(_: &mut Task, args: &Args) -> SyscallResult {
    let (seconds, _) = clock::now(libc::CLOCK_REALTIME_COARSE).ok_or(Errno::EINVAL)?;
    args.ptr(0).write_opt(seconds)?;
    Ok(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_directories_keep_their_length_and_name() {
        let entry = |name: &[u8], kind: u8| {
            let len = (19 + name.len() + 1).next_multiple_of(8);
            let mut bytes = vec![0; len];
            bytes[..8].copy_from_slice(&77_u64.to_ne_bytes());
            bytes[16..18].copy_from_slice(&(len as u16).to_ne_bytes());
            bytes[18] = kind;
            bytes[19..19 + name.len()].copy_from_slice(name);
            bytes
        };
        let mut entries = [entry(b"abcd", 8), entry(b"e", 4)].concat();
        to_old_entries(&mut entries);
        assert_eq!((&entries[18..23], entries[23]), (&b"abcd\0"[..], 8));
        assert_eq!((&entries[24 + 18..24 + 20], entries[47]), (&b"e\0"[..], 4));
        assert_eq!(entries[..8], 77_u64.to_ne_bytes());
        to_old_entries(&mut [0; 50]);
    }
}
