//! The bus with real devices, and with one that only copies.

use softmmu::Ram;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::*;
use crate::device::InterruptController;
use crate::devices::{Aclint, GoldfishRtc, SifiveTest, aclint};

const RAM: GuestPhys = GuestPhys(0x8000_0000);
const TEST: GuestPhys = GuestPhys(0x10_0000);
const RTC: GuestPhys = GuestPhys(0x10_1000);
const COPIER: GuestPhys = GuestPhys(0x10_2000);
const LATCH: GuestPhys = GuestPhys(0x10_3000);

/// A store of an address copies 8 bytes from there to the 8 after them; a load is 1 if it failed.
#[derive(Default)]
struct Copier {
    failed: Option<GuestMemoryError>,
}

impl Device for Copier {
    fn name(&self) -> &'static str {
        "copier"
    }

    fn windows(&self) -> Vec<u64> {
        vec![8]
    }

    fn read(&mut self, _: Access, _: &World<'_>) -> Result<u64, Refusal> {
        Ok(self.failed.is_some().into())
    }

    fn write(&mut self, _: Access, value: u64, world: &World<'_>) -> Result<Effect, Refusal> {
        let from = GuestAddress(value);
        let copied = world.memory.read_obj::<u64>(from);
        let to = GuestAddress(value.wrapping_add(8));
        self.failed = copied.and_then(|bytes| world.memory.write_obj(bytes, to)).err();
        world.post(Message { address: LATCH, data: 1 });
        Ok(Effect::None)
    }

    fn lines(&self) -> Lines {
        Lines(if self.failed.is_some() { 0b101 } else { 0 })
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Outputs are its inputs; a store asserts the output of that number.
#[derive(Default)]
struct Latch([bool; 8]);

impl Device for Latch {
    fn name(&self) -> &'static str {
        "latch"
    }

    fn windows(&self) -> Vec<u64> {
        vec![4, 4]
    }

    fn read(&mut self, access: Access, _: &World<'_>) -> Result<u64, Refusal> {
        Ok(access.window.into())
    }

    fn write(&mut self, _: Access, value: u64, _: &World<'_>) -> Result<Effect, Refusal> {
        self.set_input(value as u32, true);
        Ok(Effect::None)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn interrupt_controller(&mut self) -> Option<&mut dyn InterruptController> {
        Some(self)
    }
}

impl InterruptController for Latch {
    fn set_input(&mut self, input: u32, asserted: bool) {
        if let Some(latch) = self.0.get_mut(input as usize) {
            *latch = asserted;
        }
    }

    fn output(&self, output: u32) -> bool {
        self.0[output as usize]
    }

    fn outputs(&self) -> u32 {
        self.0.len() as u32
    }
}

const DEVICES: [DeviceId; 4] = [DeviceId(0), DeviceId(1), DeviceId(2), DeviceId(3)];

fn bus() -> (Bus, Ram) {
    let mut bus = Bus::new(1000, Arc::new(|| ()));
    let [ram, rom] = [RAM, GuestPhys(0x1000)].map(|base| Ram::new(base, 0x1000).unwrap());
    rom.write(0, &[9]).unwrap();
    bus.add_ram(&ram).unwrap();
    bus.add_rom(&rom).unwrap();
    let ids = [
        bus.attach(&[TEST], Box::new(SifiveTest)).unwrap(),
        bus.attach(&[RTC], Box::new(GoldfishRtc::new())).unwrap(),
        bus.attach(&[COPIER], Box::<Copier>::default()).unwrap(),
        bus.attach(&[LATCH, LATCH.wrapping_add(0x1000)], Box::<Latch>::default()).unwrap(),
    ];
    assert_eq!(ids, DEVICES);
    let [_, rtc, copier, latch] = ids;
    bus.wire(rtc, 0, latch, 3);
    bus.wire(copier, 0, latch, 4);
    bus.wire(copier, 2, latch, 5);
    (bus, ram)
}

/// What has become of the latch's outputs.
fn changes(bus: &mut Bus) -> Vec<(u32, bool)> {
    bus.take_output_changes().iter().map(|change| (change.output, change.asserted)).collect()
}

#[test]
fn accesses_go_where_the_map_says() {
    let (mut bus, ram) = bus();
    let now = Time(5);
    bus.write(RAM, Width::B4, 0x1_1234_5678, now).unwrap();
    assert_eq!(bus.read(RAM, Width::B8, now), Ok(0x1234_5678));
    assert_eq!(bus.read(RAM.wrapping_add(1), Width::B2, now), Ok(0x3456));
    assert_eq!(ram.tracker().take_dirty(), [0]);
    assert_eq!(bus.read(RTC, Width::B4, now), Ok(1005));
    assert_eq!(bus.write(TEST, Width::B4, 0x5555, now), Ok(Effect::PowerOff(0)));
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
    let overlap = bus.attach(&[TEST], Box::new(SifiveTest));
    assert!(matches!(overlap, Err(AttachError::Map(MapError::Overlap { .. }))));
    let overlap = bus.attach(&[GuestPhys(0), TEST], Box::<Latch>::default());
    assert!(matches!(overlap, Err(AttachError::Map(MapError::Overlap { .. }))));
    let windows = bus.attach(&[], Box::new(SifiveTest)).unwrap_err();
    assert_eq!(windows.to_string(), "sifive,test0 has 1 windows, not 0");
    assert_eq!(bus.attach(&[GuestPhys(0)], Box::new(SifiveTest)), Ok(DeviceId(4)));
    assert_eq!(bus.read(LATCH.wrapping_add(0x1000), Width::B4, Time(0)), Ok(1), "the window");
}

#[test]
fn devices_copy_memory_but_no_registers() {
    let (mut bus, ram) = bus();
    ram.write(0, b"contract").unwrap();
    bus.write(COPIER, Width::B8, RAM.0, Time(0)).unwrap();
    let mut bytes = [0; 8];
    ram.read(8, &mut bytes).unwrap();
    assert_eq!((&bytes, bus.read(COPIER, Width::B1, Time(0))), (b"contract", Ok(0)));
    assert_eq!(changes(&mut bus), [(1, true)], "its message");

    bus.write(COPIER, Width::B8, COPIER.0, Time(0)).unwrap();
    assert_eq!(changes(&mut bus), [(4, true), (5, true)]);
    bus.reset();
    assert_eq!(changes(&mut bus), [(4, false), (5, false), (1, false)]);
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
    assert_eq!(changes(&mut bus), []);
    bus.wake(Time(300));
    assert_eq!((changes(&mut bus), bus.deadline()), (vec![(3, true)], None));
}

#[test]
fn an_edge_lasts_until_the_machine_has_taken_it() {
    let mut bus = Bus::new(0, Arc::new(|| ()));
    let aclint = Box::new(Aclint::new(1, &[aclint::Part::Sswi]));
    let id = bus.attach(&[LATCH], aclint).unwrap();
    for _ in 0..2 {
        bus.write(LATCH, Width::B4, 1, Time(0)).unwrap();
        let ssip = |asserted| OutputChange { controller: id, output: 2, asserted };
        assert_eq!(bus.take_output_changes(), [ssip(true)]);
        assert_eq!(bus.with(id, |aclint: &mut Aclint| aclint.acknowledge_ssip(0)), Some(()));
        assert_eq!(bus.take_output_changes(), [ssip(false)]);
    }
    assert_eq!(bus.with(id, |_: &mut GoldfishRtc| ()), None);
}
