//! Runs one program under a time limit and reports its output, its end and what it used.
//!
//! The program leads a process group of its own. Whatever is left of the group is killed, by that
//! id, when the program ends or its time is over.
#![expect(
    unsafe_code,
    reason = "process groups, pidfd and resource usage have no safe interface in std"
)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Output beyond this is cut off: a runaway guest must not fill the memory.
const OUTPUT_LIMIT: u64 = 64 << 20;
/// No test writes a larger file, in bytes.
const FILE_LIMIT: u64 = 4 << 30;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exit(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was still running when its time was over, and was killed.
    TimedOut,
}

/// What a program did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Its standard output, cut at 64 MiB.
    pub stdout: Vec<u8>,
    /// Its standard error, cut likewise.
    pub stderr: Vec<u8>,
    /// From start to end.
    pub wall: Duration,
    /// User and system time of the program and the children it waited for.
    pub cpu: Duration,
    /// Largest resident set of the program, or of a child it waited for, in bytes.
    pub peak_memory: u64,
}

impl Outcome {
    /// Whether it exited with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.end == End::Exit(0)
    }
}

/// Runs `command` with `input` on its standard input.
///
/// # Errors
/// When it cannot be started or watched.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> io::Result<Outcome> {
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    limit_resources(command, limit);
    let start = Instant::now();
    let mut child = command.spawn()?;
    let group = Group::of(&child)?;
    let feeder = feed(&mut child, input.to_vec());
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let in_time = wait_until_exit(group.0, limit)?;
    if !in_time {
        group.kill();
    }
    let (status, usage) = reap(group.0)?;
    let wall = start.elapsed();
    group.kill();
    let gather = |reader: Option<JoinHandle<Vec<u8>>>| {
        reader.and_then(|r| r.join().ok()).unwrap_or_default()
    };
    let (stdout, stderr) = (gather(stdout), gather(stderr));
    drop(feeder);
    let end = if in_time { end_of(status) } else { End::TimedOut };
    Ok(Outcome {
        end,
        stdout,
        stderr,
        wall,
        cpu: cpu_time(&usage),
        peak_memory: peak_memory(&usage),
    })
}

/// What a program that has ended used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// How it ended.
    pub end: End,
    /// From start to end.
    pub wall: Duration,
    /// User and system time of the program and the children it waited for.
    pub cpu: Duration,
    /// Largest resident set of the program, or of a child it waited for, in bytes; but no less than what this
    /// process has, for the kernel counts what was there before `execve`, too.
    pub peak_memory: u64,
}

/// Runs `command` with this process's own standard streams, for as long as it takes.
///
/// # Errors
/// When it cannot be started or waited for.
pub fn run_here(command: &mut Command) -> io::Result<Usage> {
    let start = Instant::now();
    let child = command.spawn()?;
    let (status, usage) = reap(child_id(&child)?)?;
    let (wall, cpu) = (start.elapsed(), cpu_time(&usage));
    Ok(Usage { end: end_of(status), wall, cpu, peak_memory: peak_memory(&usage) })
}

/// A process group that was started here.
#[derive(Debug)]
pub(crate) struct Group(libc::pid_t);

impl Group {
    /// The group that `child` leads.
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        child_id(child).map(Self)
    }

    /// Waits for its leader to end; false when `limit` is over first. It remains to be reaped.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<bool> {
        wait_until_exit(self.0, limit)
    }

    /// How the leader, which has ended or is about to, ended; and what time it used.
    pub(crate) fn reap(&self) -> io::Result<(End, Duration)> {
        let (status, usage) = reap(self.0)?;
        Ok((end_of(status), cpu_time(&usage)))
    }

    /// Kills all of it.
    pub(crate) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// Sends all of it a signal.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: takes no memory; the id is a group that was created here.
        unsafe { libc::kill(-self.0, signal) };
    }
}

fn child_id(child: &Child) -> io::Result<libc::pid_t> {
    libc::pid_t::try_from(child.id()).map_err(io::Error::other)
}

fn limit_resources(command: &mut Command, limit: Duration) {
    let cpu_seconds = limit.as_secs().saturating_mul(8).max(8);
    let set = move || -> io::Result<()> {
        for (resource, value) in [
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_FSIZE, FILE_LIMIT),
            (libc::RLIMIT_CPU, cpu_seconds),
        ] {
            let bounds = libc::rlimit { rlim_cur: value, rlim_max: value };
            // SAFETY: `bounds` is valid for the call.
            if unsafe { libc::setrlimit(resource, &raw const bounds) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: `set` only makes system calls, as code between fork and exec must.
    unsafe { command.pre_exec(set) };
}

/// Writes from a thread of its own, so that a program that reads nothing cannot block the run.
fn feed(child: &mut Child, input: Vec<u8>) -> Option<JoinHandle<()>> {
    let mut pipe = child.stdin.take()?;
    Some(thread::spawn(move || {
        // A program may end without having read everything.
        let _ = pipe.write_all(&input);
    }))
}

fn collect(stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut stream = stream;
        let _ = stream.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        let _ = io::copy(&mut stream, &mut io::sink());
        bytes
    })
}

/// Waits for the process to become a zombie; false when `limit` is over first.
fn wait_until_exit(process: libc::pid_t, limit: Duration) -> io::Result<bool> {
    // SAFETY: takes no memory.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    let raw = i32::try_from(raw).map_err(io::Error::other)?;
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call has just made this descriptor, and nothing else owns it.
    let watched = File::from(unsafe { OwnedFd::from_raw_fd(raw) });
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let mut poll = libc::pollfd { fd: watched.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `poll` is one valid entry.
        match unsafe { libc::poll(&raw mut poll, 1, milliseconds) } {
            0 => return Ok(false),
            1.. => return Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

fn reap(process: libc::pid_t) -> io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: `rusage` is plain data, for which all-zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are valid for the call.
        if unsafe { libc::wait4(process, &raw mut status, 0, &raw mut usage) } == process {
            return Ok((status, usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn end_of(status: i32) -> End {
    if libc::WIFSIGNALED(status) {
        End::Signal(libc::WTERMSIG(status))
    } else {
        End::Exit(libc::WEXITSTATUS(status))
    }
}

fn cpu_time(usage: &libc::rusage) -> Duration {
    let duration = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::from_secs(seconds)
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

fn peak_memory(usage: &libc::rusage) -> u64 {
    u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &[u8], limit: Duration) -> Outcome {
        run(Command::new("/bin/sh").args(["-c", script]), input, limit).expect("a shell starts")
    }

    #[test]
    fn reports_output_and_status() {
        let outcome = shell(
            "read line; echo \"got $line\"; echo oops >&2; exit 3",
            b"word\n",
            Duration::from_secs(10),
        );
        assert_eq!(outcome.end, End::Exit(3));
        assert_eq!(outcome.stdout, b"got word\n");
        assert_eq!(outcome.stderr, b"oops\n");
        assert!(outcome.peak_memory > 0);
    }

    #[test]
    fn reports_the_killing_signal() {
        assert_eq!(
            shell("kill -SEGV $$", b"", Duration::from_secs(10)).end,
            End::Signal(libc::SIGSEGV)
        );
    }

    #[test]
    fn reports_what_was_used() {
        let usage =
            run_here(Command::new("/bin/sh").args(["-c", "exit 4"])).expect("a shell starts");
        assert_eq!(usage.end, End::Exit(4));
        assert!(usage.peak_memory > 0 && usage.cpu < Duration::from_secs(5));
    }

    #[test]
    fn kills_the_whole_group_when_time_is_over() {
        let start = Instant::now();
        let outcome = shell("sleep 50 & sleep 50", b"", Duration::from_millis(200));
        assert_eq!(outcome.end, End::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn does_not_wait_for_what_is_left_behind() {
        let start = Instant::now();
        assert!(shell("sleep 50 & exit 0", b"", Duration::from_secs(20)).success());
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
