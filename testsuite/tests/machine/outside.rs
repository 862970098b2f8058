//! What reaches a machine from outside: a console with a size, a power button.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use ferry_testsuite::cache;
use ferry_testsuite::console::Console;
use ferry_testsuite::image::Images;
use ferry_testsuite::machine::{self, Disk, Emulator, Machine};
use ferry_testsuite::process::End;

use super::{
    BOOT, COMMAND, Copied, QUIET, SHELL_PROMPT, answer, boot_to_shell, expect, expect_answer,
    linux, log_in, power_off, text,
};

/// A virtio console as the kernel's: its size is that of the terminal, and follows it.
pub(crate) fn virtio_console(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let machine = Machine {
        console: machine::Console::Virtio,
        append: Some("console=hvc0".to_owned()),
        ..linux(images)
    };
    let mut console = Console::start_on_terminal(&mut emulator.boot(&machine)).map_err(text)?;
    console.wait_for(SHELL_PROMPT, BOOT).map_err(text)?;
    answer(&mut console, QUIET)?;
    expect_answer(&mut console, "tty", "/dev/hvc0")?;
    expect_answer(&mut console, "stty size", "24 80")?;
    let sum = "seq 1 20000 | md5sum | cut -c1-8; seq 1 20000 | tail -n 1";
    expect_answer(&mut console, sum, "e071f707\n20000")?;
    console.resize(132, 43).map_err(text)?;
    let start = Instant::now();
    while answer(&mut console, "stty size")?.trim() != "43 132" {
        expect(start.elapsed() < COMMAND, || "the size does not follow".to_owned())?;
    }
    // The kernel's last words do not leave it any more.
    console.send("poweroff\n").map_err(text)?;
    let ended = console.end(COMMAND).map_err(text)?;
    expect(ended.end == End::Exit(0), || format!("{:?}\n{}", ended.end, ended.errors))
}

/// A control socket, which goes away with its machine.
fn socket(name: &str) -> Result<PathBuf, String> {
    let directory = cache::subdirectory("sockets").map_err(text)?;
    let path = directory.join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    Ok(path)
}

/// `ferry ctl SOCKET powerdown`: its status, and what it complains of.
fn press(emulator: &Emulator, machine: &Machine) -> Result<(Option<i32>, String), String> {
    let (Emulator::Ferry(ferry), Some(socket)) = (emulator, &machine.control) else {
        return Err("this is for Ferry's own control socket".to_owned());
    };
    let output = Command::new(ferry).arg("ctl").arg(socket).arg("powerdown").output();
    let output = output.map_err(text)?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// A whole system shuts down when its power button is pressed.
pub(crate) fn power_button(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let disk = Copied::disk(images, &format!("button-{}", emulator.name()))?;
    let machine = Machine {
        harts: 2,
        megabytes: 1024,
        append: Some("console=ttyS0 root=/dev/vda".to_owned()),
        disks: vec![Disk::raw(&disk.0)],
        control: Some(socket("button")?),
        ..linux(images)
    };
    let mut console = log_in(emulator, &machine)?;
    expect_answer(&mut console, "systemctl is-active systemd-logind", "active")?;
    let pressed = press(emulator, &machine)?;
    expect(pressed == (Some(0), String::new()), || format!("{pressed:?}"))?;
    console.wait_for("reboot: Power down", COMMAND).map_err(text)?;
    let ended = console.end(COMMAND).map_err(text)?;
    expect(ended.end == End::Exit(0), || format!("{:?}\n{}", ended.end, ended.errors))
}

/// A system whose kernel has no driver for the button: pressing it is refused, and changes nothing.
pub(crate) fn no_power_button(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let machine = Machine { control: Some(socket("no-button")?), ..linux(images) };
    let mut console = boot_to_shell(emulator, &machine)?;
    let (status, complaint) = press(emulator, &machine)?;
    expect(status == Some(1) && complaint.contains("virtio_input"), || {
        format!("status {status:?}: {complaint}")
    })?;
    expect_answer(&mut console, "echo still here", "still here")?;
    power_off(console).map(drop)
}
