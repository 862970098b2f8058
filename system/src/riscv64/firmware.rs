//! What firmware finds beside RAM: flash, and the firmware configuration device.
//!
//! Code runs in place in the first bank, which therefore is ROM; the second keeps what firmware writes.

use std::path::{Path, PathBuf};

use softmmu::{Ram, RamError};

use crate::bus::{AttachError, Bus};
use crate::devices::fw_cfg::{FwCfg, Layout, key};
use crate::devices::pflash::{Pflash, SizeError};
use crate::host::flash::{FlashFile, FlashFileError};
use crate::riscv64::boot::{self, BootError};
use crate::riscv64::layout;

/// Why there is no flash.
#[derive(Debug, thiserror::Error)]
pub enum FirmwareError {
    /// The file of the first bank.
    #[error(transparent)]
    Read(#[from] BootError),
    /// The file of the second.
    #[error(transparent)]
    File(#[from] FlashFileError),
    /// Its memory.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// Its place.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Its size.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// There are two banks.
    #[error("there are two banks of flash, not {0}")]
    Banks(usize),
    /// The code is longer than a bank.
    #[error("{} has {bytes} bytes, more than the {size} of a bank of flash", path.display(), size = layout::FLASH_BANK)]
    Large {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        bytes: usize,
    },
}

/// What firmware is to start.
pub(super) struct Offer<'a> {
    pub(super) kernel: Option<&'a Path>,
    pub(super) initrd: Option<&'a Path>,
    pub(super) command_line: &'a str,
}

/// Adds both banks: code and variables, by their files; without one, flash that ends with the machine.
pub(super) fn attach_flash(bus: &mut Bus, files: &[PathBuf]) -> Result<(), FirmwareError> {
    if files.len() > layout::FLASH_BANKS as usize {
        return Err(FirmwareError::Banks(files.len()));
    }
    match files.first() {
        Some(path) => bus.add_rom(&code(path)?)?,
        None => drop(bus.attach(&[layout::FLASH], Box::new(empty()?))?),
    }
    let second = match files.get(1) {
        Some(path) => {
            let (contents, file) = FlashFile::open(path, layout::FLASH_BANK)?;
            Pflash::new(contents, Box::new(file))?
        }
        None => empty()?,
    };
    let at = layout::FLASH.wrapping_add(layout::FLASH_BANK);
    bus.attach(&[at], Box::new(second))?;
    Ok(())
}

fn code(path: &Path) -> Result<Ram, FirmwareError> {
    let bytes = boot::read(path)?;
    if bytes.len() as u64 > layout::FLASH_BANK {
        return Err(FirmwareError::Large { path: path.to_owned(), bytes: bytes.len() });
    }
    let rom = Ram::new(layout::FLASH, layout::FLASH_BANK)?;
    rom.write(0, &bytes)?;
    Ok(rom)
}

/// Zeros, which cost no memory until they are written to.
fn empty() -> Result<Pflash, SizeError> {
    Pflash::new(vec![0; layout::FLASH_BANK as usize], Box::new(()))
}

/// Adds the configuration device. What is to be started stands in it if firmware in flash is to do so.
pub(super) fn attach_fw_cfg(
    bus: &mut Bus,
    offer: Option<Offer<'_>>,
    harts: u32,
) -> Result<(), FirmwareError> {
    let mut device = FwCfg::new(Layout::Mmio);
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    let cpus = (harts as u16).to_le_bytes().to_vec();
    device.set(key::NB_CPUS, cpus.clone());
    device.set(key::MAX_CPUS, cpus);
    if let Some(offer) = offer {
        let files = [
            (offer.kernel, key::KERNEL_SIZE, key::KERNEL_DATA),
            (offer.initrd, key::INITRD_SIZE, key::INITRD_DATA),
        ];
        for (path, size, data) in files {
            let bytes = path.map_or(Ok(Vec::new()), boot::read)?;
            device.set(size, number(bytes.len()));
            device.set(data, bytes);
        }
        let line = [offer.command_line.as_bytes(), b"\0"].concat();
        device.set(key::CMDLINE_SIZE, number(line.len()));
        device.set(key::CMDLINE_DATA, line);
    }
    bus.attach(&[layout::FW_CFG], Box::new(device))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::GuestPhys;

    use super::*;
    use crate::device::{Time, Width};

    fn bus() -> Bus {
        Bus::new(0, Arc::new(|| ()))
    }

    fn read(bus: &mut Bus, at: GuestPhys) -> u64 {
        bus.read(at, Width::B4, Time(0)).unwrap()
    }

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ferry-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn code_is_rom_and_variables_are_kept() {
        let (code, variables) = (file("code", b"code"), file("variables", b"vars"));
        let mut bus = bus();
        attach_flash(&mut bus, &[code.clone(), variables.clone()]).unwrap();
        let second = layout::FLASH.wrapping_add(layout::FLASH_BANK);
        assert_eq!(read(&mut bus, layout::FLASH), u64::from(u32::from_le_bytes(*b"code")));
        assert_eq!(read(&mut bus, second), u64::from(u32::from_le_bytes(*b"vars")));
        assert!(bus.write(layout::FLASH, Width::B4, 0, Time(0)).is_err());
        // Word program.
        bus.write(second, Width::B4, 0x40_0040, Time(0)).unwrap();
        bus.write(second, Width::B4, 0, Time(0)).unwrap();
        let kept = std::fs::read(&variables).unwrap();
        [code, variables].iter().for_each(|path| std::fs::remove_file(path).unwrap());
        assert_eq!(&kept[..5], b"\0\0\0\0\xff");
    }

    #[test]
    fn there_are_two_banks() {
        let paths = ["a", "b", "c"].map(PathBuf::from);
        assert!(matches!(attach_flash(&mut bus(), &paths), Err(FirmwareError::Banks(3))));
        let mut bus = bus();
        attach_flash(&mut bus, &[]).unwrap();
        assert_eq!(read(&mut bus, layout::FLASH), 0);
    }

    #[test]
    fn firmware_finds_the_kernel() {
        let kernel = file("kernel", b"kernel!");
        let offer = Offer { kernel: Some(&kernel), initrd: None, command_line: "quiet" };
        let mut bus = bus();
        attach_fw_cfg(&mut bus, Some(offer), 3).unwrap();
        std::fs::remove_file(&kernel).unwrap();
        let mut item = |key: u16| {
            let selector = layout::FW_CFG.wrapping_add(8);
            bus.write(selector, Width::B2, key.swap_bytes().into(), Time(0)).unwrap();
            read(&mut bus, layout::FW_CFG)
        };
        assert_eq!(
            [item(key::NB_CPUS), item(key::KERNEL_SIZE), item(key::CMDLINE_SIZE)],
            [3, 7, 6]
        );
        assert_eq!(item(key::KERNEL_DATA), u64::from(u32::from_le_bytes(*b"kern")));
    }
}
