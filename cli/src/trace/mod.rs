//! `ferry trace`: records an execution, and shows, converts and sums up traces.

pub(crate) mod file;
mod stored;

pub(crate) use stored::architecture;

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use linux_user::{BoxedSink, Memory, Record, Registers, Start};
use trace::Header;

use crate::run::{self, RunArgs};
use crate::{OWN_ERROR, complain};
use file::Kind;

/// Options of `ferry trace`.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  ferry trace -o run.trace -- ./hello-riscv64\n  ferry trace --format spike --from main \
                  --count 1000 -o run.log -- ./a.out\n  ferry trace show --from 500 --count 20 run.trace\n  ferry \
                  trace convert --to rvvi run.trace"
)]
pub(crate) struct TraceArgs {
    #[command(subcommand)]
    stored: Option<stored::StoredCommand>,
    #[command(flatten)]
    record: RecordArgs,
}

#[derive(Args)]
struct RecordArgs {
    /// The format: ferry (compressed, seekable), spike, execlog, rvvi, tarmac
    #[arg(long, value_name = "FORMAT", default_value = "ferry", value_parser = Kind::to_write)]
    format: Kind,
    /// The file to write
    #[arg(short = 'o', value_name = "FILE", default_value = "ferry.trace")]
    output: PathBuf,
    /// Begin at a symbol, at an address (0x…), or after a number of instructions
    #[arg(long, value_name = "SYM|ADDR|N", value_parser = start)]
    from: Option<Start>,
    /// Record no more than so many instructions; the program runs on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Record accesses to memory, with addresses and values
    #[arg(long)]
    mem: bool,
    /// Which registers each event shows
    #[arg(long, value_enum, default_value_t = RegistersArg::Changed)]
    regs: RegistersArg,
    #[command(flatten)]
    run: RunArgs,
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
    match args.stored {
        Some(command) => stored::main(command),
        None => record(args.record),
    }
}

fn record(args: RecordArgs) -> u8 {
    let RecordArgs { format, output, from, count, mem, regs, run } = args;
    let record = Record {
        output,
        format: Box::new(move |file, header| sink(format, file, header)),
        start: from.unwrap_or(Start::Instruction(0)),
        count,
        memory: if mem { Memory::Recorded } else { Memory::LeftOut },
        registers: match regs {
            RegistersArg::Changed => Registers::Changed,
            RegistersArg::All => Registers::All,
        },
    };
    let Some((config, program, rest)) = run::parts(run) else { return OWN_ERROR };
    match linux_user::trace(config, record, &program, &rest) {
        Err(error) => {
            complain(&error);
            error.exit_status()
        }
    }
}

fn sink(kind: Kind, file: File, header: Header) -> Result<BoxedSink, trace::Error> {
    kind.write(BufWriter::with_capacity(1 << 16, file), &header)
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
