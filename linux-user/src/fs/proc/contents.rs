//! The files of /proc that Ferry writes itself, as proc(5) describes them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use syscalls::{Errno, Sysno};

use super::Content;
use crate::fs::namespace::{Namespace, as_path};
use crate::host::{self, Arg, args};
use crate::process::Process;
use crate::signal::SigSet;

/// What reading the file gives now. Its canonical path says which thread it describes.
///
/// # Errors
/// The host's own file cannot be read.
pub(crate) fn generate(process: &Process, content: Content, path: &[u8]) -> Result<Vec<u8>, Errno> {
    let guest_path = |host: &str| match process.fs.guest_path(host.as_bytes()) {
        Some(path) => String::from_utf8_lossy(&path).into_owned(),
        None => host.to_owned(),
    };
    Ok(match content {
        Content::Maps => {
            (process.memory.proc_maps(guest_path) + process.abi.special_mappings()).into_bytes()
        }
        Content::Smaps => process.memory.proc_smaps(guest_path).into_bytes(),
        Content::Auxv => process.program.auxv.clone(),
        Content::Cmdline => zero_terminated(&process.program.argv),
        Content::Environ => zero_terminated(&process.program.environ),
        Content::Stat => {
            let (threads, sp) = (process.thread_ids().len(), process.program.sp.0);
            stat(&read(as_path(path))?, threads, sp).into_bytes()
        }
        Content::Status => {
            let (threads, caught) = (process.thread_ids().len(), process.signals.caught());
            status(&read(as_path(path))?, threads, caught).into_bytes()
        }
        Content::Mounts => mounts(&mount_lines(process)?).into_bytes(),
        Content::Mountinfo => mountinfo(&mount_lines(process)?).into_bytes(),
        Content::Cpuinfo => process.abi.cpuinfo(processors()).into_bytes(),
    })
}

fn read(path: impl AsRef<Path>) -> Result<String, Errno> {
    fs::read_to_string(path).map_err(|error| Errno::new(error.raw_os_error().unwrap_or(libc::EIO)))
}

fn zero_terminated(strings: &[Vec<u8>]) -> Vec<u8> {
    strings.iter().flat_map(|string| string.iter().copied().chain([0])).collect()
}

/// How many processors the guest may use.
fn processors() -> usize {
    let mut mask = [0_u64; 128];
    let size = size_of_val(&mask);
    match host::call(Sysno::sched_getaffinity, args![0, size, Arg::writes(&mut mask)]) {
        Ok(_) => mask.iter().map(|word| word.count_ones() as usize).sum(),
        Err(_) => 1,
    }
}

/// /proc/PID/stat of the host with the guest's stack and threads, and without Ferry's addresses.
fn stat(host: &str, threads: usize, stack: u64) -> String {
    // The name may hold spaces and brackets; the fields are counted after its last bracket.
    let Some((head, tail)) = host.trim_end().rsplit_once(") ") else { return host.to_owned() };
    const FIRST: usize = 3;
    const NUM_THREADS: usize = 20;
    const STARTSTACK: usize = 28;
    // startcode endcode … kstkesp kstkeip; start_data … env_end: as for another user's process.
    let hidden = |field: usize| matches!(field, 26 | 27 | 29 | 30 | 45..=51);
    let fields = tail.split(' ').enumerate().map(|(n, value)| match n + FIRST {
        NUM_THREADS => threads.to_string(),
        STARTSTACK => stack.to_string(),
        field if hidden(field) => "0".to_owned(),
        _ => value.to_owned(),
    });
    format!("{head}) {}\n", fields.collect::<Vec<_>>().join(" "))
}

/// /proc/PID/status of the host with the guest's number of threads, and the signals for which it has
/// handlers: Ferry catches some for itself.
fn status(host: &str, threads: usize, caught: SigSet) -> String {
    host.lines().fold(String::new(), |mut out, line| {
        let _ = match line.split_once(':') {
            Some(("Threads", _)) => writeln!(out, "Threads:\t{threads}"),
            Some(("SigCgt", _)) => writeln!(out, "SigCgt:\t{:016x}", caught.0),
            _ => writeln!(out, "{line}"),
        };
        out
    })
}

/// A line of /proc/PID/mountinfo.
#[derive(Clone, PartialEq, Eq, Debug)]
struct MountLine {
    /// Mount id and parent's id.
    ids: String,
    device: String,
    /// The part of its file system that is mounted.
    root: String,
    /// Where.
    at: String,
    options: String,
    /// Optional fields, the separator, type, source and options of the file system.
    rest: String,
}

impl MountLine {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(7, ' ').map(str::to_owned);
        let (id, parent) = (fields.next()?, fields.next()?);
        Some(Self {
            ids: format!("{id} {parent}"),
            device: fields.next()?,
            root: fields.next()?,
            at: fields.next()?,
            options: fields.next()?,
            rest: fields.next()?,
        })
    }

    /// Type, source and options of the file system.
    fn file_system(&self) -> (&str, &str, &str) {
        let mut fields = self.rest.rsplit_once("- ").map_or("", |(_, fs)| fs).split(' ');
        let mut next = || fields.next().unwrap_or("none");
        (next(), next(), next())
    }
}

/// The mounts that the guest sees.
fn mount_lines(process: &Process) -> Result<Vec<MountLine>, Errno> {
    let text = read("/proc/self/mountinfo")?;
    let host: Vec<MountLine> = text.lines().filter_map(MountLine::parse).collect();
    Ok(match process.fs.namespace() {
        None => host,
        Some(namespace) => seen_in(&namespace, &host),
    })
}

/// The guest's own mounts, and the host's below them.
fn seen_in(namespace: &Namespace, host: &[MountLine]) -> Vec<MountLine> {
    let own = namespace.mounts().iter().filter_map(|mount| {
        let path = mount.host.to_str()?;
        let below = |line: &&MountLine| line.at == "/" || is_below(path, &line.at);
        let carrier = host.iter().filter(below).max_by_key(|line| line.at.len())?;
        let inside = path.strip_prefix(carrier.at.trim_end_matches('/')).unwrap_or("");
        let root = format!("{}{inside}", carrier.root.trim_end_matches('/'));
        let root = if root.is_empty() { "/".to_owned() } else { root };
        let at = as_path(&mount.at).to_string_lossy().into_owned();
        Some(MountLine { root, at, ..carrier.clone() })
    });
    let is_own = |line: &MountLine| {
        namespace.mounts().iter().any(|mount| mount.host.as_os_str() == line.at.as_str())
    };
    let inner = host.iter().filter(|line| !is_own(line)).filter_map(|line| {
        let at = namespace.guest_path(line.at.as_bytes()).filter(|at| !at.is_empty())?;
        Some(MountLine { at: String::from_utf8_lossy(&at).into_owned(), ..line.clone() })
    });
    own.chain(inner).collect()
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn mountinfo(lines: &[MountLine]) -> String {
    lines.iter().fold(String::new(), |mut out, line| {
        let MountLine { ids, device, root, at, options, rest } = line;
        let _ = writeln!(out, "{ids} {device} {root} {at} {options} {rest}");
        out
    })
}

fn mounts(lines: &[MountLine]) -> String {
    lines.iter().fold(String::new(), |mut out, line| {
        let (kind, source, super_options) = line.file_system();
        let mut options = line.options.clone();
        for option in super_options.split(',') {
            if !line.options.split(',').any(|known| known == option) {
                options = format!("{options},{option}");
            }
        }
        let _ = writeln!(out, "{source} {} {kind} {options} 0 0", line.at);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 0:22 / /srv rw - tmpfs none rw,size=1k
25 24 0:23 / /srv/root/data rw - tmpfs none rw";

    #[test]
    fn stat_shows_the_guests_stack() {
        let fields = (3..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let shown = stat(&format!("7 (a) b) {fields}\n"), 2, 4096);
        let shown: Vec<&str> = shown.trim_end().split(' ').collect();
        // "7 (a) b)" is three words instead of two fields.
        let field = |n: usize| shown[n];
        assert_eq!(
            (field(3), field(28), field(26), field(45), field(52)),
            ("3", "4096", "0", "0", "52")
        );
        assert_eq!(field(20), "2");
        assert_eq!(
            status("Name:\ta\nThreads:\t9\nSigCgt:\t0000000000000440\n", 2, SigSet(0x200)),
            "Name:\ta\nThreads:\t2\nSigCgt:\t0000000000000200\n"
        );
    }

    #[test]
    fn mounts_are_those_that_the_guest_sees() {
        let host: Vec<MountLine> = HOST.lines().filter_map(MountLine::parse).collect();
        assert_eq!(mountinfo(&host).trim_end(), HOST, "as it was read");
        let namespace = Namespace::for_tests(&[("", "/srv/root"), ("/proc", "/proc")]);
        let text = mountinfo(&seen_in(&namespace, &host));
        let expected = "\
24 22 0:22 /root / rw - tmpfs none rw,size=1k
23 22 0:21 / /proc rw,nosuid - proc proc rw
25 24 0:23 / /data rw - tmpfs none rw
";
        assert_eq!(text, expected);
        let fstab = mounts(&host);
        assert_eq!(fstab.lines().next(), Some("/dev/vda / ext4 rw,relatime,discard 0 0"));
    }
}
