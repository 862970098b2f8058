//! Virtio devices (Virtual I/O Device, OASIS, version 1.2; RING_RESET as there): what each kind does
//! with its queues ([`VirtioDevice`]), what all have in common ([`state`]), and the ways in which a
//! guest reaches them: [`mmio`], and PCI Express. Only the modern interface; rings are split.

pub mod blk;
mod buffers;
pub mod console;
pub mod input;
pub mod mmio;
pub mod net;
pub mod pci;
mod queue;
pub mod rng;
mod state;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use softmmu::GuestMemory;

pub use self::buffers::{Buffer, Buffers};
use self::queue::QueueSlot;
pub use self::queue::{ActiveQueue, Chain, QueueConfig, QueueError};
pub use self::state::{Signal, VirtioState};
use crate::device::{Notifier, Time, World};

/// Device types (section 5), as the kernel numbers them.
pub mod id {
    /// Network device, 5.1.
    pub const NET: u16 = 1;
    /// Block device, 5.2.
    pub const BLOCK: u16 = 2;
    /// Console device, 5.3.
    pub const CONSOLE: u16 = 3;
    /// Entropy device, 5.4.
    pub const RNG: u16 = 4;
    /// Input device, 5.8.
    pub const INPUT: u16 = 18;
    /// Socket device, 5.10.
    pub const VSOCK: u16 = 19;
    /// File system device, 5.11.
    pub const FS: u16 = 26;
}

/// What a device does behind its transport. It sees only a driver that has set DRIVER_OK, and only
/// queues that it can use. An error means that the driver broke the rules: the device needs a reset
/// then, and is not called again before that.
pub trait VirtioDevice: Send {
    /// For messages.
    fn name(&self) -> &'static str;

    /// Its type, of [`id`].
    fn device_id(&self) -> u16;

    /// The class, subclass and interface that it has as a PCI function, in bits 23 to 0.
    fn pci_class(&self) -> u32;

    /// Feature bits 0 to 23 and 50 to 63, its own. Those of rings and transports are added.
    fn features(&self) -> u64;

    /// Entries of each of its queues at most: powers of two up to 1024.
    fn queue_sizes(&self) -> Vec<u16>;

    /// Its configuration, as it is now: what the guest reads. It reads zeros behind the end.
    fn config(&self) -> Vec<u8>;

    /// The guest writes to its configuration. Most have nothing to write there.
    fn write_config(&mut self, _offset: u64, _bytes: &[u8], _io: &mut Io<'_>) {}

    /// How whatever stands behind it says that something has happened. Called once, before anything
    /// else.
    fn connect(&mut self, _notifier: Notifier) {}

    /// The driver is ready (DRIVER_OK). [`Io::features`] says what it has accepted.
    ///
    /// # Errors
    /// The driver's, see above.
    fn activate(&mut self, _io: &mut Io<'_>) -> Result<(), QueueError> {
        Ok(())
    }

    /// There is, or may be, something new in a queue that runs.
    ///
    /// # Errors
    /// The driver's, see above.
    fn notify(&mut self, queue: u16, io: &mut Io<'_>) -> Result<(), QueueError>;

    /// Something has happened behind it, or its time has come; or may have.
    ///
    /// # Errors
    /// The driver's, see above.
    fn wake(&mut self, _io: &mut Io<'_>) -> Result<(), QueueError> {
        Ok(())
    }

    /// When it wants [`VirtioDevice::wake`], if it is waiting for time to pass.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// One queue stops. When this returns, nothing reads or writes the buffers of its chains any
    /// more, and none of them is completed later.
    fn reset_queue(&mut self, queue: u16);

    /// As after power-on. When this returns, nothing reads or writes guest memory any more.
    fn reset(&mut self);
}

/// What a device does its work with, during a call.
pub struct Io<'a> {
    /// The moment, and what surrounds the machine.
    pub world: &'a World<'a>,
    features: u64,
    memory: &'a Arc<GuestMemory>,
    queues: &'a mut [QueueSlot],
    config_changed: bool,
}

impl Io<'_> {
    /// What the driver has accepted.
    #[must_use]
    pub fn features(&self) -> u64 {
        self.features
    }

    /// Whether it has accepted the feature with this number.
    #[must_use]
    pub fn has_feature(&self, bit: u32) -> bool {
        self.features >> bit & 1 != 0
    }

    /// The machine's RAM.
    #[must_use]
    pub fn memory(&self) -> &GuestMemory {
        self.memory
    }

    /// The machine's RAM, to be kept by what completes chains later.
    #[must_use]
    pub fn shared_memory(&self) -> &Arc<GuestMemory> {
        self.memory
    }

    /// Whether the driver has enabled a queue.
    #[must_use]
    pub fn is_active(&self, queue: u16) -> bool {
        self.queues.get(usize::from(queue)).is_some_and(QueueSlot::is_active)
    }

    /// Takes the next chain of a queue. If there is none, the driver will notify when there is; if
    /// the queue has had its turn, the device will be notified again.
    ///
    /// # Errors
    /// The driver's.
    pub fn pop(&mut self, queue: u16) -> Result<Option<Chain>, QueueError> {
        let memory = self.memory;
        self.active(queue).map_or(Ok(None), |queue| queue.pop(memory))
    }

    /// Puts back the chain that was taken last from a queue: it will be the next one again.
    pub fn put_back(&mut self, queue: u16, chain: &Chain) {
        if let Some(queue) = self.active(queue) {
            queue.put_back(chain.head);
        }
    }

    /// Gives a chain back, with so many bytes written to its writable buffers. The driver gets one
    /// interrupt for all that is given back during a call.
    ///
    /// # Errors
    /// The driver's.
    pub fn complete(&mut self, queue: u16, head: u16, written: u32) -> Result<(), QueueError> {
        let memory = self.memory;
        self.active(queue).map_or(Ok(()), |queue| queue.complete(memory, head, written))
    }

    /// Gives several chains back at once, each with so many bytes written: the driver sees all of them
    /// or none.
    ///
    /// # Errors
    /// The driver's.
    pub fn complete_all(&mut self, queue: u16, used: &[(u16, u32)]) -> Result<(), QueueError> {
        let memory = self.memory;
        self.active(queue).map_or(Ok(()), |queue| queue.complete_all(memory, used))
    }

    /// The driver is to look at the configuration again.
    pub fn config_changed(&mut self) {
        self.config_changed = true;
    }

    fn active(&mut self, queue: u16) -> Option<&mut ActiveQueue> {
        self.queues.get_mut(usize::from(queue))?.active()
    }
}
