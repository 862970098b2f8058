//! Random programs: the interpreter, compiled regions, both on optimised blocks, and qemu-user must
//! agree on every register, on memory, and on how they end.
//!
//! Each run has a fresh seed, which it prints. `FERRY_FUZZ_SEED` repeats one; `FERRY_FUZZ_CASES` sets
//! how many programs there are, instead of what fits into some seconds.
#![expect(clippy::print_stderr, reason = "says its seed, and why it does not ask qemu-user")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use ferry_testsuite as testsuite;
use fuzz::campaign::{Against, BATCH, Campaign, Shard};
use fuzz::guest::{AARCH64, Guest, RISCV64};
use fuzz::tier::Tier;
use testsuite::seed;

const TIME: Duration = Duration::from_secs(15);

/// Says so on the real standard error: the test harness keeps back what a passing test prints.
fn skipped(reason: &impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "skipped: insn_fuzz: {reason}");
}

#[test]
fn tiers_and_qemu_agree_on_random_programs_of_riscv64() {
    agree(&RISCV64);
}

#[test]
fn tiers_and_qemu_agree_on_random_programs_of_aarch64() {
    agree(&AARCH64);
}

fn agree(guest: &'static Guest) {
    let seed = seed::of_this_run();
    let cases = seed::cases();
    eprintln!("{}: FERRY_FUZZ_SEED={seed:#x}", guest.name);
    let oracle = testsuite::insn::oracle(guest).map_err(|error| skipped(&error)).ok();
    let tiers = Tier::ALL.into_iter().skip(1).map(Against::Tier);
    let against = tiers.chain(oracle.map(Against::Oracle)).collect();
    let campaign = Campaign::new(guest, seed, &[], against, Shard::WHOLE);
    let mut campaign = campaign.unwrap_or_else(|error| panic!("{error}"));
    let start = Instant::now();
    while cases.map_or(start.elapsed() < TIME, |n| campaign.next() < n) {
        let count = cases.map_or(BATCH, |n| BATCH.min(n - campaign.next()));
        let new = campaign.batch(count).unwrap_or_else(|error| panic!("{error}"));
        let reports: Vec<String> =
            new.iter().map(|key| campaign.findings()[key].report()).collect();
        assert!(reports.is_empty(), "FERRY_FUZZ_SEED={seed:#x}:\n{}", reports.join("\n"));
    }
    let (done, seconds) = (campaign.next(), start.elapsed().as_secs_f64());
    eprintln!("{}: {done} programs in {seconds:.1} s", guest.name);
}
