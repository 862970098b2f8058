//! PCI Express (PCI Local Bus 3.0; PCI Express Base 5.0): functions, their configuration space, and the
//! host bridge through which a guest reaches them.

pub mod config;
pub mod host;
pub mod msix;

use crate::device::{Notifier, Time, Width, World};

pub use self::config::{BarKind, ConfigSpace, Identity, Space};
pub use self::host::{HostWindows, PciError, PciHost};
pub use self::msix::Msix;

/// A function of a device on the bus. What the host bridge does with it is in [`host`].
pub trait PciFunction: Send {
    /// For messages.
    fn name(&self) -> &'static str;

    /// Its configuration space.
    fn config(&self) -> &ConfigSpace;

    /// Its configuration space.
    fn config_mut(&mut self) -> &mut ConfigSpace;

    /// Answers a load from its configuration space: `width` is 4 at most.
    fn read_config(&mut self, offset: u16, width: Width, _world: &World<'_>) -> u32 {
        self.config().read(offset, width)
    }

    /// Takes a store to its configuration space: `width` is 4 at most.
    fn write_config(&mut self, offset: u16, width: Width, value: u32, _world: &World<'_>) {
        self.config_mut().write(offset, width, value);
    }

    /// Answers a load, all of whose bytes lie in a BAR.
    fn read_bar(&mut self, bar: u8, offset: u64, width: Width, world: &World<'_>) -> u64;

    /// Takes a store, all of whose bytes lie in a BAR.
    fn write_bar(&mut self, bar: u8, offset: u64, width: Width, value: u64, world: &World<'_>);

    /// Whether it asserts INTA now.
    fn intx(&self) -> bool {
        false
    }

    /// See [`crate::Device::connect`].
    fn connect(&mut self, _notifier: Notifier) {}

    /// See [`crate::Device::deadline`].
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// See [`crate::Device::wake`].
    fn wake(&mut self, _world: &World<'_>) {}

    /// As after power-on, its configuration space included.
    fn reset(&mut self);
}
