//! `ferry diff`: where two executions part.

use std::ffi::OsString;
use std::path::PathBuf;

use ::diff::report::{self, Context, Explanation, NoSymbols, Symbols};
use ::diff::{Comparison, Options, Verdict};
use clap::{Args, ValueEnum};
use linux_user::ReplicaTier;
use trace::names::register_by_name;
use trace::{Architecture, RegWrite, Register};

use crate::complain;
use crate::trace::file::Kind;
use side::Side;
use spec::Spec;
use symbols::ElfSymbols;

mod calls;
mod explain;
mod hashes;
mod input;
mod record;
mod side;
mod spec;
mod symbols;

/// Both executions are the same.
const SAME: u8 = 0;
/// They differ.
const DIFFERENT: u8 = 1;
/// They could not be compared.
const NOT_COMPARED: u8 = 2;

/// Options of `ferry diff`.
#[derive(Args)]
#[command(
    after_help = side::HELP
)]
pub(crate) struct DiffArgs {
    /// What is taken to be right
    #[arg(value_parser = Spec::parse)]
    reference: Spec,
    /// What is compared with it
    #[arg(value_parser = Spec::parse)]
    subject: Spec,
    /// The program of a side that is run, and its arguments
    #[arg(last = true)]
    program: Vec<OsString>,
    /// The reference's format, if its beginning does not tell
    #[arg(long, value_name = "FORMAT", value_parser = Kind::by_name)]
    reference_format: Option<Kind>,
    /// The subject's format, if its beginning does not tell
    #[arg(long, value_name = "FORMAT", value_parser = Kind::by_name)]
    subject_format: Option<Kind>,
    /// The architecture, where a trace does not tell
    #[arg(long, value_name = "ARCH", value_parser = crate::trace::architecture)]
    arch: Option<Architecture>,
    /// Let one side have up to so many instructions that the other leaves out
    #[arg(long, value_name = "N", default_value_t = 0)]
    resync: usize,
    /// Let the subject go on where the reference ends
    #[arg(long)]
    prefix: bool,
    /// Compare no more than so many instructions
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Compare after each instruction; or at system calls, both sides at full speed in between, and instruction by instruction
    /// after the last one on which they agree (the program is run several times); or by hashes of many instructions, and instruction by
    /// instruction where these differ; or after each block that the subject, a tier of Ferry, executes as a whole
    #[arg(long, value_enum, default_value_t = By::Instruction)]
    by: By,
    /// With --by hash, of so many instructions each
    #[arg(long, value_name = "N", default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// A file of addresses of the system calls on which the sides agree
    #[arg(long, hide = true, requires = "calls_part")]
    calls: Option<PathBuf>,
    /// What to do from the last of them on
    #[arg(long, hide = true, value_enum)]
    calls_part: Option<calls::Part>,
    /// Show so many instructions before the difference
    #[arg(long, value_name = "N", default_value_t = 16)]
    history: usize,
    /// Do not compare this register: its name in a report (may be repeated)
    #[arg(long, value_name = "REGISTER")]
    ignore: Vec<String>,
    /// The program whose symbols the report names
    #[arg(long, value_name = "ELF")]
    symbols: Option<PathBuf>,
    /// Where programs look for their libraries and ELF interpreter first
    #[arg(short = 'L', value_name = "SYSROOT")]
    sysroot: Option<PathBuf>,
    /// Ferry's CPU model
    #[arg(long, value_name = "MODEL")]
    cpu: Option<String>,
    /// qemu's CPU model
    #[arg(long, value_name = "MODEL")]
    qemu_cpu: Option<String>,
    /// The qemu to start, if it is not qemu-ARCH where commands lie
    #[arg(long, value_name = "FILE", env = "FERRY_QEMU")]
    qemu: Option<PathBuf>,
    /// Where the difference comes from, also if neither side is a tier of Ferry
    #[arg(long)]
    explain: bool,
    /// Write a case for testsuite/insn that shows the difference by itself
    #[arg(long, value_name = "FILE")]
    reproducer: Option<PathBuf>,
    /// Have the tiers make this deliberate mistake
    #[cfg(feature = "defects")]
    #[arg(long, value_name = "NAME", value_parser = defect)]
    defect: Option<base::defect::Defect>,
    /// For people or for machines
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Instruction,
    Block,
    Call,
    Hash,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    Junit,
}

/// Compares; returns the exit status.
pub(crate) fn main(args: &DiffArgs) -> u8 {
    let compared = match (&args.calls, args.calls_part) {
        (Some(file), Some(part)) => calls::part(args, file, part),
        _ if args.by == By::Call => calls::compare(args),
        _ => compare(args),
    };
    match compared {
        Ok(status) => status,
        Err(message) => {
            complain(&message);
            NOT_COMPARED
        }
    }
}

/// A mistake by its name.
#[cfg(feature = "defects")]
pub(crate) fn defect(name: &str) -> Result<base::defect::Defect, String> {
    let all = base::defect::Defect::ALL.map(|(defect, _)| defect);
    let found = all.into_iter().find(|defect| format!("{defect:?}") == name);
    let names = || all.map(|defect| format!("{defect:?}")).join(", ");
    found.ok_or_else(|| format!("there are {}", names()))
}

fn compare(args: &DiffArgs) -> Result<u8, String> {
    #[cfg(feature = "defects")]
    base::defect::seed(args.defect);
    if args.by == By::Block {
        if args.resync > 0 {
            return Err("--by block leaves no instructions out: it has no --resync".to_owned());
        }
    } else if let Some(status) = hashes::compare(args)? {
        return Ok(status);
    }
    let mut reference = Side::reference(args)?;
    let subject = Side::subject(args, &mut reference)?;
    let (verdict, _) = compare_sides(args, reference, subject, &From::Start)?;
    Ok(if matches!(verdict, Verdict::Same(_)) { SAME } else { DIFFERENT })
}

/// Where a comparison of two sides begins.
enum From {
    /// At their start.
    Start,
    /// After instructions that agree.
    Agreed {
        /// How many.
        instructions: u64,
        /// What the registers are then, as far as events do not show them.
        registers: Vec<RegWrite>,
        /// The instruction up to which is compared, if not to the end; without a report if that is the same.
        end: Option<u64>,
    },
    /// Where they are now, up to their next system call; without a report if it is the same.
    Call,
}

/// Compares, and reports; returns where the reference is then, if it can be asked.
fn compare_sides(
    args: &DiffArgs,
    mut reference: Side,
    mut subject: Side,
    from: &From,
) -> Result<(Verdict, Option<u64>), String> {
    let architecture = reference.execution.header().architecture;
    let options = Options {
        history: args.history,
        resync: args.resync,
        may_go_on: args.prefix,
        count: match from {
            From::Agreed { end: Some(end), .. } => {
                Some(args.count.map_or(*end, |count| count.min(*end)))
            }
            _ => args.count,
        },
        calls: matches!(from, From::Call).then_some(1),
        ignored: registers(&args.ignore, architecture)?,
    };
    let (a, b) = (&mut *reference.execution, &mut *subject.execution);
    let mut comparison = Comparison::new(a, b, options).map_err(|error| error.to_string())?;
    if let From::Agreed { instructions, registers, .. } = from {
        comparison.agree_before(*instructions, registers);
    }
    let verdict = comparison.run().map_err(|error| error.to_string())?;
    let at = reference.execution.state().and_then(|state| state.pc());
    let is_part = matches!(from, From::Call | From::Agreed { end: Some(_), .. });
    if !(is_part && matches!(verdict, Verdict::Same(_))) {
        report(args, architecture, (reference, subject), &verdict)?;
    }
    Ok((verdict, at))
}

/// Prints a verdict, with its explanation if there is one.
fn report(
    args: &DiffArgs,
    architecture: Architecture,
    (reference, subject): (Side, Side),
    verdict: &Verdict,
) -> Result<(), String> {
    let names = [reference.name.clone(), subject.name.clone()];
    let tier = args.tier().or(subject.tier).or(reference.tier);
    let explanation = match verdict {
        Verdict::Different(_, divergence)
            if tier.is_some() || args.explain || args.reproducer.is_some() =>
        {
            explain::explanation(args, divergence, (reference, subject), tier)
        }
        _ => None,
    };
    if let (Some(path), Verdict::Different(..)) = (&args.reproducer, verdict)
        && let Err(message) = explain::write_case(path, explanation.as_ref())
    {
        complain(&message);
    }
    print_verdict(args, architecture, [&names[0], &names[1]], (verdict, explanation.as_ref()))
}

fn print_verdict(
    args: &DiffArgs,
    architecture: Architecture,
    names: [&str; 2],
    (verdict, explanation): (&Verdict, Option<&Explanation>),
) -> Result<(), String> {
    let symbols = match &args.symbols {
        Some(path) => Box::new(ElfSymbols::read(path)?) as Box<dyn Symbols>,
        None => Box::new(NoSymbols),
    };
    let context = Context { architecture, names, symbol: &*symbols, explanation };
    crate::print(&match args.output {
        Output::Text => report::text(verdict, &context),
        Output::Json => report::json(verdict, &context) + "\n",
        Output::Junit => report::junit(verdict, &context),
    });
    Ok(())
}

impl DiffArgs {
    /// The reference (0) or the subject, with its format if that was named.
    fn side(&self, number: usize) -> (&Spec, Option<Kind>) {
        match number {
            0 => (&self.reference, self.reference_format),
            _ => (&self.subject, self.subject_format),
        }
    }

    /// The tier of Ferry that is compared, if one is.
    fn tier(&self) -> Option<ReplicaTier> {
        [&self.subject, &self.reference].into_iter().find_map(|side| match side {
            Spec::Tier(tier) => Some(*tier),
            _ => None,
        })
    }
}

/// The registers of these names.
fn registers(names: &[String], architecture: Architecture) -> Result<Vec<Register>, String> {
    let find = |name: &String| {
        register_by_name(architecture, name.as_bytes())
            .ok_or_else(|| format!("{} has no register {name}", architecture.name()))
    };
    names.iter().map(find).collect()
}
