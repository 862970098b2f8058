//! The serial port before a line in memory.

use proptest::prelude::*;

use super::*;
use crate::device::Width;
use crate::devices::bench::{Bench, any_access};
use crate::host::chars::Memory;

struct Port {
    bench: Bench<Uart16550>,
    line: Memory,
}

impl Port {
    fn new(room: usize) -> Self {
        let line = Memory::with_room(room);
        Self { bench: Bench::new(Uart16550::new(Box::new(line.clone()), CLOCK)), line }
    }

    /// With FIFOs, a receiver's trigger level, 8N1 at 115200 and these interrupts.
    fn with_fifos(trigger: u8, interrupts: u8) -> Self {
        let mut port = Self::new(usize::MAX);
        port.write(reg::LCR, lcr::DLAB | lcr::WLS);
        port.write(reg::RBR_THR_DLL, 2);
        port.write(reg::LCR, lcr::WLS);
        port.write(reg::IIR_FCR, trigger << fcr::TRIGGER_SHIFT | fcr::ENABLE);
        port.write(reg::IER_DLM, interrupts);
        port
    }

    fn read(&mut self, register: u64) -> u8 {
        self.bench.read(register, Width::B1) as u8
    }

    fn write(&mut self, register: u64, value: u8) {
        self.bench.write(register, Width::B1, value.into());
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.line.send(bytes);
        self.bench.wake(self.bench.now);
    }

    fn asserted(&self) -> bool {
        self.bench.device.lines() == Lines(1)
    }
}

#[test]
fn bytes_go_out_and_come_in() {
    let mut port = Port::new(usize::MAX);
    b"hello".iter().for_each(|&byte| port.write(reg::RBR_THR_DLL, byte));
    assert_eq!((port.line.take_output().as_slice(), port.read(reg::LSR)), (&b"hello"[..], 0x60));
    port.receive(b"abc");
    for byte in *b"abc" {
        assert_eq!((port.read(reg::LSR), port.read(reg::RBR_THR_DLL)), (0x61, byte));
    }
    assert_eq!((port.read(reg::LSR), port.read(reg::RBR_THR_DLL)), (0x60, b'c'));
}

#[test]
fn the_divisor_hides_behind_dlab() {
    let mut port = Port::new(usize::MAX);
    port.write(reg::LCR, 0x83);
    port.write(reg::RBR_THR_DLL, 0x34);
    port.write(reg::IER_DLM, 0x12);
    assert_eq!((port.read(reg::RBR_THR_DLL), port.read(reg::IER_DLM)), (0x34, 0x12));
    port.write(reg::LCR, 3);
    assert_eq!((port.read(reg::IER_DLM), port.read(reg::LCR)), (0, 3));
    assert_eq!((port.bench.device.divisor, port.line.take_output()), (0x1234, vec![]));
    port.write(reg::SCR, 0x5a);
    port.write(reg::IER_DLM, 0xff);
    assert_eq!((port.read(reg::SCR), port.read(reg::IER_DLM)), (0x5a, 0xf));
}

#[test]
fn an_empty_transmitter_interrupts_until_it_is_named() {
    let mut port = Port::with_fifos(0, 0);
    assert!(!port.asserted());
    port.write(reg::IER_DLM, ier::ETBEI);
    assert!(port.asserted());
    assert_eq!([port.read(reg::IIR_FCR), port.read(reg::IIR_FCR)], [0xc2, 0xc1]);
    assert!(!port.asserted());
    port.write(reg::RBR_THR_DLL, b'x');
    assert_eq!((port.asserted(), port.read(reg::IIR_FCR)), (true, 0xc2));
}

#[test]
fn a_slow_peer_holds_the_transmitter() {
    let mut port = Port::new(2);
    port.write(reg::IIR_FCR, fcr::ENABLE);
    (0..20).for_each(|byte| port.write(reg::RBR_THR_DLL, byte));
    port.write(reg::IER_DLM, ier::ETBEI);
    assert_eq!((port.read(reg::LSR), port.asserted()), (0, false));
    port.line.add_room(10);
    port.bench.wake(0);
    assert_eq!((port.read(reg::LSR), port.asserted()), (0, false));
    port.line.add_room(10);
    port.bench.wake(0);
    assert_eq!((port.read(reg::LSR), port.asserted()), (0x60, true));
    assert_eq!(port.line.take_output(), (0..18).collect::<Vec<_>>(), "2 at once, 16 held, 2 lost");
}

#[test]
fn the_receiver_interrupts_at_its_trigger_level() {
    for (trigger, level) in fcr::TRIGGERS.into_iter().enumerate() {
        let mut port = Port::with_fifos(trigger as u8, ier::ERBFI);
        port.receive(&vec![7; level - 1]);
        assert!(!port.asserted(), "{level}");
        port.receive(&[7]);
        assert_eq!((port.asserted(), port.read(reg::IIR_FCR)), (true, 0xc4), "{level}");
        port.read(reg::RBR_THR_DLL);
        assert!(!port.asserted(), "{level}");
    }
}

#[test]
fn a_few_bytes_time_out() {
    let mut port = Port::with_fifos(2, ier::ERBFI);
    port.receive(b"ab");
    // Four characters of 10 bits at 115200 baud.
    let patience = 4 * 10 * 1_000_000_000 / 115_200;
    assert_eq!(port.bench.device.deadline(), Some(Time(patience)));
    port.bench.wake(patience - 1);
    assert!(!port.asserted());
    port.bench.wake(patience);
    assert_eq!((port.asserted(), port.read(reg::IIR_FCR)), (true, 0xcc));
    port.read(reg::RBR_THR_DLL);
    assert_eq!((port.asserted(), port.bench.device.deadline()), (false, Some(Time(2 * patience))));
    port.read(reg::RBR_THR_DLL);
    assert_eq!(port.bench.device.deadline(), None);
}

#[test]
fn input_waits_behind_a_full_receiver() {
    let mut port = Port::with_fifos(0, 0);
    let bytes: Vec<u8> = (0..100).collect();
    port.receive(&bytes);
    let received: Vec<u8> = (0..100).map(|_| port.read(reg::RBR_THR_DLL)).collect();
    assert_eq!((received, port.read(reg::LSR)), (bytes, 0x60));
}

#[test]
fn loopback_returns_bytes_and_overruns() {
    let mut port = Port::with_fifos(3, ier::ELSI);
    port.write(reg::MCR, mcr::LOOP);
    port.receive(b"outside");
    (0..17).for_each(|byte| port.write(reg::RBR_THR_DLL, byte));
    assert_eq!((port.asserted(), port.read(reg::IIR_FCR)), (true, 0xc6));
    assert_eq!((port.read(reg::LSR), port.read(reg::LSR)), (0x63, 0x61));
    assert!(!port.asserted());
    let received: Vec<u8> = (0..16).map(|_| port.read(reg::RBR_THR_DLL)).collect();
    assert_eq!((received, port.line.take_output()), ((0..16).collect(), vec![]));
    port.write(reg::MCR, 0);
    assert_eq!(port.read(reg::RBR_THR_DLL), b'o');
}

#[test]
fn loopback_joins_the_modems_wires() {
    let mut port = Port::with_fifos(0, ier::EDSSI);
    assert_eq!(port.read(reg::MSR), 0xb0);
    port.write(reg::MCR, mcr::LOOP | mcr::OUT1 | mcr::RTS);
    assert_eq!((port.asserted(), port.read(reg::IIR_FCR)), (true, 0xc0));
    // CTS is as it was; DSR and DCD have fallen; RI has risen, which is no event.
    assert_eq!((port.read(reg::MSR), port.read(reg::MSR)), (0x5a, 0x50));
    assert!(!port.asserted());
    port.write(reg::MCR, mcr::LOOP | mcr::RTS);
    assert_eq!(port.read(reg::MSR), 0x14);
}

#[test]
fn breaks_come_in_their_place() {
    let mut port = Port::with_fifos(0, ier::ELSI);
    port.line.send_break();
    port.receive(b"a");
    assert_eq!((port.asserted(), port.read(reg::LSR)), (false, 0xe1));
    assert_eq!(port.read(reg::RBR_THR_DLL), b'a');
    assert_eq!((port.asserted(), port.read(reg::IIR_FCR)), (true, 0xc6));
    assert_eq!((port.read(reg::LSR), port.read(reg::LSR)), (0xf1, 0x61));
    assert_eq!((port.asserted(), port.read(reg::RBR_THR_DLL)), (false, 0));
    port.write(reg::MCR, mcr::LOOP);
    port.write(reg::LCR, lcr::BREAK | lcr::WLS);
    assert_eq!(port.read(reg::LSR), 0xf1);
}

#[test]
fn fifos_are_cleared_when_asked_and_when_switched() {
    let mut port = Port::with_fifos(0, ier::ERBFI);
    port.receive(b"ab");
    port.write(reg::IIR_FCR, fcr::ENABLE | fcr::RCVR_RESET);
    assert_eq!((port.read(reg::LSR), port.asserted()), (0x60, false));
    port.receive(b"cd");
    port.write(reg::IIR_FCR, 0);
    assert_eq!((port.read(reg::LSR), port.read(reg::IIR_FCR)), (0x60, 1));
    port.bench.device.reset();
    assert_eq!((port.read(reg::IER_DLM), port.read(reg::LSR)), (0, 0x60));
}

proptest! {
    #[test]
    fn what_is_sent_arrives_in_order(bytes in prop::collection::vec(any::<u8>(), 0..200), rooms in prop::collection::vec(0_usize..20, 1..50)) {
        let mut port = Port::new(0);
        port.write(reg::IIR_FCR, fcr::ENABLE);
        let (mut rest, mut rooms) = (bytes.as_slice(), rooms.iter().cycle());
        // A driver that fills the FIFO whenever it is empty.
        for _ in 0..400 {
            if port.read(reg::LSR) & lsr::THRE != 0 {
                let (now, later) = rest.split_at(rest.len().min(FIFO));
                now.iter().for_each(|&byte| port.write(reg::RBR_THR_DLL, byte));
                rest = later;
            }
            port.line.add_room(rooms.next().copied().unwrap_or(1) + 1);
            port.bench.wake(0);
        }
        prop_assert_eq!(port.line.take_output(), bytes);
    }

    #[test]
    fn no_access_panics_and_interrupts_are_named(accesses in prop::collection::vec((any_access(0, WINDOW), any::<u64>(), 0_u64..1 << 20, any::<bool>()), 0..200)) {
        let mut port = Port::new(100);
        for (access, value, later, store) in accesses {
            port.receive(&value.to_le_bytes()[..(value % 8) as usize]);
            port.bench.wake(port.bench.now + later);
            if store {
                let _ = port.bench.try_write(access, value);
            } else {
                prop_assert!(port.bench.try_read(access).unwrap() <= 0xff);
            }
            prop_assert!(port.bench.device.deadline().is_none_or(|Time(at)| at > port.bench.now));
            let asserted = port.asserted();
            prop_assert_eq!(port.read(reg::IIR_FCR) & 1 == 0, asserted);
        }
    }
}
