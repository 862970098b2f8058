//! Guests under a debugger, and machines under control: `testsuite/debug/loop.c` as a program and on a
//! bare machine, with a client of our own, and with gdb where it is installed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ferry_testsuite::gdb::Client;
use ferry_testsuite::suite::{self, Case, Profile, Subject};
use ferry_testsuite::toolchain::Compiler;
use ferry_testsuite::{cache, debug_directory};

const SUITE: &str = "debug";
const PC: u32 = 32;
const A0: u32 = 10;
const PRIV: u32 = 65 + 4096;
/// What `loop.c` ends with.
const STATUS: i32 = 7;
const PATIENCE: Duration = Duration::from_secs(20);

type Check = fn(&Guest) -> Result<(), String>;

const CASES: [(&str, Kind, Check); 14] = [
    ("machine-points", Kind::Machine, points),
    ("machine-memory", Kind::Machine, memory),
    ("machine-physical", Kind::Machine, physical),
    ("machine-kill", Kind::Machine, kill),
    ("machine-gdb", Kind::Machine, real_gdb),
    ("machine-control", Kind::Machine, control),
    ("counted-points", Kind::Counted, points),
    ("counted-memory", Kind::Counted, memory),
    ("counted-gdb", Kind::Counted, real_gdb),
    ("counted-control", Kind::Counted, control),
    ("program-points", Kind::Program, points),
    ("program-memory", Kind::Program, memory),
    ("program-kill", Kind::Program, kill),
    ("program-gdb", Kind::Program, real_gdb),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Machine,
    /// A machine whose time is counted, and whose harts take turns.
    Counted,
    Program,
}

impl Kind {
    fn is_machine(self) -> bool {
        self != Self::Program
    }
}

/// A guest to be started.
struct Guest {
    ferry: PathBuf,
    kind: Kind,
    program: PathBuf,
    symbols: HashMap<String, u64>,
    name: &'static str,
}

fn main() -> ExitCode {
    if let Err(error) = Compiler::Riscv64.version() {
        return suite::skip(SUITE, error);
    }
    let ferry = match suite::ferry_binary(Profile::OfThisTest) {
        Ok(ferry) => ferry,
        Err(message) => return suite::fail(SUITE, message),
    };
    let cases = CASES.map(|(name, kind, check)| {
        let ferry = ferry.clone();
        let run = move || check(&Guest::new(ferry, kind, name)?);
        Case { name: name.to_owned(), run: Box::new(run) }
    });
    suite::run(SUITE, &Subject::of_machines(), cases.into())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got:x?} instead of {wanted:x?}")) }
}

impl Guest {
    fn new(ferry: PathBuf, kind: Kind, name: &'static str) -> Result<Self, String> {
        let source = debug_directory().join("loop.c");
        let mut flags = vec![
            "-O1",
            "-g",
            "-march=rv64imac_zicsr",
            "-mabi=lp64",
            "-mcmodel=medany",
            "-ffreestanding",
            "-fno-pic",
            "-no-pie",
            "-nostdlib",
            "-static",
            "-Wl,--build-id=none",
            "-Wl,--no-relax",
        ];
        if kind.is_machine() {
            flags.extend([
                "-DMACHINE",
                "-Wl,-Ttext=0x80000000",
                "-Wl,-N",
                "-Wl,--no-warn-rwx-segments",
            ]);
        }
        let program = Compiler::Riscv64.build(&source, &flags).map_err(text)?;
        let symbols = symbols(&program)?;
        Ok(Self { ferry, kind, program, symbols, name })
    }

    fn symbol(&self, name: &str) -> Result<u64, String> {
        self.symbols.get(name).copied().ok_or_else(|| format!("no symbol {name}"))
    }

    fn socket(&self, what: &str) -> Result<PathBuf, String> {
        let directory = cache::subdirectory("sockets").map_err(text)?;
        Ok(directory.join(format!("{}-{what}-{}", self.name, std::process::id())))
    }

    fn start(&self, arguments: &[String]) -> Result<Running, String> {
        let mut command = Command::new(&self.ferry);
        match self.kind {
            Kind::Program => command.arg("run").args(arguments).arg(&self.program),
            Kind::Machine | Kind::Counted => {
                command.args(["boot", "--arch", "riscv64", "--smp", "2", "--bios", "none"]);
                if self.kind == Kind::Counted {
                    command.arg("--deterministic");
                }
                command.args(["--console", "null", "--kernel"]).arg(&self.program).args(arguments)
            }
        };
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        child.map(Running).map_err(text)
    }

    /// Starts it, stopped at its first instruction.
    fn debug(&self) -> Result<(Running, PathBuf), String> {
        let socket = self.socket("gdb")?;
        let mut arguments = vec!["--gdb".to_owned(), format!("unix:{}", socket.display())];
        if self.kind.is_machine() {
            arguments.push("--gdb-wait".to_owned());
        }
        Ok((self.start(&arguments)?, socket))
    }
}

fn symbols(program: &Path) -> Result<HashMap<String, u64>, String> {
    let nm = Compiler::Riscv64.program().replace("gcc", "nm");
    let output = Command::new(nm).arg(program).output().map_err(text)?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let symbol = |line: &str| {
        let mut words = line.split_whitespace();
        let value = u64::from_str_radix(words.next()?, 16).ok()?;
        Some((words.nth(1)?.to_owned(), value))
    };
    Ok(lines.lines().filter_map(symbol).collect())
}

/// A process that is killed if the test gives up.
struct Running(Child);

impl Running {
    fn end(mut self) -> Result<Option<i32>, String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().map_err(text)? {
                return Ok(status.code());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("it does not end".to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn contains(answer: &str, what: &str) -> Result<(), String> {
    if answer.contains(what) { Ok(()) } else { Err(format!("{answer:?} has no {what:?}")) }
}

/// The thread that an answer names.
fn thread_of(answer: &str) -> Result<String, String> {
    let rest = answer.split_once("thread:").ok_or_else(|| format!("no thread in {answer:?}"))?;
    Ok(rest.1.split(';').next().unwrap_or_default().to_owned())
}

/// Breakpoints of both kinds, steps, watchpoints, an interrupt, the end.
fn points(guest: &Guest) -> Result<(), String> {
    let (step, total) = (guest.symbol("step")?, guest.symbol("total")?);
    let (running, socket) = guest.debug()?;
    let mut gdb = Client::connect(&socket).map_err(text)?;
    let ask = |gdb: &mut Client, body: &str| gdb.ask(body).map_err(text);
    expect("Z0", ask(&mut gdb, &format!("Z0,{step:x},2"))?.as_str(), "OK")?;
    let stop = ask(&mut gdb, "vCont;c")?;
    contains(&stop, "swbreak")?;
    let thread = thread_of(&stop)?;
    expect("pc", gdb.register(PC).map_err(text)?, step)?;
    expect("argument", gdb.register(A0).map_err(text)?, 1)?;
    expect("total", gdb.word(total).map_err(text)?, 0)?;

    // A step goes past the breakpoint, which stays.
    contains(&ask(&mut gdb, &format!("vCont;s:{thread}"))?, "T05")?;
    let pc = gdb.register(PC).map_err(text)?;
    expect("a step's length", pc > step && pc <= step + 4, true)?;
    contains(&ask(&mut gdb, "vCont;c")?, "swbreak")?;
    expect("second argument", gdb.register(A0).map_err(text)?, 2)?;
    expect("total of one", gdb.word(total).map_err(text)?, 1)?;
    expect("z0", ask(&mut gdb, &format!("z0,{step:x},2"))?.as_str(), "OK")?;

    // The load comes first, then the store. Either is seen after it was made.
    expect("Z3", ask(&mut gdb, &format!("Z3,{total:x},8"))?.as_str(), "OK")?;
    expect("Z2", ask(&mut gdb, &format!("Z2,{total:x},8"))?.as_str(), "OK")?;
    contains(&ask(&mut gdb, "vCont;c")?, "rwatch:")?;
    expect("total at the load", gdb.word(total).map_err(text)?, 1)?;
    contains(&ask(&mut gdb, "vCont;c")?, ";watch:")?;
    expect("total at the store", gdb.word(total).map_err(text)?, 3)?;
    expect("z3", ask(&mut gdb, &format!("z3,{total:x},8"))?.as_str(), "OK")?;
    expect("z2", ask(&mut gdb, &format!("z2,{total:x},8"))?.as_str(), "OK")?;

    // Debuggers take breakpoints out at each stop.
    for n in 3..200 {
        expect("Z1", ask(&mut gdb, &format!("Z1,{step:x},2"))?.as_str(), "OK")?;
        contains(&ask(&mut gdb, "vCont;c")?, "hwbreak")?;
        expect("argument", gdb.register(A0).map_err(text)?, n)?;
        expect("z1", ask(&mut gdb, &format!("z1,{step:x},2"))?.as_str(), "OK")?;
        contains(&ask(&mut gdb, &format!("vCont;s:{thread}"))?, "T05")?;
    }
    finish(guest, running, gdb)
}

/// Interrupts it, and lets it go.
fn finish(guest: &Guest, running: Running, mut gdb: Client) -> Result<(), String> {
    if guest.kind.is_machine() {
        gdb.send("vCont;c").map_err(text)?;
        gdb.interrupt().map_err(text)?;
        let stop = gdb.wait().map_err(text)?;
        // It may have been quicker.
        if stop.starts_with('W') {
            return expect("status", running.end()?, Some(STATUS));
        }
        contains(&stop, "T02")?;
        expect("detaching", gdb.ask("D").map_err(text)?.as_str(), "OK")?;
    } else {
        expect("the end", gdb.ask("vCont;c").map_err(text)?, format!("W{STATUS:02x}"))?;
    }
    expect("status", running.end()?, Some(STATUS))
}

/// Memory and registers are written; what was translated is forgotten.
fn memory(guest: &Guest) -> Result<(), String> {
    let (step, total) = (guest.symbol("step")?, guest.symbol("total")?);
    let (running, socket) = guest.debug()?;
    let mut gdb = Client::connect(&socket).map_err(text)?;
    expect("Z0", gdb.ask(&format!("Z0,{step:x},2")).map_err(text)?.as_str(), "OK")?;
    for _ in 0..3 {
        contains(&gdb.ask("vCont;c").map_err(text)?, "swbreak")?;
        let thread = thread_of(&gdb.ask("?").map_err(text)?)?;
        contains(&gdb.ask(&format!("vCont;s:{thread}")).map_err(text)?, "T05")?;
    }
    expect("M", gdb.ask(&format!("M{total:x},8:0001000000000000")).map_err(text)?.as_str(), "OK")?;
    expect("total", gdb.word(total).map_err(text)?, 0x100)?;
    contains(&gdb.ask("vCont;c").map_err(text)?, "swbreak")?;
    expect("P", gdb.ask("Pa=1000000000000000").map_err(text)?.as_str(), "OK")?;
    expect("argument", gdb.register(A0).map_err(text)?, 0x10)?;
    expect("z0", gdb.ask(&format!("z0,{step:x},2")).map_err(text)?.as_str(), "OK")?;
    expect("Z2", gdb.ask(&format!("Z2,{total:x},8")).map_err(text)?.as_str(), "OK")?;
    contains(&gdb.ask("vCont;c").map_err(text)?, ";watch:")?;
    // What was written counts.
    expect("total", gdb.word(total).map_err(text)?, 0x100 + 3 + 0x10)?;
    contains(&gdb.ask("m0,8").map_err(text)?, "E")?;
    contains(&gdb.ask("pffff").map_err(text)?, "E")?;
    expect("z2", gdb.ask(&format!("z2,{total:x},8")).map_err(text)?.as_str(), "OK")?;
    finish(guest, running, gdb)
}

/// Physical memory, and registers of machine level.
fn physical(guest: &Guest) -> Result<(), String> {
    let (_running, socket) = guest.debug()?;
    let mut gdb = Client::connect(&socket).map_err(text)?;
    expect("mode", gdb.ask("qqemu.PhyMemMode").map_err(text)?.as_str(), "0")?;
    let virt = gdb.word(0x8000_0000).map_err(text)?;
    expect("choice", gdb.ask("Qqemu.PhyMemMode:1").map_err(text)?.as_str(), "OK")?;
    expect("mode", gdb.ask("qqemu.PhyMemMode").map_err(text)?.as_str(), "1")?;
    expect("memory", gdb.word(0x8000_0000).map_err(text)?, virt)?;
    contains(&gdb.ask("m10000000,8").map_err(text)?, "E")?;
    expect("privilege", gdb.register(PRIV).map_err(text)?, 3)?;
    contains(&gdb.ask("Hg2").map_err(text)?, "OK")?;
    // mhartid
    expect("hart", gdb.register(65 + 0xf14).map_err(text)?, 1)
}

fn kill(guest: &Guest) -> Result<(), String> {
    let (running, socket) = guest.debug()?;
    let mut gdb = Client::connect(&socket).map_err(text)?;
    expect("vKill", gdb.ask("vKill;1").map_err(text)?.as_str(), "OK")?;
    let wanted = if guest.kind.is_machine() { Some(0) } else { None };
    expect("status", running.end()?, wanted)
}

/// gdb itself.
fn real_gdb(guest: &Guest) -> Result<(), String> {
    let is_there = Command::new("gdb-multiarch").arg("--version").output().is_ok();
    if !is_there {
        return Ok(());
    }
    let (running, socket) = guest.debug()?;
    wait_for(&socket)?;
    let remote = format!("target remote {}", socket.display());
    let mut command = Command::new("gdb-multiarch");
    command.args(["-nx", "-batch", "-ex", "set confirm off", "-ex", &remote]);
    for line in ["break step", "continue", "continue", "finish", "print total", "info threads"] {
        command.args(["-ex", line]);
    }
    for line in ["delete", "watch calls", "continue", "delete", "detach"] {
        command.args(["-ex", line]);
    }
    let output = command.arg(&guest.program).stdin(Stdio::null()).output().map_err(text)?;
    let output = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    for wanted in ["=1) at", "=2) at", "$1 = 3", "Old value = 2", "New value = 3"] {
        contains(&output, wanted)?;
    }
    expect("status", running.end()?, Some(STATUS))
}

/// Waits until there is a socket, without connecting to it.
fn wait_for(socket: &Path) -> Result<(), String> {
    let start = Instant::now();
    while !socket.exists() {
        if start.elapsed() > PATIENCE {
            return Err(format!("nobody listens at {}", socket.display()));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The control socket, and `ferry ctl`.
fn control(guest: &Guest) -> Result<(), String> {
    let (socket, gdb) = (guest.socket("control")?, guest.socket("gdb")?);
    let unix = |path: &Path| format!("unix:{}", path.display());
    let arguments = ["--control".to_owned(), unix(&socket), "--gdb".to_owned(), unix(&gdb)];
    let arguments = [&arguments[..], &["--gdb-wait".to_owned()]].concat();
    let running = guest.start(&arguments)?;
    wait_for(&socket)?;
    let stream = UnixStream::connect(&socket).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    let mut lines = BufReader::new(&stream).lines();
    let mut line = || lines.next().ok_or("the connection has ended")?.map_err(text);
    let send = |body: &str| (&stream).write_all(format!("{body}\n").as_bytes()).map_err(text);

    send(r#"{"id": "a", "command": "status"}"#)?;
    let status = line()?;
    for wanted in
        [r#""id":"a""#, r#""ok":true"#, r#""machine":"stopped""#, r#"["stopped","stopped"]"#]
    {
        contains(&status, wanted)?;
    }
    send(r#"{"id": 2, "command": "stop"}"#)?;
    contains(&line()?, r#""ok":true"#)?;
    send(r#"{"id": 3, "command": "dance"}"#)?;
    let refused = line()?;
    contains(&refused, r#""ok":false"#)?;
    contains(&refused, r#""id":3"#)?;
    send("nonsense")?;
    contains(&line()?, r#""id":null"#)?;
    let ctl = |command: &str| {
        let mut ferry = Command::new(&guest.ferry);
        let output = ferry.arg("ctl").arg(&socket).arg(command).output().map_err(text)?;
        Ok::<_, String>((
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    };
    let (code, error) = ctl("powerdown")?;
    expect("powerdown", code, Some(1))?;
    contains(&error, "does not listen")?;
    expect("reset", ctl("reset")?.0, Some(0))?;
    contains(&line()?, r#""event":"reset""#)?;
    // From then on it runs to its end.
    expect("status", running.end()?, Some(STATUS))?;
    contains(&line()?, r#""event":"poweroff""#)?;
    expect("nobody there", ctl("status")?.0, Some(125))
}
