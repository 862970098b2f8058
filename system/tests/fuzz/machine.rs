//! A machine of all devices, whose harts do not run: what they might do is done to its bus.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arch::riscv64::CpuModel;
use ferry_system::device::{Notifier, Time, Width};
use ferry_system::devices::pci::PciFunction;
use ferry_system::devices::virtio::VirtioDevice;
use ferry_system::devices::virtio::blk::Blk;
use ferry_system::devices::virtio::console::{Console, ConsoleSize};
use ferry_system::devices::virtio::net::Net;
use ferry_system::devices::virtio::net::backend::{
    Filled, Frame, Full, GuestOffloads, NetBackend, Offload,
};
use ferry_system::devices::virtio::pci::VirtioPci;
use ferry_system::devices::virtio::rng::{Rng, SeededEntropy};
use ferry_system::host::block::{self, BlockOptions, Execution, ImageAccess, ImageFormat};
use ferry_system::host::chars::Memory;
use ferry_system::machine::Shared;
use ferry_system::riscv64::{Aia, Bios, Config, Pace, Virt, layout};
use runtime::{EngineConfig, RegionConfig, Tier};

use crate::guest::Guest;
use crate::harness::Random;

/// Bytes of RAM: the least that there can be.
pub(crate) const RAM_SIZE: u64 = 8 << 20;
/// Bytes of the disk.
const DISK_SIZE: usize = 64 << 10;
/// Devices on the PCI bus and behind virtio-mmio transports each.
pub(crate) const KINDS: u32 = 4;
/// What a guest does in a case.
const STEPS: u64 = 150;

/// Files that all cases use, in a directory that goes away with the last.
struct Files {
    directory: PathBuf,
    kernel: PathBuf,
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let name = format!("ferry-fuzz-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let kernel = directory.join("kernel");
        std::fs::write(&kernel, [0x73, 0, 0x50, 0x10]).unwrap();
        Files { directory, kernel }
    })
}

/// A network on which everybody hears himself.
#[derive(Default)]
struct Echo(VecDeque<Vec<u8>>);

impl NetBackend for Echo {
    fn connect(&mut self, _: Notifier) {}

    fn negotiate(&mut self, _: GuestOffloads) {
        self.0.clear();
    }

    fn transmit(
        &mut self,
        len: usize,
        _: Offload,
        fill: &mut dyn FnMut(&mut [u8]) -> Filled,
    ) -> Result<(), Full> {
        if self.0.len() >= 8 {
            return Err(Full);
        }
        let mut bytes = vec![0; len];
        if fill(&mut bytes) == Filled::Complete {
            self.0.push_back(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) {}

    fn receive(&mut self) -> Option<Frame<'_>> {
        let offload = Offload::default();
        self.0.front().map(|bytes| Frame { bytes, offload })
    }

    fn consume(&mut self) {
        self.0.pop_front();
    }
}

fn disk(number: u32, random: &Random) -> Box<dyn VirtioDevice> {
    let path = files().directory.join(format!("disk{number}"));
    std::fs::write(&path, [0x5a; DISK_SIZE]).unwrap();
    let execution = random.choose(&[Execution::Immediate, Execution::Threads]);
    let access = random.choose(&[ImageAccess::ReadWrite, ImageAccess::ReadOnly]);
    let options = BlockOptions { path, format: Some(ImageFormat::Raw), access, execution };
    Box::new(Blk::new(block::open(&options).unwrap(), 2, "fuzz"))
}

/// One of each kind.
fn devices(first_disk: u32, random: &Random) -> Vec<Box<dyn VirtioDevice>> {
    let line = Memory::new();
    line.send(b"typed");
    let size = ConsoleSize { columns: 80, rows: 24 };
    let net = Net::new(Box::new(Echo::default()), [2, 0, 0, 0, 0, 1], 1500);
    vec![
        disk(first_disk, random),
        Box::new(net),
        Box::new(Console::new(Box::new(line), Some(Box::new(size)))),
        Box::new(Rng::new(Box::new(SeededEntropy::new(random.word())))),
    ]
}

fn machine(random: &Random) -> Virt {
    let functions = devices(0, random).into_iter();
    let function = |device| Box::new(VirtioPci::new(device)) as Box<dyn PciFunction>;
    let config = Config {
        cpu: "max".parse::<CpuModel>().unwrap(),
        harts: 2,
        aia: random.choose(&[Aia::None, Aia::Aplic, Aia::AplicImsic]),
        memory: RAM_SIZE,
        bios: Bios::None,
        kernel: Some(files().kernel.clone()),
        initrd: None,
        command_line: String::new(),
        console: Box::new(Memory::new()),
        entropy: Box::new(SeededEntropy::new(7)),
        engine: EngineConfig { tier: Tier::Interp, ..EngineConfig::default() },
        regions: RegionConfig::default(),
        pace: Pace::Counted,
        functions: functions.map(function).collect(),
        flash: Vec::new(),
        virtio_mmio: devices(1, random),
        record: None,
    };
    Virt::new(config).unwrap()
}

/// What of the machine a guest reaches.
pub(crate) struct Reach {
    pub(crate) shared: Arc<Shared>,
    now: u64,
}

impl Reach {
    /// A load; what nobody answers reads as ones.
    pub(crate) fn load(&mut self, at: u64, width: Width) -> u64 {
        self.now += 100;
        let mut bus = self.shared.bus();
        let value = bus.read(base::GuestPhys(at), width, Time(self.now));
        self.shared.settle(&mut bus);
        value.unwrap_or(width.mask() & 0xffff_ffff)
    }

    /// A store. What it asks of the machine is not done.
    pub(crate) fn store(&mut self, at: u64, width: Width, value: u64) {
        self.now += 100;
        let mut bus = self.shared.bus();
        let _ = bus.write(base::GuestPhys(at), width, value & width.mask(), Time(self.now));
        self.shared.settle(&mut bus);
    }

    /// Time passes, and devices see to what is due.
    pub(crate) fn wake(&mut self, nanos: u64) {
        self.now = self.now.saturating_add(nanos).min(1 << 62);
        let mut bus = self.shared.bus();
        bus.wake(Time(self.now));
        self.shared.settle(&mut bus);
    }
}

/// Removes what the cases have left.
pub(crate) fn clean() {
    let _ = std::fs::remove_dir_all(&files().directory);
}

/// A guest's life. At the end, the machine starts again as if nothing had been.
pub(crate) fn case(random: &Random) {
    let machine = machine(random);
    let mut guest = Guest::new(Reach { shared: Arc::clone(machine.shared()), now: 0 });
    guest.prepare(random);
    for _ in 0..STEPS {
        guest.act(random);
    }
    let mut reach = guest.finish();
    reach.shared.bus().reset();
    for number in 0..KINDS {
        let at = layout::virtio(number).0;
        assert_eq!(reach.load(at, Width::B4), 0x7472_6976, "a transport still is one");
        assert_eq!(reach.load(at + 0x70, Width::B4), 0, "and has no driver");
    }
    drop(machine);
    for number in 0..2 {
        let path = files().directory.join(format!("disk{number}"));
        assert_eq!(std::fs::metadata(path).unwrap().len(), DISK_SIZE as u64);
    }
}
