//! Entropy device (virtio 1.2, 5.4): whatever buffers the driver gives are filled with random bytes.

use super::{Io, QueueError, VirtioDevice, id};

/// Entries of its queue.
const QUEUE_SIZE: u16 = 64;

/// Bytes given for one request at most: a guest that asks for more asks again.
const MOST: u64 = 0x1_0000;

/// Where random bytes come from.
pub trait EntropySource: Send {
    /// Fills all of `bytes`, or gives nothing.
    fn fill(&mut self, bytes: &mut [u8]) -> bool;
}

/// A row of bytes that a seed determines, for runs that repeat: SplitMix64.
#[derive(Clone, Debug)]
pub struct SeededEntropy {
    state: u64,
}

impl SeededEntropy {
    /// The row of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

impl EntropySource for SeededEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> bool {
        for part in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
        true
    }
}

/// The device.
pub struct Rng {
    source: Box<dyn EntropySource>,
    bytes: Vec<u8>,
}

impl Rng {
    /// With a source.
    #[must_use]
    pub fn new(source: Box<dyn EntropySource>) -> Self {
        Self { source, bytes: Vec::new() }
    }
}

impl VirtioDevice for Rng {
    fn name(&self) -> &'static str {
        "virtio-rng"
    }

    fn device_id(&self) -> u16 {
        id::RNG
    }

    fn pci_class(&self) -> u32 {
        0xff_0000
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE]
    }

    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    fn notify(&mut self, queue: u16, io: &mut Io<'_>) -> Result<(), QueueError> {
        while let Some(chain) = io.pop(queue)? {
            self.bytes.resize(chain.writable.len().min(MOST) as usize, 0);
            let mut written = 0;
            if self.source.fill(&mut self.bytes) {
                written = chain.writable.write(io.memory(), 0, &self.bytes)?;
            }
            io.complete(queue, chain.head, written as u32)?;
        }
        Ok(())
    }

    fn reset_queue(&mut self, _queue: u16) {}

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Driver, Transport};
    use super::*;

    struct Dry;

    impl EntropySource for Dry {
        fn fill(&mut self, _bytes: &mut [u8]) -> bool {
            false
        }
    }

    #[test]
    fn buffers_are_filled_and_the_same_seed_repeats() {
        let mut rows = Vec::new();
        for transport in Transport::ALL {
            let device = Rng::new(Box::new(SeededEntropy::new(7)));
            let mut driver = Driver::started(transport, Box::new(device), u64::MAX);
            let (first, second) = (driver.room(32), driver.room(5));
            let head = driver.add(0, &[], &[(first, 32), (second, 5)]);
            driver.kick(0);
            assert_eq!(driver.used(0), [(head, 37)]);
            assert_eq!(driver.take_interrupts(), 1);
            rows.push([driver.bytes(first, 32), driver.bytes(second, 5)].concat());
        }
        assert!(rows.iter().all(|row| *row == rows[0]));
        assert_ne!(rows[0][..8], rows[0][8..16]);
    }

    #[test]
    fn a_queue_that_is_full_gives_others_their_turn() {
        for transport in Transport::ALL {
            let device = Rng::new(Box::new(SeededEntropy::new(7)));
            let mut driver = Driver::started(transport, Box::new(device), u64::MAX);
            let at = driver.room(1);
            for _ in 0..64 {
                driver.add(0, &[], &[(at, 1)]);
            }
            driver.kick(0);
            assert_eq!(driver.device.deadline(), Some(crate::device::Time(0)));
            assert_eq!(driver.used(0).len(), 64);
            driver.add(0, &[], &[(at, 1)]);
            driver.wake();
            assert_eq!((driver.device.deadline(), driver.used(0).len()), (None, 1));
        }
    }

    #[test]
    fn a_source_that_gives_nothing_gives_nothing() {
        let mut driver = Driver::started(Transport::Mmio, Box::new(Rng::new(Box::new(Dry))), 0);
        let at = driver.room(8);
        let head = driver.add(0, &[], &[(at, 8)]);
        driver.kick(0);
        assert_eq!(driver.used(0), [(head, 0)]);
    }
}
