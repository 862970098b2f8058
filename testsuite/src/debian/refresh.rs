//! Resolves the wanted packages against the mirror's current index, and pins what comes out.
//!
//! apt does it, in directories of its own: the host's package state is neither read nor changed.

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
    for package in &mut packages {
        package.sha256 = apt.sha256_of(package)?;
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

    fn sha256_of(&self, package: &Package) -> Result<String, Error> {
        let record =
            self.run("apt-cache", &["show", &format!("{}={}", package.name, package.version)])?;
        let digest =
            record.lines().find_map(|line| line.strip_prefix("SHA256: ")).unwrap_or_default();
        Ok(digest.to_owned())
    }
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
    use super::{Mirror, parse_uri_line};

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
