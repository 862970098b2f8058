//! `ferry diff` of `testsuite/live/*.c` while they run: signals, other programs, children, threads. The reference is another Ferry, qemu
//! where it is installed, and the host's own processor. A whole machine's reference is qemu-system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use ferry_testsuite::live_directory;
use ferry_testsuite::suite::{self, Case, Profile, Subject};
use ferry_testsuite::toolchain::Compiler;

const SUITE: &str = "live";

/// It says what a signal comes from since 9.0, and what is mapped since 8.1.
const OLDEST_QEMU: u32 = 9;

const FLAGS: [&str; 8] = [
    "-O1",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-pic",
    "-no-pie",
    "-fno-stack-protector",
    "-Wl,--build-id=none",
];

/// A comparison, and how it ends.
#[derive(Clone, Copy)]
struct Comparison {
    program: &'static str,
    flags: &'static [&'static str],
    sides: [&'static str; 2],
    status: i32,
    /// What the report says.
    says: &'static str,
}

const fn same(program: &'static str, sides: [&'static str; 2], says: &'static str) -> Comparison {
    Comparison { program, flags: &[], sides, status: 0, says }
}

const THREADS: Comparison = Comparison {
    status: 2,
    ..same("threads", ["interp", "jit"], "a thread or a process with the same memory starts at")
};

/// By every guest, in two of Ferry.
const OF_FERRY: [Comparison; 7] = [
    same("signals", ["interp", "jit"], " 6 signals"),
    same("signals", ["interp", "interp"], " 6 signals"),
    same("dies", ["interp", "jit"], " 1 signals"),
    same("exec", ["interp", "jit"], " system calls"),
    same("children", ["interp", "jit"], " system calls"),
    same("children", ["interp", "interp"], " system calls"),
    THREADS,
];

/// By guests whose addresses in qemu Ferry can have.
const OF_QEMU: [Comparison; 5] = [
    same("signals", ["qemu", "jit"], " 6 signals"),
    same("dies", ["qemu", "interp"], " 1 signals"),
    same("exec", ["qemu", "interp"], " system calls"),
    same("children", ["qemu", "jit"], " system calls"),
    Comparison { sides: ["qemu", "interp"], ..THREADS },
];

/// On the host's processor; twice there, both sides have a kernel, and signals that a program sends itself would go to the reference.
const OF_HOST: [Comparison; 6] = [
    Comparison { flags: &["-DRAISED_ONLY"], ..same("signals", ["native", "native"], " 3 signals") },
    same("dies", ["native", "native"], " 1 signals"),
    same("signals", ["native", "jit"], " 6 signals"),
    same("dies", ["native", "interp"], " 1 signals"),
    same("exec", ["native", "jit"], " system calls"),
    Comparison { sides: ["native", "interp"], ..THREADS },
];

fn main() -> ExitCode {
    let ferry = match suite::ferry_binary(Profile::OfThisTest) {
        Ok(ferry) => ferry,
        Err(message) => return suite::fail(SUITE, message),
    };
    let mut cases = Vec::new();
    let mut add =
        |guest: &str, compiler: Compiler, comparisons: &[Comparison], qemu: Option<PathBuf>| {
            for comparison in comparisons.iter().copied() {
                let Comparison { program, sides: [a, b], .. } = comparison;
                let (ferry, qemu) = (ferry.clone(), qemu.clone());
                let run = move || compare(&ferry, qemu.as_deref(), compiler, &comparison);
                cases
                    .push(Case { name: format!("{guest}::{program}-{a}-{b}"), run: Box::new(run) });
            }
        };
    let guests = [
        ("riscv64", Compiler::Riscv64, "FERRY_TEST_QEMU"),
        ("aarch64", Compiler::Aarch64, "FERRY_TEST_QEMU_AARCH64"),
        ("x86_64", Compiler::X86_64, ""),
    ];
    for (guest, compiler, variable) in guests {
        if let Err(error) = compiler.version() {
            let _ = suite::skip(&format!("{SUITE} of {guest}"), error);
            continue;
        }
        add(guest, compiler, &OF_FERRY, None);
        if guest == "x86_64" {
            if cfg!(target_arch = "x86_64") {
                add(guest, compiler, &OF_HOST, None);
            }
            continue;
        }
        match qemu(guest, variable) {
            Ok(qemu) => add(guest, compiler, &OF_QEMU, Some(qemu)),
            Err(why) => _ = suite::skip(&format!("{SUITE} of {guest} against qemu"), why),
        }
    }
    match machines(&ferry) {
        Ok(machines) => cases.extend(machines),
        Err(why) => _ = suite::skip(&format!("{SUITE} of machines against qemu"), why),
    }
    suite::run(SUITE, &Subject::of_machines(), cases)
}

/// A program for the bare machine in qemu's and in Ferry's.
#[derive(Clone, Copy)]
struct OfMachine {
    name: &'static str,
    tier: &'static str,
    /// What Ferry's program is compiled with.
    flags: &'static [&'static str],
    options: &'static [&'static str],
    status: i32,
    /// What the report says.
    says: &'static [&'static str],
}

/// Three interrupts of the machine's timer, and as many that go on to supervisor level.
const SAME: OfMachine = OfMachine {
    name: "same",
    tier: "machine",
    flags: &[],
    options: &[],
    status: 0,
    says: &["same: ", " 6 interrupts", " results taken over from the reference"],
};

const OF_MACHINES: [OfMachine; 4] = [
    SAME,
    OfMachine { name: "compiled", tier: "machine:jit", ..SAME },
    OfMachine {
        name: "changed",
        flags: &["-DCHANGED"],
        status: 1,
        says: &["hart 0 at 0x800000a8", "x22: the reference has 0x1, the subject 0x2"],
        ..SAME
    },
    OfMachine { name: "counted", options: &["--count", "50"], says: &["same: 50 "], ..SAME },
];

const MACHINE_FLAGS: [&str; 12] = [
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-march=rv64gc_zicsr_zifencei",
    "-mabi=lp64d",
    "-mcmodel=medany",
    "-fno-pic",
    "-no-pie",
    "-Wl,--build-id=none",
    "-Wl,--no-warn-rwx-segments",
    "-Wl,-N",
    "-Wl,-Ttext=0x80000000",
];

fn machines(ferry: &Path) -> Result<Vec<Case>, String> {
    Compiler::Riscv64.version().map_err(|error| error.to_string())?;
    let qemu = qemu("system-riscv64", "FERRY_QEMU_SYSTEM_RISCV64")?;
    let case = |of: OfMachine| {
        let (ferry, qemu) = (ferry.to_owned(), qemu.clone());
        let run = move || compare_machines(&ferry, &qemu, &of);
        Case { name: format!("machine::{}", of.name), run: Box::new(run) }
    };
    Ok(OF_MACHINES.map(case).into())
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compare_machines(ferry: &Path, qemu: &Path, of: &OfMachine) -> Result<(), String> {
    const MEMORY: &str = "16M";
    let source = live_directory().join("machine.S");
    let build = |flags: &[&str]| {
        let flags = [&MACHINE_FLAGS[..], flags].concat();
        Compiler::Riscv64.build(&source, &flags).map_err(|error| error.to_string())
    };
    let (theirs, own) = (build(&[])?, build(of.flags)?);
    let name = format!("ferry-machine-{}-{}", std::process::id(), of.name);
    let socket = std::env::temp_dir().join(name);
    let _ = fs::remove_file(&socket);
    let mut command = Command::new(qemu);
    command.args([
        "-machine",
        "virt,acpi=off",
        "-cpu",
        "max,h=false",
        "-m",
        MEMORY,
        "-no-reboot",
        "-S",
    ]);
    command.args(["-display", "none", "-monitor", "none", "-serial", "null", "-bios", "none"]);
    command.arg("-gdb").arg(format!("unix:{},server=on,wait=off", socket.display()));
    let child = command.arg("-kernel").arg(theirs).stdin(Stdio::null()).spawn();
    let _running = Running(child.map_err(|error| error.to_string())?);
    let begun = Instant::now();
    while !socket.exists() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut command = Command::new(ferry);
    command.arg("diff").args(of.options);
    command.arg(format!("gdb:unix:{}", socket.display())).arg(of.tier);
    command.args(["--", "--memory", MEMORY, "--bios", "none", "--kernel"]).arg(own);
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let _ = fs::remove_file(&socket);
    let report = [output.stdout, output.stderr].concat();
    let report = String::from_utf8_lossy(&report).into_owned();
    let missing = of.says.iter().find(|words| !report.contains(**words));
    match (output.status.code() == Some(of.status), missing) {
        (true, None) => Ok(()),
        (_, missing) => Err(format!("{}, without {missing:?}: {report}", output.status)),
    }
}

/// A qemu that is new enough.
fn qemu(guest: &str, variable: &str) -> Result<PathBuf, String> {
    let program = std::env::var(variable).unwrap_or_else(|_| format!("qemu-{guest}"));
    let output = Command::new(&program).arg("--version").output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let major = text.split_once("version ").and_then(|(_, rest)| rest.split('.').next());
    match major.and_then(|digits| digits.parse::<u32>().ok()) {
        Some(major) if major >= OLDEST_QEMU => Ok(program.into()),
        _ => Err(format!("{program} is older than {OLDEST_QEMU}.0")),
    }
}

fn compare(
    ferry: &Path,
    qemu: Option<&Path>,
    compiler: Compiler,
    comparison: &Comparison,
) -> Result<(), String> {
    let source = live_directory().join(format!("{}.c", comparison.program));
    let include = format!("-I{}", live_directory().display());
    let flags = [&FLAGS[..], comparison.flags, &[&include]].concat();
    let program = compiler.build(&source, &flags).map_err(|error| error.to_string())?;
    let mut command = Command::new(ferry);
    command.arg("diff").args(comparison.sides);
    if let Some(qemu) = qemu {
        command.arg("--qemu").arg(qemu);
    }
    let output = command.arg("--").arg(program).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    let report = [output.stdout, output.stderr].concat();
    let report = String::from_utf8_lossy(&report).into_owned();
    if output.status.code() == Some(comparison.status) && report.contains(comparison.says) {
        return Ok(());
    }
    Err(format!("{}, and not {:?}: {report}", output.status, comparison.says))
}
