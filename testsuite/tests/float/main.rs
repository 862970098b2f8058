//! Every floating-point and vector instruction on corner and random operands, in every rounding mode and other mode
//! of the guest: the interpreter, both compilers and a judge must agree on results, flags and exceptions. The judge is qemu-user,
//! or, of x86-64, the processor itself.
//!
//! A sample in each run; `FERRY_TEST_FULL=1` makes it a hundred times as many operands of RISC-V's instructions and ten times as
//! many of x86-64's, `FERRY_TEST_LONG=1` a hundred times as many of all. The seed is printed, and `FERRY_FUZZ_SEED` repeats
//! one.
#![expect(clippy::print_stderr, reason = "says its seed, and what it does not ask the judge")]

mod aarch64;
mod riscv64;
mod x86_64;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use base::rng::Rng;
use ferry_testsuite as testsuite;
use fuzz::guest::x86_64::host_lacks;
use libtest_mimic::{Arguments, Failed, Trial};
use testsuite::guests::Guest;
use testsuite::{cache, guests, process, qemu, seed, suite};

/// About so many operands are tried by one process.
const OPERANDS_AT_ONCE: usize = 100_000;

/// An instruction in one mode on some operands.
struct Job {
    /// What the guest program reads before the number of operands: the instruction, and the mode if there is one.
    header: Vec<u8>,
    operands: Vec<Vec<u64>>,
    /// For the message of a failure.
    what: String,
    /// What this host would need to judge.
    lacking: Option<String>,
}

impl Job {
    fn request(&self) -> Vec<u8> {
        let mut bytes = self.header.clone();
        bytes.extend((self.operands.len() as u64).to_le_bytes());
        bytes.extend(self.operands.iter().flatten().flat_map(|value| value.to_le_bytes()));
        bytes
    }
}

/// An instruction's word and the mode that it is tried in.
fn word_and_mode(word: u32, mode: u32) -> Vec<u8> {
    [word, mode].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Who says what is right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judge {
    Qemu,
    /// This host's, if it is of the guest's architecture: the guest program runs as it is.
    Processor,
}

/// Makes so many jobs for an instruction.
type MakeJobs = fn(&str, &mut Rng, usize) -> Vec<Job>;

/// What a guest's instructions are.
struct Subject {
    guest: &'static str,
    judge: Judge,
    /// Bytes of a result.
    result: usize,
    /// How many times as many operands a full run tries as a plain one.
    times_in_full_runs: usize,
    /// Names of cases, and the instructions of each.
    cases: Vec<(String, Vec<String>)>,
    /// What is tried of an instruction.
    jobs: MakeJobs,
}

/// The guest program and the ways to run it; the first that works is the judge of the others.
struct Runner {
    program: PathBuf,
    /// What each is started with; nothing where the program runs as it is.
    executors: Vec<(&'static str, Vec<String>)>,
    judge: Judge,
    result: usize,
}

impl Runner {
    fn new(guest: &Guest, subject: &Subject, ferry: &Path) -> Result<Self, String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn").join(guest.name);
        let program = guest.compiler.build(&source.join("float.c"), &["-static", "-O2"]);
        let program = program.map_err(|error| error.to_string())?;
        let ferry = |tier: &str| {
            [&ferry.display().to_string(), "run", "--tier", tier].map(str::to_owned).to_vec()
        };
        let mut executors = vec![
            ("interpreter", ferry("interp")),
            ("baseline compiler", ferry("baseline")),
            ("compiled", ferry("jit")),
        ];
        match judge(guest, subject.judge) {
            Ok(judge) => executors.insert(0, judge),
            Err(error) => eprintln!("skipped: float: the judge of {}: {error}", guest.name),
        }
        Ok(Self { program, executors, judge: subject.judge, result: subject.result })
    }

    /// All instructions of a case, in as few processes as memory allows.
    fn check_all(
        &self,
        instructions: &[String],
        seed: u64,
        jobs: impl Fn(&str, &mut Rng) -> Vec<Job>,
    ) -> Result<(), Failed> {
        let mut open: Vec<Job> = Vec::new();
        for name in instructions {
            let salt = |sum: u64, byte| sum * 31 % (1 << 40) + u64::from(byte);
            open.extend(jobs(name, &mut Rng::new(seed ^ name.bytes().fold(0, salt))));
            if open.iter().map(|job| job.operands.len()).sum::<usize>() > OPERANDS_AT_ONCE {
                self.check(std::mem::take(&mut open))?;
            }
        }
        self.check(open)
    }

    fn check(&self, mut jobs: Vec<Job>) -> Result<(), Failed> {
        if self.judge == Judge::Processor {
            let lacking: BTreeSet<_> = jobs.iter().filter_map(|job| job.lacking.clone()).collect();
            if !lacking.is_empty() {
                eprintln!(
                    "skipped: float: instructions of {lacking:?}, which this host does not have"
                );
            }
            jobs.retain(|job| job.lacking.is_none());
        }
        let input: Vec<u8> = jobs.iter().flat_map(Job::request).collect();
        let expected: usize = jobs.iter().map(|job| job.operands.len() * self.result).sum();
        let mut results = Vec::new();
        for (name, command) in &self.executors {
            let output = self.run(command, &input).map_err(|error| format!("{name}: {error}"))?;
            if output.len() != expected {
                return Err(format!("{name}: {} bytes of results", output.len()).into());
            }
            results.push((*name, output));
        }
        let (mut done, mut message) = (0, String::new());
        for job in &jobs {
            let range = done..done + job.operands.len() * self.result;
            done = range.end;
            let results: Vec<_> =
                results.iter().map(|(name, output)| (*name, &output[range.clone()])).collect();
            self.compare(job, &results, &mut message);
            if message.lines().count() > 200 {
                break;
            }
        }
        if message.is_empty() { Ok(()) } else { Err(message.into()) }
    }

    fn run(&self, command: &[String], input: &[u8]) -> io::Result<Vec<u8>> {
        let mut words = command.iter().map(AsRef::as_ref).chain([self.program.as_os_str()]);
        let mut process = Command::new(words.next().unwrap_or_default());
        process.args(words);
        let outcome = process::run(&mut process, input, Duration::from_secs(300))?;
        if outcome.success() {
            return Ok(outcome.stdout);
        }
        let message = String::from_utf8_lossy(&outcome.stderr);
        Err(io::Error::other(format!("{:?}: {message}", outcome.end)))
    }

    fn compare(&self, job: &Job, results: &[(&str, &[u8])], message: &mut String) {
        let Some(((judge, right), others)) = results.split_first() else { return };
        for (name, output) in others {
            let wrong = job
                .operands
                .iter()
                .zip(right.chunks_exact(self.result).zip(output.chunks_exact(self.result)))
                .filter(|(_, (right, got))| right != got);
            for (operands, (right, got)) in wrong.take(2) {
                let _ = writeln!(message, "{} of {operands:x?}:", job.what);
                for (at, (got, right)) in words(got).into_iter().zip(words(right)).enumerate() {
                    if got != right {
                        let _ =
                            writeln!(message, "  word {at}: {name} {got:#x}, {judge} {right:#x}");
                    }
                }
            }
        }
    }
}

/// The judge of a guest's programs.
fn judge(guest: &Guest, judge: Judge) -> Result<(&'static str, Vec<String>), String> {
    match judge {
        Judge::Qemu => match qemu::user(guest.name) {
            Ok(qemu) => Ok(("qemu", vec![qemu, "-cpu".to_owned(), "max".to_owned()])),
            Err(error) => Err(error.to_string()),
        },
        Judge::Processor if std::env::consts::ARCH != guest.name => {
            Err("this host is of another architecture".to_owned())
        }
        Judge::Processor => match host_lacks(x86_64::OF_THE_PROGRAM) {
            Some(feature) => Err(format!("this host does not have {feature}")),
            None => Ok(("the processor", vec![])),
        },
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| u64::from_le_bytes(chunk.try_into().unwrap_or_default());
    bytes.chunks_exact(8).map(word).collect()
}

fn main() -> ExitCode {
    let ferry = match suite::ferry_binary(suite::Profile::OfThisTest) {
        Ok(ferry) => ferry,
        Err(message) => return suite::fail("float", message),
    };
    let seed = seed::of_this_run();
    eprintln!("FERRY_FUZZ_SEED={seed:#x}");
    let mut trials = Vec::new();
    for subject in [riscv64::subject(), aarch64::subject(), x86_64::subject()] {
        let Some(guest) = guests::by_name(subject.guest) else { continue };
        let runner = match Runner::new(guest, &subject, &ferry) {
            Ok(runner) => Arc::new(runner),
            Err(error) => {
                eprintln!("skipped: float: {error}");
                continue;
            }
        };
        let times = match (cache::long_run(), cache::full_run()) {
            (true, _) => 100,
            (_, true) => subject.times_in_full_runs,
            _ => 1,
        };
        for (name, instructions) in subject.cases {
            let (runner, jobs) = (Arc::clone(&runner), subject.jobs);
            trials.push(Trial::test(format!("{}::{name}", subject.guest), move || {
                runner.check_all(&instructions, seed, |name, rng| jobs(name, rng, times))
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
