//! `ferry run`: options and environment to a [`Config`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use linux_user::{Config, DefaultBinds, EnvChange, GdbExec, LogStart, PerfMap, StatsFormat, Tier};
use runtime::debug::gdb::Address;

use crate::execution::{self, ExecutionArgs, Probes, TierArg};
use crate::run_qemu::{self, Binfmt, Invocation};
use crate::{OWN_ERROR, complain};

/// Arguments of `ferry run`.
#[derive(Args)]
#[command(override_usage = "ferry run [OPTIONS] PROGRAM [ARGS]...")]
pub(crate) struct RunArgs {
    /// Directory that the guest and its children see as /
    #[arg(long, value_name = "DIR", conflicts_with = "sysroot", env = "FERRY_ROOT")]
    root: Option<PathBuf>,
    /// Host path that the guest sees below its root (may be repeated)
    #[arg(long, value_name = "SRC[:DST]", requires = "root")]
    bind: Vec<OsString>,
    /// Do not show the host's /proc, /sys and /dev below the root
    #[arg(long, requires = "root")]
    no_default_binds: bool,
    /// Where absolute paths, such as the interpreter's, are looked up first
    #[arg(short = 'L', value_name = "SYSROOT", env = "FERRY_LD_PREFIX")]
    sysroot: Option<PathBuf>,
    /// Set a variable in the guest's environment (may be repeated)
    #[arg(short = 'E', value_name = "VAR=VALUE", allow_hyphen_values = true,
        value_parser = OsStringValueParser::new().try_map(assignment))]
    set: Vec<(OsString, OsString)>,
    /// Remove a variable from the guest's environment (may be repeated)
    #[arg(short = 'U', value_name = "VAR", allow_hyphen_values = true)]
    unset: Vec<OsString>,
    /// The program's argv[0], if it is not its path
    #[arg(short = '0', value_name = "ARGV0", allow_hyphen_values = true)]
    argv0: Option<OsString>,
    /// The program's file, already open: given by ferry to itself
    #[arg(long, value_name = "FD", hide = true, value_parser = clap::value_parser!(i32).range(3..))]
    program_fd: Option<i32>,
    /// Directories of root and binds, already open: given by ferry to itself
    #[arg(long, value_name = "FD,…", hide = true, value_delimiter = ',', value_parser = mount_fd)]
    mount_fds: Vec<MountFd>,
    /// A resource limit that the guest set before: given by ferry to itself
    #[arg(long = "limit", value_name = "RESOURCE:SOFT:HARD", hide = true, value_parser = limit)]
    limits: Vec<(u32, [u64; 2])>,
    /// CPU model with switches, such as `rv64gc,+zba`
    #[arg(long, value_name = "MODEL", env = "FERRY_CPU")]
    cpu: Option<String>,
    /// Print the guest's system calls on standard error
    #[arg(long)]
    strace: bool,
    #[command(flatten)]
    execution: ExecutionArgs,
    /// The log file goes on: given by ferry to itself
    #[arg(long, hide = true)]
    log_continued: bool,
    /// Wait for gdb before the program starts (`target remote :PORT`): PORT, IP:PORT or unix:PATH
    #[arg(long, value_name = "WHERE")]
    gdb: Option<Address>,
    /// Let programs that it executes in its place wait there, too
    #[arg(long, requires = "gdb")]
    gdb_exec: bool,
    /// Write /tmp/perf-PID.map, so that `perf` names translated code
    #[arg(long)]
    perf_map: bool,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    command: Vec<OsString>,
}

impl RunArgs {
    /// `--tier`.
    pub(crate) fn tier(&self) -> TierArg {
        self.execution.tier
    }
}

/// Runs the program. Returns only if it could not be started.
pub(crate) fn main(args: RunArgs) -> u8 {
    match parts(args) {
        Some((config, program, rest)) => start(config, &program, &rest),
        None => OWN_ERROR,
    }
}

/// What a command line asks for; `None` if it cannot be had, which has been said.
pub(crate) fn parts(args: RunArgs) -> Option<(Config, OsString, Vec<OsString>)> {
    let (program, rest) = match args.command.split_first() {
        Some((program, rest)) => (program.clone(), rest.to_vec()),
        None => (OsString::new(), Vec::new()),
    };
    // Everything from the first word that is no option on belongs to the program.
    if program.as_bytes().starts_with(b"-") {
        complain(&format!(
            "{}: no such option, see `ferry run --help`; for a program of that name write ./{0}",
            program.display()
        ));
        return None;
    }
    if args.execution.stats.is_some_and(|stats| stats.probes == Probes::Counted) {
        complain(&"--stats=tlb is for whole machines (ferry boot): a program has no TLB");
        return None;
    }
    Some((config(args), program, rest))
}

fn start(config: Config, program: &OsStr, args: &[OsString]) -> u8 {
    match linux_user::run(config, program, args) {
        Err(error) => {
            complain(&error);
            error.exit_status()
        }
    }
}

/// Runs the program of a command line for qemu's user mode.
pub(crate) fn drop_in(argv0: &OsStr) -> u8 {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match run_qemu::parse(&args, |name| std::env::var_os(name), binfmt()) {
        Ok(Invocation { config, program, args }) => start(config, &program, &args),
        Err(message) => {
            complain(&format!("{}: {message}", argv0.display()));
            OWN_ERROR
        }
    }
}

/// What binfmt_misc says of how it started Ferry (Linux, `admin-guide/binfmt-misc.rst`).
#[expect(unsafe_code, reason = "getauxval")]
fn binfmt() -> Binfmt {
    const PRESERVE_ARGV0: u64 = 1;
    // SAFETY: reads the auxiliary vector.
    let (flags, fd) =
        unsafe { (libc::getauxval(libc::AT_FLAGS), libc::getauxval(libc::AT_EXECFD)) };
    let program_fd = i32::try_from(fd).ok().filter(|&fd| fd > 2);
    Binfmt { preserves_argv0: flags & PRESERVE_ARGV0 != 0, program_fd }
}

fn config(args: RunArgs) -> Config {
    let unset = args.unset.into_iter().map(EnvChange::Unset);
    let set = args.set.into_iter().map(|(name, value)| EnvChange::Set(name, value));
    Config {
        root: args.root,
        binds: args.bind.iter().map(bind).collect(),
        mount_fds: args.mount_fds.into_iter().map(|MountFd(fd)| fd).collect(),
        default_binds: if args.no_default_binds {
            DefaultBinds::LeftOut
        } else {
            DefaultBinds::Made
        },
        sysroot: args.sysroot,
        cpu: args.cpu,
        strace: args.strace,
        environment: unset.chain(set).collect(),
        argv0: args.argv0,
        program_fd: args.program_fd,
        limits: args.limits,
        tier: match args.execution.tier {
            TierArg::Auto => Tier::Auto,
            TierArg::Interp => Tier::Interp,
            TierArg::Baseline => Tier::Baseline,
            TierArg::Jit => Tier::Jit,
        },
        stats: args.execution.stats.map(|stats| match stats.format {
            execution::StatsFormat::Text => StatsFormat::Text,
            execution::StatsFormat::Json => StatsFormat::Json,
        }),
        log_items: args.execution.log,
        log_file: args.execution.log_file,
        log_start: if args.log_continued { LogStart::Continued } else { LogStart::Afresh },
        gdb: args.gdb,
        gdb_exec: if args.gdb_exec { GdbExec::Wait } else { GdbExec::Run },
        perf_map: if args.perf_map { PerfMap::On } else { PerfMap::Off },
    }
}

/// `VAR=VALUE`
fn assignment(text: OsString) -> Result<(OsString, OsString), &'static str> {
    match split_at(&text, b'=') {
        (name, Some(value)) if !name.is_empty() => Ok((name, value)),
        _ => Err("an environment variable is set as VAR=VALUE"),
    }
}

/// A descriptor, or `-` for a mount that is not open.
#[derive(Clone, Copy, Debug)]
struct MountFd(Option<i32>);

fn mount_fd(text: &str) -> Result<MountFd, String> {
    match text {
        "-" => Ok(MountFd(None)),
        fd => fd.parse().map(|fd| MountFd(Some(fd))).map_err(|_| format!("{fd} is no descriptor")),
    }
}

/// `RESOURCE:SOFT:HARD`
fn limit(text: &str) -> Result<(u32, [u64; 2]), String> {
    let wrong = || format!("{text} is not RESOURCE:SOFT:HARD");
    let [resource, soft, hard] = text.split(':').collect::<Vec<_>>()[..] else {
        return Err(wrong());
    };
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    Ok((resource.parse().map_err(|_| wrong())?, [number(soft)?, number(hard)?]))
}

/// `SRC:DST`, or `SRC` for the same path on both sides.
fn bind(text: &OsString) -> (PathBuf, PathBuf) {
    let (source, target) = split_at(text, b':');
    let target = target.unwrap_or_else(|| source.clone());
    (source.into(), target.into())
}

/// What stands before the first `separator`, and after it if there is one.
fn split_at(text: &OsString, separator: u8) -> (OsString, Option<OsString>) {
    let bytes = text.as_bytes();
    match bytes.iter().position(|&byte| byte == separator) {
        Some(at) => (
            OsString::from_vec(bytes[..at].to_vec()),
            Some(OsString::from_vec(bytes[at + 1..].to_vec())),
        ),
        None => (text.clone(), None),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    fn parse(words: &[&str]) -> RunArgs {
        Line::try_parse_from([&["ferry"], words].concat()).unwrap().run
    }

    #[test]
    fn options_end_at_the_program() {
        let args = parse(&["-L", "/sys", "prog", "-L", "--strace", "--", "x"]);
        assert_eq!(args.command, ["prog", "-L", "--strace", "--", "x"]);
        assert!(!args.strace);
        assert_eq!(config(args).sysroot, Some("/sys".into()));
    }

    #[test]
    fn options_become_the_configuration() {
        let config = config(parse(&[
            "--root", "/r", "--bind", "/a:/b", "--bind", "/c", "-E", "A=b=c", "-U", "D", "--stats",
            "--tier", "interp", "-d", "ir,exec", "p",
        ]));
        assert_eq!(config.binds, [("/a".into(), "/b".into()), ("/c".into(), "/c".into())]);
        assert_eq!(
            config.environment,
            [EnvChange::Unset("D".into()), EnvChange::Set("A".into(), "b=c".into())]
        );
        assert_eq!(config.stats, Some(StatsFormat::Text));
        assert_eq!((config.tier, config.log_items.len()), (Tier::Interp, 2));
    }

    #[test]
    fn children_get_the_same_settings() {
        let settings = Config {
            root: Some("/r".into()),
            binds: vec![("/a".into(), "/b".into())],
            mount_fds: vec![Some(8), None],
            default_binds: DefaultBinds::LeftOut,
            cpu: Some("rv64gc".into()),
            strace: true,
            argv0: Some("-bash".into()),
            program_fd: Some(7),
            limits: vec![(9, [1 << 30, u64::MAX])],
            tier: Tier::Jit,
            stats: Some(StatsFormat::Json),
            log_items: vec!["ir".into(), "cpu".into()],
            log_file: Some("/log".into()),
            log_start: LogStart::Continued,
            perf_map: PerfMap::On,
            ..Config::default()
        };
        let words: Vec<String> = settings
            .run_arguments()
            .into_iter()
            .skip(1)
            .map(|word| word.into_string().unwrap())
            .chain(["--".to_owned(), "prog".to_owned()])
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(config(parse(&words)), settings);
    }
}
