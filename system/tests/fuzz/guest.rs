//! A guest that means no good: it knows how drivers do things, and does them otherwise.

use base::GuestPhys;
use ferry_system::device::Width;
use ferry_system::riscv64::layout;

use crate::harness::Random;
use crate::machine::{KINDS, RAM_SIZE, Reach};

const RAM: u64 = layout::DRAM.0;
/// Rings and tables lie in the first part of RAM, a piece for each queue.
const PIECE: u64 = 0x8000;
const PIECES: u64 = 32;
/// Where buffers lie.
const BUFFERS: u64 = RAM + PIECE * PIECES;
/// Entries of queues, at most.
const ENTRIES: u64 = 64;

/// Windows of devices, with bytes of each whose registers are more interesting than the rest.
const WINDOWS: [(GuestPhys, u64); 14] = [
    (layout::FINISHER, 0x10),
    (layout::RTC, 0x40),
    (layout::CLINT, layout::CLINT_SIZE),
    (layout::PLIC, layout::PLIC_SIZE),
    (layout::PLIC, 0x2000),
    (layout::APLIC_S, layout::APLIC_SIZE),
    (layout::IMSIC_M, 0x2000),
    (layout::IMSIC_S, 0x2000),
    (layout::UART, layout::UART_SIZE),
    (layout::FW_CFG, layout::FW_CFG_SIZE),
    (layout::FLASH, 2 * layout::FLASH_BANK),
    (layout::PCI_PIO, layout::PCI_PIO_SIZE),
    (layout::PCI_ECAM, layout::PCI_ECAM_SIZE),
    (layout::PCI_MMIO, 0x10_0000),
];

/// Flags of descriptors (virtio 1.2, 2.7.5).
const NEXT: u64 = 1;
const WRITE: u64 = 2;
const INDIRECT: u64 = 4;

/// A way to a virtio device.
#[derive(Clone, Copy)]
enum Way {
    Mmio(u64),
    /// Where its BAR is.
    Pci(u64),
}

pub(crate) struct Guest {
    reach: Reach,
    ways: Vec<Way>,
}

impl Guest {
    pub(crate) fn new(reach: Reach) -> Self {
        let mut ways: Vec<Way> = (0..KINDS).map(|n| Way::Mmio(layout::virtio(n).0)).collect();
        // With the power button, which comes last.
        ways.extend((0..=u64::from(KINDS)).map(|n| Way::Pci(layout::PCI_MMIO.0 + n * 0x1_0000)));
        Self { reach, ways }
    }

    pub(crate) fn finish(self) -> Reach {
        self.reach
    }

    /// Does as good firmware does: gives BARs their places.
    pub(crate) fn prepare(&mut self, random: &Random) {
        for slot in 1..=u64::from(KINDS) + 1 {
            let config = layout::PCI_ECAM.0 + (slot << 15);
            let at = layout::PCI_MMIO.0 + (slot - 1) * 0x1_0000;
            for (register, value) in
                [(0x10, at + 0x8000), (0x14, at + 0x8000), (0x20, at), (0x24, 0)]
            {
                self.reach.store(config + register, Width::B4, value);
            }
            self.reach.store(config + 4, Width::B2, 6);
        }
        for way in self.ways.clone() {
            if !random.once_in(4) {
                self.start(way, random);
            }
        }
    }

    pub(crate) fn act(&mut self, random: &Random) {
        let way = random.choose(&self.ways.clone());
        let queue = random.below(3);
        match random.below(24) {
            0..=4 => self.touch_anything(random),
            5 => self.touch_configuration_space(random),
            6..=8 => self.touch_registers(way, random),
            9 => self.start(way, random),
            10 => self.set_up(way, queue, random),
            11 => self.reset_queue(way, queue),
            12 => self.scribble(random),
            13..=15 => {
                self.request(way, queue, random);
                self.notify(way, queue);
            }
            16..=18 => {
                self.chain(way, queue, random);
                self.notify(way, queue);
            }
            19 => self.notify(way, queue),
            20 => self.jump_index(way, queue, random),
            21 => self.reach.wake(random.below(1 << 40)),
            22 => self.flash_command(random),
            _ => self.reach.wake(1000),
        }
    }

    fn width(random: &Random) -> Width {
        random.choose(&[Width::B1, Width::B2, Width::B4, Width::B4, Width::B8])
    }

    fn touch(&mut self, at: u64, random: &Random) {
        let width = Self::width(random);
        if random.once_in(3) {
            self.reach.load(at, width);
        } else {
            let value = self.value(random);
            self.reach.store(at, width, value);
        }
    }

    fn touch_anything(&mut self, random: &Random) {
        let (start, size) = random.choose(&WINDOWS);
        let place = random.below(size) >> random.below(24).min(size.ilog2().into());
        let aligned = if random.once_in(8) { place } else { place & !7 };
        self.touch(start.0 + aligned, random);
    }

    fn touch_configuration_space(&mut self, random: &Random) {
        let slot = random.below(u64::from(KINDS) + 3);
        let register =
            random.choose(&[random.below(0x40), 0x40 + random.below(0x80), random.below(0x1000)]);
        self.touch(layout::PCI_ECAM.0 + (slot << 15) + register, random);
    }

    fn touch_registers(&mut self, way: Way, random: &Random) {
        let (start, offset) = match way {
            Way::Mmio(start) => {
                (start, random.choose(&[random.below(0x110), random.below(0x1000)]))
            }
            Way::Pci(start) => {
                let part = random.choose(&[0, 0x1000, 0x2000, 0x3000, 0x8000]);
                (start, part + random.below(0x40))
            }
        };
        self.touch(start + offset, random);
    }

    /// A number or an address.
    fn value(&self, random: &Random) -> u64 {
        if random.once_in(2) { self.place(random, 16) } else { random.odd_word() }
    }

    /// Where something of so many bytes might lie: mostly in RAM.
    fn place(&self, random: &Random, bytes: u64) -> u64 {
        let end = RAM + RAM_SIZE;
        match random.below(12) {
            0 => random.odd_word(),
            1 => random.choose(&WINDOWS).0.0 + random.below(0x100),
            2 => end.wrapping_sub(random.below(2 * bytes + 2)),
            3 => RAM.wrapping_sub(random.below(bytes + 1)),
            // Among the rings.
            4 => RAM + random.below(PIECE * PIECES),
            _ => BUFFERS + random.below(RAM_SIZE - PIECE * PIECES - bytes.min(1 << 20)),
        }
    }

    /// Where a queue's rings are.
    fn ring(&self, way: Way, queue: u64) -> u64 {
        let index = match way {
            Way::Mmio(at) => (at - layout::virtio(0).0) / layout::VIRTIO_SIZE,
            Way::Pci(at) => u64::from(KINDS) + (at - layout::PCI_MMIO.0) / 0x1_0000,
        };
        RAM + (index * 3 + queue) % PIECES * PIECE
    }

    /// Negotiates and sets up all queues, as drivers do or nearly so.
    fn start(&mut self, way: Way, random: &Random) {
        let (status, width) = match way {
            Way::Mmio(at) => (at + 0x70, Width::B4),
            Way::Pci(at) => (at + 0x14, Width::B1),
        };
        let refused = if random.once_in(4) { random.odd_word() } else { 0 };
        for step in [0, 1, 3] {
            self.reach.store(status, width, step);
        }
        for half in 0..2 {
            let (select, offered, select_accepted, accepted) = match way {
                Way::Mmio(at) => (at + 0x14, at + 0x10, at + 0x24, at + 0x20),
                Way::Pci(at) => (at, at + 4, at + 8, at + 12),
            };
            self.reach.store(select, Width::B4, half);
            let features = self.reach.load(offered, Width::B4);
            self.reach.store(select_accepted, Width::B4, half);
            self.reach.store(accepted, Width::B4, features & !(refused >> (32 * half)));
        }
        self.reach.store(status, width, 11);
        for queue in 0..3 {
            self.set_up(way, queue, random);
        }
        self.reach.store(status, width, if random.once_in(8) { random.word() } else { 15 });
    }

    fn set_up(&mut self, way: Way, queue: u64, random: &Random) {
        let ring = self.ring(way, queue);
        for at in (ring..ring + PIECE).step_by(0x800) {
            self.reach.store(at, Width::B8, 0);
        }
        let mut places = [ring, ring + 0x4000, ring + 0x5000];
        if random.once_in(6) {
            places[random.below(3) as usize] = self.place(random, 0x400) & !random.below(16);
        }
        let size = if random.once_in(6) { random.odd_word() } else { 1 << random.below(7) };
        match way {
            Way::Mmio(at) => {
                self.reach.store(at + 0x30, Width::B4, queue);
                self.reach.store(at + 0x38, Width::B4, size);
                for (register, place) in [0x80, 0x90, 0xa0].into_iter().zip(places) {
                    self.reach.store(at + register, Width::B4, place);
                    self.reach.store(at + register + 4, Width::B4, place >> 32);
                }
                self.reach.store(at + 0x44, Width::B4, 1);
            }
            Way::Pci(at) => {
                self.reach.store(at + 0x16, Width::B2, queue);
                self.reach.store(at + 0x18, Width::B2, size);
                for (register, place) in [0x20, 0x28, 0x30].into_iter().zip(places) {
                    self.reach.store(at + register, Width::B8, place);
                    self.reach.store(at + register, Width::B4, place);
                    self.reach.store(at + register + 4, Width::B4, place >> 32);
                }
                self.reach.store(at + 0x1a, Width::B2, random.below(6));
                self.reach.store(at + 0x1c, Width::B2, 1);
            }
        }
    }

    fn reset_queue(&mut self, way: Way, queue: u64) {
        let (select, reset, width) = match way {
            Way::Mmio(at) => (at + 0x30, at + 0xc0, Width::B4),
            Way::Pci(at) => (at + 0x16, at + 0x3a, Width::B2),
        };
        self.reach.store(select, width, queue);
        self.reach.store(reset, width, 1);
    }

    fn notify(&mut self, way: Way, queue: u64) {
        match way {
            Way::Mmio(at) => self.reach.store(at + 0x50, Width::B4, queue),
            Way::Pci(at) => self.reach.store(at + 0x3000 + 4 * queue, Width::B2, queue),
        }
    }

    /// Writes nonsense over rings that may be in use.
    fn scribble(&mut self, random: &Random) {
        let ring = RAM + random.below(PIECES) * PIECE;
        let part = random.choose(&[0, 0x4000, 0x5000]);
        for _ in 0..random.below(20) {
            let value = self.value(random);
            self.reach.store(ring + part + random.below(0x200), Width::B8, value);
        }
    }

    fn descriptor(&mut self, at: u64, [addr, len, flags, next]: [u64; 4]) {
        self.reach.store(at, Width::B8, addr);
        self.reach.store(at.wrapping_add(8), Width::B4, len);
        self.reach.store(at.wrapping_add(12), Width::B2, flags);
        self.reach.store(at.wrapping_add(14), Width::B2, next);
    }

    /// Makes a head available. The ring may have other sizes than this takes it to have.
    fn publish(&mut self, ring: u64, head: u64, random: &Random) {
        let available = ring + 0x4000;
        let index = self.reach.load(available + 2, Width::B2);
        let size = 1 << random.below(7);
        self.reach.store(available + 4 + 2 * (index % size), Width::B2, head);
        for entry in 0..ENTRIES {
            if random.once_in(2) {
                self.reach.store(available + 4 + 2 * entry, Width::B2, head);
            }
        }
        self.reach.store(available + 2, Width::B2, index + 1);
    }

    fn jump_index(&mut self, way: Way, queue: u64, random: &Random) {
        let index = self.ring(way, queue) + 0x4002;
        let old = self.reach.load(index, Width::B2);
        let value = random.choose(&[
            old.wrapping_add(1),
            old.wrapping_add(random.below(70)),
            random.odd_word(),
        ]);
        self.reach.store(index, Width::B2, value);
    }

    /// A chain of descriptors of which nothing need be right: circles, tables in tables, tables that are too long.
    fn chain(&mut self, way: Way, queue: u64, random: &Random) {
        let ring = self.ring(way, queue);
        let size = 1 << random.below(7);
        let table = if random.once_in(3) { self.place(random, 0x1000) & !15 } else { ring };
        let count = 1 + random.below(if random.once_in(10) { 1100 } else { 8 });
        for index in 0..count {
            let len = match random.below(5) {
                0 => random.odd_word(),
                1 => 16 * random.below(70),
                _ => random.below(0x600),
            };
            let addr = if random.once_in(6) { table } else { self.place(random, len.min(0x1000)) };
            let more = if index + 1 < count || random.once_in(10) { NEXT } else { 0 };
            let write = if index * 2 >= count || random.once_in(6) { WRITE } else { 0 };
            let indirect = if random.once_in(9) { INDIRECT } else { 0 };
            let next = if random.once_in(9) { random.odd_word() } else { index + 1 };
            self.descriptor(
                table.wrapping_add(16 * index),
                [addr, len, more | write | indirect, next],
            );
        }
        if table != ring {
            let len = if random.once_in(6) { random.odd_word() } else { 16 * count };
            let flags = INDIRECT | if random.once_in(8) { NEXT } else { 0 };
            self.descriptor(ring, [table, len, flags, random.below(size)]);
        }
        let head = if random.once_in(8) { random.below(2 * size) } else { 0 };
        self.publish(ring, head, random);
    }

    /// What a driver of disks would ask for, which others take for a frame or for characters: a header, data, a
    /// status.
    fn request(&mut self, way: Way, queue: u64, random: &Random) {
        let ring = self.ring(way, queue);
        let kind = random.choose(&[0, 1, 1, 4, 8, 11, 13, 0, random.below(32)]);
        let header = BUFFERS + random.below(0x1000) * 16;
        let sector = if random.once_in(4) { random.odd_word() } else { random.below(140) };
        self.reach.store(header, Width::B4, kind);
        self.reach.store(header + 4, Width::B4, 0);
        self.reach.store(header + 8, Width::B8, sector);
        let len = if random.once_in(4) { random.below(0x2000) } else { 512 * random.below(40) };
        let data = self.place(random, len);
        let write = if random.choose(&[kind == 0, kind == 8, true]) { WRITE } else { 0 };
        let status = self.place(random, 1);
        self.descriptor(ring, [header, 16, NEXT, 1]);
        self.descriptor(ring + 16, [data, len, NEXT | write, 2]);
        self.descriptor(ring + 32, [status, 1, WRITE, 0]);
        self.publish(ring, 0, random);
    }

    fn flash_command(&mut self, random: &Random) {
        let at = (layout::FLASH.0 + random.below(2 * layout::FLASH_BANK)) & !3;
        let commands = [0xff, 0x90, 0x98, 0x70, 0x50, 0x40, 0xe8, 0x20, 0x60, 0xd0];
        let command = random.choose(&commands) * 0x1_0001;
        self.reach.store(at, Width::B4, command);
        for _ in 0..random.below(12) {
            let value = random.choose(&[0x10_0001, 0xd0_00d0, random.word()]);
            self.reach.store(at + 4 * random.below(4), Width::B4, value);
        }
        self.reach.load(at, Width::B4);
    }
}
