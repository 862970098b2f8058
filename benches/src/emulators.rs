//! What can be measured: Ferry, qemu-user, the host itself, and whatever the command line adds.

use std::path::{Path, PathBuf};

use testsuite::emulator::Emulator;
use testsuite::guests::Guest;
use testsuite::qemu;
use testsuite::suite::{self, Profile};
use testsuite::toolchain::Compiler;

/// One column of the report.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// The column's heading.
    pub name: String,
    /// Runs self-contained programs.
    pub direct: Emulator,
    /// Runs programs inside a foreign root directory, if it can.
    pub rooted: Option<Emulator>,
    /// What its programs are compiled for.
    pub compiler: Compiler,
}

/// Why there is no such contestant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name without a command that is not one of ours.
    #[error("'{0}' is neither ferry, qemu, native nor NAME=COMMAND")]
    Unknown(String),
    /// `--root-emulator` for a name that `--emulator` has not introduced.
    #[error("--root-emulator {0}: there is no emulator of that name")]
    NoSuchName(String),
    /// `{ferry}` stands in a command, and Ferry does not build.
    #[error("{0}")]
    Ferry(String),
}

/// Finds Ferry's binary when the first command asks for it.
#[derive(Debug, Default)]
pub struct Binary {
    path: Option<PathBuf>,
}

impl Binary {
    fn fill(&mut self, template: &str) -> Result<Emulator, Error> {
        if !template.contains("{ferry}") {
            return Ok(Emulator::new(template));
        }
        if self.path.is_none() {
            self.path = Some(suite::ferry_binary(Profile::Release).map_err(Error::Ferry)?);
        }
        let path = self.path.as_deref().unwrap_or(Path::new("ferry"));
        Ok(Emulator::new(&template.replace("{ferry}", &path.display().to_string())))
    }
}

/// The contestants that `specifications` (`--emulator`) and `rooted` (`--root-emulator`) describe, for a
/// guest.
///
/// # Errors
/// When a specification makes no sense or Ferry is needed and does not build.
pub fn parse(
    guest: &Guest,
    specifications: &[String],
    rooted: &[String],
) -> Result<Vec<Contestant>, Error> {
    let mut binary = Binary::default();
    let mut contestants = specifications
        .iter()
        .map(|text| contestant(guest, text, &mut binary))
        .collect::<Result<Vec<_>, _>>()?;
    for text in rooted {
        let (name, template) = text.split_once('=').ok_or_else(|| Error::Unknown(text.clone()))?;
        let emulator = binary.fill(template)?;
        let named = contestants.iter_mut().find(|contestant| contestant.name == name);
        named.ok_or_else(|| Error::NoSuchName(name.to_owned()))?.rooted = Some(emulator);
    }
    Ok(contestants)
}

fn contestant(guest: &Guest, text: &str, binary: &mut Binary) -> Result<Contestant, Error> {
    let emulated = |name: &str, direct, rooted| Contestant {
        name: name.to_owned(),
        direct,
        rooted,
        compiler: guest.compiler,
    };
    match text.split_once('=') {
        Some((name, template)) => Ok(emulated(name, binary.fill(template)?, None)),
        None if text == "ferry" => {
            let rooted = binary.fill("{ferry} run --root {root}")?;
            Ok(emulated(text, binary.fill("{ferry} run")?, Some(rooted)))
        }
        None if text == "qemu" => {
            let qemu = qemu::command(guest.name);
            let rooted = Emulator::new(&format!("{qemu} -L {{root}} {{root}}{{program}}"));
            Ok(emulated(text, Emulator::new(&qemu), Some(rooted)))
        }
        None if text == "native" => Ok(Contestant {
            name: text.to_owned(),
            direct: Emulator::new(""),
            rooted: None,
            compiler: Compiler::Host,
        }),
        None => Err(Error::Unknown(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testsuite::guests;

    fn names(specifications: &[&str], rooted: &[&str]) -> Result<Vec<String>, Error> {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let contestants = parse(&guests::ALL[0], &own(specifications), &own(rooted))?;
        Ok(contestants
            .into_iter()
            .map(|c| format!("{}{}", c.name, if c.rooted.is_some() { "+" } else { "" }))
            .collect())
    }

    #[test]
    fn specifications_are_understood() {
        let list = names(&["qemu", "native", "old=emu -x"], &["old=emu -L {root}"])
            .expect("all are known");
        assert_eq!(list, ["qemu+", "native", "old+"]);
        assert!(matches!(names(&["bochs"], &[]), Err(Error::Unknown(_))));
        assert!(matches!(names(&["qemu"], &["old=emu"]), Err(Error::NoSuchName(_))));
    }
}
