//! What the user chose for a run. Children that the guest executes get the same.

use std::ffi::OsString;
use std::path::PathBuf;

/// The settings of `ferry run`.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `--root`: the directory that the guest sees as `/`.
    pub root: Option<PathBuf>,
    /// `--bind SRC[:DST]`: host paths that the guest sees below its root.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// `-L`: where absolute paths are looked up first.
    pub sysroot: Option<PathBuf>,
    /// `--cpu`: the CPU model.
    pub cpu: Option<String>,
    /// `--strace`: print the guest's system calls on standard error.
    pub strace: bool,
    /// `-E VAR=VALUE` and `-U VAR`: what is set in, or removed from, the guest's environment.
    pub environment: Vec<EnvChange>,
    /// `-0`: the program's `argv[0]`, if it is not its path.
    pub argv0: Option<OsString>,
    /// `--tier`
    pub tier: Tier,
    /// `--stats`
    pub stats: Option<StatsFormat>,
    /// `-d`: what the engine logs.
    pub log_items: Vec<String>,
    /// `-D`: where it logs.
    pub log_file: Option<PathBuf>,
    /// `--perf-map`: tell `perf` the names of translated code.
    pub perf_map: PerfMap,
}

/// A change to the environment that the guest inherits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EnvChange {
    /// Sets a variable.
    Set(OsString, OsString),
    /// Removes one.
    Unset(OsString),
}

/// Which tiers may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tier {
    /// Interpret first, compile what is hot.
    #[default]
    Auto,
    /// Interpret only.
    Interp,
    /// Compile everything at once.
    Jit,
}

/// How statistics are printed at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatsFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Whether a map of translated code is written for `perf`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PerfMap {
    /// Not written.
    #[default]
    Off,
    /// `/tmp/perf-PID.map`.
    On,
}
