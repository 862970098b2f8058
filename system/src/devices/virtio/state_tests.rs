use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::super::buffers::Buffers;
use super::super::testing::{Driver, RAM, RAM_SIZE, Transport};
use super::*;
use crate::device::Width;

/// Copies what it reads to what it may write, and nothing else.
struct Echo;

impl VirtioDevice for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn device_id(&self) -> u16 {
        42
    }

    fn pci_class(&self) -> u32 {
        0xff_0000
    }

    fn features(&self) -> u64 {
        1 << 3 | 1 << 50
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![16, 4]
    }

    fn config(&self) -> Vec<u8> {
        vec![1, 2, 3, 4, 5]
    }

    fn notify(&mut self, queue: u16, io: &mut Io<'_>) -> Result<(), QueueError> {
        while let Some(chain) = io.pop(queue)? {
            let mut bytes = vec![0; chain.readable.len().min(1 << 16) as usize];
            let read = chain.readable.read(io.memory(), 0, &mut bytes)?;
            let written = chain.writable.write(io.memory(), 0, &bytes[..read])?;
            io.complete(queue, chain.head, written as u32)?;
        }
        Ok(())
    }

    fn reset_queue(&mut self, _queue: u16) {}

    fn reset(&mut self) {}
}

fn started(transport: Transport) -> Driver {
    Driver::started(transport, Box::new(Echo), u64::MAX)
}

const NEEDS_RESET: u8 = 0x40;

/// A descriptor.
fn descriptor(addr: u64, len: u32, flags: u16, next: u16) -> Vec<u8> {
    let mut bytes = addr.to_le_bytes().to_vec();
    bytes.extend(len.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(next.to_le_bytes());
    bytes
}

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

#[test]
fn chains_of_all_shapes_are_walked() {
    for transport in Transport::ALL {
        let mut driver = started(transport);
        let (from, to) = (driver.place_bytes(b"some bytes"), driver.room(10));
        let head = driver.add(0, &[(from, 4), (from + 4, 6)], &[(to, 1), (to + 1, 9)]);
        driver.kick(0);
        assert_eq!(driver.used(0), [(head, 10)]);
        assert_eq!(driver.bytes(to, 10), b"some bytes");
        // The same in a table of its own, behind a direct descriptor.
        let to = driver.room(10);
        let table = [
            descriptor(from + 4, 6, NEXT, 2),
            descriptor(0, 0, 0, 0),
            descriptor(to, 10, WRITE, 77),
        ];
        let table = driver.place_bytes(&table.concat());
        let ring = driver.ring(0);
        let direct = [descriptor(from, 4, NEXT, 1), descriptor(table, 48, INDIRECT, 0)].concat();
        driver.memory.write_slice(&direct, GuestAddress(ring)).unwrap();
        driver.publish(0, 0);
        driver.kick(0);
        assert_eq!(driver.used(0), [(0, 10)]);
        assert_eq!(driver.bytes(to, 10), b"some bytes");
        assert_eq!(driver.status(), 15);
    }
}

#[test]
fn a_driver_that_breaks_the_rules_must_reset() {
    let end = RAM + RAM_SIZE;
    let table = RAM + 0x10_0000;
    let bad: &[(&str, Vec<u8>)] = &[
        ("goes in a circle", descriptor(RAM, 4, NEXT, 0)),
        ("goes on beyond the table", descriptor(RAM, 4, NEXT, 16)),
        ("is not in RAM", descriptor(0x1000, 4, 0, 0)),
        ("is not in RAM to its end", descriptor(end - 4, 5, 0, 0)),
        ("is behind all addresses", descriptor(u64::MAX - 1, 4, 0, 0)),
        ("is the largest there is", descriptor(RAM, u32::MAX, WRITE, 0)),
        ("has an empty table", descriptor(table, 0, INDIRECT, 0)),
        ("has a ragged table", descriptor(table, 24, INDIRECT, 0)),
        ("has a table that is too long", descriptor(table, 16 * 1025, INDIRECT, 0)),
        ("has a table and goes on", descriptor(table, 16, INDIRECT | NEXT, 1)),
        ("has a table that is nowhere", descriptor(0x1000, 16, INDIRECT, 1)),
        ("has a table behind all addresses", descriptor(u64::MAX - 3, 32, INDIRECT, 1)),
    ];
    for (what, bytes) in bad {
        for transport in Transport::ALL {
            let mut driver = started(transport);
            driver.memory.write_slice(bytes, GuestAddress(driver.ring(0))).unwrap();
            driver.publish(0, 0);
            driver.kick(0);
            assert_eq!(driver.status(), 15 | NEEDS_RESET, "{what}");
            assert!(driver.take_config_interrupt(), "{what}");
            // Nothing happens any more, until it does.
            driver.kick(1);
            driver.wake();
            assert_eq!(driver.used(0), []);
            driver.start(u64::MAX);
            let head = driver.add(0, &[(RAM, 4)], &[]);
            driver.kick(0);
            assert_eq!(driver.used(0), [(head, 0)]);
        }
    }
}

#[test]
fn tables_in_tables_and_wrong_orders_are_refused() {
    let mut driver = started(Transport::Mmio);
    let inner = driver.place_bytes(&descriptor(RAM, 4, 0, 0));
    let outer = driver.place_bytes(&descriptor(inner, 16, INDIRECT, 0));
    let ring = GuestAddress(driver.ring(0));
    driver.memory.write_slice(&descriptor(outer, 16, INDIRECT, 0), ring).unwrap();
    driver.publish(0, 0);
    driver.kick(0);
    assert_eq!(driver.status(), 15 | NEEDS_RESET);
    let mut driver = started(Transport::Mmio);
    let wrong = [descriptor(RAM, 4, NEXT | WRITE, 1), descriptor(RAM, 4, 0, 0)].concat();
    driver.memory.write_slice(&wrong, ring).unwrap();
    driver.publish(0, 0);
    driver.kick(0);
    assert_eq!(driver.status(), 15 | NEEDS_RESET);
}

#[test]
fn an_available_index_that_cannot_be_is_refused() {
    let mut driver = started(Transport::PciMsix);
    let index = GuestAddress(driver.ring(0) + 0x4000 + 2);
    driver.memory.write_obj(17_u16, index).unwrap();
    driver.kick(0);
    assert_eq!(driver.status(), 15 | NEEDS_RESET);
    let mut driver = started(Transport::PciMsix);
    driver.publish(0, 16);
    driver.kick(0);
    assert_eq!(driver.status(), 15 | NEEDS_RESET);
}

#[test]
fn features_are_negotiated_once() {
    for transport in Transport::ALL {
        let mut driver = Driver::new(transport, Box::new(Echo));
        assert_eq!(driver.offered(), 1 << 3 | 1 << 50 | 0x3 << 28 | 1 << 32 | 1 << 40);
        // Nothing that was not offered, and never without VERSION_1.
        for accepted in [1 << 32 | 1 << 4, 1 << 3, 0] {
            driver.set_status(0);
            driver.set_status(3);
            driver.accept(accepted);
            driver.set_status(11);
            assert_eq!(driver.status(), 3, "{accepted:#x}");
            // And then no driver is ready, and no queue runs.
            driver.set_up(0, 16, RAM);
            assert!(!driver.is_enabled(0));
            driver.set_status(15);
            assert_eq!(driver.status(), 3);
        }
        driver.set_status(0);
        driver.set_status(3);
        driver.accept(1 << 32);
        driver.set_status(11);
        driver.accept(1 << 32 | 1 << 3);
        // Bits cannot be taken back, but all at once.
        driver.set_status(8);
        assert_eq!(driver.status(), 11);
        driver.set_status(0x80);
        assert_eq!(driver.status(), 0x8b);
        driver.set_status(0);
        assert_eq!(driver.status(), 0);
    }
}

#[test]
fn queues_that_cannot_be_are_refused() {
    let bad =
        [(0, RAM), (3, RAM), (32, RAM), (16, RAM + 8), (16, 0x1000), (16, !0x7fff), (16, RAM - 16)];
    for (size, at) in bad {
        for transport in Transport::ALL {
            let mut driver = Driver::new(transport, Box::new(Echo));
            driver.set_status(3);
            driver.accept(1 << 32);
            driver.set_status(11);
            driver.set_up(0, size, at);
            assert!(!driver.is_enabled(0), "{size} {at:#x}");
            assert_eq!(driver.status(), 11 | NEEDS_RESET);
        }
    }
}

#[test]
fn without_event_idx_flags_tell() {
    for transport in Transport::ALL {
        let mut driver = Driver::new(transport, Box::new(Echo));
        driver.start(1 << 32);
        let flags = GuestAddress(driver.ring(0) + 0x4000);
        for (quiet, interrupts) in [(0_u16, 1), (1, 0), (0, 1)] {
            driver.memory.write_obj(quiet, flags).unwrap();
            driver.add(0, &[(RAM, 1)], &[]);
            driver.kick(0);
            assert_eq!((driver.used(0).len(), driver.take_interrupts()), (1, interrupts));
            let used_flags = driver.memory.read_obj::<u16>(GuestAddress(driver.ring(0) + 0x5000));
            assert_eq!(used_flags.unwrap(), 0);
        }
    }
}

#[test]
fn configuration_is_read_in_any_width() {
    for transport in Transport::ALL {
        let mut driver = started(transport);
        let at = if transport == Transport::Mmio { 0x100 } else { 0x2000 };
        assert_eq!(driver.load(at, Width::B8), 0x0005_0403_0201);
        assert_eq!(driver.load(at + 1, Width::B2), 0x0302);
        assert_eq!(driver.load(at + 4, Width::B4), 5);
        assert_eq!(driver.load(at + 0x80, Width::B4), 0);
    }
}

#[test]
fn registers_are_reached_through_configuration_space() {
    let mut driver = started(Transport::PciIntx);
    let slot = 1 << 15;
    let mut capability = driver.load_from(0, slot + 0x34, Width::B1);
    let mut kinds = Vec::new();
    let mut window = 0;
    while capability != 0 {
        let kind = driver.load_from(0, slot + capability + 3, Width::B1);
        if driver.load_from(0, slot + capability, Width::B1) == 9 {
            kinds.push(kind);
            window = capability;
        }
        capability = driver.load_from(0, slot + capability + 1, Width::B1);
    }
    assert_eq!(kinds, [1, 3, 4, 2, 5]);
    let mut access = |bar: u64, offset, len: u64| {
        driver.store_to(0, slot + window + 4, Width::B1, bar);
        driver.store_to(0, slot + window + 8, Width::B4, offset);
        driver.store_to(0, slot + window + 12, Width::B4, len);
        driver.load_from(0, slot + window + 16, Width::B4)
    };
    // Device status, and the configuration; what lies in no BAR stays as it was.
    assert_eq!(access(4, 0x14, 1), 15);
    assert_eq!(access(4, 0x2000, 4), 0x0403_0201);
    assert_eq!(access(4, 0x4000, 4), 0x0403_0201);
    assert_eq!(access(5, 0, 4), 0x0403_0201);
    assert_eq!(access(4, 0x2001, 2), 0x0403_0201);
    // A reset.
    driver.store_to(0, slot + window + 8, Width::B4, 0x14);
    driver.store_to(0, slot + window + 12, Width::B4, 1);
    driver.store_to(0, slot + window + 16, Width::B4, 0);
    assert_eq!(driver.status(), 0);
}

#[test]
fn intx_can_be_switched_off() {
    let mut driver = started(Transport::PciIntx);
    driver.add(0, &[(RAM, 1)], &[]);
    driver.kick(0);
    let slot = 1 << 15;
    assert_eq!((driver.device.lines().0, driver.load_from(0, slot + 6, Width::B2) & 8), (2, 8));
    driver.store_to(0, slot + 4, Width::B2, 0x406);
    assert_eq!(driver.device.lines().0, 0);
    driver.store_to(0, slot + 4, Width::B2, 6);
    assert_eq!(driver.device.lines().0, 2);
    assert_eq!(driver.take_interrupts(), 1);
    assert_eq!(driver.load_from(0, slot + 6, Width::B2) & 8, 0);
}

#[test]
fn buffers_may_overlap_the_rings() {
    // A device that is told to write over its own rings does so, and finds nonsense there.
    let mut driver = started(Transport::Mmio);
    let ring = driver.ring(0);
    let junk = driver.place_bytes(&[0xa5; 0x5000]);
    driver.add(0, &[(junk, 0x5000)], &[(ring, 0x5000)]);
    driver.kick(0);
    driver.kick(0);
    driver.wake();
    assert!(driver.status() & NEEDS_RESET != 0);
}

/// What a hostile guest does next.
#[derive(Clone, Debug)]
enum Act {
    Store { offset: u64, width: u8, value: u64 },
    Load { offset: u64, width: u8 },
    Memory { at: u64, value: u64 },
    Kick(u16),
    Wake,
    SetUp { queue: u16, size: u16, at: u64 },
    Start,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let offset = prop_oneof![0u64..0x200, 0x2000u64..0x2010, 0x3000u64..0x3010, 0u64..0x3ff0];
    let value = prop_oneof![0u64..32, any::<u64>(), RAM..RAM + RAM_SIZE];
    let ring = RAM..RAM + 0x10000;
    let act = prop_oneof![
        4 => (offset.clone(), 0u8..4, value.clone())
            .prop_map(|(offset, width, value)| Act::Store { offset, width, value }),
        1 => (offset, 0u8..4).prop_map(|(offset, width)| Act::Load { offset, width }),
        8 => (ring.clone(), value).prop_map(|(at, value)| Act::Memory { at, value }),
        4 => (0u16..3).prop_map(Act::Kick),
        1 => Just(Act::Wake),
        1 => (0u16..3, 0u16..20, ring).prop_map(|(queue, size, at)| Act::SetUp { queue, size, at }),
        2 => Just(Act::Start),
    ];
    prop::collection::vec(act, 0..80)
}

/// A chain as a driver might write it, with everything that can be wrong with it.
fn random_ring(driver: &mut Driver, words: &[(u64, u32, u16, u16)]) {
    let ring = driver.ring(0);
    for (index, &(addr, len, flags, next)) in (0..).zip(words) {
        let bytes = descriptor(addr, len, flags & 7, next);
        driver.memory.write_slice(&bytes, GuestAddress(ring + 16 * index)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_guest_does_the_device_goes_on(transport in 0usize..3, acts in acts()) {
        let mut driver = started(Transport::ALL[transport]);
        let widths = [Width::B1, Width::B2, Width::B4, Width::B8];
        let size = if transport == 0 { 0x1000 } else { 0x4000 };
        let window = if transport == 0 { 0 } else { 3 };
        for act in acts {
            match act {
                Act::Store { offset, width, value } => {
                    let width = widths[usize::from(width)];
                    let access = crate::Access { window, offset: offset % (size - 8), width };
                    let value = value & width.mask();
                    let _ = driver.with_world(|device, world| device.write(access, value, world));
                }
                Act::Load { offset, width } => {
                    let width = widths[usize::from(width)];
                    let access = crate::Access { window, offset: offset % (size - 8), width };
                    let _ = driver.with_world(|device, world| device.read(access, world));
                }
                Act::Memory { at, value } => driver.memory.write_obj(value, GuestAddress(at)).unwrap(),
                Act::Kick(queue) => driver.kick(queue),
                Act::Wake => driver.with_world(|device, world| device.wake(world)),
                Act::SetUp { queue, size, at } => driver.set_up(queue, size, at),
                Act::Start => {
                    driver.device.reset();
                    driver.place();
                    driver.start(u64::MAX);
                }
            }
        }
    }

    #[test]
    fn whatever_is_in_the_rings_stays_in_ram(
        words in prop::collection::vec(
            (
                prop_oneof![RAM..RAM + 0x9000, RAM + RAM_SIZE - 32..RAM + RAM_SIZE + 8, any::<u64>()],
                prop_oneof![0u32..64, (0u32..70).prop_map(|count| 16 * count), any::<u32>()],
                0u16..8,
                prop_oneof![0u16..16, any::<u16>()],
            ), 16..=16,
        ),
        heads in prop::collection::vec(0u16..18, 1..20),
    ) {
        let mut driver = started(Transport::Mmio);
        random_ring(&mut driver, &words);
        for head in heads {
            driver.publish(0, head);
            driver.kick(0);
        }
        driver.wake();
        prop_assert!(matches!(driver.status(), 15 | 0x4f));
    }
}

#[test]
fn halves_of_addresses_are_set_alone() {
    let mut address = GuestPhys(0x1111_2222_3333_4444);
    set_half(&mut address, Half::Low, 5);
    assert_eq!(address, GuestPhys(0x1111_2222_0000_0005));
    set_half(&mut address, Half::High, 6);
    assert_eq!(address, GuestPhys(0x0000_0006_0000_0005));
    assert!(Buffers::new().is_empty());
}
