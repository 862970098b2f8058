//! QEMU's firmware configuration device (its `docs/specs/fw_cfg.rst`): numbered items and named files of
//! bytes, read through a data register or by DMA; some can be written by DMA.
//!
//! What differs: a transfer that goes far beyond an item's end is an error, not zeros.

use std::collections::BTreeMap;

use vm_memory::{Bytes, GuestAddress, GuestMemory as _, Permissions};

use crate::device::{Access, Device, Effect, Refusal, Width, World};

/// Well-known items ("Firmware Configuration Items"). What is longer than bytes is little-endian.
pub mod key {
    /// "QEMU".
    pub const SIGNATURE: u16 = 0x00;
    /// Features, 32 bits: bit 0 the data register, bit 1 DMA.
    pub const ID: u16 = 0x01;
    /// CPUs, 16 bits.
    pub const NB_CPUS: u16 = 0x05;
    /// Bytes of the kernel, 32 bits.
    pub const KERNEL_SIZE: u16 = 0x08;
    /// Bytes of the initial RAM disk, 32 bits.
    pub const INITRD_SIZE: u16 = 0x0b;
    /// The most CPUs that there can be, 16 bits.
    pub const MAX_CPUS: u16 = 0x0f;
    /// The kernel.
    pub const KERNEL_DATA: u16 = 0x11;
    /// The initial RAM disk.
    pub const INITRD_DATA: u16 = 0x12;
    /// Bytes of the command line with its final zero, 32 bits.
    pub const CMDLINE_SIZE: u16 = 0x14;
    /// The command line and a zero.
    pub const CMDLINE_DATA: u16 = 0x15;
    /// The directory of files.
    pub const FILE_DIR: u16 = 0x19;
    /// The first file.
    pub const FILE_FIRST: u16 = 0x20;
}

/// Bits of the DMA control word.
mod control {
    pub(super) const ERROR: u32 = 1 << 0;
    pub(super) const READ: u32 = 1 << 1;
    pub(super) const SKIP: u32 = 1 << 2;
    pub(super) const SELECT: u32 = 1 << 3;
    pub(super) const WRITE: u32 = 1 << 4;
}

/// Keys are these bits of what is selected; another asks for writing, which only DMA does.
const KEY: u16 = 0xbfff;
/// Bytes of a file's name, with a final zero.
const NAME: usize = 56;
/// Files at most.
const FILES: usize = 0x1000;
/// Zeros that are read beyond an item's end by one transfer.
const BEYOND: u64 = 1 << 20;
/// What the DMA address register reads as.
const DMA_SIGNATURE: u64 = u64::from_be_bytes(*b"QEMU CFG");

/// Where the registers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// In memory: data at 0, selector (big-endian) at 8, DMA address (big-endian) at 16.
    Mmio,
    /// In x86's ports from 0x510: selector (little-endian) at 0, data at 1, DMA address (big-endian) at 4.
    Ports,
}

/// Why something cannot be offered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FwCfgError {
    /// Names have 55 bytes at most.
    #[error("the firmware file's name '{0}' is too long")]
    Name(String),
    /// There is one of that name.
    #[error("there is a firmware file '{0}' already")]
    Duplicate(String),
    /// Sizes have 32 bits.
    #[error("the firmware file '{0}' is too large")]
    Size(String),
    /// There are 4096 at most.
    #[error("there are too many firmware files for '{0}'")]
    TooMany(String),
}

#[derive(Clone, Debug)]
struct Item {
    bytes: Vec<u8>,
    /// What is in it after a reset, if the guest may write to it.
    writable: Option<Vec<u8>>,
}

/// The device.
#[derive(Clone, Debug)]
pub struct FwCfg {
    layout: Layout,
    items: BTreeMap<u16, Item>,
    /// Files' keys.
    files: BTreeMap<String, u16>,
    selected: u16,
    position: u64,
    /// The upper half of the next DMA address.
    dma_high: u64,
}

/// A register, and where in it an access starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Register {
    Data,
    Selector,
    Dma(u64),
}

impl FwCfg {
    /// With no items but those that say so.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let (items, files) = (BTreeMap::new(), BTreeMap::new());
        let mut device = Self { layout, items, files, selected: 0, position: 0, dma_high: 0 };
        device.set(key::SIGNATURE, b"QEMU".to_vec());
        device.set(key::ID, 0b11_u32.to_le_bytes().to_vec());
        device.write_directory();
        device
    }

    /// Sets an item. The directory and the files have functions of their own.
    pub fn set(&mut self, key: u16, bytes: Vec<u8>) {
        self.items.insert(key & KEY, Item { bytes, writable: None });
    }

    /// Offers a file.
    ///
    /// # Errors
    /// Its name or its size are impossible, or taken.
    pub fn add_file(&mut self, name: &str, bytes: Vec<u8>) -> Result<u16, FwCfgError> {
        self.add(name, Item { bytes, writable: None })
    }

    /// Offers a file that the guest may write to, but not extend.
    ///
    /// # Errors
    /// As [`FwCfg::add_file`].
    pub fn add_writable_file(&mut self, name: &str, bytes: Vec<u8>) -> Result<u16, FwCfgError> {
        self.add(name, Item { writable: Some(bytes.clone()), bytes })
    }

    /// A file as it is now.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).and_then(|key| self.items.get(key)).map(|item| item.bytes.as_slice())
    }

    fn add(&mut self, name: &str, item: Item) -> Result<u16, FwCfgError> {
        let error = match name {
            _ if name.len() >= NAME => Some(FwCfgError::Name(name.to_owned())),
            _ if self.files.contains_key(name) => Some(FwCfgError::Duplicate(name.to_owned())),
            _ if u32::try_from(item.bytes.len()).is_err() => {
                Some(FwCfgError::Size(name.to_owned()))
            }
            _ if self.files.len() >= FILES => Some(FwCfgError::TooMany(name.to_owned())),
            _ => None,
        };
        if let Some(error) = error {
            return Err(error);
        }
        let key = key::FILE_FIRST + self.files.len() as u16;
        self.files.insert(name.to_owned(), key);
        self.items.insert(key, item);
        self.write_directory();
        Ok(key)
    }

    /// The directory: how many, then each file's size, key and name; all big-endian.
    fn write_directory(&mut self) {
        let mut bytes = (self.files.len() as u32).to_be_bytes().to_vec();
        for (name, key) in &self.files {
            let size = self.items.get(key).map_or(0, |item| item.bytes.len() as u32);
            bytes.extend(size.to_be_bytes());
            bytes.extend(key.to_be_bytes());
            bytes.extend([0; 2]);
            bytes.extend(name.bytes().chain(std::iter::repeat(0)).take(NAME));
        }
        self.set(key::FILE_DIR, bytes);
    }

    fn select(&mut self, key: u16) {
        self.selected = key & KEY;
        self.position = 0;
    }

    /// The selected item from the current position on.
    fn rest(&self) -> &[u8] {
        let item = self.items.get(&self.selected);
        let position = usize::try_from(self.position).unwrap_or(usize::MAX);
        item.and_then(|item| item.bytes.get(position..)).unwrap_or_default()
    }

    /// The next bytes as they lie in memory; zeros beyond the end.
    fn read_data(&mut self, width: Width) -> u64 {
        let mut bytes = [0; 8];
        let part = &mut bytes[..width.bytes() as usize];
        part.iter_mut().zip(self.rest()).for_each(|(to, &byte)| *to = byte);
        self.position = self.position.saturating_add(width.bytes());
        u64::from_le_bytes(bytes)
    }

    fn decode(&self, access: Access) -> Result<Register, Refusal> {
        let (data, selector, dma) = match self.layout {
            Layout::Mmio => (0, 8, 16),
            Layout::Ports => (1, 0, 4),
        };
        let Access { offset, width, .. } = access;
        match offset {
            _ if offset == selector && width == Width::B2 => Ok(Register::Selector),
            _ if offset == data && (width == Width::B1 || self.layout == Layout::Mmio) => {
                Ok(Register::Data)
            }
            _ if offset == dma && matches!(width, Width::B4 | Width::B8) => Ok(Register::Dma(0)),
            _ if offset == dma + 4 && width == Width::B4 => Ok(Register::Dma(4)),
            _ if [selector, data, dma, dma + 4].contains(&offset) => Err(Refusal::Width),
            _ => Err(Refusal::NoRegister),
        }
    }

    /// A transfer as described at this address: control, length and address, big-endian. The control word
    /// says afterwards how it went.
    fn dma(&mut self, at: u64, world: &World<'_>) {
        let mut block = [0; 16];
        if world.memory.read_slice(&mut block, GuestAddress(at)).is_err() {
            return;
        }
        let block = u128::from_be_bytes(block);
        let (command, len) = ((block >> 96) as u32, (block >> 64) as u32);
        if command & control::SELECT != 0 {
            self.select((command >> 16) as u16);
        }
        let done = self.transfer(command, len.into(), GuestAddress(block as u64), world);
        let result = if done.is_some() { 0 } else { control::ERROR };
        // It could be read, so it is RAM.
        let _ = world.memory.write_slice(&result.to_be_bytes(), GuestAddress(at));
    }

    fn transfer(
        &mut self,
        command: u32,
        len: u64,
        at: GuestAddress,
        world: &World<'_>,
    ) -> Option<()> {
        if command & (control::READ | control::WRITE | control::SKIP) == 0 {
            return Some(());
        }
        let rest = self.rest();
        let present = (rest.len() as u64).min(len);
        if command & control::READ != 0 {
            let zeros = len - present;
            let all = usize::try_from(len).ok().filter(|_| zeros <= BEYOND)?;
            if !world.memory.check_range(at, all, Permissions::Write) {
                return None;
            }
            world.memory.write_slice(&rest[..present as usize], at).ok()?;
            let beyond = GuestAddress(at.0.checked_add(present)?);
            world.memory.write_slice(&vec![0; zeros as usize], beyond).ok()?;
        } else if command & control::WRITE != 0 {
            let item = self.items.get_mut(&self.selected)?;
            let start = usize::try_from(self.position).ok()?;
            let end = start.checked_add(usize::try_from(len).ok()?)?;
            item.writable.as_ref()?;
            let bytes = item.bytes.get_mut(start..end)?;
            world.memory.read_slice(bytes, at).ok()?;
        }
        self.position = self.position.saturating_add(len);
        Some(())
    }
}

impl Device for FwCfg {
    fn name(&self) -> &'static str {
        "qemu,fw-cfg"
    }

    fn windows(&self) -> Vec<u64> {
        vec![match self.layout {
            Layout::Mmio => 0x18,
            Layout::Ports => 12,
        }]
    }

    fn read(&mut self, access: Access, _: &World<'_>) -> Result<u64, Refusal> {
        Ok(match self.decode(access)? {
            Register::Data => self.read_data(access.width),
            Register::Selector => 0,
            // Big-endian: the first bytes are the upper ones.
            Register::Dma(byte) => DMA_SIGNATURE.swap_bytes() >> (8 * byte),
        })
    }

    fn write(&mut self, access: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        match (self.decode(access)?, self.layout) {
            (Register::Data, _) => {}
            (Register::Selector, Layout::Mmio) => self.select((value as u16).swap_bytes()),
            (Register::Selector, Layout::Ports) => self.select(value as u16),
            (Register::Dma(0), _) if access.width == Width::B8 => {
                self.dma(value.swap_bytes(), world)
            }
            (Register::Dma(0), _) => self.dma_high = u64::from((value as u32).swap_bytes()) << 32,
            (Register::Dma(_), _) => {
                let high = std::mem::take(&mut self.dma_high);
                self.dma(high | u64::from((value as u32).swap_bytes()), world);
            }
        }
        Ok(Effect::None)
    }

    fn reset(&mut self) {
        (self.selected, self.position, self.dma_high) = (0, 0, 0);
        for item in self.items.values_mut() {
            if let Some(initial) = &item.writable {
                item.bytes.clone_from(initial);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::devices::bench::{Bench, any_access, memory_at};

    const RAM: u64 = 0x8000_0000;
    const SIZE: u64 = 0x1_0000;

    /// With a file "opt/z" (key 0x20) of 5 bytes and a writable "etc/b" (0x21) of 4.
    fn fw_cfg() -> Bench<FwCfg> {
        let mut device = FwCfg::new(Layout::Mmio);
        assert_eq!(device.add_file("opt/z", b"hello".to_vec()), Ok(0x20));
        assert_eq!(device.add_writable_file("etc/b", vec![0; 4]), Ok(0x21));
        let mut bench = Bench::new(device);
        bench.memory = memory_at(RAM, SIZE);
        bench
    }

    fn select(fw_cfg: &mut Bench<FwCfg>, key: u16) {
        fw_cfg.write(8, Width::B2, key.swap_bytes().into());
    }

    /// What the control word is after a transfer.
    fn dma(fw_cfg: &mut Bench<FwCfg>, control: u32, len: u32, address: u64) -> u32 {
        let block = u128::from(control) << 96 | u128::from(len) << 64 | u128::from(address);
        fw_cfg.memory.write_slice(&block.to_be_bytes(), GuestAddress(RAM)).unwrap();
        fw_cfg.write(16, Width::B8, RAM.swap_bytes());
        u32::from_be_bytes(fw_cfg.memory.read_obj(GuestAddress(RAM)).unwrap())
    }

    fn memory(fw_cfg: &Bench<FwCfg>, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        fw_cfg.memory.read_slice(&mut bytes, GuestAddress(RAM + offset)).unwrap();
        bytes
    }

    #[test]
    fn items_are_read_byte_by_byte_and_in_words() {
        let mut fw_cfg = fw_cfg();
        select(&mut fw_cfg, key::SIGNATURE);
        assert_eq!(fw_cfg.read32(0).to_le_bytes()[..4], *b"QEMU");
        select(&mut fw_cfg, key::ID);
        assert_eq!([(); 5].map(|()| fw_cfg.read(0, Width::B1)), [3, 0, 0, 0, 0]);
        select(&mut fw_cfg, 0x20);
        assert_eq!(fw_cfg.read(0, Width::B8).to_le_bytes(), *b"hello\0\0\0");
        select(&mut fw_cfg, 0x99);
        assert_eq!(fw_cfg.read(0, Width::B8), 0);
        assert_eq!(fw_cfg.read(16, Width::B8).to_le_bytes(), *b"QEMU CFG");
        assert_eq!(fw_cfg.read32(20).to_le_bytes()[..4], *b" CFG");
    }

    #[test]
    fn the_directory_lists_files_by_name() {
        let mut fw_cfg = fw_cfg();
        let command = u32::from(key::FILE_DIR) << 16 | control::SELECT | control::READ;
        assert_eq!(dma(&mut fw_cfg, command, 4 + 2 * 64, RAM + 0x100), 0);
        let bytes = memory(&fw_cfg, 0x100, 4 + 2 * 64);
        assert_eq!(bytes[..18], *b"\0\0\0\x02\0\0\0\x04\0\x21\0\0etc/b\0");
        assert_eq!(bytes[68..82], *b"\0\0\0\x05\0\x20\0\0opt/z\0");
    }

    #[test]
    fn dma_reads_skips_and_writes() {
        let mut fw_cfg = fw_cfg();
        select(&mut fw_cfg, 0x20);
        assert_eq!(dma(&mut fw_cfg, control::SKIP, 2, 0), 0);
        assert_eq!(dma(&mut fw_cfg, control::READ, 5, RAM + 0x100), 0);
        assert_eq!(memory(&fw_cfg, 0x100, 5), b"llo\0\0");
        fw_cfg.memory.write_slice(b"data", GuestAddress(RAM + 0x200)).unwrap();
        let write = control::SELECT | control::WRITE;
        assert_eq!(dma(&mut fw_cfg, 0x21 << 16 | write, 4, RAM + 0x200), 0);
        assert_eq!(fw_cfg.device.file("etc/b"), Some(&b"data"[..]));
        fw_cfg.device.reset();
        assert_eq!(fw_cfg.device.file("etc/b"), Some(&[0; 4][..]));
    }

    #[test]
    fn impossible_transfers_are_errors() {
        let mut fw_cfg = fw_cfg();
        let (read, write) = (control::SELECT | control::READ, control::SELECT | control::WRITE);
        for (command, len, address) in [
            (0x20 << 16 | read, 5, 0),
            (0x20 << 16 | read, 5, u64::MAX),
            (0x20 << 16 | read, 5, RAM + SIZE - 4),
            (0x20 << 16 | read, u32::MAX, RAM),
            (0x20 << 16 | write, 5, RAM),
            (0x21 << 16 | write, 5, RAM),
            (0x21 << 16 | write, 4, 0),
            (0x99 << 16 | write, 1, RAM),
        ] {
            assert_eq!(dma(&mut fw_cfg, command, len, address), control::ERROR, "{command:#x}");
        }
        fw_cfg.write(16, Width::B8, 0);
    }

    #[test]
    fn the_address_comes_in_halves_too() {
        let mut fw_cfg = fw_cfg();
        let block = u128::from(0x20_u32 << 16 | control::SELECT | control::READ) << 96;
        let block = block | 5 << 64 | u128::from(RAM + 0x100);
        fw_cfg.memory.write_slice(&block.to_be_bytes(), GuestAddress(RAM)).unwrap();
        fw_cfg.write32(16, 0);
        fw_cfg.write32(20, (RAM as u32).swap_bytes().into());
        assert_eq!(memory(&fw_cfg, 0x100, 5), b"hello");
    }

    #[test]
    fn ports_are_little_endian() {
        let mut ports = Bench::new(FwCfg::new(Layout::Ports));
        ports.write(0, Width::B2, key::SIGNATURE.into());
        assert_eq!([(); 4].map(|()| ports.read(1, Width::B1) as u8), *b"QEMU");
        let wide = Access { window: 0, offset: 1, width: Width::B2 };
        assert_eq!(ports.try_read(wide), Err(Refusal::Width));
    }

    #[test]
    fn names_are_checked() {
        let mut device = FwCfg::new(Layout::Mmio);
        let long = "x".repeat(56);
        assert_eq!(device.add_file(&long, vec![]), Err(FwCfgError::Name(long)));
        assert_eq!(device.add_file("a", vec![]), Ok(0x20));
        assert_eq!(device.add_file("a", vec![]), Err(FwCfgError::Duplicate("a".to_owned())));
    }

    proptest! {
        #[test]
        fn no_access_or_transfer_panics(steps in prop::collection::vec((any_access(0, 0x18), any::<u64>(), any::<u32>(), 0_u32..0x30, any::<bool>()), 0..50)) {
            let mut fw_cfg = fw_cfg();
            for (access, value, len, control, near) in steps {
                let _ = fw_cfg.try_read(access);
                let _ = fw_cfg.try_write(access, value);
                let (len, address) = if near { (len % 64, RAM + value % SIZE) } else { (len, value) };
                prop_assert!(dma(&mut fw_cfg, (value as u32) << 16 | control, len, address) <= 1 || near);
            }
        }
    }
}
