//! What all transports have in common (virtio 1.2, 2.1 to 2.6 and 3.1): device status, features,
//! queues, and what the driver is to be told.

use std::collections::VecDeque;
use std::sync::Arc;

use base::GuestPhys;
use softmmu::GuestMemory;
use virtio_bindings::bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FAILED, VIRTIO_CONFIG_S_FEATURES_OK,
    VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1,
};
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};

use super::queue::{EventIdx, QueueConfig, QueueError, QueueSlot};
use super::{Io, VirtioDevice};
use crate::device::{Notifier, Time, World};

const FEATURES_OK: u8 = VIRTIO_CONFIG_S_FEATURES_OK as u8;
const DRIVER_OK: u8 = VIRTIO_CONFIG_S_DRIVER_OK as u8;
const NEEDS_RESET: u8 = VIRTIO_CONFIG_S_NEEDS_RESET as u8;
const FAILED: u8 = VIRTIO_CONFIG_S_FAILED as u8;

/// Offered beside what the device has of its own.
const RING_FEATURES: u64 = 1 << VIRTIO_F_VERSION_1
    | 1 << VIRTIO_F_RING_RESET
    | 1 << VIRTIO_RING_F_EVENT_IDX
    | 1 << VIRTIO_RING_F_INDIRECT_DESC;

/// What the driver is to be interrupted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Configuration or status has changed.
    Config,
    /// Chains of this queue were used.
    Queue(u16),
}

/// A device, and how far its driver has come.
pub struct VirtioState {
    device: Box<dyn VirtioDevice>,
    status: u8,
    accepted: u64,
    queues: Vec<QueueSlot>,
    generation: u32,
    signals: VecDeque<Signal>,
    /// RAM as devices keep it, from the first use on.
    memory: Option<Arc<GuestMemory>>,
    /// Queues have had their turn and may have more.
    unfinished: bool,
}

/// Parts of a 64-bit register that is written in halves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Half {
    Low,
    High,
}

/// Replaces half of an address.
pub(super) fn set_half(address: &mut GuestPhys, half: Half, value: u32) {
    address.0 = match half {
        Half::Low => address.0 >> 32 << 32 | u64::from(value),
        Half::High => address.0 << 32 >> 32 | u64::from(value) << 32,
    };
}

impl VirtioState {
    /// As after power-on.
    #[must_use]
    pub fn new(device: Box<dyn VirtioDevice>) -> Self {
        let queues = device.queue_sizes().into_iter().map(QueueSlot::new).collect();
        Self {
            device,
            status: 0,
            accepted: 0,
            queues,
            generation: 0,
            signals: VecDeque::new(),
            memory: None,
            unfinished: false,
        }
    }

    /// What it is the state of.
    #[must_use]
    pub fn device(&self) -> &dyn VirtioDevice {
        self.device.as_ref()
    }

    /// See [`VirtioDevice::connect`].
    pub fn connect(&mut self, notifier: Notifier) {
        self.device.connect(notifier);
    }

    /// How many queues it has.
    #[must_use]
    pub fn queue_count(&self) -> u16 {
        self.queues.len() as u16
    }

    /// What is to be told to the driver next.
    pub(super) fn next_signal(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }

    /// Feature bits offered: the 32 that `select` names.
    pub(super) fn offered(&self, select: u32) -> u32 {
        word(self.device.features() | RING_FEATURES, select)
    }

    /// Feature bits accepted: the 32 that `select` names.
    pub(super) fn accepted(&self, select: u32) -> u32 {
        word(self.accepted, select)
    }

    /// The driver accepts features. It does so before FEATURES_OK only.
    pub(super) fn accept(&mut self, select: u32, bits: u32) {
        if select < 2 && self.status & FEATURES_OK == 0 {
            let shift = 32 * select;
            self.accepted =
                self.accepted & !(u64::from(u32::MAX) << shift) | u64::from(bits) << shift;
        }
    }

    /// Device status (2.1).
    pub(super) fn status(&self) -> u8 {
        self.status
    }

    /// Counts changes of the configuration (2.5.1).
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// The driver writes the device status: 0 resets, else bits are added.
    pub(super) fn set_status(&mut self, value: u8, world: &World<'_>) {
        if value == 0 {
            return self.reset();
        }
        let mut new = value & !self.status & !NEEDS_RESET;
        if new & FEATURES_OK != 0 && !self.features_are_well() {
            tracing::debug!(
                device = self.device.name(),
                accepted = self.accepted,
                "features refused"
            );
            new &= !FEATURES_OK;
        }
        if (self.status | new) & FEATURES_OK == 0 {
            new &= !DRIVER_OK;
        }
        self.status |= new;
        if new & DRIVER_OK != 0 {
            self.run(world, |device, io| device.activate(io));
        }
    }

    fn features_are_well(&self) -> bool {
        let offered = self.device.features() | RING_FEATURES;
        self.accepted & !offered == 0 && self.accepted >> VIRTIO_F_VERSION_1 & 1 != 0
    }

    /// Entries of a queue at most; 0 if there is no such queue.
    pub(super) fn max_size(&self, queue: u16) -> u16 {
        self.slot(queue).map_or(0, QueueSlot::max_size)
    }

    /// A queue as it is set up.
    pub(super) fn queue_config(&self, queue: u16) -> Option<QueueConfig> {
        self.slot(queue).map(QueueSlot::config)
    }

    /// Whether a queue runs.
    pub(super) fn is_enabled(&self, queue: u16) -> bool {
        self.slot(queue).is_some_and(QueueSlot::is_active)
    }

    /// The driver sets up a queue. One that runs stays as it is.
    pub(super) fn set_up(&mut self, queue: u16, change: impl FnOnce(&mut QueueConfig)) {
        match self.queues.get_mut(usize::from(queue)).and_then(QueueSlot::setup) {
            Some(config) => change(config),
            None => tracing::debug!(device = self.device.name(), queue, "not to be set up now"),
        }
    }

    /// The driver enables a queue.
    pub(super) fn enable(&mut self, queue: u16, world: &World<'_>) {
        let event_idx = match self.accepted >> VIRTIO_RING_F_EVENT_IDX & 1 {
            0 => EventIdx::Absent,
            _ => EventIdx::Negotiated,
        };
        if self.is_broken() || self.status & FEATURES_OK == 0 {
            return;
        }
        let slot = self.queues.get_mut(usize::from(queue));
        if let Some(Err(error)) = slot.map(|slot| slot.enable(event_idx, world.memory)) {
            self.fail(&error);
        }
    }

    /// The driver resets one queue (2.6.1).
    pub(super) fn reset_queue(&mut self, queue: u16) {
        if self.accepted >> VIRTIO_F_RING_RESET & 1 != 0 && self.is_enabled(queue) {
            self.device.reset_queue(queue);
            self.queues[usize::from(queue)].reset();
            self.signals.retain(|&signal| signal != Signal::Queue(queue));
        }
    }

    /// The driver has made chains available.
    pub(super) fn notify(&mut self, queue: u16, world: &World<'_>) {
        if self.is_enabled(queue) {
            self.run(world, |device, io| device.notify(queue, io));
        }
    }

    /// Bytes of the configuration; zeros behind its end.
    pub(super) fn read_config(&self, offset: u64, bytes: &mut [u8]) {
        let config = self.device.config();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(config.len());
        bytes.fill(0);
        bytes.iter_mut().zip(&config[from..]).for_each(|(to, from)| *to = *from);
    }

    /// The driver writes to the configuration.
    pub(super) fn write_config(&mut self, offset: u64, bytes: &[u8], world: &World<'_>) {
        self.with_io(world, |device, io| {
            device.write_config(offset, bytes, io);
            Ok(())
        });
    }

    /// Something has happened behind the device, or queues are to go on.
    pub(super) fn wake(&mut self, world: &World<'_>) {
        let unfinished = std::mem::take(&mut self.unfinished);
        let queues = self.queue_count();
        self.run(world, |device, io| {
            device.wake(io)?;
            let active = (0..queues).filter(|_| unfinished);
            active
                .filter(|&queue| io.is_active(queue))
                .collect::<Vec<_>>()
                .into_iter()
                .try_for_each(|queue| device.notify(queue, io))
        });
    }

    /// See [`crate::Device::deadline`].
    pub(super) fn deadline(&self) -> Option<Time> {
        if self.unfinished { Some(Time(0)) } else { self.device.deadline() }
    }

    /// As after power-on.
    pub(super) fn reset(&mut self) {
        self.device.reset();
        self.queues.iter_mut().for_each(QueueSlot::reset);
        (self.status, self.accepted, self.unfinished) = (0, 0, false);
        self.signals.clear();
    }

    fn slot(&self, queue: u16) -> Option<&QueueSlot> {
        self.queues.get(usize::from(queue))
    }

    fn is_broken(&self) -> bool {
        self.status & (NEEDS_RESET | FAILED) != 0
    }

    /// Calls the device, if its driver is ready and has broken no rules.
    fn run(
        &mut self,
        world: &World<'_>,
        call: impl FnOnce(&mut dyn VirtioDevice, &mut Io<'_>) -> Result<(), QueueError>,
    ) {
        if self.status & DRIVER_OK != 0 && !self.is_broken() {
            self.with_io(world, call);
        }
    }

    fn with_io(
        &mut self,
        world: &World<'_>,
        call: impl FnOnce(&mut dyn VirtioDevice, &mut Io<'_>) -> Result<(), QueueError>,
    ) {
        let memory = self.memory.get_or_insert_with(|| Arc::new(world.memory.clone()));
        self.queues.iter_mut().filter_map(QueueSlot::active).for_each(|queue| queue.refill());
        let mut io = Io {
            world,
            features: self.accepted,
            memory,
            queues: &mut self.queues,
            config_changed: false,
        };
        let mut answer = call(self.device.as_mut(), &mut io);
        if io.config_changed {
            self.generation = self.generation.wrapping_add(1);
            self.signals.push_back(Signal::Config);
        }
        answer = answer.and(self.settle());
        if let Err(error) = answer {
            self.fail(&error);
        }
    }

    /// Finds out which queues the driver wants an interrupt for, and which are to go on.
    fn settle(&mut self) -> Result<(), QueueError> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let mut answer = Ok(());
        for (index, slot) in (0..).zip(&mut self.queues) {
            let Some(queue) = slot.active() else { continue };
            self.unfinished |= queue.is_exhausted();
            match queue.take_interrupt(memory) {
                Ok(true) => self.signals.push_back(Signal::Queue(index)),
                Ok(false) => {}
                Err(error) => answer = Err(error),
            }
        }
        answer
    }

    fn fail(&mut self, error: &QueueError) {
        tracing::warn!(device = self.device.name(), %error, "the guest's driver breaks the rules");
        self.status |= NEEDS_RESET;
        self.unfinished = false;
        if self.status & DRIVER_OK != 0 {
            self.signals.push_back(Signal::Config);
        }
    }
}

fn word(bits: u64, select: u32) -> u32 {
    if select < 2 { (bits >> (32 * select)) as u32 } else { 0 }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
