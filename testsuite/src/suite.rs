//! What the data-driven suites have in common: Ferry's own binary, known failures, and a report in
//! the form of every other Rust test.
#![expect(clippy::print_stderr, reason = "skipped suites say so")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::{env, fmt};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::cache;
use crate::emulator::Emulator;
use crate::guests::{self, Guest};
use crate::known::Known;

/// One case: its name and what it does.
pub struct Case {
    /// Unique within the suite.
    pub name: String,
    /// Returns a message when it fails.
    pub run: Box<dyn FnOnce() -> Result<(), String> + Send>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The emulator under test, and whether its failures are those that the repository knows of.
#[derive(Debug, Clone)]
pub struct Subject {
    /// How it is started.
    pub emulator: Emulator,
    /// False for a stranger.
    pub is_ferry: bool,
}

/// How the Ferry under test is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As the running test is: with debug assertions in a plain `cargo test`.
    OfThisTest,
    /// As users get it.
    Release,
}

impl Subject {
    /// The template in the environment variable `variable`; without it, `ferry` followed by
    /// `arguments`.
    ///
    /// # Errors
    /// A message, when Ferry does not build.
    pub fn choose(variable: &str, arguments: &str, profile: Profile) -> Result<Self, String> {
        if let Ok(template) = env::var(variable) {
            return Ok(Self { emulator: Emulator::new(&template), is_ferry: false });
        }
        let binary = ferry_binary(profile)?;
        let emulator = Emulator::new(&format!("{} {arguments}", binary.display()));
        Ok(Self { emulator, is_ferry: true })
    }

    /// The guests whose programs it runs: all, for a stranger.
    #[must_use]
    pub fn guests(&self) -> &'static [Guest] {
        if self.is_ferry { guests::in_ferry() } else { &guests::ALL }
    }

    /// Ferry as it boots machines, which [`crate::machine::Emulator`] starts.
    #[must_use]
    pub fn of_machines() -> Self {
        Self { emulator: Emulator::new(""), is_ferry: true }
    }
}

/// `$FERRY_TEST_BINARY`, or the binary of this workspace, built now.
///
/// # Errors
/// A message, when it does not build.
pub fn ferry_binary(profile: Profile) -> Result<PathBuf, String> {
    if let Some(binary) = env::var_os("FERRY_TEST_BINARY") {
        return Ok(binary.into());
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    // Cargo puts tests in `deps`, beside the binaries.
    let beside = |path: &&Path| path.file_name().is_some_and(|name| name != "deps");
    let directory =
        own.ancestors().skip(1).find(beside).ok_or("this test is in no target directory")?;
    let directory = match profile {
        Profile::OfThisTest => directory.to_owned(),
        Profile::Release => directory.with_file_name("release"),
    };
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(cache::source_tree())
        .args(["build", "--quiet", "--package", "ferry", "--bin", "ferry", "--profile", profile])
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("ferry does not build:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(directory.join("ferry"))
}

/// Says that `suite` does not run, and why. A skipped suite succeeds.
#[must_use]
pub fn skip(suite: &str, reason: impl fmt::Display) -> ExitCode {
    eprintln!("skipped: suite {suite}: {reason}");
    ExitCode::SUCCESS
}

/// Says that `suite` could not start. That is a failure.
#[must_use]
pub fn fail(suite: &str, reason: impl fmt::Display) -> ExitCode {
    eprintln!("suite {suite}: {reason}");
    ExitCode::FAILURE
}

/// Whether there is such a case, or there would be if its guest, or that release of a system, had not been left out.
fn exists_or_is_left_out(name: &str, cases: &[Case]) -> bool {
    let set = name.split("::").next().unwrap_or_default();
    let is_known = set.split('-').next().and_then(guests::by_name).is_some();
    let is_left_out = !cases.iter().any(|case| case.name.split("::").next() == Some(set));
    cases.iter().any(|case| case.name == name) || is_known && is_left_out
}

/// Runs the cases that the command line selects, as Rust's own test runner would.
#[must_use]
pub fn run(suite: &str, subject: &Subject, cases: Vec<Case>) -> ExitCode {
    let known = match Known::read(suite) {
        Ok(known) if subject.is_ferry => known,
        Ok(_) => Known::default(),
        Err(message) => return fail(suite, message),
    };
    let stale = known.stale(|name| exists_or_is_left_out(name, &cases));
    if !stale.is_empty() {
        return fail(
            suite,
            format!("known-failures.toml names cases that do not exist: {}", stale.join(", ")),
        );
    }
    let known = Arc::new(known);
    let trial = |case: Case| {
        let known = Arc::clone(&known);
        let name = case.name.clone();
        Trial::test(case.name, move || known.judge(&name, (case.run)()).map_err(Failed::from))
    };
    libtest_mimic::run(&Arguments::from_args(), cases.into_iter().map(trial).collect()).exit_code()
}
