//! UEFI firmware (EDK2) in flash: to its shell, and on to Linux by its EFI stub.

use std::fs;

use ferry_testsuite::console::Console;
use ferry_testsuite::image::{self, Efi, Images};
use ferry_testsuite::machine::{Emulator, Machine};
use ferry_testsuite::process::End;

use super::disks::Scratch;
use super::{BOOT, COMMAND, QUIET, SHELL_PROMPT, answer, expect, expect_answer, power_off, text};

/// The firmware and a copy of its variables. None, with a word about it, where it is not in the cache.
fn firmware(emulator: &Emulator) -> Result<Option<(Efi, Scratch)>, String> {
    let Some(efi) = image::efi(&|_| {}).map_err(text)? else {
        let _ = ferry_testsuite::suite::skip(
            "machine",
            "UEFI firmware: it is not in the test cache; FERRY_TEST_FULL=1 fetches it",
        );
        return Ok(None);
    };
    let variables = Scratch::new("efi", emulator)?;
    fs::copy(&efi.variables, &variables.0).map_err(text)?;
    Ok(Some((efi, variables)))
}

fn machine(efi: &Efi, variables: &Scratch) -> Machine {
    let flash = vec![efi.code.clone(), variables.0.clone()];
    Machine { harts: 2, megabytes: 1024, flash, ..Machine::default() }
}

/// There is nothing to start, so its shell opens. What it is told to keep is in the second bank's file.
pub(crate) fn shell(emulator: &Emulator, _: &Images) -> Result<(), String> {
    let Some((efi, variables)) = firmware(emulator)? else { return Ok(()) };
    let before = fs::read(&variables.0).map_err(text)?;
    let boot = || Console::start(&mut emulator.boot(&machine(&efi, &variables))).map_err(text);
    let mut console = boot()?;
    let to_shell = |console: &mut Console| {
        console.wait_for("to skip", BOOT).map_err(text)?;
        console.send("\x1b").map_err(text)?;
        console.wait_for("Shell> ", BOOT).map_err(text)
    };
    to_shell(&mut console)?;
    console.send("set kept something\r").map_err(text)?;
    console.wait_for("Shell> ", COMMAND).map_err(text)?;
    end(console)?;
    expect(fs::read(&variables.0).map_err(text)? != before, || "nothing was kept".to_owned())?;
    let mut console = boot()?;
    to_shell(&mut console)?;
    console.send("echo %kept%\r").map_err(text)?;
    console.wait_for("\nsomething", COMMAND).map_err(text)?;
    end(console)
}

fn end(mut console: Console) -> Result<(), String> {
    console.send("reset -s\r").map_err(text)?;
    let ended = console.end(COMMAND).map_err(text)?;
    expect(ended.end == End::Exit(0), || format!("{:?}\n{}", ended.end, ended.errors))
}

/// The kernel that it finds in the configuration device, as an EFI program.
pub(crate) fn linux(emulator: &Emulator, images: &Images) -> Result<(), String> {
    let Some((efi, variables)) = firmware(emulator)? else { return Ok(()) };
    let machine = Machine {
        kernel: Some(images.kernel.clone()),
        initrd: Some(images.initramfs.clone()),
        append: Some("console=ttyS0".to_owned()),
        ..machine(&efi, &variables)
    };
    let mut console = Console::start(&mut emulator.boot(&machine)).map_err(text)?;
    console.wait_for(SHELL_PROMPT, BOOT).map_err(text)?;
    answer(&mut console, QUIET)?;
    expect_answer(&mut console, "cat /sys/firmware/efi/fw_platform_size", "64")?;
    expect_answer(&mut console, "nproc", "2")?;
    power_off(console).map(drop)
}
