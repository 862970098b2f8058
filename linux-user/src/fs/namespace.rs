//! What is mounted where in the file system that a guest with `--root` sees, and how guest paths
//! and host paths correspond.
//!
//! A walk starts at the descriptor of a mounted directory, which lies outside the guest's reach. It is
//! held open so that, as after chroot(2), the mount stays reachable for a process that gives up the
//! right to search the directories above it. The host paths, which are canonical, say what the host
//! calls a place.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use syscalls::{Errno, Sysno};

use crate::config::{self, Config};
use crate::fds::{OwnFds, inherited};
use crate::host::{self, args};

/// Why a root directory or a bind cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// `--root`
    #[error("--root {}: {error}; name a directory that holds a system", path.display())]
    Root {
        /// What was given.
        path: PathBuf,
        /// What the host says.
        error: std::io::Error,
    },
    /// `--root` of a file.
    #[error("--root {}: this is not a directory; name one that holds a system", .0.display())]
    RootIsFile(PathBuf),
    /// `--bind`
    #[error("--bind {}: {error}; name what the host has (SRC[:DST])", path.display())]
    Bind {
        /// What was given as the source.
        path: PathBuf,
        /// What the host says.
        error: std::io::Error,
    },
    /// `--bind` to a place that cannot be one.
    #[error(
        "--bind {}: {} is no place for it: the directory above must exist below the root",
        path.display(), at.display()
    )]
    BindTarget {
        /// What was given as the source.
        path: PathBuf,
        /// What was given as the target.
        at: PathBuf,
    },
    /// `-L`
    #[error("-L {}: {error}; name a directory with lib/ below it", path.display())]
    Sysroot {
        /// What was given.
        path: PathBuf,
        /// What the host says.
        error: std::io::Error,
    },
}

/// A canonical absolute guest path: `/` and names, without `.`, `..`, empty names or a final slash;
/// the root itself is empty.
pub(crate) type GuestPath = Vec<u8>;

/// What is at the end of a mount's host path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MountKind {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// A host file or directory, and where the guest sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mount {
    /// Where: empty for the root.
    pub(crate) at: GuestPath,
    /// Its canonical path on the host.
    pub(crate) host: PathBuf,
    /// What it is.
    pub(crate) kind: MountKind,
    /// Ferry's own descriptor of the directory, open as long as the process. `None` for files, where
    /// there is no room for one, and for what lies where everybody may search.
    pub(crate) held: Option<RawFd>,
}

impl Mount {
    /// What is at a host path, mounted as the root.
    ///
    /// # Errors
    /// It is not there.
    fn of(host: &Path) -> std::io::Result<Self> {
        let host = host.canonicalize()?;
        let kind = if host.is_dir() { MountKind::Directory } else { MountKind::File };
        Ok(Self { at: Vec::new(), host, kind, held: None })
    }

    /// A directory that is already open, mounted as the root, with its canonical host path. It stays
    /// open if there is a place for it.
    pub(crate) fn of_open(host: PathBuf, dir: OwnedFd, keep: Option<&OwnFds>) -> Self {
        let held = keep.and_then(|fds| fds.adopt(dir).ok()).map(IntoRawFd::into_raw_fd);
        Self { at: Vec::new(), host, kind: MountKind::Directory, held }
    }

    /// Keeps a directory open, if there is room.
    fn hold(self, fds: &OwnFds) -> Self {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        match File::options().read(true).custom_flags(flags).open(&self.host) {
            Ok(dir) => Self::of_open(self.host, dir.into(), Some(fds)),
            Err(_) => self,
        }
    }

    /// Makes it the current directory of this process.
    ///
    /// # Errors
    /// As chdir(2).
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        let path = CString::new(self.host.as_os_str().as_bytes()).map_err(|_| Errno::ENOENT)?;
        match self.held {
            Some(dir) => host::call(Sysno::fchdir, args![dir])?,
            None => host::call(Sysno::chdir, args![path.as_c_str()])?,
        };
        Ok(())
    }

    /// A path below the mount as the host resolves it: the descriptor that it starts from, and the
    /// path from there. `rest` is empty or begins with a slash.
    pub(crate) fn host_place(&self, rest: &[u8]) -> (RawFd, Vec<u8>) {
        match self.held {
            Some(dir) => (dir, [b".", rest].concat()),
            None => (libc::AT_FDCWD, [self.host.as_os_str().as_bytes(), rest].concat()),
        }
    }
}

/// The mounts of a guest. The first one is its root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Namespace {
    mounts: Vec<Mount>,
}

/// What a guest with a root of its own sees of the host without being told.
const DEFAULT_BINDS: [&str; 3] = ["/proc", "/sys", "/dev"];

impl Namespace {
    /// A namespace of one directory.
    ///
    /// # Errors
    /// It is not there, or no directory.
    pub(crate) fn of_directory(root: &Path) -> std::io::Result<Self> {
        Mount::of(root).and_then(Self::of_root)
    }

    /// A namespace of one mount.
    ///
    /// # Errors
    /// It is no directory.
    pub(crate) fn of_root(root: Mount) -> std::io::Result<Self> {
        match root.kind {
            MountKind::Directory => Ok(Self { mounts: vec![root] }),
            MountKind::File => Err(std::io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The namespace that `--root` and `--bind` describe; `None` without `--root`.
    ///
    /// # Errors
    /// A directory or file named there is missing.
    pub(crate) fn from_config(config: &Config, fds: &OwnFds) -> Result<Option<Self>, FsError> {
        let Some(path) = &config.root else { return Ok(None) };
        let mut mount_fds = config.mount_fds.iter().copied();
        let mut mount = |path: &Path| match mount_fds.next().flatten() {
            Some(fd) => Ok(Mount::of_open(path.to_owned(), inherited(fd), Some(fds))),
            None => Mount::of(path).map(|mount| mount.hold(fds)),
        };
        let root = mount(path).and_then(Self::of_root);
        let mut namespace = root.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotADirectory => FsError::RootIsFile(path.clone()),
            _ => FsError::Root { path: path.clone(), error },
        })?;
        let made = config.default_binds == config::DefaultBinds::Made;
        for dir in DEFAULT_BINDS.iter().map(Path::new).filter(|_| made) {
            // A host without one of them has nothing to show there.
            let _ = Mount::of(dir).map(|mount| namespace.bind(mount, dir));
        }
        for (source, at) in &config.binds {
            let mount =
                mount(source).map_err(|error| FsError::Bind { path: source.clone(), error })?;
            if namespace.bind(mount, at).is_none() {
                return Err(FsError::BindTarget { path: source.clone(), at: at.clone() });
            }
        }
        Ok(Some(namespace))
    }

    /// Mounts something; what was mounted there before is replaced. `None` if that is no place for
    /// a mount.
    fn bind(&mut self, mount: Mount, at: &Path) -> Option<()> {
        let at = super::walk::canonical(self, &lexical(at.as_os_str().as_bytes()));
        let at = at.filter(|at| !at.is_empty())?;
        self.mounts.retain(|mount| mount.at != at);
        self.mounts.push(Mount { at, ..mount });
        Some(())
    }

    /// The host's path of the root.
    pub(crate) fn root(&self) -> &Mount {
        &self.mounts[0]
    }

    /// What is mounted exactly at this place.
    pub(crate) fn mount_at(&self, path: &[u8]) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.at == path)
    }

    /// Whether a name is the last one of some mount point: only then can a step to it enter a
    /// mount.
    pub(crate) fn may_enter_mount(&self, name: &[u8]) -> bool {
        self.mounts[1..].iter().any(|mount| last_name(&mount.at) == name)
    }

    /// The mount in which a guest path lies, and the rest of the path.
    pub(crate) fn mount_of<'a>(&self, path: &'a [u8]) -> (&Mount, &'a [u8]) {
        let best = self
            .mounts
            .iter()
            .filter(|mount| below(path, &mount.at).is_some())
            .max_by_key(|mount| mount.at.len())
            .unwrap_or(&self.mounts[0]);
        (best, &path[best.at.len()..])
    }

    /// How the guest calls a host path, if it can see it.
    pub(crate) fn guest_path(&self, host: &[u8]) -> Option<GuestPath> {
        let mut candidates: Vec<(&Mount, &[u8])> = self
            .mounts
            .iter()
            .filter_map(|mount| Some((mount, below(host, prefix(&mount.host))?)))
            .collect();
        candidates.sort_by_key(|(_, rest)| rest.len());
        candidates.into_iter().find_map(|(mount, rest)| {
            let path = [&mount.at, rest].concat();
            // Something else may be mounted over it.
            (self.mount_of(&path).0 == mount).then_some(path)
        })
    }

    /// The namespace after `chroot(2)` to a directory, whose guest path says which mounts stay.
    pub(crate) fn chrooted(&self, root: Mount, path: &[u8]) -> Self {
        let inner =
            self.mounts.iter().filter(|mount| mount.at.len() > path.len()).filter_map(|m| {
                let at = below(&m.at, path)?.to_vec();
                Some(Mount { at, ..m.clone() })
            });
        Self { mounts: std::iter::once(root).chain(inner).collect() }
    }

    /// Root and binds as `--root` and `--bind` name them, defaults included.
    pub(crate) fn mounts(&self) -> &[Mount] {
        &self.mounts
    }
}

#[cfg(test)]
impl Namespace {
    /// Directories by guest path and host path, whether they exist or not.
    pub(crate) fn for_tests(mounts: &[(&str, &str)]) -> Self {
        let mount = |(at, host): &(&str, &str)| Mount {
            at: (*at).into(),
            host: host.into(),
            kind: MountKind::Directory,
            held: None,
        };
        Self { mounts: mounts.iter().map(mount).collect() }
    }
}

/// A host path as the prefix of others: the root directory's is empty.
fn prefix(host: &Path) -> &[u8] {
    match host.as_os_str().as_bytes() {
        b"/" => b"",
        other => other,
    }
}

/// The rest of `path` after `dir`, if it is `dir` or below it.
fn below<'a>(path: &'a [u8], dir: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(dir)?;
    if rest == b"/" {
        return Some(b"");
    }
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}

/// The last name of a canonical path.
pub(crate) fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// A path without `.`, `..` and repeated slashes, taken as absolute.
pub(crate) fn lexical(path: &[u8]) -> GuestPath {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&b| b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.iter().flat_map(|name| [b"/", *name].concat()).collect()
}

/// A canonical guest path as a path that can be shown.
pub(crate) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(if path.is_empty() { b"/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Namespace {
        Namespace::for_tests(&[("", "/srv/root"), ("/proc", "/proc"), ("/a/b", "/srv/x")])
    }

    fn check(host: &str, guest: Option<&str>) {
        let found = namespace().guest_path(host.as_bytes());
        assert_eq!(found.as_deref(), guest.map(str::as_bytes), "{host}");
    }

    #[test]
    fn host_paths_are_named_as_the_guest_sees_them() {
        check("/srv/root", Some(""));
        check("/srv/root/etc/passwd", Some("/etc/passwd"));
        check("/srv/rootkit", None);
        check("/proc/1/maps", Some("/proc/1/maps"));
        check("/srv/x/y", Some("/a/b/y"));
        check("/srv/root/proc/1", None);
        check("/etc/passwd", None);
        check("/", None);
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(lexical(b"//a/./b/../c//"), b"/a/c");
        assert_eq!(lexical(b"/../.."), b"");
        assert_eq!(last_name(b"/a/bc"), b"bc");
        assert_eq!(as_path(b""), Path::new("/"));
    }

    #[test]
    fn chroot_keeps_the_mounts_below() {
        let root = Namespace::for_tests(&[("", "/srv/root/a")]).root().clone();
        let inner = namespace().chrooted(root, b"/a");
        assert_eq!(inner.mount_at(b"/b").unwrap().host, Path::new("/srv/x"));
        assert!(inner.mount_at(b"/proc").is_none());
        assert_eq!(inner.guest_path(b"/srv/root/a/c").as_deref(), Some(&b"/c"[..]));
    }
}
