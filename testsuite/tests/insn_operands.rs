//! Every instruction of the lists (`testsuite/insn/<guest>/*.gen`) on fresh operands, in every
//! floating-point mode: interpreter, compiled code and qemu-user must agree.
//!
//! A few operands each in a plain run, more with `FERRY_TEST_FULL=1`, many with `FERRY_TEST_LONG=1`. The seed is printed, and
//! `FERRY_FUZZ_SEED` repeats one.
#![expect(clippy::print_stderr, reason = "says its seed, and why it does not ask qemu-user")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use ferry_testsuite as testsuite;
use fuzz::guest::{self, Guest};
use fuzz::machine::{End, State};
use fuzz::oracle::Oracle;
use fuzz::tier::{Runner, Tier};
use libtest_mimic::{Arguments, Failed, Trial};
use testsuite::insn::generate::{self, Sample};
use testsuite::{cache, seed};

const FEW: usize = 2;
const MORE: usize = 6;
const MANY: usize = 30;
/// Disagreements that are shown of each chapter.
const SHOWN: usize = 10;

fn main() -> ExitCode {
    let seed = seed::of_this_run();
    eprintln!("FERRY_FUZZ_SEED={seed:#x}");
    let mut trials = Vec::new();
    for guest in guest::ALL {
        match trials_of(guest, seed) {
            Ok(some) => trials.extend(some),
            Err(error) => return testsuite::suite::fail("insn_operands", error),
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trials_of(guest: &'static Guest, seed: u64) -> io::Result<Vec<Trial>> {
    let lists = lists(guest)?;
    let Some(ferry) = guest.ferry.as_ref().filter(|_| !lists.is_empty()) else {
        return Ok(vec![]);
    };
    let oracle = match testsuite::insn::oracle(guest) {
        Ok(oracle) => oracle,
        Err(error) => {
            eprintln!("skipped: insn_operands: {error}");
            return Ok(vec![]);
        }
    };
    let trial = |list: PathBuf| {
        let name = list.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let oracle = oracle.clone();
        let test = move || check(guest, &oracle, &list, seed);
        (name.clone(), Trial::test(format!("{}/{name}", guest.name), test))
    };
    let translated = |name: &str| !ferry.pending.iter().any(|start| name.starts_with(start));
    let named = lists.into_iter().map(trial).filter(|(name, _)| translated(name));
    Ok(named.map(|(_, trial)| trial).collect())
}

fn lists(guest: &Guest) -> io::Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn").join(guest.name);
    let entries = fs::read_dir(root)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "gen"));
    paths.sort();
    Ok(paths)
}

fn check(guest: &'static Guest, oracle: &Oracle, list: &Path, seed: u64) -> Result<(), Failed> {
    let text = fs::read_to_string(list)?;
    let name = list.file_stem().unwrap_or_default().to_string_lossy();
    let count = match (cache::long_run(), cache::full_run()) {
        (true, _) => MANY,
        (_, true) => MORE,
        _ => FEW,
    };
    let mut samples = generate::samples(guest, &name, &text, seed, count)?;
    samples.retain(|sample| (guest.holds_here)(&sample.code).by_host);
    let mut runner = Runner::new(guest).ok_or("Ferry does not have this guest")?;
    let mut wrong = Vec::new();
    for chunk in samples.chunks(200) {
        compare(&mut runner, oracle, chunk, &mut wrong)?;
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let total = wrong.len();
    wrong.truncate(SHOWN);
    Err(format!("{total} disagreements with qemu, among them\n{}", wrong.join("\n")).into())
}

fn compare(
    runner: &mut Runner,
    oracle: &Oracle,
    samples: &[Sample],
    wrong: &mut Vec<String>,
) -> Result<(), Failed> {
    let cases: Vec<(&Sample, &State)> = samples
        .iter()
        .flat_map(|sample| sample.before.iter().map(move |before| (sample, before)))
        .collect();
    let batch: Vec<_> =
        cases.iter().map(|(sample, before)| (sample.code.as_slice(), *before)).collect();
    let answers = oracle.run(&batch)?;
    for ((sample, before), answer) in cases.into_iter().zip(&answers) {
        for tier in [Tier::Interpreter, Tier::OptimisedRegion] {
            let result = runner.run(tier, &sample.code, before);
            if let Some(difference) = difference(&sample.code, &result, answer) {
                let registers = before.difference(&State::new(before.guest)).unwrap_or_default();
                let (tier, name) = (tier.name(), &sample.name);
                wrong.push(format!("{name}: {tier}: {difference}\n    from {registers}"));
            }
        }
    }
    Ok(())
}

fn difference(code: &[u8], mine: &(State, End), theirs: &(State, End)) -> Option<String> {
    let [mine, theirs] = [mine, theirs].map(|(state, end)| {
        let mut state = state.clone();
        (state.guest.forget_interrupted)(code, end, &mut state.words);
        state.guest.forget_others(code, &mut state.words);
        (state, *end)
    });
    let states = mine.0.difference(&theirs.0);
    let ends = (mine.1 != theirs.1).then(|| format!("{:x?} not {:x?}", mine.1, theirs.1));
    match (states, ends) {
        (None, None) => None,
        (states, ends) => Some([states, ends].into_iter().flatten().collect::<Vec<_>>().join("; ")),
    }
}
