//! Deliberate mistakes, found by `ferry diff` in the examples: with the baseline compiler, by block, and by hash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

fn file(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seeded");
    fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}

/// Runs Ferry on the example that counts words, with a mistake.
fn ferry(command: &str, defect: &str, args: &[&str], architecture: &str) -> (Option<i32>, String) {
    let program = format!("{}/../examples/{architecture}/hello", env!("CARGO_MANIFEST_DIR"));
    let license = Path::new(env!("CARGO_MANIFEST_DIR")).join("../LICENSE-MIT");
    let done = Command::new(env!("CARGO_BIN_EXE_ferry"))
        .args([command, "--defect", defect])
        .args(args)
        .args(["--", &program, "words"])
        .stdin(File::open(license).unwrap())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout) + &text(&done.stderr))
}

#[track_caller]
fn found((status, report): (Option<i32>, String), parts: &[&str]) {
    assert_eq!(status, Some(1), "{report}");
    for part in parts {
        assert!(report.contains(part), "no {part}: {report}");
    }
}

const BASELINE: &str = "enters in: the baseline compiler: tier 0 says otherwise";

#[test]
fn the_baseline_compiler_is_blamed_for_an_instruction() {
    let args = ["--count", "5000", "interp", "baseline"];
    let done = ferry("diff", "BorrowIsCarry", &args, "aarch64");
    found(
        done,
        &["* nzcv", "* baseline ", "    interp         agrees", BASELINE, "IR:", "host code:"],
    );
}

/// A register that the accumulator no longer holds: no single instruction shows that.
#[test]
fn a_block_is_reduced_to_what_it_takes() {
    let args = ["--count", "5000", "interp", "baseline"];
    let alone = ferry("diff", "StaleAccumulator", &args, "aarch64");
    assert_eq!(alone.0, Some(0), "{}", alone.1);
    let case = file("stale.ins");
    let case_path = case.to_str().unwrap();
    let by_block = [&["--by", "block", "--reproducer", case_path][..], &args].concat();
    let done = ferry("diff", "StaleAccumulator", &by_block, "aarch64");
    found(done, &["the block, instruction by instruction", "it takes ", "* baseline ", BASELINE]);
    let case = fs::read_to_string(case).unwrap();
    assert!(case.matches('"').count() >= 4, "several instructions: {case}");
    // The same against a record.
    let trace = file("right.trace");
    let trace = trace.to_str().unwrap();
    let record = ["--mem", "--count", "3000", "-o", trace];
    assert_eq!(ferry("trace", "StaleAccumulator", &record, "aarch64").0, Some(0));
    let args = ["--by", "block", "--prefix", trace, "baseline"];
    found(ferry("diff", "StaleAccumulator", &args, "aarch64"), &["it takes ", BASELINE]);
}

#[test]
fn the_back_end_is_blamed_for_a_block() {
    let args = ["--by", "block", "--count", "5000", "interp", "jit"];
    let done = ferry("diff", "ForwardsFromAnyBase", &args, "riscv64");
    found(done, &["the block, instruction by instruction", "* jit ", "enters in: back end"]);
}

#[test]
fn a_difference_of_hashes_is_searched_in_the_program_that_is_run_again() {
    let args = ["--by", "hash", "--every", "1000", "interp", "baseline"];
    let done = ferry("diff", "BorrowIsCarry", &args, "aarch64");
    found(
        done,
        &["the hashes of each 1000 instructions agree up to instruction 0", "* nzcv", BASELINE],
    );
    let [right, wrong] = ["right.hashes", "wrong.hashes"].map(file);
    let [right, wrong] = [&right, &wrong].map(|path| path.to_str().unwrap());
    for (tier, path) in [("interp", right), ("baseline", wrong)] {
        let record = ["--hashes", "700", "--tier", tier, "-o", path];
        // A program that is executed wrongly may die.
        let (status, report) = ferry("trace", "BorrowIsCarry", &record, "aarch64");
        assert!(status.is_none_or(|status| status < 125), "{report}");
    }
    found(ferry("diff", "BorrowIsCarry", &[right, wrong], "aarch64"), &["* nzcv", BASELINE]);
    // Without the mistake, the program does something else than was recorded.
    let (status, report) = ferry("diff", "AddiwZeroExtends", &[right, wrong], "aarch64");
    assert!(status == Some(2) && report.contains("is not what was recorded"), "{report}");
}
