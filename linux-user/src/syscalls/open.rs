//! Opening files: openat(2) and openat2(2).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

use syscalls::{Errno, Sysno};

use super::{NotDone, SyscallResult, block};
use crate::fs::proc::{Content, contents};
use crate::fs::{Last, Links, Place};
use crate::host::{self, Arg, args};
use crate::task::Task;
use crate::user::{UserPtr, UserSlice};

/// How often a path is walked again because its last name became a symbolic link meanwhile.
const RETRIES: u32 = 8;

/// Flags and permissions of a new file.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// `O_…` flags.
    pub(super) flags: i32,
    /// Permissions.
    pub(super) mode: u32,
}

/// openat(2)
pub(super) fn open(task: &Task, dirfd: i32, path: &CStr, how: How) -> SyscallResult {
    let flags = task.process.abi.open_flags_to_host(how.flags) | libc::O_LARGEFILE;
    opened(task, path, flags, open_host(task, dirfd, path, How { flags, ..how }))
}

/// Whoever has its own memory as a file may write code without an access to it.
fn opened(task: &Task, path: &CStr, flags: i32, result: SyscallResult) -> SyscallResult {
    let fd = result?;
    let may_be_memory = path.to_bytes().ends_with(b"mem");
    if may_be_memory && flags & libc::O_ACCMODE != libc::O_RDONLY {
        let target = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        if target.starts_with(format!("/proc/{}/", std::process::id())) && target.ends_with("mem") {
            task.process.memory.expect_writes_as_file();
        }
    }
    Ok(fd)
}

/// [`open`] with the host's flags.
fn open_host(task: &Task, dirfd: i32, path: &CStr, how: How) -> SyscallResult {
    let flags = how.flags;
    if let Some(result) = open_at_once(task, path, flags, how.mode) {
        return result;
    }
    let last = last_of(flags);
    for _ in 0..RETRIES {
        let place = task.process.place_to_read(dirfd, path, last)?;
        if let Some(content) = content(task, &place, flags) {
            return open_content(task, content, &place, flags);
        }
        let pass = args![place.dirfd(), place.name(), flags | place.open_flag(), how.mode];
        match block(task, Sysno::openat, pass) {
            Err(NotDone::Failed(Errno::ELOOP)) if was_replaced(&place, last) => {}
            result => return result,
        }
    }
    Err(Errno::ELOOP.into())
}

/// Opens a path that has no symbolic link on it in one step; `None` if it has, or if the host does
/// not know how.
fn open_at_once(task: &Task, path: &CStr, flags: i32, mode: u32) -> Option<SyscallResult> {
    let (dir, host) = task.process.fs.direct(path.to_bytes())?;
    let creates = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let mode = if creates { u64::from(mode & 0o7777) } else { 0 };
    let how = [flags as u64, mode, RESOLVE_NO_SYMLINKS];
    let pass = args![dir, host.as_c_str(), Arg::reads(&how), size_of_val(&how)];
    match block(task, Sysno::openat2, pass) {
        Err(NotDone::Failed(
            Errno::ELOOP | Errno::EINVAL | Errno::ENOSYS | Errno::EPERM | Errno::EAGAIN,
        )) => None,
        result => Some(result),
    }
}

/// Whether a link can be the last name, and who follows it.
fn last_of(flags: i32) -> Last {
    let exclusive = libc::O_CREAT | libc::O_EXCL;
    if flags & exclusive == exclusive || flags & libc::O_NOFOLLOW != 0 {
        Last::NoFollow
    } else {
        Last::Follow
    }
}

/// Whether "too many links" only means that one was put where none was.
fn was_replaced(place: &Place, last: Last) -> bool {
    place.links == Links::Resolved && last == Last::Follow
}

/// What Ferry writes itself, if the place is a file of /proc that is opened to be read.
fn content(task: &Task, place: &Place, flags: i32) -> Option<Content> {
    let reads = flags & (libc::O_ACCMODE | libc::O_PATH | libc::O_DIRECTORY) == libc::O_RDONLY;
    if reads { task.process.fs.content_at(place) } else { None }
}

/// A descriptor from which the guest reads what Ferry wrote.
fn open_content(task: &Task, content: Content, place: &Place, flags: i32) -> SyscallResult {
    let path = place.path.as_deref().unwrap_or_default();
    let bytes = contents::generate(&task.process, content, path)?;
    let file = memory_file(&bytes)?;
    // A second opening, because the first one may write.
    let path = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let kept = flags & libc::O_CLOEXEC;
    let path = path.map_err(|_| Errno::EIO)?;
    let fd = host::call(Sysno::openat, args![libc::AT_FDCWD, path.as_c_str(), kept, 0])?;
    Ok(fd)
}

fn memory_file(bytes: &[u8]) -> Result<OwnedFd, Errno> {
    use std::io::Write as _;
    use std::os::fd::FromRawFd;
    let raw = host::call(Sysno::memfd_create, args![c"proc", libc::MFD_CLOEXEC])?;
    #[expect(unsafe_code, reason = "takes ownership of a new descriptor")]
    // SAFETY: the kernel has just made this descriptor for us.
    let mut file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(raw as i32) });
    file.write_all(bytes).map_err(|_| Errno::ENOMEM)?;
    Ok(file.into())
}

/// `struct open_how` as the guest gives it: flags, mode, resolve.
type OpenHow = [u64; 3];

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_BENEATH: u64 = 0x08;
const RESOLVE_IN_ROOT: u64 = 0x10;

/// openat2(2)
pub(super) fn open2(
    task: &Task,
    dirfd: i32,
    path: &CStr,
    how: UserPtr<OpenHow>,
    size: u64,
) -> SyscallResult {
    let [flags, mode, resolve] = read_how(how, size)?;
    // Flags are looked at as 32 bits only after the host would have refused the others.
    let guest_flags = i32::try_from(flags).map_err(|_| Errno::EINVAL)?;
    let flags = task.process.abi.open_flags_to_host(guest_flags);
    let place = if resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0 {
        // The host keeps it below the directory, which the guest has.
        confined(dirfd, path)?
    } else {
        task.process.place_to_read(dirfd, path, last_of(flags))?
    };
    if resolve & RESOLVE_NO_SYMLINKS != 0 && place.has_followed {
        return Err(Errno::ELOOP.into());
    }
    let plain = resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) == 0;
    if let Some(content) = content(task, &place, flags).filter(|_| plain) {
        return open_content(task, content, &place, flags);
    }
    let how = [(flags | place.open_flag()) as u64, mode, resolve];
    let size = size_of_val(&how);
    let pass = args![place.dirfd(), place.name(), Arg::reads(&how), size];
    opened(task, path, flags, block(task, Sysno::openat2, pass))
}

/// A place that the host resolves within the directory; it has to be one, not the current one's
/// root.
fn confined(dirfd: i32, path: &CStr) -> Result<Place, Errno> {
    if path.is_empty() { Err(Errno::ENOENT) } else { Ok(Place::given(dirfd, path)) }
}

/// Reads a structure that may be longer than what is known of it, if the rest is zero.
fn read_how(how: UserPtr<OpenHow>, size: u64) -> Result<OpenHow, Errno> {
    const KNOWN: u64 = size_of::<OpenHow>() as u64;
    if size < KNOWN {
        return Err(Errno::EINVAL);
    }
    if size > base::addr::PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    let rest = UserSlice::new(how.addr().wrapping_add(KNOWN), size - KNOWN)?.read()?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    how.read()
}
