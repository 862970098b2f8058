use std::sync::Mutex;

use base::GuestPhys;
use proptest::prelude::*;
use softmmu::{GuestMemory, Ram};

use super::super::config::BarKind;
use super::*;
use crate::bus::{Bus, DeviceId};
use crate::device::InterruptController;

const ECAM: u64 = 0x3000_0000;
const PIO: u64 = 0x0300_0000;
const MMIO32: u64 = 0x4000_0000;
const MMIO64: u64 = 4 << 30;

type Log = Arc<Mutex<Vec<(u8, u64, Width, Option<u64>)>>>;

/// A function that remembers what reached its BARs.
struct Probe {
    config: ConfigSpace,
    log: Log,
    asserted: bool,
    notifier: Option<Notifier>,
    woken: Arc<AtomicU64>,
}

impl Probe {
    fn new(id: u16) -> (Box<Self>, Log, Arc<AtomicU64>) {
        let identity = Identity {
            vendor: 0x1234,
            device: id,
            revision: 1,
            class: 0xff_0000,
            subsystem_vendor: 0,
            subsystem: 0,
        };
        let config = ConfigSpace::new(identity)
            .with_bar(0, BarKind::Io, 32)
            .with_bar(1, BarKind::Memory32, 0x1000)
            .with_bar(2, BarKind::Memory64, 0x10000);
        let (log, woken) = (Log::default(), Arc::<AtomicU64>::default());
        let (kept, counted) = (Arc::clone(&log), Arc::clone(&woken));
        (Box::new(Self { config, log, asserted: false, notifier: None, woken }), kept, counted)
    }
}

impl PciFunction for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn read_bar(&mut self, bar: u8, offset: u64, width: Width, _: &World<'_>) -> u64 {
        self.log.lock().unwrap().push((bar, offset, width, None));
        self.asserted = true;
        0x1122_3344_5566_7788
    }

    fn write_bar(&mut self, bar: u8, offset: u64, width: Width, value: u64, _: &World<'_>) {
        self.log.lock().unwrap().push((bar, offset, width, Some(value)));
        self.asserted = false;
        if let Some(notifier) = &self.notifier {
            notifier.notify();
        }
    }

    fn intx(&self) -> bool {
        self.asserted
    }

    fn connect(&mut self, notifier: Notifier) {
        self.notifier = Some(notifier);
    }

    fn wake(&mut self, _: &World<'_>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
    }

    fn reset(&mut self) {
        self.config.reset();
        self.asserted = false;
    }
}

/// Remembers its inputs.
struct Inputs(Arc<AtomicU64>);

impl Device for Inputs {
    fn name(&self) -> &'static str {
        "inputs"
    }

    fn windows(&self) -> Vec<u64> {
        vec![]
    }

    fn read(&mut self, _: Access, _: &World<'_>) -> Result<u64, Refusal> {
        Err(Refusal::NoRegister)
    }

    fn write(&mut self, _: Access, _: u64, _: &World<'_>) -> Result<Effect, Refusal> {
        Err(Refusal::NoRegister)
    }

    fn reset(&mut self) {}

    fn interrupt_controller(&mut self) -> Option<&mut dyn InterruptController> {
        Some(self)
    }
}

impl InterruptController for Inputs {
    fn set_input(&mut self, input: u32, asserted: bool) {
        let bit = 1 << input;
        match asserted {
            true => self.0.fetch_or(bit, Ordering::Relaxed),
            false => self.0.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    fn output(&self, _: u32) -> bool {
        false
    }

    fn outputs(&self) -> u32 {
        0
    }
}

struct Machine {
    bus: Bus,
    host: DeviceId,
    lines: Arc<AtomicU64>,
    wakes: Arc<AtomicU64>,
}

impl Machine {
    fn new(host: PciHost) -> Self {
        let wakes = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&wakes);
        let wake = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let mut bus = Bus::new(0, Arc::new(wake));
        let at = [ECAM, PIO, MMIO32, MMIO64].map(GuestPhys);
        let host = bus.attach(&at, Box::new(host)).unwrap();
        let lines = Arc::<AtomicU64>::default();
        let inputs = bus.attach(&[], Box::new(Inputs(Arc::clone(&lines)))).unwrap();
        (0..4).for_each(|line| bus.wire(host, line, inputs, line));
        Self { bus, host, lines, wakes }
    }

    fn read(&mut self, at: u64, width: Width) -> u64 {
        self.bus.read(GuestPhys(at), width, Time(0)).unwrap()
    }

    fn write(&mut self, at: u64, width: Width, value: u64) {
        self.bus.write(GuestPhys(at), width, value, Time(0)).unwrap();
    }
}

fn host() -> PciHost {
    let (mmio32, mmio64) = ((MMIO32, 1 << 30), (MMIO64, 1 << 34));
    PciHost::new(HostWindows { ecam: 256 << 20, pio: 0x1_0000, mmio32, mmio64 })
}

fn slot(slot: u64) -> u64 {
    ECAM + (slot << 15)
}

#[test]
fn functions_take_slots() {
    let mut host = host();
    assert_eq!(host.add(None, Probe::new(1).0), Ok(1));
    assert_eq!(host.add(Some(3), Probe::new(3).0), Ok(3));
    assert_eq!(host.add(Some(3), Probe::new(3).0), Err(PciError::Taken(3)));
    assert_eq!(host.add(Some(0), Probe::new(3).0), Err(PciError::NoSlot(0)));
    assert_eq!(host.add(Some(32), Probe::new(3).0), Err(PciError::NoSlot(32)));
    (0..29).for_each(|_| assert!(host.add(None, Probe::new(9).0).is_ok()));
    assert_eq!(host.add(None, Probe::new(9).0), Err(PciError::Full));
}

#[test]
fn configuration_space_is_a_window() {
    let mut host = host();
    host.add(Some(5), Probe::new(0x42).0).unwrap();
    let mut machine = Machine::new(host);
    assert_eq!(machine.read(slot(0), Width::B4), 0x0008_1b36);
    assert_eq!(machine.read(slot(5), Width::B4), 0x0042_1234);
    assert_eq!(machine.read(slot(5) + 2, Width::B1), 0x42);
    assert_eq!(machine.read(slot(5), Width::B8), 0x0042_1234);
    assert_eq!(machine.read(slot(5) + 0x100, Width::B4), 0);
    for absent in [slot(1), slot(5) + 0x1000, slot(5) + (1 << 20), slot(31) + 0x7000] {
        assert_eq!(machine.read(absent, Width::B2), 0xffff);
        assert_eq!(machine.read(absent, Width::B8), u64::MAX);
        machine.write(absent, Width::B4, 0);
    }
    machine.write(slot(5) + 0x10, Width::B8, u64::MAX);
    assert_eq!(machine.read(slot(5) + 0x10, Width::B8), 0xffff_f000_ffff_ffe1);
}

#[test]
fn bars_answer_where_they_are_put() {
    let mut host = host();
    let (probe, log, _) = Probe::new(1);
    host.add(Some(1), probe).unwrap();
    let mut machine = Machine::new(host);
    let config = slot(1);
    for (register, value) in
        [(0x10, 0x2000), (0x14, MMIO32 + 0x5000), (0x18, 0x1234_0000), (0x1c, 1)]
    {
        machine.write(config + register, Width::B4, value);
    }
    // Nothing answers before the command register says so.
    assert_eq!(machine.read(MMIO32 + 0x5000, Width::B4), 0xffff_ffff);
    machine.write(config + 4, Width::B2, 2);
    assert_eq!(machine.read(MMIO32 + 0x5ffc, Width::B4), 0x5566_7788);
    assert_eq!(machine.read(MMIO32 + 0x6000, Width::B4), 0xffff_ffff);
    assert_eq!(machine.read(PIO + 0x2004, Width::B1), 0xff);
    machine.write(config + 4, Width::B2, 3);
    machine.write(PIO + 0x2004, Width::B1, 0x1ff);
    machine.write(MMIO64 + 0x1234_0008, Width::B8, 7);
    assert_eq!(machine.read(MMIO64 + 0x1235_0000, Width::B8), u64::MAX);
    // An access across the end is nobody's.
    assert_eq!(machine.read(MMIO32 + 0x5ffe, Width::B4), 0xffff_ffff);
    machine.write(config + 0x14, Width::B4, MMIO32);
    assert_eq!(machine.read(MMIO32, Width::B1), 0x88);
    assert_eq!(machine.read(MMIO32 + 0x5000, Width::B1), 0xff);
    let expected = [
        (1, 0xffc, Width::B4, None),
        (0, 4, Width::B1, Some(0xff)),
        (2, 8, Width::B8, Some(7)),
        (1, 0, Width::B1, None),
    ];
    assert_eq!(*log.lock().unwrap(), expected);
    machine.bus.device(machine.host).reset();
    assert_eq!(machine.read(MMIO32, Width::B1), 0xff);
}

#[test]
fn interrupt_lines_are_shared_by_slot() {
    let mut host = host();
    for slot in [1, 2, 5] {
        host.add(Some(slot), Probe::new(slot.into()).0).unwrap();
    }
    let mut machine = Machine::new(host);
    for (index, number) in (0_u64..).zip([1, 2, 5]) {
        machine.write(slot(number) + 0x14, Width::B4, MMIO32 + 0x1000 * index);
        machine.write(slot(number) + 4, Width::B2, 2);
    }
    let lines = |machine: &Machine| machine.lines.load(Ordering::Relaxed);
    machine.read(MMIO32, Width::B4);
    assert_eq!(lines(&machine), 0b10);
    machine.read(MMIO32 + 0x1000, Width::B4);
    machine.read(MMIO32 + 0x2000, Width::B4);
    assert_eq!(lines(&machine), 0b110);
    machine.write(MMIO32, Width::B4, 0);
    assert_eq!(lines(&machine), 0b110);
    machine.write(MMIO32 + 0x2000, Width::B4, 0);
    assert_eq!(lines(&machine), 0b100);
}

#[test]
fn only_functions_that_were_notified_are_woken() {
    let mut host = host();
    let ((first, _, one), (second, _, two)) = (Probe::new(1), Probe::new(2));
    host.add(Some(1), first).unwrap();
    host.add(Some(2), second).unwrap();
    let mut machine = Machine::new(host);
    machine.write(slot(2) + 0x14, Width::B4, MMIO32);
    machine.write(slot(2) + 4, Width::B2, 2);
    let woken = || [&one, &two].map(|count| count.load(Ordering::Relaxed));
    machine.write(MMIO32, Width::B4, 0);
    machine.write(MMIO32, Width::B4, 0);
    assert_eq!(machine.wakes.load(Ordering::Relaxed), 1);
    machine.bus.wake(Time(1));
    assert_eq!(woken(), [0, 1]);
    machine.bus.wake(Time(2));
    assert_eq!(woken(), [0, 1]);
    machine.write(MMIO32, Width::B4, 0);
    machine.bus.wake(Time(3));
    assert_eq!((woken(), machine.wakes.load(Ordering::Relaxed)), ([0, 2], 2));
}

proptest! {
    #[test]
    fn any_access_is_answered(
        accesses in prop::collection::vec((0u32..4, any::<u64>(), 0u8..4, any::<u64>(), any::<bool>()), 0..60),
    ) {
        let mut host = host();
        host.add(None, Probe::new(1).0).unwrap();
        host.add(None, Probe::new(2).0).unwrap();
        let ram = Ram::new(GuestPhys(0x8000_0000), 0x1000).unwrap();
        let memory = GuestMemory::new().insert_region(ram.region()).unwrap();
        let world = World::new(Time(0), 0, &memory);
        for (window, offset, width, value, write) in accesses {
            let width = [Width::B1, Width::B2, Width::B4, Width::B8][usize::from(width)];
            let size = host.windows()[window as usize];
            // Most accesses to configuration space shall meet a function's header.
            let offset = match window {
                0 if value % 4 != 0 => (offset % 3) << 15 | (offset >> 8) & 0x3f,
                _ => offset % (size - 8),
            };
            let access = Access { window, offset, width };
            if write {
                prop_assert!(host.write(access, value & width.mask(), &world).is_ok());
            } else {
                prop_assert!(host.read(access, &world).is_ok());
            }
            host.lines();
        }
        host.reset();
    }
}
