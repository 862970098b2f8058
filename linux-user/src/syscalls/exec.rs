//! Replacing the program: execve(2), execveat(2).
//!
//! A guest program is started by executing Ferry anew, so that the kernel does all that execve
//! promises (threads end, descriptors close, dispositions reset, timers and pending signals stay).
//! Everything that can fail is checked before. The host's own programs are executed as they are,
//! unless the guest has a root directory of its own.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use syscalls::{Errno, Sysno};

use super::row::rows;
use super::{Args, NotDone, Restart, SyscallResult};
use crate::config::LogStart;
use crate::host::{self, Arg, args};
use crate::loader::{self, stack};
use crate::safe_syscall::{self, Blocked};
use crate::signal;
use crate::task::Task;
use crate::user::UserPtr;

rows! {
    execve(Path, StrArray, StrArray) => execve, "set-user-ID bits have no effect";
    execveat(DirFd, Path, StrArray, StrArray, AtFlags) => execveat, "set-user-ID bits have no effect";
}

/// Strings of an argument list or environment at most.
const STRINGS_MAX: usize = 1 << 20;

/// What is to be executed.
struct Request {
    /// As the guest calls it, also for `AT_EXECFN`.
    path: PathBuf,
    /// The file, if it was named by a descriptor.
    file: Option<File>,
    argv: Vec<Vec<u8>>,
    envp: Vec<Vec<u8>>,
}

/// execve(2)
fn execve(task: &mut Task, args: &Args) -> SyscallResult {
    let path = PathBuf::from(OsString::from_vec(args.ptr(0).read_path()?.into_bytes()));
    let (path, file) = match task.process.program_of_link(&path) {
        Some((program, file)) => (program.to_owned(), file.map(reopen).transpose()?),
        None => (path, None),
    };
    let (argv, envp) = (read_strings(args.ptr(1))?, read_strings(args.ptr(2))?);
    Err(execute(task, Request { path, file, argv, envp }))
}

/// execveat(2)
fn execveat(task: &mut Task, args: &Args) -> SyscallResult {
    let known = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    let (dir, flags) = (args.int(0), args.int(4));
    if flags & !known != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = PathBuf::from(OsString::from_vec(args.ptr(1).read_path()?.into_bytes()));
    let (argv, envp) = (read_strings(args.ptr(2))?, read_strings(args.ptr(3))?);
    let is_below_fd = !path.is_absolute() && dir != libc::AT_FDCWD;
    if is_below_fd || flags & libc::AT_SYMLINK_NOFOLLOW != 0 {
        let (file, path) = open(task, dir, &path, flags)?;
        return Err(execute(task, Request { path, file: Some(file), argv, envp }));
    }
    Err(execute(task, Request { path, file: None, argv, envp }))
}

/// Opens what a descriptor and a path name, and says how the guest calls it.
fn open(task: &Task, dir: i32, path: &Path, flags: i32) -> Result<(File, PathBuf), Errno> {
    if path.as_os_str().is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        return Ok((reopen(dir)?, PathBuf::from(format!("/dev/fd/{dir}"))));
    }
    task.process.open_for_exec(dir, &c_string(path.as_os_str().as_bytes())?, flags)
}

/// A descriptor of our own on the same file, readable even if the guest's was opened with `O_PATH`.
#[expect(unsafe_code, reason = "takes ownership of a new descriptor")]
fn reopen(fd: i32) -> Result<File, Errno> {
    let own = CString::new(format!("/proc/self/fd/{fd}")).map_err(|_| Errno::EINVAL)?;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let opened = host::call(Sysno::openat, args![libc::AT_FDCWD, own.as_c_str(), flags, 0]);
    let opened =
        opened.map_err(|errno| if errno == Errno::ENOENT { Errno::EBADF } else { errno })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { File::from_raw_fd(opened as i32) })
}

fn read_strings(from: UserPtr<u64>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut strings = Vec::new();
    // As Linux does, no array is an empty one.
    if from.is_null() {
        return Ok(strings);
    }
    for n in 0..STRINGS_MAX {
        let pointer = UserPtr::<u8>::new(base::GuestVirt(from.at(n).read()?));
        if pointer.is_null() {
            return Ok(strings);
        }
        strings.push(pointer.read_string(stack::STRING_MAX, Errno::E2BIG)?.into_bytes());
    }
    Err(Errno::E2BIG)
}

/// Executes; returns only to say why not.
fn execute(task: &mut Task, request: Request) -> NotDone {
    task.exec = match prepare(task, request) {
        Ok(prepared) => Some(prepared),
        Err(errno) => return errno.into(),
    };
    let not_done = match &task.exec {
        Some(prepared) => prepared.execute(task),
        None => Errno::ENOEXEC.into(),
    };
    for fd in task.exec.take().into_iter().flat_map(|prepared| prepared.passed) {
        let _ = host::call(Sysno::close, args![fd]);
    }
    not_done
}

/// A host `execve`, ready to be made. A task keeps its own, because a child that shares its parent's
/// memory leaves it there: the parent drops it with the child's task.
pub(crate) struct Prepared {
    program: HostProgram,
    argv: CStrings,
    envp: CStrings,
    /// Descriptors for the new program, in the table of the process that executes: not owned, since
    /// another process may drop this.
    passed: Vec<i32>,
}

enum HostProgram {
    Path(CString),
    Fd(i32),
}

fn stack_limit(task: &Task) -> u64 {
    let own = task.process.limits.lock().get(&libc::RLIMIT_STACK).map(|[soft, _]| *soft);
    own.unwrap_or_else(loader::stack_limit)
}

fn prepare(task: &Task, mut request: Request) -> Result<Prepared, Errno> {
    if request.path.as_os_str().is_empty() {
        return Err(Errno::ENOENT);
    }
    // Linux gives a program at least an empty argv[0].
    if request.argv.is_empty() {
        request.argv.push(Vec::new());
    }
    stack::check_size(&request.argv, &request.envp, stack_limit(task))?;
    let fs = &task.process.fs;
    let file = request.file.as_ref().map(File::try_clone).transpose().map_err(|_| Errno::EMFILE)?;
    let argv = request.argv.clone();
    let program = match file {
        Some(file) => loader::resolve_file(fs, &request.path, file, argv),
        None => loader::resolve(fs, &request.path, argv),
    };
    let program = program.map_err(|error| error.errno())?;
    // What a guest of the host's own architecture executes is a guest, too.
    let is_of_guest = program.is_for(task.process.abi.architecture());
    if program.is_native() && !is_of_guest && task.process.fs.namespace().is_none() {
        return Ok(Prepared {
            program: HostProgram::Path(c_string(program.path.as_os_str().as_bytes())?),
            argv: CStrings::new(&program.argv)?,
            envp: CStrings::new(&request.envp)?,
            passed: Vec::new(),
        });
    }
    program.architecture().map_err(|error| error.errno())?;
    loader::open_interpreter(fs, &program).map_err(|error| error.errno())?;
    prepare_ferry(task, &request)
}

/// Ferry with the same settings, to run this program.
fn prepare_ferry(task: &Task, request: &Request) -> Result<Prepared, Errno> {
    let mut config = (*task.process.config).clone();
    config.argv0 = request.argv.first().map(|argv0| OsStr::from_bytes(argv0).to_owned());
    config.log_start = LogStart::Continued;
    if crate::debug::debugger(task).is_none() {
        // Nobody debugs this process: it is a child.
        config.gdb = None;
    }
    config.limits =
        task.process.limits.lock().iter().map(|(name, limit)| (*name, *limit)).collect();
    task.process.fs.describe(&mut config);
    let envp = CStrings::new(&request.envp)?;
    let program = HostProgram::Fd(task.process.own_executable()?);
    // The new Ferry closes them; until then they must outlive this one.
    let file = request.file.as_ref().map(|file| inheritable(file.as_raw_fd())).transpose()?;
    config.program_fd = file.as_ref().map(AsRawFd::as_raw_fd);
    // Without its descriptor, a mount is found by its path.
    let held = config.mount_fds.iter().map(|fd| fd.and_then(|fd| inheritable(fd).ok()));
    let held: Vec<Option<OwnedFd>> = held.collect();
    config.mount_fds = held.iter().map(|fd| fd.as_ref().map(AsRawFd::as_raw_fd)).collect();
    let mut argv = vec![b"ferry".to_vec()];
    argv.extend(config.run_arguments().into_iter().map(OsString::into_vec));
    argv.push(b"--".to_vec());
    // A leading dash would be taken for an option.
    let dash = request.path.as_os_str().as_bytes().starts_with(b"-");
    let path = if dash { Path::new(".").join(&request.path) } else { request.path.clone() };
    argv.push(path.into_os_string().into_vec());
    argv.extend(request.argv.iter().skip(1).cloned());
    let argv = CStrings::new(&argv)?;
    let passed = held.into_iter().chain([file]).flatten().map(IntoRawFd::into_raw_fd).collect();
    Ok(Prepared { program, argv, envp, passed })
}

impl Prepared {
    /// Makes the call; returns only to say why not.
    fn execute(&self, task: &Task) -> NotDone {
        if let Some(strace) = task.process.strace() {
            strace.program_replaced();
        }
        // What comes now is another program's execution.
        task.process.end_recording();
        let (argv, envp) = (self.argv.as_arg(), self.envp.as_arg());
        let _signals = match signal::before_exec(task) {
            Ok(signals) => signals,
            Err(not_done) => return not_done,
        };
        let pending = task.signals.pending();
        // A signal that has come by now would be lost in the new program.
        let failed = match &self.program {
            HostProgram::Path(path) => {
                safe_syscall::call(pending, Sysno::execve, [Arg::from(path.as_c_str()), argv, envp])
            }
            HostProgram::Fd(fd) => safe_syscall::call(
                pending,
                Sysno::execveat,
                [Arg::from(*fd), Arg::from(c""), argv, envp, Arg::from(libc::AT_EMPTY_PATH)],
            ),
        };
        match failed {
            Blocked::Finished(failed) => failed.err().unwrap_or(Errno::ENOEXEC).into(),
            Blocked::Unbegun | Blocked::Interrupted => NotDone::Restart(Restart::Always),
        }
    }
}

#[expect(unsafe_code, reason = "takes ownership of a new descriptor")]
fn inheritable(fd: RawFd) -> Result<OwnedFd, Errno> {
    const FLOOR: i32 = 512;
    let fd = host::call(Sysno::fcntl, args![fd, libc::F_DUPFD, FLOOR])
        .or_else(|_| host::call(Sysno::fcntl, args![fd, libc::F_DUPFD, 3]))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// A null-terminated array of strings for the kernel.
struct CStrings {
    _strings: Vec<CString>,
    pointers: Vec<u64>,
}

impl CStrings {
    fn new(strings: &[Vec<u8>]) -> Result<Self, Errno> {
        let strings: Vec<CString> =
            strings.iter().map(|s| c_string(s)).collect::<Result<_, _>>()?;
        let pointers = strings.iter().map(|s| s.as_ptr() as u64).chain([0]).collect();
        Ok(Self { _strings: strings, pointers })
    }

    fn as_arg(&self) -> Arg {
        Arg::reads(&self.pointers[..])
    }
}

/// Opens Ferry itself, to be executed again even where there is no /proc.
pub(crate) fn open_own_executable() -> Option<OwnedFd> {
    let path = std::env::current_exe().ok();
    let proc = Path::new("/proc/self/exe");
    [Some(proc), path.as_deref()].into_iter().flatten().find_map(|path| {
        use std::os::unix::fs::OpenOptionsExt;
        let file = File::options().read(true).custom_flags(libc::O_PATH).open(path).ok()?;
        Some(file.into())
    })
}
