//! Programs of the host's own architecture without any emulator, in the same Debian root: what Ferry's runs are held against.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, io};

use crate::cache;
use crate::emulator::{Emulator, Places};
use crate::guests::Guest;
use crate::process::{self, Outcome};

/// How programs of `guest` run natively in `root`; `None` if this host is of another architecture.
///
/// # Errors
/// Why they cannot, on a host that could: mostly, that it lets this user have no mount namespace.
pub fn runner(guest: &Guest, root: &Path) -> Result<Option<Emulator>, String> {
    if env::consts::ARCH != guest.name {
        return Ok(None);
    }
    let script = cache::source_tree().join("testsuite/scripts/native-root");
    let emulator = Emulator::new(&format!("{} {{root}}", script.display()));
    let places = Places { root: Some(root), ..Places::default() };
    let mut command = emulator.command(places, "/bin/true", [""; 0]);
    let outcome = process::run(&mut command, b"", Duration::from_secs(30));
    match outcome.map_err(|error| error.to_string())? {
        outcome if outcome.success() => Ok(Some(emulator)),
        outcome => Err(String::from_utf8_lossy(&outcome.stderr).trim().to_owned()),
    }
}

/// What a program left: how it ended, what it said, and the files of its directory.
#[derive(Debug)]
pub struct Traces {
    /// Of the process.
    pub outcome: Outcome,
    /// Of the directory that it ran in: its [`contents`].
    pub files: BTreeMap<String, String>,
}

/// What differs between a run under Ferry and a native one, if anything does. What `varies` from run to run is not compared: `stderr`, or
/// files whose paths begin so.
#[must_use]
pub fn difference(ferry: &Traces, native: &Traces, varies: &[String]) -> Option<String> {
    let mut message = String::new();
    let both = [&ferry.outcome, &native.outcome];
    if both[0].end != both[1].end {
        let _ = writeln!(message, "{:?}, natively {:?}", both[0].end, both[1].end);
    }
    for (what, [mine, theirs]) in [
        ("stdout", both.map(|outcome| &outcome.stdout)),
        ("stderr", both.map(|outcome| &outcome.stderr)),
    ] {
        if mine != theirs && !varies.iter().any(|name| name == what) {
            let [mine, theirs] = [mine, theirs].map(|text| String::from_utf8_lossy(text));
            let _ = write!(message, "--- {what}\n{mine}--- natively\n{theirs}");
        }
    }
    let names: Vec<_> = ferry.files.keys().chain(native.files.keys()).collect();
    for (at, name) in names.iter().enumerate() {
        let [mine, theirs] = [&ferry.files, &native.files].map(|files| files.get(*name));
        let is_new = !names[..at].contains(name);
        if mine != theirs && is_new && !varies.iter().any(|start| name.starts_with(start.as_str()))
        {
            let [mine, theirs] = [mine, theirs].map(|file| file.map_or("absent", String::as_str));
            let _ = writeln!(message, "{name}: {mine}, natively {theirs}");
        }
    }
    (!message.is_empty()).then_some(message)
}

/// Every file below a directory: its kind, mode, and a fingerprint of what it holds.
///
/// # Errors
/// It cannot be read.
pub fn contents(directory: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    add_contents(directory, "", &mut all)?;
    Ok(all)
}

fn add_contents(
    directory: &Path,
    prefix: &str,
    all: &mut BTreeMap<String, String>,
) -> io::Result<()> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            add_contents(&path, &format!("{name}/"), all)?;
            "a directory".to_owned()
        } else if kind.is_symlink() {
            format!("a link to {}", fs::read_link(&path)?.display())
        } else if kind.is_fifo() || kind.is_socket() {
            "a pipe or socket".to_owned()
        } else {
            let bytes = fs::read(&path)?;
            format!("{} bytes {}", bytes.len(), cache::fingerprint([bytes.as_slice()]))
        };
        all.insert(name, format!("{what}, mode {:o}", metadata.permissions().mode()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn traces(script: &str, files: &[(&str, &str)]) -> Traces {
        let mut shell = Command::new("/bin/sh");
        let outcome = process::run(shell.args(["-c", script]), b"", Duration::from_secs(10));
        let files = files.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned()));
        Traces { outcome: outcome.expect("a shell starts"), files: files.collect() }
    }

    #[test]
    fn all_that_a_program_leaves_is_compared() {
        let plain = traces("echo a; echo b >&2", &[("f", "1")]);
        let same = traces("echo a; echo b >&2", &[("f", "1")]);
        assert_eq!(difference(&plain, &same, &[]), None);
        for (script, files, what) in [
            ("echo c; echo b >&2", &[("f", "1")][..], "stdout"),
            ("echo a; echo c >&2", &[("f", "1")], "stderr"),
            ("echo a; echo b >&2; exit 1", &[("f", "1")], "Exit(1)"),
            ("echo a; echo b >&2", &[("f", "2")], "f: 1, natively 2"),
            ("echo a; echo b >&2", &[("f", "1"), ("g", "1")], "g: absent, natively 1"),
        ] {
            let found = difference(&plain, &traces(script, files), &[]).unwrap_or_default();
            assert!(found.contains(what), "{what}: {found}");
        }
        let varies = ["stderr", "f"].map(str::to_owned);
        let other = traces("echo a; echo c >&2", &[("f", "2")]);
        assert_eq!(difference(&plain, &other, &varies), None);
    }

    #[test]
    fn directories_are_read_whole() {
        let directory = cache::subdirectory("native-test").expect("a directory");
        let inner = directory.join("d");
        fs::create_dir_all(&inner).expect("a directory");
        fs::write(inner.join("f"), "text").expect("a file");
        let found = contents(&directory).expect("contents");
        fs::remove_dir_all(&directory).expect("removed");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["d", "d/f"]);
        assert!(found["d/f"].starts_with("4 bytes") && found["d"].starts_with("a directory"));
    }
}
