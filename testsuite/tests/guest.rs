//! Our own guest programs, `testsuite/guest`: each passes on the host first, then under the emulator,
//! statically and dynamically linked.
//!
//! Sources directly in that directory are portable; those in `riscv64/` and the like are for that guest
//! only, and pass on the host first if it is of that architecture. A program prints `ok NAME` for each thing it checked, and says what went wrong otherwise.

#![expect(clippy::print_stderr, reason = "says which guests it leaves out")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use ferry_testsuite::cache;
use ferry_testsuite::emulator::{Emulator, Places};
use ferry_testsuite::guest_directory;
use ferry_testsuite::guests::Guest;
use ferry_testsuite::process::{self, Outcome};
use ferry_testsuite::suite::{self, Case, Profile, Subject};
use ferry_testsuite::toolchain::Compiler;

const SUITE: &str = "guest";
const LIMIT: Duration = Duration::from_secs(90);
const FLAGS: [&str; 5] = ["-O2", "-g", "-pthread", "-lm", "-lrt"];

#[derive(Debug, Clone, Copy)]
enum Linkage {
    Static,
    Dynamic,
}

fn main() -> ExitCode {
    if let Err(error) = Compiler::Host.version() {
        return suite::skip(SUITE, error);
    }
    match Subject::choose("FERRY_TEST_EMULATOR", "run -L {sysroot}", Profile::OfThisTest)
        .and_then(|subject| Ok((cases(&subject)?, subject)))
    {
        Ok((cases, subject)) => suite::run(SUITE, &subject, cases),
        Err(message) => suite::fail(SUITE, message),
    }
}

fn cases(subject: &Subject) -> Result<Vec<Case>, String> {
    let subject = Arc::new(subject.clone());
    let mut cases = Vec::new();
    let directory = guest_directory();
    let portable = sources(&directory).map_err(|error| error.to_string())?;
    for source in portable.clone() {
        let name = format!("{}::host", stem(&source));
        cases.push(Case { name, run: Box::new(move || on_host(&source)) });
    }
    for guest in subject.guests() {
        if let Err(error) = guest.compiler.version() {
            eprintln!("skipped: suite {SUITE} for {}: {error}", guest.name);
            continue;
        }
        for source in &portable {
            for linkage in [Linkage::Static, Linkage::Dynamic] {
                cases.push(emulated(guest, source, linkage, &subject));
            }
        }
        let own = sources(&directory.join(guest.name)).map_err(|error| error.to_string())?;
        cases.extend(own.iter().map(|source| emulated(guest, source, Linkage::Static, &subject)));
        if std::env::consts::ARCH == guest.name {
            cases.extend(own.iter().map(|source| native(guest, source)));
        }
    }
    Ok(cases)
}

fn sources(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut sources: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    sources.retain(|path| {
        path.extension().is_some_and(|extension| extension == "c" || extension == "S")
    });
    sources.sort();
    Ok(sources)
}

fn stem(source: &Path) -> String {
    source.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn emulated(
    guest: &'static Guest,
    source: &Path,
    linkage: Linkage,
    subject: &Arc<Subject>,
) -> Case {
    let subject = Arc::clone(subject);
    let name = format!("{}::{}::{linkage:?}", guest.name, stem(source)).to_lowercase();
    let source = source.to_owned();
    let run = move || {
        let compiler = guest.compiler;
        let places =
            Places { guest: Some(guest.name), sysroot: compiler.sysroot(), ..Places::default() };
        check(&source, linkage, compiler, places, &subject.emulator)
    };
    Case { name, run: Box::new(run) }
}

/// A guest's own program, on a host of its architecture.
fn native(guest: &'static Guest, source: &Path) -> Case {
    let name = format!("{}::{}::native", guest.name, stem(source));
    let (source, places) = (source.to_owned(), Places::default());
    let run = move || check(&source, Linkage::Static, guest.compiler, places, &Emulator::new(""));
    Case { name, run: Box::new(run) }
}

fn on_host(source: &Path) -> Result<(), String> {
    let places = Places::default();
    check(source, Linkage::Dynamic, Compiler::Host, places, &Emulator::new(""))
}

fn check(
    source: &Path,
    linkage: Linkage,
    compiler: Compiler,
    places: Places<'_>,
    emulator: &Emulator,
) -> Result<(), String> {
    let mut flags = FLAGS.to_vec();
    if matches!(linkage, Linkage::Static) {
        flags.push("-static");
    }
    let program = compiler.build(source, &flags).map_err(|error| error.to_string())?;
    let directory = cache::subdirectory("guest").map_err(|error| error.to_string())?;
    let mut command = emulator.command(places, &program.to_string_lossy(), [""; 0]);
    command.current_dir(directory).env("GUEST_ENVIRONMENT", "kept").env("LC_ALL", "C");
    let outcome = process::run(&mut command, b"", LIMIT).map_err(|error| error.to_string())?;
    judge(&outcome)
}

fn judge(outcome: &Outcome) -> Result<(), String> {
    let stdout = String::from_utf8_lossy(&outcome.stdout);
    let only_successes = stdout.lines().all(|line| line.starts_with("ok "));
    if outcome.success() && only_successes && stdout.ends_with("ok all\n") {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    Err(format!("{:?} after {:.1} s\n{stdout}{stderr}", outcome.end, outcome.wall.as_secs_f64()))
}
