//! Random programs: the interpreter, compiled regions, both on optimised blocks, and qemu-user must
//! agree on every register, on memory, and on how they end.
//!
//! Each run has a fresh seed, which it prints. `FERRY_FUZZ_SEED` repeats one; `FERRY_FUZZ_CASES` sets
//! how many programs there are, instead of what fits into some seconds.
#![expect(clippy::print_stderr, reason = "says its seed, and why it does not ask qemu-user")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use base::GuestVirt;
use ferry_testsuite as testsuite;
use fuzz::guest::{AARCH64, Guest, RISCV64};
use fuzz::machine::{CODE, End, State};
use fuzz::oracle::Oracle;
use fuzz::program::{Generator, Program};
use fuzz::tier::{Runner, Tier};
use testsuite::seed;

/// Programs that go to qemu-user together.
const BATCH: usize = 200;
const TIME: Duration = Duration::from_secs(15);

/// Says so on the real standard error: the test harness keeps back what a passing test prints.
fn skipped(reason: &impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "skipped: insn_fuzz: {reason}");
}

#[test]
fn tiers_and_qemu_agree_on_random_programs_of_riscv64() {
    fuzz(&RISCV64);
}

#[test]
fn tiers_and_qemu_agree_on_random_programs_of_aarch64() {
    fuzz(&AARCH64);
}

fn fuzz(guest: &'static Guest) {
    let seed = seed::of_this_run();
    let cases = seed::cases().map(|n| n as usize);
    eprintln!("{}: FERRY_FUZZ_SEED={seed:#x}", guest.name);
    let (Some(mut generator), Some(mut runner)) = (Generator::new(guest, seed), Runner::new(guest))
    else {
        return skipped(&format!("Ferry has no {} yet", guest.name));
    };
    let oracle = testsuite::insn::oracle(guest).map_err(|error| skipped(&error)).ok();
    let (start, mut done) = (Instant::now(), 0);
    while cases.map_or(start.elapsed() < TIME, |n| done < n) {
        let count = cases.map_or(BATCH, |n| BATCH.min(n - done));
        let programs: Vec<Program> = (0..count).map(|_| generator.program()).collect();
        if let Some(wrong) = check(&mut runner, oracle.as_ref(), &programs) {
            panic!(
                "FERRY_FUZZ_SEED={seed:#x}, among programs {done} to {} of {}:\n{wrong}",
                done + count,
                guest.name
            );
        }
        done += count;
    }
    eprintln!("{}: {done} programs in {:.1} s", guest.name, start.elapsed().as_secs_f64());
}

/// What is wrong with the first program that something is wrong with, made as small as may be.
fn check(runner: &mut Runner, oracle: Option<&Oracle>, programs: &[Program]) -> Option<String> {
    let results: Vec<_> = programs.iter().map(|p| run(runner, Tier::Interpreter, p)).collect();
    for (program, result) in programs.iter().zip(&results) {
        if result.1 == End::Endless {
            return Some(format!("does not come to an end:\n{}", program.listing()));
        }
        for tier in Tier::ALL {
            if disagreement(&run(runner, tier, program), result).is_some() {
                let fails = |p: &Program| {
                    let expected = run(runner, Tier::Interpreter, p);
                    disagreement(&run(runner, tier, p), &expected)
                };
                return Some(format!(
                    "{}, not interpreter: {}",
                    tier.name(),
                    shrink(program, fails)
                ));
            }
        }
    }
    let answers = ask(oracle?, programs);
    for ((program, result), answer) in programs.iter().zip(&results).zip(&answers) {
        if disagreement_with_qemu(program, result, answer).is_some() {
            let fails = |p: &Program| {
                let result = run(runner, Tier::Interpreter, p);
                disagreement_with_qemu(p, &result, &ask(oracle?, std::slice::from_ref(p))[0])
            };
            return Some(format!("interpreter, not qemu: {}", shrink(program, fails)));
        }
    }
    None
}

fn run(runner: &mut Runner, tier: Tier, program: &Program) -> (State, End) {
    runner.run(tier, &program.code(), &program.before)
}

fn ask(oracle: &Oracle, programs: &[Program]) -> Vec<(State, End)> {
    let codes: Vec<_> = programs.iter().map(Program::code).collect();
    let cases: Vec<_> =
        codes.iter().zip(programs).map(|(code, p)| (code.as_slice(), &p.before)).collect();
    oracle.run(&cases).unwrap_or_else(|error| panic!("{error}"))
}

fn disagreement(mine: &(State, End), theirs: &(State, End)) -> Option<String> {
    let states = mine.0.difference(&theirs.0);
    let ends = (mine.1 != theirs.1).then(|| format!("{:x?} not {:x?}", mine.1, theirs.1));
    match (states, ends) {
        (None, None) => None,
        (states, ends) => Some([states, ends].into_iter().flatten().collect::<Vec<_>>().join("; ")),
    }
}

fn disagreement_with_qemu(
    program: &Program,
    mine: &(State, End),
    theirs: &(State, End),
) -> Option<String> {
    let [mine, theirs] =
        [mine, theirs].map(|(state, end)| (state.clone(), without_unreachable_address(*end)));
    let excused = meets_breakpoints(mine.1) || program.excuses(&mine, &theirs);
    if excused { None } else { disagreement(&mine, &theirs) }
}

/// The host does not report an address that no process can have mapped; nor does qemu-user, mostly.
fn without_unreachable_address(end: End) -> End {
    match end {
        End::Fault { pc, addr } if addr.0 >= (1 << 47) - 8 => End::Fault { pc, addr: GuestVirt(0) },
        end => end,
    }
}

/// Under qemu-user the code is mapped, and breakpoints around it.
fn meets_breakpoints(end: End) -> bool {
    let near = |addr: GuestVirt| addr.0.abs_diff(CODE.0) < 1 << 16;
    matches!(end, End::Fault { addr, .. } if near(addr))
}

/// Drops instructions as long as the program still fails.
fn shrink(program: &Program, mut fails: impl FnMut(&Program) -> Option<String>) -> String {
    let mut smallest = program.clone();
    for index in (0..program.len()).rev() {
        if let Some(smaller) = smallest.without(index)
            && fails(&smaller).is_some()
        {
            smallest = smaller;
        }
    }
    let message = fails(&smallest).unwrap_or_else(|| "but not twice".to_owned());
    let before = &smallest.before;
    let registers: Vec<String> = (before.guest.registers)()
        .iter()
        .filter(|register| register.reported)
        .map(|register| format!("{}={:#x}", register.name, register.get(&before.words)))
        .collect();
    format!("{message}\n{}\n{}", smallest.listing(), registers.join(" "))
}
