//! `ferry fuzz`: campaigns of a known seed, their parts, directories and exit statuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn ferry(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
    command.arg("fuzz").args(arguments);
    for variable in ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID", "FERRY_FUZZ_SHARDS"] {
        command.env_remove(variable);
    }
    command.output().unwrap()
}

/// Its standard output, if it exits so.
fn run(status: i32, arguments: &[&str]) -> String {
    let output = ferry(arguments);
    let [text, errors] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}:\n{text}{errors}");
    text
}

/// It could not run.
const NOT_RUN: i32 = 2;
/// Its options make no sense.
const USAGE: i32 = 125;

/// What it complains of, with that status.
fn complaint(status: i32, arguments: &[&str]) -> String {
    let output = ferry(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// An empty directory of that name.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn json(path: &Path) -> serde_json::Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn tiers_agree_on_every_guest() {
    for guest in ["riscv64", "aarch64", "x86_64"] {
        let text = run(0, &[guest, "--seed", "0x5eed", "--count", "150"]);
        assert!(text.starts_with(&format!("{guest}: seed 0x5eed, part 0of1\n")), "{text}");
        assert!(text.contains("150 programs in ") && text.contains(" s, 0 root causes"), "{text}");
    }
}

#[test]
fn classes_narrow_what_programs_have() {
    let text =
        run(0, &["x86_64", "--seed", "1", "--count", "60", "--classes", "aes,adcx", "--coverage"]);
    let line = |name: &str| text.lines().any(|line| line == format!("{name} never"));
    assert!(
        line("add_rm64_r64") && !line("aesenc_xmm_xmmm128") && !line("adcx_r64_rm64"),
        "{text}"
    );
    assert!(text.contains(" ways through the translator, of "), "{text}");
}

#[test]
fn parts_of_a_campaign_are_summed_up() {
    let (whole, merged) = (directory("parts"), directory("merged"));
    let [out, all] = [&whole, &merged].map(|path| path.to_str().unwrap());
    for part in ["0/2", "1/2"] {
        let options = ["riscv64", "--seed", "7", "--count", "40", "--shard", part, "--coverage"];
        run(0, &[&options[..], &["--out", out]].concat());
    }
    for part in ["0of2", "1of2"] {
        let state = json(&whole.join(format!("state/riscv64.{part}.json")));
        assert_eq!((&state["seed"], &state["next"]), (&7.into(), &40.into()));
    }
    let text = run(0, &["merge", "--out", all, out]);
    assert!(text.contains("riscv64: 80 programs\n") && text.contains("\n0 root causes"), "{text}");
    // What either part has gone through, all have.
    let ways = |path: PathBuf| {
        let encodings = json(&path);
        let encodings = encodings.as_object().unwrap().values();
        encodings.map(|pairs| pairs.as_array().unwrap().len()).sum::<usize>()
    };
    let [first, second] =
        ["0of2", "1of2"].map(|part| ways(whole.join(format!("paths/riscv64.{part}.json"))));
    let sum = ways(merged.join("paths/riscv64.merged.json"));
    assert!(
        sum >= first.max(second) && sum <= first + second && first != 0,
        "{first} {second} {sum}"
    );
}

#[test]
fn a_campaign_goes_on_where_it_stopped() {
    let path = directory("resumed");
    let out = path.to_str().unwrap();
    let options = ["aarch64", "--seed", "9", "--count", "30", "--out", out];
    run(0, &options);
    run(0, &[&options[..], &["--resume"]].concat());
    assert_eq!(json(&path.join("state/aarch64.0of1.json"))["next"], 60);
    // From the beginning, unless it is said.
    run(0, &options);
    assert_eq!(json(&path.join("state/aarch64.0of1.json"))["next"], 30);
    let other = ["aarch64", "--seed", "10", "--count", "1", "--out", out, "--resume"];
    let complaint = complaint(NOT_RUN, &other);
    assert!(complaint.contains("of a campaign with seed 0x9"), "{complaint}");
}

#[test]
fn what_was_found_is_kept_and_counted() {
    let path = directory("found");
    fs::create_dir_all(path.join("findings")).unwrap();
    let finding = |count: u64, case: &str| {
        serde_json::json!({
            "guest": "riscv64", "instruction": "sub", "kind": "integer", "against": "qemu",
            "culprit": { "part": "translation" }, "difference": "x10: 0x1 not 0x2", "case": case,
            "judge": "qemu", "instructions": 1, "seed": 3, "program": 5, "count": count,
        })
    };
    let long = "40b50533 \"sub a0,a0,a1\" a0=3 a1=1  =>  a0=2";
    let short = "40a00533 \"neg a0,a0\"  =>  a0=1";
    for (part, finding) in [("0of2", finding(4, long)), ("1of2", finding(1, short))] {
        let file = path.join(format!("findings/riscv64-sub-integer.{part}.json"));
        fs::write(file, finding.to_string()).unwrap();
    }
    let text = run(1, &["merge", path.to_str().unwrap()]);
    assert!(text.contains("riscv64: sub (integer), 5 times") && text.contains(short), "{text}");
    assert!(!text.contains(long) && text.ends_with("1 root causes\n"), "{text}");
    let bad = directory("bad");
    fs::create_dir_all(bad.join("findings")).unwrap();
    fs::write(bad.join("findings/x.json"), "{").unwrap();
    let message = complaint(NOT_RUN, &["merge", bad.to_str().unwrap()]);
    assert!(
        message.contains("x.json") && message.contains("not a file of a campaign"),
        "{message}"
    );
}

#[test]
fn what_makes_no_sense_is_said() {
    let nowhere = directory("nowhere").join("absent");
    let cases: [(i32, &[&str], &str); 10] = [
        (NOT_RUN, &["mips"], "mips: no such guest architecture"),
        (NOT_RUN, &["riscv64", "--against", "tier:fast"], "it is none of"),
        (NOT_RUN, &["riscv64", "--against", "tier:interpreter"], "it is none of"),
        (NOT_RUN, &["x86_64", "--classes", "nosuch"], "x86_64 has no class 'nosuch'"),
        (NOT_RUN, &["merge", nowhere.to_str().unwrap()], "absent"),
        (USAGE, &["riscv64", "--shard", "4/4"], "is no part"),
        (USAGE, &["riscv64", "--seed", "many"], "is no number"),
        (USAGE, &["riscv64", "--resume"], "--out"),
        (USAGE, &["riscv64", "--count", "1", "--time", "1"], "cannot be used with"),
        (USAGE, &[], "ARCH"),
    ];
    for (status, arguments, words) in cases {
        let complaint = complaint(status, arguments);
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

#[test]
fn jobs_for_clusters_are_printed() {
    let kubernetes = run(0, &["manifest", "k8s", "riscv64", "--shards", "12"]);
    assert!(kubernetes.contains("completionMode: Indexed"), "{kubernetes}");
    assert!(kubernetes.contains("completions: 12"), "{kubernetes}");
    let slurm = run(0, &["manifest", "slurm", "x86_64", "--shards", "128"]);
    assert!(slurm.contains("#SBATCH --array=0-127") && slurm.contains("fuzz x86_64"), "{slurm}");
}
