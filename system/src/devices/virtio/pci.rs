//! Virtio over PCI (virtio 1.2, 4.1), the modern interface: a function with one BAR for the registers
//! and one for MSI-X. INTx works too.

use base::GuestPhys;

use super::VirtioDevice;
use super::state::{Half, Signal, VirtioState, set_half};
use crate::device::{Notifier, Time, Width, World};
use crate::devices::pci::config::Pending;
use crate::devices::pci::{BarKind, ConfigSpace, Identity, Msix, PciFunction, msix};

/// Red Hat's, for virtio (4.1.2).
const VENDOR: u16 = 0x1af4;
/// Device IDs are this and the device type.
const DEVICE: u16 = 0x1040;
/// Subsystems of modern devices are this at least.
const SUBSYSTEM: u16 = 0x40;

/// The BAR of the MSI-X table.
const MSIX_BAR: u8 = 1;
/// The BAR of everything else.
const BAR: u8 = 4;

/// No message is sent.
const NO_VECTOR: u16 = 0xffff;

/// Vendor-specific capability (4.1.4).
const CAPABILITY: u8 = 0x09;

/// What lies where in [`BAR`], and as what its capability says.
#[derive(Clone, Copy)]
struct Structure {
    cfg_type: u8,
    offset: u64,
    len: u64,
}

/// VIRTIO_PCI_CAP_COMMON_CFG (4.1.4.3).
const COMMON: Structure = Structure { cfg_type: 1, offset: 0, len: 0x1000 };
/// VIRTIO_PCI_CAP_ISR_CFG (4.1.4.5).
const ISR: Structure = Structure { cfg_type: 3, offset: 0x1000, len: 0x1000 };
/// VIRTIO_PCI_CAP_DEVICE_CFG (4.1.4.6).
const DEVICE_CFG: Structure = Structure { cfg_type: 4, offset: 0x2000, len: 0x1000 };
/// VIRTIO_PCI_CAP_NOTIFY_CFG (4.1.4.4).
const NOTIFY: Structure = Structure { cfg_type: 2, offset: 0x3000, len: 0x1000 };
/// Bytes of the BAR.
const BAR_SIZE: u64 = 0x4000;
/// VIRTIO_PCI_CAP_PCI_CFG (4.1.4.9): access to BARs through configuration space.
const PCI_CFG: u8 = 5;

/// Bytes from one queue's notification register to the next one's.
const NOTIFY_OFF_MULTIPLIER: u32 = 4;

/// Bits of the ISR status.
mod isr {
    pub(super) const QUEUE: u8 = 1 << 0;
    pub(super) const CONFIG: u8 = 1 << 1;
}

/// Registers of the common configuration, by offset, with their bytes.
mod reg {
    pub(super) const DEVICE_FEATURE_SELECT: (u64, u64) = (0x00, 4);
    pub(super) const DEVICE_FEATURE: u64 = 0x04;
    pub(super) const DRIVER_FEATURE_SELECT: (u64, u64) = (0x08, 4);
    pub(super) const DRIVER_FEATURE: (u64, u64) = (0x0c, 4);
    pub(super) const CONFIG_MSIX_VECTOR: (u64, u64) = (0x10, 2);
    pub(super) const NUM_QUEUES: u64 = 0x12;
    pub(super) const DEVICE_STATUS: (u64, u64) = (0x14, 1);
    pub(super) const CONFIG_GENERATION: u64 = 0x15;
    pub(super) const QUEUE_SELECT: (u64, u64) = (0x16, 2);
    pub(super) const QUEUE_SIZE: (u64, u64) = (0x18, 2);
    pub(super) const QUEUE_MSIX_VECTOR: (u64, u64) = (0x1a, 2);
    pub(super) const QUEUE_ENABLE: (u64, u64) = (0x1c, 2);
    pub(super) const QUEUE_NOTIFY_OFF: u64 = 0x1e;
    pub(super) const QUEUE_DESC: (u64, u64) = (0x20, 4);
    pub(super) const QUEUE_DESC_HIGH: (u64, u64) = (0x24, 4);
    pub(super) const QUEUE_DRIVER: (u64, u64) = (0x28, 4);
    pub(super) const QUEUE_DRIVER_HIGH: (u64, u64) = (0x2c, 4);
    pub(super) const QUEUE_DEVICE: (u64, u64) = (0x30, 4);
    pub(super) const QUEUE_DEVICE_HIGH: (u64, u64) = (0x34, 4);
    pub(super) const QUEUE_NOTIF_CONFIG_DATA: u64 = 0x38;
    pub(super) const QUEUE_RESET: (u64, u64) = (0x3a, 2);
    pub(super) const END: usize = 0x40;
}

/// A virtio device as a PCI function.
pub struct VirtioPci {
    config: ConfigSpace,
    /// Where the capability of [`PCI_CFG`] is.
    window: u16,
    msix: Msix,
    state: VirtioState,
    registers: Registers,
}

/// What the transport has of its own.
struct Registers {
    device_feature_select: u32,
    driver_feature_select: u32,
    config_msix_vector: u16,
    queue_select: u16,
    queue_msix_vectors: Vec<u16>,
    isr: u8,
}

impl Registers {
    fn new(queues: u16) -> Self {
        Self {
            device_feature_select: 0,
            driver_feature_select: 0,
            config_msix_vector: NO_VECTOR,
            queue_select: 0,
            queue_msix_vectors: vec![NO_VECTOR; queues.into()],
            isr: 0,
        }
    }
}

impl VirtioPci {
    /// The function of a device.
    #[must_use]
    pub fn new(device: Box<dyn VirtioDevice>) -> Self {
        let kind = device.device_id();
        let mut config = ConfigSpace::new(Identity {
            vendor: VENDOR,
            device: DEVICE + kind,
            revision: 1,
            class: device.pci_class(),
            subsystem_vendor: VENDOR,
            subsystem: SUBSYSTEM + kind,
        })
        .with_interrupt_pin()
        .with_bar(MSIX_BAR, BarKind::Memory32, msix::BAR_SIZE)
        .with_bar(BAR, BarKind::Memory64, BAR_SIZE);
        let state = VirtioState::new(device);
        let queues = state.queue_count();
        let msix = Msix::new(&mut config, queues.saturating_add(1), MSIX_BAR);
        for structure in [COMMON, ISR, DEVICE_CFG] {
            config.add_capability(CAPABILITY, &capability(structure, &[]), &[]);
        }
        let multiplier = NOTIFY_OFF_MULTIPLIER.to_le_bytes();
        config.add_capability(CAPABILITY, &capability(NOTIFY, &multiplier), &[]);
        let window = Structure { cfg_type: PCI_CFG, offset: 0, len: 0 };
        let mut writable = [0; 18];
        writable[2] = 0xff;
        writable[6..].fill(0xff);
        let body = capability(window, &[0; 4]);
        let window = config.add_capability(CAPABILITY, &body, &writable);
        Self { config, window, msix, state, registers: Registers::new(queues) }
    }

    /// Makes signals interrupts.
    fn collect(&mut self, world: &World<'_>) {
        let by_message = self.msix.is_enabled(&self.config);
        while let Some(signal) = self.state.next_signal() {
            let (vector, bit) = match signal {
                Signal::Config => (self.registers.config_msix_vector, isr::CONFIG),
                Signal::Queue(queue) => {
                    let vector = self.registers.queue_msix_vectors.get(usize::from(queue));
                    (vector.copied().unwrap_or(NO_VECTOR), isr::QUEUE)
                }
            };
            // 4.1.5.1.3 and 4.1.5.4: the bit of queues is for INTx only.
            if !by_message || bit == isr::CONFIG {
                self.registers.isr |= bit;
            }
            if by_message {
                self.msix.signal(vector, &self.config, world);
            }
        }
        self.show_interrupt();
    }

    fn show_interrupt(&mut self) {
        let pending = self.registers.isr != 0 && !self.msix.is_enabled(&self.config);
        self.config.set_interrupt_status(Pending::when(pending));
    }

    /// The common configuration, as it reads now.
    fn common(&self) -> [u8; reg::END] {
        let mut bytes = [0; reg::END];
        let mut put =
            |at: u64, value: &[u8]| bytes[at as usize..][..value.len()].copy_from_slice(value);
        let (state, registers) = (&self.state, &self.registers);
        let queue = registers.queue_select;
        put(reg::DEVICE_FEATURE_SELECT.0, &registers.device_feature_select.to_le_bytes());
        put(reg::DEVICE_FEATURE, &state.offered(registers.device_feature_select).to_le_bytes());
        put(reg::DRIVER_FEATURE_SELECT.0, &registers.driver_feature_select.to_le_bytes());
        put(reg::DRIVER_FEATURE.0, &state.accepted(registers.driver_feature_select).to_le_bytes());
        put(reg::CONFIG_MSIX_VECTOR.0, &registers.config_msix_vector.to_le_bytes());
        put(reg::NUM_QUEUES, &state.queue_count().to_le_bytes());
        put(reg::DEVICE_STATUS.0, &[state.status()]);
        put(reg::CONFIG_GENERATION, &[state.generation() as u8]);
        put(reg::QUEUE_SELECT.0, &queue.to_le_bytes());
        if let Some(config) = state.queue_config(queue) {
            let vector = registers.queue_msix_vectors[usize::from(queue)];
            put(reg::QUEUE_SIZE.0, &config.size.to_le_bytes());
            put(reg::QUEUE_MSIX_VECTOR.0, &vector.to_le_bytes());
            put(reg::QUEUE_ENABLE.0, &u16::from(state.is_enabled(queue)).to_le_bytes());
            put(reg::QUEUE_NOTIFY_OFF, &queue.to_le_bytes());
            put(reg::QUEUE_DESC.0, &config.descriptors.0.to_le_bytes());
            put(reg::QUEUE_DRIVER.0, &config.driver.0.to_le_bytes());
            put(reg::QUEUE_DEVICE.0, &config.device.0.to_le_bytes());
            put(reg::QUEUE_NOTIF_CONFIG_DATA, &queue.to_le_bytes());
        }
        bytes
    }

    /// Takes a store to a register of the common configuration, in its own width.
    fn write_common(&mut self, register: (u64, u64), value: u32, world: &World<'_>) {
        let queue = self.registers.queue_select;
        let (state, registers) = (&mut self.state, &mut self.registers);
        match register {
            reg::DEVICE_FEATURE_SELECT => registers.device_feature_select = value,
            reg::DRIVER_FEATURE_SELECT => registers.driver_feature_select = value,
            reg::DRIVER_FEATURE => state.accept(registers.driver_feature_select, value),
            reg::CONFIG_MSIX_VECTOR => registers.config_msix_vector = self.msix.vector(value),
            reg::DEVICE_STATUS => {
                state.set_status(value as u8, world);
                if value as u8 == 0 {
                    self.registers = Registers::new(state.queue_count());
                }
            }
            reg::QUEUE_SELECT => registers.queue_select = value as u16,
            reg::QUEUE_MSIX_VECTOR => {
                if let Some(vector) = registers.queue_msix_vectors.get_mut(usize::from(queue)) {
                    *vector = self.msix.vector(value);
                }
            }
            reg::QUEUE_ENABLE if value == 1 => state.enable(queue, world),
            reg::QUEUE_RESET if value == 1 => state.reset_queue(queue),
            _ => self.set_up_queue(register, value),
        }
    }

    /// Registers that say where a queue lies. Others are read only, or nothing.
    fn set_up_queue(&mut self, register: (u64, u64), value: u32) {
        let half = |address: &mut GuestPhys, half| set_half(address, half, value);
        self.state.set_up(self.registers.queue_select, |config| match register {
            reg::QUEUE_SIZE => config.size = value as u16,
            reg::QUEUE_DESC => half(&mut config.descriptors, Half::Low),
            reg::QUEUE_DESC_HIGH => half(&mut config.descriptors, Half::High),
            reg::QUEUE_DRIVER => half(&mut config.driver, Half::Low),
            reg::QUEUE_DRIVER_HIGH => half(&mut config.driver, Half::High),
            reg::QUEUE_DEVICE => half(&mut config.device, Half::Low),
            reg::QUEUE_DEVICE_HIGH => half(&mut config.device, Half::High),
            _ => {}
        });
    }

    fn read_registers(&mut self, offset: u64, width: Width) -> u64 {
        let mut bytes = [0; 8];
        let part = &mut bytes[..width.bytes() as usize];
        match offset & !0xfff {
            at if at == COMMON.offset => {
                let common = self.common();
                let from = common.get(offset as usize..).unwrap_or_default();
                part.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
            at if at == ISR.offset && offset == at => {
                // Reading it ends the interrupt (4.1.4.5).
                part[0] = std::mem::take(&mut self.registers.isr);
                self.show_interrupt();
            }
            at if at == DEVICE_CFG.offset => self.state.read_config(offset - at, part),
            _ => {}
        }
        u64::from_le_bytes(bytes)
    }

    fn write_registers(&mut self, offset: u64, width: Width, value: u64, world: &World<'_>) {
        match offset & !0xfff {
            at if at == COMMON.offset && width == Width::B8 => {
                self.write_common((offset, 4), value as u32, world);
                self.write_common((offset + 4, 4), (value >> 32) as u32, world);
            }
            at if at == COMMON.offset => {
                self.write_common((offset, width.bytes()), value as u32, world);
            }
            at if at == DEVICE_CFG.offset => {
                let bytes = &value.to_le_bytes()[..width.bytes() as usize];
                self.state.write_config(offset - at, bytes, world);
            }
            at if at == NOTIFY.offset => {
                let queue = (offset - at) / u64::from(NOTIFY_OFF_MULTIPLIER);
                self.state.notify(queue as u16, world);
            }
            _ => {}
        }
        self.collect(world);
    }

    /// The access that the capability of [`PCI_CFG`] describes: BAR, offset and width, if its data is
    /// what is accessed and there is anything to access.
    fn cfg_access(&self, offset: u16) -> Option<(u8, u64, Width)> {
        let field = |at, width| self.config.read(self.window + at, width);
        let width = match field(12, Width::B4) {
            1 => Width::B1,
            2 => Width::B2,
            4 => Width::B4,
            _ => return None,
        };
        let (bar, at) = (field(4, Width::B1) as u8, u64::from(field(8, Width::B4)));
        let inside =
            at.is_multiple_of(width.bytes()) && at + width.bytes() <= self.config.bar_size(bar);
        (offset == self.window + 16 && inside).then_some((bar, at, width))
    }
}

/// The body of a capability: `struct virtio_pci_cap` (4.1.4), from `cap_len` on.
fn capability(structure: Structure, more: &[u8]) -> Vec<u8> {
    let mut body = vec![16 + more.len() as u8, structure.cfg_type, BAR, 0, 0, 0];
    body.extend((structure.offset as u32).to_le_bytes());
    body.extend((structure.len as u32).to_le_bytes());
    body.extend(more);
    body
}

impl PciFunction for VirtioPci {
    fn name(&self) -> &'static str {
        self.state.device().name()
    }

    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn read_config(&mut self, offset: u16, width: Width, world: &World<'_>) -> u32 {
        if let Some((bar, at, width)) = self.cfg_access(offset) {
            let value = self.read_bar(bar, at, width, world) as u32;
            self.config.set(offset, &value.to_le_bytes());
        }
        self.config.read(offset, width)
    }

    fn write_config(&mut self, offset: u16, width: Width, value: u32, world: &World<'_>) {
        self.config.write(offset, width, value);
        if let Some((bar, at, width)) = self.cfg_access(offset) {
            let value = u64::from(self.config.read(offset, Width::B4)) & width.mask();
            self.write_bar(bar, at, width, value, world);
        }
        // MSI-X may have been enabled, or unmasked.
        self.msix.flush(&self.config, world);
        self.show_interrupt();
    }

    fn read_bar(&mut self, bar: u8, offset: u64, width: Width, _world: &World<'_>) -> u64 {
        match bar {
            MSIX_BAR => self.msix.read(offset, width),
            _ => self.read_registers(offset, width),
        }
    }

    fn write_bar(&mut self, bar: u8, offset: u64, width: Width, value: u64, world: &World<'_>) {
        match bar {
            MSIX_BAR => self.msix.write(offset, width, value, &self.config, world),
            _ => self.write_registers(offset, width, value, world),
        }
    }

    fn intx(&self) -> bool {
        self.registers.isr != 0
            && self.config.may_interrupt()
            && !self.msix.is_enabled(&self.config)
    }

    fn connect(&mut self, notifier: Notifier) {
        self.state.connect(notifier);
    }

    fn deadline(&self) -> Option<Time> {
        self.state.deadline()
    }

    fn wake(&mut self, world: &World<'_>) {
        self.state.wake(world);
        self.collect(world);
    }

    fn reset(&mut self) {
        self.state.reset();
        self.config.reset();
        self.msix.reset();
        self.registers = Registers::new(self.state.queue_count());
    }
}
