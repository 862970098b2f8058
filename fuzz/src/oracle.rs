//! qemu-user as an independent judge: all cases of a batch in one process, through a small program
//! that loads the state, runs the instructions and reports what the signal at their end found
//! (`fuzz/oracle`). On a host of the guest's own architecture the same program asks the processor.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fs, process, thread};

use base::GuestVirt;

use crate::guest::{Compiler, Guest};
use crate::machine::{CODE, EDGE, End, PAGE, State};
use crate::qemu;

const HEADER: &str = include_str!("../oracle/oracle.h");
/// No batch takes longer.
const LIMIT: Duration = Duration::from_secs(300);

/// The most bytes of code in a case.
pub const CODE_MAX: usize = 512;
/// Of `struct response`, beside the registers: where and how it ended, and memory.
const REST_BYTES: usize = 3 * 8 + 2 * EDGE;

/// A way to run cases that is not Ferry's.
#[derive(Clone, Debug)]
pub struct Oracle {
    guest: &'static Guest,
    /// `None` on the processor itself.
    emulator: Option<String>,
    program: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// There is no emulator that can judge.
    #[error(transparent)]
    Emulator(#[from] qemu::QemuError),
    /// The host is another architecture than the guest.
    #[error("native: this host does not execute {0} code itself")]
    OtherHost(&'static str),
    /// The compiler for the oracle's program is not installed.
    #[error("{} is not installed (Debian package {})", .0.command, .0.package)]
    NoCompiler(Compiler),
    /// The compiler rejected the program.
    #[error("the oracle's program cannot be compiled:\n{0}")]
    Rejected(String),
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be run, or died.
    #[error("the oracle's program: {0}")]
    Failed(String),
}

impl Oracle {
    /// qemu-user, if this host has what it takes. What is built for it is kept in `directory`.
    ///
    /// # Errors
    /// See [`OracleError`].
    pub fn qemu(guest: &'static Guest, directory: &Path) -> Result<Self, OracleError> {
        let emulator = Some(qemu::user(guest.name)?);
        Ok(Self { guest, emulator, program: build(guest, directory)? })
    }

    /// The host's own processor, if it is one of the guest's architecture.
    ///
    /// # Errors
    /// See [`OracleError`].
    pub fn native(guest: &'static Guest, directory: &Path) -> Result<Self, OracleError> {
        if std::env::consts::ARCH != guest.name {
            return Err(OracleError::OtherHost(guest.name));
        }
        Ok(Self { guest, emulator: None, program: build(guest, directory)? })
    }

    /// As the command line names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.emulator.is_some() { "qemu" } else { "native" }
    }

    /// Runs each program from its state.
    ///
    /// # Errors
    /// If the emulator fails, or a program does not come to an end.
    pub fn run(&self, cases: &[(&[u8], &State)]) -> Result<Vec<(State, End)>, OracleError> {
        let input: Vec<u8> =
            cases.iter().flat_map(|(code, state)| request(self.guest, code, state)).collect();
        let mut command = match &self.emulator {
            Some(emulator) => Command::new(emulator),
            None => Command::new(&self.program),
        };
        if self.emulator.is_some() {
            command.args(["-cpu", "max"]).arg(&self.program);
        }
        let output = ask(&mut command, input)?;
        let answers = output.chunks_exact(8 * self.guest.words + REST_BYTES);
        if answers.len() != cases.len() {
            let got = format!("it ended after {} of {} cases", answers.len(), cases.len());
            return Err(OracleError::Failed(got));
        }
        Ok(cases
            .iter()
            .zip(answers)
            .map(|((code, _), answer)| parse(self.guest, code, answer))
            .collect())
    }
}

/// Compiles the oracle's program, if it is not in the directory yet.
fn build(guest: &Guest, directory: &Path) -> Result<PathBuf, OracleError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OracleError::File { path, source }
    };
    let flags = ["-std=gnu11", "-nostdlib", "-static", "-ffreestanding", "-O2"];
    let flags =
        [&flags[..], &["-fno-stack-protector", "-fno-builtin"], guest.oracle_flags].concat();
    // Where a case is not likely to look for memory.
    let flags = [&flags[..], &["-Wl,-Ttext-segment=0x2b3c4d0000"]].concat();
    let mut hasher = DefaultHasher::new();
    (HEADER, guest.oracle_source, &flags).hash(&mut hasher);
    let program = directory.join(format!("oracle-{}-{:016x}", guest.name, hasher.finish()));
    if program.exists() {
        return Ok(program);
    }
    // Several processes may build it at once.
    let unique = format!("{}-{:?}", process::id(), thread::current().id());
    let sources = program.with_extension(unique);
    fs::create_dir_all(&sources).map_err(failed(&sources))?;
    for (name, text) in [("oracle.h", HEADER), ("oracle.c", guest.oracle_source)] {
        let path = sources.join(name);
        fs::write(&path, text).map_err(failed(&path))?;
    }
    let made = sources.join("oracle");
    let output = Command::new(guest.compiler.command)
        .args([sources.join("oracle.c").as_os_str(), "-o".as_ref(), made.as_os_str()])
        .args(&flags)
        .output()
        .map_err(|_| OracleError::NoCompiler(guest.compiler))?;
    if !output.status.success() {
        return Err(OracleError::Rejected(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    fs::rename(&made, &program).map_err(failed(&program))?;
    fs::remove_dir_all(&sources).map_err(failed(&sources))?;
    Ok(program)
}

/// What the program answers on its standard output.
fn ask(command: &mut Command, input: Vec<u8>) -> Result<Vec<u8>, OracleError> {
    let failed = |error: io::Error| OracleError::Failed(error.to_string());
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let feeder = thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let (done, is_done) = mpsc::channel::<()>();
    let watch = thread::spawn(move || reap(child, &is_done));
    let mut output = Vec::new();
    let read = stdout.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut output));
    drop(done);
    // A program that ends early does not read everything.
    let _ = feeder.join();
    let ended = watch.join().map_err(|_| OracleError::Failed("nobody watched it".to_owned()))?;
    read.map_err(failed)?;
    match ended.map_err(failed)? {
        None => Err(OracleError::Failed(format!("it did not end in {} s", LIMIT.as_secs()))),
        Some(status) if status.success() => Ok(output),
        Some(status) => Err(OracleError::Failed(status.to_string())),
    }
}

/// Waits for the child, whose output is at an end when the channel is closed; `None` if that took too long.
fn reap(mut child: Child, is_done: &mpsc::Receiver<()>) -> io::Result<Option<process::ExitStatus>> {
    let in_time = is_done.recv_timeout(LIMIT) != Err(RecvTimeoutError::Timeout);
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(in_time.then_some(status))
}

/// `struct request`.
fn request(guest: &Guest, code: &[u8], state: &State) -> Vec<u8> {
    assert!(code.len() <= CODE_MAX, "a case of {} bytes of code", code.len());
    let mut bytes = Vec::new();
    for value in &state.words[..guest.words] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend((code.len() as u64).to_le_bytes());
    bytes.extend(code);
    bytes.resize(bytes.len() + CODE_MAX - code.len(), 0);
    bytes.extend(state.memory);
    bytes
}

fn parse(guest: &'static Guest, code: &[u8], answer: &[u8]) -> (State, End) {
    let (words, memory) = answer.split_at(answer.len() - 2 * EDGE);
    let word = |index: usize| {
        let bytes = words[8 * index..8 * index + 8].try_into().unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    let mut state = State::new(guest);
    for (index, value) in state.words[..guest.words].iter_mut().enumerate() {
        *value = word(index);
    }
    state.memory.copy_from_slice(memory);
    let [pc, signal, addr] = [0, 1, 2].map(|index| word(guest.words + index));
    let signal = (signal as u32 as i32, (signal >> 32) as i32);
    (state, end(code, GuestVirt(pc), signal, GuestVirt(addr)))
}

fn end(code: &[u8], pc: GuestVirt, (signal, si_code): (i32, i32), addr: GuestVirt) -> End {
    let inside = (pc.0.wrapping_sub(CODE.0) as usize) < code.len();
    match signal {
        libc::SIGSYS => End::Syscall(pc),
        libc::SIGALRM => End::Endless,
        _ if !inside => End::Stopped(pc),
        libc::SIGTRAP => End::Breakpoint(pc),
        libc::SIGILL => End::Illegal(pc),
        // #SS of an address that is not canonical.
        libc::SIGBUS if si_code == 0x80 => End::Fault { pc, addr: GuestVirt(0) },
        libc::SIGBUS => End::Misaligned { pc },
        libc::SIGFPE => End::Arithmetic { pc, code: si_code },
        _ => End::Fault { pc, addr },
    }
}

const _: () = assert!(PAGE > 2 * EDGE);
