//! `ferry diff`: where two executions part.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::diff::report::{self, Context, NoSymbols, Symbols};
use ::diff::{Comparison, Options, Recorded, Verdict};
use clap::{Args, ValueEnum};
use trace::names::register_by_name;
use trace::{Architecture, Register, Source};

use crate::complain;
use crate::trace::file::{self, Kind, Known};
use symbols::ElfSymbols;

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
    after_help = "A side is a trace in any format that `ferry trace` reads (- for standard input), or `interp`: the \
                  PROGRAM after -- run by Ferry's interpreter.\nExit status: 0 same, 1 different, 2 could not \
                  compare.\n\nExamples:\n  ferry diff spike.log ferry.trace\n  ferry diff qemu.log interp -- ./a.out"
)]
pub(crate) struct DiffArgs {
    /// What is taken to be right
    reference: PathBuf,
    /// What is compared with it
    subject: PathBuf,
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
    /// Show so many instructions before the difference
    #[arg(long, value_name = "N", default_value_t = 16)]
    history: usize,
    /// Do not compare this register: its name in a report (may be repeated)
    #[arg(long, value_name = "REGISTER")]
    ignore: Vec<String>,
    /// The program whose symbols the report names
    #[arg(long, value_name = "ELF")]
    symbols: Option<PathBuf>,
    /// For people or for machines
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
    Junit,
}

/// Compares; returns the exit status.
pub(crate) fn main(args: &DiffArgs) -> u8 {
    match compare(args) {
        Ok(Verdict::Same(_)) => SAME,
        Ok(Verdict::Different(..)) => DIFFERENT,
        Err(message) => {
            complain(&message);
            NOT_COMPARED
        }
    }
}

fn compare(args: &DiffArgs) -> Result<Verdict, String> {
    let reference = Side::open(args, &args.reference, args.reference_format)?;
    let subject = Side::open(args, &args.subject, args.subject_format)?;
    let architecture = reference.source.header().architecture;
    let options = Options {
        history: args.history,
        resync: args.resync,
        may_go_on: args.prefix,
        count: args.count,
        ignored: registers(&args.ignore, architecture)?,
    };
    let names = [reference.name.as_str(), subject.name.as_str()];
    let (mut a, mut b) = (Recorded(reference.source), Recorded(subject.source));
    let comparison = Comparison::new(&mut a, &mut b, options).map_err(|error| error.to_string())?;
    let verdict = comparison.run().map_err(|error| error.to_string())?;
    let symbols = match &args.symbols {
        Some(path) => Box::new(ElfSymbols::read(path)?) as Box<dyn Symbols>,
        None => Box::new(NoSymbols),
    };
    let context = Context { architecture, names, symbol: &*symbols };
    crate::print(&match args.output {
        Output::Text => report::text(&verdict, &context),
        Output::Json => report::json(&verdict, &context) + "\n",
        Output::Junit => report::junit(&verdict, &context),
    });
    Ok(verdict)
}

/// The registers of these names.
fn registers(names: &[String], architecture: Architecture) -> Result<Vec<Register>, String> {
    let find = |name: &String| {
        register_by_name(architecture, name.as_bytes())
            .ok_or_else(|| format!("{} has no register {name}", architecture.name()))
    };
    names.iter().map(find).collect()
}

/// One execution, and what was made for it.
struct Side {
    name: String,
    source: Box<dyn Source + Send>,
    /// Removed at the end.
    _made: Option<Made>,
}

/// A file of our own.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Side {
    fn open(args: &DiffArgs, path: &Path, kind: Option<Kind>) -> Result<Self, String> {
        let known = Known { kind, architecture: args.arch };
        if path == Path::new("interp") {
            return Self::run(args, known);
        }
        let (_, source) = file::open(path, known)?;
        Ok(Self { name: path.display().to_string(), source, _made: None })
    }

    /// Runs the program in a Ferry of its own, and traces it.
    fn run(args: &DiffArgs, known: Known) -> Result<Self, String> {
        if args.program.is_empty() {
            return Err("interp runs a program: name it after --".to_owned());
        }
        let ferry =
            std::env::current_exe().map_err(|error| format!("cannot find ferry: {error}"))?;
        let output = std::env::temp_dir().join(format!("ferry-diff-{}.trace", std::process::id()));
        let mut command = Command::new(ferry);
        command.args(["trace", "--mem", "-o"]).arg(&output).arg("--").args(&args.program);
        let made = Made(output);
        // What the program prints must not stand between the lines of a report for machines.
        let status = command.stdout(Stdio::null()).status();
        let status = status.map_err(|error| format!("cannot run ferry: {error}"))?;
        let (_, source) = file::open(&made.0, known)
            .map_err(|error| format!("the program could not be traced ({status}): {error}"))?;
        let program = args.program[0].display();
        Ok(Self { name: format!("{program}, interpreted"), source, _made: Some(made) })
    }
}
