//! The lock file: one line a package, in the order of their names.

use std::fmt::Write as _;
use std::path::Path;

use super::{Error, file_error, read};
use crate::cache;

/// One pinned package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Debian's name.
    pub name: String,
    /// Version with epoch and revision.
    pub version: String,
    /// Of the package file, in lower-case hexadecimal.
    pub sha256: String,
    /// Of the package file, in bytes.
    pub size: u64,
    /// Below the mirror's root.
    pub path: String,
}

/// Every package of a closure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// In the order of their names.
    pub packages: Vec<Package>,
}

impl Lock {
    /// Reads a lock file; an absent one is empty, so that a new manifest can be refreshed.
    ///
    /// # Errors
    /// When it cannot be read or a line is malformed.
    pub fn read(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            return Ok(Self::default());
        }
        Self::parse(&read(path)?).map_err(|line| Error::Lock { path: path.to_owned(), line })
    }

    fn parse(text: &str) -> Result<Self, usize> {
        let lines =
            text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
        let packages = lines
            .map(|(index, line)| Package::parse(line).ok_or(index + 1))
            .collect::<Result<_, _>>()?;
        Ok(Self { packages })
    }

    /// The text that [`Lock::read`] reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Written by `debian-root --refresh`. NAME VERSION SHA256 SIZE PATH, one package a line.\n",
        );
        for Package { name, version, sha256, size, path } in &self.packages {
            let _ = writeln!(text, "{name} {version} {sha256} {size} {path}");
        }
        text
    }

    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        std::fs::write(path, self.to_text()).map_err(file_error(path))
    }

    /// A name for exactly this set of packages.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        cache::fingerprint(self.packages.iter().map(|package| package.sha256.as_bytes()))
    }
}

impl Package {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ').map(str::to_owned);
        let package = Self {
            name: words.next()?,
            version: words.next()?,
            sha256: words.next()?,
            size: words.next()?.parse().ok()?,
            path: words.next()?,
        };
        let digest =
            package.sha256.len() == 64 && package.sha256.bytes().all(|b| b.is_ascii_hexdigit());
        (digest && words.next().is_none()).then_some(package)
    }

    /// The last part of [`Package::path`].
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::Lock;

    const LINE: &str = "zstd 1.5.7+dfsg-1 \
        00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff 700 pool/main/libz/libzstd/zstd.deb";

    #[test]
    fn text_parses_back() {
        let lock = Lock::parse(LINE).expect("a good line");
        assert_eq!(lock.packages[0].file_name(), "zstd.deb");
        assert_eq!(Lock::parse(&lock.to_text()), Ok(lock));
    }

    #[test]
    fn malformed_lines_are_named() {
        assert_eq!(Lock::parse("# comment\n\nzstd 1.5.7"), Err(3));
        assert_eq!(Lock::parse(&LINE.replace("0011", "")), Err(1));
        assert_eq!(Lock::parse(&format!("{LINE} more")), Err(1));
    }
}
