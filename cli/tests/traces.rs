//! `ferry trace` and `ferry diff` on the examples.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn example(architecture: &str) -> String {
    format!("{}/../examples/{architecture}/hello", env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("traces");
    fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}

/// Runs Ferry; what it reads are three words, for the example to count.
fn ferry<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ferry"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Not everything reads it.
    let _ = child.stdin.take().unwrap().write_all(b"one two one");
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Counts words, and records that.
fn record(architecture: &str, options: &[&str], output: &Path) -> Output {
    let output_option = ["-o", output.to_str().unwrap()];
    let program = example(architecture);
    let args = [&["trace"], options, &output_option, &["--", &program, "words"]].concat();
    let done = ferry(args);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(done.stdout.starts_with(b"3 words, 2 different"), "{}", text(&done.stdout));
    done
}

fn diff(reference: &Path, subject: &Path, options: &[&str]) -> (Option<i32>, String) {
    let paths = [reference, subject].map(|path| path.to_str().unwrap());
    let done = ferry([&["diff"], options, &paths].concat());
    (done.status.code(), text(&done.stdout) + &text(&done.stderr))
}

fn stored(args: &[&str], path: &Path) -> String {
    let done = ferry([&["trace"], args, &[path.to_str().unwrap()]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    text(&done.stdout)
}

#[test]
fn a_recorded_execution_is_shown_and_summed_up() {
    let path = file("shown.trace");
    record("riscv64", &["--mem"], &path);
    let stat = stored(&["stat"], &path);
    assert!(stat.contains("architecture  riscv64") && stat.contains("harts         1"), "{stat}");
    let instructions = stat.lines().find_map(|line| line.strip_prefix("instructions ")).unwrap();
    let instructions: usize = instructions.trim().parse().unwrap();
    let shown = stored(&["show"], &path);
    assert_eq!(shown.lines().count(), instructions);
    assert!(shown.contains("stores 1 at") && shown.contains("loads 8 at"), "no accesses");
    assert_eq!(stored(&["show", "--from", "7", "--count", "3"], &path).lines().count(), 3);
}

#[test]
fn recording_can_begin_late_and_end_early() {
    let path = file("part.trace");
    record("riscv64", &["--from", "100", "--count", "50"], &path);
    let part = stored(&["show"], &path);
    assert_eq!(part.lines().count(), 50);
    let whole = file("whole.trace");
    record("riscv64", &[], &whole);
    let whole = stored(&["show", "--from", "100", "--count", "50"], &whole);
    let place = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    assert_eq!(
        part.lines().map(place).collect::<Vec<_>>(),
        whole.lines().map(place).collect::<Vec<_>>()
    );
    let done =
        ferry(["trace", "--from", "no_such_symbol", "-o", "/dev/null", "--", &example("riscv64")]);
    assert_eq!(done.status.code(), Some(125));
    assert!(text(&done.stderr).contains("no symbol no_such_symbol"), "{}", text(&done.stderr));
}

#[test]
fn the_same_execution_is_the_same_in_every_format() {
    for (architecture, formats) in
        [("riscv64", &["spike", "execlog", "rvvi"][..]), ("aarch64", &["execlog", "tarmac"][..])]
    {
        let native = file(&format!("{architecture}.trace"));
        record(architecture, &["--mem"], &native);
        for format in formats {
            let other = file(&format!("{architecture}.{format}"));
            stored(&["convert", "--to", format, "-o", other.to_str().unwrap()], &native);
            let (status, report) = diff(&native, &other, &["--arch", architecture]);
            assert_eq!(status, Some(0), "{architecture} {format}: {report}");
            let (status, report) = diff(&other, &native, &["--arch", architecture]);
            assert_eq!(status, Some(0), "{format} {architecture}: {report}");
        }
    }
}

#[test]
fn a_trace_that_cannot_be_converted_costs_no_file() {
    let (trace, other) = (file("kept.trace"), file("kept.tarmac"));
    record("riscv64", &["--count", "100"], &trace);
    fs::write(&other, b"kept").unwrap();
    let (before, [from, to]) =
        (fs::read(&trace).unwrap(), [&trace, &other].map(|path| path.to_str().unwrap()));
    let convert = |format: &str, output: &str| {
        let done = ferry(["trace", "convert", "--to", format, "-o", output, from]);
        assert_eq!(done.status.code(), Some(125));
        text(&done.stderr)
    };
    let refused = convert("tarmac", to);
    assert!(refused.contains("tarmac cannot say this: what riscv64 executes"), "{refused}");
    assert_eq!(fs::read(&other).unwrap(), b"kept");
    let itself = convert("spike", from);
    assert!(itself.contains("it is the trace that is read"), "{itself}");
    assert_eq!(fs::read(&trace).unwrap(), before);
}

#[test]
fn a_wrong_value_is_found_at_its_instruction() {
    let path = file("right.trace");
    record("riscv64", &[], &path);
    let right = file("right.spike");
    stored(&["convert", "--to", "spike", "-o", right.to_str().unwrap()], &path);
    let log = fs::read_to_string(&right).unwrap();
    // The tenth line that writes a0 says something else.
    let at = log.lines().enumerate().filter(|(_, line)| line.contains(" x10 ")).nth(9).unwrap().0;
    let wrong: Vec<String> = log
        .lines()
        .enumerate()
        .map(|(n, line)| match line.split_once(" x10 ") {
            Some((start, _)) if n == at => format!("{start} x10 0x00000000deadbeef"),
            _ => line.to_owned(),
        })
        .collect();
    let wrong_path = file("wrong.spike");
    fs::write(&wrong_path, wrong.join("\n") + "\n").unwrap();
    let symbols = example("riscv64");
    let (status, report) = diff(&right, &wrong_path, &["--symbols", &symbols]);
    assert_eq!(status, Some(1), "{report}");
    assert!(report.starts_with("different: instruction ") && report.contains("* x10"), "{report}");
    assert!(report.contains("the subject 0xdeadbeef"), "{report}");
    let (status, json) = diff(&right, &wrong_path, &["--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, json["divergence"]["hart"].as_u64()), (Some(1), Some(0)));
    let (status, junit) = diff(&right, &wrong_path, &["--output", "junit"]);
    assert!(status == Some(1) && junit.contains("failures=\"1\""), "{junit}");
    assert_eq!(diff(&right, &wrong_path, &["--ignore", "a0"]).0, Some(0));
    let (status, report) = diff(&right, &wrong_path, &["--explain"]);
    let is_explained = report.contains("where it comes from: ") && report.contains("host code:");
    assert!(status == Some(1) && is_explained, "{report}");
}

#[test]
fn a_program_is_run_to_be_compared() {
    let path = file("reference.trace");
    let program = example("riscv64");
    let recorded =
        ferry(["trace", "-o", path.to_str().unwrap(), "--count", "20000", "--", &program]);
    assert_eq!(recorded.status.code(), Some(0));
    let done = ferry([
        "diff",
        "--prefix",
        "--count",
        "20000",
        path.to_str().unwrap(),
        "interp",
        "--",
        &program,
    ]);
    let report = text(&done.stdout) + &text(&done.stderr);
    assert!(done.status.code() == Some(0) && report.starts_with("same: 20000 "), "{report}");
}

/// Where two traces have the same hashes, only what differs is read.
#[test]
fn parts_of_traces_that_are_the_same_are_not_read() {
    let (a, b) = (file("hashed-a.trace"), file("hashed-b.trace"));
    record("riscv64", &[], &a);
    record("riscv64", &[], &b);
    let (status, report) = diff(&a, &b, &[]);
    assert!(status == Some(0) && report.contains("hashes"), "{report}");
}

/// Both sides at full speed, compared where the program calls the system.
#[test]
fn whole_programs_are_compared_at_system_calls() {
    let input = file("input.txt");
    fs::write(&input, "one two one").unwrap();
    for architecture in ["riscv64", "aarch64"] {
        for sides in [["interp", "jit"], ["jit", "interp"]] {
            let done = Command::new(env!("CARGO_BIN_EXE_ferry"))
                .args(["diff", "--by", "call", sides[0], sides[1], "--"])
                .args([&example(architecture), "words"])
                .stdin(fs::File::open(&input).unwrap())
                .output()
                .unwrap();
            let report = text(&done.stdout) + &text(&done.stderr);
            let is_same = done.status.code() == Some(0) && report.contains(" system calls");
            assert!(is_same, "{architecture} {sides:?}: {report}");
        }
    }
}

/// Each guest once, in two of Ferry, of which one leads the other.
#[test]
fn compiled_code_repeats_what_is_interpreted() {
    let programs = [example("riscv64"), example("aarch64"), "/bin/true".to_owned()];
    // What the host runs itself is x86-64's.
    let count = if cfg!(target_arch = "x86_64") { 3 } else { 2 };
    for program in &programs[..count] {
        let done = ferry(["diff", "--count", "2000", "interp", "jit", "--", program, "words"]);
        let report = text(&done.stdout) + &text(&done.stderr);
        let is_same = done.status.code() == Some(0) && report.starts_with("same: 2000 ");
        assert!(is_same, "{program}: {report}");
    }
}

#[test]
fn what_cannot_be_compared_says_why() {
    let path = file("good.trace");
    record("riscv64", &["--count", "1000"], &path);
    let other = file("other.trace");
    record("aarch64", &["--count", "1000"], &other);
    let (status, report) = diff(&path, &other, &[]);
    assert_eq!((status, report.contains("is of riscv64")), (Some(2), true), "{report}");
    let noise = file("noise.log");
    fs::write(&noise, "this is no trace\n").unwrap();
    let (status, report) = diff(&path, &noise, &[]);
    assert_eq!((status, report.contains("no trace of a format")), (Some(2), true), "{report}");
    assert_eq!(diff(&path, Path::new("/no/such"), &[]).0, Some(2));
    let bytes = fs::read(&path).unwrap();
    let cut = file("cut.trace");
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let (status, report) = diff(&path, &cut, &[]);
    assert!(status == Some(2) && report.contains("cut short"), "{report}");
    let (status, report) = diff(&path, Path::new("interp"), &[]);
    assert!(status == Some(2) && report.contains("to run after --"), "{report}");
}
