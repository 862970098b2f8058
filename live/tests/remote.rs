//! Executions through gdb's protocol, against qemu where it is installed.

#![expect(clippy::print_stdout, reason = "what is skipped shall be seen")]

use std::path::{Path, PathBuf};

use diff::{Comparison, Counts, Execution, Options, Verdict};
use ferry_live::{Remote, Replayed, Stub};
use linux_user::ReplicaTier;
use runtime::{Passes, Precision};

fn example(architecture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/{architecture}/hello"))
}

/// The program in qemu, or `None`, visibly, if it is not installed.
fn qemu(architecture: &str, model: &str) -> Option<Remote> {
    let qemu = std::env::var(format!("FERRY_TEST_QEMU_{}", architecture.to_uppercase()))
        .unwrap_or_else(|_| format!("qemu-{architecture}"));
    let listen = |socket: &str| {
        ["-R", "0x200000000000", "-cpu", model, "-g", socket].map(Into::into).to_vec()
    };
    let program = [example(architecture).into_os_string(), "words".into()];
    match Stub::start(qemu.as_ref(), listen, &program) {
        Ok(stub) => Some(Remote::start(stub).unwrap()),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn compare(reference: &mut dyn Execution, subject: &mut dyn Execution, count: u64) -> Counts {
    let options = Options { count: Some(count), ..Options::default() };
    match Comparison::new(reference, subject, options).unwrap().run().unwrap() {
        Verdict::Same(counts) => counts,
        Verdict::Different(_, divergence) => {
            panic!("{:?} {:?}", divergence.pair, divergence.differences)
        }
    }
}

/// One after the other: a process has the memory of one replica.
#[test]
fn tiers_repeat_what_qemu_does() {
    let compiled =
        |passes, precision| ReplicaTier::Compiled { passes, precision, intrinsics: true };
    let tiers = [
        ReplicaTier::Interpreted,
        compiled(Passes::ALL, Precision::Replay),
        compiled(Passes::NONE, Precision::EveryAccess),
    ];
    let Some(mut reference) = qemu("riscv64", "rv64") else { return };
    if reference.state().unwrap().mappings().unwrap().is_none() {
        println!("skipped: repeating qemu: it must be 8.1 or later to say what is mapped");
        return;
    }
    let which = std::env::var("FERRY_TEST_TIER").ok().and_then(|text| text.parse().ok());
    if let Some(tier) = which.and_then(|n: usize| tiers.get(n)) {
        let architecture = trace::Architecture::Riscv64;
        let mut subject = Replayed::new(architecture, None, *tier).unwrap();
        let counts = compare(&mut reference, &mut subject, 2500);
        assert_eq!((counts.instructions, counts.unknown), (2500, 0));
        assert!(counts.registers > 500, "{counts:?}");
        return;
    }
    for tier in 0..tiers.len() {
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tiers_repeat_what_qemu_does", "--nocapture"])
            .env("FERRY_TEST_TIER", tier.to_string())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
}

#[test]
fn two_runs_in_qemu_are_the_same_where_the_world_is_adopted() {
    let Some(mut reference) = qemu("aarch64", "cortex-a72") else { return };
    let Some(mut subject) = qemu("aarch64", "cortex-a72") else { return };
    let counts = compare(&mut reference, &mut subject, 500);
    assert_eq!(counts.instructions, 500);
}
