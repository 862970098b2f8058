//! `--strace`: the guest's system calls on standard error, in the manner of strace. What is printed
//! of an argument follows from its kind in the call's row.

mod args;
mod flags;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use syscalls::{Errno, Sysno};

use crate::abi::Abi;
use crate::fds::OwnFds;
use crate::host;
use crate::signal::SigInfo;
use crate::syscalls::{ArgKind, Args, Entry, NotDone, SyscallResult};

/// Where calls are printed.
pub(crate) struct Strace {
    /// Ferry's own: the guest may close or redirect its standard error.
    out: Option<File>,
    /// The task whose line is unfinished on the terminal, or zero.
    open_line: AtomicI32,
}

/// A call that has begun.
pub(crate) struct Trace {
    tid: i32,
    /// What came before the arguments that are known only afterwards.
    name: String,
    late_from: usize,
    shown: Args,
}

impl Strace {
    /// Prints to a file, at its end, or to standard error as it is now.
    pub(crate) fn new(file: Option<&Path>, fds: &OwnFds) -> Self {
        let opened = match file {
            Some(path) => File::options().create(true).append(true).open(path).map(OwnedFd::from),
            None => std::io::stderr().as_fd().try_clone_to_owned(),
        };
        let out = opened.ok().and_then(|fd| fds.adopt(fd).ok()).map(File::from);
        Self { out, open_line: AtomicI32::new(0) }
    }

    /// One `write`, so that lines of several threads and processes do not mix. Whoever closed
    /// standard error does not want to see it.
    fn write(&self, text: &str) {
        if let Some(mut out) = self.out.as_ref() {
            let _ = out.write_all(text.as_bytes());
        }
    }

    /// Prints one line about something that is not a system call (a signal, an exit).
    pub(crate) fn note(&self, text: &str) {
        let tid = current_tid();
        self.break_line(tid);
        self.write(&format!("{tid} {text}\n"));
    }

    /// Prints a signal that is being delivered.
    pub(crate) fn signal(&self, info: &SigInfo) {
        let name = flags::format(ArgKind::Signal, info.signal() as u64);
        let rest = match (info.signal(), info.code()) {
            (libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGTRAP, 1..) => {
                format!("si_addr={:#x}", info.addr().0)
            }
            _ => format!("si_pid={}", info.pid()),
        };
        self.note(&format!("--- {name} {{si_signo={name}, si_code={}, {rest}}} ---", info.code()));
    }

    /// Ends the line of an `execve` that is about to succeed: nothing comes back from it.
    pub(crate) fn program_replaced(&self) {
        if self.open_line.swap(0, Ordering::AcqRel) != 0 {
            self.write(") = 0\n");
        }
    }

    /// Ends the line of a call that ends the process.
    pub(crate) fn process_ended(&self, status: i32) {
        if self.open_line.swap(0, Ordering::AcqRel) != 0 {
            self.write(") = ?\n");
        }
        self.write(&format!("{} +++ exited with {status} +++\n", current_tid()));
    }

    /// Ends another task's unfinished line.
    fn break_line(&self, tid: i32) {
        let open = self.open_line.swap(0, Ordering::AcqRel);
        if open != 0 && open != tid {
            self.write(" <unfinished ...>\n");
        }
    }
}

fn current_tid() -> i32 {
    host::call(Sysno::gettid, []).unwrap_or(0) as i32
}

/// Prints what is known before the call: its name, and its arguments up to the first one that the
/// call writes.
pub(crate) fn enter(
    out: &Strace,
    abi: &dyn Abi,
    number: u64,
    entry: Option<&Entry>,
    values: &Args,
) -> Trace {
    let tid = current_tid();
    let name = entry.map_or_else(|| format!("syscall_{number}"), |e| e.row.name.to_owned());
    let kinds = entry.map_or(&[ArgKind::Hex; 6][..], |entry| entry.row.args);
    let late_from = kinds.iter().position(|kind| args::is_late(*kind)).unwrap_or(kinds.len());
    let shown = with_host_flags(abi, kinds, values);
    let mut line = format!("{tid} {name}(");
    print_args(&mut line, kinds, &shown, 0..late_from, None);
    out.break_line(tid);
    out.write(&line);
    out.open_line.store(tid, Ordering::Release);
    Trace { tid, name, late_from, shown }
}

/// The arguments with the host's `O_…` flags, whose names are known.
fn with_host_flags(abi: &dyn Abi, kinds: &[ArgKind], values: &Args) -> Args {
    let mut shown = *values;
    for (arg, kind) in shown.0.iter_mut().zip(kinds) {
        if *kind == ArgKind::OpenFlags {
            *arg = abi.open_flags_to_host(*arg as i32) as u64;
        }
    }
    shown
}

impl Trace {
    /// Prints the rest.
    pub(crate) fn leave(self, out: &Strace, entry: Option<&Entry>, result: SyscallResult) {
        let kinds = entry.map_or(&[ArgKind::Hex; 6][..], |entry| entry.row.args);
        let mut line = String::new();
        if out.open_line.swap(0, Ordering::AcqRel) != self.tid {
            let _ = write!(line, "{} <... {} resumed>", self.tid, self.name);
        }
        print_args(&mut line, kinds, &self.shown, self.late_from..kinds.len(), Some(result));
        let _ = writeln!(line, ") = {}", result_text(result));
        out.write(&line);
    }
}

fn print_args(
    line: &mut String,
    kinds: &[ArgKind],
    values: &Args,
    which: std::ops::Range<usize>,
    result: Option<SyscallResult>,
) {
    for n in which {
        if n > 0 {
            line.push_str(", ");
        }
        line.push_str(&args::format(kinds[n], values, n, result));
    }
}

fn result_text(result: SyscallResult) -> String {
    match result {
        Ok(value) if value > 1 << 32 => format!("{value:#x}"),
        Ok(value) => format!("{value}"),
        Err(NotDone::Failed(errno)) => errno_text(errno),
        Err(NotDone::Restart(_)) => "? (interrupted by a signal)".to_owned(),
        Err(NotDone::NoReturn) => "?".to_owned(),
    }
}

fn errno_text(errno: Errno) -> String {
    let name = errno.name().unwrap_or("E?");
    format!("-1 {name} ({})", errno.description().unwrap_or("unknown error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_read_as_strace_writes_them() {
        assert_eq!(result_text(Ok(3)), "3");
        assert_eq!(result_text(Err(Errno::ENOENT.into())), "-1 ENOENT (No such file or directory)");
    }
}
