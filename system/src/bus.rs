//! What joins CPUs, devices and memory: accesses to guest-physical addresses go to memory or to the
//! device whose window they meet; interrupt lines go to the controllers that they are wired to.
//!
//! The bus is single-threaded by construction; a machine with several CPUs puts its own lock
//! around it. RAM is reached without it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::GuestPhys;
use softmmu::{Backing, GuestMemory, MapError, MemoryMap, MmioId, Place, Ram, ResolveError};

use crate::device::{
    Access, Device, Effect, Lines, Message, Notifier, Refusal, Time, Width, World,
};

/// Why an access has no answer: a bus error, or what the machine makes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BusError {
    /// Nothing is there, or only for a part of it.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A store to ROM.
    #[error("{0} cannot be written to")]
    ReadOnly(GuestPhys),
    /// The device does not answer.
    #[error("{device} at offset {offset:#x}: {refusal}")]
    Refused {
        /// Which.
        device: &'static str,
        /// In its window.
        offset: u64,
        /// Why.
        refusal: Refusal,
    },
}

/// Why something cannot be attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AttachError {
    /// One of its windows, or the memory, cannot be there.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A device needs one address for each of its windows.
    #[error("{device} has {windows} windows, not {given}")]
    Windows {
        /// Which.
        device: &'static str,
        /// How many it has.
        windows: usize,
        /// How many addresses were given.
        given: usize,
    },
    /// There are as many devices as there can be.
    #[error("no room for {0}: there are {MAX_DEVICES} devices already")]
    TooMany(&'static str),
}

/// Devices on a bus at most: each has a bit among the notifications.
pub const MAX_DEVICES: usize = 64;

/// Identifies a device on its bus.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeviceId(usize);

/// An output of an interrupt controller that is not as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputChange {
    /// Whose.
    pub controller: DeviceId,
    /// Which.
    pub output: u32,
    /// Asserted now, or not.
    pub asserted: bool,
}

struct Slot {
    device: Box<dyn Device>,
    /// Its lines as they were when they were last looked at.
    lines: Lines,
    /// Where each line leads.
    wires: Vec<Option<(DeviceId, u32)>>,
    /// Its outputs as they were when they were last looked at, if it is an interrupt controller.
    outputs: Vec<bool>,
    /// What it answers to: the windows' ids in the map, by window.
    windows: Vec<MmioId>,
}

/// Memory and devices.
pub struct Bus {
    map: MemoryMap,
    memory: GuestMemory,
    slots: Vec<Slot>,
    /// Whose each window is, and which of its windows.
    windows: Vec<(DeviceId, u32)>,
    changes: Vec<OutputChange>,
    epoch: u64,
    /// When the bus was last used.
    now: Time,
    notified: Arc<AtomicU64>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Bus {
    /// Nothing yet. `epoch` is Unix time in nanoseconds at [`Time`] 0; `wake` is called, on any thread,
    /// when a device wants [`Bus::wake`].
    #[must_use]
    pub fn new(epoch: u64, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            map: MemoryMap::new(),
            memory: GuestMemory::new(),
            slots: Vec::new(),
            windows: Vec::new(),
            changes: Vec::new(),
            epoch,
            now: Time(0),
            notified: Arc::default(),
            wake,
        }
    }

    /// What lies where.
    #[must_use]
    pub fn map(&self) -> &MemoryMap {
        &self.map
    }

    /// All RAM.
    #[must_use]
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Adds RAM.
    ///
    /// # Errors
    /// It cannot be there.
    pub fn add_ram(&mut self, ram: &Ram) -> Result<(), AttachError> {
        let backing = Backing::Ram { ram: ram.clone(), offset: 0 };
        self.map.insert(ram.base(), ram.size(), backing)?;
        // The map has found no overlap.
        if let Ok(memory) = self.memory.insert_region(ram.region()) {
            self.memory = memory;
        }
        Ok(())
    }

    /// Adds memory that the guest cannot write to.
    ///
    /// # Errors
    /// It cannot be there.
    pub fn add_rom(&mut self, rom: &Ram) -> Result<(), AttachError> {
        let backing = Backing::Rom { ram: rom.clone(), offset: 0 };
        Ok(self.map.insert(rom.base(), rom.size(), backing)?)
    }

    /// Adds a device with its windows at these addresses.
    ///
    /// # Errors
    /// It cannot be there; nothing has changed.
    pub fn attach(
        &mut self,
        at: &[GuestPhys],
        mut device: Box<dyn Device>,
    ) -> Result<DeviceId, AttachError> {
        let (id, name, lens) = (DeviceId(self.slots.len()), device.name(), device.windows());
        if self.slots.len() >= MAX_DEVICES {
            return Err(AttachError::TooMany(name));
        }
        if lens.len() != at.len() {
            let (windows, given) = (lens.len(), at.len());
            return Err(AttachError::Windows { device: name, windows, given });
        }
        let mut windows = Vec::new();
        for (&start, len) in at.iter().zip(lens) {
            let window = MmioId((self.windows.len() + windows.len()) as u32);
            if let Err(error) = self.map.insert(start, len, Backing::Mmio(window)) {
                at[..windows.len()].iter().for_each(|&start| drop(self.map.remove(start)));
                return Err(error.into());
            }
            windows.push(window);
        }
        self.windows.extend((0..).take(windows.len()).map(|window| (id, window)));
        let notifier = Notifier::new(Arc::clone(&self.notified), 1 << id.0, Arc::clone(&self.wake));
        device.connect(notifier);
        let outputs = device.interrupt_controller().map_or(0, |controller| controller.outputs());
        let (lines, outputs) = (Lines::NONE, vec![false; outputs as usize]);
        self.slots.push(Slot { device, lines, wires: Vec::new(), outputs, windows });
        self.settle(id);
        Ok(id)
    }

    /// Wires a device's line to an input of an interrupt controller.
    pub fn wire(&mut self, device: DeviceId, line: u32, controller: DeviceId, input: u32) {
        let wires = &mut self.slots[device.0].wires;
        wires.resize(wires.len().max(line as usize + 1), None);
        wires[line as usize] = Some((controller, input));
        if self.slots[device.0].lines.0 >> line & 1 != 0 {
            self.set_input(controller, input, true);
        }
    }

    /// The device, to look at it or change it behind the guest's back.
    pub fn device(&mut self, id: DeviceId) -> &mut dyn Device {
        self.slots[id.0].device.as_mut()
    }

    /// Does something with a device of a known kind: what CPUs do with interrupt controllers beside
    /// their registers. Nothing if the device is of another kind.
    pub fn with<D: Device, T>(
        &mut self,
        id: DeviceId,
        action: impl FnOnce(&mut D) -> T,
    ) -> Option<T> {
        let device: &mut dyn Any = self.slots[id.0].device.as_mut();
        let answer = device.downcast_mut::<D>().map(action);
        self.settle(id);
        answer
    }

    /// Sets an input of an interrupt controller.
    pub fn set_input(&mut self, controller: DeviceId, input: u32, asserted: bool) {
        let mut messages = Vec::new();
        if let Some(controller) = self.slots[controller.0].device.interrupt_controller() {
            controller.set_input(input, asserted);
            messages = controller.take_messages();
        }
        self.settle(controller);
        for message in messages {
            self.deliver(message);
        }
    }

    /// A load, zero-extended.
    ///
    /// # Errors
    /// There is no answer.
    pub fn read(&mut self, addr: GuestPhys, width: Width, now: Time) -> Result<u64, BusError> {
        match self.map.resolve(addr, width.bytes())? {
            Place::Ram { ram, offset } | Place::Rom { ram, offset } => {
                let mut bytes = [0; 8];
                let part = &mut bytes[..width.bytes() as usize];
                ram.read(offset, part).map_err(|_| ResolveError::Unmapped(addr))?;
                Ok(u64::from_le_bytes(bytes))
            }
            Place::Mmio { id, offset } => self.read_device(id, offset, width, now),
        }
    }

    /// A store of the low bytes of `value`.
    ///
    /// # Errors
    /// There is no answer.
    pub fn write(
        &mut self,
        addr: GuestPhys,
        width: Width,
        value: u64,
        now: Time,
    ) -> Result<Effect, BusError> {
        match self.map.resolve(addr, width.bytes())? {
            Place::Ram { ram, offset } => {
                let bytes = &value.to_le_bytes()[..width.bytes() as usize];
                ram.write(offset, bytes).map_err(|_| ResolveError::Unmapped(addr))?;
                Ok(Effect::None)
            }
            Place::Rom { .. } => Err(BusError::ReadOnly(addr)),
            Place::Mmio { id, offset } => self.write_device(id, offset, width, value, now),
        }
    }

    /// A load from a window, all of whose bytes lie in it.
    ///
    /// # Errors
    /// The device refuses it.
    pub fn read_device(
        &mut self,
        window: MmioId,
        offset: u64,
        width: Width,
        now: Time,
    ) -> Result<u64, BusError> {
        let (id, window) = self.windows[window.0 as usize];
        let access = Access { window, offset, width };
        let value = self.call(id, offset, now, |device, world| device.read(access, world))?;
        Ok(value & width.mask())
    }

    /// A store to a window, all of whose bytes lie in it.
    ///
    /// # Errors
    /// The device refuses it.
    pub fn write_device(
        &mut self,
        window: MmioId,
        offset: u64,
        width: Width,
        value: u64,
        now: Time,
    ) -> Result<Effect, BusError> {
        let (id, window) = self.windows[window.0 as usize];
        let (access, value) = (Access { window, offset, width }, value & width.mask());
        self.call(id, offset, now, |device, world| device.write(access, value, world))
    }

    /// When a device wants [`Bus::wake`] at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.slots.iter().filter_map(|slot| slot.device.deadline()).min()
    }

    /// Wakes the devices whose time has come, and those behind which something has happened.
    pub fn wake(&mut self, now: Time) {
        let notified = self.notified.swap(0, Ordering::AcqRel);
        for index in 0..self.slots.len() {
            let device = &self.slots[index].device;
            let due = device.deadline().is_some_and(|deadline| deadline <= now);
            if due || notified >> index & 1 != 0 {
                let answer = self.call(DeviceId(index), 0, now, |device, world| {
                    device.wake(world);
                    Ok(())
                });
                debug_assert_eq!(answer, Ok(()), "waking is not refused");
            }
        }
    }

    /// Every device as after power-on. Memory stays as it is.
    pub fn reset(&mut self) {
        for index in 0..self.slots.len() {
            self.slots[index].device.reset();
            self.settle(DeviceId(index));
        }
    }

    /// What has become of interrupt controllers' outputs since this was last asked, in order.
    pub fn take_output_changes(&mut self) -> Vec<OutputChange> {
        std::mem::take(&mut self.changes)
    }

    fn call<T>(
        &mut self,
        id: DeviceId,
        offset: u64,
        now: Time,
        access: impl FnOnce(&mut dyn Device, &World<'_>) -> Result<T, Refusal>,
    ) -> Result<T, BusError> {
        self.now = now;
        let world = World::new(now, self.epoch, &self.memory);
        let slot = &mut self.slots[id.0];
        let device = slot.device.name();
        let answer = access(slot.device.as_mut(), &world);
        let messages = world.into_messages();
        self.settle(id);
        for message in messages {
            self.deliver(message);
        }
        answer.map_err(|refusal| BusError::Refused { device, offset, refusal })
    }

    /// Takes a message to the interrupt controller whose window it names. To anything else it is lost,
    /// as a device must not reach another one's registers.
    fn deliver(&mut self, message: Message) {
        let place = self.map.resolve(message.address, Width::B4.bytes());
        let Ok(Place::Mmio { id: window, offset }) = place else { return };
        let (id, window) = self.windows[window.0 as usize];
        let device = &mut self.slots[id.0].device;
        if device.interrupt_controller().is_none() {
            return;
        }
        let world = World::new(self.now, self.epoch, &self.memory);
        let access = Access { window, offset, width: Width::B4 };
        // Controllers post no messages of their own in answer to one.
        let _ = device.write(access, message.data.into(), &world);
        self.settle(id);
    }

    /// Passes on what has changed in a device's interrupt lines, and what follows from that.
    fn settle(&mut self, id: DeviceId) {
        let slot = &mut self.slots[id.0];
        self.changes.extend(changed_outputs(slot, id));
        let lines = slot.device.lines();
        let mut different = lines.0 ^ std::mem::replace(&mut slot.lines, lines).0;
        while different != 0 {
            let line = different.trailing_zeros();
            different &= different - 1;
            let wire = self.slots[id.0].wires.get(line as usize).copied().flatten();
            if let Some((controller, input)) = wire {
                self.set_input(controller, input, lines.0 >> line & 1 != 0);
            }
        }
    }

    /// The windows of a device, as the map numbers them.
    #[must_use]
    pub fn windows_of(&self, id: DeviceId) -> &[MmioId] {
        &self.slots[id.0].windows
    }
}

fn changed_outputs(slot: &mut Slot, controller: DeviceId) -> Vec<OutputChange> {
    let Some(device) = slot.device.interrupt_controller() else { return Vec::new() };
    let mut changes = Vec::new();
    for (output, was) in (0..).zip(&mut slot.outputs) {
        let asserted = device.output(output);
        if std::mem::replace(was, asserted) != asserted {
            changes.push(OutputChange { controller, output, asserted });
        }
    }
    changes
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
