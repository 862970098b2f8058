//! Where a path has led: what a host system call is given instead of the guest's own arguments.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

use syscalls::{Errno, Sysno};

use super::namespace::GuestPath;
use super::open_raw;
use crate::host::{self, Arg, args};

/// What to do about the last name of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Last {
    /// If it is a symbolic link, what counts is where it leads: `stat`, `open`. It may be missing.
    Follow,
    /// A symbolic link counts itself: `lstat`, `readlink`.
    NoFollow,
    /// It names an entry of a directory to be made, removed or renamed.
    Entry,
}

impl Last {
    /// For calls with `AT_SYMLINK_NOFOLLOW`.
    pub(crate) fn unless_nofollow(flags: i32) -> Self {
        if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { Self::NoFollow } else { Self::Follow }
    }

    /// For calls with `AT_SYMLINK_FOLLOW`.
    pub(crate) fn if_follow(flags: i32) -> Self {
        if flags & libc::AT_SYMLINK_FOLLOW != 0 { Self::Follow } else { Self::NoFollow }
    }
}

/// The directory of a [`Place`].
#[derive(Debug)]
pub(crate) enum Dir {
    /// A descriptor of the guest's, or `AT_FDCWD`.
    Guest(i32),
    /// Opened on the way, with `O_PATH`.
    Walked(OwnedFd),
}

/// Who follows a last symbolic link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Links {
    /// The host kernel, as the call's own flags say: the path is the guest's own, or a link of
    /// /proc to an open file.
    LeftToHost,
    /// All were followed; if one stands there now, it was not there a moment ago.
    Resolved,
}

/// A directory and a name in it, which host system calls can be given.
#[derive(Debug)]
pub(crate) struct Place {
    /// What relative names start from.
    pub(crate) dir: Dir,
    /// A name in `dir` if links are [`Links::Resolved`], else any path.
    pub(crate) name: CString,
    /// Whether the host may follow links.
    pub(crate) links: Links,
    /// The guest's own canonical path, as far as it is known.
    pub(crate) path: Option<GuestPath>,
    /// Whether symbolic links were followed on the way.
    pub(crate) has_followed: bool,
    /// Whether something is mounted here, so that it can be neither removed nor renamed.
    pub(crate) is_mount_point: bool,
}

impl Place {
    /// The guest's own arguments.
    pub(crate) fn given(dirfd: i32, path: &CStr) -> Self {
        Self {
            dir: Dir::Guest(dirfd),
            name: path.to_owned(),
            links: Links::LeftToHost,
            path: None,
            has_followed: false,
            is_mount_point: false,
        }
    }

    /// The first argument of an `…at` call.
    pub(crate) fn dirfd(&self) -> Arg {
        Arg::from(self.raw_dirfd())
    }

    /// The descriptor of the directory, or `AT_FDCWD`.
    pub(crate) fn raw_dirfd(&self) -> i32 {
        match &self.dir {
            Dir::Guest(fd) => *fd,
            Dir::Walked(fd) => fd.as_raw_fd(),
        }
    }

    /// The second argument of an `…at` call.
    pub(crate) fn name(&self) -> Arg {
        Arg::from(self.name.as_c_str())
    }

    /// `AT_…` flags for a call that follows links unless told otherwise.
    pub(crate) fn at_flags(&self, flags: i32) -> i32 {
        match self.links {
            Links::LeftToHost => flags,
            Links::Resolved => flags | libc::AT_SYMLINK_NOFOLLOW,
        }
    }

    /// `AT_…` flags for a call that follows links only if told so.
    pub(crate) fn at_flags_of_link(&self, flags: i32) -> i32 {
        match self.links {
            Links::LeftToHost => flags,
            Links::Resolved => flags & !libc::AT_SYMLINK_FOLLOW,
        }
    }

    /// Refuses to remove, rename or replace what is mounted.
    ///
    /// # Errors
    /// `EBUSY`
    pub(crate) fn not_mounted(self) -> Result<Self, Errno> {
        if self.is_mount_point { Err(Errno::EBUSY) } else { Ok(self) }
    }

    /// For calls that take a path only and always follow links: a path by which the host finds
    /// exactly this file. Valid while the result lives.
    ///
    /// # Errors
    /// As opening it with `O_PATH`.
    pub(crate) fn pinned(&self) -> Result<Pinned, Errno> {
        match (&self.dir, self.links) {
            (Dir::Guest(libc::AT_FDCWD), Links::LeftToHost) => {
                Ok(Pinned { path: self.name.clone(), _held: None })
            }
            _ => {
                let nofollow = match self.links {
                    Links::LeftToHost => 0,
                    Links::Resolved => libc::O_NOFOLLOW,
                };
                let fd = open_raw(self.dirfd(), &self.name, libc::O_PATH | nofollow, 0)?;
                if self.links == Links::Resolved && is_symlink(&fd) {
                    return Err(Errno::ELOOP);
                }
                Ok(Pinned { path: proc_path(&fd, None), _held: Some(fd) })
            }
        }
    }

    /// For calls that take a path only and act on a last link itself: a path whose last name is the
    /// place's own. Valid while the place lives.
    pub(crate) fn unfollowed_path(&self) -> CString {
        match &self.dir {
            Dir::Guest(libc::AT_FDCWD) => self.name.clone(),
            Dir::Guest(fd) if !self.name.as_bytes().starts_with(b"/") => {
                join(format!("/proc/self/fd/{fd}/").into_bytes(), &self.name)
            }
            Dir::Guest(_) => self.name.clone(),
            Dir::Walked(fd) => proc_path(fd, Some(&self.name)),
        }
    }
}

/// A path by which the host finds a file, however the directories around it change.
#[derive(Debug)]
pub(crate) struct Pinned {
    path: CString,
    _held: Option<OwnedFd>,
}

impl Pinned {
    /// The path.
    pub(crate) fn path(&self) -> Arg {
        Arg::from(self.path.as_c_str())
    }
}

fn proc_path(fd: &OwnedFd, name: Option<&CStr>) -> CString {
    let start = format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes();
    match name {
        Some(name) => join([&start[..], b"/"].concat(), name),
        None => join(start, c""),
    }
}

fn join(mut start: Vec<u8>, name: &CStr) -> CString {
    start.extend_from_slice(name.to_bytes());
    // Neither part holds a zero.
    CString::new(start).unwrap_or_default()
}

/// Whether a descriptor that was opened with `O_PATH | O_NOFOLLOW` is a symbolic link itself.
pub(crate) fn is_symlink(fd: &OwnedFd) -> bool {
    let mut byte = [0_u8; 1];
    host::call(Sysno::readlinkat, args![fd, c"", Arg::writes(&mut byte), 1_u64]).is_ok()
}
