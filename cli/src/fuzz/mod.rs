//! `ferry fuzz`: random instruction sequences, compared.

mod manifest;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::fuzz::campaign::{Against, BATCH, Campaign, Shard};
use ::fuzz::finding::{Directory, Merged, Progress};
use ::fuzz::guest::{self, Guest};
use ::fuzz::oracle::Oracle;
use ::fuzz::tier::Tier;
use clap::{Args, Subcommand};

use crate::complain;

/// Nothing differs.
const NOTHING: u8 = 0;
/// Something does.
const FOUND: u8 = 1;
/// It could not be run.
const NOT_RUN: u8 = 2;

/// Options of `ferry fuzz`.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Classes are extensions, chapters or instructions, as `ferry isa ARCH --coverage` names them.\nExit \
                  status: 0 nothing differs, 1 something does, 2 could not run.\n\nExamples:\n  ferry fuzz riscv64 \
                  --time 60\n  ferry fuzz aarch64 --against qemu --classes LSE,FP16 --out findings\n  ferry fuzz \
                  riscv64 --seed 7 --shard 3/16 --out findings --resume\n  ferry fuzz merge --out all node1 node2"
)]
pub(crate) struct FuzzArgs {
    #[command(subcommand)]
    stored: Option<StoredCommand>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct RunArgs {
    /// The guest architecture
    #[arg(value_name = "ARCH", required = true)]
    arch: Option<String>,
    /// Make programs of these only
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    classes: Vec<String>,
    /// What all programs depend on; a fresh one without it
    #[arg(long, value_name = "S", value_parser = number)]
    seed: Option<u64>,
    /// Compare the interpreter with these: qemu, native, evaluator, tier:region,
    /// tier:optimised-interpreter, tier:optimised-region, or tiers for all of the latter
    #[arg(long, value_name = "WHAT", value_delimiter = ',', default_value = "tiers")]
    against: Vec<String>,
    /// Run part I of N, counted from 0; without it, what a job of Kubernetes or Slurm says
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
    /// Into how many parts such a job divides the campaign, where its environment does not tell
    #[arg(long, value_name = "N", env = "FERRY_FUZZ_SHARDS")]
    shards: Option<u64>,
    /// Where findings, coverage and progress are kept
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on where a run with the same seed, shard and directory has stopped
    #[arg(long, requires_all = ["out", "seed"])]
    resume: bool,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    time: u64,
    /// Stop after so many programs instead
    #[arg(long, value_name = "N", conflicts_with = "time")]
    count: Option<u64>,
    /// Count which encodings are executed, with which operands and outcomes, and which ways the translator goes; make
    /// programs have what is missing, and like those that showed new ways; list what is missing at the end
    #[arg(long)]
    coverage: bool,
}

#[derive(Subcommand)]
enum StoredCommand {
    /// Sum up directories of findings
    Merge(MergeArgs),
    /// Print a job description, to run a campaign on many machines
    Manifest(manifest::ManifestArgs),
}

#[derive(Args)]
struct MergeArgs {
    /// Directories that `--out` has named
    #[arg(value_name = "DIR", required = true)]
    directories: Vec<PathBuf>,
    /// Write everything into this directory, too
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Decimal, or hexadecimal with 0x.
fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is no number"))
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(index, count)| {
        let (index, count) = (index.parse().ok()?, count.parse().ok()?);
        Shard::new(index, count)
    });
    parts.ok_or_else(|| format!("{text} is no part, as 0/4 is the first of four"))
}

/// Which part the environment of an indexed job makes this one.
fn shard_of_job(
    variable: impl Fn(&str) -> Option<u64>,
    shards: Option<u64>,
) -> Result<Shard, String> {
    let kubernetes = variable("JOB_COMPLETION_INDEX").map(|index| (index, None));
    let slurm = variable("SLURM_ARRAY_TASK_ID").map(|index| {
        let first = variable("SLURM_ARRAY_TASK_MIN").unwrap_or(0);
        (index.saturating_sub(first), variable("SLURM_ARRAY_TASK_COUNT"))
    });
    let Some((index, count)) = kubernetes.or(slurm) else { return Ok(Shard::WHOLE) };
    let count = shards.or(count).ok_or("this is part of a job: say with --shards of how many")?;
    Shard::new(index, count).ok_or_else(|| format!("there is no part {index} of {count}"))
}

/// Does what it was told; returns the exit status.
pub(crate) fn main(args: FuzzArgs) -> u8 {
    let done = match args.stored {
        Some(StoredCommand::Merge(args)) => merge(&args),
        Some(StoredCommand::Manifest(args)) => {
            crate::print(&args.text());
            Ok(NOTHING)
        }
        None => run(&args.run),
    };
    done.unwrap_or_else(|message| {
        complain(&message);
        NOT_RUN
    })
}

fn merge(args: &MergeArgs) -> Result<u8, String> {
    let mut merged = Merged::default();
    for path in &args.directories {
        let directory = Directory::open(path).map_err(|error| error.to_string())?;
        merged.add(&directory).map_err(|error| error.to_string())?;
    }
    if let Some(out) = &args.out {
        let written = Directory::create(out).and_then(|directory| merged.write(&directory));
        written.map_err(|error| error.to_string())?;
    }
    crate::print(&merged.report());
    Ok(if merged.findings.is_empty() { NOTHING } else { FOUND })
}

fn guest_of(name: &str) -> Result<&'static Guest, String> {
    let names = || guest::ALL.map(|guest| guest.name).join(", ");
    let found = guest::ALL.into_iter().find(|guest| guest.name == name);
    found.ok_or_else(|| format!("{name}: no such guest architecture; ferry fuzz knows {}", names()))
}

fn against(guest: &'static Guest, words: &[String]) -> Result<Vec<Against>, String> {
    let directory = std::env::temp_dir().join("ferry-fuzz");
    let mut all = Vec::new();
    for word in words {
        match word.as_str() {
            "tiers" => all.extend(Tier::ALL.into_iter().skip(1).map(Against::Tier)),
            "qemu" | "native" => {
                let oracle = match word.as_str() {
                    "qemu" => Oracle::qemu(guest, &directory),
                    _ => Oracle::native(guest, &directory),
                };
                all.push(Against::Oracle(oracle.map_err(|error| error.to_string())?));
            }
            "evaluator" => all.push(Against::Evaluator),
            word => {
                let tier = word.strip_prefix("tier:").and_then(Tier::by_name);
                let tier = tier.filter(|&tier| tier != Tier::Interpreter);
                all.push(Against::Tier(tier.ok_or_else(|| {
                    format!("--against {word}: it is none of qemu, native, evaluator, tiers, tier:region, tier:optimised-interpreter, tier:optimised-region")
                })?));
            }
        }
    }
    Ok(all)
}

/// A run's files.
struct Files {
    directory: Option<Directory>,
    shard: String,
    seed: u64,
    guest: &'static str,
}

impl Files {
    fn write(&self, campaign: &Campaign) -> Result<(), String> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let failed = |error: ::fuzz::finding::DirectoryError| error.to_string();
        for finding in campaign.findings().values() {
            directory.write_finding(finding, &self.shard).map_err(failed)?;
        }
        if let Some(coverage) = campaign.coverage() {
            let counts = coverage.counts();
            directory.write_coverage(self.guest, &self.shard, &counts).map_err(failed)?;
        }
        if let Some(paths) = campaign.paths() {
            directory.write_paths(self.guest, &self.shard, paths).map_err(failed)?;
        }
        let next = campaign.next();
        let progress = Progress { seed: self.seed, next, programs: next };
        directory.write_progress(self.guest, &self.shard, &progress).map_err(failed)
    }
}

fn run(args: &RunArgs) -> Result<u8, String> {
    let guest = guest_of(args.arch.as_deref().unwrap_or_default())?;
    let seed = args.seed.unwrap_or_else(fresh_seed);
    let variable = |name: &str| std::env::var(name).ok()?.parse().ok();
    let shard = args.shard.map_or_else(|| shard_of_job(variable, args.shards), Ok)?;
    let against = against(guest, &args.against)?;
    let campaign = Campaign::new(guest, seed, &args.classes, against, shard);
    let mut campaign = campaign.map_err(|error| error.to_string())?;
    if args.coverage {
        campaign.cover();
    }
    let failed = |error: ::fuzz::finding::DirectoryError| error.to_string();
    let directory = args.out.as_deref().map(Directory::create).transpose().map_err(failed)?;
    let files = Files { directory, shard: shard.name(), seed, guest: guest.name };
    if let (true, Some(directory)) = (args.resume, &files.directory) {
        let before = directory.resume(guest.name, &files.shard, seed).map_err(failed)?;
        if let Some(left) = before {
            campaign.resume(left);
        }
    }
    crate::print(&format!("{}: seed {seed:#x}, part {}\n", guest.name, shard.name()));
    let first = campaign.next();
    let start = Instant::now();
    let time = Duration::from_secs(args.time);
    let is_over = |done: u64| args.count.map_or(start.elapsed() >= time, |count| done >= count);
    while !is_over(campaign.next() - first) {
        let left = args.count.map_or(BATCH, |count| count - (campaign.next() - first));
        let new = campaign.batch(left.min(BATCH)).map_err(|error| error.to_string())?;
        for key in new {
            crate::print(&campaign.findings()[&key].report());
        }
        files.write(&campaign)?;
    }
    let (done, seconds) = (campaign.next() - first, start.elapsed().as_secs_f64());
    if let Some(coverage) = campaign.coverage() {
        crate::print(&coverage.report());
    }
    if let Some(paths) = campaign.paths() {
        crate::print(&paths.report(guest.name));
    }
    let found = campaign.findings().len();
    crate::print(&format!("{done} programs in {seconds:.1} s, {found} root causes\n"));
    Ok(if found == 0 { NOTHING } else { FOUND })
}

fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 ^ u64::from(std::process::id()) << 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_from_the_command_line_or_the_job() {
        assert_eq!(shard("3/16").map(Shard::name), Ok("3of16".to_owned()));
        assert!(shard("4/4").is_err() && shard("1").is_err());
        let job = |pairs: &'static [(&str, u64)]| {
            move |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
        };
        assert_eq!(shard_of_job(job(&[]), None), Ok(Shard::WHOLE));
        let slurm = job(&[
            ("SLURM_ARRAY_TASK_ID", 5),
            ("SLURM_ARRAY_TASK_MIN", 1),
            ("SLURM_ARRAY_TASK_COUNT", 8),
        ]);
        assert_eq!(shard_of_job(slurm, None).map(Shard::name), Ok("4of8".to_owned()));
        let kubernetes = job(&[("JOB_COMPLETION_INDEX", 2)]);
        assert_eq!(shard_of_job(kubernetes, Some(4)).map(Shard::name), Ok("2of4".to_owned()));
        assert!(shard_of_job(kubernetes, None).is_err());
        assert!(shard_of_job(kubernetes, Some(2)).is_err());
    }
}
