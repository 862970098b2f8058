//! `ferry trace`: records an execution of a program or a machine, and shows, converts and sums up traces.

pub(crate) mod file;
mod stored;

pub(crate) use stored::architecture;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use linux_user::Record;
use trace::recording::{BoxedSink, Memory, Registers, Start, carries};
use trace::{Architecture, Header, hashes};

use crate::boot::{self, BootArgs};
use crate::execution::TierArg;
use crate::run::{self, RunArgs};
use crate::{OWN_ERROR, complain};
use file::Kind;

/// Options of `ferry trace`.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  ferry trace -o run.trace -- ./hello-riscv64\n  ferry trace --format spike --from main \
                  --count 1000 -o run.log -- ./a.out\n  ferry trace boot -o boot.trace --arch riscv64 --bios none --kernel \
                  test.elf\n  ferry trace show --from 500 --count 20 run.trace\n  ferry trace convert --to rvvi run.trace\n  ferry trace \
                  --hashes 1000000 --tier jit -o run.hashes -- ./a.out"
)]
pub(crate) struct TraceArgs {
    #[command(subcommand)]
    other: Option<TraceCommand>,
    #[command(flatten)]
    record: RecordArgs,
}

#[derive(Subcommand)]
enum TraceCommand {
    /// Record what the CPUs of a machine execute, with their levels, traps and control registers
    Boot(Box<BootRecordArgs>),
    #[command(flatten)]
    Stored(stored::StoredCommand),
}

#[derive(Args)]
struct RecordArgs {
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct BootRecordArgs {
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    boot: BootArgs,
}

#[derive(Args)]
struct WhatArgs {
    /// The format: ferry (compressed, seekable), spike, execlog, rvvi, tarmac
    #[arg(long, value_name = "FORMAT", default_value = "ferry", value_parser = Kind::to_write)]
    format: Kind,
    /// Write no trace but hashes of N instructions each, for `ferry diff`: 16 bytes for each N
    #[arg(long, value_name = "N", conflicts_with = "format",
        value_parser = clap::value_parser!(u32).range(1..))]
    hashes: Option<u32>,
    /// The file to write
    #[arg(short = 'o', value_name = "FILE", default_value = "ferry.trace")]
    output: PathBuf,
    /// Begin at a symbol, at an address (0x…), or after a number of instructions
    #[arg(long, value_name = "SYM|ADDR|N", value_parser = start)]
    from: Option<Start>,
    /// Record no more than so many instructions; the program runs on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Have the tier make this deliberate mistake
    #[cfg(feature = "defects")]
    #[arg(long, value_name = "NAME", value_parser = crate::diff::defect)]
    defect: Option<base::defect::Defect>,
    /// Record accesses to memory, with addresses and values; compiled code does not tell them
    #[arg(long)]
    mem: bool,
    /// Which registers each event shows
    #[arg(long, value_enum, default_value_t = RegistersArg::Changed)]
    regs: RegistersArg,
}

impl WhatArgs {
    fn memory(&self) -> Memory {
        if self.mem { Memory::Recorded } else { Memory::LeftOut }
    }

    fn registers(&self) -> Registers {
        match self.regs {
            RegistersArg::Changed => Registers::Changed,
            RegistersArg::All => Registers::All,
        }
    }

    /// What is written of an execution by this tier.
    fn written(&self, tier: TierArg) -> Written {
        match self.hashes {
            Some(every) => Written::Hashes { every, tier },
            None => Written::Trace(self.format),
        }
    }

    fn start(&self) -> Start {
        self.from.clone().unwrap_or(Start::Instruction(0))
    }
}

/// What is written.
#[derive(Clone, Copy)]
enum Written {
    /// A trace.
    Trace(Kind),
    /// Its hashes.
    Hashes {
        /// Of so many instructions each.
        every: u32,
        /// What executes them.
        tier: TierArg,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum RegistersArg {
    Changed,
    All,
}

/// `SYM|ADDR|N`
fn start(text: &str) -> Result<Start, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        let addr = u64::from_str_radix(digits, 16);
        return addr.map(Start::Address).map_err(|_| format!("{text} is no address"));
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text.parse().map(Start::Instruction).map_err(|_| format!("{text} is no number"));
    }
    Ok(Start::Symbol(text.to_owned()))
}

/// Does what `ferry trace` was told; returns the exit status.
pub(crate) fn main(args: TraceArgs) -> u8 {
    match args.other {
        Some(TraceCommand::Stored(command)) => stored::main(command),
        Some(TraceCommand::Boot(args)) => record_boot(*args),
        None => record(args.record),
    }
}

fn record(RecordArgs { what, run }: RecordArgs) -> u8 {
    let (memory, registers, start) = (what.memory(), what.registers(), what.start());
    let written = what.written(run.tier());
    #[cfg(feature = "defects")]
    base::defect::seed(what.defect);
    let WhatArgs { output, count, .. } = what;
    let record = Record {
        output,
        format: Box::new(move |file, header| sink(written, file, header)),
        start,
        count,
        memory,
        registers,
    };
    let Some((config, program, rest)) = run::parts(run) else { return OWN_ERROR };
    match linux_user::trace(config, record, &program, &rest) {
        Err(error) => {
            complain(&error);
            error.exit_status()
        }
    }
}

fn record_boot(BootRecordArgs { what, boot }: BootRecordArgs) -> u8 {
    match record_of_machine(&what, &boot) {
        Ok(record) => boot::main(boot, Some(record)),
        Err(message) => {
            complain(&message);
            OWN_ERROR
        }
    }
}

fn record_of_machine(what: &WhatArgs, boot: &BootArgs) -> Result<system::riscv64::Record, String> {
    let (memory, registers) = (what.memory(), what.registers());
    let kernel = boot.kernel();
    let find = |name: &str| symbol(kernel?, name);
    let begins = what.start().locate(find);
    let begins = begins.map_err(|name| format!("no ELF file of a kernel with a symbol {name}"))?;
    let program = kernel.map(|path| path.display().to_string());
    let mut carries = carries(memory, registers);
    if boot.tier() == TierArg::Jit {
        carries = carries.without_memory();
    }
    let header = Header { architecture: Architecture::Riscv64, carries, program };
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", what.output.display());
    let file = File::create(&what.output).map_err(|error| failed(&error))?;
    let sink = sink(what.written(boot.tier()), file, header).map_err(|error| failed(&error))?;
    Ok(system::riscv64::Record { sink, begins, count: what.count, memory, registers })
}

/// Where a symbol of an ELF file lies.
fn symbol(path: &Path, name: &str) -> Option<u64> {
    let bytes = std::fs::read(path).ok()?;
    let elf = goblin::elf::Elf::parse(&bytes).ok()?;
    let found = elf
        .syms
        .iter()
        .find(|symbol| symbol.st_shndx != 0 && elf.strtab.get_at(symbol.st_name) == Some(name));
    found.map(|symbol| symbol.st_value)
}

fn sink(written: Written, file: File, header: Header) -> Result<BoxedSink, trace::Error> {
    let output = BufWriter::with_capacity(1 << 16, file);
    match written {
        Written::Trace(kind) => kind.write(output, &header),
        Written::Hashes { every, tier } => {
            let recorder = match tier {
                TierArg::Auto | TierArg::Interp => "interp",
                TierArg::Baseline => "baseline",
                TierArg::Jit => "jit",
            };
            Ok(Box::new(hashes::Writer::new(output, &header, every, recorder)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_symbol_an_address_or_a_number() {
        assert_eq!(start("main"), Ok(Start::Symbol("main".into())));
        assert_eq!(start("0x10430"), Ok(Start::Address(0x10430)));
        assert_eq!(start("1000"), Ok(Start::Instruction(1000)));
        assert!(start("0xzz").is_err() && start("12k").is_err());
    }
}
