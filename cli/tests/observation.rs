//! What `ferry run` tells about a run: logs, statistics, system calls, the names of compiled code.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn hello() -> String {
    format!("{}/../examples/riscv64/hello", env!("CARGO_MANIFEST_DIR"))
}

/// Counts words with the example, which must do so whatever is told of it. A short run, because the
/// longest log has all registers before each block.
fn run(options: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ferry"))
        .arg("run")
        .args(options)
        .args([&hello(), "words"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"one two one").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{options:?}");
    assert!(output.stdout.starts_with(b"3 words, 2 different"), "{options:?}");
    output
}

fn stderr(options: &[&str]) -> String {
    String::from_utf8(run(options).stderr).unwrap()
}

fn log_file(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("observation");
    fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}

/// A number of the statistics in JSON.
fn number(json: &str, name: &str) -> u64 {
    let (_, rest) =
        json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name}: {json}"));
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
    rest[..digits].parse().unwrap()
}

#[test]
fn each_log_item_writes_what_it_names() {
    let marks = [
        ("in_asm", "IN: 0x"),
        ("ir", "block 0x"),
        ("clif", "CLIF: 0x"),
        ("out_asm", "OUT: 0x"),
        ("exec", "EXEC 0x"),
        ("cpu", "pc=0"),
    ];
    for (item, _) in marks {
        let file = log_file(item);
        let options = ["--tier", "jit", "-d", item, "-D", file.to_str().unwrap()];
        assert!(run(&options).stderr.is_empty(), "all of it goes to the file");
        let text = fs::read_to_string(&file).unwrap();
        for (other, mark) in marks {
            assert_eq!(text.contains(mark), other == item, "{mark:?} with -d {item}");
        }
    }
    let both = stderr(&["-d", "in_asm,ir"]);
    assert!(both.contains("IN: 0x") && both.contains("block 0x") && !both.contains("EXEC"));
}

#[test]
fn statistics_say_which_tier_did_what() {
    let json = |tier| stderr(&["--tier", tier, "--stats=json"]);
    let (interpreted, compiled, both) = (json("interp"), json("jit"), json("auto"));
    for name in ["compiled_insns", "regions", "compile_nanos", "promotions"] {
        assert_eq!(number(&interpreted, name), 0, "{name}");
        assert_ne!(number(&compiled, name), 0, "{name}");
    }
    let total = |json: &str| number(json, "interpreted_insns") + number(json, "compiled_insns");
    assert_eq!(total(&interpreted), total(&compiled));
    assert_eq!(total(&interpreted), total(&both));
    for name in ["translated_blocks", "cache_hits", "cache_misses", "invalidated_blocks"] {
        number(&both, name);
    }
    let text = stderr(&["--stats"]);
    for line in [
        "guest instructions interpreted",
        "blocks translated",
        "nanoseconds compiling",
        "blocks invalidated",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn system_calls_are_printed() {
    let text = stderr(&["--strace"]);
    assert!(text.contains("write(1, \"") && text.contains("exited with 0"), "{text}");
}

#[test]
fn perf_learns_the_names_of_compiled_code() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ferry"))
        .args(["run", "--tier", "jit", "--perf-map", &hello()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let map = PathBuf::from(format!("/tmp/perf-{}.map", child.id()));
    assert!(child.wait().unwrap().success());
    let text = fs::read_to_string(&map).unwrap();
    fs::remove_file(&map).unwrap();
    let line = text.lines().next().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let [start, len, "guest", pc] = words[..] else { panic!("{line}") };
    assert!(
        u64::from_str_radix(start, 16).unwrap() > 0 && u64::from_str_radix(len, 16).unwrap() > 0
    );
    assert!(pc.starts_with("0x1"), "{line}");
}
