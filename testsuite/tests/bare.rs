//! Programs for the bare machine, `testsuite/bare/riscv64`: privileged and unprivileged behaviour,
//! with exact causes and values, in M, S and U mode.
//!
//! Each runs under Ferry when that can boot machines, and under the reference when that is installed.
//! A program prints `ok NAME` for each of its test functions. What the reference fails stands in the
//! program's source with the manual's section, and must fail there, no more and no less.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ferry_testsuite::machine::{Emulator, Machine};
use ferry_testsuite::process::{self, End, Outcome};
use ferry_testsuite::suite::{self, Case, Profile, Subject};
use ferry_testsuite::toolchain::Compiler;
use ferry_testsuite::{bare, bare_directory};

const SUITE: &str = "bare";
const LIMIT: Duration = Duration::from_secs(60);
const MEGABYTES: u32 = 128;
/// What a program's source says about itself; see `bare.h`.
#[derive(Debug, Clone)]
struct Program {
    source: PathBuf,
    harts: u32,
    status: i32,
    /// Nothing ends it under the reference.
    only_tohost: bool,
    /// Test functions that the reference fails.
    reference_fails: BTreeSet<String>,
    /// Test functions that the reference fails now and then.
    reference_may_fail: BTreeSet<String>,
}

fn main() -> ExitCode {
    if let Err(error) = Compiler::Riscv64.version() {
        return suite::skip(SUITE, error);
    }
    let (ferry, reference) = (Emulator::ferry(Profile::OfThisTest), Emulator::reference());
    let emulators: Vec<Emulator> = [ferry, reference]
        .into_iter()
        .filter_map(|emulator| {
            emulator
                .map_err(|reason| _ = suite::skip(SUITE, format!("under one emulator: {reason}")))
                .ok()
        })
        .collect();
    match cases(&emulators) {
        Ok(cases) => suite::run(SUITE, &Subject::of_machines(), cases),
        Err(message) => suite::fail(SUITE, message),
    }
}

fn cases(emulators: &[Emulator]) -> Result<Vec<Case>, String> {
    let mut cases = vec![];
    for program in programs()? {
        let name = program.source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for emulator in emulators {
            let is_reference = matches!(emulator, Emulator::Qemu(_));
            if program.only_tohost && is_reference {
                continue;
            }
            let (program, emulator) = (program.clone(), emulator.clone());
            cases.push(Case {
                name: format!("{name}::{}", emulator.name()),
                run: Box::new(move || program.check(&emulator)),
            });
        }
    }
    Ok(cases)
}

fn programs() -> Result<Vec<Program>, String> {
    let directory = bare_directory();
    let entries = fs::read_dir(&directory).map_err(|error| error.to_string())?.flatten();
    let mut sources: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    sources.retain(|path| path.extension() == Some(OsStr::new("c")));
    sources.sort();
    sources.iter().map(|source| Program::read(source)).collect()
}

impl Program {
    fn read(source: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(source).map_err(|error| error.to_string())?;
        let notes: Vec<&str> =
            text.lines().filter_map(|line| line.trim().strip_prefix("/* ")).collect();
        let number = |key: &str| {
            let note = notes.iter().find_map(|note| note.strip_prefix(key));
            note.and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok())
        };
        let functions = |key: &str| {
            let rests = notes.iter().filter_map(|note| note.strip_prefix(key));
            let names = rests.map(|rest| {
                rest.split_once(": ")
                    .map(|(name, _)| name.to_owned())
                    .ok_or_else(|| format!("{}: '{key}NAME: REASON' wanted", source.display()))
            });
            names.collect::<Result<BTreeSet<_>, _>>()
        };
        Ok(Self {
            source: source.to_owned(),
            harts: number("harts: ").unwrap_or(1),
            status: number("status: ").map_or(0, |status| status.cast_signed()),
            only_tohost: notes.iter().any(|note| note.starts_with("tohost only")),
            reference_fails: functions("qemu fails ")?,
            reference_may_fail: functions("qemu may fail ")?,
        })
    }

    fn check(&self, emulator: &Emulator) -> Result<(), String> {
        let kernel = bare::build(&self.source).map_err(|error| error.to_string())?;
        let machine = Machine {
            harts: self.harts,
            megabytes: MEGABYTES,
            bios: Some("none".into()),
            kernel: Some(kernel),
            ..Machine::default()
        };
        let outcome = process::run(&mut emulator.boot(&machine), b"", LIMIT)
            .map_err(|error| error.to_string())?;
        match emulator {
            Emulator::Qemu(_) => self.judge_reference(&outcome),
            _ => self.judge(&outcome),
        }
    }

    fn judge(&self, outcome: &Outcome) -> Result<(), String> {
        let output = String::from_utf8_lossy(&outcome.stdout);
        let text = output.replace('\r', "");
        let good = text.lines().all(|line| line.starts_with("ok ") || line.starts_with("absent: "));
        if outcome.end == End::Exit(self.status) && good && text.ends_with("ok all\n") {
            return Ok(());
        }
        Err(describe(outcome, &format!("exit status {}", self.status)))
    }

    fn judge_reference(&self, outcome: &Outcome) -> Result<(), String> {
        let output = String::from_utf8_lossy(&outcome.stdout);
        let failed = output.lines().filter_map(|line| line.trim().strip_prefix("FAILED "));
        let mut failed: BTreeSet<String> = failed.map(str::to_owned).collect();
        if failed.is_empty() && self.reference_fails.is_empty() {
            return self.judge(outcome);
        }
        failed.retain(|name| !self.reference_may_fail.contains(name));
        let ended = matches!(outcome.end, End::Exit(1..));
        if ended && failed == self.reference_fails {
            return Ok(());
        }
        Err(describe(outcome, &format!("only these to fail: {:?}", self.reference_fails)))
    }
}

fn describe(outcome: &Outcome, expected: &str) -> String {
    format!(
        "expected {expected}; got {:?} after {:.1} s\n{}{}",
        outcome.end,
        outcome.wall.as_secs_f64(),
        String::from_utf8_lossy(&outcome.stdout),
        String::from_utf8_lossy(&outcome.stderr)
    )
}
