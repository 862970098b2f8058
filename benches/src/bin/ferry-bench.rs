//! `cargo ferry-bench`: measures Ferry against qemu-user and the host.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ferry_benches::boot::{self, Bench, ITEMS_OF_MACHINE};
use ferry_benches::emulators;
use ferry_benches::items::{self, ITEMS, Item, PRIME_KERNELS, Program, System};
use ferry_benches::memory::{self, ITEMS_OF_MEMORY};
use ferry_benches::meter;
use ferry_benches::report::Report;
use ferry_benches::run::Plan;
use testsuite::debian::{self, Manifest};
use testsuite::guests::{self, Guest};

/// Measures emulators on kernels and real programs, in turn, and compares their outputs.
#[derive(Parser)]
#[command(after_help = "Examples:
  cargo ferry-bench
  cargo ferry-bench --items prime --runs 7 --emulator qemu --emulator 'interp={ferry} run --tier interp'
  cargo ferry-bench --guest aarch64,riscv64 --items kernels
  cargo ferry-bench --items boot --runs 1 --emulator ferry --emulator qemu
  cargo ferry-bench --items tlb --runs 3 --emulator ferry --emulator qemu
  cargo ferry-bench --items xz,sqlite --json results.json --csv results.csv")]
struct Options {
    /// ferry, qemu, native, or NAME=COMMAND to run self-contained programs; {ferry} is Ferry's binary
    #[arg(long = "emulator", value_name = "NAME[=COMMAND]", default_values = ["ferry", "qemu", "native"])]
    emulators: Vec<String>,
    /// How that emulator runs a program of a foreign root: {root} is the root, {program} the program in it
    #[arg(long = "root-emulator", value_name = "NAME=COMMAND")]
    root_emulators: Vec<String>,
    /// Names of items, or kernels, prime (the first eight kernels), work, all (of these), boot (a whole
    /// machine and what runs in it), tlb (nanoseconds of single accesses in one); the last two for riscv64,
    /// ferry and qemu only
    #[arg(long, value_delimiter = ',', default_value = "all")]
    items: Vec<String>,
    /// What the programs are for: riscv64, aarch64, or several of them, one after the other
    #[arg(long = "guest", value_name = "GUEST", value_delimiter = ',', default_value = "riscv64")]
    guests: Vec<String>,
    /// What speeds are relative to
    #[arg(long, default_value = "qemu")]
    baseline: String,
    /// Measured runs of each item under each emulator
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds after which a run has failed
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// Foreign root for real programs; without it, the test suite's Debian roots of the guest, made when absent
    #[arg(long)]
    root: Option<PathBuf>,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write all figures as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Say which items there are
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    if let Some(status) = meter::run(std::env::args_os().skip(1)) {
        return status;
    }
    let options = Options::parse();
    if options.list {
        ITEMS
            .iter()
            .chain(&ITEMS_OF_MACHINE)
            .chain(&ITEMS_OF_MEMORY)
            .for_each(|item| println!("{:<15} {:?}", item.name, item.group));
        return ExitCode::SUCCESS;
    }
    match bench(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ferry-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<bool, Box<dyn Error>> {
    let guests = options
        .guests
        .iter()
        .map(|name| guests::by_name(name).ok_or_else(|| format!("there is no guest '{name}'")));
    let guests: Vec<&Guest> = guests.collect::<Result<_, _>>()?;
    let names: Vec<String> = options
        .emulators
        .iter()
        .map(|text| text.split('=').next().unwrap_or(text).to_owned())
        .collect();
    let mut report = Report::new(&names, &options.baseline, options.runs.max(1));
    for guest in guests {
        measure(options, guest, &names, &mut report)?;
    }
    report.finish();
    print!("{}", report.foot());
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(path) = &options.csv {
        std::fs::write(path, report.csv())?;
    }
    Ok(report.complete())
}

fn measure(
    options: &Options,
    guest: &'static Guest,
    names: &[String],
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    let (machine, items): (Vec<Item>, Vec<Item>) = select(&options.items)?
        .into_iter()
        .partition(|item| matches!(item.program, Program::Machine(_) | Program::Line(..)));
    let items: Vec<Item> = items.into_iter().filter(|item| item.is_for(guest)).collect();
    let contestants = emulators::parse(guest, &options.emulators, &options.root_emulators)?;
    let plan = Plan {
        runs: options.runs.max(1),
        limit: Duration::from_secs(options.limit),
        guest,
        root: root(options, guest, &items, System::Base)?,
        large_root: root(options, guest, &items, System::Large)?,
    };
    println!("{}", report.head(guest.name));
    for item in &items {
        let cells = plan.measure(item, &contestants)?;
        report.add(guest.name, item, &cells);
        println!("{}", report.last_row());
    }
    match machine.is_empty() {
        true => Ok(()),
        false if guest.name == boot::GUEST => measure_machine(&machine, names, plan.runs, report),
        false => Err(format!("there is no machine of {} to boot", guest.name).into()),
    }
}

fn measure_machine(
    items: &[Item],
    names: &[String],
    runs: usize,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    let emulators = names.iter().map(|name| boot::emulator(name)).collect::<Result<Vec<_>, _>>()?;
    let (memory, steps): (Vec<Item>, Vec<Item>) =
        items.iter().partition(|item| matches!(item.program, Program::Line(..)));
    let mut rows = Vec::new();
    if !steps.is_empty() {
        let bench = Bench::prepare(&|line| eprintln!("ferry-bench: {line}"))?;
        rows.extend(steps.iter().copied().zip(bench.measure(&steps, &emulators, runs)?));
    }
    if !memory.is_empty() {
        rows.extend(memory.iter().copied().zip(memory::measure(&memory, &emulators, runs)?));
    }
    for (item, cells) in &rows {
        report.add(boot::GUEST, item, cells);
        println!("{}", report.last_row());
    }
    Ok(())
}

fn select(wanted: &[String]) -> Result<Vec<Item>, Box<dyn Error>> {
    let mut chosen = vec![];
    for word in wanted {
        let before = chosen.len();
        let kernel = |item: &Item| match item.program {
            Program::Compiled(path) => path.starts_with("kernels/"),
            Program::CompiledFor { .. } => true,
            _ => false,
        };
        chosen.extend(
            ITEMS
                .iter()
                .enumerate()
                .filter(|(index, item)| match word.as_str() {
                    "all" => true,
                    "kernels" => kernel(item),
                    "prime" => *index < PRIME_KERNELS,
                    "work" => !kernel(item),
                    name => item.name == name,
                })
                .map(|(_, item)| *item),
        );
        chosen.extend(
            ITEMS_OF_MACHINE.into_iter().filter(|item| word == "boot" || item.name == word),
        );
        chosen
            .extend(ITEMS_OF_MEMORY.into_iter().filter(|item| word == "tlb" || item.name == word));
        if chosen.len() == before {
            return Err(format!("no item '{word}'; --list shows them").into());
        }
    }
    Ok(chosen)
}

/// The root directory of one of the guest's systems, if there is such a system and an item that needs it.
fn root(
    options: &Options,
    guest: &Guest,
    items: &[Item],
    wanted: System,
) -> Result<Option<PathBuf>, Box<dyn Error>> {
    let needs =
        |item: &Item| matches!(item.program, Program::Installed { system, .. } if system == wanted);
    if !items.iter().any(needs) {
        return Ok(None);
    }
    let stem = match wanted {
        System::Base => Some(guest.root),
        System::Large => guest.large_root,
    };
    let root = match (&options.root, stem) {
        (Some(root), _) => root.canonicalize()?,
        (None, None) => return Ok(None),
        (None, Some(stem)) => {
            let report = |line: &str| eprintln!("ferry-bench: {line}");
            debian::prepare(&Manifest::read(stem)?, &report)?.path
        }
    };
    items::lay_out_inputs(&root, guest.compiler)?;
    Ok(Some(root))
}
