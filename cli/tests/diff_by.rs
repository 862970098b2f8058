//! `ferry diff` by block and by hash, and with the baseline compiler, on the examples.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example(architecture: &str) -> String {
    format!("{}/../examples/{architecture}/hello", env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("diff-by");
    fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}

/// What the example counts, as often as it is run.
fn input() -> File {
    let path = file("input.txt");
    fs::write(&path, "one two one\n").unwrap();
    File::open(path).unwrap()
}

fn ferry<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferry")).args(args).stdin(input()).output().unwrap()
}

fn report(done: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout) + &text(&done.stderr))
}

/// `ferry diff` of these sides and options, on the example that counts words.
fn diff(architecture: &str, args: &[&str]) -> (Option<i32>, String) {
    let program = example(architecture);
    report(&ferry([&["diff"], args, &["--", &program, "words"]].concat()))
}

/// Records the example, counting words.
fn record(architecture: &str, options: &[&str], output: &Path) {
    let out = ["-o", output.to_str().unwrap()];
    let program = example(architecture);
    let done = report(&ferry([&["trace"], options, &out, &["--", &program, "words"]].concat()));
    assert_eq!(done.0, Some(0), "{}", done.1);
}

fn same(what: &str, (status, report): (Option<i32>, String), part: &str) {
    assert!(status == Some(0) && report.contains(part), "{what}: {report}");
}

#[test]
fn the_baseline_compiler_is_a_side() {
    for architecture in ["riscv64", "aarch64"] {
        let done = diff(architecture, &["--count", "2000", "interp", "baseline"]);
        same(architecture, done, "same: 2000 ");
        let done = diff(architecture, &["--by", "call", "interp", "baseline"]);
        same(architecture, done, " system calls");
        let path = file(&format!("{architecture}-baseline.trace"));
        record(architecture, &["--mem", "--tier", "baseline"], &path);
        let done = diff(architecture, &[path.to_str().unwrap(), "interp"]);
        same(architecture, done, "same: ");
    }
}

/// Each guest and tier: loops, calls, system calls.
#[test]
fn blocks_are_compared_where_they_end() {
    let programs = [example("riscv64"), example("aarch64"), "/bin/true".to_owned()];
    // What the host runs itself is x86-64's.
    let count = if cfg!(target_arch = "x86_64") { 3 } else { 2 };
    for program in &programs[..count] {
        for tier in ["interp", "baseline", "jit"] {
            let sides = ["diff", "--by", "block", "--count", "1500", "interp", tier];
            let done = report(&ferry(sides.iter().chain(&["--", program, "words"])));
            assert!(done.1.contains(" blocks"), "{program} {tier}: {}", done.1);
            same(program, done, "same: 15");
        }
    }
}

#[test]
fn a_record_is_compared_with_blocks_of_the_program_that_is_run() {
    let path = file("for-blocks.trace");
    record("riscv64", &["--mem", "--count", "2500"], &path);
    let path = path.to_str().unwrap();
    let done = diff("riscv64", &["--by", "block", "--prefix", path, "jit"]);
    same("prefix", done, "same: 2");
    let (status, report) = diff("riscv64", &["--by", "block", path, "qemu"]);
    assert!(status == Some(2) && report.contains("wants interp, baseline or jit"), "{report}");
    // Another program does not go the same way.
    let (status, report) = diff("aarch64", &["--by", "block", path, "jit"]);
    assert!(status == Some(2) && report.contains("is of riscv64, not of aarch64"), "{report}");
}

#[test]
fn tiers_are_compared_by_hashes() {
    for architecture in ["riscv64", "aarch64"] {
        for tier in ["jit", "baseline"] {
            let done = diff(architecture, &["--by", "hash", "--every", "1000", "interp", tier]);
            same(architecture, done, "by the hashes");
        }
    }
}

#[test]
fn a_file_of_hashes_is_compared_with_others_and_with_traces() {
    let (interp, jit) = (file("interp.hashes"), file("jit.hashes"));
    record("riscv64", &["--hashes", "500"], &interp);
    record("riscv64", &["--hashes", "500", "--tier", "jit"], &jit);
    let [interp, jit] = [&interp, &jit].map(|path| path.to_str().unwrap());
    let stat = report(&ferry(["trace", "stat", interp]));
    same("stat", stat, "of each       500 instructions");
    same("files", report(&ferry(["diff", interp, jit])), "by the hashes");
    same("a tier", diff("riscv64", &[interp, "baseline"]), "by the hashes");
    // What was recorded otherwise, with all there is.
    let (part, whole) = (file("part.hashes"), file("whole.trace"));
    record("riscv64", &["--hashes", "500", "--tier", "jit", "--count", "20000"], &part);
    record("riscv64", &["--mem", "--regs", "all", "--count", "20000"], &whole);
    let [part, whole] = [&part, &whole].map(|path| path.to_str().unwrap());
    same("a trace", report(&ferry(["diff", whole, part])), "by the hashes");
    let log = file("whole.rvvi");
    let log = log.to_str().unwrap();
    report(&ferry(["trace", "convert", "--to", "rvvi", "-o", log, whole]));
    let by_hash = ["diff", "--by", "hash", "--every", "500", whole, log];
    same("a trace of others", report(&ferry(by_hash)), "by the hashes");
    let shown = report(&ferry(["trace", "show", jit]));
    assert!(shown.1.contains("these are a trace's hashes"), "{}", shown.1);
}

/// A trace of which one value is another from some instruction on.
fn changed(trace: &Path, name: &str) -> PathBuf {
    let log = file(&format!("{name}.spike"));
    let log_path = log.to_str().unwrap();
    let from = trace.to_str().unwrap();
    report(&ferry(["trace", "convert", "--to", "spike", "-o", log_path, from]));
    let text = fs::read_to_string(&log).unwrap();
    let at = text.lines().enumerate().filter(|(_, line)| line.contains(" x15 ")).nth(700);
    let at = at.unwrap().0;
    let lines = text.lines().enumerate().map(|(n, line)| match line.split_once(" x15 ") {
        Some((start, _)) if n == at => format!("{start} x15 0x00000000deadbeef\n"),
        _ => format!("{line}\n"),
    });
    fs::write(&log, lines.collect::<String>()).unwrap();
    log
}

#[test]
fn a_window_that_differs_is_searched_where_there_is_a_program() {
    let trace = file("searched.trace");
    record("riscv64", &[], &trace);
    let wrong = changed(&trace, "searched");
    // Spike's logs have no traps: so have no such hashes either.
    let right = file("searched.hashes");
    record("riscv64", &["--hashes", "500"], &right);
    let [right, wrong] = [&right, &wrong].map(|path| path.to_str().unwrap().to_owned());
    let lacking = report(&ferry(["diff", &right, &wrong]));
    assert!(lacking.0 == Some(2) && lacking.1.contains("does not carry"), "{}", lacking.1);
    // A trace that has all: its hashes say where, and the program's instructions what.
    let whole = trace.to_str().unwrap();
    let (status, text) = report(&ferry(["diff", "--by", "hash", "--every", "500", whole, &wrong]));
    assert_eq!(status, Some(1), "{text}");
    assert!(text.starts_with("the hashes of each 500 instructions agree up to"), "{text}");
    assert!(text.contains("* x15") && text.contains("the subject 0xdeadbeef"), "{text}");
}

#[test]
fn hashes_that_cannot_be_compared_say_why() {
    let (a, b, other) = (file("a.hashes"), file("b.hashes"), file("other.hashes"));
    record("riscv64", &["--hashes", "500"], &a);
    record("riscv64", &["--hashes", "400"], &b);
    record("aarch64", &["--hashes", "500"], &other);
    let diff = |a: &Path, b: &Path| report(&ferry([OsStr::new("diff"), a.as_ref(), b.as_ref()]));
    let failed = |(status, text): (Option<i32>, String), part: &str| {
        assert!(status == Some(2) && text.contains(part), "{part}: {text}");
    };
    failed(diff(&a, &b), "hashes of 500 instructions each, the subject of 400");
    failed(diff(&a, &other), "is of riscv64, the subject of aarch64");
    let memory = file("memory.hashes");
    record("riscv64", &["--hashes", "500", "--mem"], &memory);
    failed(diff(&memory, &a), "it does not carry accesses to memory");
    let bytes = fs::read(&a).unwrap();
    let cut = file("cut.hashes");
    fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    failed(diff(&cut, &a), "cut short: it ends after ");
    let mut damaged = bytes.clone();
    let at = bytes.len() - 24;
    damaged[at] ^= 1;
    fs::write(&cut, damaged).unwrap();
    failed(diff(&cut, &a), "a window is damaged");
    // Other input, so another execution: what is run again is not what was recorded.
    let longer = file("longer.hashes");
    let program = example("riscv64");
    let out = longer.to_str().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
    command.args(["trace", "--hashes", "500", "-o", out, "--", &program, "words"]);
    fs::write(file("longer.txt"), "one two three four\n").unwrap();
    assert!(
        command.stdin(File::open(file("longer.txt")).unwrap()).output().unwrap().status.success()
    );
    let done = report(&ferry([
        OsStr::new("diff"),
        a.as_ref(),
        longer.as_ref(),
        OsStr::new("--"),
        program.as_ref(),
        OsStr::new("words"),
    ]));
    failed(done, "is not what was recorded");
    let (status, text) = diff(&a, &longer);
    assert!(status == Some(1) && text.contains("name the program after --"), "{text}");
}
