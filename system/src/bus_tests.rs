//! The bus with real devices, and with one that only copies.

use std::sync::Arc;

use softmmu::Ram;

use super::*;
use crate::devices::{GoldfishRtc, SifiveTest};
use crate::dma::DmaError;

const RAM: GuestPhys = GuestPhys(0x8000_0000);
const TEST: GuestPhys = GuestPhys(0x10_0000);
const RTC: GuestPhys = GuestPhys(0x10_1000);
const COPIER: GuestPhys = GuestPhys(0x10_2000);

/// A store of an address copies 8 bytes from there to the 8 after them; a load is 1 if it failed.
#[derive(Default)]
struct Copier {
    failed: Option<DmaError>,
}

impl Device for Copier {
    fn name(&self) -> &'static str {
        "copier"
    }

    fn window(&self) -> u64 {
        8
    }

    fn read(&mut self, _: Access, _: &World<'_>) -> Result<u64, Refusal> {
        Ok(self.failed.is_some().into())
    }

    fn write(&mut self, _: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        let (from, mut bytes) = (GuestPhys(value), [0; 8]);
        let copied = world.memory.read(from, &mut bytes);
        let copied = copied.and_then(|()| world.memory.write(from.wrapping_add(8), &bytes));
        self.failed = copied.err();
        Ok(Effect::None)
    }

    fn lines(&self) -> Lines {
        Lines(if self.failed.is_some() { 0b101 } else { 0 })
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

fn bus() -> (Bus, Arc<Ram>) {
    let mut bus = Bus::new(1000);
    let ram = Arc::new(Ram::new(0x2000).unwrap());
    let page = |offset| (0x1000, Arc::clone(&ram), offset);
    let (len, memory, offset) = page(0);
    bus.add_memory(RAM, len, Backing::Ram { ram: memory, offset }).unwrap();
    let (len, memory, offset) = page(0x1000);
    bus.add_memory(GuestPhys(0x1000), len, Backing::Rom { ram: memory, offset }).unwrap();
    bus.attach(TEST, Box::new(SifiveTest)).unwrap();
    bus.attach(RTC, Box::new(GoldfishRtc::new())).unwrap();
    bus.attach(COPIER, Box::<Copier>::default()).unwrap();
    (bus, ram)
}

#[test]
fn accesses_go_where_the_map_says() {
    let (mut bus, ram) = bus();
    let now = Time(5);
    bus.write(RAM, Width::B4, 0x1_1234_5678, now).unwrap();
    assert_eq!(bus.read(RAM, Width::B8, now), Ok(0x1234_5678));
    assert_eq!(bus.read(RAM.wrapping_add(1), Width::B2, now), Ok(0x3456));
    assert_eq!(ram.dirty().take(), [0]);
    assert_eq!(bus.read(RTC, Width::B4, now), Ok(1005));
    assert_eq!(bus.write(TEST, Width::B4, 0x5555, now), Ok(Effect::PowerOff(0)));
    ram.write(0x1000, &[9]).unwrap();
    assert_eq!(bus.read(GuestPhys(0x1000), Width::B1, now), Ok(9));
}

#[test]
fn what_has_no_answer_is_an_error() {
    let (mut bus, _) = bus();
    let mut write = |at: u64, width| bus.write(GuestPhys(at), width, 1, Time(0)).unwrap_err();
    assert_eq!(write(0x1000, Width::B1), BusError::ReadOnly(GuestPhys(0x1000)));
    assert!(matches!(write(0, Width::B1), BusError::Resolve(ResolveError::Unmapped(_))));
    assert!(matches!(write(0x8000_0ffc, Width::B8), BusError::Resolve(ResolveError::Straddles(_))));
    assert!(matches!(write(u64::MAX, Width::B2), BusError::Resolve(ResolveError::Range(_))));
    assert!(matches!(write(0x10_2004, Width::B8), BusError::Resolve(ResolveError::Straddles(_))));
    assert_eq!(
        write(0x10_1004, Width::B8).to_string(),
        "google,goldfish-rtc at offset 0x4: not accessed in this width"
    );
    assert!(matches!(bus.attach(TEST, Box::new(SifiveTest)), Err(MapError::Overlap { .. })));
    assert_eq!(bus.attach(GuestPhys(0), Box::new(SifiveTest)), Ok(MmioId(3)));
}

#[test]
fn devices_copy_memory_but_no_registers() {
    let (mut bus, ram) = bus();
    ram.write(0, b"contract").unwrap();
    bus.write(COPIER, Width::B8, RAM.0, Time(0)).unwrap();
    let mut bytes = [0; 8];
    ram.read(8, &mut bytes).unwrap();
    assert_eq!((&bytes, bus.read(COPIER, Width::B1, Time(0))), (b"contract", Ok(0)));
    assert_eq!(bus.take_line_changes(), []);

    bus.write(COPIER, Width::B8, COPIER.0, Time(0)).unwrap();
    let device = MmioId(2);
    let asserted = [0, 2].map(|line| LineChange { device, line, asserted: true });
    assert_eq!(bus.take_line_changes(), asserted);
    bus.reset();
    let released = [0, 2].map(|line| LineChange { device, line, asserted: false });
    assert_eq!(bus.take_line_changes(), released);
}

#[test]
fn time_passes_by_deadlines() {
    let (mut bus, _) = bus();
    let mut write = |offset, value| bus.write(RTC.wrapping_add(offset), Width::B4, value, Time(0));
    for (offset, value) in [(0x10, 1), (0x0c, 0), (0x08, 1300)] {
        write(offset, value).unwrap();
    }
    assert_eq!(bus.deadline(), Some(Time(300)));
    bus.wake(Time(299));
    assert_eq!(bus.take_line_changes(), []);
    bus.wake(Time(300));
    let change = LineChange { device: MmioId(1), line: 0, asserted: true };
    assert_eq!((bus.take_line_changes(), bus.deadline()), (vec![change], None));
}
