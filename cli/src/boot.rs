//! `ferry boot`: options to a machine, and its life.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock, Weak};

use anyhow::{Context, Result, bail};
use arch::riscv64::CpuModel;
use clap::{Args, Parser, ValueEnum};
use runtime::{EngineConfig, LogItems, LogSink, Probes, RegionConfig};
use system::devices::virtio::rng::{EntropySource, SeededEntropy};
use system::host::block::Execution;
use system::host::chars::{CharBackend, CharSpec, Escape, Patient, terminal};
use system::host::entropy::HostEntropy;
use system::machine::{Control, Ending, Shared};
use system::riscv64::{Aia, Bios, Config, Pace, Record, Virt};

use crate::boot_devices::{self, Attached, Backing, Disk, Network, Other};
use crate::execution::{self, ExecutionArgs, StatsFormat, TierArg};
use crate::gdb::{self, GdbArgs};
use crate::{OWN_ERROR, complain};

/// Arguments of `ferry boot`.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    ferry boot --arch riscv64 --kernel vmlinux --initrd initrd.img --append 'console=ttyS0'\n  \
    ferry boot --arch riscv64 --bios fw_jump.elf --kernel u-boot.bin\n\n\
    On a terminal, Ctrl-A x ends Ferry; Ctrl-A h lists the other keys.")]
pub(crate) struct BootArgs {
    /// The machine's architecture
    #[arg(long, value_enum)]
    arch: ArchArg,
    /// The machine, with `,aia=none|aplic|aplic-imsic` for its interrupt controllers
    #[arg(long, value_name = "NAME[,OPTIONS]", default_value = "virt")]
    machine: MachineArg,
    /// CPU model with switches, such as `rva23u64,+zba`
    #[arg(long, value_name = "MODEL", default_value = "max")]
    cpu: CpuModel,
    /// How many CPUs
    #[arg(long, value_name = "N", default_value_t = 1)]
    smp: u32,
    /// RAM: bytes, or with K, M or G
    #[arg(long, short = 'm', value_name = "SIZE", default_value = "1G", value_parser = size)]
    memory: u64,
    /// Kernel: a Linux Image or an ELF file; with firmware or `--bios none` raw code, too
    #[arg(long, value_name = "IMAGE")]
    kernel: Option<PathBuf>,
    /// Initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Firmware to start instead of the built-in SBI; `none` enters the kernel at machine level
    #[arg(long, value_name = "FILE")]
    bios: Option<PathBuf>,
    /// Flash: code, which runs in place; given again, what it keeps
    #[arg(long, value_name = "FILE")]
    pflash: Vec<PathBuf>,
    /// The serial console: stdio (unless a virtio-console is there), pty, file:PATH, unix:PATH, null
    #[arg(long, value_name = "WHERE")]
    console: Option<CharSpec>,
    /// A disk image, with `,format=raw|qcow2`, `,readonly` and `,transport=mmio` (may be repeated)
    #[arg(long, value_name = "FILE[,OPTIONS]")]
    disk: Vec<Disk>,
    /// `virtio-console,console=WHERE` or `virtio-rng`, with `,transport=mmio` (may be repeated)
    #[arg(long, value_name = "KIND[,OPTIONS]")]
    device: Vec<Other>,
    /// A network: `user` with `,hostfwd=tcp:HOSTPORT-:GUESTPORT` and others, or `none`
    #[arg(long, value_name = "KIND[,OPTIONS]", default_value = "none")]
    net: Network,
    /// End where the machine would start again
    #[arg(long)]
    no_reboot: bool,
    /// Write the device tree to a file, and end
    #[arg(long, value_name = "FILE")]
    dump_dtb: Option<PathBuf>,
    #[command(flatten)]
    execution: ExecutionArgs,
    /// Let each run be like the other: time passes by instructions, CPUs take turns on one thread and are
    /// interpreted, random bytes come from a fixed seed. What comes in by the console comes when it does
    #[arg(long, conflicts_with = "tier")]
    deterministic: bool,
    #[command(flatten)]
    gdb: GdbArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum ArchArg {
    Riscv64,
}

/// A machine and its options.
#[derive(Clone, Copy, Debug)]
struct MachineArg {
    aia: Aia,
}

impl FromStr for MachineArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(',');
        if words.next() != Some("virt") {
            return Err("there is the machine 'virt'".to_owned());
        }
        let mut machine = Self { aia: Aia::None };
        for word in words {
            machine.aia = match word {
                "aia=none" => Aia::None,
                "aia=aplic" => Aia::Aplic,
                "aia=aplic-imsic" => Aia::AplicImsic,
                _ => return Err(format!("'{word}': there is aia=none, aplic or aplic-imsic")),
            };
        }
        Ok(machine)
    }
}

/// A size in bytes, or with K, M, G or T in binary multiples.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, unit)) if !unit.is_ascii_digit() => (&text[..at], shift(unit)),
        _ => (text, Some(0)),
    };
    let bytes = digits.parse::<u64>().ok().zip(shift);
    let bytes = bytes.and_then(|(value, shift)| value.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("'{text}' is no size, such as 512M or 4G"))
}

fn shift(unit: char) -> Option<u32> {
    let units = ['k', 'm', 'g', 't'];
    let place = units.iter().position(|&known| known == unit.to_ascii_lowercase())?;
    Some(10 * (place as u32 + 1))
}

/// Seeds of the random number generator's bytes and the device tree's, where each run is to be like the
/// other.
const RNG_SEED: u64 = 1;
const TREE_SEED: u64 = 2;

fn entropy(args: &BootArgs, seed: u64) -> Box<dyn EntropySource> {
    if args.deterministic { Box::new(SeededEntropy::new(seed)) } else { Box::new(HostEntropy) }
}

/// A thread that panics ends Ferry: the others would wait for what it was to do.
fn end_at_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        terminal::restore();
        report(info);
        complain(&"this is a mistake of Ferry's own; the machine is lost");
        std::process::exit(OWN_ERROR.into());
    }));
}

/// A disk image that may not grow (`ulimit -f`) is an I/O error of the guest's, not Ferry's end.
#[expect(unsafe_code, reason = "signal dispositions")]
fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

impl BootArgs {
    /// The tier that runs.
    pub(crate) fn tier(&self) -> TierArg {
        if self.deterministic { TierArg::Interp } else { self.execution.tier }
    }

    /// The kernel's file.
    pub(crate) fn kernel(&self) -> Option<&Path> {
        self.kernel.as_deref()
    }
}

/// Boots the machine and stays with it to its end.
pub(crate) fn main(args: BootArgs, record: Option<Record>) -> u8 {
    let status = boot(args, record);
    terminal::restore();
    status.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        OWN_ERROR
    })
}

fn boot(args: BootArgs, record: Option<Record>) -> Result<u8> {
    let ArchArg::Riscv64 = args.arch;
    if args.kernel.is_none() && args.bios.is_none() && args.pflash.is_empty() {
        bail!("nothing to boot: give a kernel (--kernel) or firmware (--bios, --pflash)");
    }
    end_at_panic();
    ignore_file_size_signal();
    base::sys::fault::install();
    let machine = Arc::new(OnceLock::<Weak<Shared>>::new());
    let (dump, stats, no_reboot) = (args.dump_dtb.clone(), args.execution.stats, args.no_reboot);
    let gdb = args.gdb.clone();
    let config = Config { record, ..config(args, Arc::clone(&machine))? };
    let mut virt = Virt::new(config)?;
    if let Some(path) = dump {
        let written = std::fs::write(&path, virt.tree());
        written.with_context(|| format!("cannot write {}", path.display()))?;
        return Ok(0);
    }
    if no_reboot {
        virt.end_at_reset();
    }
    let _ = machine.set(Arc::downgrade(virt.shared()));
    let debuggers = gdb::start(&gdb, &virt)?;
    let control = gdb::start_control(&gdb, &virt)?;
    let ending = virt.run();
    debuggers.wait();
    control.iter().for_each(Control::finish);
    let ending = ending?;
    if let Some(stats) = stats {
        print_stats(&virt.report(), stats.format);
    }
    Ok(match ending {
        Ending::PowerOff(status) => status,
        Ending::Reset | Ending::Quit => 0,
    })
}

/// Options of a machine by themselves.
#[derive(Parser)]
#[command(name = "machine", no_binary_name = true, disable_help_flag = true)]
struct Alone {
    #[command(flatten)]
    args: BootArgs,
}

/// The settings of a machine that is stepped, from its options as `ferry boot` has them. Its console goes nowhere.
pub(crate) fn stepped(options: &[OsString], tier: TierArg) -> Result<Config, String> {
    let is_named = options.iter().any(|word| word.to_string_lossy().starts_with("--arch"));
    let arch = if is_named { &[][..] } else { &["--arch", "riscv64"][..] };
    let words = arch.iter().map(OsString::from).chain(options.iter().cloned());
    let Alone { mut args } = Alone::try_parse_from(words).map_err(|error| {
        format!("the machine: {}", error.to_string().trim_start_matches("error: ").trim_end())
    })?;
    args.execution.tier = tier;
    args.console = Some(args.console.unwrap_or(CharSpec::Null));
    base::sys::fault::install();
    config(args, Arc::default()).map_err(|error| format!("{error:#}"))
}

fn config(args: BootArgs, machine: Arc<OnceLock<Weak<Shared>>>) -> Result<Config> {
    let escaped = move |escape| {
        // The console belongs to the machine, and must not keep it.
        let shared = machine.get().and_then(Weak::upgrade);
        if let (Escape::Quit, Some(shared)) = (escape, shared) {
            shared.end(Ending::Quit);
        }
    };
    let console = boot_devices::serial(args.console.clone(), &args.device)?;
    let opened = console.open(escaped.clone())?;
    if let Some(path) = &opened.path {
        complain(&format!("the console is {}", path.display()));
    }
    let (execution, rng) = match args.deterministic {
        true => (Execution::Immediate, entropy(&args, RNG_SEED)),
        false => (Execution::Threads, entropy(&args, RNG_SEED)),
    };
    if args.deterministic && args.net.is_some() {
        bail!("--deterministic allows no --net: what comes from outside comes when it does");
    }
    let Attached { functions, mmio } =
        Attached::open(&args.disk, &args.net, &args.device, Backing { execution, rng }, escaped)?;
    let entropy = entropy(&args, TREE_SEED);
    let (pace, console) = match args.deterministic {
        false => (Pace::Host, opened.backend),
        true => (Pace::Counted, Box::new(Patient::new(opened.backend)) as Box<dyn CharBackend>),
    };
    let bios = match args.bios {
        None => Bios::BuiltIn,
        Some(path) if path.as_os_str() == "none" => Bios::None,
        Some(path) => Bios::File(path),
    };
    let sink = match &args.execution.log_file {
        Some(path) => {
            let file = std::fs::File::create(path);
            let file = file.with_context(|| format!("cannot write {}", path.display()))?;
            LogSink::open(file)
        }
        None => LogSink::stderr(),
    };
    let log = args.execution.log.join(",").parse::<LogItems>()?;
    let engine = EngineConfig {
        tier: args.execution.tier.into(),
        probes: match args.execution.stats.map(|stats| stats.probes) {
            Some(execution::Probes::Counted) => Probes::Counted,
            Some(execution::Probes::Uncounted) | None => Probes::Uncounted,
        },
        log,
        sink,
        ..EngineConfig::default()
    };
    let mut regions = RegionConfig::default();
    regions.options.count_instructions = args.execution.stats.is_some();
    if args.execution.tier == TierArg::Jit {
        regions.workers = 0;
    }
    Ok(Config {
        cpu: args.cpu,
        harts: args.smp,
        aia: args.machine.aia,
        memory: args.memory,
        bios,
        kernel: args.kernel,
        initrd: args.initrd,
        command_line: args.append,
        console,
        entropy,
        engine,
        regions,
        pace,
        functions,
        flash: args.pflash,
        virtio_mmio: mmio,
        record: None,
    })
}

#[expect(clippy::print_stderr, reason = "asked for by the user")]
fn print_stats(report: &system::riscv64::Report, format: StatsFormat) {
    match format {
        StatsFormat::Json => eprintln!("{}", serde_json::to_string(report).unwrap_or_default()),
        StatsFormat::Text => eprint!("{report}"),
    }
}
