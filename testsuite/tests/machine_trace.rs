//! `ferry trace boot` on programs for the bare machine: levels, traps, control registers and physical addresses; every tier, and
//! qemu-system where it is installed, execute the same.
#![expect(clippy::print_stderr, reason = "says what is not there")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ferry_testsuite::machine::Emulator;
use ferry_testsuite::suite::Profile;
use ferry_testsuite::{bare, bare_directory};

/// Ferry and the program; `None` where the compiler is not installed.
fn subject(program: &str) -> Option<(PathBuf, PathBuf)> {
    let ferry = match Emulator::ferry(Profile::OfThisTest) {
        Ok(Emulator::Ferry(binary)) => binary,
        Ok(_) => return None,
        Err(reason) => return skipped(&reason),
    };
    match bare::build(&bare_directory().join(format!("{program}.c"))) {
        Ok(kernel) => Some((ferry, kernel)),
        Err(error) => skipped(&error),
    }
}

fn skipped<T>(reason: &dyn std::fmt::Display) -> Option<T> {
    eprintln!("skipped: machine_trace: {reason}");
    None
}

fn file(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machine-trace");
    fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Records the machine with these options.
fn record(ferry: &Path, kernel: &Path, options: &[&str], to: &Path) {
    let mut command = Command::new(ferry);
    command.args(["trace", "boot", "-o"]).arg(to);
    command.args(["--arch", "riscv64", "--memory", "128M", "--bios", "none", "--kernel"]);
    let output = command.arg(kernel).args(options).output().unwrap();
    let (status, text) = (output.status, text(&output));
    assert!(status.success() && text.contains("ok all"), "{options:?}: {status}\n{text}");
}

/// What `ferry` prints, if it exits so.
fn ferry(binary: &Path, status: i32, arguments: &[&str]) -> String {
    let output = Command::new(binary).args(arguments).output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{text}");
    text
}

#[test]
fn levels_traps_and_control_registers_are_recorded() {
    let Some((binary, kernel)) = subject("ecall") else { return };
    let path = file("ecall.trace");
    let trace = path.to_str().unwrap();
    record(&binary, &kernel, &["--deterministic", "--mem", "--from", "main"], &path);
    let stat = ferry(&binary, 0, &["trace", "stat", trace]);
    assert!(stat.contains("architecture  riscv64") && stat.contains("harts         1"), "{stat}");
    // In Spike's form, where what traps is left out.
    let log = file("ecall.log");
    ferry(&binary, 0, &["trace", "convert", "--to", "spike", "-o", log.to_str().unwrap(), trace]);
    let spike = fs::read_to_string(&log).unwrap();
    for level in ["3", "0"] {
        assert!(spike.contains(&format!("core   0: {level} 0x")), "level {level}");
    }
    for name in ["c768_mstatus", "c833_mepc", "c834_mcause"] {
        assert!(spike.contains(name), "{name}");
    }
    // In RVVI's, it stands there: a call from each level.
    let log = file("ecall.rvvi");
    ferry(&binary, 0, &["trace", "convert", "--to", "rvvi", "-o", log.to_str().unwrap(), trace]);
    let rvvi = fs::read_to_string(&log).unwrap();
    for (level, cause) in [("3", "b"), ("1", "9"), ("0", "8")] {
        let is_it = |line: &str| {
            line.contains(&format!(" TRAP {cause} 0")) && line.contains(&format!(" MODE {level} "))
        };
        assert!(rvvi.lines().any(is_it), "a call from level {level}");
    }
    assert!(ferry(&binary, 0, &["trace", "show", trace]).contains("trap"), "no trap");
}

#[test]
fn addresses_are_virtual_and_physical() {
    let Some((binary, kernel)) = subject("sv39") else { return };
    let path = file("sv39.trace");
    record(&binary, &kernel, &["--deterministic", "--mem"], &path);
    let mut source = trace::native::Reader::new(fs::File::open(&path).unwrap()).unwrap();
    let (mut event, mut elsewhere, mut known) = (trace::Event::default(), 0, 0);
    while trace::Source::next(&mut source, &mut event).unwrap() {
        for access in &event.accesses {
            known += usize::from(access.phys.is_some());
            elsewhere += usize::from(access.phys.is_some_and(|phys| phys != access.addr));
        }
    }
    assert!(known > 100 && elsewhere > 10, "{known} physical addresses, {elsewhere} elsewhere");
}

#[test]
fn tiers_execute_the_same() {
    let Some((binary, kernel)) = subject("ecall") else { return };
    let [interpreted, compiled] = ["interp", "jit"].map(|tier| {
        let path = file(&format!("{tier}.trace"));
        record(&binary, &kernel, &["--tier", tier], &path);
        path
    });
    let [a, b] = [&interpreted, &compiled].map(|path| path.to_str().unwrap());
    ferry(&binary, 0, &["diff", a, b]);
}

#[test]
fn harts_are_told_apart() {
    let Some((binary, kernel)) = subject("ipi") else { return };
    let path = file("harts.trace");
    record(&binary, &kernel, &["--smp", "2", "--from", "main"], &path);
    let trace = path.to_str().unwrap();
    let stat = ferry(&binary, 0, &["trace", "stat", trace]);
    assert!(stat.contains("harts         2"), "{stat}");
    // Each hart's events are compared with its own.
    ferry(&binary, 0, &["diff", trace, trace]);
}

#[test]
fn the_reference_executes_the_same() {
    let Some((binary, kernel)) = subject("ecall") else { return };
    let qemu = match Emulator::reference() {
        Ok(Emulator::Qemu(qemu)) => qemu,
        Ok(_) => return,
        Err(reason) => return skipped(&reason).unwrap_or_default(),
    };
    let log = file("qemu.log");
    let mut command = Command::new(qemu);
    command.args(["-machine", "virt", "-m", "128M", "-display", "none", "-monitor", "none"]);
    command.args(["-serial", "stdio", "-bios", "none", "-accel", "tcg,one-insn-per-tb=on"]);
    command
        .args(["-d", "in_asm,exec,cpu,int,nochain", "-D", "/dev/stderr", "-kernel"])
        .arg(&kernel);
    keep_from_main(&mut command, &log);
    let path = file("reference.trace");
    record(&binary, &kernel, &["--deterministic", "--from", "main"], &path);
    let [log, trace] = [&log, &path].map(|path| path.to_str().unwrap());
    // Whether qemu still logs the instruction that ends the machine is a race of its own.
    let options =
        ["diff", "--prefix", "--reference-format", "qemu", "--arch", "riscv64", log, trace];
    let report = ferry(&binary, 0, &options);
    let words = report.split_whitespace();
    let compared = words.filter_map(|word| word.parse::<u32>().ok()).next();
    assert!(compared.is_some_and(|count| count > 2000), "{report}");
}

/// Writes what of its log comes after memory has been cleared, which takes long.
fn keep_from_main(command: &mut Command, log: &Path) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut kept = fs::File::create(log).unwrap();
    let mut has_begun = false;
    for line in BufReader::new(child.stderr.take().unwrap()).split(b'\n') {
        let line = line.unwrap();
        if !has_begun && line == b"IN: main" {
            has_begun = true;
            kept.write_all(b"----------------\n").unwrap();
        }
        if has_begun {
            kept.write_all(&[&line[..], b"\n"].concat()).unwrap();
        }
    }
    assert!(child.wait().unwrap().success() && has_begun);
}
