use std::sync::{Arc, Mutex};

use super::super::testing::{Driver, Transport};
use super::*;
use crate::host::chars::{Memory, Null};

fn started(transport: Transport, line: &Memory) -> Driver {
    let device = Console::new(Box::new(line.clone()), None);
    Driver::started(transport, Box::new(device), u64::MAX)
}

#[test]
fn bytes_go_both_ways() {
    for transport in Transport::ALL {
        let line = Memory::new();
        let mut driver = started(transport, &line);
        let (hello, world) = (driver.place_bytes(b"hello, "), driver.place_bytes(b"world"));
        let head = driver.add(1, &[(hello, 7), (world, 5)], &[]);
        driver.kick(1);
        assert_eq!(driver.used(1), [(head, 0)]);
        assert_eq!(line.take_output(), b"hello, world");
        assert_eq!(driver.take_interrupts(), 1);
        // Input before there is room waits where it is.
        line.send(b"abcdefgh");
        driver.wake();
        let room = driver.room(16);
        driver.add(0, &[], &[(room, 3), (room + 8, 2)]);
        driver.add(0, &[], &[(room + 3, 5)]);
        driver.kick(0);
        assert_eq!(driver.used(0), [(0, 5), (2, 3)]);
        assert_eq!(driver.bytes(room, 10), b"abcfgh\xee\xeede");
        // Room before there is input.
        driver.add(0, &[], &[(room, 16)]);
        driver.kick(0);
        driver.take_interrupts();
        assert_eq!(driver.used(0), []);
        line.send(b"xyz");
        driver.wake();
        assert_eq!((driver.used(0), driver.bytes(room, 3)), (vec![(3, 3)], b"xyz".to_vec()));
        assert_eq!(driver.take_interrupts(), 1);
    }
}

#[test]
fn what_the_line_does_not_take_waits() {
    let line = Memory::with_room(5);
    let mut driver = started(Transport::Mmio, &line);
    let text = driver.place_bytes(b"0123456789");
    driver.add(1, &[(text, 4)], &[]);
    driver.add(1, &[(text, 8)], &[]);
    driver.add(1, &[(text, 1)], &[]);
    driver.kick(1);
    assert_eq!((driver.used(1), line.take_output()), (vec![(0, 0)], b"01230".to_vec()));
    line.add_room(3);
    driver.wake();
    assert_eq!((driver.used(1), line.take_output()), (vec![], b"123".to_vec()));
    line.add_room(100);
    driver.wake();
    assert_eq!((driver.used(1), line.take_output()), (vec![(1, 0), (2, 0)], b"45670".to_vec()));
    // After a reset nothing of it is left.
    let line = Memory::with_room(0);
    let mut driver = started(Transport::Mmio, &line);
    driver.add(1, &[(text, 4)], &[]);
    driver.kick(1);
    driver.start(u64::MAX);
    line.add_room(100);
    driver.wake();
    assert_eq!((driver.used(1), line.take_output()), (vec![], vec![]));
}

#[test]
fn a_chain_of_gigabytes_gives_others_their_turn() {
    use super::super::testing::{RAM, RAM_SIZE};
    let device = Console::new(Box::new(Null), None);
    let mut driver = Driver::started(Transport::Mmio, Box::new(device), u64::MAX);
    let all = [(RAM, RAM_SIZE as u32); 32];
    driver.add(1, &all, &[]);
    driver.kick(1);
    assert_eq!(driver.device.deadline(), Some(Time(0)));
    assert_eq!(driver.used(1), []);
    driver.wake();
    assert_eq!((driver.device.deadline(), driver.used(1)), (None, vec![(0, 0)]));
}

struct Shared(Arc<Mutex<ConsoleSize>>);

impl SizeSource for Shared {
    fn size(&mut self) -> ConsoleSize {
        *self.0.lock().unwrap()
    }
}

#[test]
fn the_size_is_told_when_it_changes() {
    for transport in Transport::ALL {
        let size = Arc::new(Mutex::new(ConsoleSize { columns: 80, rows: 25 }));
        let source = Some(Box::new(Shared(Arc::clone(&size))) as Box<dyn SizeSource>);
        let line = Memory::new();
        let device = Console::new(Box::new(line.clone()), source);
        let mut driver = Driver::started(transport, Box::new(device), u64::MAX);
        assert_eq!(driver.offered() & 7, 5);
        assert_eq!(driver.config(0, 12), [80, 0, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        line.add_room(0);
        driver.wake();
        assert!(!driver.take_config_interrupt());
        *size.lock().unwrap() = ConsoleSize { columns: 300, rows: 2 };
        line.add_room(0);
        driver.wake();
        assert!(driver.take_config_interrupt(), "{transport:?}");
        assert_eq!(driver.config(0, 4), [44, 1, 2, 0]);
        // A driver that does not want to know.
        driver.start(1 << 32);
        *size.lock().unwrap() = ConsoleSize { columns: 1, rows: 2 };
        line.add_room(0);
        driver.wake();
        assert!(!driver.take_config_interrupt());
    }
}

#[test]
fn an_emergency_needs_no_driver() {
    for transport in Transport::ALL {
        let line = Memory::new();
        let device = Console::new(Box::new(line.clone()), None);
        let mut driver = Driver::new(transport, Box::new(device));
        driver.write_config(8, b'!');
        driver.write_config(0, b'?');
        assert_eq!(line.take_output(), b"!");
    }
}
