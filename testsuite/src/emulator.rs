//! How a guest program is started: by Ferry, by another emulator, or by the host itself.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// A command template: words separated by blanks, in which `{root}`, `{sysroot}`,
/// `{guest}` and `{program}` are replaced. Without `{program}`, the guest program becomes the last word. The guest's
/// arguments follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    words: Vec<String>,
}

/// What the placeholders of a template stand for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Places<'a> {
    /// Directory that is the guest's `/`.
    pub root: Option<&'a Path>,
    /// The guest architecture's name, for emulators of one each.
    pub guest: Option<&'a str>,
    /// Directory in which the guest's dynamic linker and libraries are looked for.
    pub sysroot: Option<&'a Path>,
}

impl Emulator {
    /// An emulator from its template; an empty one runs programs on the host.
    #[must_use]
    pub fn new(template: &str) -> Self {
        let mut words: Vec<String> = template.split_whitespace().map(str::to_owned).collect();
        if !words.iter().any(|word| word.contains("{program}")) {
            words.push("{program}".to_owned());
        }
        Self { words }
    }

    /// Whether the guest sees the host's paths, because its program is named by one.
    #[must_use]
    pub fn sees_host_paths(&self) -> bool {
        !self.words.iter().any(|word| word == "{program}") || !self.uses_root()
    }

    /// Whether the template says where the guest's `/` is.
    #[must_use]
    pub fn uses_root(&self) -> bool {
        self.words.iter().any(|word| word.contains("{root}"))
    }

    /// The command that runs `program` with `arguments`.
    pub fn command<A: AsRef<OsStr>>(
        &self,
        places: Places<'_>,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let text = |path: Option<&Path>| {
            path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let (root, sysroot) = (text(places.root), text(places.sysroot));
        let fill = |word: &String| {
            word.replace("{guest}", places.guest.unwrap_or_default())
                .replace("{root}", &root)
                .replace("{sysroot}", &sysroot)
                .replace("{program}", program)
        };
        let mut words = self.words.iter().map(fill);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(arguments);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(template: &str, program: &str) -> String {
        let places = Places {
            guest: Some("g"),
            root: Some(Path::new("/r")),
            sysroot: Some(Path::new("/s")),
        };
        format!("{:?}", Emulator::new(template).command(places, program, ["-x"]))
    }

    #[test]
    fn placeholders_are_filled() {
        assert_eq!(
            line("emu run --root {root}", "/bin/sh"),
            r#""emu" "run" "--root" "/r" "/bin/sh" "-x""#
        );
        assert_eq!(
            line("emu -L {sysroot} {root}{program}", "/bin/sh"),
            r#""emu" "-L" "/s" "/r/bin/sh" "-x""#
        );
        assert_eq!(line("", "./native"), r#""./native" "-x""#);
    }

    #[test]
    fn knows_whose_paths_the_guest_sees() {
        assert!(!Emulator::new("emu --root {root}").sees_host_paths());
        assert!(Emulator::new("emu -L {root} {root}{program}").sees_host_paths());
        assert!(Emulator::new("emu").sees_host_paths());
    }
}
