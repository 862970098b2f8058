//! `ferry trace show`, `convert`, `stat` and `coverage`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use diff::report::{Context, NoSymbols, event_line};
use fuzz::coverage::Coverage;
use trace::hashes::Hashes;
use trace::{Architecture, Event, Source, native};

use super::file::{self, Kind, Known};
use crate::{OWN_ERROR, complain};

/// What to do with a trace that is there.
#[derive(Subcommand)]
pub(super) enum StoredCommand {
    /// Print a trace, one line an instruction
    Show(ShowArgs),
    /// Write a trace in another format
    Convert(ConvertArgs),
    /// Sum up a trace
    Stat(StatArgs),
    /// List which encodings traces do not have, or not with all classes of operands and outcomes
    Coverage(CoverageArgs),
}

/// A trace to be read.
#[derive(Args)]
struct InputArgs {
    /// The trace; - for standard input
    #[arg(value_name = "TRACE")]
    path: PathBuf,
    /// Its format, if its beginning does not tell
    #[arg(long, value_name = "FORMAT", value_parser = Kind::by_name)]
    format: Option<Kind>,
    /// Its architecture, if it does not tell
    #[arg(long, value_name = "ARCH", value_parser = architecture)]
    arch: Option<Architecture>,
}

#[derive(Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Pass over so many instructions
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Print no more than so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Args)]
pub(super) struct ConvertArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The format to write
    #[arg(long, value_name = "FORMAT", value_parser = Kind::to_write)]
    to: Kind,
    /// The file to write, instead of standard output
    #[arg(short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct StatArgs {
    #[command(flatten)]
    input: InputArgs,
}

/// An architecture by its name.
pub(crate) fn architecture(name: &str) -> Result<Architecture, String> {
    let names = || Architecture::ALL.map(Architecture::name).join(", ");
    Architecture::by_name(name).ok_or_else(|| format!("{name} is none of {}", names()))
}

impl InputArgs {
    fn open(&self) -> Result<(Kind, Box<dyn Source + Send>), String> {
        file::open(&self.path, Known { kind: self.format, architecture: self.arch })
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> String {
        format!("{}: {error}", self.path.display())
    }
}

/// Does it; returns the exit status.
pub(super) fn main(command: StoredCommand) -> u8 {
    let done = match command {
        StoredCommand::Show(args) => show(&args),
        StoredCommand::Convert(args) => convert(&args),
        StoredCommand::Stat(args) => stat(&args),
        StoredCommand::Coverage(args) => coverage(&args),
    };
    match done {
        Ok(()) => 0,
        Err(message) => {
            complain(&message);
            OWN_ERROR
        }
    }
}

fn show(args: &ShowArgs) -> Result<(), String> {
    let (_, mut source) = args.input.open()?;
    let architecture = source.header().architecture;
    let context = Context { architecture, names: ["", ""], symbol: &NoSymbols, explanation: None };
    let mut out = BufWriter::new(io::stdout().lock());
    let end = args.count.map_or(u64::MAX, |count| args.from.saturating_add(count));
    let mut event = Event::default();
    for n in 0..end {
        event.clear();
        if !source.next(&mut event).map_err(|error| args.input.failed(&error))? {
            break;
        }
        // A closed pipe (`| head`) is no error.
        if n >= args.from && writeln!(out, "{}", event_line(n, &event, &context)).is_err() {
            return Ok(());
        }
    }
    let _ = out.flush();
    Ok(())
}

fn convert(args: &ConvertArgs) -> Result<(), String> {
    let (_, mut source) = args.input.open()?;
    let name = args.output.as_deref().unwrap_or(Path::new("standard output"));
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", name.display());
    // Before the file is emptied.
    args.to.check_writable(source.header().architecture).map_err(|error| failed(&error))?;
    let output: Box<dyn io::Write + Send> = match &args.output {
        Some(path) if is_same_file(path, &args.input.path) => {
            return Err(failed(&"it is the trace that is read"));
        }
        Some(path) => Box::new(File::create(path).map_err(|error| failed(&error))?),
        None => Box::new(io::stdout()),
    };
    let sink = args.to.write(BufWriter::new(output), source.header());
    let mut sink = sink.map_err(|error| failed(&error))?;
    let mut event = Event::default();
    loop {
        event.clear();
        if !source.next(&mut event).map_err(|error| args.input.failed(&error))? {
            break;
        }
        sink.write(&event).map_err(|error| failed(&error))?;
    }
    sink.finish().map_err(|error| failed(&error))
}

/// Whether both are there, and one.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| path.metadata().map(|it| (it.dev(), it.ino(), it.is_file())).ok();
    place(a).is_some_and(|a| a.2 && Some(a) == place(b))
}

#[derive(Args)]
pub(super) struct CoverageArgs {
    /// The traces, in any format, of one architecture
    #[arg(value_name = "TRACE", required = true)]
    paths: Vec<PathBuf>,
    /// Their format, if their beginnings do not tell
    #[arg(long, value_name = "FORMAT", value_parser = Kind::by_name)]
    format: Option<Kind>,
    /// Their architecture, if they do not tell
    #[arg(long, value_name = "ARCH", value_parser = architecture)]
    arch: Option<Architecture>,
    /// Only say how much there is
    #[arg(long)]
    summary: bool,
}

fn coverage(args: &CoverageArgs) -> Result<(), String> {
    let mut all: Option<Coverage> = None;
    for path in &args.paths {
        let known = Known { kind: args.format, architecture: args.arch };
        let (_, mut source) = file::open(path, known)?;
        let architecture = source.header().architecture;
        let coverage = match &mut all {
            Some(coverage) if coverage.guest().name == architecture.name() => coverage,
            Some(_) => return Err(format!("{}: of another architecture", path.display())),
            None => {
                let none = || format!("ferry does not run {} yet", architecture.name());
                all.insert(Coverage::of_architecture(architecture).ok_or_else(none)?)
            }
        };
        cover(coverage, &mut *source).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(coverage) = all {
        let text = coverage.report();
        let first = text.split_inclusive('\n').next().unwrap_or_default();
        crate::print(if args.summary { first } else { &text });
    }
    Ok(())
}

/// Counts a trace's instructions. Whether a branch is taken is seen at the hart's next one.
fn cover(coverage: &mut Coverage, source: &mut dyn Source) -> Result<(), trace::Error> {
    // By hart: the instruction before, and the floating-point flags before that.
    let mut last: HashMap<u32, (Event, u64)> = HashMap::new();
    let mut event = Event::default();
    while source.next(&mut event)? {
        let flags = last
            .get(&event.hart)
            .map(|(before, flags)| coverage.event(before, *flags, Some(&event)));
        last.insert(event.hart, (event.clone(), flags.unwrap_or_default()));
        event.clear();
    }
    for (event, flags) in last.values() {
        coverage.event(event, *flags, None);
    }
    Ok(())
}

/// What [`stat`] counts.
#[derive(Default)]
struct Totals {
    events: u64,
    writes: u64,
    loads: u64,
    stores: u64,
    traps: u64,
    harts: u32,
    pc: Option<(u64, u64)>,
}

impl Totals {
    fn add(&mut self, event: &Event) {
        let stores = event.accesses.iter().filter(|a| a.kind == trace::AccessKind::Store).count();
        self.events += 1;
        self.writes += event.writes.len() as u64;
        self.stores += stores as u64;
        self.loads += (event.accesses.len() - stores) as u64;
        self.traps += u64::from(event.trap.is_some());
        self.harts = self.harts.max(event.hart.saturating_add(1));
        let (low, high) = self.pc.unwrap_or((event.pc, event.pc));
        self.pc = Some((low.min(event.pc), high.max(event.pc)));
    }
}

/// What there is to say of hashes.
fn print_hashes(args: &InputArgs, hashes: &Hashes) {
    let header = &hashes.header;
    let harts = hashes.windows.iter().map(|window| window.hart).max().map_or(0, |hart| hart + 1);
    let mut text = format!("format        hashes\narchitecture  {}\n", header.architecture.name());
    if let Some(program) = &header.program {
        text += &format!("program       {program}\n");
    }
    text += &format!("recorder      {}\ninstructions  {}\n", hashes.recorder, hashes.events());
    text += &format!("harts         {harts}\nwindows       {}\n", hashes.windows.len());
    text += &format!("of each       {} instructions\n", hashes.every);
    if let Ok(file) = std::fs::metadata(&args.path) {
        text += &format!("bytes         {}\n", file.len());
    }
    crate::print(&text);
}

fn stat(args: &StatArgs) -> Result<(), String> {
    if let Some(hashes) = file::read_hashes(&args.input.path)? {
        print_hashes(&args.input, &hashes);
        return Ok(());
    }
    let (kind, mut source) = args.input.open()?;
    let header = source.header().clone();
    let mut totals = Totals::default();
    let mut event = Event::default();
    loop {
        event.clear();
        match source.next(&mut event) {
            Ok(true) => totals.add(&event),
            Ok(false) => break,
            Err(error) => {
                print_totals(args, kind, &header, &totals);
                return Err(args.input.failed(&error));
            }
        }
    }
    print_totals(args, kind, &header, &totals);
    Ok(())
}

fn print_totals(args: &StatArgs, kind: Kind, header: &trace::Header, totals: &Totals) {
    let Totals { events, writes, loads, stores, traps, harts, pc } = totals;
    let mut text = format!("format        {}\n", kind.name());
    text += &format!("architecture  {}\n", header.architecture.name());
    if let Some(program) = &header.program {
        text += &format!("program       {program}\n");
    }
    text += &format!("instructions  {events}\nharts         {harts}\n");
    text += &format!("writes        {writes}\nloads         {loads}\n");
    text += &format!("stores        {stores}\ntraps         {traps}\n");
    if let Some((low, high)) = pc {
        text += &format!("pc            {low:#x} to {high:#x}\n");
    }
    let bytes = std::fs::metadata(&args.input.path).ok().filter(std::fs::Metadata::is_file);
    if let Some(bytes) = bytes.map(|file| file.len()) {
        let each = if *events == 0 { 0.0 } else { bytes as f64 / *events as f64 };
        text += &format!("bytes         {bytes} ({each:.2} an instruction)\n");
    }
    if kind == Kind::Native
        && let Some(summary) = indexed(&args.input.path)
    {
        text += &format!(
            "chunks        {} ({} bytes before compression)\n",
            summary.chunks, summary.raw
        );
    }
    crate::print(&text);
}

fn indexed(path: &Path) -> Option<native::Summary> {
    let file = File::open(path).ok()?;
    Some(native::Reader::indexed(io::BufReader::new(file)).ok()?.stat())
}
