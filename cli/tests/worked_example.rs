//! The commands of README's worked examples of `ferry diff`, as they stand there.

#![expect(clippy::print_stderr, reason = "what is skipped shall be seen")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use fuzz::case;
use fuzz::guest::RISCV64;
use fuzz::tier::{Runner, Tier};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The commands of the block that README has after a line.
fn commands(after: &str) -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once(after).unwrap_or_else(|| panic!("README without {after:?}"));
    let block = rest.lines().skip_while(|line| !line.starts_with("    "));
    let block = block.take_while(|line| line.starts_with("    "));
    block.map(|line| line.trim().to_owned()).collect()
}

/// Runs a command of README with the shell: `ferry` is the one that was built, and files go to a directory of the test's.
fn shell(command: &str) -> Output {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("worked-example");
    fs::create_dir_all(&dir).unwrap();
    for name in ["examples", "LICENSE-MIT"] {
        let _ =
            std::os::unix::fs::symlink(root().join(name).canonicalize().unwrap(), dir.join(name));
    }
    let ferry = format!("ferry() {{ {} \"$@\"; }}\n", env!("CARGO_BIN_EXE_ferry"));
    let command = command.replace("cargo run --release -p ferry --features defects --", "ferry");
    Command::new("bash").arg("-c").arg(ferry + &command).current_dir(dir).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether qemu-user is there, and can say what is mapped.
fn has_qemu() -> bool {
    let version = Command::new("qemu-riscv64").arg("--version").output();
    let version = version.map(|output| text(&output)).unwrap_or_default();
    let number =
        version.split_once("version ").and_then(|(_, rest)| rest.split('.').next()?.parse().ok());
    let is_there = number.is_some_and(|major: u32| major >= 9);
    if !is_there {
        eprintln!("skipped: the worked example: it wants qemu-riscv64 9 or later");
    }
    is_there
}

#[test]
fn a_program_is_compared_and_a_seeded_defect_explained() {
    if !has_qemu() {
        return;
    }
    let commands = commands("#### A worked example");
    let [same, fast, wrong, shown] = &commands[..] else { panic!("{commands:?}") };
    let output = shell(same);
    assert!(
        output.status.success() && text(&output).starts_with("same: 20000 "),
        "{}",
        text(&output)
    );
    let output = shell(fast);
    assert!(output.status.success() && text(&output).starts_with("same: "), "{}", text(&output));
    let output = shell(wrong);
    let report = text(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    for part in ["addiw", "* interp ", "enters in: translation", "IR:", "host code:"] {
        assert!(report.contains(part), "no {part}: {report}");
    }
    let line = text(&shell(shown));
    let case = case::parse_file(&RISCV64, "found", &line).unwrap().remove(0);
    let mut runner = Runner::new(&RISCV64).unwrap();
    for tier in Tier::ALL {
        let (state, end) = runner.run(tier, &case.code, &case.before);
        assert_eq!(
            (state.difference(&case.after), end),
            (None, case.end),
            "the case itself is right"
        );
    }
}
