//! How a whole machine is started: by Ferry, or by the reference, from one description.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::suite::{self, Profile};

/// The reference's version that Ferry is compared with.
pub const REFERENCE_VERSION: &str = "10.0.2";

/// What boots.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// How many CPUs; 0 is the emulator's default.
    pub harts: u32,
    /// Memory in MiB; 0 is the emulator's default.
    pub megabytes: u32,
    /// Firmware: a file, or `none` to enter the kernel in M mode; absent, the emulator's own.
    pub bios: Option<PathBuf>,
    /// What is entered: Linux, U-Boot or an ELF file.
    pub kernel: Option<PathBuf>,
    /// The initramfs.
    pub initrd: Option<PathBuf>,
    /// Linux's command line.
    pub append: Option<String>,
    /// Flash: code, and what it keeps.
    pub flash: Vec<PathBuf>,
    /// Disk images.
    pub disks: Vec<Disk>,
    /// A network card behind NAT, with these ports of the host's loopback forwarded: host, guest.
    pub net: Option<Vec<(u16, u16)>>,
    /// Interrupt controllers of the advanced architecture; absent, a PLIC.
    pub aia: Option<&'static str>,
    /// The machine ends where it would start again.
    pub end_at_reset: bool,
    /// Ferry's runs are all the same; the reference takes no note.
    pub deterministic: bool,
    /// What is on standard input and output.
    pub console: Console,
    /// Where Ferry's control socket is; the reference has none of its kind.
    pub control: Option<PathBuf>,
}

/// A disk image.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The file.
    pub path: PathBuf,
    /// `raw` or `qcow2`.
    pub format: &'static str,
}

impl Disk {
    /// An image that holds the disk as it is.
    #[must_use]
    pub fn raw(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), format: "raw" }
    }

    /// A qcow2 image.
    #[must_use]
    pub fn qcow2(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), format: "qcow2" }
    }
}

/// A machine's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Console {
    /// The first serial port.
    #[default]
    Serial,
    /// A virtio console, on the PCI bus.
    Virtio,
}

/// Who boots it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emulator {
    /// `ferry boot`, by this binary.
    Ferry(PathBuf),
    /// qemu-system-riscv64, by this command.
    Qemu(PathBuf),
}

impl Emulator {
    /// `$FERRY_BOOT_BIN`, or this workspace's Ferry, built now.
    ///
    /// # Errors
    /// A message, when it does not build or has no `boot`.
    pub fn ferry(profile: Profile) -> Result<Self, String> {
        let binary = match env::var_os("FERRY_BOOT_BIN") {
            Some(binary) => binary.into(),
            None => suite::ferry_binary(profile)?,
        };
        let output = Command::new(&binary).args(["boot", "--help"]).output();
        match output {
            Ok(output) if output.status.success() => Ok(Self::Ferry(binary)),
            Ok(_) => Err(format!("{} has no 'boot'", binary.display())),
            Err(error) => Err(format!("{}: {error}", binary.display())),
        }
    }

    /// `$FERRY_QEMU_SYSTEM_RISCV64`, or qemu-system-riscv64 in PATH.
    ///
    /// # Errors
    /// A message, when there is none, or it is of another version than results were compared with.
    pub fn reference() -> Result<Self, String> {
        let program =
            env::var_os("FERRY_QEMU_SYSTEM_RISCV64").unwrap_or("qemu-system-riscv64".into());
        let output = Command::new(&program).arg("--version").output().map_err(|error| {
            format!(
                "{}: {error}; FERRY_QEMU_SYSTEM_RISCV64 names another (Debian package qemu-system-riscv)",
                Path::new(&program).display()
            )
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains(&format!("version {REFERENCE_VERSION}")) {
            return Ok(Self::Qemu(program.into()));
        }
        let first = text.lines().next().unwrap_or_default();
        Err(format!("{first:?} is not the reference, which is {REFERENCE_VERSION}"))
    }

    /// `ferry` or `qemu`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ferry(_) => "ferry",
            Self::Qemu(_) => "qemu",
        }
    }

    /// The command that boots `machine`, with its console on standard input and output.
    #[must_use]
    pub fn boot(&self, machine: &Machine) -> Command {
        match self {
            Self::Ferry(binary) => {
                let mut command = Command::new(binary);
                command.args(["boot", "--arch", "riscv64"]).args(machine.ferry());
                command
            }
            Self::Qemu(binary) => {
                let mut command = Command::new(binary);
                let aia = machine.aia.unwrap_or("none");
                // Ferry's machine is described by a device tree only.
                command.arg("-machine").arg(format!("virt,aia={aia},acpi=off"));
                command.args(["-cpu", "max", "-display", "none"]);
                command.args(["-monitor", "none"]).args(machine.qemu());
                command
            }
        }
    }
}

impl Machine {
    fn ferry(&self) -> Vec<OsString> {
        let mut words = Words::default();
        if let Some(aia) = self.aia {
            words.pair("--machine", format!("virt,aia={aia}"));
        }
        words.number("--smp", self.harts, "");
        words.number("--memory", self.megabytes, "M");
        words.path("--bios", self.bios.as_ref());
        words.path("--kernel", self.kernel.as_ref());
        words.path("--initrd", self.initrd.as_ref());
        words.text("--append", self.append.as_deref());
        for file in &self.flash {
            words.pair("--pflash", file);
        }
        for disk in &self.disks {
            words.pair("--disk", format!("{},format={}", disk.path.display(), disk.format));
        }
        if self.console == Console::Virtio {
            words.pair("--device", "virtio-console,console=stdio");
        }
        if let Some(socket) = &self.control {
            words.pair("--control", format!("unix:{}", socket.display()));
        }
        if let Some(forwards) = &self.net {
            words.pair("--net", format!("user{}", list_of(forwards)));
        }
        if self.end_at_reset {
            words.0.push("--no-reboot".into());
        }
        if self.deterministic {
            words.0.push("--deterministic".into());
        }
        words.0
    }

    fn qemu(&self) -> Vec<OsString> {
        let mut words = Words::default();
        match self.console {
            Console::Serial => words.pair("-serial", "stdio"),
            Console::Virtio => {
                words.pair("-serial", "none");
                words.pair("-device", "virtio-serial-pci");
                words.pair("-chardev", "stdio,id=console,signal=off");
                words.pair("-device", "virtconsole,chardev=console");
            }
        }
        words.number("-smp", self.harts, "");
        words.number("-m", self.megabytes, "M");
        words.path("-bios", self.bios.as_ref());
        words.path("-kernel", self.kernel.as_ref());
        words.path("-initrd", self.initrd.as_ref());
        words.text("-append", self.append.as_deref());
        for (bank, file) in self.flash.iter().enumerate() {
            let access = if bank == 0 { "on" } else { "off" };
            words.pair(
                "-drive",
                format!(
                    "if=pflash,unit={bank},format=raw,readonly={access},file={}",
                    file.display()
                ),
            );
        }
        for (number, disk) in self.disks.iter().enumerate() {
            words.pair(
                "-drive",
                format!(
                    "file={},format={},if=none,id=disk{number}",
                    disk.path.display(),
                    disk.format
                ),
            );
            words.pair("-device", format!("virtio-blk-pci,drive=disk{number}"));
        }
        if let Some(forwards) = &self.net {
            words.pair("-netdev", format!("user,id=net{}", list_of(forwards)));
            // Its option ROM is for PCs, and not part of qemu's own packages.
            words.pair("-device", "virtio-net-pci,netdev=net,romfile=".to_owned());
        }
        if self.end_at_reset {
            words.0.push("-no-reboot".into());
        }
        words.0
    }
}

fn list_of(forwards: &[(u16, u16)]) -> String {
    forwards.iter().map(|(host, guest)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}")).collect()
}

#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    fn pair(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.extend([option.into(), value.into()]);
    }

    fn number(&mut self, option: &str, value: u32, unit: &str) {
        if value != 0 {
            self.pair(option, format!("{value}{unit}"));
        }
    }

    fn path(&mut self, option: &str, value: Option<&PathBuf>) {
        if let Some(path) = value {
            self.pair(option, path);
        }
    }

    fn text(&mut self, option: &str, value: Option<&str>) {
        if let Some(text) = value {
            self.pair(option, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(emulator: &Emulator) -> String {
        let machine = Machine {
            harts: 2,
            kernel: Some("/k".into()),
            append: Some("console=ttyS0".into()),
            net: Some(vec![(2007, 7)]),
            ..Machine::default()
        };
        format!("{:?}", emulator.boot(&machine)).replace('"', "")
    }

    #[test]
    fn both_emulators_get_the_same_machine() {
        assert_eq!(
            line(&Emulator::Ferry("ferry".into())),
            "ferry boot --arch riscv64 --smp 2 --kernel /k --append console=ttyS0 \
             --net user,hostfwd=tcp:127.0.0.1:2007-:7"
        );
        let qemu = line(&Emulator::Qemu("qemu".into()));
        assert!(qemu.contains("-smp 2 -kernel /k -append console=ttyS0 -netdev user,id=net,hostfwd=tcp:127.0.0.1:2007-:7"), "{qemu}");
    }
}
