//! Every instruction case of `testsuite/insn`, through every tier, the disassembler and qemu-user.
#![expect(clippy::print_stderr, reason = "a skipped oracle says so")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, io};

use base::GuestVirt;
use decoders::riscv64::{ExtensionSet, INSTRUCTIONS, disassemble, identify};
use ferry_testsuite as testsuite;
use libtest_mimic::{Arguments, Failed, Trial};
use testsuite::insn::case::{self, Case};
use testsuite::insn::machine::{CODE, End, State};
use testsuite::insn::oracle::Oracle;
use testsuite::insn::tier::{Runner, Tier};

fn main() -> ExitCode {
    let files = match read_files() {
        Ok(files) => files,
        Err(message) => return testsuite::suite::fail("insn", message),
    };
    let oracle = Oracle::find().map_err(|error| eprintln!("skipped: insn: {error}")).ok();
    let mut trials = vec![coverage(&files)];
    for (name, cases) in files {
        let cases = Arc::new(cases);
        for tier in Tier::ALL {
            let cases = Arc::clone(&cases);
            trials.push(Trial::test(format!("{name}::{}", tier.name()), move || {
                let mut runner = Runner::new();
                judge(&cases, |case| Some(runner.run(tier, &case.code, &case.before)))
            }));
        }
        if let Some(oracle) = oracle.clone() {
            let cases = Arc::clone(&cases);
            let trial = move || ask_oracle(&oracle, &cases);
            trials.push(Trial::test(format!("{name}::qemu"), trial));
        }
        let check = move || check_assembly(&cases);
        trials.push(Trial::test(format!("{name}::disassembly"), check));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn read_files() -> Result<Vec<(String, Vec<Case>)>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn/riscv64");
    let entries = fs::read_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    let paths = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(|error| error.to_string())?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ins"));
    paths.sort();
    let read = |path: &Path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        Ok((format!("riscv64/{name}"), case::parse_file(&name, &text)?))
    };
    paths.iter().map(|path| read(path)).collect()
}

/// Runs the cases and compares; the runs that are `None` do not count.
fn judge(cases: &[Case], mut run: impl FnMut(&Case) -> Option<(State, End)>) -> Result<(), Failed> {
    let mut failures = Vec::new();
    for case in cases {
        let Some((state, end)) = run(case) else { continue };
        let mut wrong: Vec<String> = state.difference(&case.after).into_iter().collect();
        if end != case.end {
            wrong.push(format!("{end:x?} not {:x?}", case.end));
        }
        if !wrong.is_empty() {
            failures.push(format!("{} {:?}: {}", case.name, case.assembly, wrong.join("; ")));
        }
    }
    report(failures)
}

fn report(failures: Vec<String>) -> Result<(), Failed> {
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// A system call would really be made, and stops nothing.
fn ask_oracle(oracle: &Oracle, cases: &[Case]) -> Result<(), Failed> {
    let asks = |case: &&Case| case.oracle && !matches!(case.end, End::Syscall(_));
    let asked: Vec<&Case> = cases.iter().filter(asks).collect();
    let batch: Vec<_> = asked.iter().map(|case| (case.code.as_slice(), &case.before)).collect();
    let mut answers = oracle.run(&batch)?.into_iter();
    let asked: Vec<Case> = asked.into_iter().cloned().collect();
    judge(&asked, |_| answers.next())
}

fn words(case: &Case) -> impl Iterator<Item = (GuestVirt, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = case.code.get(at..).filter(|rest| rest.len() >= 2)?;
        let pc = CODE.wrapping_add(at as u64);
        at += decoders::riscv64::length(u16::from_le_bytes([rest[0], rest[1]])) as usize;
        Some((pc, rest))
    })
}

fn word(code: &[u8]) -> u32 {
    let byte = |index: usize| code.get(index).copied().unwrap_or(0);
    u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
}

fn check_assembly(cases: &[Case]) -> Result<(), Failed> {
    let mut failures = Vec::new();
    for case in cases {
        for ((pc, code), expected) in words(case).zip(&case.assembly) {
            let text = disassemble(word(code), pc);
            if text != *expected {
                failures.push(format!("{}: '{text}' not '{expected}'", case.name));
            }
        }
    }
    report(failures)
}

/// Every instruction that the decoder knows has a case.
fn coverage(files: &[(String, Vec<Case>)]) -> Trial {
    let mut missing: BTreeSet<&str> = INSTRUCTIONS.iter().map(|info| info.name).collect();
    for case in files.iter().flat_map(|(_, cases)| cases) {
        for (_, code) in words(case) {
            if let Some(op) = identify(word(code), ExtensionSet::ALL) {
                missing.remove(op.name());
            }
        }
    }
    let missing: Vec<String> =
        missing.into_iter().map(|name| format!("no case of {name}")).collect();
    Trial::test("riscv64::coverage", move || report(missing))
}
