//! MSI-X (PCI Local Bus 3.0, 6.8.2): a table of messages, which of them are pending, and masks.

use base::GuestPhys;

use super::config::ConfigSpace;
use crate::device::{Message, Width, World};

/// Capability ID.
const ID: u8 = 0x11;

/// Bits of message control, the high byte.
mod control {
    pub(super) const FUNCTION_MASK: u16 = 1 << 14;
    pub(super) const ENABLE: u16 = 1 << 15;
}

/// Vector control: the only bit.
const MASKED: u32 = 1;

/// Entries at most: their pending bits are one word.
pub const MAX_VECTORS: u16 = 64;

/// Where the pending bits lie in the BAR: behind the largest table.
const PBA: u64 = 16 * MAX_VECTORS as u64;

/// Bytes of the BAR that holds nothing but the table and the pending bits.
pub const BAR_SIZE: u64 = 0x1000;

/// A table entry, in words: address (low, high), data, vector control.
type Entry = [u32; 4];

/// The table of a function.
#[derive(Clone, Debug)]
pub struct Msix {
    table: Vec<Entry>,
    pending: u64,
    capability: u16,
}

impl Msix {
    /// Adds the capability, with so many entries ([`MAX_VECTORS`] at most) in a BAR of
    /// [`BAR_SIZE`] of its own.
    #[must_use]
    pub fn new(config: &mut ConfigSpace, vectors: u16, bar: u8) -> Self {
        let vectors = vectors.clamp(1, MAX_VECTORS);
        let mut body = Vec::new();
        body.extend((vectors - 1).to_le_bytes());
        body.extend(u32::from(bar).to_le_bytes());
        body.extend((PBA as u32 | u32::from(bar)).to_le_bytes());
        let writable = (control::FUNCTION_MASK | control::ENABLE).to_le_bytes();
        let capability = config.add_capability(ID, &body, &writable);
        Self { table: vec![[0, 0, 0, MASKED]; vectors.into()], pending: 0, capability }
    }

    /// Entries of the table.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        self.table.len() as u16
    }

    /// The vector that a driver has chosen, or 0xffff for none if there is no such vector.
    #[must_use]
    pub fn vector(&self, chosen: u32) -> u16 {
        u16::try_from(chosen).ok().filter(|&vector| vector < self.vectors()).unwrap_or(0xffff)
    }

    /// Whether messages are sent instead of INTx.
    #[must_use]
    pub fn is_enabled(&self, config: &ConfigSpace) -> bool {
        self.control(config) & control::ENABLE != 0
    }

    /// Sends the message of a vector, now or when it is unmasked. There is none beyond the table.
    pub fn signal(&mut self, vector: u16, config: &ConfigSpace, world: &World<'_>) {
        if vector < self.vectors() {
            self.pending |= 1 << vector;
            self.flush(config, world);
        }
    }

    /// Sends what is pending and not masked: after anything may have been unmasked.
    pub fn flush(&mut self, config: &ConfigSpace, world: &World<'_>) {
        let control = self.control(config);
        if control & control::ENABLE == 0 || control & control::FUNCTION_MASK != 0 {
            return;
        }
        let mut pending = self.pending;
        while pending != 0 {
            let vector = pending.trailing_zeros();
            pending &= pending - 1;
            let [low, high, data, vector_control] = self.table[vector as usize];
            if vector_control & MASKED == 0 {
                self.pending &= !(1 << vector);
                let address = GuestPhys(u64::from(high) << 32 | u64::from(low));
                world.post(Message { address, data });
            }
        }
    }

    /// Answers a load from the BAR.
    #[must_use]
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        let word = |offset: u64| u64::from(self.word(offset));
        match width {
            Width::B4 => word(offset),
            Width::B8 => word(offset) | word(offset + 4) << 32,
            Width::B1 | Width::B2 => word(offset & !3) >> (8 * (offset & 3)),
        }
    }

    fn word(&self, offset: u64) -> u32 {
        let (entry, field) = ((offset / 16) as usize, (offset / 4 % 4) as usize);
        match offset {
            PBA => self.pending as u32,
            offset if offset == PBA + 4 => (self.pending >> 32) as u32,
            _ => self.table.get(entry).map_or(0, |entry| entry[field]),
        }
    }

    /// Takes a store to the BAR: of 4 or 8 bytes, as the specification asks; others are lost.
    pub fn write(
        &mut self,
        offset: u64,
        width: Width,
        value: u64,
        config: &ConfigSpace,
        world: &World<'_>,
    ) {
        if !offset.is_multiple_of(width.bytes()) || width.bytes() < 4 {
            return;
        }
        self.set_word(offset, value as u32);
        if width == Width::B8 {
            self.set_word(offset + 4, (value >> 32) as u32);
        }
        self.flush(config, world);
    }

    fn set_word(&mut self, offset: u64, value: u32) {
        let (entry, field) = ((offset / 16) as usize, (offset / 4 % 4) as usize);
        if let Some(entry) = self.table.get_mut(entry) {
            entry[field] = match field {
                0 => value & !3,
                3 => value & MASKED,
                _ => value,
            };
        }
    }

    /// As after power-on.
    pub fn reset(&mut self) {
        self.table.fill([0, 0, 0, MASKED]);
        self.pending = 0;
    }

    fn control(&self, config: &ConfigSpace) -> u16 {
        config.read(self.capability + 2, Width::B2) as u16
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use softmmu::GuestMemory;

    use super::super::config::Identity;
    use super::*;
    use crate::device::Time;

    fn table(vectors: u16) -> (ConfigSpace, Msix) {
        let identity = Identity {
            vendor: 1,
            device: 2,
            revision: 0,
            class: 0,
            subsystem_vendor: 0,
            subsystem: 0,
        };
        let mut config = ConfigSpace::new(identity);
        let msix = Msix::new(&mut config, vectors, 1);
        (config, msix)
    }

    fn posted(act: impl FnOnce(&World<'_>)) -> Vec<(u64, u32)> {
        let memory = GuestMemory::new();
        let world = World::new(Time(0), 0, &memory);
        act(&world);
        world.into_messages().iter().map(|message| (message.address.0, message.data)).collect()
    }

    #[test]
    fn a_masked_message_waits() {
        let (mut config, mut msix) = table(3);
        assert_eq!(config.read(0x42, Width::B2), 2);
        config.write(0x42, Width::B2, 0xffff);
        assert_eq!(config.read(0x42, Width::B2), 0xc002);
        config.write(0x42, Width::B2, 0x8000);
        let sent = posted(|world| {
            msix.write(16, Width::B8, 0x1_0000_1003, &config, world);
            msix.write(24, Width::B4, 7, &config, world);
            msix.signal(1, &config, world);
            msix.signal(1, &config, world);
            msix.signal(3, &config, world);
        });
        assert_eq!((sent, msix.read(PBA, Width::B8)), (vec![], 2));
        let sent = posted(|world| msix.write(28, Width::B4, 0, &config, world));
        assert_eq!((sent, msix.read(PBA, Width::B4)), (vec![(0x1_0000_1000, 7)], 0));
        config.write(0x42, Width::B2, 0xc000);
        assert_eq!(posted(|world| msix.signal(1, &config, world)), []);
        config.write(0x42, Width::B2, 0x8000);
        assert_eq!(posted(|world| msix.flush(&config, world)), [(0x1_0000_1000, 7)]);
        assert_eq!(msix.read(18, Width::B2), 0);
        assert_eq!(msix.read(20, Width::B1), 1);
    }

    proptest! {
        #[test]
        fn any_access_is_answered(
            vectors in 0u16..100,
            accesses in prop::collection::vec((0u64..BAR_SIZE - 8, 0u8..4, any::<u64>(), any::<u16>()), 0..40),
        ) {
            let (mut config, mut msix) = table(vectors);
            posted(|world| for (offset, width, value, vector) in accesses {
                let width = [Width::B1, Width::B2, Width::B4, Width::B8][usize::from(width)];
                config.write(0x42, Width::B2, u32::from(vector));
                msix.write(offset, width, value, &config, world);
                msix.signal(vector % 128, &config, world);
                let _ = msix.read(offset, width);
            });
        }
    }
}
