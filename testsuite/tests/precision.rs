//! Precise state: faults at every access of hot loops (`testsuite/precision/faults.c`). What the
//! guest's handler sees, all registers of some seventy thousand faults, is the same interpreted, compiled
//! under each exact way of keeping state, by the baseline compiler, and under qemu-user, or by the processor itself where that is one of
//! the guest's.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ferry_testsuite::cache;
use ferry_testsuite::guests::{self, Guest};
use ferry_testsuite::process;
use ferry_testsuite::qemu;
use ferry_testsuite::suite::{Profile, ferry_binary};

const LIMIT: Duration = Duration::from_secs(120);

fn states(mut command: Command) -> String {
    let outcome = process::run(&mut command, b"", LIMIT).expect("a program that starts");
    let (stdout, stderr) = (&outcome.stdout, String::from_utf8_lossy(&outcome.stderr));
    assert!(outcome.success(), "{command:?}: {:?}\n{stderr}", outcome.end);
    String::from_utf8_lossy(stdout).into_owned()
}

fn ferry(program: &Path, tier: &str, precision: &str, threshold: &str) -> Command {
    let ferry = ferry_binary(Profile::OfThisTest).expect("a ferry of this build");
    let mut command = Command::new(ferry);
    command.args(["run", "--tier", tier]).arg(program);
    command.env("FERRY_PRECISION", precision).env("FERRY_HOT_THRESHOLD", threshold);
    command
}

/// Says so on the real standard error: the test harness keeps back what a passing test prints.
fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: precision: {reason}");
}

#[test]
fn a_handler_sees_the_same_registers_however_the_loops_run() {
    guests::in_ferry().iter().for_each(check);
}

fn check(guest: &Guest) {
    let source = cache::source_tree().join("testsuite/precision/faults.c");
    let program = match guest.compiler.build(&source, &["-O2", "-static"]) {
        Ok(program) => program,
        Err(error) => return skipped(&error.to_string()),
    };
    let interpreted = states(ferry(&program, "interp", "replay", "1000"));
    assert_eq!(interpreted.lines().count(), 10, "{interpreted}");
    for (tier, precision) in [
        ("jit", "replay"),
        ("jit", "every-access"),
        ("baseline", "replay"),
        ("auto", "replay"),
        ("auto", "every-access"),
    ] {
        let compiled = states(ferry(&program, tier, precision, "100"));
        assert_eq!(compiled, interpreted, "{}, --tier {tier}, {precision}", guest.name);
    }
    if guest.name == std::env::consts::ARCH {
        if !base::host::is_intel() {
            return skipped(
                "undefined flags, which the handlers see, are as Intel's processors have them",
            );
        }
        let mut native = Command::new(&program);
        native.arg("integers");
        let mut interpreted = ferry(&program, "interp", "replay", "1000");
        interpreted.arg("integers");
        return assert_eq!(states(native), states(interpreted), "the processor");
    }
    let mut qemu = match qemu::user(guest.name) {
        Ok(qemu) => Command::new(qemu),
        Err(error) => return skipped(&error.to_string()),
    };
    qemu.arg(&program);
    assert_eq!(states(qemu), interpreted, "{}, qemu-user", guest.name);
}
