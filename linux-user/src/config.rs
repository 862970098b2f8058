//! What the user chose for a run. Children that the guest executes get the same.

use std::ffi::OsString;
use std::path::PathBuf;

use runtime::debug::gdb::Address;

/// The settings of `ferry run`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// `--root`: the directory that the guest sees as `/`.
    pub root: Option<PathBuf>,
    /// `--bind SRC[:DST]`: host paths that the guest sees below its root.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// Directories of the root and of the binds that are already open, in that order, when a guest
    /// executes a program.
    pub mount_fds: Vec<Option<i32>>,
    /// `--no-default-binds`: whether /proc, /sys and /dev are bound besides.
    pub default_binds: DefaultBinds,
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
    /// The program's file, already open, when a guest executed it by descriptor.
    pub program_fd: Option<i32>,
    /// Resource limits that a guest set for itself and its children, and that are not the host's:
    /// `RLIMIT_…`, soft and hard.
    pub limits: Vec<(u32, [u64; 2])>,
    /// `--tier`
    pub tier: Tier,
    /// `--stats`
    pub stats: Option<StatsFormat>,
    /// `-d`: what the engine logs.
    pub log_items: Vec<String>,
    /// `-D`: where it logs.
    pub log_file: Option<PathBuf>,
    /// Whether the log file is emptied first.
    pub log_start: LogStart,
    /// `--gdb`: where debuggers connect.
    pub gdb: Option<Address>,
    /// `--gdb-exec`: whether programs that the guest executes in this process wait for a debugger, too.
    pub gdb_exec: GdbExec,
    /// `--perf-map`: tell `perf` the names of translated code.
    pub perf_map: PerfMap,
}

/// Whether debugging goes on in the next program of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GdbExec {
    /// It waits for a debugger, where the first one did.
    Wait,
    /// It runs.
    #[default]
    Run,
}

impl Config {
    /// The arguments of `ferry` that give these settings to a program which the guest executes.
    /// The environment is not among them: the guest says itself what it is.
    #[must_use]
    pub fn run_arguments(&self) -> Vec<OsString> {
        let mut args = vec![OsString::from("run")];
        let mut option = |name: &str, value: OsString| {
            args.push(name.into());
            args.push(value);
        };
        if let Some(root) = &self.root {
            option("--root", root.into());
        }
        for (source, target) in &self.binds {
            let mut value = OsString::from(source);
            value.push(":");
            value.push(target);
            option("--bind", value);
        }
        if self.mount_fds.iter().any(Option::is_some) {
            let fd = |fd: &Option<i32>| fd.map_or_else(|| "-".to_owned(), |fd| fd.to_string());
            let fds: Vec<String> = self.mount_fds.iter().map(fd).collect();
            option("--mount-fds", fds.join(",").into());
        }
        if let Some(sysroot) = &self.sysroot {
            option("-L", sysroot.into());
        }
        if let Some(cpu) = &self.cpu {
            option("--cpu", cpu.into());
        }
        if let Some(argv0) = &self.argv0 {
            option("-0", argv0.clone());
        }
        if let Some(fd) = self.program_fd {
            option("--program-fd", fd.to_string().into());
        }
        for (resource, [soft, hard]) in &self.limits {
            option("--limit", format!("{resource}:{soft}:{hard}").into());
        }
        if self.tier != Tier::Auto {
            option("--tier", self.tier.name().into());
        }
        if !self.log_items.is_empty() {
            option("-d", self.log_items.join(",").into());
        }
        if let Some(file) = &self.log_file {
            option("-D", file.into());
        }
        if self.log_start == LogStart::Continued {
            args.push("--log-continued".into());
        }
        match self.stats {
            Some(StatsFormat::Text) => args.push("--stats".into()),
            Some(StatsFormat::Json) => args.push("--stats=json".into()),
            None => {}
        }
        if self.strace {
            args.push("--strace".into());
        }
        if self.default_binds == DefaultBinds::LeftOut {
            args.push("--no-default-binds".into());
        }
        if let (Some(address), GdbExec::Wait) = (&self.gdb, self.gdb_exec) {
            args.extend(["--gdb".into(), address.to_string().into(), "--gdb-exec".into()]);
        }
        if self.perf_map == PerfMap::On {
            args.push("--perf-map".into());
        }
        args
    }
}

impl Tier {
    /// As `--tier` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Interp => "interp",
            Self::Baseline => "baseline",
            Self::Jit => "jit",
        }
    }
}

/// Which binds a root directory has without being told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DefaultBinds {
    /// The host's /proc, /sys and /dev.
    #[default]
    Made,
    /// None.
    LeftOut,
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
    /// Compile each block at once, quickly, and none well.
    Baseline,
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

/// How a log file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogStart {
    /// Emptied.
    #[default]
    Afresh,
    /// Continued: by programs that the guest executes.
    Continued,
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
