//! What a side of a comparison is called on the command line.

use std::path::PathBuf;

use linux_user::ReplicaTier;
use runtime::{Passes, Precision};

/// A side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Spec {
    /// A trace.
    File(PathBuf),
    /// The program in Ferry.
    Tier(ReplicaTier),
    /// What listens for gdb.
    Gdb(String),
    /// The program in qemu's user mode.
    Qemu,
    /// The program on this host's processor.
    Native,
    /// The machine that `ferry boot` makes of the options after --.
    Machine(MachineTier),
    /// A command that writes a trace to its standard output.
    Command(String),
}

/// How a machine executes its instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MachineTier {
    Interpreted,
    Compiled,
}

impl Spec {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.split_once(':').unwrap_or((text, "")) {
            ("interp", "") => Self::Tier(ReplicaTier::Interpreted),
            ("baseline", "") => Self::Tier(ReplicaTier::Baseline),
            ("jit", settings) => Self::Tier(compiled(settings)?),
            ("gdb", "") => return Err("gdb:HOST:PORT or gdb:unix:PATH".to_owned()),
            ("gdb", address) => Self::Gdb(address.to_owned()),
            ("qemu", "") => Self::Qemu,
            ("machine", "") => Self::Machine(MachineTier::Interpreted),
            ("machine", "jit") => Self::Machine(MachineTier::Compiled),
            ("machine", _) => return Err("machine or machine:jit".to_owned()),
            ("native", "") => Self::Native,
            ("cmd", command) if !command.is_empty() => Self::Command(command.to_owned()),
            _ => Self::File(text.into()),
        })
    }
}

/// `jit:SETTING,…`: `none` for no optimisation, `-PASS` for all but some, `PASS` for some and no others,
/// `every-access` for another way to be exact at faults, `no-intrinsics`.
fn compiled(settings: &str) -> Result<ReplicaTier, String> {
    let words = || settings.split(',').filter(|word| !word.is_empty());
    let pass = |name: &str| {
        Passes::NAMED.into_iter().find(|(_, known)| *known == name).map(|(pass, _)| pass)
    };
    let names_some = words().any(|word| word == "none" || pass(word).is_some());
    let mut passes = if names_some { Passes::NONE } else { Passes::ALL };
    let (mut precision, mut intrinsics) = (Precision::Replay, true);
    for word in words() {
        match (word, pass(word.trim_start_matches('-'))) {
            ("none", _) => {}
            ("every-access", _) => precision = Precision::EveryAccess,
            ("no-intrinsics", _) => intrinsics = false,
            (word, Some(pass)) if word.starts_with('-') => passes = passes.without(pass),
            (_, Some(pass)) => passes = passes.with(pass),
            (word, None) => {
                let names = Passes::NAMED.map(|(_, name)| name).join(", ");
                return Err(format!(
                    "jit:{word}: there are none, every-access, no-intrinsics, and the passes {names}, with or without -"
                ));
            }
        }
    }
    Ok(ReplicaTier::Compiled { passes, precision, intrinsics })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(text: &str) -> Passes {
        match Spec::parse(text) {
            Ok(Spec::Tier(ReplicaTier::Compiled { passes, .. })) => passes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sides_have_names() {
        let parse = |text| Spec::parse(text).unwrap();
        assert_eq!(parse("interp"), Spec::Tier(ReplicaTier::Interpreted));
        assert_eq!(parse("baseline"), Spec::Tier(ReplicaTier::Baseline));
        assert_eq!(parse("gdb:localhost:1234"), Spec::Gdb("localhost:1234".into()));
        assert_eq!(parse("cmd:spike -l a"), Spec::Command("spike -l a".into()));
        assert_eq!(parse("./interp"), Spec::File("./interp".into()));
        assert_eq!(parse("machine:jit"), Spec::Machine(MachineTier::Compiled));
        assert!(Spec::parse("machine:fast").is_err());
        assert!(Spec::parse("jit:fast").is_err() && Spec::parse("gdb:").is_err());
    }

    #[test]
    fn passes_are_chosen_or_left_out() {
        assert_eq!((passes("jit"), passes("jit:none")), (Passes::ALL, Passes::NONE));
        assert_eq!(passes("jit:-dead"), Passes::ALL.without(Passes::DEAD));
        assert_eq!(passes("jit:forward,no-intrinsics"), Passes::FORWARD);
    }
}
