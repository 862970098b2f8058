//! Whole machines: the stock Debian kernel to a shell and to a login, firmware to its prompt, and
//! what a user sees when something is wrong.
//!
//! Cases run under Ferry when that can boot machines, and with `FERRY_TEST_REFERENCE=1` under the
//! reference, which shows that the cases themselves are right. Without images in the test cache the
//! suite is skipped, unless `FERRY_TEST_FULL=1` allows to make them.

#[path = "machine/disks.rs"]
mod disks;
#[path = "machine/efi.rs"]
mod efi;
#[path = "machine/outside.rs"]
mod outside;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferry_testsuite::cache;
use ferry_testsuite::console::{Console, Ended};
use ferry_testsuite::image::{self, Images};
use ferry_testsuite::machine::{Disk, Emulator, Machine};
use ferry_testsuite::process::End;
use ferry_testsuite::suite::{self, Case, Profile, Subject};

const SUITE: &str = "machine";
/// For a boot; the reference takes up to 90 s for the longest on a busy machine.
const BOOT: Duration = Duration::from_secs(400);
/// For one command in the guest, and for the end after `poweroff`.
const COMMAND: Duration = Duration::from_secs(120);
const SHELL_PROMPT: &str = "~ # ";
/// Of the kernel's messages, only emergencies go on to the console, between what commands print.
const QUIET: &str = "dmesg -n 1";

type Check = fn(&Emulator, &Images) -> Result<(), String>;

const CASES: [(&str, Check); 28] = [
    ("shell", shell),
    ("smp-1", |emulator, images| smp(emulator, images, 1)),
    ("smp-2", |emulator, images| smp(emulator, images, 2)),
    ("smp-4", |emulator, images| smp(emulator, images, 4)),
    ("smp-8", |emulator, images| smp(emulator, images, 8)),
    ("aia-aplic", |emulator, images| aia(emulator, images, "aplic", "APLIC-DIRECT")),
    ("aia-imsic", |emulator, images| aia(emulator, images, "aplic-imsic", "PCI-MSIX")),
    ("network", network),
    ("login", login),
    ("qcow2", disks::qcow2),
    ("full-disk", disks::full),
    ("file-limit", disks::file_limit),
    ("killed-raw", disks::killed_raw),
    ("killed-qcow2", disks::killed_qcow2),
    ("virtio-console", outside::virtio_console),
    ("power-button", outside::power_button),
    ("no-power-button", outside::no_power_button),
    ("firmware", firmware),
    ("efi-shell", efi::shell),
    ("efi-linux", efi::linux),
    ("panic", panic),
    ("reset", reset),
    ("end-at-reset", end_at_reset),
    ("deterministic", deterministic),
    ("missing-device", missing_device),
    ("missing-kernel", missing_kernel),
    ("missing-disk", missing_disk),
    ("unbootable", unbootable),
];

fn main() -> ExitCode {
    let images = match images() {
        Ok(Some(images)) => Arc::new(images),
        Ok(None) => {
            let reason = "no machine images in the test cache; `cargo debian-image` makes them (about 220 MB from \
                          the Debian mirror of this host's apt sources), FERRY_TEST_FULL=1 does so by itself";
            return suite::skip(SUITE, reason);
        }
        Err(image::Error::Debian(error)) => return suite::skip(SUITE, error),
        Err(error) => return suite::fail(SUITE, error),
    };
    let mut emulators = vec![];
    match Emulator::ferry(Profile::Release) {
        Ok(emulator) => emulators.push(emulator),
        Err(reason) => _ = suite::skip(SUITE, format!("under Ferry: {reason}")),
    }
    if cache::is_set("FERRY_TEST_REFERENCE") {
        match Emulator::reference() {
            Ok(emulator) => emulators.push(emulator),
            Err(reason) => return suite::fail(SUITE, reason),
        }
    }
    let mut cases = vec![];
    for emulator in emulators {
        // The reference jumps into anything, and hangs; and no two of its runs are the same.
        // Nor has it a power button, a console with a size, or our limits.
        let own = [
            "unbootable",
            "deterministic",
            "virtio-console",
            "power-button",
            "no-power-button",
            "file-limit",
        ];
        let runs = |name: &str| !own.contains(&name) || matches!(emulator, Emulator::Ferry(_));
        for (name, check) in CASES.into_iter().filter(|(name, _)| runs(name)) {
            let (emulator, images) = (emulator.clone(), Arc::clone(&images));
            let name = format!("{name}::{}", emulator.name());
            cases.push(Case { name, run: Box::new(move || check(&emulator, &images)) });
        }
    }
    suite::run(SUITE, &Subject::of_machines(), cases)
}

fn images() -> Result<Option<Images>, image::Error> {
    if cache::full_run() { image::prepare(&|_| {}).map(Some) } else { image::existing() }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn expect(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}

/// The stock kernel with the initramfs, which opens a shell.
fn linux(images: &Images) -> Machine {
    Machine {
        harts: 1,
        megabytes: 512,
        kernel: Some(images.kernel.clone()),
        initrd: Some(images.initramfs.clone()),
        append: Some("console=ttyS0".to_owned()),
        ..Machine::default()
    }
}

/// Boots to the initramfs's shell.
fn boot_to_shell(emulator: &Emulator, machine: &Machine) -> Result<Console, String> {
    let mut console = Console::start(&mut emulator.boot(machine)).map_err(text)?;
    console.wait_for(SHELL_PROMPT, BOOT).map_err(text)?;
    answer(&mut console, QUIET)?;
    Ok(console)
}

/// Runs a command that must succeed; its output.
fn answer(console: &mut Console, command: &str) -> Result<String, String> {
    let answer = console.command(command, COMMAND).map_err(text)?;
    expect(answer.status == 0, || {
        format!("{command}: status {}\n{}", answer.status, answer.output)
    })?;
    Ok(answer.output)
}

fn expect_answer(console: &mut Console, command: &str, expected: &str) -> Result<(), String> {
    let output = answer(console, command)?;
    expect(output.trim() == expected, || format!("{command}: {output:?}, not {expected:?}"))
}

/// Says `poweroff`; the machine must end with status 0.
fn power_off(mut console: Console) -> Result<Ended, String> {
    console.send("poweroff\n").map_err(text)?;
    console.wait_for("reboot: Power down", COMMAND).map_err(text)?;
    let ended = console.end(COMMAND).map_err(text)?;
    expect(ended.end == End::Exit(0), || {
        format!("{:?} after power-off\n{}", ended.end, ended.errors)
    })?;
    Ok(ended)
}

fn shell(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let mut console = boot_to_shell(emulator, &linux(images))?;
    expect_answer(&mut console, "uname -m", "riscv64")?;
    expect_answer(&mut console, "echo $((6 * 7)) | tr 24 42", "24")?;
    expect_answer(
        &mut console,
        "i=0; while [ $i -lt 300 ]; do i=$((i + 1)); done; echo $i",
        "300",
    )?;
    expect_answer(
        &mut console,
        "i=0; while [ $i -lt 40 ]; do /bin/busybox true; i=$((i + 1)); done; echo $i",
        "40",
    )?;
    let sum = "dd if=/dev/zero bs=64k count=32 2>/dev/null | sha256sum | cut -c1-16";
    expect_answer(&mut console, sum, "5647f05ec1895894")?;
    expect_answer(&mut console, "(exit 7); echo $?", "7")?;
    // Time goes on as it should: a second is neither much shorter nor much longer.
    let sleep = console.command("sleep 1", COMMAND).map_err(text)?;
    let right = Duration::from_millis(900)..Duration::from_secs(10);
    expect(right.contains(&sleep.time), || format!("a second took {:?}", sleep.time))?;
    power_off(console).map(drop)
}

fn smp(emulator: &Emulator, images: &Images, harts: u32) -> Result<(), String> {
    let mut console = boot_to_shell(emulator, &Machine { harts, ..linux(images) })?;
    expect_answer(&mut console, "nproc", &harts.to_string())?;
    // One job on each CPU, at the same time.
    let jobs = "for cpu in $(seq 0 $(($(nproc) - 1))); do
        (taskset $(printf %x $((1 << cpu))) sh -c 'seq 1 20000 | md5sum; grep -c ^processor /proc/cpuinfo' >/tmp/$cpu) &
    done; wait; cat /tmp/[0-9]* | sort -u | wc -l";
    expect_answer(&mut console, jobs, "2")?;
    // Programs that exchange bytes through pipes, with more of them than CPUs.
    let pipes = "seq 1 5000 | cat | cat | tr 0-9 a-j | cat | tr a-j 0-9 | tail -n 1";
    expect_answer(&mut console, pipes, "5000")?;
    power_off(console).map(drop)
}

/// Two harts behind an APLIC, without and with IMSICs: the network card's interrupts arrive by the
/// way of this name.
fn aia(
    emulator: &Emulator,
    images: &Images,
    controllers: &'static str,
    way: &str,
) -> Result<(), String> {
    let machine = Machine { harts: 2, aia: Some(controllers), net: Some(vec![]), ..linux(images) };
    let mut console = boot_to_shell(emulator, &machine)?;
    answer(&mut console, "udhcpc -i eth0 -n -q")?;
    let count = format!(
        "grep virtio /proc/interrupts | grep {way} | awk '{{ n += $2 + $3 }} END {{ print (n > 0) }}'"
    );
    expect_answer(&mut console, &count, "1")?;
    power_off(console).map(drop)
}

/// In the initramfs: the network by busybox's own tools, quicker than a whole system.
fn network(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let server = serve().map_err(text)?;
    let machine = Machine { net: Some(vec![]), ..linux(images) };
    let mut console = boot_to_shell(emulator, &machine)?;
    answer(&mut console, "udhcpc -i eth0 -n -q")?;
    let address = "ip -4 addr show eth0 | grep -o '10\\.0\\.2\\.[0-9]*/24'";
    expect_answer(&mut console, address, "10.0.2.15/24")?;
    expect_answer(&mut console, "cat /etc/resolv.conf", "nameserver 10.0.2.3")?;
    fetch(&mut console, server)?;
    // A port where nobody listens refuses.
    let refused = free_port().map_err(text)?;
    let wget = format!("wget -T 20 -qO- http://10.0.2.2:{refused}/");
    let status = console.command(&wget, COMMAND).map_err(text)?.status;
    expect(status != 0, || "a closed port answers".to_owned())?;
    power_off(console).map(drop)
}

/// Fetches the server's numbers, and compares them with the guest's own.
fn fetch(console: &mut Console, server: u16) -> Result<(), String> {
    let fetch = format!(
        "seq 1 {NUMBERS} >/tmp/numbers; wget -T 60 -qO /tmp/fetched http://10.0.2.2:{server}/ \
         && cmp /tmp/numbers /tmp/fetched && wc -l </tmp/fetched"
    );
    expect_answer(console, &fetch, &NUMBERS.to_string())
}

/// How many lines the server's answer has: about 600 KB.
const NUMBERS: u32 = 100_000;

/// A web server on the host's loopback, for as long as the tests run; its port.
fn serve() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let body: String = (1..=NUMBERS).map(|number| format!("{number}\n")).collect();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            // A guest that hangs up early is its own test's failure.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut request);
        }
    });
    Ok(port)
}

/// Nobody listens there, at this moment.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A copy of the disk that may be written to, removed at the end.
struct Copied(PathBuf);

impl Copied {
    fn disk(images: &Images, name: &str) -> Result<Self, String> {
        let directory = cache::subdirectory("machines").map_err(text)?;
        let path = directory.join(format!("{name}-{}.ext4", std::process::id()));
        let mut copy = Command::new("cp");
        copy.args(["--sparse=always", "--reflink=auto", "--"]).arg(&images.disk).arg(&path);
        let disk = Self(path);
        expect(copy.status().map_err(text)?.success(), || "the disk cannot be copied".to_owned())?;
        Ok(disk)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // If it cannot be removed, it stays in the cache.
        let _ = fs::remove_file(&self.0);
    }
}

/// A whole system: systemd, a login, the network both ways, a compiler, and a disk that keeps.
fn login(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let disk = Copied::disk(images, &format!("login-{}", emulator.name()))?;
    let (server, echo) = (serve().map_err(text)?, free_port().map_err(text)?);
    let machine = Machine {
        harts: 2,
        megabytes: 1024,
        append: Some("console=ttyS0 root=/dev/vda".to_owned()),
        disks: vec![Disk::raw(&disk.0)],
        net: Some(vec![(echo, 7)]),
        ..linux(images)
    };
    let mut console = log_in(emulator, &machine)?;
    expect_answer(
        &mut console,
        "systemctl is-active multi-user.target systemd-networkd",
        "active\nactive",
    )?;
    expect_answer(&mut console, "systemctl --failed --no-legend --no-pager", "")?;
    let online = "/usr/lib/systemd/systemd-networkd-wait-online --ipv4 --timeout=60";
    answer(&mut console, online)?;
    fetch(&mut console, server)?;
    answer(&mut console, "ping -c 2 -W 20 10.0.2.2")?;
    echo_through(echo)?;
    compile(&mut console)?;
    answer(&mut console, "dd if=/dev/urandom of=/root/noise bs=64k count=64 && sync")?;
    answer(
        &mut console,
        "sha256sum /root/noise >/root/sum; echo kept >/root/kept; sync; echo 3 >/proc/sys/vm/drop_caches",
    )?;
    answer(&mut console, "sha256sum -c /root/sum")?;
    power_off(console)?;
    kept(&disk.0)
}

/// Boots the whole system and logs in.
fn log_in(emulator: &Emulator, machine: &Machine) -> Result<Console, String> {
    let mut console = Console::start(&mut emulator.boot(machine)).map_err(text)?;
    console.wait_for("login: ", BOOT).map_err(text)?;
    console.send("root\n").map_err(text)?;
    console.wait_for("Password: ", COMMAND).map_err(text)?;
    console.send(&format!("{}\n", image::PASSWORD)).map_err(text)?;
    console.wait_for("# ", COMMAND).map_err(text)?;
    Ok(console)
}

/// From the host, through a forwarded port, to the guest's service and back.
fn echo_through(port: u16) -> Result<(), String> {
    let sent: Vec<u8> = (0..200_000_u32).map(|byte| (byte % 251) as u8).collect();
    let deadline = Instant::now() + COMMAND;
    loop {
        match echo_once(port, &sent) {
            Ok(received) if received == sent => return Ok(()),
            Ok(received) if !received.is_empty() => {
                return Err(format!("{} bytes came back, not {}", received.len(), sent.len()));
            }
            other if Instant::now() > deadline => return Err(format!("no echo: {other:?}")),
            _ => thread::sleep(Duration::from_millis(500)),
        }
    }
}

fn echo_once(port: u16, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(COMMAND))?;
    let mut writer = stream.try_clone()?;
    let (sent, mut received) = (bytes.to_vec(), vec![]);
    let writing = thread::spawn(move || {
        writer.write_all(&sent).and_then(|()| writer.shutdown(Shutdown::Write))
    });
    stream.read_to_end(&mut received)?;
    // What was not sent was not received either.
    let _ = writing.join();
    Ok(received)
}

fn compile(console: &mut Console) -> Result<(), String> {
    let program = "cat >/tmp/p.c <<'EOF'
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    double sum = 0;
    for (int i = 1; i <= 1000; i++) sum += 1.0 / i;
    printf(\"%s %.6f %zu\\n\", argv[argc - 1], sum, strlen(argv[0]));
    return 0;
}
EOF
gcc -O2 -Wall -o /tmp/p /tmp/p.c && /tmp/p compiled";
    expect_answer(console, program, "compiled 7.485471 6")
}

/// The file that the guest wrote last is on the disk.
fn kept(disk: &Path) -> Result<(), String> {
    let Ok(output) =
        Command::new("/usr/sbin/debugfs").args(["-R", "cat /root/kept"]).arg(disk).output()
    else {
        return Ok(()); // no e2fsprogs on this host
    };
    let text = String::from_utf8_lossy(&output.stdout);
    expect(text == "kept\n", || format!("/root/kept on the disk is {text:?}"))
}

/// OpenSBI in M mode, U-Boot in S mode, to its prompt.
fn firmware(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let machine = Machine {
        harts: 1,
        megabytes: 512,
        bios: Some(images.opensbi.clone()),
        kernel: Some(images.uboot.clone()),
        ..Machine::default()
    };
    let mut console = Console::start(&mut emulator.boot(&machine)).map_err(text)?;
    console.wait_for("OpenSBI v", BOOT).map_err(text)?;
    console.wait_for("U-Boot 20", BOOT).map_err(text)?;
    console.wait_for("Hit any key to stop autoboot", BOOT).map_err(text)?;
    console.send("\n").map_err(text)?;
    console.wait_for("=> ", COMMAND).map_err(text)?;
    console.send("sbi\n").map_err(text)?;
    console.wait_for("OpenSBI", COMMAND).map_err(text)?;
    console.send("poweroff\n").map_err(text)?;
    let ended = console.end(COMMAND).map_err(text)?;
    expect(ended.end == End::Exit(0), || {
        format!("{:?} after power-off\n{}", ended.end, ended.errors)
    })
}

/// Nothing to boot from: the kernel says so, and `panic=-1` resets at once.
fn panic(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let machine = Machine {
        initrd: None,
        append: Some("console=ttyS0 panic=-1".to_owned()),
        end_at_reset: true,
        ..linux(images)
    };
    let mut console = Console::start(&mut emulator.boot(&machine)).map_err(text)?;
    console
        .wait_for("Kernel panic - not syncing: VFS: Unable to mount root fs", BOOT)
        .map_err(text)?;
    let ended = console.end(COMMAND).map_err(text)?;
    expect(ended.end == End::Exit(0), || {
        format!("{:?} after the reset\n{}", ended.end, ended.errors)
    })
}

fn reset(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let mut console = boot_to_shell(emulator, &linux(images))?;
    expect_answer(&mut console, "echo first >/tmp/mark; cat /tmp/mark", "first")?;
    console.send("reboot\n").map_err(text)?;
    console.wait_for("reboot: Restarting system", COMMAND).map_err(text)?;
    console.wait_for("Linux version", BOOT).map_err(text)?;
    console.wait_for(SHELL_PROMPT, BOOT).map_err(text)?;
    expect_answer(&mut console, "ls /tmp", "")?;
    power_off(console).map(drop)
}

fn end_at_reset(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let mut console = boot_to_shell(emulator, &Machine { end_at_reset: true, ..linux(images) })?;
    console.send("reboot\n").map_err(text)?;
    console.wait_for("reboot: Restarting system", COMMAND).map_err(text)?;
    let ended = console.end(COMMAND).map_err(text)?;
    expect(ended.end == End::Exit(0), || {
        format!("{:?} after the reset\n{}", ended.end, ended.errors)
    })?;
    let boots = ended.output.matches("Linux version").count();
    expect(boots == 1, || format!("{boots} boots"))
}

/// Two boots with counted time, to the end of the kernel's own start: times in its messages included, all
/// that they print is the same.
fn deterministic(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let machine = Machine {
        harts: 2,
        append: Some("console=ttyS0 rdinit=/nonexistent panic=-1".to_owned()),
        end_at_reset: true,
        deterministic: true,
        ..linux(images)
    };
    let output = || {
        let console = Console::start(&mut emulator.boot(&machine)).map_err(text)?;
        let ended = console.end(BOOT).map_err(text)?;
        let printed =
            ended.end == End::Exit(0) && ended.output.contains("smp: Brought up 1 node, 2 CPUs");
        expect(printed, || format!("{:?}\n{}\n{}", ended.end, ended.output, ended.errors))?;
        Ok::<String, String>(ended.output)
    };
    let (first, second) = (output()?, output()?);
    let mut pairs = first.lines().zip(second.lines());
    let difference = pairs.find(|(one, other)| one != other);
    expect(first == second, || format!("not the same: {difference:?}"))
}

/// The root disk is not there: the initramfs says so and opens a shell.
fn missing_device(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let append = Some("console=ttyS0 root=/dev/vda".to_owned());
    let machine = Machine { append, ..linux(images) };
    let mut console = Console::start(&mut emulator.boot(&machine)).map_err(text)?;
    console.wait_for("init: there is no /dev/vda", BOOT).map_err(text)?;
    console.wait_for(SHELL_PROMPT, BOOT).map_err(text)?;
    power_off(console).map(drop)
}

/// Starting must fail at once, with a message that names the file.
fn expect_refusal(emulator: &Emulator, machine: &Machine, file: &Path) -> Result<(), String> {
    let console = Console::start(&mut emulator.boot(machine)).map_err(text)?;
    let ended = console.end(Duration::from_secs(30)).map_err(text)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    expect(ended.errors.contains(&*name), || {
        format!("the message does not name {name}: {:?}", ended.errors)
    })?;
    let expected = match emulator {
        // Ferry's own errors, apart from what a guest could return.
        Emulator::Ferry(_) => 125,
        Emulator::Qemu(_) => 1,
    };
    expect(ended.end == End::Exit(expected), || format!("{:?}\n{}", ended.end, ended.errors))
}

fn missing_kernel(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let file = PathBuf::from("/nonexistent/Image");
    expect_refusal(emulator, &Machine { kernel: Some(file.clone()), ..linux(images) }, &file)
}

fn missing_disk(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let file = PathBuf::from("/nonexistent/disk.ext4");
    expect_refusal(emulator, &Machine { disks: vec![Disk::raw(&file)], ..linux(images) }, &file)
}

/// The kernel is a text.
fn unbootable(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let file = cache::subdirectory("machines").map_err(text)?.join("kernel.txt");
    fs::write(&file, "This is no kernel.\n").map_err(text)?;
    expect_refusal(emulator, &Machine { kernel: Some(file.clone()), ..linux(images) }, &file)
}
