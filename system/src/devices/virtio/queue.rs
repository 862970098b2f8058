//! Split virtqueues (virtio 1.2, 2.7), as the driver sets them up and as the device runs them.
//!
//! A queue that is enabled has another type than one that is being set up: nothing can change
//! where its rings are. What the guest writes there is checked as it is read: the first thing that no
//! driver may do ends the queue with an error, which the device turns into NEEDS_RESET.

use std::sync::atomic::{Ordering, fence};

use base::GuestPhys;
use softmmu::GuestMemory;
use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory as _, Permissions};

use super::buffers::{Buffer, Buffers};

/// Descriptors of a chain at most, if they lie in a table of their own: more than a driver may use,
/// and few enough for a device to walk at once.
const MAX_INDIRECT: u32 = 1024;

/// What a driver has done wrong. The device needs a reset then.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueueError {
    /// Size, alignment or place of the rings.
    #[error("queue of {size} at {descriptors}, {driver}, {device} cannot be used")]
    Rings {
        /// Entries.
        size: u16,
        /// Descriptor table.
        descriptors: GuestPhys,
        /// Available ring.
        driver: GuestPhys,
        /// Used ring.
        device: GuestPhys,
    },
    /// The rings cannot be read or written, or the available index is ahead of what can be there.
    #[error("rings: {0}")]
    Ring(String),
    /// A chain starts or goes on beyond the table.
    #[error("descriptor {0} is beyond the table")]
    Descriptor(u16),
    /// A chain has more descriptors than it may have, or goes in circles.
    #[error("the chain at descriptor {0} is too long")]
    Endless(u16),
    /// A table of descriptors that is empty, ragged, too long, inside another, or not in RAM.
    #[error("the indirect table of {len:#x} bytes at {at} cannot be used")]
    Indirect {
        /// Where.
        at: GuestPhys,
        /// Bytes.
        len: u32,
    },
    /// A buffer that the device reads behind one that it writes.
    #[error("the chain at descriptor {0} has readable buffers behind writable ones")]
    Order(u16),
    /// A buffer that is not RAM.
    #[error("a buffer at {0} is not in RAM")]
    Buffer(GuestPhys),
    /// A chain that the device has already.
    #[error("the chain at descriptor {0} is with the device already")]
    Twice(u16),
    /// A request that makes no sense to the device, and has no place for an answer.
    #[error("{0}")]
    Request(&'static str),
}

/// A queue that is being set up, as the driver writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueConfig {
    /// Entries; a power of two.
    pub size: u16,
    /// Descriptor table.
    pub descriptors: GuestPhys,
    /// Available ring.
    pub driver: GuestPhys,
    /// Used ring.
    pub device: GuestPhys,
}

impl QueueConfig {
    pub(super) fn new(size: u16) -> Self {
        let zero = GuestPhys(0);
        Self { size, descriptors: zero, driver: zero, device: zero }
    }

    /// The queue as it runs, if its rings can be used.
    fn activate(
        self,
        max_size: u16,
        event_idx: EventIdx,
        memory: &GuestMemory,
    ) -> Result<ActiveQueue, QueueError> {
        let Self { size, descriptors, driver, device } = self;
        let queue = Queue::new(max_size).ok().and_then(|mut queue| {
            queue.try_set_size(size).ok()?;
            queue.try_set_desc_table_address(GuestAddress(descriptors.0)).ok()?;
            queue.try_set_avail_ring_address(GuestAddress(driver.0)).ok()?;
            queue.try_set_used_ring_address(GuestAddress(device.0)).ok()?;
            queue.set_event_idx(event_idx == EventIdx::Negotiated);
            queue.set_ready(true);
            queue.is_valid(memory).then_some(queue)
        });
        let queue = queue.ok_or(QueueError::Rings { size, descriptors, driver, device })?;
        let in_flight = vec![0; usize::from(size).div_ceil(64)];
        Ok(ActiveQueue { config: self, queue, in_flight, budget: 0, used: 0, silent: false })
    }
}

/// Whether the driver has accepted VIRTIO_F_EVENT_IDX.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EventIdx {
    Negotiated,
    Absent,
}

/// A queue that runs. Its configuration does not change any more.
#[derive(Debug)]
pub struct ActiveQueue {
    config: QueueConfig,
    queue: Queue,
    /// Heads of the chains that the device has, a bit each: never more than the queue has entries.
    in_flight: Vec<u64>,
    /// Chains that may still be taken before other things have their turn.
    budget: u16,
    /// Chains that were used since it was last asked whether the driver wants an interrupt.
    used: u16,
    /// The driver has been asked not to notify.
    silent: bool,
}

/// What a driver has made available: where the device reads, then where it writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Identifies it, in its queue.
    pub head: u16,
    /// What the device reads.
    pub readable: Buffers,
    /// What the device writes.
    pub writable: Buffers,
}

impl ActiveQueue {
    /// As it was set up.
    #[must_use]
    pub fn config(&self) -> QueueConfig {
        self.config
    }

    /// Gives it a turn: as many chains as it has entries.
    pub(super) fn refill(&mut self) {
        self.budget = self.config.size;
    }

    /// Whether it has used up its turn.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget == 0
    }

    /// Takes the next chain. If there is none, or its turn is over, there is `None`; the driver will
    /// notify, or the turn comes again.
    pub(super) fn pop(&mut self, memory: &GuestMemory) -> Result<Option<Chain>, QueueError> {
        if self.budget == 0 {
            return Ok(None);
        }
        if !self.silent {
            self.queue.disable_notification(memory).map_err(ring)?;
            self.silent = true;
        }
        let mut head = self.next_head(memory)?;
        if head.is_none() {
            self.silent = false;
            // What came before the driver could see that it must notify is found here.
            if self.queue.enable_notification(memory).map_err(ring)? {
                head = self.next_head(memory)?;
            }
        }
        let Some(head) = head else { return Ok(None) };
        self.budget -= 1;
        let (word, bit) = self.flight(head)?;
        if self.in_flight[word] & bit != 0 {
            return Err(QueueError::Twice(head));
        }
        self.in_flight[word] |= bit;
        Walk::new(self, head, memory).chain().map(Some)
    }

    fn next_head(&mut self, memory: &GuestMemory) -> Result<Option<u16>, QueueError> {
        let next = self.queue.iter(memory).map_err(ring)?.next();
        Ok(next.map(|chain| chain.head_index()))
    }

    fn flight(&self, head: u16) -> Result<(usize, u64), QueueError> {
        let inside = head < self.config.size;
        let place = (usize::from(head / 64), 1 << (head % 64));
        inside.then_some(place).ok_or(QueueError::Descriptor(head))
    }

    /// Puts back the chain that was taken last: it will be the next again.
    pub(super) fn put_back(&mut self, head: u16) {
        if let Ok((word, bit)) = self.flight(head) {
            self.in_flight[word] &= !bit;
            self.queue.go_to_previous_position();
            self.budget = self.budget.saturating_add(1);
        }
    }

    /// Gives a chain back to the driver, with so many bytes written to it.
    pub(super) fn complete(
        &mut self,
        memory: &GuestMemory,
        head: u16,
        written: u32,
    ) -> Result<(), QueueError> {
        let (word, bit) = self.flight(head)?;
        self.in_flight[word] &= !bit;
        self.used = self.used.saturating_add(1);
        self.queue.add_used(memory, head, written).map_err(ring)
    }

    /// Gives chains back at once: the index of the used ring moves when all are in it.
    pub(super) fn complete_all(
        &mut self,
        memory: &GuestMemory,
        used: &[(u16, u32)],
    ) -> Result<(), QueueError> {
        let Some((&(last, written), others)) = used.split_last() else { return Ok(()) };
        for &(head, written) in others {
            let (word, bit) = self.flight(head)?;
            self.in_flight[word] &= !bit;
            let next = self.queue.next_used();
            let entry = 4 + 8 * u64::from(next % self.config.size);
            let bytes = (u64::from(written) << 32 | u64::from(head)).to_le_bytes();
            // Activation has found the ring to lie in RAM.
            let at = self.config.device.wrapping_add(entry);
            memory
                .write_slice(&bytes, GuestAddress(at.0))
                .map_err(|error| QueueError::Ring(error.to_string()))?;
            self.queue.set_next_used(next.wrapping_add(1));
            self.used = self.used.saturating_add(1);
        }
        self.complete(memory, last, written)
    }

    /// Whether the driver wants an interrupt for what was used since this was last asked.
    pub(super) fn take_interrupt(&mut self, memory: &GuestMemory) -> Result<bool, QueueError> {
        let used = std::mem::take(&mut self.used);
        if used == 0 {
            return Ok(false);
        }
        // The driver sees what was used before its wish is read (2.7.7.2 and 2.7.10).
        fence(Ordering::SeqCst);
        let driver = self.config.driver;
        if self.queue.event_idx_enabled() {
            let event = driver.wrapping_add(4 + 2 * u64::from(self.config.size));
            let passed = self.queue.next_used().wrapping_sub(load_u16(memory, event)?);
            return Ok(passed.wrapping_sub(1) < used);
        }
        let flags = load_u16(memory, driver)?;
        Ok(u32::from(flags) & VRING_AVAIL_F_NO_INTERRUPT == 0)
    }
}

fn load_u16(memory: &GuestMemory, at: GuestPhys) -> Result<u16, QueueError> {
    let loaded = memory.load(GuestAddress(at.0), Ordering::Relaxed);
    loaded.map(u16::from_le).map_err(|error| QueueError::Ring(error.to_string()))
}

fn ring(error: virtio_queue::Error) -> QueueError {
    QueueError::Ring(error.to_string())
}

/// Where descriptors lie.
#[derive(Clone, Copy)]
struct Table {
    at: GuestPhys,
    entries: u32,
}

/// A walk along a chain.
struct Walk<'a> {
    memory: &'a GuestMemory,
    head: u16,
    table: Table,
    /// Whether the table is the queue's own.
    direct: bool,
    /// Descriptors that the table may still give.
    left: u32,
    next: u16,
}

impl<'a> Walk<'a> {
    fn new(queue: &ActiveQueue, head: u16, memory: &'a GuestMemory) -> Self {
        let entries = u32::from(queue.config.size);
        let table = Table { at: queue.config.descriptors, entries };
        Self { memory, head, table, direct: true, left: entries, next: head }
    }

    fn chain(mut self) -> Result<Chain, QueueError> {
        let (mut readable, mut writable) = (Buffers::new(), Buffers::new());
        loop {
            let descriptor = self.descriptor()?;
            if descriptor.refers_to_indirect_table() {
                self.enter(descriptor)?;
                continue;
            }
            let buffer = self.buffer(descriptor)?;
            if descriptor.is_write_only() {
                writable.push(buffer);
            } else if writable.is_empty() {
                readable.push(buffer);
            } else {
                return Err(QueueError::Order(self.head));
            }
            // 2.7.5.2: a chain is not longer than 2^32 bytes.
            if readable.len() + writable.len() > 1 << 32 {
                return Err(QueueError::Endless(self.head));
            }
            if !descriptor.has_next() {
                return Ok(Chain { head: self.head, readable, writable });
            }
            self.next = descriptor.next();
        }
    }

    fn descriptor(&mut self) -> Result<Descriptor, QueueError> {
        if u32::from(self.next) >= self.table.entries {
            return Err(QueueError::Descriptor(self.next));
        }
        self.left = self.left.checked_sub(1).ok_or(QueueError::Endless(self.head))?;
        let at = self.table.at.checked_add(16 * u64::from(self.next));
        let at = at.ok_or(QueueError::Descriptor(self.next))?;
        self.memory.read_obj(GuestAddress(at.0)).map_err(|_| QueueError::Descriptor(self.next))
    }

    /// Goes on in a table of its own (2.7.5.3): once, and it ends there.
    fn enter(&mut self, descriptor: Descriptor) -> Result<(), QueueError> {
        let (at, len) = (GuestPhys(descriptor.addr().0), descriptor.len());
        let entries = len / 16;
        let usable = self.direct
            && !descriptor.has_next()
            && len.is_multiple_of(16)
            && (1..=MAX_INDIRECT).contains(&entries);
        if !usable {
            return Err(QueueError::Indirect { at, len });
        }
        self.table = Table { at, entries };
        (self.direct, self.left, self.next) = (false, entries, 0);
        Ok(())
    }

    fn buffer(&self, descriptor: Descriptor) -> Result<Buffer, QueueError> {
        let (at, len) = (descriptor.addr(), descriptor.len());
        let access = Permissions::ReadWrite;
        if len != 0 && !self.memory.check_range(at, len as usize, access) {
            return Err(QueueError::Buffer(GuestPhys(at.0)));
        }
        Ok(Buffer { at: GuestPhys(at.0), len })
    }
}

/// A queue, in either state.
#[derive(Debug)]
pub(super) struct QueueSlot {
    max_size: u16,
    state: QueueState,
}

#[derive(Debug)]
enum QueueState {
    Setup(QueueConfig),
    Active(Box<ActiveQueue>),
}

impl QueueSlot {
    /// As after a reset.
    pub(super) fn new(max_size: u16) -> Self {
        Self { max_size, state: QueueState::Setup(QueueConfig::new(max_size)) }
    }

    /// Entries at most.
    pub(super) fn max_size(&self) -> u16 {
        self.max_size
    }

    /// As it is or will be.
    pub(super) fn config(&self) -> QueueConfig {
        match &self.state {
            QueueState::Setup(config) => *config,
            QueueState::Active(queue) => queue.config(),
        }
    }

    /// Itself, if it is being set up.
    pub(super) fn setup(&mut self) -> Option<&mut QueueConfig> {
        match &mut self.state {
            QueueState::Setup(config) => Some(config),
            QueueState::Active(_) => None,
        }
    }

    /// Itself, if it runs.
    pub(super) fn active(&mut self) -> Option<&mut ActiveQueue> {
        match &mut self.state {
            QueueState::Setup(_) => None,
            QueueState::Active(queue) => Some(queue),
        }
    }

    /// Whether it runs.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, QueueState::Active(_))
    }

    /// Starts it, if it does not run.
    pub(super) fn enable(
        &mut self,
        event_idx: EventIdx,
        memory: &GuestMemory,
    ) -> Result<(), QueueError> {
        if let QueueState::Setup(config) = self.state {
            let queue = config.activate(self.max_size, event_idx, memory)?;
            self.state = QueueState::Active(Box::new(queue));
        }
        Ok(())
    }

    /// As after a reset.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.max_size);
    }
}
