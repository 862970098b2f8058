//! What of /proc is not as the host shows it: links that would show Ferry instead of the program,
//! or lead out of the guest's root, and files that describe the process or the machine.
//!
//! Only what a path names is decided here; the contents are made in [`contents`].

mod announce;
pub(crate) mod contents;
mod others;

use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use syscalls::{Errno, Sysno};

use super::namespace::{GuestPath, Namespace, as_path};
pub(crate) use announce::announce;

use crate::fds::OwnFds;
use crate::host::{self, Arg};

/// Whose eyes look at the file system.
pub(crate) struct View<'a> {
    /// The guest's path of its program.
    pub(crate) program: &'a Path,
    /// Ferry's descriptor of the program's file, by which it is found even when it has moved.
    pub(crate) file: Option<RawFd>,
    /// Ferry's descriptors, which are not there.
    pub(crate) fds: &'a OwnFds,
}

impl View<'static> {
    /// Of a process that runs no program yet.
    pub(crate) fn nobody() -> Self {
        static NONE: OwnFds = OwnFds::new();
        Self { program: Path::new(""), file: None, fds: &NONE }
    }
}

/// A file of /proc that Ferry writes itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// /proc/PID/maps
    Maps,
    /// /proc/PID/smaps
    Smaps,
    /// /proc/PID/auxv
    Auxv,
    /// /proc/PID/cmdline
    Cmdline,
    /// /proc/PID/environ
    Environ,
    /// /proc/PID/stat
    Stat,
    /// /proc/PID/status
    Status,
    /// /proc/PID/mounts
    Mounts,
    /// /proc/PID/mountinfo
    Mountinfo,
    /// /proc/cpuinfo
    Cpuinfo,
}

/// A link of /proc/PID that the kernel follows without its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Magic {
    Exe,
    Root,
    Cwd,
    /// fd/N
    Fd(RawFd),
    Other,
}

/// A path below /proc/PID.
struct OfProcess<'a> {
    /// Of the process or thread; zero for `self` and `thread-self`.
    id: i32,
    is_own: bool,
    rest: Vec<&'a [u8]>,
}

impl<'a> OfProcess<'a> {
    /// Takes /proc/PID/… and /proc/PID/task/TID/… apart.
    fn parse(path: &'a [u8]) -> Option<Self> {
        let mut names = path.strip_prefix(b"/proc/")?.split(|&b| b == b'/');
        let first = names.next()?;
        let is_own = is_own_id(first)?;
        let mut rest: Vec<&[u8]> = names.collect();
        if rest.first() == Some(&&b"task"[..]) && rest.len() >= 2 {
            rest.drain(..2);
        }
        Some(Self { id: parse_number(first).unwrap_or(0), is_own, rest })
    }

    fn magic(&self) -> Option<Magic> {
        match self.rest.as_slice() {
            [b"exe"] => Some(Magic::Exe),
            [b"root"] => Some(Magic::Root),
            [b"cwd"] => Some(Magic::Cwd),
            [b"fd", number] => Some(Magic::Fd(parse_number(number)?)),
            [b"ns" | b"map_files", _] => Some(Magic::Other),
            _ => None,
        }
    }
}

/// Whether a name below /proc is this process, or one of its threads; `None` if it is no process.
fn is_own_id(name: &[u8]) -> Option<bool> {
    if matches!(name, b"self" | b"thread-self") {
        return Some(true);
    }
    let id = parse_number(name)?;
    let own = std::process::id() as i32;
    Some(id == own || Path::new(&format!("/proc/self/task/{id}")).exists())
}

fn parse_number(name: &[u8]) -> Option<i32> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// Whether a file of this name may be one that Ferry shows differently, wherever it lies.
pub(super) fn is_interesting(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 14] = [
        b"maps",
        b"smaps",
        b"auxv",
        b"cmdline",
        b"environ",
        b"stat",
        b"status",
        b"mounts",
        b"mountinfo",
        b"cpuinfo",
        b"exe",
        b"root",
        b"cwd",
        b"mtab",
    ];
    NAMES.contains(&name) || name.first().is_some_and(u8::is_ascii_digit)
}

impl Content {
    /// Whether the host shows it itself after [`announce`].
    pub(crate) fn is_announced(self) -> bool {
        matches!(self, Self::Auxv | Self::Cmdline | Self::Environ)
    }
}

/// What Ferry writes at this canonical path, if anything.
pub(crate) fn content_at(path: &[u8]) -> Option<Content> {
    if path == b"/proc/cpuinfo" {
        return Some(Content::Cpuinfo);
    }
    let process = OfProcess::parse(path).filter(|process| process.is_own)?;
    let [name] = process.rest[..] else { return None };
    Some(match name {
        b"maps" => Content::Maps,
        b"smaps" => Content::Smaps,
        b"auxv" => Content::Auxv,
        b"cmdline" => Content::Cmdline,
        b"environ" => Content::Environ,
        b"stat" => Content::Stat,
        b"status" => Content::Status,
        b"mounts" => Content::Mounts,
        b"mountinfo" => Content::Mountinfo,
        _ => return None,
    })
}

/// The host's link to an open file of Ferry's.
pub(super) fn link_to(fd: RawFd) -> String {
    format!("/proc/self/fd/{fd}")
}

/// How the link to the program reads now, given how a host path is shown.
fn program_text(view: &View<'_>, shown: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let now = view.file.and_then(|fd| std::fs::read_link(link_to(fd)).ok());
    match now {
        Some(path) => shown(path.as_os_str().as_bytes()),
        None => view.program.as_os_str().as_bytes().to_vec(),
    }
}

/// The program, if this is the link to it.
pub(super) fn program_of_link<'a>(path: &[u8], view: &View<'a>) -> Option<&'a Path> {
    let process = OfProcess::parse(path).filter(|process| process.is_own)?;
    let is_link = process.magic() == Some(Magic::Exe);
    // Before there is a program, it is Ferry's own.
    (is_link && !view.program.as_os_str().is_empty()).then_some(view.program)
}

/// Whether a path names one of Ferry's descriptors.
pub(super) fn names_own_fd(path: &[u8], view: &View<'_>) -> bool {
    let Some(process) = OfProcess::parse(path).filter(|process| process.is_own) else {
        return false;
    };
    match process.rest.as_slice() {
        [b"fd" | b"fdinfo", number, ..] => {
            parse_number(number).is_some_and(|fd| view.fds.is_own(fd))
        }
        _ => false,
    }
}

/// A directory of this process that shows what is Ferry's, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Listing {
    /// /proc/PID/fd and fdinfo
    Descriptors,
    /// /proc/PID/task
    Threads,
}

/// What of this process a directory lists.
pub(crate) fn listing(path: &[u8]) -> Option<Listing> {
    let process = OfProcess::parse(path).filter(|process| process.is_own)?;
    match process.rest[..] {
        [b"fd" | b"fdinfo"] => Some(Listing::Descriptors),
        [b"task"] => Some(Listing::Threads),
        _ => None,
    }
}

/// What readlink(2) says of a link at this path, given what the host says.
pub(crate) fn link_text(
    path: &[u8],
    host_text: &[u8],
    view: &View<'_>,
    namespace: Option<&Namespace>,
) -> Vec<u8> {
    let shown = |text: &[u8]| {
        let path = namespace.and_then(|namespace| namespace.guest_path(text));
        path.map_or_else(|| text.to_vec(), |path| as_path(&path).as_os_str().as_bytes().to_vec())
    };
    let Some(process) = OfProcess::parse(path) else { return host_text.to_vec() };
    match process.magic() {
        None => host_text.to_vec(),
        Some(Magic::Exe) if process.is_own => program_text(view, shown),
        Some(Magic::Exe) => match others::program_of(process.id, host_text) {
            Some(program) => shown(&program),
            None => shown(host_text),
        },
        Some(Magic::Root) if namespace.is_some() => b"/".to_vec(),
        Some(_) => shown(host_text),
    }
}

/// Where a link of /proc that the kernel follows without its text leads.
#[derive(Debug)]
pub(super) enum LinkTarget {
    /// To an absolute guest path.
    Path(GuestPath),
    /// To a file that Ferry has open.
    Held(RawFd),
    /// Where only the kernel knows: an open file.
    Host,
}

/// Whether a link's text can be that of a link which the kernel follows without it.
pub(super) fn may_be_magic(text: &[u8]) -> bool {
    text.starts_with(b"/") || text.contains(&b':')
}

/// Whether a directory lies in a proc file system.
pub(super) fn is_procfs(dir: Arg) -> bool {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    // struct statfs is 120 bytes; its first word is the type.
    let mut buffer = [0_u64; 16];
    let fd = dir.raw() as i32;
    let answer = if fd == libc::AT_FDCWD {
        host::call(Sysno::statfs, [Arg::from(c"."), Arg::writes(&mut buffer)])
    } else {
        // fstatfs(2) takes descriptors that were opened with O_PATH, since Linux 3.12.
        host::call(Sysno::fstatfs, [dir, Arg::writes(&mut buffer)])
    };
    answer.is_ok() && buffer[0] == PROC_SUPER_MAGIC
}

/// Where the link at this canonical path leads for a guest with a root.
///
/// # Errors
/// `ENOENT` for Ferry's descriptors, `EACCES` for what lies outside the root.
pub(super) fn link_target(
    path: &[u8],
    text: &[u8],
    view: &View<'_>,
    namespace: &Namespace,
) -> Result<LinkTarget, Errno> {
    if names_own_fd(path, view) {
        return Err(Errno::ENOENT);
    }
    let root = || LinkTarget::Path(b"/".to_vec());
    let process = OfProcess::parse(path);
    let magic = process.as_ref().and_then(OfProcess::magic);
    let is_own = process.as_ref().is_some_and(|process| process.is_own);
    let other = process.as_ref().filter(|_| magic == Some(Magic::Exe) && !is_own);
    let program = other.and_then(|process| others::program_of(process.id, text));
    let text = program.as_deref().unwrap_or(text);
    match magic {
        Some(Magic::Exe) if is_own && view.program.as_os_str().is_empty() => Err(Errno::ENOENT),
        Some(Magic::Exe) if is_own => Ok(match view.file {
            Some(fd) => LinkTarget::Held(fd),
            None => LinkTarget::Path(view.program.as_os_str().as_bytes().to_vec()),
        }),
        Some(Magic::Root) => Ok(root()),
        // What the guest has open it may reach, wherever it lies.
        Some(Magic::Fd(_) | Magic::Cwd) if is_own => Ok(LinkTarget::Host),
        _ if !text.starts_with(b"/") => Ok(LinkTarget::Host),
        Some(_) => match namespace.guest_path(text) {
            Some(path) if path.is_empty() => Ok(root()),
            Some(path) => Ok(LinkTarget::Path(path)),
            None => Err(Errno::EACCES),
        },
        None => Ok(LinkTarget::Path(text.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(rest: &str) -> Vec<u8> {
        format!("/proc/{}/{rest}", std::process::id()).into_bytes()
    }

    #[test]
    fn own_files_are_found_under_every_name() {
        assert_eq!(content_at(b"/proc/self/maps"), Some(Content::Maps));
        assert_eq!(content_at(b"/proc/thread-self/auxv"), Some(Content::Auxv));
        assert_eq!(content_at(&own("stat")), Some(Content::Stat));
        assert_eq!(
            content_at(&own(&format!("task/{}/maps", std::process::id()))),
            Some(Content::Maps)
        );
        assert_eq!(content_at(b"/proc/cpuinfo"), Some(Content::Cpuinfo));
        for other in ["/proc/1/maps", "/proc/stat", "/proc/self/fd/maps", "/tmp/proc/self/maps"] {
            assert_eq!(content_at(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn links_show_the_program() {
        let fds = OwnFds::new();
        let view = View { program: Path::new("/bin/guest"), file: None, fds: &fds };
        assert_eq!(link_text(&own("exe"), b"/usr/bin/ferry", &view, None), b"/bin/guest");
        assert_eq!(link_text(b"/proc/1/exe", b"/sbin/init", &view, None), b"/sbin/init");
        assert_eq!(link_text(&own("fd/1"), b"pipe:[1]", &view, None), b"pipe:[1]");
        assert_eq!(program_of_link(b"/proc/self/exe", &view), Some(Path::new("/bin/guest")));
        assert_eq!(program_of_link(b"/proc/self/cwd", &view), None);
    }

    #[test]
    fn ferrys_descriptors_have_no_names() {
        let fds = OwnFds::new();
        let fd = fds.adopt(std::fs::File::open("/dev/null").unwrap().into()).unwrap();
        let view = View { program: Path::new(""), file: None, fds: &fds };
        let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
        assert!(names_own_fd(&own(&format!("fd/{number}")), &view));
        assert!(!names_own_fd(&own("fd/0"), &view));
        assert_eq!(listing(&own("fd")), Some(Listing::Descriptors));
        assert_eq!(listing(b"/proc/self/task"), Some(Listing::Threads));
        assert_eq!(listing(b"/proc/1/fd"), None);
    }
}
