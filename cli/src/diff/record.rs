//! The program, run in a Ferry of its own and recorded.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use linux_user::ReplicaTier;

use super::DiffArgs;
use super::side::{options, own_path, program, tier_option};

/// A file that is removed at the end.
pub(super) struct Temporary(PathBuf);

impl Temporary {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the program, with options of `ferry trace`.
pub(super) fn run(
    args: &DiffArgs,
    tier: ReplicaTier,
    what: &[&str],
    input: Stdio,
) -> Result<Temporary, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    program(args)?;
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("ferry-diff-{}-{number}.trace", std::process::id());
    let output = Temporary::new(std::env::temp_dir().join(name));
    let mut command = Command::new(own_path()?);
    command.arg("trace").args(what).arg("-o").arg(output.path());
    #[cfg(feature = "defects")]
    if let Some(defect) = args.defect {
        command.args(["--defect", &format!("{defect:?}")]);
    }
    command.args(["--tier", tier_option(tier)?]).args(options(args)).args(&args.program);
    // What the program prints must not stand between the lines of a report for machines.
    let status = command.stdin(input).stdout(Stdio::null()).status();
    let status = status.map_err(|error| format!("cannot run ferry: {error}"))?;
    // The program's own status says nothing of the trace.
    match output.path().is_file() {
        true => Ok(output),
        false => Err(format!("the program could not be traced ({status})")),
    }
}
