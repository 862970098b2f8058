//! `cargo ferry-bench`: measures Ferry against qemu-user and the host.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ferry_benches::boot::{self, Bench, ITEMS_OF_MACHINE};
use ferry_benches::emulators;
use ferry_benches::items::{self, ITEMS, Item, PRIME_KERNELS, Program};
use ferry_benches::memory::{self, ITEMS_OF_MEMORY};
use ferry_benches::report::Report;
use ferry_benches::run::Plan;
use testsuite::debian::{self, Manifest};

/// Measures emulators on kernels and real programs, in turn, and compares their outputs.
#[derive(Parser)]
#[command(after_help = "Examples:
  cargo ferry-bench
  cargo ferry-bench --items prime --runs 7 --emulator qemu --emulator 'interp={ferry} run --tier interp'
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
    /// machine and what runs in it), tlb (nanoseconds of single accesses in one); the last two for ferry and
    /// qemu only
    #[arg(long, value_delimiter = ',', default_value = "all")]
    items: Vec<String>,
    /// What speeds are relative to
    #[arg(long, default_value = "qemu")]
    baseline: String,
    /// Measured runs of each item under each emulator
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds after which a run has failed
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// Foreign root for real programs; without it, the test suite's Debian root, made when absent
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
    let (machine, items): (Vec<Item>, Vec<Item>) = select(&options.items)?
        .into_iter()
        .partition(|item| matches!(item.program, Program::Machine(_) | Program::Line(..)));
    let (memory, machine): (Vec<Item>, Vec<Item>) =
        machine.into_iter().partition(|item| matches!(item.program, Program::Line(..)));
    let contestants = emulators::parse(&options.emulators, &options.root_emulators)?;
    let plan = Plan {
        runs: options.runs.max(1),
        limit: Duration::from_secs(options.limit),
        root: root(options, &items)?,
    };
    let names: Vec<String> = contestants.iter().map(|contestant| contestant.name.clone()).collect();
    let mut report = Report::new(&names, &options.baseline, plan.runs);
    println!("{}", report.head());
    for item in &items {
        let cells = plan.measure(item, &contestants)?;
        report.add(item, &cells);
        println!("{}", report.last_row());
    }
    if !machine.is_empty() {
        measure_machine(&machine, &names, plan.runs, &mut report)?;
    }
    if !memory.is_empty() {
        let emulators =
            names.iter().map(|name| boot::emulator(name)).collect::<Result<Vec<_>, _>>()?;
        for (item, cells) in memory.iter().zip(memory::measure(&memory, &emulators, plan.runs)?) {
            report.add(item, &cells);
            println!("{}", report.last_row());
        }
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

fn measure_machine(
    items: &[Item],
    names: &[String],
    runs: usize,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    let emulators = names.iter().map(|name| boot::emulator(name)).collect::<Result<Vec<_>, _>>()?;
    let bench = Bench::prepare(&|line| eprintln!("ferry-bench: {line}"))?;
    let rows = bench.measure(items, &emulators, runs)?;
    for (item, cells) in items.iter().zip(&rows) {
        report.add(item, cells);
        println!("{}", report.last_row());
    }
    Ok(())
}

fn select(wanted: &[String]) -> Result<Vec<Item>, Box<dyn Error>> {
    let mut chosen = vec![];
    for word in wanted {
        let before = chosen.len();
        let kernel = |item: &Item| matches!(item.program, Program::Compiled(path) if path.starts_with("kernels/"));
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

fn root(options: &Options, items: &[Item]) -> Result<Option<PathBuf>, Box<dyn Error>> {
    if !items.iter().any(|item| matches!(item.program, Program::Installed { .. })) {
        return Ok(None);
    }
    let root = match &options.root {
        Some(root) => root.canonicalize()?,
        None => {
            debian::prepare(&Manifest::read("trixie-riscv64")?, &|line| {
                eprintln!("ferry-bench: {line}")
            })?
            .path
        }
    };
    items::lay_out_inputs(&root)?;
    Ok(Some(root))
}
