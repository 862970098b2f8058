//! The `boot` family: a whole machine, from its start to the shell, and what is run in it.
//!
//! One boot of each contestant is one run: the stock Debian kernel with the test suite's initramfs, to
//! which our programs are added, the test suite's disk (which has the compiler), and a network behind
//! NAT. Times are taken by the host, between marks on the console. The machines are the same but for
//! the emulator; see `testsuite::machine`.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use testsuite::cache;
use testsuite::console::Console;
use testsuite::image::cpio::{Archive, Kind};
use testsuite::image::{self, Images};
use testsuite::machine::{Disk, Emulator, Machine};
use testsuite::suite::Profile;
use testsuite::toolchain::{self, Compiler};

use crate::items::{self, Group, ITEMS, Item, PRIME_KERNELS, Program};
use crate::run::{Cell, Samples};

/// What the machines are.
pub const GUEST: &str = "riscv64";
/// For the machine to come up, and for each step in it.
const LIMIT: Duration = Duration::from_secs(300);
/// How long an idle machine is watched; its row shows the CPU seconds that this took.
const IDLE: Duration = Duration::from_secs(10);
/// What is fetched through the network, in bytes.
const FETCHED: usize = 64 << 20;
/// Clock ticks a second in /proc, which Linux fixes for user space.
const TICKS: f64 = 100.0;

/// What a row measures.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// From the start of the emulator to the shell's prompt.
    Start,
    /// A command for the guest's shell, which must succeed.
    Command(&'static str),
    /// CPU time of the emulator while the guest does nothing.
    Idle,
}

const fn step(name: &'static str, step: Step) -> Item {
    Item { name, group: Group::Machine, program: Program::Machine(step) }
}

const fn command(name: &'static str, command: &'static str) -> Item {
    step(name, Step::Command(command))
}

/// The rows, in the order in which they run. `{port}` is the host's web server.
pub const ITEMS_OF_MACHINE: [Item; 18] = [
    step("boot", Step::Start),
    command("guest-sieve", "/bench/sieve"),
    command("guest-fib", "/bench/fib"),
    command("guest-qsort", "/bench/qsort"),
    command("guest-sha256", "/bench/sha256"),
    command("guest-matmul", "/bench/matmul"),
    command("guest-nbody", "/bench/nbody"),
    command("guest-bytecode", "/bench/bytecode"),
    command("guest-hash", "/bench/hash"),
    command("guest-spawn", "/bench/processes spawn 500"),
    command("guest-switch", "/bench/processes switch 20000"),
    command("guest-fault", "/bench/processes fault 65536"),
    command("guest-shell", "i=0; while [ $i -lt 300 ]; do /bin/busybox true; i=$((i + 1)); done"),
    command("guest-gcc", "chroot /mnt /usr/bin/gcc -O2 -c -o /tmp/sha256.o /tmp/bench/sha256.c"),
    command("disk-read", "dd if=/dev/vda of=/dev/null bs=1M count=512 iflag=direct"),
    command("disk-write", "dd if=/dev/zero of=/mnt/written bs=1M count=128 conv=fsync"),
    command("net-fetch", "wget -qO /dev/null http://10.0.2.2:{port}/"),
    step("idle", Step::Idle),
];

/// Before the rows: the disk and the network.
const PREPARE: &str = "dmesg -n 1; mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && mkdir -p /mnt/tmp/bench \
    && cp /bench/*.c /bench/*.h /mnt/tmp/bench && udhcpc -i eth0 -n -q";

/// Why nothing could be measured at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The images cannot be had.
    #[error(transparent)]
    Images(#[from] image::Error),
    /// A program could not be built.
    #[error(transparent)]
    Build(#[from] toolchain::Error),
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no such emulator.
    #[error("{0}")]
    Emulator(String),
}

/// What all runs share.
#[derive(Debug)]
pub struct Bench {
    images: Images,
    initramfs: PathBuf,
    port: u16,
}

/// The emulator of a contestant that can boot machines: `ferry` or `qemu`.
///
/// # Errors
/// When it is not installed, does not build, or cannot boot.
pub fn emulator(name: &str) -> Result<Option<Emulator>, Error> {
    match name {
        "ferry" => Emulator::ferry(Profile::Release).map(Some).map_err(Error::Emulator),
        "qemu" => Emulator::reference().map(Some).map_err(Error::Emulator),
        _ => Ok(None),
    }
}

impl Bench {
    /// Makes the images, builds the guest's programs, and starts the web server.
    ///
    /// # Errors
    /// When something that is needed is absent.
    pub fn prepare(report: &dyn Fn(&str)) -> Result<Self, Error> {
        let images = image::prepare(report)?;
        let initramfs = cache::subdirectory("machines")?.join("bench.cpio");
        let mut bytes = fs::read(&images.initramfs)?;
        bytes.extend(programs()?);
        fs::write(&initramfs, bytes)?;
        Ok(Self { images, initramfs, port: serve()? })
    }

    /// Boots each emulator `runs` times in turn and runs `wanted` in it; one cell for each item and
    /// emulator, in their orders.
    ///
    /// # Errors
    /// When the system refuses something; an emulator's failure is its cells' content.
    pub fn measure(
        &self,
        wanted: &[Item],
        emulators: &[Option<Emulator>],
        runs: usize,
    ) -> Result<Vec<Vec<Cell>>, Error> {
        let start = |emulator: &Option<Emulator>| match emulator {
            Some(_) => Cell::Measured(Samples::default()),
            None => Cell::Absent,
        };
        let mut cells: Vec<Vec<Cell>> =
            wanted.iter().map(|_| emulators.iter().map(start).collect()).collect();
        for round in 0..runs {
            let mut order: Vec<usize> = (0..emulators.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for column in order {
                if let Some(emulator) = &emulators[column] {
                    let disk = self.copy_disk(emulator)?;
                    let results = self.run(emulator, &disk, wanted);
                    fs::remove_file(&disk)?;
                    for (row, result) in cells.iter_mut().zip(results) {
                        row[column].add(result);
                    }
                }
            }
        }
        Ok(cells)
    }

    fn copy_disk(&self, emulator: &Emulator) -> Result<PathBuf, Error> {
        let path = cache::subdirectory("machines")?.join(format!("bench-{}.ext4", emulator.name()));
        let mut copy = Command::new("cp");
        copy.args(["--sparse=always", "--reflink=auto", "--"]).arg(&self.images.disk).arg(&path);
        if copy.status()?.success() {
            return Ok(path);
        }
        Err(io::Error::other(format!("{} cannot be written", path.display())).into())
    }

    /// One boot. After a failure that ends the machine, its reason stands for all that would follow.
    fn run(
        &self,
        emulator: &Emulator,
        disk: &Path,
        wanted: &[Item],
    ) -> Vec<Result<Sample, String>> {
        let machine = Machine {
            harts: 1,
            megabytes: 1024,
            kernel: Some(self.images.kernel.clone()),
            initrd: Some(self.initramfs.clone()),
            append: Some("console=ttyS0".to_owned()),
            disks: vec![Disk::raw(disk)],
            net: Some(vec![]),
            ..Machine::default()
        };
        let start = Instant::now();
        let booted = Console::start(&mut emulator.boot(&machine)).map_err(|e| e.to_string());
        let booted = booted.and_then(|mut console| {
            console.wait_for("~ # ", LIMIT).map_err(|error| error.to_string())?;
            Ok(console)
        });
        let mut console = match booted {
            Ok(console) => console,
            Err(reason) => return wanted.iter().map(|_| Err(reason.clone())).collect(),
        };
        let boot = Sample::now(start.elapsed(), &console, 0.0);
        // A machine without a disk or a network still computes; the rows that need them fail.
        let prepared = console.command(PREPARE, LIMIT).map_err(|error| error.to_string());
        let lost = prepared.err();
        wanted
            .iter()
            .map(|item| match (&lost, item.program) {
                (_, Program::Machine(Step::Start)) => boot.clone(),
                (Some(reason), _) => Err(reason.clone()),
                (None, Program::Machine(step)) => self.step(&mut console, step),
                (None, _) => Err("this does not run in a machine".to_owned()),
            })
            .collect()
    }

    fn step(&self, console: &mut Console, step: Step) -> Result<Sample, String> {
        let before = cpu_seconds(console.id()).map_err(|error| error.to_string())?;
        match step {
            Step::Command(command) => {
                let command = command.replace("{port}", &self.port.to_string());
                let answer = console.command(&command, LIMIT).map_err(|error| error.to_string())?;
                if answer.status != 0 {
                    let last = answer.output.lines().last().unwrap_or_default();
                    return Err(format!("status {}: {last}", answer.status));
                }
                Sample::now(answer.time, console, before)
            }
            Step::Idle => {
                // What the last command left behind settles first.
                thread::sleep(Duration::from_secs(2));
                let before = cpu_seconds(console.id()).map_err(|error| error.to_string())?;
                thread::sleep(IDLE);
                let mut sample = Sample::now(IDLE, console, before)?;
                sample.wall = sample.cpu;
                Ok(sample)
            }
            Step::Start => Err("a machine starts once".to_owned()),
        }
    }
}

/// One step's cost.
#[derive(Debug, Clone)]
pub struct Sample {
    wall: f64,
    cpu: f64,
    peak_memory: u64,
}

impl Sample {
    fn now(wall: Duration, console: &Console, cpu_before: f64) -> Result<Self, String> {
        let read = || -> io::Result<Self> {
            let cpu = cpu_seconds(console.id())? - cpu_before;
            Ok(Self { wall: wall.as_secs_f64(), cpu, peak_memory: peak_memory(console.id())? })
        };
        read().map_err(|error| error.to_string())
    }
}

impl Cell {
    fn add(&mut self, result: Result<Sample, String>) {
        match (&mut *self, result) {
            (Self::Measured(samples), Ok(sample)) => {
                samples.wall.push(sample.wall);
                samples.cpu.push(sample.cpu);
                samples.peak_memory.push(sample.peak_memory);
            }
            (Self::Measured(_), Err(reason)) => *self = Self::Failed(reason),
            (Self::Absent | Self::Failed(_), _) => {}
        }
    }
}

/// User and system time so far: fields 14 and 15 of proc_pid_stat(5).
fn cpu_seconds(process: u32) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |field: usize| -> f64 {
        after_name
            .split_whitespace()
            .nth(field - 3)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0.0)
    };
    Ok((ticks(14) + ticks(15)) / TICKS)
}

/// The largest resident set so far, in bytes.
fn peak_memory(process: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.unwrap_or(0) * 1024)
}

/// The guest's programs, as an archive that follows the initramfs.
fn programs() -> Result<Vec<u8>, Error> {
    let mut archive = Archive::default();
    archive.add("bench", Kind::Directory);
    for item in &ITEMS[..PRIME_KERNELS] {
        if let Program::Compiled(path) = item.program {
            let program = fs::read(items::build(path, Compiler::Riscv64)?)?;
            archive.add(&format!("bench/{}", item.name), Kind::Program(&program));
        }
    }
    let processes = fs::read(items::build("machine/processes.c", Compiler::Riscv64)?)?;
    archive.add("bench/processes", Kind::Program(&processes));
    for name in ["sha256.c", "kernel.h"] {
        let text = fs::read(items::source(&format!("kernels/{name}")))?;
        archive.add(&format!("bench/{name}"), Kind::File(&text));
    }
    Ok(archive.finish())
}

/// A web server on the host's loopback with one large answer, for as long as the benches run.
fn serve() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        let body = vec![b'f'; FETCHED];
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {FETCHED}\r\nConnection: close\r\n\r\n");
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            // A guest that hangs up early has failed its own row.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut request);
        }
    });
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_the_machine_are_the_prime_ones() {
        let ours = ITEMS_OF_MACHINE.iter().filter_map(|item| match item.program {
            Program::Machine(Step::Command(command)) => command.strip_prefix("/bench/"),
            _ => None,
        });
        let ours: Vec<&str> = ours.filter(|command| !command.contains(' ')).collect();
        let prime: Vec<&str> = ITEMS[..PRIME_KERNELS].iter().map(|item| item.name).collect();
        assert_eq!(ours, prime);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let own = std::process::id();
        assert!(cpu_seconds(own).expect("there is /proc") >= 0.0);
        assert!(peak_memory(own).expect("there is /proc") > 0);
    }
}
