//! Unmodified Debian programs inside a foreign root: the cases in `testsuite/programs/*.toml`.
//!
//! Each case is a script for the foreign bash, or one program's command line, run in an empty
//! directory; its output and exit status must be exactly as written. They run in the Debian root of each
//! guest, and in those of other releases; those in `programs/large` in the larger one that some guests
//! have. Without a root in the test cache its cases are left out; `FERRY_TEST_FULL=1` allows to fetch
//! the base ones, `FERRY_TEST_LARGE=1` all.
//!
//! Where the host is of the guest's architecture, each case runs natively, too: output, status, and the files that are left must
//! be the same.
#![expect(clippy::print_stderr, reason = "says what it leaves out")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use ferry_testsuite::debian::{self, Manifest, Root};
use ferry_testsuite::emulator::{Emulator, Places};
use ferry_testsuite::guests::Guest;
use ferry_testsuite::native::{self, Traces};
use ferry_testsuite::process::{self, End, Outcome};
use ferry_testsuite::suite::{self, Case, Profile, Subject};
use ferry_testsuite::{cache, programs_directory};
use serde::Deserialize;

const SUITE: &str = "programs";
/// Where cases run, inside the root.
const WORK: &str = "/tmp/ferry-programs";
const DEFAULT_SECONDS: u64 = 60;
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    case: Vec<Program>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Program {
    name: String,
    /// For `bash -eu`; or else `command`.
    script: Option<String>,
    /// Program and arguments.
    #[serde(default)]
    command: Vec<String>,
    /// What is in the directory at the start.
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    stdin: String,
    stdout: String,
    #[serde(default)]
    status: i32,
    #[serde(default = "default_seconds")]
    seconds: u64,
    /// What is not compared with a native run, as it differs from run to run: `stderr`, beginnings of files' paths.
    #[serde(default)]
    varies: Vec<String>,
}

/// What a case is run by.
#[derive(Clone)]
struct Runners {
    guest: &'static Guest,
    subject: Subject,
    /// On a host of the guest's architecture.
    native: Option<Emulator>,
    root: Root,
}

fn default_seconds() -> u64 {
    DEFAULT_SECONDS
}

/// Which cases: a directory of families, the root that they need, and what allows to fetch that.
struct Set {
    families: PathBuf,
    /// In the names of cases.
    prefix: String,
    root: &'static str,
    fetch: bool,
}

fn sets(guest: &Guest) -> Vec<Set> {
    let large_run = cache::is_set("FERRY_TEST_LARGE");
    let base = |prefix: &str, root, fetch| {
        let prefix = format!("{}{prefix}", guest.name);
        Set { families: programs_directory(), prefix, root, fetch }
    };
    let large = guest.large_root.map(|root| Set {
        families: programs_directory().join("large"),
        ..base("", root, large_run)
    });
    let others = guest.other_roots.iter().map(|root| {
        let release = root.split('-').next().unwrap_or(root);
        base(&format!("-{release}"), root, large_run)
    });
    std::iter::once(base("", guest.root, cache::full_run())).chain(large).chain(others).collect()
}

fn main() -> ExitCode {
    match Subject::choose("FERRY_TEST_ROOT_EMULATOR", "run --root {root}", Profile::Release)
        .and_then(|subject| Ok((all_cases(&subject)?, subject)))
    {
        Ok((cases, _)) if cases.is_empty() => suite::skip(SUITE, "there is no Debian root"),
        Ok((cases, subject)) => suite::run(SUITE, &subject, cases),
        Err(message) => suite::fail(SUITE, message),
    }
}

fn all_cases(subject: &Subject) -> Result<Vec<Case>, String> {
    let mut all = Vec::new();
    for guest in subject.guests() {
        for set in sets(guest) {
            match foreign_root(&set) {
                Ok(Some(root)) => all.extend(cases(subject, guest, &set, &root)?),
                Ok(None) => eprintln!(
                    "skipped: suite {SUITE}: no {0} in the test cache; `cargo debian-root {0}` makes it from the \
                     Debian mirror of this host's apt sources (100 to 500 MB)",
                    set.root
                ),
                Err(error @ debian::Error::NoMirror) => {
                    eprintln!("skipped: suite {SUITE}: {}: {error}", set.root);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    Ok(all)
}

fn foreign_root(set: &Set) -> Result<Option<Root>, debian::Error> {
    let manifest = Manifest::read(set.root)?;
    if set.fetch {
        return debian::prepare(&manifest, &|_| {}).map(Some);
    }
    debian::existing(&manifest)
}

fn cases(
    subject: &Subject,
    guest: &'static Guest,
    set: &Set,
    root: &Root,
) -> Result<Vec<Case>, String> {
    let native = native(subject, guest, set, root);
    let runners = Runners { guest, subject: subject.clone(), native, root: root.clone() };
    let runners = Arc::new(runners);
    let mut cases = Vec::new();
    for file in families(&set.families).map_err(|error| error.to_string())? {
        let family = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text =
            fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let text = text.replace("@MACHINE@", guest.name).replace("@ELF@", guest.elf_machine);
        let programs: Family =
            toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        for program in programs.case {
            let runners = Arc::clone(&runners);
            let name = format!("{}::{family}::{}", set.prefix, program.name);
            cases.push(Case {
                name: name.clone(),
                run: Box::new(move || program.check(&name, &runners)),
            });
        }
    }
    Ok(cases)
}

fn native(subject: &Subject, guest: &Guest, set: &Set, root: &Root) -> Option<Emulator> {
    if !subject.is_ferry {
        return None;
    }
    native::runner(guest, &root.path).unwrap_or_else(|error| {
        eprintln!("skipped: suite {SUITE}: native runs in {}: {error}", set.root);
        None
    })
}

fn families(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}

impl Program {
    fn check(&self, name: &str, runners: &Runners) -> Result<(), String> {
        let inside = format!("{WORK}/{}-{}", name.replace("::", "-"), std::process::id());
        let ferry = self.traces(&runners.subject.emulator, runners, &inside)?;
        self.judge(&ferry.outcome)?;
        let Some(native) = &runners.native else { return Ok(()) };
        let native = self.traces(native, runners, &inside)?;
        self.judge(&native.outcome).map_err(|error| format!("natively: {error}"))?;
        native::difference(&ferry, &native, &self.varies).map_or(Ok(()), Err)
    }

    /// Runs it in a directory of its own, `inside` of the root.
    fn traces(
        &self,
        emulator: &Emulator,
        runners: &Runners,
        inside: &str,
    ) -> Result<Traces, String> {
        let outside = runners.root.path.join(inside.trim_start_matches('/'));
        let failed = |error: io::Error| format!("{}: {error}", outside.display());
        self.lay_out(&outside).map_err(failed)?;
        let outcome = self.run(emulator, runners, inside);
        let files = native::contents(&outside);
        let removed = fs::remove_dir_all(&outside);
        let traces = Traces { outcome: outcome?, files: files.map_err(failed)? };
        removed.map_err(failed)?;
        Ok(traces)
    }

    fn lay_out(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        for (name, text) in &self.files {
            fs::write(directory.join(name), text)?;
        }
        Ok(())
    }

    fn run(
        &self,
        emulator: &Emulator,
        runners: &Runners,
        directory: &str,
    ) -> Result<Outcome, String> {
        let root = Some(runners.root.path.as_path());
        let places = Places { guest: Some(runners.guest.name), root, sysroot: None };
        let mut command = match (&self.script, self.command.split_first()) {
            (Some(script), None) => {
                let script = format!("cd {directory}; {script}");
                emulator.command(places, "/bin/bash", ["-euc", &script])
            }
            (None, Some((program, arguments))) => emulator.command(places, program, arguments),
            _ => return Err("a case has either a script or a command".to_owned()),
        };
        set_environment(&mut command, directory);
        process::run(&mut command, self.stdin.as_bytes(), Duration::from_secs(self.seconds))
            .map_err(|error| format!("{}: {error}", command.get_program().display()))
    }

    fn judge(&self, outcome: &Outcome) -> Result<(), String> {
        let stdout = String::from_utf8_lossy(&outcome.stdout);
        if outcome.end == End::Exit(self.status) && stdout == self.stdout {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        Err(format!(
            "expected Exit({}), got {:?} after {:.1} s\n--- expected output\n{}--- output\n{stdout}--- errors\n{stderr}",
            self.status,
            outcome.end,
            outcome.wall.as_secs_f64(),
            self.stdout,
        ))
    }
}

fn set_environment(command: &mut Command, directory: &str) {
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", directory)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    // What the emulator itself is told by the environment stays.
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FERRY_"));
    command.envs(ours);
}
