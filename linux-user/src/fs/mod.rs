//! How the guest sees the file system.
//!
//! There are three views: the host's own paths; with `-L` the same, except that absolute paths of
//! files that exist under the sysroot mean those; and with `--root` a directory as `/`, with binds,
//! which no path leads out of. A handler asks [`Process::place`] where a path leads and makes the
//! host call with what it gets; what of /proc is shown differently is in [`proc`].
//!
//! `--root` confines paths. It is no sandbox for hostile programs: they still run as the user, and
//! may do to other processes what the user may.

mod namespace;
mod place;
pub(crate) mod proc;
mod walk;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syscalls::{Errno, Sysno};

use crate::config::{Config, DefaultBinds};
use crate::fds::OwnFds;
use crate::host::{self, Arg, args};
use crate::locks::{Guard, Lock, Rank};
use crate::process::{Process, Program};
use crate::user::PATH_MAX;
pub use namespace::FsError;
pub(crate) use namespace::Namespace;
use namespace::{Mount, MountKind};
pub(crate) use place::{Last, Links, Place};
use proc::{Content, View};

/// A process's view of the file system.
pub(crate) struct FsContext {
    mode: Lock<Mode>,
    /// For messages.
    searched: Option<PathBuf>,
    /// Whether the host shows the guest's arguments in /proc.
    is_announced: AtomicBool,
}

/// What the lock of an [`FsContext`] guards.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// The host's paths.
    Plain,
    /// `-L`: the host's paths, with these before.
    Sysroot(Arc<Namespace>),
    /// `--root`, or after chroot(2).
    Root(Arc<Namespace>),
}

impl FsContext {
    /// The view that the user chose. With `--root`, a current directory that the guest cannot see
    /// is left for the guest's root.
    ///
    /// # Errors
    /// A directory that was named is not there.
    pub(crate) fn new(config: &Config, fds: &OwnFds) -> Result<Self, FsError> {
        let mode = match (Namespace::from_config(config, fds)?, &config.sysroot) {
            (Some(namespace), _) => {
                enter(&namespace);
                Mode::Root(Arc::new(namespace))
            }
            (None, Some(path)) => {
                let error = |error| FsError::Sysroot { path: path.clone(), error };
                Mode::Sysroot(Arc::new(Namespace::of_directory(path).map_err(error)?))
            }
            (None, None) => Mode::Plain,
        };
        Ok(Self {
            mode: Lock::new(Rank::Fs, mode),
            searched: config.sysroot.clone(),
            is_announced: AtomicBool::new(false),
        })
    }

    /// The same view, for a process that may change its own.
    pub(crate) fn copy(&self) -> Self {
        Self {
            mode: Lock::new(Rank::Fs, self.mode()),
            searched: self.searched.clone(),
            is_announced: AtomicBool::new(self.is_announced.load(Ordering::Relaxed)),
        }
    }

    fn mode(&self) -> Mode {
        self.mode.lock().clone()
    }

    /// Lets the host show the guest's program in /proc, if it can.
    pub(crate) fn announce(&self, program: &Program) {
        match proc::announce(program) {
            Ok(()) => self.is_announced.store(true, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "the host's /proc shows ferry's arguments"),
        }
    }

    /// What Ferry itself writes at a place in /proc, if anything.
    pub(crate) fn content_at(&self, place: &Place) -> Option<Content> {
        let shown_by_host =
            |content: &Content| content.is_announced() && self.is_announced.load(Ordering::Relaxed);
        place.path.as_deref().and_then(proc::content_at).filter(|content| !shown_by_host(content))
    }

    /// The guest's own canonical path of an open file, if it has one that it can see.
    pub(crate) fn path_of_file(&self, file: &File) -> Option<PathBuf> {
        let host = walk::host_path(&place::Dir::Guest(file.as_raw_fd())).ok()?;
        let path = self.guest_path(&host).filter(|path| path.starts_with(b"/"))?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(path)))
    }

    /// Lets no other thread change the view: for `fork`.
    pub(crate) fn hold(&self) -> Guard<'_, Mode> {
        self.mode.lock()
    }

    /// The mounts of a guest with a root of its own.
    pub(crate) fn namespace(&self) -> Option<Arc<Namespace>> {
        match self.mode() {
            Mode::Root(namespace) => Some(namespace),
            Mode::Plain | Mode::Sysroot(_) => None,
        }
    }

    /// Writes root and binds as they are now, with Ferry's own descriptors, into the settings of a
    /// program that the guest executes.
    pub(crate) fn describe(&self, config: &mut Config) {
        let Some(namespace) = self.namespace() else { return };
        let shown = |mount: &Mount| (mount.host.clone(), namespace::as_path(&mount.at).to_owned());
        config.root = Some(namespace.root().host.clone());
        config.binds = namespace.mounts()[1..].iter().map(shown).collect();
        config.mount_fds = namespace.mounts().iter().map(|mount| mount.held).collect();
        config.default_binds = DefaultBinds::LeftOut;
        config.sysroot = None;
    }

    fn place(&self, view: &View<'_>, dirfd: i32, path: &CStr, last: Last) -> Result<Place, Errno> {
        match self.mode() {
            Mode::Root(namespace) => walk::walk(&namespace, view, dirfd, path.to_bytes(), last),
            Mode::Plain | Mode::Sysroot(_) => walk::given(view, dirfd, path, last),
        }
    }

    /// As [`FsContext::place`], for something that is to be read, not changed: then it may lie
    /// under the sysroot.
    fn place_to_read(
        &self,
        view: &View<'_>,
        dirfd: i32,
        path: &CStr,
        last: Last,
    ) -> Result<Place, Errno> {
        if let Mode::Sysroot(sysroot) = self.mode()
            && let Some(place) = in_sysroot(&sysroot, view, path, last)
        {
            return Ok(place);
        }
        self.place(view, dirfd, path, last)
    }

    /// A descriptor (or `AT_FDCWD`) and a path from there by which a guest's path can be opened at
    /// once, if no symbolic link is on it. `None` where a walk is needed in any case.
    pub(crate) fn direct(&self, path: &[u8]) -> Option<(RawFd, CString)> {
        let namespace = self.namespace()?;
        let is_plain = |name: &[u8]| !matches!(name, b"." | b"..");
        if !path.starts_with(b"/") || !path.split(|&b| b == b'/').all(is_plain) {
            return None;
        }
        let canonical = namespace::lexical(path);
        let (mount, rest) = namespace.mount_of(&canonical);
        if rest.is_empty() || mount.kind == MountKind::File || mount.host == Path::new("/proc") {
            return None;
        }
        let slash: &[u8] = if path.ends_with(b"/") { b"/" } else { b"" };
        let (dir, host) = mount.host_place(&[rest, slash].concat());
        Some((dir, CString::new(host).ok()?))
    }

    /// Opens a file by the guest's path, to load it.
    ///
    /// # Errors
    /// As open(2).
    pub(crate) fn open_program(&self, path: &Path) -> Result<File, Errno> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::ENOENT)?;
        let place = self.place_to_read(&View::nobody(), libc::AT_FDCWD, &path, Last::Follow)?;
        // Not blocking: a FIFO is no program.
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | place.open_flag();
        open_raw(place.dirfd(), &place.name, flags, 0).map(File::from)
    }

    /// A guest's path from its root, with the current directory before it if need be.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        if path.is_absolute() {
            return path.to_owned();
        }
        match self.current_dir() {
            Ok(dir) => {
                let dir = PathBuf::from(std::ffi::OsString::from_vec(dir));
                dir.join(path.strip_prefix(".").unwrap_or(path))
            }
            Err(_) => path.to_owned(),
        }
    }

    /// Where absolute paths are looked up besides, for messages.
    pub(crate) fn searched(&self) -> Option<&Path> {
        self.searched.as_deref()
    }

    /// The current directory as the guest names it.
    ///
    /// # Errors
    /// `ENOENT` if it was removed.
    pub(crate) fn current_dir(&self) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0_u8; PATH_MAX];
        let size = buffer.len();
        let len = host::call(Sysno::getcwd, args![Arg::writes(&mut buffer[..]), size])? as usize;
        buffer.truncate(len.saturating_sub(1));
        Ok(match self.namespace() {
            None => buffer,
            Some(_) if buffer.starts_with(b"(unreachable)") => buffer,
            Some(namespace) => match namespace.guest_path(&buffer) {
                Some(path) if path.is_empty() => b"/".to_vec(),
                Some(path) => path,
                None => [b"(unreachable)", &buffer[..]].concat(),
            },
        })
    }

    /// How the guest calls a host path that it can see.
    pub(crate) fn guest_path(&self, host: &[u8]) -> Option<Vec<u8>> {
        match self.namespace() {
            None => Some(host.to_vec()),
            Some(namespace) => namespace.guest_path(host),
        }
    }

    /// chroot(2), whose permission the caller has checked. The directory is kept open among `keep`.
    ///
    /// # Errors
    /// `ENOTDIR`, or what finding the directory says.
    pub(crate) fn change_root(&self, place: &Place, keep: Option<&OwnFds>) -> Result<(), Errno> {
        let flags = libc::O_PATH | libc::O_DIRECTORY | place.open_flag();
        let dir = open_raw(place.dirfd(), &place.name, flags, 0)?;
        let host = walk::host_path(&place::Dir::Guest(dir.as_raw_fd()))?;
        let root =
            Mount::of_open(PathBuf::from(std::ffi::OsString::from_vec(host.clone())), dir, keep);
        let mut mode = self.mode.lock();
        let namespace = match &*mode {
            Mode::Root(namespace) => {
                let path = namespace.guest_path(&host).ok_or(Errno::ENOENT)?;
                namespace.chrooted(root, &path)
            }
            Mode::Plain | Mode::Sysroot(_) => {
                Namespace::of_root(root).map_err(|_| Errno::ENOTDIR)?
            }
        };
        *mode = Mode::Root(Arc::new(namespace));
        Ok(())
    }
}

impl Process {
    pub(crate) fn view(&self) -> View<'_> {
        let file = self.program.file.as_ref().map(AsRawFd::as_raw_fd);
        View { program: &self.program.path, file, fds: &self.fds }
    }

    /// Where a path of the guest leads.
    ///
    /// # Errors
    /// As path_resolution(7).
    pub(crate) fn place(&self, dirfd: i32, path: &CStr, last: Last) -> Result<Place, Errno> {
        self.fs.place(&self.view(), dirfd, path, last)
    }

    /// As [`Process::place`], for something that is to be read, not changed: then it may lie under
    /// the sysroot.
    ///
    /// # Errors
    /// As path_resolution(7).
    pub(crate) fn place_to_read(
        &self,
        dirfd: i32,
        path: &CStr,
        last: Last,
    ) -> Result<Place, Errno> {
        self.fs.place_to_read(&self.view(), dirfd, path, last)
    }

    /// The program itself and Ferry's descriptor of it, if a path is /proc's link to it.
    pub(crate) fn program_of_link(&self, path: &Path) -> Option<(&Path, Option<RawFd>)> {
        let view = self.view();
        let canonical =
            path.is_absolute().then(|| namespace::lexical(path.as_os_str().as_bytes()))?;
        proc::program_of_link(&canonical, &view).map(|program| (program, view.file))
    }

    /// Opens what execveat(2) names, and says how the guest calls it: its path for `AT_EXECFN` and
    /// scripts.
    ///
    /// # Errors
    /// As open(2); `ELOOP` for a symbolic link that may not be followed.
    pub(crate) fn open_for_exec(
        &self,
        dirfd: i32,
        path: &CStr,
        flags: i32,
    ) -> Result<(File, PathBuf), Errno> {
        let place = self.place_to_read(dirfd, path, Last::unless_nofollow(flags))?;
        let nofollow = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { libc::O_NOFOLLOW } else { 0 };
        let open_flags = libc::O_RDONLY | libc::O_NONBLOCK | nofollow | place.open_flag();
        let file = open_raw(place.dirfd(), &place.name, open_flags, 0)?;
        let given = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
        let shown = match dirfd {
            libc::AT_FDCWD => given.to_owned(),
            _ if given.is_absolute() => given.to_owned(),
            fd => Path::new(&format!("/dev/fd/{fd}")).join(given),
        };
        Ok((file.into(), shown))
    }
}

impl Place {
    /// The `open` flag that keeps the host from following a link here.
    pub(crate) fn open_flag(&self) -> i32 {
        match self.links {
            Links::LeftToHost => 0,
            Links::Resolved => libc::O_NOFOLLOW,
        }
    }
}

/// Makes the guest's root the current directory unless the guest can see the one that is.
fn enter(namespace: &Namespace) {
    let visible = std::env::current_dir()
        .is_ok_and(|dir| namespace.guest_path(dir.as_os_str().as_bytes()).is_some());
    if !visible {
        // The root exists; if it may not be entered, every path of the guest will say so.
        let _ = namespace.root().enter();
    }
}

/// A path that exists under the sysroot. Its `/` itself does not count: nobody means it.
fn in_sysroot(sysroot: &Namespace, view: &View<'_>, path: &CStr, last: Last) -> Option<Place> {
    let bytes = path.to_bytes();
    if !bytes.starts_with(b"/") || bytes.iter().all(|&b| b == b'/') {
        return None;
    }
    let place = walk::walk(sysroot, view, libc::AT_FDCWD, path.to_bytes(), last).ok()?;
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    let exists =
        host::call(Sysno::faccessat2, args![place.dirfd(), place.name(), libc::F_OK, flags]);
    exists.is_ok().then_some(place)
}

/// Opens a file for Ferry itself: always closed by `execve`.
///
/// # Errors
/// As open(2).
#[expect(unsafe_code, reason = "takes ownership of a new descriptor")]
pub(crate) fn open_raw(dir: Arg, name: &CStr, flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    let fd = host::call(Sysno::openat, args![dir, name, flags | libc::O_CLOEXEC, mode])?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Opens a path of the host, from a descriptor or `AT_FDCWD`, if no symbolic link is on it:
/// openat2(2) with `RESOLVE_NO_SYMLINKS`.
#[expect(unsafe_code, reason = "takes ownership of a new descriptor")]
fn open_without_links(dir: RawFd, path: &CStr, flags: i32) -> Result<OwnedFd, Errno> {
    const RESOLVE_NO_SYMLINKS: u64 = 0x04;
    let how = [(flags | libc::O_CLOEXEC) as u64, 0, RESOLVE_NO_SYMLINKS];
    let size = size_of_val(&how);
    let fd = host::call(Sysno::openat2, args![dir, path, Arg::reads(&how), size])?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// What a symbolic link says.
fn readlink(dir: Arg, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0_u8; PATH_MAX];
    let size = buffer.len();
    let len = host::call(Sysno::readlinkat, args![dir, name, Arg::writes(&mut buffer[..]), size])?;
    buffer.truncate(len as usize);
    Ok(buffer)
}

/// The guest's path of an open directory, if it is one that the guest can see.
pub(crate) fn path_of_fd(process: &Process, fd: i32) -> Option<Vec<u8>> {
    let host = walk::host_path(&place::Dir::Guest(fd)).ok()?;
    process.fs.guest_path(&host)
}

/// The host's path of the directory of a place.
pub(crate) fn path_of_dir(place: &Place) -> Option<Vec<u8>> {
    walk::host_path(&place.dir).ok()
}

/// As [`readlink`], with how /proc shows links to this guest.
///
/// # Errors
/// As readlink(2).
pub(crate) fn read_guest_link(process: &Process, place: &Place) -> Result<Vec<u8>, Errno> {
    let text = readlink(place.dirfd(), &place.name)?;
    let namespace = process.fs.namespace();
    Ok(match &place.path {
        Some(path) => proc::link_text(path, &text, &process.view(), namespace.as_deref()),
        None => text,
    })
}

#[cfg(test)]
mod tests;
