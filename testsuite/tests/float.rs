//! Every floating-point instruction on corner and random operands, in every rounding mode, static
//! and dynamic: the interpreter, compiled code and qemu-user must agree on results and flags.
//!
//! A sample in each run; `FERRY_TEST_FULL=1` makes it 100,000 operands an instruction and mode. The
//! seed is printed, and `FERRY_FUZZ_SEED` repeats one.
#![expect(clippy::print_stderr, reason = "says its seed, and why it does not ask qemu-user")]

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, io};

use base::float::{Env, F16, F32, F64, Format, RawBits, Round, Rules, soft};
use decoders::riscv64::{INSTRUCTIONS, InstructionInfo};
use ferry_testsuite as testsuite;
use libtest_mimic::{Arguments, Failed, Trial};
use testsuite::insn::rng::Rng;
use testsuite::toolchain::Compiler;
use testsuite::{process, qemu, suite};

const SAMPLE: usize = 1000;
const FULL: usize = 100_000;
/// Bytes of a result.
const RESULT: usize = 24;
/// `rm` of an instruction that takes its mode from `frm`.
const DYNAMIC: u32 = 7;

/// Ways to run the program; the first that works is the judge of the others.
fn executors(ferry: &Path) -> Vec<(&'static str, Vec<String>)> {
    let ferry = |tier: &str| {
        [&ferry.display().to_string(), "run", "--tier", tier].map(str::to_owned).to_vec()
    };
    let mut all = vec![("interpreter", ferry("interp")), ("compiled", ferry("jit"))];
    match qemu::user("riscv64") {
        Ok(qemu) => all.insert(0, ("qemu", vec![qemu, "-cpu".to_owned(), "max".to_owned()])),
        Err(error) => eprintln!("skipped: float: {error}"),
    }
    all
}

fn main() -> ExitCode {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn/riscv64/float.c");
    let program = match Compiler::Riscv64.build(&source, &["-static", "-O2"]) {
        Ok(program) => program,
        Err(error) => return suite::skip("float", error),
    };
    let ferry = match suite::ferry_binary(suite::Profile::OfThisTest) {
        Ok(ferry) => ferry,
        Err(message) => return suite::fail("float", message),
    };
    let seed = env::var("FERRY_FUZZ_SEED")
        .ok()
        .and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = seed.unwrap_or(now.as_nanos() as u64);
    eprintln!("FERRY_FUZZ_SEED={seed:#x}");
    let count = if env::var_os("FERRY_TEST_FULL").is_some() { FULL } else { SAMPLE };
    let executors = Arc::new((program, executors(&ferry)));
    let trial = |info: &'static InstructionInfo| {
        let executors = Arc::clone(&executors);
        Trial::test(info.name, move || check(info, seed, count, &executors.0, &executors.1))
    };
    let trials = INSTRUCTIONS.iter().filter(|info| computes(info)).map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Instructions of F, D, Zfh and Zfa but for loads, stores and constants.
fn computes(info: &InstructionInfo) -> bool {
    let is_float = ["(F)", "(D)", "(Zfh", "(Zfa)"].iter().any(|name| info.chapter.contains(name));
    let moves = matches!(info.name, "flw" | "fsw" | "fld" | "fsd" | "flh" | "fsh");
    info.width == 32 && is_float && !moves && !info.name.starts_with("fli.")
}

/// The modes in which an instruction is tried: its `rm` field, and `frm`.
fn modes(info: &InstructionInfo) -> Vec<(u32, u32)> {
    if info.mask >> 12 & 7 != 0 {
        return vec![(0, 0)];
    }
    (0..5).flat_map(|mode| [(mode, (mode + 1) % 5), (DYNAMIC, mode)]).collect()
}

/// One instruction in one mode on some operands.
struct Job {
    /// The instruction's `rm` field, and `frm`.
    mode: (u32, u32),
    operands: Vec<[u64; 5]>,
}

impl Job {
    /// The header and the operands as the program reads them. One word has all registers in their
    /// places; the fields that it does not have are fixed.
    fn request(&self, info: &InstructionInfo) -> Vec<u8> {
        let (rm, frm) = self.mode;
        let fields = 13 << 27 | 12 << 20 | 11 << 15 | rm << 12 | 10 << 7;
        let word = info.value | fields & !info.mask;
        let mut bytes = Vec::new();
        bytes.extend(word.to_le_bytes());
        bytes.extend(frm.to_le_bytes());
        bytes.extend((self.operands.len() as u64).to_le_bytes());
        bytes.extend(self.operands.iter().flatten().flat_map(|value| value.to_le_bytes()));
        bytes
    }
}

/// A dynamic mode takes the same way as a static one but for where the mode comes from, and so
/// fewer operands.
fn jobs(info: &InstructionInfo, rng: &mut Rng, count: usize) -> Vec<Job> {
    let job = |mode: (u32, u32)| {
        let count = if mode.0 == DYNAMIC { count / 10 } else { count };
        Job { mode, operands: (0..count).map(|_| operands(info.name, rng)).collect() }
    };
    modes(info).into_iter().map(job).collect()
}

fn check(
    info: &InstructionInfo,
    seed: u64,
    count: usize,
    program: &Path,
    executors: &[(&'static str, Vec<String>)],
) -> Result<(), Failed> {
    let jobs = jobs(info, &mut Rng::new(seed ^ u64::from(info.value)), count);
    let input: Vec<u8> = jobs.iter().flat_map(|job| job.request(info)).collect();
    let expected: usize = jobs.iter().map(|job| job.operands.len() * RESULT).sum();
    let mut results = Vec::new();
    for (name, command) in executors {
        let output = run(command, program, &input).map_err(|error| format!("{name}: {error}"))?;
        if output.len() != expected {
            return Err(format!("{name}: {} bytes of results", output.len()).into());
        }
        results.push((*name, output));
    }
    let mut done = 0;
    for job in &jobs {
        let range = done..done + job.operands.len() * RESULT;
        done = range.end;
        let results: Vec<_> =
            results.iter().map(|(name, output)| (*name, &output[range.clone()])).collect();
        compare(info, job, &results)?;
    }
    Ok(())
}

fn run(command: &[String], program: &Path, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).arg(program);
    let outcome = process::run(&mut process, input, Duration::from_secs(120))?;
    if outcome.success() {
        return Ok(outcome.stdout);
    }
    let message = String::from_utf8_lossy(&outcome.stderr);
    Err(io::Error::other(format!("{:?}: {message}", outcome.end)))
}

fn compare(info: &InstructionInfo, job: &Job, results: &[(&str, &[u8])]) -> Result<(), Failed> {
    let (rm, frm) = job.mode;
    let Some(((judge, right), others)) = results.split_first() else { return Ok(()) };
    let mut message = String::new();
    for (name, output) in others {
        let wrong = job
            .operands
            .iter()
            .zip(right.chunks_exact(RESULT).zip(output.chunks_exact(RESULT)))
            .filter(|(_, (right, got))| right != got);
        for (operands, (right, got)) in wrong.take(5) {
            let _ = writeln!(
                message,
                "{} rm {rm} frm {frm} of {operands:#x?}:\n{name}: {:#x?}\n{judge}: {:#x?}",
                info.name,
                words(got),
                words(right)
            );
        }
    }
    if message.is_empty() { Ok(()) } else { Err(message.into()) }
}

/// f, x and fflags of a result.
fn words(bytes: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| u64::from_le_bytes(chunk.try_into().unwrap_or_default());
    bytes.chunks_exact(8).map(word).collect()
}

/// f[0..3], x, fflags. The format is that of the mnemonic's last part, but for its first word.
fn operands(name: &str, rng: &mut Rng) -> [u64; 5] {
    let suffix = name.rsplit('.').next().unwrap_or_default();
    let [a, b, c] = match suffix {
        "h" => floats::<F16>(rng),
        "s" => floats::<F32>(rng),
        "d" => floats::<F64>(rng),
        _ => [rng.float(), rng.float(), rng.float()],
    };
    let flags = [0, 1, 1, 31][rng.below(4)];
    [a, b, c, rng.integer(), flags]
}

/// Three registers: independent, close to each other, or such that a × b + c all but vanishes. Now
/// and then not of the format, and so not NaN-boxed.
fn floats<F: Format>(rng: &mut Rng) -> [u64; 3] {
    let any = |rng: &mut Rng| rng.float_of(F::EXP_BITS, F::FRAC_BITS);
    let near = |rng: &mut Rng, value: u64| value.wrapping_add(rng.bits() % 5).wrapping_sub(2);
    let a = any(rng);
    let b = if rng.one_in(4) { near(rng, a) ^ (rng.bits() & F::SIGN) } else { any(rng) };
    let mut env = Env { round: Round::TowardZero, ..Env::new(Rules::RISCV) };
    let narrow = |value| F::Bits::from_u64(value);
    let product = soft::mul::<F>(narrow(a), narrow(b), &mut env).to_u64();
    let c = if rng.one_in(3) { near(rng, product ^ F::SIGN) } else { any(rng) };
    let mask = F::SIGN | (F::SIGN - 1);
    [a, b, c].map(|value| if rng.one_in(64) { rng.float() } else { value & mask | !mask })
}
