//! Resolves the wanted packages against the mirror's current index, and pins what comes out.
//!
//! apt does it, in directories of its own: the host's package state is neither read nor changed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, Lock, Manifest, Mirror, Package, Wanted, file_error};
use crate::cache;
use crate::host_program;

/// Rewrites the manifest's lock file and returns its new content.
///
/// # Errors
/// When the mirror cannot be asked, a wanted package does not exist, or the file cannot be written.
pub fn refresh(manifest: &Manifest) -> Result<Lock, Error> {
    let mirror = Mirror::of_host()?;
    let apt = PrivateApt::new(&manifest.wanted, &mirror)?;
    apt.get(&["update"])?;
    let mut install = vec!["install", "--yes", "--no-install-recommends", "--print-uris"];
    install.extend(manifest.wanted.packages.iter().map(String::as_str));
    let listing = apt.get(&install)?;
    let mut packages: Vec<Package> =
        listing.lines().filter_map(|line| parse_uri_line(line, &mirror)).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let digests = apt.digests(&packages)?;
    for package in &mut packages {
        let key = (package.name.clone(), package.version.clone());
        package.sha256 = digests.get(&key).cloned().unwrap_or_default();
    }
    let lock = Lock { packages };
    lock.write(&manifest.lock_path)?;
    Ok(lock)
}

/// An apt that sees one suite of one architecture, and no installed package.
struct PrivateApt {
    options: Vec<String>,
}

impl PrivateApt {
    fn new(wanted: &Wanted, mirror: &Mirror) -> Result<Self, Error> {
        let home = cache::directory().join(format!("apt-{}-{}", wanted.suite, wanted.architecture));
        for part in ["state/lists/partial", "cache/archives/partial"] {
            let path = home.join(part);
            fs::create_dir_all(&path).map_err(file_error(&path))?;
        }
        let status = write(&home.join("status"), "")?;
        let source = format!("deb {} {} main\n", mirror.url, wanted.suite);
        let sources = write(&home.join("sources.list"), &source)?;
        let options = [
            format!("Dir::Etc::SourceList={}", sources.display()),
            "Dir::Etc::SourceParts=-".to_owned(),
            format!("Dir::State={}", home.join("state").display()),
            format!("Dir::State::Status={}", status.display()),
            format!("Dir::Cache={}", home.join("cache").display()),
            format!("APT::Architecture={}", wanted.architecture),
            format!("APT::Architectures={}", wanted.architecture),
            "APT::Sandbox::User=".to_owned(),
        ];
        Ok(Self {
            options: options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect(),
        })
    }

    fn get(&self, arguments: &[&str]) -> Result<String, Error> {
        self.run("apt-get", arguments)
    }

    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(program);
        command.args(&self.options).args(arguments);
        Ok(String::from_utf8(host_program::succeed(&mut command, program, "apt")?)?)
    }

    /// SHA-256 by name and version. One question for all, since apt reads its index for each.
    fn digests(&self, packages: &[Package]) -> Result<HashMap<(String, String), String>, Error> {
        let mut arguments = vec!["show".to_owned()];
        arguments.extend(packages.iter().map(|p| format!("{}={}", p.name, p.version)));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let records = self.run("apt-cache", &arguments)?;
        Ok(records.split("\n\n").filter_map(digest).collect())
    }
}

/// The digest in a package's record.
fn digest(record: &str) -> Option<((String, String), String)> {
    let field = |name: &str| {
        record.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    Some(((field("Package:")?, field("Version:")?), field("SHA256:")?))
}

fn write(path: &Path, text: &str) -> Result<PathBuf, Error> {
    fs::write(path, text).map_err(file_error(path))?;
    Ok(path.to_owned())
}

/// `'URL' NAME_VERSION_ARCHITECTURE.deb SIZE DIGEST`; the digest may be a weaker one than SHA-256.
fn parse_uri_line(line: &str, mirror: &Mirror) -> Option<Package> {
    let mut words = line.split_whitespace();
    let url = words.next()?.strip_prefix('\'')?.strip_suffix('\'')?;
    let path = url.strip_prefix(&mirror.url)?.trim_start_matches('/').to_owned();
    let mut parts = words.next()?.splitn(3, '_');
    let (name, version) = (parts.next()?.to_owned(), parts.next()?.replace("%3a", ":"));
    let size = words.next()?.parse().ok()?;
    Some(Package { name, version, sha256: String::new(), size, path })
}

#[cfg(test)]
mod tests {
    use super::{Mirror, digest, parse_uri_line};

    #[test]
    fn digests_are_found() {
        let record = "Package: git\nVersion: 1:2.47-1\nDescription: x\n SHA256: no\nSHA256: ab\n";
        let expected = (("git".to_owned(), "1:2.47-1".to_owned()), "ab".to_owned());
        assert_eq!(digest(record), Some(expected));
        assert_eq!(digest("Package: git\n"), None);
    }

    #[test]
    fn reads_what_apt_prints() {
        let mirror = Mirror { url: "http://mirror/debian".to_owned() };
        let line = "'http://mirror/debian/pool/main/g/git/git_2.47_riscv64.deb' git_1%3a2.47-1_riscv64.deb 8600 SHA256:ab";
        let package = parse_uri_line(line, &mirror).expect("a good line");
        assert_eq!((package.name.as_str(), package.version.as_str()), ("git", "1:2.47-1"));
        assert_eq!(
            (package.size, package.path.as_str()),
            (8600, "pool/main/g/git/git_2.47_riscv64.deb")
        );
        assert_eq!(parse_uri_line("Building dependency tree...", &mirror), None);
    }
}
