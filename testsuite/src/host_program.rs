//! Programs of the host that the suites make use of.

use std::io;
use std::process::{Command, Output};

/// Why one of them is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there or could not be started.
    #[error("cannot run {program}: {source}; on Debian it is in package {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("{program} failed:\n{stderr}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        stderr: String,
    },
}

/// Runs a program to its end, whatever its status.
///
/// # Errors
/// It cannot be started.
pub fn run(
    command: &mut Command,
    program: &'static str,
    package: &'static str,
) -> Result<Output, Error> {
    command.output().map_err(|source| Error::Missing { program, package, source })
}

/// Runs a program that must succeed; its standard output.
///
/// # Errors
/// It cannot be started, or fails.
pub fn succeed(
    command: &mut Command,
    program: &'static str,
    package: &'static str,
) -> Result<Vec<u8>, Error> {
    let output = run(command, program, package)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Failed { program, stderr: stderr_of(&output) })
}

/// What a program said on standard error.
#[must_use]
pub fn stderr_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
