//! Configuration space of a function, type 0 (PCI Local Bus 3.0, chapter 6): what it is, where its
//! registers lie, and its capabilities.

use crate::device::Width;

/// Bytes of it. The extended part behind, of PCI Express, reads as zeros: there are no extended
/// capabilities.
const LEN: usize = 256;

/// Registers, by offset (6.1).
pub(super) mod reg {
    pub(in super::super) const VENDOR_ID: u16 = 0x00;
    pub(in super::super) const DEVICE_ID: u16 = 0x02;
    pub(in super::super) const COMMAND: u16 = 0x04;
    pub(in super::super) const STATUS: u16 = 0x06;
    pub(in super::super) const REVISION_ID: u16 = 0x08;
    pub(in super::super) const CACHE_LINE_SIZE: u16 = 0x0c;
    pub(in super::super) const BASE_ADDRESS_0: u16 = 0x10;
    pub(in super::super) const SUBSYSTEM_VENDOR_ID: u16 = 0x2c;
    pub(in super::super) const SUBSYSTEM_ID: u16 = 0x2e;
    pub(in super::super) const CAPABILITIES: u16 = 0x34;
    pub(in super::super) const INTERRUPT_LINE: u16 = 0x3c;
    pub(in super::super) const INTERRUPT_PIN: u16 = 0x3d;
    /// The end of the header.
    pub(in super::super) const END: u16 = 0x40;
}

/// Bits of the command register (6.2.2).
mod command {
    pub(super) const IO_SPACE: u16 = 1 << 0;
    pub(super) const MEMORY_SPACE: u16 = 1 << 1;
    pub(super) const BUS_MASTER: u16 = 1 << 2;
    pub(super) const INTERRUPT_DISABLE: u16 = 1 << 10;
}

/// Bits of the status register (6.2.3).
mod status {
    pub(super) const INTERRUPT: u16 = 1 << 3;
    pub(super) const CAPABILITIES_LIST: u16 = 1 << 4;
}

/// What a function is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Whose it is.
    pub vendor: u16,
    /// Which of theirs.
    pub device: u16,
    /// Of which make.
    pub revision: u8,
    /// Class, subclass and interface, in bits 23 to 0.
    pub class: u32,
    /// Whose the board is.
    pub subsystem_vendor: u16,
    /// Which of theirs.
    pub subsystem: u16,
}

/// What a base address register asks for (6.2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BarKind {
    /// Ports.
    Io,
    /// Memory below 4 GiB.
    Memory32,
    /// Memory anywhere, without side effects of reads; takes two registers.
    Memory64,
}

/// The two kinds of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// Ports.
    Io,
    /// Memory.
    Memory,
}

#[derive(Clone, Copy, Debug)]
struct Bar {
    kind: BarKind,
    size: u64,
}

/// The bytes, and which of their bits a guest may write.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: [u8; LEN],
    writable: [u8; LEN],
    bars: [Option<Bar>; 6],
    /// The byte that is to point to the next capability.
    link: u16,
    /// Where the next capability goes.
    free: u16,
}

/// Where capabilities may lie.
const CAPABILITIES_START: u16 = 0x40;

impl ConfigSpace {
    /// A header without BARs, interrupts and capabilities.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let mut space = Self {
            bytes: [0; LEN],
            writable: [0; LEN],
            bars: [None; 6],
            link: reg::CAPABILITIES,
            free: CAPABILITIES_START,
        };
        space.set(reg::VENDOR_ID, &identity.vendor.to_le_bytes());
        space.set(reg::DEVICE_ID, &identity.device.to_le_bytes());
        let class = identity.class << 8 | u32::from(identity.revision);
        space.set(reg::REVISION_ID, &class.to_le_bytes());
        space.set(reg::SUBSYSTEM_VENDOR_ID, &identity.subsystem_vendor.to_le_bytes());
        space.set(reg::SUBSYSTEM_ID, &identity.subsystem.to_le_bytes());
        space
            .allow(reg::COMMAND, &(command::BUS_MASTER | command::INTERRUPT_DISABLE).to_le_bytes());
        space.allow(reg::CACHE_LINE_SIZE, &[0xff]);
        space.allow(reg::INTERRUPT_LINE, &[0xff]);
        space
    }

    /// Says that it has an interrupt line, INTA.
    #[must_use]
    pub fn with_interrupt_pin(mut self) -> Self {
        self.set(reg::INTERRUPT_PIN, &[1]);
        self
    }

    /// Adds a BAR of a size that is a power of two, 16 at least.
    #[must_use]
    pub fn with_bar(mut self, index: u8, kind: BarKind, size: u64) -> Self {
        debug_assert!(size.is_power_of_two() && size >= 16 && index < 6, "{index} {size:#x}");
        let at = reg::BASE_ADDRESS_0 + 4 * u16::from(index);
        let mask = !(size - 1);
        let (kind_bits, space) = match kind {
            BarKind::Io => (0b0001_u8, command::IO_SPACE),
            BarKind::Memory32 => (0b0000, command::MEMORY_SPACE),
            BarKind::Memory64 => (0b1100, command::MEMORY_SPACE),
        };
        self.set(at, &[kind_bits]);
        match kind {
            BarKind::Memory64 => self.allow(at, &mask.to_le_bytes()),
            _ => self.allow(at, &(mask as u32).to_le_bytes()),
        }
        let commands = u16::from_le_bytes([
            self.writable[usize::from(reg::COMMAND)],
            self.writable[usize::from(reg::COMMAND) + 1],
        ]);
        self.allow(reg::COMMAND, &(commands | space).to_le_bytes());
        self.bars[usize::from(index)] = Some(Bar { kind, size });
        self
    }

    /// Adds a capability: its ID, what follows the pointer to the next one, and which bits of that
    /// can be written. Says where it is. There is room for some 190 bytes in all.
    pub fn add_capability(&mut self, id: u8, body: &[u8], writable: &[u8]) -> u16 {
        let at = self.free;
        debug_assert!(usize::from(at) + 2 + body.len() <= LEN, "too many capabilities");
        self.set(at, &[id, 0]);
        self.set(at + 2, body);
        self.allow(at + 2, writable);
        self.set(self.link, &[at as u8]);
        self.set(reg::STATUS, &status::CAPABILITIES_LIST.to_le_bytes());
        self.link = at + 1;
        self.free = (at + 2 + body.len() as u16).next_multiple_of(4);
        at
    }

    /// Answers a load of 4 bytes at most.
    #[must_use]
    pub fn read(&self, offset: u16, width: Width) -> u32 {
        let mut bytes = [0; 4];
        let from = self.bytes.get(usize::from(offset)..).unwrap_or_default();
        bytes.iter_mut().zip(from).take(width.bytes() as usize).for_each(|(to, from)| *to = *from);
        u32::from_le_bytes(bytes)
    }

    /// Takes a store of 4 bytes at most: bits that cannot be written stay.
    pub fn write(&mut self, offset: u16, width: Width, value: u32) {
        let place = usize::from(offset)..;
        let (Some(bytes), Some(writable)) =
            (self.bytes.get_mut(place.clone()), self.writable.get(place))
        else {
            return;
        };
        let stored = value.to_le_bytes();
        let stored = stored.iter().take(width.bytes() as usize);
        for ((byte, mask), new) in bytes.iter_mut().zip(writable).zip(stored) {
            *byte = *byte & !mask | new & mask;
        }
    }

    /// Sets bytes, as the function itself.
    pub fn set(&mut self, offset: u16, bytes: &[u8]) {
        self.bytes[usize::from(offset)..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Shows in the status register whether an interrupt is pending.
    pub fn set_interrupt_status(&mut self, pending: Pending) {
        let status = self.half(reg::STATUS) & !status::INTERRUPT;
        let bit = if pending == Pending::Yes { status::INTERRUPT } else { 0 };
        self.set(reg::STATUS, &(status | bit).to_le_bytes());
    }

    /// Where a BAR lies, if the command register says that the function answers there.
    #[must_use]
    pub fn bar(&self, index: u8) -> Option<(Space, u64, u64)> {
        let bar = (*self.bars.get(usize::from(index))?)?;
        let at = reg::BASE_ADDRESS_0 + 4 * u16::from(index);
        let low = u64::from(self.read(at, Width::B4));
        let (space, enable, start) = match bar.kind {
            BarKind::Io => (Space::Io, command::IO_SPACE, low),
            BarKind::Memory32 => (Space::Memory, command::MEMORY_SPACE, low),
            BarKind::Memory64 => {
                let high = u64::from(self.read(at + 4, Width::B4));
                (Space::Memory, command::MEMORY_SPACE, high << 32 | low)
            }
        };
        (self.command() & enable != 0).then_some((space, start & !(bar.size - 1), bar.size))
    }

    /// Bytes of a BAR; 0 if there is none.
    #[must_use]
    pub fn bar_size(&self, index: u8) -> u64 {
        self.bars.get(usize::from(index)).copied().flatten().map_or(0, |bar| bar.size)
    }

    /// Whether the command register lets the function assert INTA.
    #[must_use]
    pub fn may_interrupt(&self) -> bool {
        self.command() & command::INTERRUPT_DISABLE == 0
    }

    /// As after power-on: what can be written is zero.
    pub fn reset(&mut self) {
        self.bytes.iter_mut().zip(&self.writable).for_each(|(byte, mask)| *byte &= !mask);
        self.set_interrupt_status(Pending::No);
    }

    fn command(&self) -> u16 {
        self.half(reg::COMMAND)
    }

    fn half(&self, offset: u16) -> u16 {
        self.read(offset, Width::B2) as u16
    }

    fn allow(&mut self, offset: u16, bits: &[u8]) {
        self.writable[usize::from(offset)..][..bits.len()].copy_from_slice(bits);
    }
}

/// Whether an interrupt is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pending {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl Pending {
    /// By a condition.
    #[must_use]
    pub fn when(condition: bool) -> Self {
        if condition { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> ConfigSpace {
        let identity = Identity {
            vendor: 0x1af4,
            device: 0x1042,
            revision: 1,
            class: 0x01_8000,
            subsystem_vendor: 0x1af4,
            subsystem: 0x42,
        };
        ConfigSpace::new(identity)
            .with_bar(0, BarKind::Io, 32)
            .with_bar(1, BarKind::Memory32, 0x1000)
            .with_bar(4, BarKind::Memory64, 0x4000)
            .with_interrupt_pin()
    }

    #[test]
    fn the_header_says_what_it_is() {
        let space = space();
        assert_eq!(space.read(0, Width::B4), 0x1042_1af4);
        assert_eq!(space.read(8, Width::B4), 0x0180_0001);
        assert_eq!(space.read(0x2c, Width::B4), 0x0042_1af4);
        assert_eq!(space.read(0x3d, Width::B1), 1);
        assert_eq!((space.read(255, Width::B4), space.read(4095, Width::B4)), (0, 0));
    }

    #[test]
    fn bars_are_sized_placed_and_enabled() {
        let mut space = space();
        for offset in (0x10..0x28).step_by(4) {
            space.write(offset, Width::B4, u32::MAX);
        }
        let sizes = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map(|at| space.read(at, Width::B4));
        assert_eq!(sizes, [0xffff_ffe1, 0xffff_f000, 0, 0, 0xffff_c00c, 0xffff_ffff]);
        space.write(0x10, Width::B4, 0x1000);
        space.write(0x14, Width::B4, 0x4000_0000);
        space.write(0x20, Width::B4, 0);
        space.write(0x24, Width::B4, 4);
        assert_eq!(space.bar(1), None);
        space.write(4, Width::B2, 2);
        assert_eq!(space.bar(0), None);
        assert_eq!(space.bar(1), Some((Space::Memory, 0x4000_0000, 0x1000)));
        assert_eq!(space.bar(4), Some((Space::Memory, 4 << 32, 0x4000)));
        space.write(4, Width::B2, 1);
        assert_eq!(space.bar(0), Some((Space::Io, 0x1000, 32)));
        assert_eq!((space.bar(2), space.bar(6), space.bar(255)), (None, None, None));
        space.reset();
        assert_eq!((space.read(0x10, Width::B4), space.read(0x14, Width::B4)), (1, 0));
        assert_eq!(space.bar(0), None);
    }

    #[test]
    fn capabilities_are_a_list() {
        let mut space = space();
        let first = space.add_capability(9, &[1, 2, 3], &[0, 0xf0]);
        let second = space.add_capability(0x11, &[4; 10], &[]);
        assert_eq!((first, second), (0x40, 0x48));
        assert_eq!(space.read(6, Width::B2), 0x10);
        assert_eq!(space.read(0x34, Width::B1), 0x40);
        assert_eq!(space.read(0x40, Width::B4), 0x0201_4809);
        assert_eq!(space.read(0x48, Width::B2), 0x0011);
        space.write(0x43, Width::B4, u32::MAX);
        assert_eq!(space.read(0x43, Width::B1), 0xf2);
    }

    #[test]
    fn the_status_shows_a_pending_interrupt() {
        let mut space = space();
        space.set_interrupt_status(Pending::Yes);
        assert_eq!(space.read(6, Width::B2), 8);
        assert!(space.may_interrupt());
        space.write(4, Width::B4, 0xffff_0400);
        assert!(!space.may_interrupt());
        assert_eq!(space.read(4, Width::B4), 0x0008_0400);
    }
}
