//! qemu-user as an independent judge: all cases of a batch in one process, through a small program
//! that loads the state, runs the instructions and reports what the signal at their end found
//! (`testsuite/insn/riscv64/oracle.c`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use arch::riscv64::slot;
use base::GuestVirt;

use super::machine::{CODE, EDGE, End, PAGE, State};
use crate::toolchain::{self, Compiler};
use crate::{process, qemu};

/// The most bytes of code in a case.
pub const CODE_MAX: usize = 512;
/// As `struct response` has it.
const RESPONSE_BYTES: usize = (32 + 32 + 4) * 8 + 2 * EDGE;

/// A way to run cases that is not Ferry's.
#[derive(Clone, Debug)]
pub struct Oracle {
    emulator: String,
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
    /// The oracle, if this host has what it takes.
    ///
    /// # Errors
    /// See [`OracleError`].
    pub fn find() -> Result<Self, OracleError> {
        let emulator = qemu::riscv64()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn/riscv64/oracle.c");
        let flags = ["-nostdlib", "-static", "-ffreestanding", "-O2", "-fno-stack-protector"];
        let flags = [&flags[..], &["-mno-relax", "-mcmodel=medany", "-fno-builtin"]].concat();
        // Where a case is not likely to look for memory.
        let flags = [&flags[..], &["-Wl,-Ttext-segment=0x2b3c4d5000"]].concat();
        Ok(Self { emulator, program: Compiler::Riscv64.build(&source, &flags)? })
    }

    /// Runs each program from its state.
    ///
    /// # Errors
    /// If the emulator fails, or a program does not come to an end.
    pub fn run(&self, cases: &[(&[u8], &State)]) -> Result<Vec<(State, End)>, OracleError> {
        let input: Vec<u8> = cases.iter().flat_map(|(code, state)| request(code, state)).collect();
        let mut command = Command::new(&self.emulator);
        command.args(["-cpu", "max"]).arg(&self.program);
        let outcome = process::run(&mut command, &input, Duration::from_secs(300))
            .map_err(|error| OracleError::Failed(error.to_string()))?;
        let answers = outcome.stdout.chunks_exact(RESPONSE_BYTES);
        if !outcome.success() || answers.len() != cases.len() {
            let message = String::from_utf8_lossy(&outcome.stderr);
            let got = format!("{:?} after {} cases: {message}", outcome.end, answers.len());
            return Err(OracleError::Failed(got));
        }
        Ok(cases.iter().zip(answers).map(|((code, _), answer)| parse(code, answer)).collect())
    }
}

/// `struct request`.
fn request(code: &[u8], state: &State) -> Vec<u8> {
    assert!(code.len() <= CODE_MAX, "a case of {} bytes of code", code.len());
    let mut bytes = Vec::new();
    for value in &state.slots[..64] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(state.fcsr().to_le_bytes());
    bytes.extend((code.len() as u64).to_le_bytes());
    bytes.extend(code);
    bytes.resize(bytes.len() + CODE_MAX - code.len(), 0);
    bytes.extend(state.memory);
    bytes
}

fn parse(code: &[u8], answer: &[u8]) -> (State, End) {
    let (words, memory) = answer.split_at(RESPONSE_BYTES - 2 * EDGE);
    let word = |index: usize| {
        let bytes = words[8 * index..8 * index + 8].try_into().unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    let mut state = State::default();
    for index in 0..64 {
        state.slots[index] = word(index);
    }
    state.slots[slot::FFLAGS.index()] = word(64) & 31;
    state.slots[slot::FRM.index()] = word(64) >> 5;
    state.memory.copy_from_slice(memory);
    (state, end(code, GuestVirt(word(65)), word(66) as i32, GuestVirt(word(67))))
}

fn end(code: &[u8], pc: GuestVirt, signal: i32, addr: GuestVirt) -> End {
    let inside = (pc.0.wrapping_sub(CODE.0) as usize) < code.len();
    match signal {
        _ if !inside => End::Stopped(pc),
        libc::SIGTRAP => End::Breakpoint(pc),
        libc::SIGILL => End::Illegal(pc),
        libc::SIGBUS => End::Misaligned { pc },
        _ => End::Fault { pc, addr },
    }
}

const _: () = assert!(PAGE > 2 * EDGE);
