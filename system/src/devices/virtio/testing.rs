//! A guest's driver for tests: it finds a device behind a transport, negotiates, sets up rings in
//! memory, and makes requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base::GuestPhys;
use softmmu::{GuestMemory, Ram};
use vm_memory::{Bytes, GuestAddress};

use super::VirtioDevice;
use super::mmio::{MmioWindow, VirtioMmio};
use super::pci::VirtioPci;
use crate::device::{Access, Device, Message, Notifier, Time, Width, World};
use crate::devices::pci::{HostWindows, PciHost};

/// Ways to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    /// virtio-mmio.
    Mmio,
    /// virtio-pci, with INTx.
    PciIntx,
    /// virtio-pci, with MSI-X.
    PciMsix,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Mmio, Self::PciIntx, Self::PciMsix];
}

/// Where RAM is.
pub(crate) const RAM: u64 = 0x8000_0000;
/// Bytes of it.
pub(crate) const RAM_SIZE: u64 = 16 << 20;
/// Rings of each queue: descriptors, available ring, used ring.
pub(crate) const RINGS: u64 = 0x8000;

const MMIO32: u64 = 0x4000_0000;
const MMIO64: u64 = 4 << 30;
const MSIX: u64 = 0x1000;
const SLOT: u64 = 1 << 15;
/// Where messages go, and what is in them beside the vector.
const DOORBELL: u64 = 0x2800_0000;

/// Counts how often it was told.
#[derive(Default)]
pub(crate) struct Told {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Told {
    /// Something that tells it.
    pub(crate) fn notifier(self: &Arc<Self>) -> (Notifier, Arc<AtomicU64>) {
        let (told, bits) = (Arc::clone(self), Arc::new(AtomicU64::new(0)));
        let wake = Arc::new(move || {
            *told.count.lock().unwrap() += 1;
            told.changed.notify_all();
        });
        (Notifier::new(Arc::clone(&bits), 1, wake), bits)
    }

    /// Waits until it is told, or for a millisecond.
    pub(crate) fn wait_a_little(&self) {
        let count = self.count.lock().unwrap();
        drop(self.changed.wait_timeout(count, Duration::from_millis(1)).unwrap());
    }

    /// Waits until it has been told more often than `seen`.
    pub(crate) fn wait(&self, seen: u64) -> u64 {
        let count = self.count.lock().unwrap();
        let limit = Duration::from_secs(20);
        let (count, waited) =
            self.changed.wait_timeout_while(count, limit, |count| *count <= seen).unwrap();
        assert!(!waited.timed_out(), "nothing has happened behind the device");
        *count
    }
}

/// One queue, as the driver knows it.
#[derive(Clone, Copy, Default)]
struct Ring {
    size: u16,
    free: u16,
    available: u16,
    used: u16,
}

/// The driver, and the machine around it.
pub(crate) struct Driver {
    pub(crate) device: Box<dyn Device>,
    pub(crate) memory: GuestMemory,
    transport: Transport,
    rings: Vec<Ring>,
    next_room: u64,
    now: u64,
    messages: Vec<Message>,
    told: Arc<Told>,
    seen: u64,
    bits: Arc<AtomicU64>,
}

impl Driver {
    /// A device that no driver has touched yet; its BARs have places.
    pub(crate) fn new(transport: Transport, device: Box<dyn VirtioDevice>) -> Self {
        let ram = Ram::new(GuestPhys(RAM), RAM_SIZE).unwrap();
        let memory = GuestMemory::new().insert_region(ram.region()).unwrap();
        let mut device: Box<dyn Device> = match transport {
            Transport::Mmio => Box::new(VirtioMmio::new(MmioWindow::Page, device)),
            _ => {
                let (mmio32, mmio64) = ((MMIO32, 1 << 30), (MMIO64, 1 << 30));
                let windows = HostWindows { ecam: 256 << 20, pio: 0x1_0000, mmio32, mmio64 };
                let mut host = PciHost::new(windows);
                assert_eq!(host.add(None, Box::new(VirtioPci::new(device))), Ok(1));
                Box::new(host)
            }
        };
        let told = Arc::new(Told::default());
        let (notifier, bits) = told.notifier();
        device.connect(notifier);
        let mut driver = Self {
            device,
            memory,
            transport,
            rings: Vec::new(),
            next_room: RAM + RAM_SIZE / 2,
            now: 0,
            messages: Vec::new(),
            told,
            seen: 0,
            bits,
        };
        driver.place();
        driver
    }

    /// A device whose driver accepts what it offers of `features`, and all that rings have.
    pub(crate) fn started(
        transport: Transport,
        device: Box<dyn VirtioDevice>,
        features: u64,
    ) -> Self {
        let mut driver = Self::new(transport, device);
        driver.start(features | 0x3 << 28 | 1 << 32 | 1 << 40);
        driver
    }

    /// Negotiates these features, as far as they are offered, and sets up all queues.
    pub(crate) fn start(&mut self, features: u64) {
        self.set_status(0);
        self.set_status(1);
        self.set_status(3);
        let accepted = self.offered() & features;
        self.accept(accepted);
        self.set_status(11);
        assert_eq!(self.status(), 11, "features are accepted");
        self.rings.clear();
        for queue in 0.. {
            let size = self.max_size(queue);
            if size == 0 {
                break;
            }
            self.rings.push(Ring { size, ..Ring::default() });
            self.memory.write_slice(&[0; RINGS as usize], GuestAddress(self.ring(queue))).unwrap();
            self.set_up(queue, size, self.ring(queue));
        }
        self.set_status(15);
        assert_eq!(self.status(), 15);
    }

    /// Sets up and enables a queue with its rings at an address.
    pub(crate) fn set_up(&mut self, queue: u16, size: u16, at: u64) {
        let places = [at, at + 0x4000, at + 0x5000];
        match self.transport {
            Transport::Mmio => {
                self.store(0x30, Width::B4, queue.into());
                self.store(0x38, Width::B4, size.into());
                for (register, place) in [0x80, 0x90, 0xa0].into_iter().zip(places) {
                    self.store(register, Width::B4, place & 0xffff_ffff);
                    self.store(register + 4, Width::B4, place >> 32);
                }
                self.store(0x44, Width::B4, 1);
            }
            Transport::PciIntx | Transport::PciMsix => {
                self.store(0x16, Width::B2, queue.into());
                self.store(0x18, Width::B2, size.into());
                for (register, place) in [0x20, 0x28, 0x30].into_iter().zip(places) {
                    self.store(register, Width::B4, place & 0xffff_ffff);
                    self.store(register + 4, Width::B4, place >> 32);
                }
                self.store(0x1a, Width::B2, u64::from(queue) + 1);
                self.store(0x1c, Width::B2, 1);
            }
        }
    }

    /// Whether a queue is enabled.
    pub(crate) fn is_enabled(&mut self, queue: u16) -> bool {
        let (select, enabled, width) =
            self.either((0x30, 0x44, Width::B4), (0x16, 0x1c, Width::B2));
        self.store(select, width, queue.into());
        self.load(enabled, width) == 1
    }

    /// Resets one queue, and starts it again.
    pub(crate) fn restart_queue(&mut self, queue: u16) {
        let (select, reset, width) = self.either((0x30, 0xc0, Width::B4), (0x16, 0x3a, Width::B2));
        self.store(select, width, queue.into());
        self.store(reset, width, 1);
        assert_eq!(self.load(reset, width), 0);
        assert!(!self.is_enabled(queue));
        let size = self.rings[usize::from(queue)].size;
        self.rings[usize::from(queue)] = Ring { size, ..Ring::default() };
        self.memory.write_slice(&[0; RINGS as usize], GuestAddress(self.ring(queue))).unwrap();
        self.set_up(queue, size, self.ring(queue));
        assert!(self.is_enabled(queue));
    }

    /// Where a queue's rings are.
    pub(crate) fn ring(&self, queue: u16) -> u64 {
        RAM + RINGS * u64::from(queue)
    }

    /// Makes a chain available, which is not told to the device.
    pub(crate) fn add(
        &mut self,
        queue: u16,
        readable: &[(u64, u32)],
        writable: &[(u64, u32)],
    ) -> u32 {
        let at = self.ring(queue);
        let ring = &mut self.rings[usize::from(queue)];
        let head = ring.free;
        let count = readable.len() + writable.len();
        let all = readable.iter().map(|buffer| (buffer, 0)).chain(writable.iter().map(|b| (b, 2)));
        for (index, (&(addr, len), write)) in (0..).zip(all) {
            let this = (head + index) % ring.size;
            let more = u16::from(usize::from(index) + 1 < count);
            let mut bytes = addr.to_le_bytes().to_vec();
            bytes.extend(len.to_le_bytes());
            bytes.extend((write | more).to_le_bytes());
            bytes.extend(((this + 1) % ring.size).to_le_bytes());
            self.memory.write_slice(&bytes, GuestAddress(at + 16 * u64::from(this))).unwrap();
        }
        ring.free = (head + count as u16) % ring.size;
        self.publish(queue, head);
        head.into()
    }

    /// Makes a head available, which is not told to the device.
    pub(crate) fn publish(&mut self, queue: u16, head: u16) {
        let at = self.ring(queue) + 0x4000;
        let ring = &mut self.rings[usize::from(queue)];
        let entry = at + 4 + 2 * u64::from(ring.available % ring.size);
        ring.available = ring.available.wrapping_add(1);
        self.memory.write_obj(head, GuestAddress(entry)).unwrap();
        self.memory.write_obj(ring.available, GuestAddress(at + 2)).unwrap();
    }

    /// Whether the device wants to be told, with VIRTIO_F_EVENT_IDX.
    pub(crate) fn wants_kick(&self, queue: u16) -> bool {
        let ring = &self.rings[usize::from(queue)];
        let event = self.ring(queue) + 0x5000 + 4 + 8 * u64::from(ring.size);
        let event: u16 = self.memory.read_obj(GuestAddress(event)).unwrap();
        ring.available.wrapping_sub(event) == 1
    }

    /// Tells the device.
    pub(crate) fn kick(&mut self, queue: u16) {
        let at = self.either(0x50, 0x3000 + 4 * u64::from(queue));
        let width = self.either(Width::B4, Width::B2);
        self.store(at, width, queue.into());
    }

    /// What was used since this was last asked: heads, and bytes written. Asks for an interrupt
    /// with what comes next.
    pub(crate) fn used(&mut self, queue: u16) -> Vec<(u32, u32)> {
        let at = self.ring(queue) + 0x5000;
        let index: u16 = self.memory.read_obj(GuestAddress(at + 2)).unwrap();
        let ring = &mut self.rings[usize::from(queue)];
        let mut used = Vec::new();
        while ring.used != index {
            let entry = at + 4 + 8 * u64::from(ring.used % ring.size);
            let read = |at| self.memory.read_obj::<u32>(GuestAddress(at)).unwrap();
            used.push((read(entry), read(entry + 4)));
            ring.used = ring.used.wrapping_add(1);
        }
        let event = at - 0x1000 + 4 + 2 * u64::from(ring.size);
        self.memory.write_obj(ring.used, GuestAddress(event)).unwrap();
        used
    }

    /// Waits until so many chains were used.
    pub(crate) fn wait_used(&mut self, queue: u16, count: usize) -> Vec<(u32, u32)> {
        let mut used = self.used(queue);
        while used.len() < count {
            self.seen = self.told.wait(self.seen);
            self.wake();
            used.extend(self.used(queue));
        }
        used
    }

    /// Wakes the device until its time lies ahead.
    pub(crate) fn wake(&mut self) {
        self.bits.store(0, Ordering::Release);
        self.with_world(|device, world| device.wake(world));
        while self.device.deadline().is_some_and(|deadline| deadline.0 <= self.now) {
            self.with_world(|device, world| device.wake(world));
        }
    }

    /// How many queues' interrupts there were, since this was last asked; acknowledges them. Lines
    /// count one.
    pub(crate) fn take_interrupts(&mut self) -> usize {
        match self.transport {
            Transport::Mmio => {
                let status = self.load(0x60, Width::B4);
                assert_eq!(self.device.lines().0, u32::from(status != 0));
                self.store(0x64, Width::B4, status);
                assert_eq!(self.device.lines().0, 0);
                (status & 1) as usize
            }
            Transport::PciIntx => {
                let line = self.device.lines().0;
                let status = self.load(0x1000, Width::B1);
                assert_eq!(line, u32::from(status != 0) << 1);
                assert_eq!(self.device.lines().0, 0);
                (status & 1) as usize
            }
            Transport::PciMsix => {
                assert_eq!(self.device.lines().0, 0);
                let messages = std::mem::take(&mut self.messages);
                assert!(messages.iter().all(|message| message.address == GuestPhys(DOORBELL)));
                messages.iter().filter(|message| message.data != 0x40).count()
            }
        }
    }

    /// Whether the device says that its configuration or status has changed, since this was last
    /// asked.
    pub(crate) fn take_config_interrupt(&mut self) -> bool {
        match self.transport {
            Transport::Mmio => {
                let status = self.load(0x60, Width::B4);
                self.store(0x64, Width::B4, status & 2);
                status & 2 != 0
            }
            Transport::PciIntx => self.load(0x1000, Width::B1) & 2 != 0,
            Transport::PciMsix => {
                let before = self.messages.len();
                self.messages.retain(|message| message.data != 0x40);
                self.messages.len() != before
            }
        }
    }

    /// Room in memory, filled with 0xee.
    pub(crate) fn room(&mut self, bytes: u64) -> u64 {
        let at = self.next_room;
        self.next_room = (at + bytes).next_multiple_of(64) + 64;
        self.memory.write_slice(&vec![0xee; bytes as usize], GuestAddress(at)).unwrap();
        at
    }

    /// Room in memory, with these bytes.
    pub(crate) fn place_bytes(&mut self, bytes: &[u8]) -> u64 {
        let at = self.room(bytes.len() as u64);
        self.memory.write_slice(bytes, GuestAddress(at)).unwrap();
        at
    }

    /// What is in memory.
    pub(crate) fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        bytes
    }

    /// The device's configuration.
    pub(crate) fn config(&mut self, offset: u64, len: u64) -> Vec<u8> {
        let at = self.either(0x100, 0x2000) + offset;
        (at..at + len).map(|at| self.load(at, Width::B1) as u8).collect()
    }

    /// Writes a byte of the device's configuration.
    pub(crate) fn write_config(&mut self, offset: u64, value: u8) {
        let at = self.either(0x100, 0x2000) + offset;
        self.store(at, Width::B1, value.into());
    }

    pub(crate) fn status(&mut self) -> u8 {
        let (at, width) = self.either((0x70, Width::B4), (0x14, Width::B1));
        self.load(at, width) as u8
    }

    pub(crate) fn set_status(&mut self, status: u8) {
        let (at, width) = self.either((0x70, Width::B4), (0x14, Width::B1));
        self.store(at, width, status.into());
        if status == 0 && self.transport == Transport::PciMsix {
            self.store(0x10, Width::B2, 0);
        }
    }

    pub(crate) fn offered(&mut self) -> u64 {
        let (select, features) = self.either((0x14, 0x10), (0x00, 0x04));
        (0..2).fold(0, |all, half| {
            self.store(select, Width::B4, half);
            all | self.load(features, Width::B4) << (32 * half)
        })
    }

    pub(crate) fn accept(&mut self, features: u64) {
        let (select, register) = self.either((0x24, 0x20), (0x08, 0x0c));
        for half in 0..2 {
            self.store(select, Width::B4, half);
            self.store(register, Width::B4, features >> (32 * half) & 0xffff_ffff);
        }
    }

    pub(crate) fn max_size(&mut self, queue: u16) -> u16 {
        let (select, size, width) = self.either((0x30, 0x34, Width::B4), (0x16, 0x18, Width::B2));
        self.store(select, width, queue.into());
        self.load(size, width) as u16
    }

    /// A load from the window of virtio registers.
    pub(crate) fn load(&mut self, offset: u64, width: Width) -> u64 {
        let window = self.either(0, 3);
        self.access(|device, world| device.read(Access { window, offset, width }, world))
    }

    /// A store to the window of virtio registers.
    pub(crate) fn store(&mut self, offset: u64, width: Width, value: u64) {
        let window = self.either(0, 3);
        self.access(|device, world| device.write(Access { window, offset, width }, value, world));
    }

    fn either<T>(&self, mmio: T, pci: T) -> T {
        if self.transport == Transport::Mmio { mmio } else { pci }
    }

    /// Gives BARs their places, and MSI-X its messages.
    pub(crate) fn place(&mut self) {
        if self.transport == Transport::Mmio {
            return;
        }
        let stores = [(0x14, MMIO32 + MSIX), (0x20, 0), (0x24, MMIO64 >> 32), (4, 6)];
        for (register, value) in stores {
            self.store_to(0, SLOT + register, Width::B4, value);
        }
        assert_eq!(self.load_from(0, SLOT, Width::B2), 0x1af4);
        if self.transport == Transport::PciMsix {
            for vector in 0..8 {
                let entry = MSIX + 16 * vector;
                let words = [DOORBELL, 0, 0x40 + vector, 0];
                for (field, word) in (0..).step_by(4).zip(words) {
                    self.store_to(2, entry + field, Width::B4, word);
                }
            }
            assert_eq!(self.load_from(0, SLOT + 0x40, Width::B1), 0x11);
            self.store_to(0, SLOT + 0x42, Width::B2, 0x8000);
            self.store(0x10, Width::B2, 0);
        }
    }

    pub(crate) fn load_from(&mut self, window: u32, offset: u64, width: Width) -> u64 {
        self.access(|device, world| device.read(Access { window, offset, width }, world))
    }

    pub(crate) fn store_to(&mut self, window: u32, offset: u64, width: Width, value: u64) {
        self.access(|device, world| device.write(Access { window, offset, width }, value, world));
    }

    fn access<T, E: std::fmt::Debug>(
        &mut self,
        access: impl FnOnce(&mut dyn Device, &World<'_>) -> Result<T, E>,
    ) -> T {
        self.with_world(|device, world| access(device, world)).unwrap()
    }

    /// Calls the device, a microsecond after it was last called.
    pub(crate) fn with_world<T>(
        &mut self,
        call: impl FnOnce(&mut dyn Device, &World<'_>) -> T,
    ) -> T {
        self.now += 1000;
        let world = World::new(Time(self.now), 0, &self.memory);
        let answer = call(self.device.as_mut(), &world);
        self.messages.extend(world.into_messages());
        answer
    }
}
