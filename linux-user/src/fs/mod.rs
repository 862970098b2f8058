//! How the guest sees the file system.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use syscalls::{Errno, Sysno};

use crate::config::Config;
use crate::host::{self, args};

/// A process's view of the file system.
pub(crate) struct FsContext {
    sysroot: Option<PathBuf>,
}

impl FsContext {
    pub(crate) fn new(config: &Config) -> Self {
        Self { sysroot: config.sysroot.clone() }
    }

    /// Opens a file by the guest's path, to load it.
    ///
    /// # Errors
    /// As open(2).
    pub(crate) fn open_program(&self, path: &Path) -> Result<File, Errno> {
        if let (Some(sysroot), Ok(inside)) = (&self.sysroot, path.strip_prefix("/"))
            && let Ok(file) = open_host(&sysroot.join(inside))
        {
            return Ok(file);
        }
        open_host(path)
    }

    /// A guest's path from its root, with the current directory before it if need be.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    }

    /// The guest's path of an open file or directory.
    ///
    /// # Errors
    /// `EBADF`
    pub(crate) fn path_of_fd(&self, fd: i32) -> Result<PathBuf, Errno> {
        std::fs::read_link(format!("/proc/self/fd/{fd}")).map_err(|_| Errno::EBADF)
    }

    /// Whether a path ends in a symbolic link.
    pub(crate) fn is_symlink(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
    }

    /// Where absolute paths are looked up besides, for messages.
    pub(crate) fn searched(&self) -> Option<&Path> {
        self.sysroot.as_deref()
    }
}

/// Not blocking: a FIFO is no program.
#[expect(unsafe_code, reason = "takes ownership of a new descriptor")]
fn open_host(path: &Path) -> Result<File, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::ENOENT)?;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    let fd = host::call(Sysno::openat, args![libc::AT_FDCWD, path.as_c_str(), flags, 0])?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
}
