//! `ferry run`: from a command line to a running guest.

use std::convert::Infallible;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::GuestVirt;
use runtime::Observation;
use runtime::debug::gdb::Address;

use crate::abi::CpuError;
use crate::config::{Config, EnvChange, Tier};
use crate::debug;
use crate::engine::{self, EngineError, Vcpu};
use crate::fds::{OwnFds, inherited};
use crate::fs::{FsContext, FsError};
use crate::loader::{self, Executable, ProgramError};
use crate::memory::AddressSpace;
use crate::process::{Process, Program};
use crate::recording::{Record, Recording};
use crate::signal;
use crate::task::Task;

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program itself.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// `--root`, `--bind` or `-L`.
    #[error(transparent)]
    FileSystem(#[from] FsError),
    /// The CPU model.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The file of `ferry trace`.
    #[error("cannot write the trace {}: {reason}", path.display())]
    Trace {
        /// Which one.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// `--gdb`.
    #[error("cannot listen for gdb on {address}: {source}")]
    Debugger {
        /// Where.
        address: Address,
        /// The host's words.
        #[source]
        source: std::io::Error,
    },
}

impl RunError {
    /// What `ferry` exits with: 125 Ferry's own error, 126 not executable, 127 not found.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Program(error) => error.exit_status(),
            Self::FileSystem(_)
            | Self::Cpu(_)
            | Self::Engine(_)
            | Self::Debugger { .. }
            | Self::Trace { .. } => 125,
        }
    }
}

/// Runs a program; the guest's end is Ferry's.
///
/// # Errors
/// The program could not be started.
pub fn run(config: Config, program: &OsStr, args: &[OsString]) -> Result<Infallible, RunError> {
    run_recorded(config, None, program, args)
}

/// As [`run`], and writes a trace of it.
///
/// # Errors
/// The program could not be started, or the trace cannot be written.
pub fn trace(
    config: Config,
    record: Record,
    program: &OsStr,
    args: &[OsString],
) -> Result<Infallible, RunError> {
    run_recorded(config, Some(record), program, args)
}

fn run_recorded(
    mut config: Config,
    record: Option<Record>,
    program: &OsStr,
    args: &[OsString],
) -> Result<Infallible, RunError> {
    base::sys::fault::install();
    let blocked = signal::start();
    // Children start in other directories.
    let sources = config.binds.iter_mut().map(|(source, _)| source);
    let paths = config.root.iter_mut().chain(&mut config.sysroot).chain(&mut config.log_file);
    for path in paths.chain(sources) {
        *path = std::path::absolute(&*path).unwrap_or_else(|_| path.clone());
    }
    let fds = OwnFds::new();
    let fs = FsContext::new(&config, &fds)?;
    let envp = environment(&config.environment);
    let path = find_program(&fs, program, &envp);
    loader::set_comm(&path);
    let argv0 = config.argv0.clone().unwrap_or_else(|| program.to_owned());
    let argv = std::iter::once(argv0).chain(args.iter().cloned()).map(OsString::into_vec).collect();
    let executable = match config.program_fd.take().map(inherited) {
        Some(file) => loader::resolve_file(&fs, &path, file.into(), argv)?,
        None => loader::resolve(&fs, &path, argv)?,
    };
    let (process, mut cpu) = start(config, fds, fs, executable, (&path, &envp), record)?;
    process.observe(&mut cpu);
    Task::new(process, cpu, blocked).run_first()
}

/// Loads a program into this process, which has run none yet.
fn start(
    config: Config,
    fds: OwnFds,
    fs: FsContext,
    executable: Executable,
    (execfn, envp): (&Path, &[Vec<u8>]),
    record: Option<Record>,
) -> Result<(Arc<Process>, Vcpu), RunError> {
    let architecture = executable.architecture()?;
    // There is one program in a process, and its tasks never end before it.
    let abi = &*Box::leak((architecture.on_cpu)(config.cpu.as_deref())?);
    let interpreter = loader::open_interpreter(&fs, &executable)?;
    let memory = Arc::clone(AddressSpace::current());
    let observation = match record {
        Some(_) if matches!(config.tier, Tier::Jit | Tier::Baseline) => Observation::Compiled,
        Some(_) => Observation::Instructions,
        None => Observation::None,
    };
    let engine = engine::make(abi.frontend(), &config, observation, &fds, memory.clone())?;
    memory.set_engine(Arc::clone(&engine));
    let stack = config.limits.iter().find(|(resource, _)| *resource == libc::RLIMIT_STACK);
    let environment = loader::Environment {
        abi,
        envp,
        execfn: execfn.as_os_str().as_bytes(),
        stack_limit: stack.map_or_else(loader::stack_limit, |(_, [soft, _])| *soft),
    };
    let image = loader::load(&executable, interpreter.as_ref(), &environment, &memory)?;
    let mut cpu = engine.new_vcpu();
    abi.start_program(cpu.frame_mut(), image.entry, image.sp);
    let recording =
        record.map(|record| record_program(record, &executable, (image.bias, observation), &fds));
    let program = Program {
        path: fs.path_of_file(&executable.file).unwrap_or_else(|| fs.absolute(&executable.path)),
        // Without it, /proc/self/exe leads to where the file was at the start.
        file: fds.adopt(executable.file.into()).ok().map(Arc::new),
        argv: executable.argv,
        auxv: image.auxv,
        environ: envp.to_vec(),
        sp: image.sp,
        sigreturn: image.sigreturn,
    };
    fs.announce(&program);
    let process = Process::new(abi, Arc::new(config), fds, fs, memory, engine, program);
    let process = Arc::new(process);
    if let Some(recording) = recording.transpose()? {
        let _ = process.recording.set(recording);
    }
    if let Some(address) = &process.config.gdb {
        let failed = |source| RunError::Debugger { address: address.clone(), source };
        debug::start(address, &process).map_err(failed)?;
    }
    Ok((process, cpu))
}

/// Opens the trace where the guest neither sees it nor can close it.
fn record_program(
    record: Record,
    executable: &Executable,
    (bias, observation): (u64, Observation),
    fds: &OwnFds,
) -> Result<Arc<Recording>, RunError> {
    let path = record.output.clone();
    let failed = |reason: String| RunError::Trace { path: path.clone(), reason };
    let file = File::create(&record.output).map_err(|error| failed(error.to_string()))?;
    let file = fds.adopt(file.into()).map_err(|errno| failed(errno.to_string()))?;
    let architecture = executable.architecture()?;
    let find = |name: &str| {
        let place = loader::symbol(&executable.file, name)?;
        Some(GuestVirt(place.wrapping_add(bias)))
    };
    let program = executable.path.display().to_string();
    let guest = (architecture.name, observation);
    Recording::new(record, guest, program, file.into(), find).map_err(failed)
}

/// The host's environment with the user's changes, otherwise byte for byte: a guest may have put
/// strings there that are no assignments.
fn environment(changes: &[EnvChange]) -> Vec<Vec<u8>> {
    let mut strings = inherited_environment();
    for change in changes {
        let (name, value) = match change {
            EnvChange::Unset(name) => (name, None),
            EnvChange::Set(name, value) => (name, Some(value)),
        };
        let assignment = [name.as_bytes(), b"="].concat();
        let at = strings.iter().position(|string| string.starts_with(&assignment));
        strings.retain(|string| !string.starts_with(&assignment));
        if let Some(value) = value {
            let string = [&assignment, value.as_bytes()].concat();
            strings.insert(at.unwrap_or(strings.len()).min(strings.len()), string);
        }
    }
    strings
}

#[expect(unsafe_code, reason = "the C library's list of environment strings")]
fn inherited_environment() -> Vec<Vec<u8>> {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    let mut strings = Vec::new();
    // SAFETY: the list ends with a null pointer, its strings with a zero, and nothing here changes
    // the environment.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            strings.push(CStr::from_ptr(*next).to_bytes().to_vec());
            next = next.add(1);
        }
    }
    strings
}

/// A name without a slash is a file here, or else a command in the guest's `PATH`.
fn find_program(fs: &FsContext, program: &OsStr, envp: &[Vec<u8>]) -> PathBuf {
    let path = PathBuf::from(program);
    if program.as_bytes().contains(&b'/') || fs.open_program(&path).is_ok() {
        return path;
    }
    let search = envp.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
    search
        .unwrap_or(b"/usr/local/bin:/usr/bin:/bin")
        .split(|&byte| byte == b':')
        .map(|dir| Path::new(OsStr::from_bytes(dir)).join(program))
        .find(|candidate| fs.open_program(candidate).is_ok())
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_replace_in_place_and_remove() {
        let before = inherited_environment();
        let path = before.iter().position(|string| string.starts_with(b"PATH=")).unwrap();
        let after = environment(&[
            EnvChange::Set("PATH".into(), "/x".into()),
            EnvChange::Set("FERRY_TEST_NEW".into(), "a=b".into()),
        ]);
        assert_eq!(after[path], b"PATH=/x");
        assert_eq!(after.last().unwrap(), b"FERRY_TEST_NEW=a=b");
        assert_eq!(after.len(), before.len() + 1);
        let without = environment(&[EnvChange::Unset("PATH".into())]);
        assert!(!without.iter().any(|string| string.starts_with(b"PATH=")));
    }
}
