//! Every instruction case of `testsuite/insn`, through every tier, the disassembler and qemu-user.
#![expect(clippy::print_stderr, reason = "a skipped oracle says so")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, io};

use ferry_testsuite as testsuite;
use fuzz::case::{self, Case};
use fuzz::coverage::Coverage;
use fuzz::guest::{self, Ferry, Guest};
use fuzz::machine::{CODE, End, State};
use fuzz::oracle::Oracle;
use fuzz::tier::{Runner, Tier};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for guest in guest::ALL {
        match trials_of(guest) {
            Ok(some) => trials.extend(some),
            Err(message) => return testsuite::suite::fail("insn", message),
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trials_of(guest: &'static Guest) -> Result<Vec<Trial>, String> {
    let files = read_files(guest)?;
    let oracle =
        testsuite::insn::oracle(guest).map_err(|error| eprintln!("skipped: insn: {error}")).ok();
    let mut trials = Vec::new();
    if let Some(ferry) = &guest.ferry {
        trials.push(coverage(guest, ferry, &files));
        trials.push(uncovered(guest, &files));
    }
    for (chapter, cases) in files {
        let name = format!("{}/{chapter}", guest.name);
        let cases = Arc::new(cases);
        let translated =
            |ferry: &&Ferry| !ferry.pending.iter().any(|start| chapter.starts_with(start));
        let ferry = guest.ferry.as_ref().filter(translated);
        let tiers = if ferry.is_some() { &Tier::ALL[..] } else { &[] };
        for &tier in tiers {
            let cases = Arc::clone(&cases);
            trials.push(Trial::test(format!("{name}::{}", tier.name()), move || {
                let mut runner = Runner::new(guest).ok_or("Ferry does not have this guest")?;
                judge(&cases, |case| {
                    let holds = (guest.holds_here)(&case.code).by_tiers;
                    holds.then(|| runner.run(tier, &case.code, &case.before))
                })
            }));
        }
        if let Some(oracle) = oracle.clone() {
            let cases = Arc::clone(&cases);
            let oracle_name = oracle.name();
            let trial = move || ask_oracle(guest, &oracle, &cases);
            trials.push(Trial::test(format!("{name}::{}", oracle_name), trial));
        }
        if let Some(ferry) = ferry {
            let check = move || check_assembly(ferry, &cases);
            trials.push(Trial::test(format!("{name}::disassembly"), check));
        }
    }
    Ok(trials)
}

fn read_files(guest: &'static Guest) -> Result<Vec<(String, Vec<Case>)>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn").join(guest.name);
    let entries = fs::read_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    let paths = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(|error| error.to_string())?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ins"));
    paths.sort();
    let read = |path: &Path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let cases = case::parse_file(guest, &format!("{}/{name}", guest.name), &text)?;
        Ok((name, cases))
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
fn ask_oracle(guest: &Guest, oracle: &Oracle, cases: &[Case]) -> Result<(), Failed> {
    let asks = |case: &&Case| {
        case.oracle
            && !matches!(case.end, End::Syscall(_))
            && (guest.holds_here)(&case.code).by_host
    };
    let asked: Vec<&Case> = cases.iter().filter(asks).collect();
    let batch: Vec<_> = asked.iter().map(|case| (case.code.as_slice(), &case.before)).collect();
    let mut answers = oracle.run(&batch)?.into_iter();
    let mut asked: Vec<Case> = asked.into_iter().cloned().collect();
    // The cases hold for what one processor does; another may do otherwise where it is free to.
    for case in &mut asked {
        (guest.forget)(&case.code, &mut case.after.words);
    }
    judge(&asked, |case| {
        let (mut state, end) = answers.next()?;
        (guest.forget)(&case.code, &mut state.words);
        Some((state, end))
    })
}

/// The code from each instruction on.
fn instructions(ferry: &Ferry, case: &Case) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < case.code.len() {
        let (text, length) = (ferry.disassemble)(CODE.wrapping_add(at as u64), &case.code[at..]);
        found.push((at, text));
        at += length;
    }
    found
}

fn check_assembly(ferry: &Ferry, cases: &[Case]) -> Result<(), Failed> {
    let mut failures = Vec::new();
    for case in cases {
        for ((_, text), expected) in instructions(ferry, case).iter().zip(&case.assembly) {
            if text != expected {
                failures.push(format!("{}: '{text}' not '{expected}'", case.name));
            }
        }
    }
    report(failures)
}

/// Every instruction that the decoder knows has a case.
fn coverage(guest: &Guest, ferry: &Ferry, files: &[(String, Vec<Case>)]) -> Trial {
    let mut missing: BTreeSet<&str> = (ferry.instructions)().into_iter().collect();
    for case in files.iter().flat_map(|(_, cases)| cases) {
        for (at, _) in instructions(ferry, case) {
            if let Some(name) = (ferry.identify)(&case.code[at..]) {
                missing.remove(name);
            }
        }
    }
    let missing: Vec<String> =
        missing.into_iter().map(|name| format!("no case of {name}")).collect();
    Trial::test(format!("{}::coverage", guest.name), move || report(missing))
}

/// What the cases do not show of an encoding that it can: the list that is kept may only become shorter.
fn uncovered(guest: &'static Guest, files: &[(String, Vec<Case>)]) -> Trial {
    let cases: Vec<Case> = files.iter().flat_map(|(_, cases)| cases.clone()).collect();
    Trial::test(format!("{}::uncovered", guest.name), move || {
        let mut coverage = Coverage::new(guest).ok_or("Ferry does not have this guest")?;
        let mut runner = Runner::new(guest).ok_or("Ferry does not have this guest")?;
        cases.iter().for_each(|case| coverage.run(&mut runner, &case.code, &case.before));
        let report = coverage.report();
        eprintln!("{}", report.lines().next().unwrap_or_default());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn").join(guest.name);
        let path = root.join("uncovered.txt");
        if std::env::var_os("FERRY_BLESS").is_some() {
            fs::write(&path, coverage.list()).map_err(|error| error.to_string())?;
            return Ok(());
        }
        let known = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let (known, now) = (entries(&known), coverage.list());
        let now = entries(&now);
        let news =
            now.difference(&known).map(|(name, class)| format!("{name}: {class}: no longer"));
        let olds = known.difference(&now).map(|(name, class)| {
            format!("{name}: {class}: is there now; FERRY_BLESS=1 takes it off {}", path.display())
        });
        report_all(news.chain(olds))
    })
}

/// Encodings and classes of a list.
fn entries(list: &str) -> BTreeSet<(&str, &str)> {
    let words = |line| str::split_whitespace(line);
    let entry =
        |line| words(line).next().map(|name| words(line).skip(1).map(move |class| (name, class)));
    list.lines().filter_map(entry).flatten().collect()
}

fn report_all(failures: impl Iterator<Item = String>) -> Result<(), Failed> {
    report(failures.collect())
}
