//! One of the two executions that are compared.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ::diff::{Execution, Recorded};
use linux_user::ReplicaTier;
use live::{Follows, Machine, Native, Remote, Replayed, Stub};
use trace::Architecture;

use super::record::{self, Temporary};
use super::spec::{MachineTier, Spec};
use super::{By, DiffArgs};
use crate::execution::TierArg;
use crate::trace::file::{self, Kind, Known};

/// What `ferry diff --help` says at the end.
pub(super) const HELP: &str = "\
A side is
  FILE            a trace in any format that `ferry trace` reads; - for standard input
  cmd:COMMAND     what a command of the shell writes, as such a trace
  interp          the PROGRAM after --, interpreted by Ferry
  baseline        the same, compiled by the baseline compiler
  jit             the same, compiled; jit:none without optimisation, jit:-PASS without a pass
  qemu            the same, in qemu's user mode
  native          the same, on this host's processor (x86-64), which CPUID calls Ferry's model (--cpu)
  machine         the machine that `ferry boot` makes of the options after --, interpreted; machine:jit compiled
  gdb:HOST:PORT   what listens there for gdb: one CPU, stepped; gdb:unix:PATH a socket
Where the reference is live (qemu, native, gdb:…, interp), interp, baseline and jit begin in its state and take over what its kernel does.
A machine is stepped beside another one that is live: it begins in that one's state with its own kernel and firmware, and takes over
what devices and counters say, and when interrupts come.

Exit status: 0 same, 1 different, 2 could not compare.

Examples:
  ferry diff spike.log ferry.trace
  ferry diff qemu jit -- ./a.out
  ferry diff -L ./trixie-riscv64 qemu interp -- ./trixie-riscv64/bin/true
  qemu-system-riscv64 -M virt -cpu max,h=off -m 128M -bios none -kernel a.elf -display none -S -gdb unix:sock,server=on &
  ferry diff gdb:unix:./sock machine -- --memory 128M --bios none --kernel a.elf";

/// Models that qemu and Ferry have in common, where their defaults differ in what programs are told of.
const COMMON_AARCH64: &str = "cortex-a72";
const QEMU_RISCV64: &str = "rv64";

/// What of addresses a program has in qemu: less than it has in Ferry, which repeats it at the same ones.
const QEMU_SPACE: &str = "0x200000000000";

/// What a machine is called in reports.
const MACHINE: &str = "Ferry's machine";

/// One execution, and what was made for it.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) execution: Box<dyn Execution>,
    /// The tier of Ferry that it was recorded by, if that is known of a trace.
    pub(super) tier: Option<ReplicaTier>,
    /// Removed at the end.
    _made: Option<Made>,
}

/// What is ours, and goes when the side does.
enum Made {
    File { _removed: Temporary },
    Process(Child),
}

impl Drop for Made {
    fn drop(&mut self) {
        match self {
            Self::File { .. } => {}
            Self::Process(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Side {
    pub(super) fn new(name: String, execution: impl Execution + 'static) -> Self {
        Self { name, execution: Box::new(execution), tier: None, _made: None }
    }

    /// The first side, behind gdb's protocol.
    pub(super) fn remote(args: &DiffArgs) -> Result<Remote, String> {
        match &args.reference {
            Spec::Qemu => qemu(args),
            Spec::Tier(tier) => ferry(args, *tier),
            Spec::Gdb(address) => Remote::connect(address).map_err(text),
            _ => {
                Err("--by call wants qemu, interp, baseline, jit or gdb:… as the reference"
                    .to_owned())
            }
        }
    }

    /// The second side, at full speed.
    pub(super) fn unobserved(
        args: &DiffArgs,
        architecture: Architecture,
    ) -> Result<Replayed, String> {
        let Spec::Tier(tier) = args.subject else {
            return Err("--by call wants interp, baseline or jit as the subject".to_owned());
        };
        let model = args.cpu.as_deref().or_else(|| common(args, architecture));
        Replayed::unobserved(architecture, model, tier).map_err(text)
    }

    /// The first side, past system calls at these addresses.
    pub(super) fn past(args: &DiffArgs, calls: &[u64]) -> Result<Self, String> {
        let mut remote = Self::remote(args)?;
        live::pass(&mut remote, calls).map_err(text)?;
        let name = name(args, &args.reference);
        Ok(Self::new(name, remote))
    }

    /// The first side.
    pub(super) fn reference(args: &DiffArgs) -> Result<Self, String> {
        match args.reference {
            Spec::Tier(ReplicaTier::Interpreted) if args.subject.is_live() => {
                let name = format!("{}, interpreted", program(args)?.display());
                Ok(Self::new(name, ferry(args, ReplicaTier::Interpreted)?))
            }
            Spec::Tier(ReplicaTier::Baseline | ReplicaTier::Compiled { .. })
                if args.subject.is_live() =>
            {
                Err("what is compiled can only be the second side, unless the other one is a trace, or with --by call".to_owned())
            }
            Spec::File(_) | Spec::Command(_) if args.by == By::Block => Self::followed(args),
            _ => Self::open(args, &args.reference, args.reference_format),
        }
    }

    /// The first side, recorded, with the state of the program that is run beside it.
    fn followed(args: &DiffArgs) -> Result<Self, String> {
        let recorded = Self::open(args, &args.reference, args.reference_format)?;
        let live = ferry(args, ReplicaTier::Interpreted)?;
        let follows = Follows::new(recorded.execution, live).map_err(text)?;
        Ok(Self { _made: recorded._made, ..Self::new(recorded.name, follows) })
    }

    /// The second side, which may take its state from the first.
    pub(super) fn subject(args: &DiffArgs, reference: &mut Self) -> Result<Self, String> {
        match args.subject {
            Spec::Tier(tier) if reference.execution.state().is_some() => {
                let architecture = reference.execution.header().architecture;
                let model = args.cpu.as_deref().or_else(|| common(args, architecture));
                let replayed = match args.by {
                    By::Block => Replayed::by_block(architecture, model, tier),
                    _ => Replayed::new(architecture, model, tier),
                };
                Ok(Self::new(tier_name(tier), replayed.map_err(text)?))
            }
            Spec::Machine(tier) if args.by == By::Instruction => {
                let config = crate::boot::stepped(&args.program, tier.into())?;
                Ok(Self::new(MACHINE.to_owned(), Machine::new(config).map_err(text)?))
            }
            Spec::Machine(_) => Err("a machine is compared by instruction".to_owned()),
            _ if args.by == By::Block => {
                Err("--by block wants interp, baseline or jit as the subject".to_owned())
            }
            _ => Self::open(args, &args.subject, args.subject_format),
        }
    }

    pub(super) fn open(args: &DiffArgs, spec: &Spec, kind: Option<Kind>) -> Result<Self, String> {
        let known = Known { kind, architecture: args.arch };
        match spec {
            Spec::File(path) => {
                let (_, source) = file::open(path, known)?;
                Ok(Self::new(path.display().to_string(), Recorded(source)))
            }
            Spec::Command(command) => Self::command(command, known),
            Spec::Gdb(address) => {
                let remote = Remote::connect(address).map_err(text)?;
                Ok(Self::new(address.clone(), remote))
            }
            Spec::Qemu => Ok(Self::new(format!("qemu, {}", program(args)?.display()), qemu(args)?)),
            Spec::Native => {
                let program = program(args)?;
                let model = args.cpu.as_deref();
                let native = Native::start(program, &args.program[1..], model).map_err(text)?;
                Ok(Self::new(format!("native, {}", program.display()), native))
            }
            Spec::Tier(tier) => Self::run(args, *tier, known),
            Spec::Machine(_) => Err("a machine can only be the second side".to_owned()),
        }
    }

    /// What a command writes.
    fn command(command: &str, known: Known) -> Result<Self, String> {
        let mut shell = Command::new("sh");
        let child = shell.arg("-c").arg(command).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("cannot run sh: {error}"))?;
        let output = child.stdout.take().ok_or("the command has no output")?;
        let made = Some(Made::Process(child));
        let (_, source) =
            file::read(Box::new(output), known).map_err(|error| format!("{command}: {error}"))?;
        Ok(Self { _made: made, ..Self::new(command.to_owned(), Recorded(source)) })
    }

    /// Runs the program in a Ferry of its own, and traces it.
    fn run(args: &DiffArgs, tier: ReplicaTier, known: Known) -> Result<Self, String> {
        let recorded = record::run(args, tier, &["--mem"], Stdio::inherit())?;
        Self::recorded(args, tier, recorded, known)
    }

    /// What was recorded.
    pub(super) fn recorded(
        args: &DiffArgs,
        tier: ReplicaTier,
        recorded: Temporary,
        known: Known,
    ) -> Result<Self, String> {
        let (_, source) = file::open(recorded.path(), known)
            .map_err(|error| format!("the program could not be traced: {error}"))?;
        let name = format!("{}, {}", program(args)?.display(), tier_name(tier));
        let made = Some(Made::File { _removed: recorded });
        Ok(Self { _made: made, tier: Some(tier), ..Self::new(name, Recorded(source)) })
    }
}

impl From<MachineTier> for TierArg {
    fn from(tier: MachineTier) -> Self {
        match tier {
            MachineTier::Interpreted => Self::Interp,
            MachineTier::Compiled => Self::Jit,
        }
    }
}

impl Spec {
    /// Whether it is stepped while it is compared.
    fn is_live(&self) -> bool {
        !matches!(self, Self::File(_) | Self::Command(_))
    }
}

pub(super) fn tier_name(tier: ReplicaTier) -> String {
    match tier {
        ReplicaTier::Interpreted => "interpreted".to_owned(),
        ReplicaTier::Baseline => "compiled by the baseline compiler".to_owned(),
        ReplicaTier::Compiled { .. } => "compiled".to_owned(),
    }
}

/// How `ferry run` is told of a tier.
pub(super) fn tier_option(tier: ReplicaTier) -> Result<&'static str, String> {
    match tier {
        ReplicaTier::Interpreted => Ok("interp"),
        ReplicaTier::Baseline => Ok("baseline"),
        ReplicaTier::Compiled { passes, .. } if passes == runtime::Passes::ALL => Ok("jit"),
        ReplicaTier::Compiled { .. } => {
            Err("what runs by itself is compiled with all passes: jit".to_owned())
        }
    }
}

/// What a report calls a side.
pub(super) fn name(args: &DiffArgs, side: &Spec) -> String {
    let words: Vec<String> = args.program.iter().map(|word| word.display().to_string()).collect();
    let program = words.join(" ");
    match side {
        Spec::File(path) => path.display().to_string(),
        Spec::Tier(tier) => format!("{program}, {}", tier_name(*tier)),
        Spec::Gdb(address) => address.clone(),
        Spec::Qemu => format!("{program}, in qemu"),
        Spec::Native => format!("{program}, on this processor"),
        Spec::Command(command) => command.clone(),
        Spec::Machine(_) => MACHINE.to_owned(),
    }
}

pub(super) fn program(args: &DiffArgs) -> Result<&OsStr, String> {
    let program = args.program.first();
    program.map(OsString::as_os_str).ok_or_else(|| "name the program to run after --".to_owned())
}

pub(super) fn own_path() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("cannot find ferry: {error}"))
}

/// Options of `ferry run` that apply to a program of ours.
pub(super) fn options(args: &DiffArgs) -> Vec<OsString> {
    let mut options = Vec::new();
    if let Some(sysroot) = &args.sysroot {
        options.extend(["-L".into(), sysroot.into()]);
    }
    if let Some(cpu) = &args.cpu {
        options.extend(["--cpu".into(), cpu.into()]);
    }
    options
}

/// The program in another Ferry, behind gdb's protocol.
fn ferry(args: &DiffArgs, tier: ReplicaTier) -> Result<Remote, String> {
    program(args)?;
    let tier = tier_option(tier)?;
    let listen = |socket: &str| {
        let gdb = format!("unix:{socket}").into();
        let mut words = vec!["run".into(), "--tier".into(), tier.into(), "--gdb".into(), gdb];
        words.push("--gdb-exec".into());
        words.extend(options(args));
        words
    };
    let stub = Stub::start(own_path()?.as_os_str(), listen, &args.program);
    let stub = stub.and_then(Stub::with_memory).map_err(text)?;
    Remote::start(stub).map_err(text)
}

/// The program in qemu's user mode.
fn qemu(args: &DiffArgs) -> Result<Remote, String> {
    let program = program(args)?;
    let architecture = match args.arch {
        Some(architecture) => architecture,
        None => architecture_of(Path::new(program))?,
    };
    let installed = format!("qemu-{}", architecture.name());
    let qemu = args.qemu.clone().unwrap_or_else(|| installed.into());
    let model = args.qemu_cpu.as_deref().or(match architecture {
        Architecture::Riscv64 => Some(QEMU_RISCV64),
        Architecture::Aarch64 => Some(COMMON_AARCH64),
        Architecture::X86_64 => None,
    });
    let listen = |socket: &str| {
        let mut words: Vec<OsString> =
            ["-R", QEMU_SPACE, "-g", socket].map(OsString::from).to_vec();
        if let Some(sysroot) = &args.sysroot {
            words.extend(["-L".into(), sysroot.into()]);
        }
        if let Some(model) = model {
            words.extend(["-cpu".into(), model.into()]);
        }
        words
    };
    let stub = Stub::start(qemu.as_os_str(), listen, &args.program).map_err(text)?;
    Remote::start(stub).map_err(text)
}

/// The CPU model that a replica of qemu's has, if the user did not say.
fn common(args: &DiffArgs, architecture: Architecture) -> Option<&'static str> {
    let is_qemu = args.reference == Spec::Qemu && args.qemu_cpu.is_none();
    (is_qemu && architecture == Architecture::Aarch64).then_some(COMMON_AARCH64)
}

/// `e_machine` of an ELF file.
fn architecture_of(program: &Path) -> Result<Architecture, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
    let mut header = [0; 20];
    let mut file = File::open(program).map_err(|error| failed(&error))?;
    file.read_exact(&mut header).map_err(|error| failed(&error))?;
    match (&header[..4], u16::from_le_bytes([header[18], header[19]])) {
        (b"\x7fELF", 243) => Ok(Architecture::Riscv64),
        (b"\x7fELF", 183) => Ok(Architecture::Aarch64),
        (b"\x7fELF", 62) => Ok(Architecture::X86_64),
        _ => Err(failed(&"no program of an architecture that is known; --arch names it")),
    }
}
