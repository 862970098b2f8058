//! Paths: everything that names a file.

use std::ffi::CString;
use std::sync::Arc;

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, SyscallResult, block, open};
use crate::fs::{Last, Links, Place, open_raw, read_guest_link};
use crate::host::{self, Arg, args};
use crate::process::Process;
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};

rows! {
    openat(DirFd, Path, OpenFlags, Mode) => openat;
    openat2(DirFd, Path, Ptr, Size) => openat2, "RESOLVE_BENEATH and RESOLVE_IN_ROOT do not see --bind mounts";
    faccessat(DirFd, Path, AccessMode) => faccessat;
    faccessat2(DirFd, Path, AccessMode, AtFlags) => faccessat2;
    readlinkat(DirFd, Path, OutBuf, Size) => readlinkat;
    newfstatat(DirFd, Path, Ptr, AtFlags) => newfstatat;
    statx(DirFd, Path, AtFlags, Hex, Ptr) => statx;
    statfs(Path, Ptr) => statfs;
    getcwd(OutBuf, Size) => getcwd;
    chdir(Path) => chdir;
    fchdir(Fd) => pass;
    chroot(Path) => chroot, "kept by the process and its children; asks for user id 0, not for CAP_SYS_CHROOT";
    mknodat(DirFd, Path, Mode, Hex) => mknodat;
    mkdirat(DirFd, Path, Mode) => mkdirat;
    unlinkat(DirFd, Path, AtFlags) => unlinkat;
    symlinkat(Path, DirFd, Path) => symlinkat;
    linkat(DirFd, Path, DirFd, Path, AtFlags) => linkat;
    renameat(DirFd, Path, DirFd, Path) => renameat;
    renameat2(DirFd, Path, DirFd, Path, Hex) => renameat2;
    truncate(Path, Long) => truncate;
    fchmodat(DirFd, Path, Mode) => fchmodat;
    fchmodat2(DirFd, Path, Mode, AtFlags) => fchmodat2;
    fchownat(DirFd, Path, Int, Int, AtFlags) => fchownat;
    utimensat(DirFd, Path, Ptr, AtFlags) => utimensat;
    file_getattr(DirFd, Path, Ptr, Size, AtFlags) => enosys, "newer than most hosts";
    file_setattr(DirFd, Path, Ptr, Size, AtFlags) => enosys, "newer than most hosts";
    umask(Mode) => pass;
    name_to_handle_at(DirFd, Path, Ptr, Ptr, AtFlags) => name_to_handle_at;
    open_by_handle_at(Fd, Ptr, OpenFlags) => open_by_handle_at, "not with --root: a handle names any file of its file system";
    acct(Path) => enosys, "process accounting is left to the host";
    swapon(Path, Hex) => enosys, "swap administration is left to the host";
    swapoff(Path) => enosys, "swap administration is left to the host";
    lookup_dcookie(Long, OutBuf, Size) => enosys, "removed from Linux";
    nfsservctl() => enosys, "removed from Linux";
}

/// The path in argument `n`; none is an empty one where `AT_EMPTY_PATH` allows that.
fn read_path(args: &Args, n: usize, flags: i32) -> Result<CString, Errno> {
    let path: UserPtr<u8> = args.ptr(n);
    if path.is_null() && flags & libc::AT_EMPTY_PATH != 0 {
        return Ok(CString::default());
    }
    path.read_path()
}

/// Where the directory in argument `n` and the path in argument `n + 1` lead.
fn place(task: &Task, args: &Args, n: usize, last: Last, flags: i32) -> Result<Place, Errno> {
    let path = read_path(args, n + 1, flags)?;
    if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        return Ok(Place::given(args.int(n), &path));
    }
    task.process.place(args.int(n), &path, last)
}

/// As [`place`], for something that is to be read.
fn place_to_read(
    task: &Task,
    args: &Args,
    n: usize,
    last: Last,
    flags: i32,
) -> Result<Place, Errno> {
    let path = read_path(args, n + 1, flags)?;
    if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        return Ok(Place::given(args.int(n), &path));
    }
    task.process.place_to_read(args.int(n), &path, last)
}

/// Where the path in argument `n` leads, for calls without a directory.
pub(super) fn place_of_path(
    task: &Task,
    args: &Args,
    n: usize,
    last: Last,
) -> Result<Place, Errno> {
    task.process.place(libc::AT_FDCWD, &args.ptr::<u8>(n).read_path()?, last)
}

/// As [`place`], for an entry that is to be made.
fn new_entry(task: &Task, args: &Args, n: usize) -> Result<Place, Errno> {
    let place = place(task, args, n, Last::Entry, 0)?;
    if place.is_mount_point { Err(Errno::EEXIST) } else { Ok(place) }
}

/// openat(2)
pub(super) fn openat(task: &mut Task, args: &Args) -> SyscallResult {
    let path = args.ptr::<u8>(1).read_path()?;
    let how = open::How { flags: args.int(2), mode: args.uint(3) };
    open::open(task, args.int(0), &path, how)
}

/// openat2(2)
fn openat2(task: &mut Task, args: &Args) -> SyscallResult {
    let path = args.ptr::<u8>(1).read_path()?;
    open::open2(task, args.int(0), &path, args.ptr(2), args.long(3))
}

/// faccessat(2), which has no flags in the kernel.
pub(super) fn faccessat(task: &mut Task, args: &Args) -> SyscallResult {
    let place = place_to_read(task, args, 0, Last::Follow, 0)?;
    access(&place, args.int(2), 0)
}

/// faccessat2(2)
fn faccessat2(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = args.int(3);
    let place = place_to_read(task, args, 0, Last::unless_nofollow(flags), flags)?;
    access(&place, args.int(2), flags)
}

fn access(place: &Place, mode: i32, flags: i32) -> SyscallResult {
    let all = place.at_flags(flags);
    let answer = host::call(Sysno::faccessat2, args![place.dirfd(), place.name(), mode, all]);
    match answer {
        // Hosts before Linux 5.8.
        Err(Errno::ENOSYS) if flags == 0 => {
            let pinned = place.pinned()?;
            Ok(host::call(Sysno::faccessat, args![libc::AT_FDCWD, pinned.path(), mode])?)
        }
        answer => Ok(answer?),
    }
}

/// readlinkat(2)
pub(super) fn readlinkat(task: &mut Task, args: &Args) -> SyscallResult {
    let size = args.int(3);
    if size <= 0 {
        return Err(Errno::EINVAL.into());
    }
    // An empty path is the link that the descriptor itself is.
    let place = place_to_read(task, args, 0, Last::NoFollow, libc::AT_EMPTY_PATH)?;
    let text = read_guest_link(&task.process, &place)?;
    let buffer = UserSlice::new(args.addr(2), size as u64)?;
    Ok(buffer.write(&text)? as u64)
}

/// newfstatat(2)
pub(super) fn newfstatat(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = args.int(3);
    let place = place_to_read(task, args, 0, Last::unless_nofollow(flags), flags)?;
    let stat = host_stat(place.dirfd(), place.name(), place.at_flags(flags))?;
    write_stat(task, args.addr(2), &stat)
}

/// The host's `struct stat`.
pub(super) fn host_stat(dirfd: Arg, name: Arg, flags: i32) -> Result<libc::stat, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    host::call(Sysno::newfstatat, args![dirfd, name, Arg::writes(&mut stat), flags])?;
    #[expect(unsafe_code, reason = "a C structure that the kernel wrote")]
    // SAFETY: it was zeroed, which is valid, and the kernel filled it.
    Ok(unsafe { stat.assume_init() })
}

/// Writes a `struct stat` as the guest's architecture lays it out.
pub(super) fn write_stat(task: &Task, to: base::GuestVirt, stat: &libc::stat) -> SyscallResult {
    let bytes = task.process.abi.stat(stat);
    UserSlice::new(to, bytes.len() as u64)?.write(&bytes)?;
    Ok(0)
}

/// statx(2)
fn statx(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = args.int(2);
    let place = place_to_read(task, args, 0, Last::unless_nofollow(flags), flags)?;
    let pass =
        args![place.dirfd(), place.name(), place.at_flags(flags), args.uint(3), args.addr(4)];
    Ok(host::call(Sysno::statx, pass)?)
}

/// statfs(2)
fn statfs(task: &mut Task, args: &Args) -> SyscallResult {
    let path = args.ptr::<u8>(0).read_path()?;
    let place = task.process.place_to_read(libc::AT_FDCWD, &path, Last::Follow)?;
    Ok(host::call(Sysno::statfs, args![place.pinned()?.path(), args.addr(1)])?)
}

/// getcwd(2)
fn getcwd(task: &mut Task, args: &Args) -> SyscallResult {
    let mut path = task.process.fs.current_dir()?;
    path.push(0);
    if args.long(1) < path.len() as u64 {
        return Err(Errno::ERANGE.into());
    }
    UserSlice::new(args.addr(0), path.len() as u64)?.write(&path)?;
    Ok(path.len() as u64)
}

/// chdir(2)
fn chdir(task: &mut Task, args: &Args) -> SyscallResult {
    let place = place_of_path(task, args, 0, Last::Follow)?;
    if place.links == Links::LeftToHost {
        return Ok(host::call(Sysno::chdir, args![place.pinned()?.path()])?);
    }
    let flags = libc::O_PATH | libc::O_DIRECTORY | place.open_flag();
    let dir = open_raw(place.dirfd(), &place.name, flags, 0)?;
    Ok(host::call(Sysno::fchdir, args![&dir])?)
}

/// chroot(2): only paths mean something else from then on.
fn chroot(task: &mut Task, args: &Args) -> SyscallResult {
    let place = place_of_path(task, args, 0, Last::Follow)?;
    if host::call(Sysno::geteuid, [])? != 0 {
        return Err(Errno::EPERM.into());
    }
    let Process { fs, fds, .. } = &*task.process;
    // Who shares the view with another process may not share the descriptors.
    fs.change_root(&place, (Arc::strong_count(fs) == 1).then_some(fds))?;
    Ok(0)
}

/// mknodat(2)
pub(super) fn mknodat(task: &mut Task, args: &Args) -> SyscallResult {
    let place = new_entry(task, args, 0)?;
    let pass = args![place.dirfd(), place.name(), args.uint(2), args.uint(3)];
    Ok(host::call(Sysno::mknodat, pass)?)
}

/// mkdirat(2)
pub(super) fn mkdirat(task: &mut Task, args: &Args) -> SyscallResult {
    let place = new_entry(task, args, 0)?;
    Ok(host::call(Sysno::mkdirat, args![place.dirfd(), place.name(), args.uint(2)])?)
}

/// unlinkat(2)
pub(super) fn unlinkat(task: &mut Task, args: &Args) -> SyscallResult {
    let place = place(task, args, 0, Last::Entry, 0)?.not_mounted()?;
    Ok(host::call(Sysno::unlinkat, args![place.dirfd(), place.name(), args.int(2)])?)
}

/// symlinkat(2)
pub(super) fn symlinkat(task: &mut Task, args: &Args) -> SyscallResult {
    let text = args.ptr::<u8>(0).read_path()?;
    let place = new_entry(task, args, 1)?;
    Ok(host::call(Sysno::symlinkat, args![text.as_c_str(), place.dirfd(), place.name()])?)
}

/// linkat(2)
pub(super) fn linkat(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = args.int(4);
    let old = place(task, args, 0, Last::if_follow(flags), flags)?;
    let new = new_entry(task, args, 2)?;
    let flags = old.at_flags_of_link(flags);
    let pass = args![old.dirfd(), old.name(), new.dirfd(), new.name(), flags];
    Ok(host::call(Sysno::linkat, pass)?)
}

/// renameat(2)
pub(super) fn renameat(task: &mut Task, args: &Args) -> SyscallResult {
    rename(task, args, 0)
}

/// renameat2(2)
fn renameat2(task: &mut Task, args: &Args) -> SyscallResult {
    rename(task, args, args.uint(4))
}

fn rename(task: &Task, args: &Args, flags: u32) -> SyscallResult {
    let old = place(task, args, 0, Last::Entry, 0)?.not_mounted()?;
    let new = place(task, args, 2, Last::Entry, 0)?.not_mounted()?;
    let pass = args![old.dirfd(), old.name(), new.dirfd(), new.name(), flags];
    Ok(host::call(Sysno::renameat2, pass)?)
}

/// truncate(2)
fn truncate(task: &mut Task, args: &Args) -> SyscallResult {
    let place = place_of_path(task, args, 0, Last::Follow)?;
    block(task, Sysno::truncate, args![place.pinned()?.path(), args.long(1)])
}

/// fchmodat(2), which has no flags in the kernel.
pub(super) fn fchmodat(task: &mut Task, args: &Args) -> SyscallResult {
    let place = place(task, args, 0, Last::Follow, 0)?;
    let pinned = place.pinned()?;
    Ok(host::call(Sysno::fchmodat, args![libc::AT_FDCWD, pinned.path(), args.uint(2)])?)
}

/// fchmodat2(2)
fn fchmodat2(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = args.int(3);
    if flags == 0 {
        return fchmodat(task, args);
    }
    let place = place(task, args, 0, Last::unless_nofollow(flags), flags)?;
    // The same number on every architecture.
    const FCHMODAT2: u64 = 452;
    let pass = args![place.dirfd(), place.name(), args.uint(2), place.at_flags(flags)];
    Ok(host::call_raw(FCHMODAT2, host::widen(pass))?)
}

/// fchownat(2)
pub(super) fn fchownat(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = args.int(4);
    let place = place(task, args, 0, Last::unless_nofollow(flags), flags)?;
    let (owner, group) = (args.uint(2), args.uint(3));
    let pass = args![place.dirfd(), place.name(), owner, group, place.at_flags(flags)];
    Ok(host::call(Sysno::fchownat, pass)?)
}

/// utimensat(2); without a path it is about the descriptor.
fn utimensat(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = args.int(3);
    if args.ptr::<u8>(1).is_null() {
        return super::pass(task, args);
    }
    let place = place(task, args, 0, Last::unless_nofollow(flags), flags)?;
    let pass = args![place.dirfd(), place.name(), args.addr(2), place.at_flags(flags)];
    Ok(host::call(Sysno::utimensat, pass)?)
}

/// Sets the times of the file to which the first two arguments lead: access and modification in seconds and
/// nanoseconds, or the present for both. Without a path it is about the descriptor.
pub(super) fn set_times(task: &Task, args: &Args, times: Option<[[i64; 2]; 2]>) -> SyscallResult {
    let times = times.as_ref().map_or(Arg::from(0), Arg::reads);
    if args.ptr::<u8>(1).is_null() {
        if args.int(0) == libc::AT_FDCWD {
            return Err(Errno::EFAULT.into());
        }
        return Ok(host::call(Sysno::utimensat, args![args.int(0), 0, times, 0])?);
    }
    let place = place(task, args, 0, Last::Follow, 0)?;
    let pass = args![place.dirfd(), place.name(), times, place.at_flags(0)];
    Ok(host::call(Sysno::utimensat, pass)?)
}

/// name_to_handle_at(2)
fn name_to_handle_at(task: &mut Task, args: &Args) -> SyscallResult {
    let flags = args.int(4);
    let place = place_to_read(task, args, 0, Last::if_follow(flags), flags)?;
    let flags = place.at_flags_of_link(flags);
    let pass = args![place.dirfd(), place.name(), args.addr(2), args.addr(3), flags];
    Ok(host::call(Sysno::name_to_handle_at, pass)?)
}

/// open_by_handle_at(2)
fn open_by_handle_at(task: &mut Task, args: &Args) -> SyscallResult {
    if task.process.fs.namespace().is_some() {
        return Err(Errno::EPERM.into());
    }
    let flags = task.process.abi.open_flags_to_host(args.int(2));
    block(task, Sysno::open_by_handle_at, args![args.int(0), args.addr(1), flags])
}
