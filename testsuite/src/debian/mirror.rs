//! Finds the Debian mirror that the host uses, and fetches files from it with the host's apt.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::{Error, Package};
use crate::host_program::{self, stderr_of};

const HELPER: &str = "/usr/lib/apt/apt-helper";
/// Suites that only a Debian mirror has.
const DEBIAN_SUITES: [&str; 9] =
    ["buster", "bullseye", "bookworm", "trixie", "forky", "stable", "testing", "unstable", "sid"];

/// The root of a Debian archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Without a slash at its end.
    pub url: String,
}

impl Mirror {
    /// `$FERRY_DEBIAN_MIRROR`, or the first Debian archive among the host's apt sources.
    ///
    /// # Errors
    /// [`Error::NoMirror`] when there is neither.
    pub fn of_host() -> Result<Self, Error> {
        if let Ok(url) = env::var("FERRY_DEBIAN_MIRROR") {
            return Ok(Self::new(&url));
        }
        source_files()
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok())
            .find_map(|text| first_debian_url(&text))
            .map(|url| Self::new(&url))
            .ok_or(Error::NoMirror)
    }

    fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned() }
    }

    /// Fetches `packages` into `directory`; apt keeps only what has the pinned checksum.
    ///
    /// # Errors
    /// [`Error::Gone`] when one of them cannot be had.
    pub fn fetch(&self, packages: &[&Package], directory: &Path) -> Result<(), Error> {
        // Files are written by the user who runs the tests, wherever the cache is.
        let mut command = Command::new(HELPER);
        command.args(["-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3", "download-file"]);
        for package in packages {
            command.arg(format!("{}/{}", self.url, package.path));
            command.arg(directory.join(package.file_name()));
            command.arg(format!("SHA256:{}", package.sha256));
        }
        let output = host_program::run(&mut command, HELPER, "apt")?;
        let absent = |package: &&&Package| !directory.join(package.file_name()).exists();
        let gone: Vec<String> = packages
            .iter()
            .filter(absent)
            .map(|package| format!("{} {}", package.name, package.version))
            .collect();
        if gone.is_empty() {
            Ok(())
        } else {
            Err(Error::Gone { packages: gone, stderr: stderr_of(&output) })
        }
    }
}

/// In apt's order: the main file, then the parts by name.
fn source_files() -> Vec<PathBuf> {
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let mut parts: Vec<PathBuf> = parts.map(|entry| entry.path()).collect();
    parts.sort();
    parts.insert(0, "/etc/apt/sources.list".into());
    parts
}

/// Understands both forms that sources.list(5) describes.
fn first_debian_url(text: &str) -> Option<String> {
    one_line_style(text).or_else(|| deb822_style(text))
}

fn one_line_style(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let (url, suite) = (words.next()?, words.next()?);
        is_debian(url, suite).then(|| url.to_owned())
    })
}

fn deb822_style(text: &str) -> Option<String> {
    text.split("\n\n").find_map(|stanza| {
        let field =
            |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let url = field("URIs:")?.split_whitespace().next()?;
        let debian = field("Suites:")?.split_whitespace().any(|suite| is_debian(url, suite));
        (field("Types:")?.split_whitespace().any(|kind| kind == "deb") && debian)
            .then(|| url.to_owned())
    })
}

/// Third parties name their suites after Debian's too, but do not put them at `/debian`.
fn is_debian(url: &str, suite: &str) -> bool {
    let suite = suite.split('-').next().unwrap_or(suite);
    DEBIAN_SUITES.contains(&suite) && url.trim_end_matches('/').ends_with("/debian")
}

#[cfg(test)]
mod tests {
    use super::first_debian_url;

    #[test]
    fn finds_the_mirror_in_one_line_style() {
        let text = "# deb http://no/debian trixie main\ndeb http://vendor/apt stable main\n\
                    deb [arch=amd64 signed-by=/k] http://mirror/debian/ trixie main\n";
        assert_eq!(first_debian_url(text).as_deref(), Some("http://mirror/debian/"));
    }

    #[test]
    fn finds_the_mirror_in_deb822_style() {
        let text = "Types: deb\nURIs: http://mirror/debian-security\nSuites: trixie-security\n\n\
                    Types: deb\n# note\nURIs: http://mirror/debian\nSuites: trixie trixie-updates\n";
        assert_eq!(first_debian_url(text).as_deref(), Some("http://mirror/debian"));
    }

    #[test]
    fn other_distributions_have_none() {
        assert_eq!(first_debian_url("deb http://mirror/ubuntu noble main\n"), None);
    }
}
