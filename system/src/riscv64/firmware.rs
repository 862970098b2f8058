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
