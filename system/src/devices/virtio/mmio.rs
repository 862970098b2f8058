//! Virtio over MMIO (virtio 1.2, 4.2), version 2: one window, one interrupt line.

use base::GuestPhys;
use virtio_bindings::bindings::virtio_mmio::{
    VIRTIO_MMIO_CONFIG, VIRTIO_MMIO_CONFIG_GENERATION, VIRTIO_MMIO_DEVICE_FEATURES,
    VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DEVICE_ID, VIRTIO_MMIO_DRIVER_FEATURES,
    VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_VRING,
    VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INTERRUPT_STATUS, VIRTIO_MMIO_MAGIC_VALUE,
    VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
    VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_NOTIFY, VIRTIO_MMIO_QUEUE_NUM,
    VIRTIO_MMIO_QUEUE_NUM_MAX, VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_SEL,
    VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_SHM_BASE_HIGH,
    VIRTIO_MMIO_SHM_BASE_LOW, VIRTIO_MMIO_SHM_LEN_HIGH, VIRTIO_MMIO_SHM_LEN_LOW,
    VIRTIO_MMIO_STATUS, VIRTIO_MMIO_VENDOR_ID, VIRTIO_MMIO_VERSION,
};

use super::VirtioDevice;
use super::queue::QueueConfig;
use super::state::{Half, Signal, VirtioState, set_half};
use crate::device::{Access, Device, Effect, Lines, Notifier, Refusal, Time, Width, World};

/// "virt".
const MAGIC: u32 = 0x7472_6976;
/// The modern interface.
const VERSION: u32 = 2;
/// "Fery", as the subsystem's vendor.
const VENDOR: u32 = 0x7972_6546;

/// Since virtio 1.2; the bindings are older.
const VIRTIO_MMIO_QUEUE_RESET: u32 = 0x0c0;

/// Bytes of a window, as the boards have them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MmioWindow {
    /// 0x200: eight to a page, on AArch64's `virt`.
    Packed,
    /// 0x1000: a page each, on RISC-V's `virt`.
    Page,
}

impl MmioWindow {
    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::Packed => 0x200,
            Self::Page => 0x1000,
        }
    }
}

/// The transport, and the device behind it if there is one.
pub struct VirtioMmio {
    window: MmioWindow,
    state: Option<VirtioState>,
    registers: Registers,
}

/// What the transport has of its own.
#[derive(Default)]
struct Registers {
    device_features_sel: u32,
    driver_features_sel: u32,
    queue_sel: u32,
    interrupt_status: u32,
}

impl VirtioMmio {
    /// A slot with a device.
    #[must_use]
    pub fn new(window: MmioWindow, device: Box<dyn VirtioDevice>) -> Self {
        let state = Some(VirtioState::new(device));
        Self { window, state, registers: Registers::default() }
    }

    /// A slot that is empty: its device ID is 0, so that a driver lets it be.
    #[must_use]
    pub fn empty(window: MmioWindow) -> Self {
        Self { window, state: None, registers: Registers::default() }
    }
}

impl Device for VirtioMmio {
    fn name(&self) -> &'static str {
        "virtio,mmio"
    }

    fn windows(&self) -> Vec<u64> {
        vec![self.window.bytes()]
    }

    fn read(&mut self, access: Access, _world: &World<'_>) -> Result<u64, Refusal> {
        let Access { offset, width, .. } = access;
        if offset >= u64::from(VIRTIO_MMIO_CONFIG) {
            let mut bytes = [0; 8];
            if let Some(state) = &self.state {
                let part = &mut bytes[..width.bytes() as usize];
                state.read_config(offset - u64::from(VIRTIO_MMIO_CONFIG), part);
            }
            return Ok(u64::from_le_bytes(bytes));
        }
        let register = register(access)?;
        Ok(match (&self.state, register) {
            (_, VIRTIO_MMIO_MAGIC_VALUE) => MAGIC,
            (_, VIRTIO_MMIO_VERSION) => VERSION,
            (_, VIRTIO_MMIO_VENDOR_ID) => VENDOR,
            (None, _) => 0,
            (Some(state), register) => self.registers.read(state, register),
        }
        .into())
    }

    fn write(&mut self, access: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        let Access { offset, width, .. } = access;
        let Some(state) = &mut self.state else { return Ok(Effect::None) };
        if offset >= u64::from(VIRTIO_MMIO_CONFIG) {
            let bytes = &value.to_le_bytes()[..width.bytes() as usize];
            state.write_config(offset - u64::from(VIRTIO_MMIO_CONFIG), bytes, world);
        } else {
            self.registers.write(state, register(access)?, value as u32, world);
        }
        self.registers.collect(state);
        Ok(Effect::None)
    }

    fn lines(&self) -> Lines {
        Lines::single(self.registers.interrupt_status != 0)
    }

    fn connect(&mut self, notifier: Notifier) {
        if let Some(state) = &mut self.state {
            state.connect(notifier);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.state.as_ref()?.deadline()
    }

    fn wake(&mut self, world: &World<'_>) {
        if let Some(state) = &mut self.state {
            state.wake(world);
            self.registers.collect(state);
        }
    }

    fn reset(&mut self) {
        if let Some(state) = &mut self.state {
            state.reset();
        }
        self.registers = Registers::default();
    }
}

/// Registers are accessed as 32 bits (4.2.2.2).
fn register(access: Access) -> Result<u32, Refusal> {
    match access.width {
        Width::B4 if access.offset.is_multiple_of(4) => Ok(access.offset as u32),
        _ => Err(Refusal::Width),
    }
}

impl Registers {
    /// The queue that is selected.
    fn queue(&self) -> u16 {
        u16::try_from(self.queue_sel).unwrap_or(u16::MAX)
    }

    /// Makes signals interrupts.
    fn collect(&mut self, state: &mut VirtioState) {
        while let Some(signal) = state.next_signal() {
            self.interrupt_status |= match signal {
                Signal::Config => VIRTIO_MMIO_INT_CONFIG,
                Signal::Queue(_) => VIRTIO_MMIO_INT_VRING,
            };
        }
    }

    fn read(&self, state: &VirtioState, register: u32) -> u32 {
        match register {
            VIRTIO_MMIO_DEVICE_ID => state.device().device_id().into(),
            VIRTIO_MMIO_DEVICE_FEATURES => state.offered(self.device_features_sel),
            VIRTIO_MMIO_QUEUE_NUM_MAX => state.max_size(self.queue()).into(),
            VIRTIO_MMIO_QUEUE_READY => state.is_enabled(self.queue()).into(),
            VIRTIO_MMIO_INTERRUPT_STATUS => self.interrupt_status,
            VIRTIO_MMIO_STATUS => state.status().into(),
            // There is no shared memory: its regions have no size and no place (4.2.2.1).
            VIRTIO_MMIO_SHM_LEN_LOW
            | VIRTIO_MMIO_SHM_LEN_HIGH
            | VIRTIO_MMIO_SHM_BASE_LOW
            | VIRTIO_MMIO_SHM_BASE_HIGH => u32::MAX,
            VIRTIO_MMIO_CONFIG_GENERATION => state.generation(),
            // Written only, or reset that is over at once, or nothing.
            _ => 0,
        }
    }

    fn write(&mut self, state: &mut VirtioState, register: u32, value: u32, world: &World<'_>) {
        let queue = self.queue();
        match register {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.device_features_sel = value,
            VIRTIO_MMIO_DRIVER_FEATURES => state.accept(self.driver_features_sel, value),
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver_features_sel = value,
            VIRTIO_MMIO_QUEUE_SEL => self.queue_sel = value,
            VIRTIO_MMIO_QUEUE_READY if value & 1 != 0 => state.enable(queue, world),
            VIRTIO_MMIO_QUEUE_READY => state.reset_queue(queue),
            VIRTIO_MMIO_QUEUE_NOTIFY => {
                if let Ok(queue) = u16::try_from(value) {
                    state.notify(queue, world);
                }
            }
            VIRTIO_MMIO_INTERRUPT_ACK => self.interrupt_status &= !value,
            VIRTIO_MMIO_STATUS => {
                state.set_status(value as u8, world);
                if value as u8 == 0 {
                    *self = Self::default();
                }
            }
            VIRTIO_MMIO_QUEUE_RESET if value & 1 != 0 => state.reset_queue(queue),
            _ => state.set_up(queue, |config| set_up(config, register, value)),
        }
    }
}

/// Registers that say where a queue lies. Others are read only, or nothing.
fn set_up(config: &mut QueueConfig, register: u32, value: u32) {
    let half = |address: &mut GuestPhys, half| set_half(address, half, value);
    match register {
        // What is too large to be a size becomes one that cannot be used.
        VIRTIO_MMIO_QUEUE_NUM => config.size = u16::try_from(value).unwrap_or(0),
        VIRTIO_MMIO_QUEUE_DESC_LOW => half(&mut config.descriptors, Half::Low),
        VIRTIO_MMIO_QUEUE_DESC_HIGH => half(&mut config.descriptors, Half::High),
        VIRTIO_MMIO_QUEUE_AVAIL_LOW => half(&mut config.driver, Half::Low),
        VIRTIO_MMIO_QUEUE_AVAIL_HIGH => half(&mut config.driver, Half::High),
        VIRTIO_MMIO_QUEUE_USED_LOW => half(&mut config.device, Half::Low),
        VIRTIO_MMIO_QUEUE_USED_HIGH => half(&mut config.device, Half::High),
        _ => {}
    }
}
