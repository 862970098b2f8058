//! What a new user meets first: exit statuses, and errors of one line that say what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const EM_ARM: u16 = 40;
const EM_RISCV: u16 = 243;
const LOAD_ADDRESS: u64 = 0x10000;

/// A directory of this test's own.
fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn program_header(kind: u32, flags: u32, words: [u64; 6]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), flags.to_le_bytes()].concat();
    words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes
}

/// A RISC-V program of these instructions, with an interpreter if one is named.
fn program(code: &[u32], interpreter: Option<&str>) -> Vec<u8> {
    let interpreter = interpreter.map(|path| format!("{path}\0"));
    let count = 1 + u16::from(interpreter.is_some());
    let headers_end = 64 + 56 * u64::from(count);
    let path = interpreter.clone().unwrap_or_default();
    let code_at = (headers_end + path.len() as u64).next_multiple_of(16);
    let len = code_at + code.len() as u64 * 4;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    [2_u16, EM_RISCV].iter().for_each(|half| bytes.extend(half.to_le_bytes()));
    bytes.extend(1_u32.to_le_bytes());
    [LOAD_ADDRESS + code_at, 64, 0].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes.extend(0_u32.to_le_bytes());
    [64_u16, 56, count, 0, 0, 0].iter().for_each(|half| bytes.extend(half.to_le_bytes()));
    if interpreter.is_some() {
        let (at, size) = (headers_end, path.len() as u64);
        bytes.extend(program_header(3, 4, [at, 0, 0, size, size, 1]));
    }
    bytes.extend(program_header(1, 5, [0, LOAD_ADDRESS, LOAD_ADDRESS, len, len, 4096]));
    bytes.extend(path.as_bytes());
    bytes.resize(code_at as usize, 0);
    code.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes
}

/// `addi rd, zero, value`
fn li(rd: u32, value: u32) -> u32 {
    value << 20 | rd << 7 | 0x13
}

const A0: u32 = 10;
const A7: u32 = 17;
const ECALL: u32 = 0x73;

fn exits_with(status: u32) -> Vec<u8> {
    program(&[li(A0, status), li(A7, 94), ECALL], None)
}

fn ferry(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferry")).args(args).output().unwrap()
}

/// Ferry must refuse the file with this status, and one line that holds all of `words`.
fn refuses(path: &Path, status: i32, words: &[&str]) {
    let output = ferry(&["run", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with(&format!("ferry: {}", path.display())), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

#[test]
fn the_guests_status_is_ferrys() {
    let path = scratch("status").join("exits");
    for status in [0, 1, 42, 255] {
        write_file(&path, &exits_with(status), 0o755);
        let output = ferry(&["run", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(status as i32));
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn the_guests_signal_is_ferrys() {
    let path = scratch("signal").join("dies");
    let store_to_zero = 0x0000_3023;
    for (code, signal) in
        [(0, libc::SIGILL), (0x0010_0073, libc::SIGTRAP), (store_to_zero, libc::SIGSEGV)]
    {
        write_file(&path, &program(&[code], None), 0o755);
        assert_eq!(ferry(&["run", path.to_str().unwrap()]).status.signal(), Some(signal));
    }
}

/// A program header of 64-bit arm and RISC-V kernels, of which only arm's looks at what it names.
#[test]
fn malformed_properties_matter_where_the_kernel_reads_them() {
    const EM_AARCH64: u16 = 183;
    const PT_GNU_PROPERTY: u32 = 0x6474_e553;
    let path = scratch("properties").join("program");
    let mut bytes = program(&[li(A0, 0), li(A7, 94), ECALL], Some("no note"));
    bytes[64..68].copy_from_slice(&PT_GNU_PROPERTY.to_le_bytes());
    write_file(&path, &bytes, 0o755);
    assert_eq!(ferry(&["run", path.to_str().unwrap()]).status.code(), Some(0));
    bytes[18..20].copy_from_slice(&EM_AARCH64.to_le_bytes());
    write_file(&path, &bytes, 0o755);
    refuses(&path, 126, &["headers are invalid", "properties"]);
}

#[test]
fn what_cannot_be_run_is_named_with_its_remedy() {
    let dir = scratch("refused");
    let file = |name: &str, bytes: &[u8], mode| {
        write_file(&dir.join(name), bytes, mode);
        dir.join(name)
    };
    refuses(&dir.join("absent"), 127, &["no such file", "check the path"]);
    refuses(&dir, 126, &["this is a directory", "name a program"]);
    let mut arm = exits_with(0);
    arm[4] = 1;
    arm[18..20].copy_from_slice(&EM_ARM.to_le_bytes());
    refuses(&file("arm", &arm, 0o755), 126, &["32-bit Arm program", "ferry runs riscv64"]);

    let whole = exits_with(0);
    refuses(&file("short", &whole[..whole.len() - 1], 0o755), 126, &["truncated", "a segment"]);
    refuses(&file("shorter", &whole[..40], 0o755), 126, &["truncated", "its header"]);
    refuses(&file("empty", b"", 0o755), 126, &["empty", "again"]);
    refuses(&dir.join("empty/below"), 127, &["no such file", "no directory"]);
    refuses(&file("text", b"hello\n", 0o755), 126, &["neither an ELF program nor a script"]);
    refuses(
        &file("script", b"#!/no/interpreter\n", 0o755),
        127,
        &["/no/interpreter", "--root DIR"],
    );
    refuses(&file("plain", &whole, 0o644), 126, &["permission denied", "chmod"]);

    let linker = "/lib/ld-linux-riscv64-nowhere.so.1";
    let dynamic = file("dynamic", &program(&[ECALL], Some(linker)), 0o755);
    refuses(&dynamic, 127, &[linker, "--root DIR", "-L DIR"]);
}

#[test]
fn ferrys_own_errors_are_125() {
    let path = scratch("own").join("exits");
    write_file(&path, &exits_with(0), 0o755);
    let path = path.to_str().unwrap();
    for args in [
        &["run"][..],
        &["run", "--no-such-option", path],
        &["run", "--cpu", "pentium", path],
        &["run", "-E", "VARIABLE", path],
        &["run", "--root", "/no/such", path],
        &["run", "-L", "/no/such", path],
        &["run", "-d", "nonsense", path],
        &["frobnicate"],
    ] {
        let output = ferry(args);
        assert_eq!(output.status.code(), Some(125), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn scripts_run_their_interpreter() {
    let dir = scratch("scripts");
    write_file(&dir.join("interpreter"), &exits_with(7), 0o755);
    let first = dir.join("first");
    let line = |path: &Path| format!("#!{} -x\n", path.display());
    write_file(&first, line(&dir.join("interpreter")).as_bytes(), 0o755);
    let second = dir.join("second");
    write_file(&second, line(&first).as_bytes(), 0o755);
    for script in [&first, &second] {
        assert_eq!(ferry(&["run", script.to_str().unwrap()]).status.code(), Some(7));
    }
    write_file(&dir.join("loop"), line(&dir.join("loop")).as_bytes(), 0o755);
    refuses(&dir.join("loop"), 126, &["without end"]);
}

#[test]
fn what_ferry_is_and_where_can_be_asked() {
    let text = |args: &[&str]| {
        let output = ferry(args);
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text(&["isa"]).starts_with("riscv64 "));
    assert!(text(&["isa", "riscv64"]).contains("/proc/cpuinfo  rv64imafdc"));
    assert!(text(&["isa", "riscv64", "--coverage"]).contains("fmadd.d "));
    assert!(text(&["syscalls"]).contains("openat"));
    assert!(text(&["doctor"]).contains("code memory"));
    for args in [&["isa", "vax"][..], &["isa", "riscv64", "--cpu", "vax"]] {
        assert_eq!(ferry(args).status.code(), Some(125), "{args:?}");
    }
}

#[test]
fn the_example_computes_and_counts() {
    let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/riscv64/hello");
    let hello = hello.to_str().unwrap();
    let output = ferry(&["run", hello]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.starts_with("Hello from a riscv64 program on Linux.\n3.14159265358979323846"));
    // Digits 951 to 1,000.
    assert!(text.ends_with("1857780532171226806613001927876611195909216420198\n"), "{text}");

    let input = scratch("words").join("input");
    fs::write(&input, "the cat, the dog and The bird; a cat").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ferry"))
        .args(["run", hello, "words"])
        .stdin(fs::File::open(input).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("9 words, 6 different\n       3 the\n       2 cat\n"), "{text}");
    assert_eq!(ferry(&["run", hello, "none"]).status.code(), Some(2));
}

#[test]
fn messages_are_shown_as_asked() {
    let path = scratch("messages").join("illegal");
    write_file(&path, &program(&[0], None), 0o755);
    let stderr = |messages: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
        command.arg("run").arg(&path).env_remove("FERRY_MESSAGES");
        let output = command.envs(messages.map(|text| ("FERRY_MESSAGES", text))).output().unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGILL));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!stderr(None).contains("guest fault"));
    assert!(stderr(Some("debug")).contains("DEBUG guest fault"));
    assert!(!stderr(Some("debug,ferry_linux_user=warn")).contains("guest fault"));
    assert!(stderr(Some("=")).starts_with("ferry: FERRY_MESSAGES: "));
}
