//! Disks: images on others, a host that has no room, and a machine that is killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ferry_testsuite::console::Console;
use ferry_testsuite::image::Images;
use ferry_testsuite::machine::{Disk, Emulator, Machine};
use ferry_testsuite::{cache, host_program};

use super::{
    BOOT, COMMAND, QUIET, SHELL_PROMPT, answer, boot_to_shell, expect, expect_answer, linux,
    log_in, power_off, text,
};

/// A block of what guests write.
const BLOCK: usize = 4096;
/// Bytes of a small disk.
const SMALL: u64 = 64 << 20;

/// A file that is removed at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str, emulator: &Emulator) -> Result<Self, String> {
        let directory = cache::subdirectory("machines").map_err(text)?;
        let path = directory.join(format!("{name}-{}-{}", emulator.name(), std::process::id()));
        let _ = fs::remove_file(&path);
        Ok(Self(path))
    }

    fn sparse(name: &str, emulator: &Emulator, bytes: u64) -> Result<Self, String> {
        let scratch = Self::new(name, emulator)?;
        File::create(&scratch.0).and_then(|file| file.set_len(bytes)).map_err(text)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If it cannot be removed, it stays in the cache.
        let _ = fs::remove_file(&self.0);
    }
}

fn qemu_img(arguments: &[&str], files: &[&Path]) -> Result<(), String> {
    let mut command = Command::new("qemu-img");
    command.args(arguments).args(files);
    host_program::succeed(&mut command, "qemu-img", "qemu-utils").map(drop).map_err(text)
}

/// What a qcow2 image holds.
fn contents(image: &Path, emulator: &Emulator) -> Result<Scratch, String> {
    let raw = Scratch::new("converted", emulator)?;
    qemu_img(&["convert", "-f", "qcow2", "-O", "raw"], &[image, &raw.0])?;
    Ok(raw)
}

/// A whole system from a qcow2 image on top of the pristine disk, which stays as it is. What it wrote is
/// there at the next start.
pub(crate) fn qcow2(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let overlay = Scratch::new("overlay", emulator)?;
    let backing = images.disk.display().to_string();
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b", &backing], &[&overlay.0])?;
    let changed = || fs::metadata(&images.disk).and_then(|data| data.modified()).map_err(text);
    let before = changed()?;
    let machine = Machine {
        harts: 2,
        megabytes: 1024,
        append: Some("console=ttyS0 root=/dev/vda".to_owned()),
        disks: vec![Disk::qcow2(&overlay.0)],
        ..linux(images)
    };
    let mut console = log_in(emulator, &machine)?;
    answer(&mut console, "seq 1 300000 >/root/numbers && sync && rm /root/.bashrc; sync")?;
    power_off(console)?;
    qemu_img(&["check", "-q", "-f", "qcow2"], &[&overlay.0])?;
    expect(changed()? == before, || "the image behind it was written to".to_owned())?;

    let again = Machine { append: linux(images).append, ..machine };
    let mut console = boot_to_shell(emulator, &again)?;
    answer(&mut console, "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt")?;
    let same = "seq 1 300000 | cmp - /mnt/root/numbers && cat /mnt/etc/hostname";
    let hostname = include_str!("../../image/root/etc/hostname").trim();
    expect_answer(&mut console, same, hostname)?;
    answer(&mut console, "umount /mnt")?;
    power_off(console).map(drop)
}

/// The command that boots a machine, run by a shell script in which it is `"$@"`.
fn scripted(script: &str, emulator: &Emulator, machine: &Machine) -> Command {
    let boot = emulator.boot(machine);
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(boot.get_program());
    command.args(boot.get_args().map(OsString::from));
    command
}

fn write(block: u64, text: &str) -> String {
    format!(
        "printf %04096d {text} | dd of=/dev/vda bs={BLOCK} seek={block} conv=fsync,notrunc 2>/dev/null"
    )
}

/// Whether a block of an image is number `value`, as [`write`] lays it out.
fn holds(image: &[u8], block: u64, value: u64) -> bool {
    let at = block as usize * BLOCK;
    image.get(at..at + BLOCK) == Some(format!("{value:0BLOCK$}").as_bytes())
}

/// The host's file system has room for 8 MiB of 64: the guest's writes fail, the machine goes on, and what was
/// flushed before is there. In a mount namespace of its own.
pub(crate) fn full(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let kept = Scratch::new("full", emulator)?;
    let directory = cache::subdirectory("machines").map_err(text)?;
    let place = directory.join(format!("mounted-{}-{}", emulator.name(), std::process::id()));
    fs::create_dir_all(&place).map_err(text)?;
    let image = place.join("disk");
    let machine = Machine { disks: vec![Disk::raw(&image)], ..linux(images) };
    let (place_text, image, kept_text) = (place.display(), image.display(), kept.0.display());
    let script = format!(
        "mount -t tmpfs -o size=8m tmpfs '{place_text}' && truncate -s {SMALL} '{image}' || exit 77
        \"$@\"; status=$?
        cp --sparse=always '{image}' '{kept_text}' && exit $status"
    );
    let mut command = Command::new("unshare");
    let inner = scripted(&script, emulator, &machine);
    command.args(["--mount", "--map-root-user"]).arg(inner.get_program()).args(inner.get_args());
    let result = fill(&mut command);
    let _ = fs::remove_dir(&place);
    result?;
    let image = fs::read(&kept.0).map_err(text)?;
    expect((1..=20).all(|n| holds(&image, n, n)), || "flushed blocks are lost".to_owned())
}

/// The file may not grow beyond 32 MiB of 64: as above.
pub(crate) fn file_limit(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let disk = Scratch::sparse("limit", emulator, SMALL)?;
    let machine = Machine { disks: vec![Disk::raw(&disk.0)], ..linux(images) };
    // In blocks of 512 bytes.
    fill(&mut scripted("ulimit -f 65536; exec \"$@\"", emulator, &machine))?;
    let image = fs::read(&disk.0).map_err(text)?;
    expect((1..=20).all(|n| holds(&image, n, n)), || "flushed blocks are lost".to_owned())
}

/// Writes 20 blocks, then more than there is room for, then two blocks again.
fn fill(command: &mut Command) -> Result<(), String> {
    let mut console = Console::start(command).map_err(text)?;
    console.wait_for(SHELL_PROMPT, BOOT).map_err(text)?;
    answer(&mut console, QUIET)?;
    let blocks = format!("n=1; while [ $n -le 20 ]; do {}; n=$((n + 1)); done", write(0, "$n"));
    answer(&mut console, &blocks.replace("seek=0", "seek=$n"))?;
    let much = "dd if=/dev/urandom of=/dev/vda bs=64k seek=16 count=900 conv=fsync,notrunc";
    let filled = console.command(much, COMMAND).map_err(text)?;
    expect(filled.status != 0 && filled.output.contains("Input/output error"), || {
        format!("a full disk: status {}\n{}", filled.status, filled.output)
    })?;
    answer(&mut console, "echo 3 >/proc/sys/vm/drop_caches")?;
    let last = format!("dd if=/dev/vda bs={BLOCK} skip=20 count=1 2>/dev/null | sed 's/^0*//'");
    expect_answer(&mut console, &last, "20")?;
    power_off(console).map(drop)
}

pub(crate) fn killed_raw(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let disk = Scratch::sparse("killed", emulator, SMALL)?;
    let flushed = kill_during_writes(emulator, images, Disk::raw(&disk.0))?;
    all_there(&fs::read(&disk.0).map_err(text)?, flushed)
}

pub(crate) fn killed_qcow2(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let disk = Scratch::new("killed-qcow2", emulator)?;
    qemu_img(&["create", "-q", "-f", "qcow2"], &[&disk.0, Path::new(&SMALL.to_string())])?;
    let flushed = kill_during_writes(emulator, images, Disk::qcow2(&disk.0))?;
    all_there(&fs::read(contents(&disk.0, emulator)?.0.as_path()).map_err(text)?, flushed)
}

fn all_there(image: &[u8], flushed: u64) -> Result<(), String> {
    let lost = (1..=flushed).find(|&n| !holds(image, n, n));
    expect(lost.is_none(), || format!("block {lost:?} of {flushed} is lost"))
}

/// Kills the machine while the guest writes, some of it with flushes; the number of the last block whose flush
/// was reported.
fn kill_during_writes(emulator: &Emulator, images: &Images, disk: Disk) -> Result<u64, String> {
    let machine = Machine { disks: vec![disk], ..linux(images) };
    let mut console = boot_to_shell(emulator, &machine)?;
    let other =
        "while :; do dd if=/dev/urandom of=/dev/vda bs=64k seek=512 count=400 conv=notrunc; done";
    console.send(&format!("({other}) 2>/dev/null &\n")).map_err(text)?;
    let blocks = write(0, "$n").replace("seek=0", "seek=$n");
    let each = format!("n=$((n + 1)); {blocks} && echo '@'flushed $n");
    console.send(&format!("n=0; while :; do {each}; done\n")).map_err(text)?;
    console.wait_for("@flushed 40\r\n", COMMAND).map_err(text)?;
    std::thread::sleep(Duration::from_millis(u64::from(std::process::id() % 97)));
    let ended = console.kill().map_err(text)?;
    let reports = ended.output.lines().filter_map(|line| line.strip_prefix("@flushed "));
    let last = reports.filter_map(|number| number.trim().parse().ok()).max();
    last.ok_or_else(|| format!("no reports:\n{}", ended.output))
}
