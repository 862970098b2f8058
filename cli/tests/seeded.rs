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

/// What is to be said of a mistake in the baseline compiler.
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

/// What takes several instructions of a block: none of them shows it by itself.
#[test]
fn mistakes_of_several_instructions_are_found_by_block() {
    for (defect, architecture, tier) in [
        ("StaleAccumulator", "aarch64", "baseline"),
        ("ForwardsFromAnyBase", "riscv64", "jit"),
        ("ForwardsStaleSlots", "aarch64", "jit"),
    ] {
        let args = ["--count", "2000", "interp", tier];
        let alone = ferry("diff", defect, &args, architecture);
        assert_eq!(alone.0, Some(0), "{defect}: {}", alone.1);
        let done = ferry("diff", defect, &[&["--by", "block"][..], &args].concat(), architecture);
        found(done, &["the block, instruction by instruction", "IR:", "host code:"]);
    }
}

/// A load takes what was stored at another address.
#[test]
fn a_block_is_reduced_to_what_it_takes() {
    let takes = [
        "it takes 2 instructions:\n    sd a6,8(a5) at 0x101f0\n    c.ld a5,8(a4) at 0x101f4",
        "    interp         agrees",
        "    baseline       agrees",
        "* jit:none ",
        "enters in: back end",
    ];
    let case = file("forwards.ins");
    let case_path = case.to_str().unwrap();
    let args = ["--by", "block", "--reproducer", case_path, "--count", "3000", "interp", "jit"];
    found(ferry("diff", "ForwardsFromAnyBase", &args, "riscv64"), &takes);
    let case = fs::read_to_string(case).unwrap();
    assert!(case.contains("\"sd a6,8(a5)\" \"c.ld a5,8(a4)\""), "{case}");
    // Against a record, which tells what is stored.
    let trace = file("right.trace");
    let trace = trace.to_str().unwrap();
    let record = ["--mem", "--count", "3000", "-o", trace];
    assert_eq!(ferry("trace", "ForwardsFromAnyBase", &record, "riscv64").0, Some(0));
    let args = ["--by", "block", "--prefix", trace, "jit"];
    let done = ferry("diff", "ForwardsFromAnyBase", &args, "riscv64");
    found(done, &[&takes[..], &["memory: the reference stores"]].concat());
    // A wrong store is found where it is made.
    let done = ferry("diff", "ForwardsStaleSlots", &args, "riscv64");
    found(done, &["instruction 5 of hart 0", "it takes 2 instructions", "enters in: optimiser"]);
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
