//! Runs the items under the contestants, A B A B, and keeps every sample.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use testsuite::cache;
use testsuite::emulator::Places;
use testsuite::guests::Guest;
use testsuite::process::{self, End, Outcome};
use testsuite::toolchain;

use crate::emulators::Contestant;
use crate::items::{self, Item, Program, System};
use crate::meter;

/// How long, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Measured runs of each item under each contestant.
    pub runs: usize,
    /// After this, a run has failed.
    pub limit: Duration,
    /// What programs are for.
    pub guest: &'static Guest,
    /// The foreign system that installed programs come from.
    pub root: Option<PathBuf>,
    /// The larger one.
    pub large_root: Option<PathBuf>,
}

/// One item under one contestant.
#[derive(Debug, Clone)]
pub enum Cell {
    /// It cannot run this, for instance because it has no foreign root.
    Absent,
    /// It ran and failed, or its output differed; the reason.
    Failed(String),
    /// What was measured.
    Measured(Samples),
}

/// What was measured, one entry a run.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Elapsed time in seconds.
    pub wall: Vec<f64>,
    /// User and system time in seconds.
    pub cpu: Vec<f64>,
    /// Largest resident set in bytes.
    pub peak_memory: Vec<u64>,
}

/// Why nothing could be measured at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kernel or an input could not be built.
    #[error(transparent)]
    Build(#[from] toolchain::Error),
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A command line that is ready to run, again and again.
struct Job<'a> {
    contestant: &'a Contestant,
    program: String,
    arguments: Vec<String>,
    input: Vec<u8>,
    /// The root of its system, if it is an installed one.
    root: Option<&'a Path>,
}

impl Plan {
    /// Measures one item under all contestants: one run of each to warm up, whose outputs must
    /// agree, then the measured runs in turn.
    ///
    /// # Errors
    /// When the item cannot be built. A contestant's failure is its cell's content.
    pub fn measure(&self, item: &Item, contestants: &[Contestant]) -> Result<Vec<Cell>, Error> {
        let jobs = contestants
            .iter()
            .map(|contestant| self.job(item, contestant))
            .collect::<Result<Vec<_>, Error>>()?;
        let mut cells = self.warm_up(&jobs);
        for round in 0..self.runs {
            let forward: Vec<usize> = (0..jobs.len()).collect();
            let order: Vec<usize> =
                if round % 2 == 0 { forward } else { forward.into_iter().rev().collect() };
            for index in order {
                if let (Some(job), Cell::Measured(samples)) = (&jobs[index], &mut cells[index]) {
                    match self.run(job) {
                        Ok(outcome) => samples.add(&outcome),
                        Err(reason) => cells[index] = Cell::Failed(reason),
                    }
                }
            }
        }
        Ok(cells)
    }

    fn warm_up(&self, jobs: &[Option<Job<'_>>]) -> Vec<Cell> {
        let mut reference: Option<Vec<u8>> = None;
        let mut cell = |job: &Option<Job<'_>>| {
            let Some(job) = job else { return Cell::Absent };
            match self.run(job) {
                Err(reason) => Cell::Failed(reason),
                Ok(outcome)
                    if *reference.get_or_insert_with(|| outcome.stdout.clone())
                        != outcome.stdout =>
                {
                    Cell::Failed("its output differs from the first contestant's".to_owned())
                }
                Ok(_) => Cell::Measured(Samples::default()),
            }
        };
        jobs.iter().map(&mut cell).collect()
    }

    fn job<'a>(
        &'a self,
        item: &Item,
        contestant: &'a Contestant,
    ) -> Result<Option<Job<'a>>, Error> {
        Ok(match item.program {
            // Machines live longer than one row: `boot` measures them.
            Program::Machine(_) | Program::Line(..) => None,
            _ if !item.is_for(self.guest) => None,
            Program::Compiled(source) | Program::CompiledFor { source, .. } => {
                let program = items::build(source, contestant.compiler)?.display().to_string();
                Some(Job { contestant, program, arguments: vec![], input: vec![], root: None })
            }
            Program::Installed { system, path, arguments, input } => {
                let (Some(root), Some(emulator)) = (self.root_of(system), &contestant.rooted)
                else {
                    return Ok(None);
                };
                let files = if emulator.sees_host_paths() {
                    format!("{}{}", root.display(), items::FILES)
                } else {
                    items::FILES.to_owned()
                };
                let fill = |text: &str| {
                    text.replace("{files}", &files).replace("{triplet}", self.guest.triplet)
                };
                let arguments = arguments.iter().map(|argument| fill(argument)).collect();
                let input = input
                    .map(|name| fs::read(items::source(name)))
                    .transpose()?
                    .unwrap_or_default();
                Some(Job { contestant, program: fill(path), arguments, input, root: Some(root) })
            }
        })
    }

    fn root_of(&self, system: System) -> Option<&Path> {
        match system {
            System::Base => self.root.as_deref(),
            System::Large => self.large_root.as_deref(),
        }
    }

    fn run(&self, job: &Job<'_>) -> Result<Outcome, String> {
        let direct = &job.contestant.direct;
        let emulator = match job.root {
            Some(_) => job.contestant.rooted.as_ref().unwrap_or(direct),
            None => direct,
        };
        let places = Places {
            guest: Some(self.guest.name),
            root: job.root,
            sysroot: job.contestant.compiler.sysroot(),
        };
        let mut command = emulator.command(places, &job.program, &job.arguments);
        command.current_dir(cache::directory()).env("LC_ALL", "C.UTF-8").env("PYTHONHASHSEED", "0");
        let outcome = meter::around(&command)
            .and_then(|mut metered| process::run(&mut metered, &job.input, self.limit))
            .map_err(|error| format!("{}: {error}", Path::new(command.get_program()).display()))?;
        let outcome = meter::metered(outcome);
        if outcome.success() { Ok(outcome) } else { Err(describe(&outcome)) }
    }
}

fn describe(outcome: &Outcome) -> String {
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    match outcome.end {
        End::Exit(status) => format!("exit status {status}: {last}"),
        End::Signal(signal) => format!("killed by signal {signal}: {last}"),
        End::TimedOut => "took too long".to_owned(),
    }
}

impl Samples {
    fn add(&mut self, outcome: &Outcome) {
        self.wall.push(outcome.wall.as_secs_f64());
        self.cpu.push(outcome.cpu.as_secs_f64());
        self.peak_memory.push(outcome.peak_memory);
    }
}
