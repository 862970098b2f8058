//! Code in a machine's memory, as the runtime fetches and watches it: by physical address.

use std::sync::{Arc, Weak};

use base::addr::PAGE_SIZE;
use base::{GuestPhys, GuestVirt};
use runtime::{CodePages, Engine, FetchFault, FetchFaultCause};
use softmmu::{CodeWatch, MemoryMap, Place, Ram};

/// The memory that code is fetched from. The runtime's guest addresses are physical ones here.
#[derive(Debug)]
pub struct MachineCode {
    map: Arc<MemoryMap>,
}

impl MachineCode {
    /// Code in this memory.
    #[must_use]
    pub fn new(map: Arc<MemoryMap>) -> Self {
        Self { map }
    }

    fn memory(&self, addr: GuestVirt) -> Option<(&Ram, u64)> {
        match self.map.resolve(GuestPhys(addr.0), 1) {
            Ok(Place::Ram { ram, offset } | Place::Rom { ram, offset }) => Some((ram, offset)),
            _ => None,
        }
    }
}

impl CodePages for MachineCode {
    /// Stops at the page's end: the next page of what the guest sees may lie anywhere.
    fn fetch(&self, addr: GuestVirt, buffer: &mut [u8]) -> Result<usize, FetchFault> {
        let fault = FetchFault { addr, cause: FetchFaultCause::Unmapped };
        let (ram, offset) = self.memory(addr).ok_or(fault)?;
        let len = buffer.len().min((PAGE_SIZE - addr.page_offset()) as usize);
        ram.read(offset, &mut buffer[..len]).map_err(|_| fault)?;
        Ok(len)
    }

    fn protect(&self, page: GuestVirt) {
        if let Some((ram, offset)) = self.memory(page) {
            ram.tracker().set_code(offset / PAGE_SIZE);
        }
    }

    fn release(&self, page: GuestVirt) -> bool {
        if let Some((ram, offset)) = self.memory(page) {
            ram.tracker().clear_code(offset / PAGE_SIZE);
        }
        true
    }

    /// Every write is noticed, whatever address it is made at, once the CPUs know of the protection: the
    /// engine sees to that.
    fn is_shared(&self, _: GuestVirt) -> bool {
        false
    }
}

/// Tells an engine of writes to code that no CPU makes.
#[derive(Debug)]
pub struct DeviceWrites(Weak<Engine>);

impl DeviceWrites {
    /// For this engine.
    #[must_use]
    pub fn new(engine: &Arc<Engine>) -> Arc<Self> {
        Arc::new(Self(Arc::downgrade(engine)))
    }
}

impl CodeWatch for DeviceWrites {
    fn written(&self, at: GuestPhys, len: u64) {
        if let Some(engine) = self.0.upgrade() {
            engine.code_written(at, len);
        }
    }
}
