//! Walks a guest's path under `--root`, so that it never leaves what the guest may see.
//!
//! The walk goes down only: each step opens one name, or several that no symbolic link is among,
//! with `O_PATH` and without following links. Links are read and followed here, and `..` opens the
//! parent by its canonical path from above; so a directory that somebody moves meanwhile leads to
//! an error at worst, never out of the root.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use syscalls::Errno;

use super::namespace::{GuestPath, MountKind, Namespace, lexical};
use super::place::{Dir, Last, Links, Place};
use super::proc::{self, LinkTarget, View};
use super::{open_raw, readlink};
use crate::host::Arg;

/// Symbolic links on one walk at most, as in the kernel (`MAXSYMLINKS`).
const LINK_LIMIT: u32 = 40;

const STEP: i32 = libc::O_PATH | libc::O_NOFOLLOW | libc::O_DIRECTORY;

/// Where a path of the guest leads.
///
/// # Errors
/// As path_resolution(7).
pub(crate) fn walk(
    namespace: &Namespace,
    view: &View<'_>,
    dirfd: i32,
    path: &[u8],
    last: Last,
) -> Result<Place, Errno> {
    let mut walker = Walker {
        namespace,
        view,
        dir: Dir::Guest(dirfd),
        path: None,
        pending: Vec::new(),
        link_count: 0,
        must_be_dir: false,
    };
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    walker.queue(path)?;
    walker.run(last)
}

/// The canonical form of an absolute guest path whose last name may be missing; `None` if its
/// directory is missing.
pub(super) fn canonical(namespace: &Namespace, path: &[u8]) -> Option<GuestPath> {
    walk(namespace, &View::nobody(), libc::AT_FDCWD, path, Last::Follow).ok()?.path
}

struct Walker<'a> {
    namespace: &'a Namespace,
    view: &'a View<'a>,
    /// Where the walk is.
    dir: Dir,
    /// The canonical path of `dir`; unknown while the walk is below a descriptor of the guest's.
    path: Option<GuestPath>,
    /// The names still to go, the next one last.
    pending: Vec<Vec<u8>>,
    link_count: u32,
    /// Whether a slash followed the last name.
    must_be_dir: bool,
}

impl Walker<'_> {
    /// Puts a path before what is still to go.
    fn queue(&mut self, path: &[u8]) -> Result<(), Errno> {
        if self.pending.is_empty() && path.ends_with(b"/") {
            self.must_be_dir = true;
        }
        if path.starts_with(b"/") {
            self.jump(Vec::new())?;
        }
        let names = path.rsplit(|&b| b == b'/').filter(|name| !name.is_empty());
        self.pending.extend(names.map(<[u8]>::to_vec));
        self.skip_ahead();
        Ok(())
    }

    /// Goes to a directory by its canonical path.
    fn jump(&mut self, path: GuestPath) -> Result<(), Errno> {
        self.dir = Dir::Walked(open_canonical(self.namespace, &path)?);
        self.path = Some(path);
        Ok(())
    }

    /// Takes all plain names but the last in one step, if no link is among them. A failure here
    /// means nothing: the steps that follow find out what is wrong.
    fn skip_ahead(&mut self) {
        let plain = |name: &&Vec<u8>| !matches!(name.as_slice(), b"." | b"..");
        let count =
            self.pending[self.pending.len().min(1)..].iter().rev().take_while(plain).count();
        let Some(path) = self.path.as_ref().filter(|_| count > 1) else { return };
        let names = self.pending.iter().rev().take(count);
        let ahead: Vec<u8> =
            path.iter().copied().chain(names.flat_map(|name| [b"/", &name[..]].concat())).collect();
        if self.jump(ahead).is_ok() {
            self.pending.truncate(self.pending.len() - count);
        }
    }

    fn run(mut self, last: Last) -> Result<Place, Errno> {
        while let Some(name) = self.pending.pop() {
            if !self.pending.is_empty() {
                self.step(&name)?;
            } else if let Some(place) = self.finish(&name, last)? {
                return Ok(place);
            }
        }
        // Nothing but slashes: the root, or the end of a link that said so.
        self.here(b".")
    }

    /// One name on the way.
    fn step(&mut self, name: &[u8]) -> Result<(), Errno> {
        match name {
            b"." => return Ok(()),
            b".." => return self.go_up(),
            _ => {}
        }
        if let Some(path) = self.mount_point(name) {
            return self.jump(path);
        }
        match open_raw(self.dir_arg(), &c_name(name)?, STEP, 0) {
            Ok(fd) => {
                self.dir = Dir::Walked(fd);
                if let Some(path) = &mut self.path {
                    path.push(b'/');
                    path.extend_from_slice(name);
                }
                Ok(())
            }
            Err(Errno::ENOTDIR | Errno::ELOOP) => match self.read_link(name)? {
                Some(target) => self.follow(name, &target).map(drop),
                None => Err(Errno::ENOTDIR),
            },
            Err(errno) => Err(errno),
        }
    }

    fn go_up(&mut self) -> Result<(), Errno> {
        self.anchor()?;
        let path = self.path.as_deref().unwrap_or_default();
        let end = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        let parent = path[..end].to_vec();
        self.jump(parent)
    }

    /// Finds out the canonical path of the guest's descriptor from which the walk started.
    fn anchor(&mut self) -> Result<(), Errno> {
        if self.path.is_none() {
            let host = host_path(&self.dir)?;
            self.path = Some(self.namespace.guest_path(&host).ok_or(Errno::ENOENT)?);
        }
        Ok(())
    }

    /// The canonical path of a name here, if something is mounted there.
    fn mount_point(&mut self, name: &[u8]) -> Option<GuestPath> {
        if !self.namespace.may_enter_mount(name) {
            return None;
        }
        // A directory that the guest cannot see has no mount points of the guest's.
        self.anchor().ok()?;
        let path = self.child(name)?;
        self.namespace.mount_at(&path).map(|mount| mount.at.clone())
    }

    fn child(&self, name: &[u8]) -> Option<GuestPath> {
        Some([self.path.as_deref()?, b"/", name].concat())
    }

    /// The last name. `None` if the walk goes on through a link.
    fn finish(&mut self, name: &[u8], last: Last) -> Result<Option<Place>, Errno> {
        if matches!(name, b"." | b"..") {
            if last != Last::Entry {
                self.step(name)?;
                return self.here(b".").map(Some);
            }
            return self.here(name).map(Some);
        }
        if let Some(path) = self.mount_point(name) {
            return self.mounted(&path).map(Some);
        }
        if proc::is_interesting(name) {
            // Not knowing the path only means that nothing is shown differently.
            let _ = self.anchor();
        }
        let follows = last == Last::Follow || (last == Last::NoFollow && self.must_be_dir);
        if follows && let Some(target) = self.read_link(name).ok().flatten() {
            return self.follow(name, &target);
        }
        if self.must_be_dir && last != Last::Entry {
            return self.enter_last(name).map(Some);
        }
        let slash: &[u8] = if self.must_be_dir { b"/" } else { b"" };
        let mut place = self.here(&[name, slash].concat())?;
        place.path = place.path.map(|path| [&path[..], b"/", name].concat());
        Ok(Some(place))
    }

    /// The last name, which a slash follows, so that it must be a directory.
    fn enter_last(&mut self, name: &[u8]) -> Result<Place, Errno> {
        match open_raw(self.dir_arg(), &c_name(name)?, STEP, 0) {
            Ok(fd) => {
                self.path = self.child(name);
                self.dir = Dir::Walked(fd);
                self.here(b".")
            }
            // Whether something may be made here is for the call itself to say.
            Err(Errno::ENOENT) => self.here(&[name, b"/"].concat()),
            Err(errno) => Err(errno),
        }
    }

    /// A name in the directory that was reached. The place's path is the directory's.
    fn here(&mut self, name: &[u8]) -> Result<Place, Errno> {
        Ok(Place {
            dir: std::mem::replace(&mut self.dir, Dir::Guest(libc::AT_FDCWD)),
            name: c_name(name)?,
            links: Links::Resolved,
            path: self.path.take(),
            has_followed: self.link_count > 0,
            is_mount_point: false,
        })
    }

    fn mounted(&mut self, path: &[u8]) -> Result<Place, Errno> {
        let mount = self.namespace.mount_at(path).ok_or(Errno::ENOENT)?;
        let (dir, name) = match (mount.kind, mount.host.parent(), mount.host.file_name()) {
            (MountKind::File, Some(parent), Some(name)) => {
                let parent = (libc::AT_FDCWD, parent.as_os_str().as_bytes().to_vec());
                (parent, name.as_bytes())
            }
            _ => (mount.host_place(b""), &b"."[..]),
        };
        self.dir = Dir::Walked(open_host_dir(dir)?);
        let mut place = self.here(name)?;
        place.path = Some(path.to_vec());
        place.is_mount_point = true;
        Ok(place)
    }

    /// What the link `name` says, or `None` if it is no link.
    fn read_link(&self, name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
        match readlink(self.dir_arg(), &c_name(name)?) {
            Ok(target) => Ok(Some(target)),
            Err(Errno::EINVAL) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Follows the link `name`. Some links of /proc to open files only the host can follow: then
    /// that is the place.
    fn follow(&mut self, name: &[u8], target: &[u8]) -> Result<Option<Place>, Errno> {
        self.link_count += 1;
        if self.link_count > LINK_LIMIT {
            return Err(Errno::ELOOP);
        }
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if proc::may_be_magic(target) && proc::is_procfs(self.dir_arg()) {
            return self.follow_magic(name, target);
        }
        self.queue(target)?;
        Ok(None)
    }

    fn follow_magic(&mut self, name: &[u8], target: &[u8]) -> Result<Option<Place>, Errno> {
        self.anchor()?;
        let path = self.child(name).unwrap_or_default();
        match proc::link_target(&path, target, self.view, self.namespace)? {
            LinkTarget::Path(path) => self.queue(&path).map(|()| None),
            LinkTarget::Held(_) if !self.pending.is_empty() || self.must_be_dir => {
                Err(Errno::ENOTDIR)
            }
            LinkTarget::Held(fd) => held(fd).map(Some),
            LinkTarget::Host if self.pending.is_empty() => {
                let slash: &[u8] = if self.must_be_dir { b"/" } else { b"" };
                let mut place = self.here(&[name, slash].concat())?;
                place.links = Links::LeftToHost;
                place.path = None;
                Ok(Some(place))
            }
            LinkTarget::Host => {
                let flags = libc::O_PATH | libc::O_DIRECTORY;
                self.dir = Dir::Walked(open_raw(self.dir_arg(), &c_name(name)?, flags, 0)?);
                self.path = None;
                Ok(None)
            }
        }
    }

    fn dir_arg(&self) -> Arg {
        match &self.dir {
            Dir::Guest(fd) => Arg::from(*fd),
            Dir::Walked(fd) => Arg::from(fd),
        }
    }
}

/// A file that Ferry has open, wherever it is now.
fn held(fd: RawFd) -> Result<Place, Errno> {
    let mut place = Place::given(libc::AT_FDCWD, &c_name(proc::link_to(fd).as_bytes())?);
    place.has_followed = true;
    Ok(place)
}

/// Opens a directory by its canonical guest path, following no link.
fn open_canonical(namespace: &Namespace, path: &[u8]) -> Result<OwnedFd, Errno> {
    let (mount, rest) = namespace.mount_of(path);
    if mount.kind == MountKind::File {
        return Err(Errno::ENOTDIR);
    }
    open_host_dir(mount.host_place(rest))
}

/// Opens a directory of the host, following no link on the way.
fn open_host_dir((start, path): (RawFd, Vec<u8>)) -> Result<OwnedFd, Errno> {
    match super::open_without_links(start, &c_name(&path)?, STEP) {
        // Hosts before Linux 5.6, and sandboxes that do not know the call.
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EAGAIN) => {}
        other => return other,
    }
    let first = if path.starts_with(b"/") { c"/" } else { c"." };
    let mut dir = open_raw(Arg::from(start), first, STEP, 0)?;
    for name in path.split(|&b| b == b'/').filter(|name| !matches!(*name, b"" | b".")) {
        dir = open_raw(Arg::from(&dir), &c_name(name)?, STEP, 0)?;
    }
    Ok(dir)
}

/// The host's path of a directory, as it is called now.
pub(super) fn host_path(dir: &Dir) -> Result<Vec<u8>, Errno> {
    let link = match dir {
        Dir::Guest(libc::AT_FDCWD) => "/proc/self/cwd".to_owned(),
        Dir::Guest(fd) => format!("/proc/self/fd/{fd}"),
        Dir::Walked(fd) => format!("/proc/self/fd/{}", fd.as_raw_fd()),
    };
    let link = c_name(link.as_bytes())?;
    match readlink(Arg::from(libc::AT_FDCWD), &link) {
        Err(Errno::ENOENT) => Err(Errno::EBADF),
        other => other,
    }
}

/// A walk never meets a zero byte: paths come from C strings.
fn c_name(name: &[u8]) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::EINVAL)
}

/// A path as a place for a mode without a root of its own, with /proc's links to the program and to
/// the root answered.
pub(super) fn given(view: &View<'_>, dirfd: i32, path: &CStr, last: Last) -> Result<Place, Errno> {
    let mut place = Place::given(dirfd, path);
    let bytes = path.to_bytes();
    place.path = if bytes.starts_with(b"/") {
        bytes.starts_with(b"/proc").then(|| lexical(bytes))
    } else if proc::is_interesting(super::namespace::last_name(bytes)) {
        let dir = host_path(&Dir::Guest(dirfd)).ok().filter(|dir| dir.starts_with(b"/proc"));
        dir.map(|dir| lexical(&[&dir, &b"/"[..], bytes].concat()))
    } else {
        None
    };
    let Some(found) = &place.path else { return Ok(place) };
    if last == Last::Follow
        && let Some(program) = proc::program_of_link(found, view)
    {
        if let Some(fd) = view.file {
            return held(fd);
        }
        let program = CString::new(program.as_os_str().as_bytes()).map_err(|_| Errno::ENOENT)?;
        return Ok(Place::given(libc::AT_FDCWD, &program));
    }
    if proc::names_own_fd(found, view) {
        return Err(Errno::ENOENT);
    }
    Ok(place)
}
