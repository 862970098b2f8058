//! Drop-in use: called as `ferry-riscv64` (a symbolic link, or by binfmt_misc), Ferry takes the
//! options of qemu's user mode, and its environment variables with `FERRY_` for `QEMU_`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use linux_user::{Config, EnvChange};

/// A finished command line.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The settings.
    pub(crate) config: Config,
    /// The program.
    pub(crate) program: OsString,
    /// Its arguments, without `argv[0]`.
    pub(crate) args: Vec<OsString>,
}

/// What binfmt_misc said through the auxiliary vector.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Binfmt {
    /// Flag `P`: the program's own `argv[0]` follows its path.
    pub(crate) preserves_argv0: bool,
    /// Flag `O`: the program, already open.
    pub(crate) program_fd: Option<i32>,
}

/// Whether Ferry was called by a guest architecture's name.
pub(crate) fn is_drop_in(argv0: &OsStr) -> bool {
    let name = argv0.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let name = name.strip_suffix(b"-static").unwrap_or(name);
    name.strip_prefix(b"ferry-").is_some_and(|arch| {
        std::str::from_utf8(arch).is_ok_and(|arch| linux_user::matrix::lines(arch).is_some())
    })
}

/// Reads the arguments after `argv[0]`, and the environment by name.
///
/// # Errors
/// A message for the user.
pub(crate) fn parse(
    args: &[OsString],
    variable: impl Fn(&str) -> Option<OsString>,
    binfmt: Binfmt,
) -> Result<Invocation, String> {
    let mut config = from_environment(variable);
    let mut rest = args.iter();
    let program = loop {
        let Some(word) = rest.next() else {
            return Err("no program is named; see `ferry run --help`".to_owned());
        };
        let Some(option) = word.as_bytes().strip_prefix(b"-").filter(|option| !option.is_empty())
        else {
            break word.clone();
        };
        let option = option.strip_prefix(b"-").unwrap_or(option);
        if option.is_empty() {
            break rest.next().cloned().ok_or("no program is named after --")?;
        }
        let option = String::from_utf8_lossy(option).into_owned();
        apply(&mut config, &option, || {
            rest.next().cloned().ok_or_else(|| format!("-{option} needs a value"))
        })?;
    };
    let mut args: Vec<OsString> = rest.cloned().collect();
    if binfmt.preserves_argv0 && !args.is_empty() {
        config.argv0 = Some(args.remove(0));
    }
    config.program_fd = binfmt.program_fd;
    Ok(Invocation { config, program, args })
}

fn apply(
    config: &mut Config,
    option: &str,
    mut value: impl FnMut() -> Result<OsString, String>,
) -> Result<(), String> {
    let text = |value: OsString| value.to_string_lossy().into_owned();
    match option {
        "L" => config.sysroot = Some(value()?.into()),
        "E" => config.environment.push(assignment(&value()?)),
        "U" => config.environment.push(EnvChange::Unset(value()?)),
        "0" => config.argv0 = Some(value()?),
        "cpu" => config.cpu = Some(text(value()?)),
        "strace" => config.strace = true,
        "d" => config.log_items = text(value()?).split(',').map(str::to_owned).collect(),
        "D" => config.log_file = Some(value()?.into()),
        "perfmap" => config.perf_map = linux_user::PerfMap::On,
        // Sizes and places of qemu's own: Ferry chooses them itself.
        "s" | "R" | "B" | "p" | "seed" | "tb-size" => drop(value()?),
        "one-insn-per-tb" | "jitdump" => {}
        other => return Err(format!("-{other}: ferry has no such option; see `ferry run --help`")),
    }
    Ok(())
}

fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Config {
    let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
    let list = |name| {
        let value = variable(name).unwrap_or_default().into_vec();
        let words = value.split(|&byte| byte == b',').filter(|word| !word.is_empty());
        words.map(|word| OsString::from_vec(word.to_vec())).collect::<Vec<_>>()
    };
    let unset = list("FERRY_UNSET_ENV").into_iter().map(EnvChange::Unset);
    let set = list("FERRY_SET_ENV").into_iter().map(|word| assignment(&word));
    Config {
        sysroot: variable("FERRY_LD_PREFIX").map(Into::into),
        argv0: variable("FERRY_ARGV0"),
        cpu: text("FERRY_CPU"),
        strace: variable("FERRY_STRACE").is_some(),
        log_items: text("FERRY_LOG")
            .map(|items| items.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        log_file: variable("FERRY_LOG_FILENAME").map(Into::into),
        environment: unset.chain(set).collect(),
        ..Config::default()
    }
}

/// `VAR=VALUE`; without `=`, the empty value.
fn assignment(word: &OsStr) -> EnvChange {
    let bytes = word.as_bytes();
    let at = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
    let value = bytes.get(at + 1..).unwrap_or_default();
    EnvChange::Set(OsString::from_vec(bytes[..at].to_vec()), OsString::from_vec(value.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn parsed(args: &[&str], binfmt: Binfmt) -> Invocation {
        parse(&words(args), |_| None, binfmt).unwrap()
    }

    #[test]
    fn names_of_guests_are_recognised() {
        assert!(is_drop_in(OsStr::new("/usr/bin/ferry-riscv64")));
        assert!(is_drop_in(OsStr::new("ferry-riscv64-static")));
        assert!(!is_drop_in(OsStr::new("ferry")));
        assert!(!is_drop_in(OsStr::new("ferry-vax")));
    }

    #[test]
    fn options_of_qemu_are_understood() {
        let line = ["-L", "/sys", "-cpu", "rv64gc", "-E", "A=b", "--strace", "-0", "x", "p", "-L"];
        let Invocation { config, program, args } = parsed(&line, Binfmt::default());
        assert_eq!((program, args), ("p".into(), words(&["-L"])));
        assert_eq!(config.sysroot, Some("/sys".into()));
        assert_eq!((config.cpu.as_deref(), config.strace), (Some("rv64gc"), true));
        assert_eq!(config.environment, [EnvChange::Set("A".into(), "b".into())]);
        assert!(parse(&words(&["-frobnicate", "p"]), |_| None, Binfmt::default()).is_err());
        assert!(parse(&words(&["-L"]), |_| None, Binfmt::default()).is_err());
    }

    #[test]
    fn binfmt_gives_argv0_and_the_open_file() {
        let binfmt = Binfmt { preserves_argv0: true, program_fd: Some(5) };
        let Invocation { config, program, args } = parsed(&["/bin/sh", "-sh", "-c", "x"], binfmt);
        assert_eq!((program, args), ("/bin/sh".into(), words(&["-c", "x"])));
        assert_eq!((config.argv0, config.program_fd), (Some("-sh".into()), Some(5)));
    }

    #[test]
    fn the_environment_speaks_too() {
        let variable = |name: &str| match name {
            "FERRY_LD_PREFIX" => Some("/sys".into()),
            "FERRY_SET_ENV" => Some("A=1,B=2".into()),
            _ => None,
        };
        let config = parse(&words(&["p"]), variable, Binfmt::default()).unwrap().config;
        assert_eq!((config.sysroot, config.environment.len()), (Some("/sys".into()), 2));
    }
}
