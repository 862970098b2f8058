//! What joins CPUs, devices and memory: accesses to guest-physical addresses go to memory or to the
//! device whose window they meet.
//!
//! The bus is single-threaded by construction; a machine with several CPUs puts its own lock
//! around it. RAM is reached without it.

use base::GuestPhys;
use softmmu::{Backing, MapError, MemoryMap, MmioId, Place, ResolveError};

use crate::device::{Access, Device, Effect, Lines, Refusal, Time, Width, World};

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

/// An interrupt line that is not as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineChange {
    /// Whose.
    pub device: MmioId,
    /// Which of its lines.
    pub line: u32,
    /// Asserted now, or not.
    pub asserted: bool,
}

struct Slot {
    device: Box<dyn Device>,
    /// As they were when they were last looked at.
    lines: Lines,
}

/// Memory and devices.
#[derive(Default)]
pub struct Bus {
    map: MemoryMap,
    slots: Vec<Slot>,
    changes: Vec<LineChange>,
    epoch: u64,
}

impl Bus {
    /// Nothing yet. `epoch` is Unix time in nanoseconds at [`Time`] 0.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// What lies where.
    #[must_use]
    pub fn map(&self) -> &MemoryMap {
        &self.map
    }

    /// Adds memory.
    ///
    /// # Errors
    /// It cannot be there.
    pub fn add_memory(
        &mut self,
        at: GuestPhys,
        len: u64,
        backing: Backing,
    ) -> Result<(), MapError> {
        self.map.insert(at, len, backing)
    }

    /// Adds a device with its window at `at`.
    ///
    /// # Errors
    /// It cannot be there.
    pub fn attach(&mut self, at: GuestPhys, device: Box<dyn Device>) -> Result<MmioId, MapError> {
        let id = MmioId(self.slots.len() as u32);
        self.map.insert(at, device.window(), Backing::Mmio(id))?;
        let lines = device.lines();
        self.slots.push(Slot { device, lines });
        Ok(id)
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
            Place::Mmio { id, offset } => {
                let access = Access { offset, width };
                let value =
                    self.call(id, offset, now, |device, world| device.read(access, world))?;
                Ok(value & width.mask())
            }
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
            Place::Mmio { id, offset } => {
                let (access, value) = (Access { offset, width }, value & width.mask());
                self.call(id, offset, now, |device, world| device.write(access, value, world))
            }
        }
    }

    /// When a device wants [`Bus::wake`] at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.slots.iter().filter_map(|slot| slot.device.deadline()).min()
    }

    /// Wakes the devices whose time has come.
    pub fn wake(&mut self, now: Time) {
        let world = World { now, epoch: self.epoch, memory: &self.map };
        for (slot, id) in self.slots.iter_mut().zip(0..) {
            if slot.device.deadline().is_some_and(|deadline| deadline <= now) {
                slot.device.wake(&world);
                note_lines(slot, MmioId(id), &mut self.changes);
            }
        }
    }

    /// Every device as after power-on. Memory stays as it is.
    pub fn reset(&mut self) {
        for (slot, id) in self.slots.iter_mut().zip(0..) {
            slot.device.reset();
            note_lines(slot, MmioId(id), &mut self.changes);
        }
    }

    /// What has become of interrupt lines since this was last asked, in order.
    pub fn take_line_changes(&mut self) -> Vec<LineChange> {
        std::mem::take(&mut self.changes)
    }

    fn call<T>(
        &mut self,
        id: MmioId,
        offset: u64,
        now: Time,
        access: impl FnOnce(&mut dyn Device, &World<'_>) -> Result<T, Refusal>,
    ) -> Result<T, BusError> {
        let world = World { now, epoch: self.epoch, memory: &self.map };
        // Only `attach` makes ids.
        let slot = &mut self.slots[id.0 as usize];
        let device = slot.device.name();
        let answer = access(slot.device.as_mut(), &world);
        note_lines(slot, id, &mut self.changes);
        answer.map_err(|refusal| BusError::Refused { device, offset, refusal })
    }
}

/// Reports the lines that have changed.
fn note_lines(slot: &mut Slot, device: MmioId, changes: &mut Vec<LineChange>) {
    let lines = slot.device.lines();
    let mut different = lines.0 ^ slot.lines.0;
    while different != 0 {
        let line = different.trailing_zeros();
        changes.push(LineChange { device, line, asserted: lines.0 >> line & 1 != 0 });
        different &= different - 1;
    }
    slot.lines = lines;
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
