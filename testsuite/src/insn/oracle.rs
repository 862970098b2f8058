//! qemu-user, or the processor of the host, as an independent judge: all cases of a batch in one process, through a small program
//! that loads the state, runs the instructions and reports what the signal at their end found
//! (`testsuite/insn/oracle.h` and `testsuite/insn/<guest>/oracle.c`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base::GuestVirt;

use super::guest::{Guest, Judge};
use super::machine::{CODE, EDGE, End, PAGE, State};
use crate::toolchain;
use crate::{process, qemu};

/// The most bytes of code in a case.
pub const CODE_MAX: usize = 512;
/// Of `struct response`, beside the registers: where and how it ended, and memory.
const REST_BYTES: usize = 3 * 8 + 2 * EDGE;

/// A way to run cases that is not Ferry's.
#[derive(Clone, Debug)]
pub struct Oracle {
    guest: &'static Guest,
    emulator: Option<String>,
    program: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// There is no emulator that can judge.
    #[error(transparent)]
    Emulator(#[from] qemu::QemuError),
    /// The program could not be built.
    #[error(transparent)]
    Toolchain(#[from] toolchain::Error),
    /// It could not be run, or died.
    #[error("qemu-user on the oracle's program: {0}")]
    Failed(String),
}

impl Oracle {
    /// The oracle of that guest, if this host has what it takes.
    ///
    /// # Errors
    /// See [`OracleError`].
    pub fn find(guest: &'static Guest) -> Result<Self, OracleError> {
        if guest.judge == Judge::Host && std::env::consts::ARCH == guest.name {
            return Self::build(guest, None);
        }
        Self::emulated(guest)
    }

    /// qemu-user, if this host has it.
    ///
    /// # Errors
    /// See [`OracleError`].
    pub fn emulated(guest: &'static Guest) -> Result<Self, OracleError> {
        Self::build(guest, Some(qemu::user(guest.name)?))
    }

    /// As it stands in the names of tests.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.emulator.is_some() { "qemu" } else { "host" }
    }

    fn build(guest: &'static Guest, emulator: Option<String>) -> Result<Self, OracleError> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn").join(guest.name);
        let flags = ["-nostdlib", "-static", "-ffreestanding", "-O2", "-fno-stack-protector"];
        let flags = [&flags[..], &["-fno-builtin"], guest.oracle_flags].concat();
        // Where a case is not likely to look for memory.
        let flags = [&flags[..], &["-Wl,-Ttext-segment=0x2b3c4d0000"]].concat();
        let program = guest.compiler.build(&source.join("oracle.c"), &flags)?;
        Ok(Self { guest, emulator, program })
    }

    /// Runs each program from its state.
    ///
    /// # Errors
    /// If the emulator fails, or a program does not come to an end.
    pub fn run(&self, cases: &[(&[u8], &State)]) -> Result<Vec<(State, End)>, OracleError> {
        let input: Vec<u8> =
            cases.iter().flat_map(|(code, state)| request(self.guest, code, state)).collect();
        let mut command = match &self.emulator {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.args(["-cpu", "max"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        let outcome = process::run(&mut command, &input, Duration::from_secs(300))
            .map_err(|error| OracleError::Failed(error.to_string()))?;
        let answers = outcome.stdout.chunks_exact(8 * self.guest.words + REST_BYTES);
        if !outcome.success() || answers.len() != cases.len() {
            let message = String::from_utf8_lossy(&outcome.stderr);
            let got = format!("{:?} after {} cases: {message}", outcome.end, answers.len());
            return Err(OracleError::Failed(got));
        }
        Ok(cases
            .iter()
            .zip(answers)
            .map(|((code, _), answer)| parse(self.guest, code, answer))
            .collect())
    }
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
        libc::SIGBUS => End::Misaligned { pc },
        libc::SIGFPE => End::Arithmetic { pc, code: si_code },
        _ => End::Fault { pc, addr },
    }
}

const _: () = assert!(PAGE > 2 * EDGE);
