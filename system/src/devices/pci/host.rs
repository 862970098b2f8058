//! The host bridge, as firmware describes it by `pci-host-ecam-generic`: an enhanced configuration
//! access window (PCI Express Base 5.0, 7.2.2), and windows through which ports and memory of
//! the functions' BARs are reached. One bus, 0, with a function 0 in each slot.
//!
//! The bus of the machine knows the windows only: which function answers in them changes whenever the
//! guest writes to a BAR, and is looked up here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::config::{Space, reg};
use super::{ConfigSpace, Identity, PciFunction};
use crate::device::{Access, Device, Effect, Lines, Notifier, Refusal, Time, Width, World};

/// The bridge's windows, in this order.
mod window {
    pub(super) const ECAM: u32 = 0;
    pub(super) const PIO: u32 = 1;
    pub(super) const MMIO32: u32 = 2;
}

/// Slots of a bus.
const SLOTS: usize = 32;

/// Bytes of configuration space of a function.
const FUNCTION: u64 = 0x1000;

/// Sizes of the windows, and which addresses of the PCI bus they show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostWindows {
    /// Bytes of the configuration window: 1 MiB for each bus.
    pub ecam: u64,
    /// Bytes of ports, from port 0 on.
    pub pio: u64,
    /// Memory below 4 GiB: first address and bytes.
    pub mmio32: (u64, u64),
    /// Memory above: first address and bytes.
    pub mmio64: (u64, u64),
}

/// Why a function cannot be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PciError {
    /// There is no such slot; 0 is the bridge's own.
    #[error("PCI slots are 1 to 31, not {0}")]
    NoSlot(u8),
    /// There is a function.
    #[error("PCI slot {0} is taken")]
    Taken(u8),
    /// All slots have functions.
    #[error("all PCI slots are taken")]
    Full,
}

/// A BAR that answers.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    space: Space,
    start: u64,
    size: u64,
    slot: u8,
    bar: u8,
}

/// The bridge, and the functions behind it.
pub struct PciHost {
    windows: HostWindows,
    slots: Vec<Option<Box<dyn PciFunction>>>,
    /// Where BARs answer, as they were last written.
    mappings: Vec<Mapping>,
    /// Functions behind which something has happened, a bit each.
    notified: Arc<AtomicU64>,
}

impl PciHost {
    /// A bus without functions, but for the bridge in slot 0.
    #[must_use]
    pub fn new(windows: HostWindows) -> Self {
        let mut slots: Vec<Option<Box<dyn PciFunction>>> = Vec::new();
        slots.resize_with(SLOTS, || None);
        slots[0] = Some(Box::new(Bridge::new()));
        Self { windows, slots, mappings: Vec::new(), notified: Arc::default() }
    }

    /// Adds a function: in a slot, or in the first that is free.
    ///
    /// # Errors
    /// There is no room.
    pub fn add(
        &mut self,
        slot: Option<u8>,
        function: Box<dyn PciFunction>,
    ) -> Result<u8, PciError> {
        let free = self.slots.iter().position(Option::is_none).map(|slot| slot as u8);
        let slot = slot.or(free).ok_or(PciError::Full)?;
        match self.slots.get_mut(usize::from(slot)) {
            Some(place @ None) => *place = Some(function),
            Some(_) if slot != 0 => return Err(PciError::Taken(slot)),
            _ => return Err(PciError::NoSlot(slot)),
        }
        Ok(slot)
    }

    /// Answers a load of 4 bytes at most from the configuration space of a function: all ones if there
    /// is none.
    pub fn read_config(&mut self, function: ConfigAddress, width: Width, world: &World<'_>) -> u32 {
        match self.function(function) {
            Some(answers) => answers.read_config(function.register, width, world),
            None => width.mask() as u32,
        }
    }

    /// Takes a store of 4 bytes at most to the configuration space of a function.
    pub fn write_config(
        &mut self,
        function: ConfigAddress,
        width: Width,
        value: u32,
        world: &World<'_>,
    ) {
        if let Some(answers) = self.function(function) {
            answers.write_config(function.register, width, value, world);
            if function.register < reg::END {
                self.map();
            }
        }
    }

    fn function(&mut self, address: ConfigAddress) -> Option<&mut Box<dyn PciFunction>> {
        let here = address.bus == 0 && address.function == 0;
        self.slots.get_mut(usize::from(address.slot)).filter(|_| here)?.as_mut()
    }

    /// Looks up where BARs answer. If the guest lets two answer at one place, the first does.
    fn map(&mut self) {
        self.mappings.clear();
        for (slot, function) in (0..).zip(&self.slots) {
            let Some(function) = function else { continue };
            let bars = (0..6).filter_map(|bar| Some((bar, function.config().bar(bar)?)));
            self.mappings.extend(bars.map(|(bar, (space, start, size))| Mapping {
                space,
                start,
                size,
                slot,
                bar,
            }));
        }
    }

    /// The function that answers in one of the windows, its BAR, and the offset there.
    fn find(&mut self, access: Access) -> Option<(&mut Box<dyn PciFunction>, u8, u64)> {
        let (space, base) = match access.window {
            window::PIO => (Space::Io, 0),
            window::MMIO32 => (Space::Memory, self.windows.mmio32.0),
            _ => (Space::Memory, self.windows.mmio64.0),
        };
        let (at, len) = (base.wrapping_add(access.offset), access.width.bytes());
        let found = self.mappings.iter().find(|mapping| {
            let offset = at.wrapping_sub(mapping.start);
            mapping.space == space && offset < mapping.size && len <= mapping.size - offset
        })?;
        let function = self.slots[usize::from(found.slot)].as_mut()?;
        Some((function, found.bar, at - found.start))
    }
}

/// A register of configuration space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigAddress {
    /// Bus number; there is only 0.
    pub bus: u8,
    /// Device number.
    pub slot: u8,
    /// Function number.
    pub function: u8,
    /// Offset of the register: less than 4096.
    pub register: u16,
}

impl ConfigAddress {
    /// As the offset in an ECAM window says it.
    fn from_ecam(offset: u64) -> Self {
        Self {
            bus: (offset >> 20) as u8,
            slot: (offset >> 15) as u8 & 31,
            function: (offset >> 12) as u8 & 7,
            register: (offset % FUNCTION) as u16,
        }
    }
}

impl Device for PciHost {
    fn name(&self) -> &'static str {
        "pci-host-ecam-generic"
    }

    fn windows(&self) -> Vec<u64> {
        let HostWindows { ecam, pio, mmio32, mmio64 } = self.windows;
        vec![ecam, pio, mmio32.1, mmio64.1]
    }

    fn read(&mut self, access: Access, world: &World<'_>) -> Result<u64, Refusal> {
        let Access { window, offset, width } = access;
        Ok(match (window, width) {
            (window::ECAM, Width::B8) => {
                let half = |host: &mut Self, offset| {
                    u64::from(host.read_config(ConfigAddress::from_ecam(offset), Width::B4, world))
                };
                half(self, offset) | half(self, offset + 4) << 32
            }
            (window::ECAM, _) => {
                self.read_config(ConfigAddress::from_ecam(offset), width, world).into()
            }
            _ => match self.find(access) {
                Some((function, bar, offset)) => function.read_bar(bar, offset, width, world),
                None => width.mask(),
            },
        })
    }

    fn write(&mut self, access: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        let Access { window, offset, width } = access;
        match (window, width) {
            (window::ECAM, Width::B8) => {
                let mut half = |offset, value: u64| {
                    let address = ConfigAddress::from_ecam(offset);
                    self.write_config(address, Width::B4, value as u32, world);
                };
                half(offset, value);
                half(offset + 4, value >> 32);
            }
            (window::ECAM, _) => {
                let address = ConfigAddress::from_ecam(offset);
                self.write_config(address, width, value as u32, world);
            }
            _ => {
                if let Some((function, bar, offset)) = self.find(access) {
                    function.write_bar(bar, offset, width, value, world);
                }
            }
        }
        Ok(Effect::None)
    }

    /// Four, shared in the usual way: INTA of a slot is line `slot % 4`.
    fn lines(&self) -> Lines {
        let asserted = (0..)
            .zip(&self.slots)
            .filter(|(_, function)| function.as_ref().is_some_and(|function| function.intx()));
        Lines(asserted.fold(0, |lines, (slot, _)| lines | 1 << (slot % 4)))
    }

    fn connect(&mut self, notifier: Notifier) {
        for (slot, function) in self.slots.iter_mut().enumerate() {
            if let Some(function) = function {
                let machine = notifier.clone();
                let wake = Arc::new(move || machine.notify());
                function.connect(Notifier::new(Arc::clone(&self.notified), 1 << slot, wake));
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.slots.iter().flatten().filter_map(|function| function.deadline()).min()
    }

    fn wake(&mut self, world: &World<'_>) {
        let notified = self.notified.swap(0, Ordering::AcqRel);
        for (slot, function) in self.slots.iter_mut().enumerate() {
            let Some(function) = function else { continue };
            let due = function.deadline().is_some_and(|deadline| deadline <= world.now);
            if due || notified >> slot & 1 != 0 {
                function.wake(world);
            }
        }
    }

    fn reset(&mut self) {
        self.slots.iter_mut().flatten().for_each(|function| function.reset());
        self.map();
    }
}

/// The bridge's own function: there for systems that look for it; it has no registers.
struct Bridge {
    config: ConfigSpace,
}

impl Bridge {
    fn new() -> Self {
        let config = ConfigSpace::new(Identity {
            vendor: 0x1b36,
            device: 0x0008,
            revision: 0,
            class: 0x06_0000,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        });
        Self { config }
    }
}

impl PciFunction for Bridge {
    fn name(&self) -> &'static str {
        "PCI host bridge"
    }

    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn read_bar(&mut self, _bar: u8, _offset: u64, width: Width, _world: &World<'_>) -> u64 {
        width.mask()
    }

    fn write_bar(&mut self, _: u8, _: u64, _: Width, _: u64, _: &World<'_>) {}

    fn reset(&mut self) {
        self.config.reset();
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
