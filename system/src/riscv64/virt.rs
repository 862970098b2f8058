//! The `virt` machine: harts, memory and devices put together, and its life from power-on to its
//! end.

use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};

use arch::riscv64::CpuModel;
use arch::riscv64::feature::Feature;
use arch::riscv64::privileged::{CsrFeatures, SystemContext, TimeSource, interrupt};
use base::{GuestPhys, GuestVirt};
use runtime::debug::gdb::{Event, Listener};
use runtime::{
    Addresses, CompileOptions, Engine, EngineConfig, EngineError, LogItem, MemoryModel,
    Observation, Probes, RegionCompiler, RegionCompilerError, RegionConfig, Stats, Tier,
};
use softmmu::{CodeWatch, MemoryMap, Ram, RamError, Softmmu, SoftmmuStats};
use translator::riscv64::Frontend;
use vm_memory::{Bytes, GuestAddress};

use crate::bus::{AttachError, Bus, DeviceId, OutputChange};
use crate::devices::aclint::{Aclint, Part};
use crate::devices::pci::{HostWindows, PciError, PciFunction, PciHost};
use crate::devices::uart16550::Uart16550;
use crate::devices::virtio::VirtioDevice;
use crate::devices::virtio::input::{Button, Input};
use crate::devices::virtio::mmio::{MmioWindow, VirtioMmio};
use crate::devices::virtio::pci::VirtioPci;
use crate::devices::virtio::rng::EntropySource;
use crate::devices::{GoldfishRtc, SifiveTest};
use crate::host::chars::CharBackend;
use crate::machine::shared::NEVER;
use crate::machine::{
    Clock, Control, CpuHandle, DeviceWrites, Ending, Events, MachineCode, Router, Shared,
};
use crate::riscv64::boot::{self, BootError, Loaded, RawCode};
use crate::riscv64::debug::{HartPort, MachineDebuggee};
use crate::riscv64::fdt::{self, Description, FdtError, FirstBank, Interrupts, Levels};
use crate::riscv64::firmware::{FirmwareError, Offer, attach_flash, attach_fw_cfg};
use crate::riscv64::hart::{Hart, HartHooks, Parts, TICK};
use crate::riscv64::interrupts::{self, Aia};
use crate::riscv64::layout::{self, irq};
use crate::riscv64::mailbox::Mailbox;
use crate::riscv64::mmu::{HartMmu, WalkLog};
use crate::riscv64::recording::{Record, Recording};
use crate::riscv64::sbi::{Peer, Sbi, Start};
use crate::riscv64::tester::Tester;

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub enum VirtError {
    /// The trace of what it executed.
    #[error("the trace: {0}")]
    Trace(#[from] ::trace::Error),
    /// Its files.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// Its memory.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// Its devices.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Its flash, or what firmware is told.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// Its PCI bus.
    #[error(transparent)]
    Pci(#[from] PciError),
    /// Its translator.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its compiler.
    #[error(transparent)]
    Compiler(#[from] RegionCompilerError),
    /// Its description.
    #[error(transparent)]
    Fdt(#[from] FdtError),
    /// It was asked for too much.
    #[error("{0}")]
    Limit(String),
    /// The host has no thread for it.
    #[error("cannot start a thread for a hart")]
    Thread(#[source] std::io::Error),
}

/// What runs at machine level.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Bios {
    /// Ferry's own SBI, without code in the machine.
    #[default]
    BuiltIn,
    /// What `--kernel` names itself.
    None,
    /// Firmware, such as OpenSBI.
    File(PathBuf),
}

/// How a machine's time passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pace {
    /// As the host's; each hart has a thread.
    #[default]
    Host,
    /// By the instructions that are executed, which take 10 ns each, and to the next deadline when all harts
    /// wait. The harts take turns on one thread, and are interpreted. With entropy from a seed, and devices
    /// whose requests are done at once, each run is like the other, as long as nothing comes in from
    /// outside. Interrupts come at the first end of a block after they are due.
    Counted,
}

/// The settings of a machine.
pub struct Config {
    /// Every hart's model.
    pub cpu: CpuModel,
    /// How many.
    pub harts: u32,
    /// What collects interrupts.
    pub aia: Aia,
    /// Bytes of RAM.
    pub memory: u64,
    /// Firmware.
    pub bios: Bios,
    /// The kernel.
    pub kernel: Option<PathBuf>,
    /// Its RAM disk.
    pub initrd: Option<PathBuf>,
    /// Its command line.
    pub command_line: String,
    /// What is at the other end of the serial line.
    pub console: Box<dyn CharBackend>,
    /// For what must differ between runs, and must not when they are to be the same.
    pub entropy: Box<dyn EntropySource>,
    /// How code is run.
    pub engine: EngineConfig,
    /// How hot code is compiled.
    pub regions: RegionConfig,
    /// Where its time comes from, and how its harts run.
    pub pace: Pace,
    /// What is on the PCI bus, from slot 1 on. The power button comes behind it.
    pub functions: Vec<Box<dyn PciFunction>>,
    /// What is in the banks of flash: code, which is started unless firmware or a kernel is, then what
    /// it keeps.
    pub flash: Vec<PathBuf>,
    /// What is behind the virtio-mmio transports, from the first on.
    pub virtio_mmio: Vec<Box<dyn VirtioDevice>>,
    /// What is to be recorded of its harts, if anything is. They are interpreted then, unless everything is to be compiled.
    pub record: Option<Record>,
}

/// The machine.
pub struct Virt {
    shared: Arc<Shared>,
    engine: Arc<Engine>,
    /// What rings when a hart's timer does.
    hooks: Vec<Arc<HartHooks>>,
    ports: Vec<Arc<HartPort>>,
    harts: Vec<Hart>,
    sbi: Option<Arc<Sbi>>,
    tester: Arc<Tester>,
    images: Images,
    tree: Vec<u8>,
    tree_at: GuestPhys,
    entropy: Box<dyn EntropySource>,
    at_reset: AtReset,
    /// The trace that is being written, if one is.
    recording: Option<Arc<Recording>>,
}

/// Whether harts are observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Watched {
    Nothing,
    Instructions,
}

/// What a reset does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AtReset {
    StartAgain,
    End,
}

/// Files, and where they go.
struct Images {
    bios: Bios,
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
    command_line: String,
    cpu: CpuModel,
    harts: u32,
    aia: Aia,
    memory: u64,
    /// In flash.
    has_code: bool,
    rom: Ram,
}

/// What a machine did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Report {
    /// The runtime's counters.
    pub engine: Stats,
    /// Each hart's memory.
    pub memory: Vec<SoftmmuStats>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.engine)?;
        for (hart, stats) in self.memory.iter().enumerate() {
            write!(f, "hart {hart}:\n{stats}")?;
        }
        Ok(())
    }
}

struct Ticks(Arc<Clock>);

impl TimeSource for Ticks {
    fn ticks(&self) -> u64 {
        self.0.now().0 / TICK
    }

    fn cycles(&self) -> u64 {
        self.0.now().0
    }

    fn passes_by_itself(&self) -> bool {
        !self.0.is_counted()
    }
}

/// Ends the machine when it is dropped by a thread that panics.
struct EndsMachine<'a>(&'a Shared);

impl Drop for EndsMachine<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Ending::Quit);
        }
    }
}

/// Takes outputs of the CLINT and of the controller of external interrupts to harts.
struct Wires {
    clint: DeviceId,
    external: DeviceId,
    harts: Vec<(Arc<SystemContext>, Arc<CpuHandle>)>,
}

impl Router for Arc<OnceLock<Wires>> {
    fn route(&self, _: &mut Bus, change: OutputChange) {
        let Some(wires) = self.get() else { return };
        let (hart, line) = if change.controller == wires.clint {
            let line = [interrupt::MSIP, interrupt::MTIP, interrupt::SSIP];
            (change.output / 3, line[change.output as usize % 3])
        } else if change.controller == wires.external {
            let line = [interrupt::MEIP, interrupt::SEIP];
            (change.output / 2, line[change.output as usize % 2])
        } else {
            return;
        };
        let Some((context, handle)) = wires.harts.get(hart as usize) else { return };
        if change.asserted {
            context.raise(line);
            handle.kick();
        } else {
            context.lower(line);
        }
    }
}

/// Instructions of a hart's turn, where time is counted.
const TURN: u64 = 10_000;
/// Harts at most.
const MAX_HARTS: u32 = 64;

impl Virt {
    /// Puts a machine together and loads its files.
    ///
    /// # Errors
    /// See [`VirtError`].
    pub fn new(config: Config) -> Result<Self, VirtError> {
        let watched = config.record.as_ref().map_or(Watched::Nothing, |_| Watched::Instructions);
        Self::put_together(config, watched)
    }

    /// The same, with harts of which each instruction can be observed.
    pub(super) fn observed(config: Config) -> Result<Self, VirtError> {
        Self::put_together(config, Watched::Instructions)
    }

    fn put_together(mut config: Config, watched: Watched) -> Result<Self, VirtError> {
        check(&config)?;
        config.cpu = match config.aia {
            Aia::None => config.cpu.without(Feature::Ssaia),
            Aia::Aplic => config.cpu,
            // Who has interrupt files can reach them.
            Aia::AplicImsic => config.cpu.with(Feature::Smaia),
        };
        let clock = Arc::new(match config.pace {
            Pace::Host => Clock::host(),
            Pace::Counted => Clock::counted(),
        });
        let tier = match config.pace {
            Pace::Host => config.engine.tier,
            Pace::Counted => Tier::Interp,
        };
        let observation = match watched {
            Watched::Nothing => Observation::None,
            Watched::Instructions if tier == Tier::Jit => Observation::Compiled,
            Watched::Instructions => Observation::Instructions,
        };
        let recording = config.record.map(Recording::new);
        let engine_config = EngineConfig { tier, observation, ..config.engine };
        let events = Arc::new(Events::default());
        let notify = Arc::clone(&events);
        let mut bus = Bus::new(clock.epoch(), Arc::new(move || notify.notify()));
        let ram = Ram::new(layout::DRAM, config.memory)?;
        let rom = Ram::new(layout::MROM, layout::MROM_SIZE)?;
        bus.add_ram(&ram)?;
        bus.add_rom(&rom)?;
        let controllers = interrupts::attach(&mut bus, config.aia, config.harts)?;
        let wired = controllers.wired;
        let clint = attach_devices(&mut bus, wired, config.harts, config.console)?;
        attach_virtio_mmio(&mut bus, wired, config.virtio_mmio)?;
        let button = Arc::new(Button::default());
        let key = VirtioPci::new(Box::new(Input::new(Arc::clone(&button))));
        config.functions.push(Box::new(key));
        attach_pci(&mut bus, wired, config.functions)?;
        attach_flash(&mut bus, &config.flash)?;
        let offer = Offer {
            kernel: config.kernel.as_deref(),
            initrd: config.initrd.as_deref(),
            command_line: &config.command_line,
        };
        let offer = (!config.flash.is_empty()).then_some(offer);
        attach_fw_cfg(&mut bus, offer, config.harts)?;
        let map = Arc::new(bus.map().clone());
        let wires = Arc::new(OnceLock::new());
        let shared = Shared::new(bus, Arc::clone(&clock), events, Box::new(Arc::clone(&wires)));
        shared.set_power_button(button);
        let engine = engine(&config.cpu, engine_config, config.regions, &map)?;
        ram.tracker().set_watch(DeviceWrites::new(&engine) as Arc<dyn CodeWatch>);

        let sbi = (config.bios == Bios::BuiltIn)
            .then(|| Sbi::new(&shared, config.harts as usize, layout::UART));
        let tester = Arc::new(Tester::default());
        let mut harts = Vec::new();
        let (mut hooks, mut handles, mut ports) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..config.harts {
            let hook = Arc::new(HartHooks::new(&shared, &tester, controllers.imsic));
            let mut hart = hart(number, config.cpu, &shared, &engine, &map, &hook, sbi.as_ref());
            if let Some(recording) = &recording {
                hart.vcpu.set_observer(recording.observer(&hart.context, &map));
            }
            handles.push(hart.wires());
            ports.push(Arc::clone(hart.port()));
            hooks.push(hook);
            harts.push(hart);
        }
        let _ = wires.set(Wires { clint, external: controllers.external, harts: handles });
        let images = Images {
            bios: config.bios,
            kernel: config.kernel,
            initrd: config.initrd,
            command_line: config.command_line,
            cpu: config.cpu,
            harts: config.harts,
            aia: config.aia,
            memory: config.memory,
            has_code: !config.flash.is_empty(),
            rom,
        };
        let (tree, tree_at, entropy) = (Vec::new(), GuestPhys(0), config.entropy);
        let (machine_of, tester_of) = (Arc::downgrade(&shared), Arc::clone(&tester));
        shared.set_after_devices(Box::new(move || {
            machine_of.upgrade().iter().for_each(|shared| tester_of.input(shared));
        }));
        let at_reset = AtReset::StartAgain;
        let mut machine = Self {
            shared,
            engine,
            hooks,
            ports,
            harts,
            sbi,
            tester,
            images,
            tree,
            tree_at,
            entropy,
            at_reset,
            recording,
        };
        machine.load()?;
        Ok(machine)
    }

    /// What its threads share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The device tree.
    #[must_use]
    pub fn tree(&self) -> &[u8] {
        &self.tree
    }

    /// Its first hart.
    pub(super) fn hart(&mut self) -> &mut Hart {
        &mut self.harts[0]
    }

    /// Takes the device tree out of RAM.
    pub(super) fn clear_tree(&mut self) -> Result<(), VirtError> {
        let memory = self.shared.bus().memory().clone();
        let cleared = memory.write_slice(&vec![0; self.tree.len()], GuestAddress(self.tree_at.0));
        cleared.map_err(|error| VirtError::Limit(format!("the device tree: {error}")))
    }

    /// Writes to the beginning of the ROM that harts start in.
    pub(super) fn write_rom(&self, bytes: &[u8]) -> Result<(), VirtError> {
        Ok(self.images.rom.write(0, bytes)?)
    }

    /// What a debugger holds on to; the harts' events go to `events`.
    #[must_use]
    pub fn debuggee(&self, events: &Sender<Event>) -> MachineDebuggee {
        MachineDebuggee::new(&self.shared, &self.engine, &self.ports, events)
    }

    /// Lets it be controlled by those who connect.
    ///
    /// # Errors
    /// The host has no threads for it.
    pub fn serve_control(&self, listener: Listener) -> std::io::Result<Control> {
        Control::serve(listener, &self.shared, &self.engine)
    }

    /// A reset is the end of it, too.
    pub fn end_at_reset(&mut self) {
        self.at_reset = AtReset::End;
    }

    /// Runs it until it ends; on a reset, again.
    ///
    /// # Errors
    /// The host has no threads for it, or its files are gone.
    pub fn run(&mut self) -> Result<Ending, VirtError> {
        loop {
            if self.shared.clock().is_counted() {
                self.run_counted();
            } else {
                self.run_once()?;
            }
            match self.shared.ending() {
                Some(Ending::Reset) if self.at_reset == AtReset::StartAgain => {
                    {
                        let mut bus = self.shared.bus();
                        bus.reset();
                        self.shared.settle(&mut bus);
                    }
                    self.shared.restart();
                    self.load()?;
                }
                ending => {
                    let ending = ending.unwrap_or(Ending::Quit);
                    self.end_recording()?;
                    self.shared.finish(ending);
                    return Ok(ending);
                }
            }
        }
    }

    /// Writes what is left of the trace, if there is one.
    fn end_recording(&mut self) -> Result<(), VirtError> {
        self.harts.iter_mut().for_each(Hart::end_recording);
        Ok(self.recording.take().map_or(Ok(()), |recording| recording.finish())?)
    }

    /// Runs all harts until the machine ends or starts again.
    fn run_once(&mut self) -> Result<(), VirtError> {
        let (shared, hooks) = (Arc::clone(&self.shared), &self.hooks);
        std::thread::scope(|scope| {
            // The harts do not go on without this thread.
            let _ended = EndsMachine(&shared);
            let ring = |hart: usize| hooks[hart].ring();
            let spawned: Result<Vec<_>, _> = self
                .harts
                .iter_mut()
                .map(|hart| {
                    let name = format!("ferry-hart-{}", hart.number());
                    let shared = &shared;
                    std::thread::Builder::new().name(name).spawn_scoped(scope, move || {
                        // However it ends: nobody is to wait for it.
                        let _ended = EndsMachine(shared);
                        hart.run();
                    })
                })
                .collect();
            if let Err(error) = spawned {
                shared.end(Ending::Quit);
                return Err(VirtError::Thread(error));
            }
            shared.serve_events(ring);
            Ok(())
        })
    }

    /// Lets the harts take turns until the machine ends or starts again.
    fn run_counted(&mut self) {
        let (shared, hooks) = (Arc::clone(&self.shared), &self.hooks);
        let (harts, ports) = (&mut self.harts, &self.ports);
        let ring = |hart: usize| hooks[hart].ring();
        while shared.may_take_turns(|hart| ports[hart].run_errands(&mut harts[hart])) {
            let mut is_idle = true;
            for hart in harts.iter_mut() {
                shared.serve_once(&ring);
                is_idle &= !hart.take_turn(TURN);
            }
            // Harts that are stopped are not idle: no time passes.
            if is_idle && shared.is_running() {
                let now = shared.clock().now().0;
                match shared.next_deadline() {
                    NEVER => shared.wait_for_event(),
                    next => shared.clock().advance(next.saturating_sub(now)),
                }
            }
        }
    }

    /// What it did.
    #[must_use]
    pub fn report(&mut self) -> Report {
        let memory = self.harts.iter_mut().map(Hart::memory_stats).collect();
        Report { engine: self.engine.stats(), memory }
    }

    /// Loads the files, and puts the harts at their start.
    fn load(&mut self) -> Result<(), VirtError> {
        let memory = self.shared.bus().memory().clone();
        let mut seed = [0; 32];
        if !self.entropy.fill(&mut seed) {
            tracing::warn!("no random bytes for the guest's rng-seed");
        }
        let Placed { entry, tree_at: at, tree, program } = self.images.load(&memory, seed)?;
        (self.tree, self.tree_at) = (tree, at);
        self.tester.watch(&self.shared, program);
        for hart in &mut self.harts {
            hart.reset(GuestVirt(layout::MROM.0));
        }
        if let Some(sbi) = &self.sbi {
            interrupts::delegate(&mut self.shared.bus(), self.images.aia, self.images.harts);
            sbi.restart(Start { pc: GuestVirt(entry.0), argument: at.0 });
        }
        Ok(())
    }
}

fn check(config: &Config) -> Result<(), VirtError> {
    if !(1..=MAX_HARTS).contains(&config.harts) {
        let limit = format!("{} CPUs: there can be 1 to {MAX_HARTS}", config.harts);
        return Err(VirtError::Limit(limit));
    }
    if config.memory < 8 << 20 || config.memory > layout::MAX_MEMORY {
        return Err(VirtError::Limit("memory: there can be 8 MiB to 510 GiB".to_owned()));
    }
    Ok(())
}

fn attach_devices(
    bus: &mut Bus,
    wired: DeviceId,
    harts: u32,
    console: Box<dyn CharBackend>,
) -> Result<DeviceId, AttachError> {
    let clint = bus.attach(&[layout::CLINT], Box::new(Aclint::new(harts, &[Part::Clint])))?;
    bus.attach(&[layout::FINISHER], Box::new(SifiveTest))?;
    let rtc = bus.attach(&[layout::RTC], Box::new(GoldfishRtc::new()))?;
    bus.wire(rtc, 0, wired, irq::RTC);
    let uart =
        bus.attach(&[layout::UART], Box::new(Uart16550::new(console, layout::UART_CLOCK)))?;
    bus.wire(uart, 0, wired, irq::UART);
    Ok(clint)
}

fn attach_virtio_mmio(
    bus: &mut Bus,
    wired: DeviceId,
    devices: Vec<Box<dyn VirtioDevice>>,
) -> Result<(), VirtError> {
    if devices.len() > layout::VIRTIO_SLOTS as usize {
        let limit = format!("there are {} virtio-mmio transports", layout::VIRTIO_SLOTS);
        return Err(VirtError::Limit(limit));
    }
    let mut devices = devices.into_iter();
    for slot in 0..layout::VIRTIO_SLOTS {
        let transport = match devices.next() {
            Some(device) => VirtioMmio::new(MmioWindow::Page, device),
            None => VirtioMmio::empty(MmioWindow::Page),
        };
        let id = bus.attach(&[layout::virtio(slot)], Box::new(transport))?;
        bus.wire(id, 0, wired, irq::VIRTIO + slot);
    }
    Ok(())
}

/// Lines of the bus.
const PCI_LINES: u32 = 4;

fn attach_pci(
    bus: &mut Bus,
    wired: DeviceId,
    functions: Vec<Box<dyn PciFunction>>,
) -> Result<(), VirtError> {
    let mut host = PciHost::new(HostWindows {
        ecam: layout::PCI_ECAM_SIZE,
        pio: layout::PCI_PIO_SIZE,
        mmio32: (layout::PCI_MMIO.0, layout::PCI_MMIO_SIZE),
        mmio64: (layout::PCI_HIGH_MMIO.0, layout::PCI_HIGH_MMIO_SIZE),
    });
    for function in functions {
        host.add(None, function)?;
    }
    let windows = [layout::PCI_ECAM, layout::PCI_PIO, layout::PCI_MMIO, layout::PCI_HIGH_MMIO];
    let host = bus.attach(&windows, Box::new(host))?;
    (0..PCI_LINES).for_each(|line| bus.wire(host, line, wired, irq::PCI + line));
    Ok(())
}

fn engine(
    cpu: &CpuModel,
    config: EngineConfig,
    regions: RegionConfig,
    map: &Arc<MemoryMap>,
) -> Result<Arc<Engine>, VirtError> {
    let (tier, probes) = (config.tier, config.probes);
    let config = EngineConfig { addresses: Addresses::Physical, ..config };
    let code = Arc::new(MachineCode::new(Arc::clone(map)));
    let engine = Engine::new(Arc::new(Frontend::new_system(*cpu)), config, code)?;
    if tier != Tier::Interp {
        let (memory, count_probes) = (MemoryModel::Softmmu, probes == Probes::Counted);
        let options = CompileOptions { memory, count_probes, ..regions.options };
        let regions = RegionConfig { options, ..regions };
        engine.set_promoter(RegionCompiler::new(regions)?);
    }
    Ok(engine)
}

fn hart(
    number: u32,
    cpu: CpuModel,
    shared: &Arc<Shared>,
    engine: &Arc<Engine>,
    map: &Arc<MemoryMap>,
    hooks: &Arc<HartHooks>,
    sbi: Option<&Arc<Sbi>>,
) -> Hart {
    let context = Arc::new(SystemContext {
        lines: Default::default(),
        hart: number.into(),
        features: CsrFeatures::new(cpu.features().collect()),
        time: Arc::new(Ticks(Arc::clone(shared.clock()))),
        hooks: Arc::clone(hooks) as _,
    });
    let mmu = HartMmu {
        context: Arc::clone(&context),
        shared: Arc::clone(shared),
        engine: Arc::downgrade(engine),
        hooks: Arc::clone(hooks),
        log: match engine.config().log.has(LogItem::Mmu) {
            true => WalkLog::Written,
            false => WalkLog::None,
        },
    };
    let mut softmmu = Box::new(Softmmu::new(Arc::clone(map), Box::new(mmu)));
    if engine.config().probes == Probes::Counted {
        softmmu.count_probes();
    }
    let vcpu = engine.new_system_vcpu(softmmu);
    let handle = Arc::new(CpuHandle::new(vcpu.interrupter()));
    shared.add_cpu(&handle);
    let mailbox = Arc::new(Mailbox::default());
    if let Some(sbi) = sbi {
        let (context, handle) = (Arc::clone(&context), Arc::clone(&handle));
        sbi.add(Peer { context, handle, mailbox: Arc::clone(&mailbox) });
    }
    let (shared, hooks, sbi) = (Arc::clone(shared), Arc::clone(hooks), sbi.cloned());
    let frontend = Frontend::new_system(cpu);
    Hart::new(Parts { vcpu, context, hooks, handle, shared, mailbox, sbi, frontend })
}

/// What [`Images::load`] did.
struct Placed {
    /// Where the first code is entered.
    entry: GuestPhys,
    /// Where the device tree lies.
    tree_at: GuestPhys,
    tree: Vec<u8>,
    /// A program that speaks to a tester.
    program: Option<Loaded>,
}

/// Where a kernel that does not say so is put under firmware.
const AFTER_FIRMWARE: u64 = 0x20_0000;

impl Images {
    /// Loads everything.
    fn load(&self, memory: &softmmu::GuestMemory, seed: [u8; 32]) -> Result<Placed, VirtError> {
        let kernel = self.load_kernel(memory)?;
        let initrd = kernel.map(|kernel| self.load_initrd(memory, kernel)).transpose()?.flatten();
        let firmware = self.load_firmware(memory)?;
        let first = firmware.or(kernel).ok_or(BootError::Nothing)?;
        let (cpu, harts, bytes) = (self.cpu, self.harts, self.memory);
        let command_line = &self.command_line;
        let description = Description {
            cpu,
            harts,
            interrupts: Interrupts { aia: self.aia, levels: self.levels() },
            memory: bytes,
            command_line,
            initrd,
            seed,
            first_bank: if self.has_code { FirstBank::Code } else { FirstBank::Flash },
        };
        let tree = fdt::tree(&description)?;
        let at = boot::tree_base(bytes, tree.len() as u64);
        let written = memory.write_slice(&tree, GuestAddress(at.0));
        written
            .map_err(|_| VirtError::Limit("the device tree does not fit into RAM".to_owned()))?;
        let next = kernel.map_or(GuestPhys(0), |kernel| kernel.entry);
        self.rom.write(0, &boot::reset_code(first.entry, at, next))?;
        let speaks = |loaded: &Loaded| loaded.tohost.is_some();
        let program = kernel.filter(speaks).or(firmware.filter(speaks));
        Ok(Placed { entry: first.entry, tree_at: at, tree, program })
    }

    /// Whose interrupt controllers what is started is told of.
    fn levels(&self) -> Levels {
        if self.bios == Bios::BuiltIn { Levels::Supervisor } else { Levels::Both }
    }

    fn load_kernel(&self, memory: &softmmu::GuestMemory) -> Result<Option<Loaded>, VirtError> {
        if self.has_code {
            // The code in flash takes its place, and finds the kernel in the configuration device.
            let (tohost, fromhost) = (None, None);
            return Ok(Some(Loaded { entry: layout::FLASH, end: layout::DRAM, tohost, fromhost }));
        }
        let Some(path) = &self.kernel else { return Ok(None) };
        let (base, raw) = match self.bios {
            Bios::File(_) => (layout::DRAM.wrapping_add(AFTER_FIRMWARE), RawCode::Taken),
            Bios::None => (layout::DRAM, RawCode::Taken),
            Bios::BuiltIn => (layout::DRAM, RawCode::Refused),
        };
        Ok(Some(boot::load(memory, path, base, raw)?))
    }

    fn load_initrd(
        &self,
        memory: &softmmu::GuestMemory,
        kernel: Loaded,
    ) -> Result<Option<(GuestPhys, GuestPhys)>, VirtError> {
        let Some(path) = self.initrd.as_ref().filter(|_| !self.has_code) else {
            return Ok(None);
        };
        let bytes = boot::read(path)?;
        let start = boot::initrd_base(kernel.end, self.memory);
        boot::put(memory, path, start, &bytes)?;
        Ok(Some((start, start.wrapping_add(bytes.len() as u64))))
    }

    fn load_firmware(&self, memory: &softmmu::GuestMemory) -> Result<Option<Loaded>, VirtError> {
        match &self.bios {
            Bios::File(path) => Ok(Some(boot::load(memory, path, layout::DRAM, RawCode::Taken)?)),
            Bios::BuiltIn | Bios::None => Ok(None),
        }
    }
}
