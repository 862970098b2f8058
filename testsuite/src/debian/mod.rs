//! A root directory of unmodified Debian packages for a foreign architecture.
//!
//! What goes in stands in two files under `testsuite/debian`: a list of wanted packages that people
//! edit, and a lock file with the version and SHA-256 of every package of their closure, which
//! `debian-root --refresh` rewrites. Packages come from whatever Debian mirror the host's own apt
//! is configured for.

mod lock;
mod mirror;
mod refresh;
mod root;

use std::path::{Path, PathBuf};
use std::{io, string};

use serde::Deserialize;

use crate::host_program;

pub use lock::{Lock, Package};
pub use mirror::Mirror;
pub use refresh::refresh;
pub use root::{Root, existing, prepare};

/// The list of wanted packages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Debian's name of the release, for example `trixie`.
    pub suite: String,
    /// Debian's name of the architecture, for example `riscv64`.
    pub architecture: String,
    /// Packages to install; what they depend on is added.
    pub packages: Vec<String>,
}

/// One foreign system, by the stem of its two files.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The list that people edit.
    pub wanted: Wanted,
    /// The pinned closure.
    pub lock: Lock,
    lock_path: PathBuf,
}

/// What can go wrong between the manifest and a usable root directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of ours could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The list of wanted packages is malformed.
    #[error("{path}: {source}")]
    Wanted {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// A line of the lock file is malformed.
    #[error("{path}:{line}: expected NAME VERSION SHA256 SIZE PATH")]
    Lock {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The host has no apt, or its sources name no Debian mirror.
    #[error(
        "no Debian mirror: this host's apt sources name none; set FERRY_DEBIAN_MIRROR to the URL of one"
    )]
    NoMirror,
    /// A program that is needed is not there, or failed.
    #[error(transparent)]
    Program(#[from] host_program::Error),
    /// A pinned version cannot be had.
    #[error(
        "cannot fetch {}: the mirror is out of reach, or no longer has these versions; \
         in that case `cargo debian-root --refresh` pins the current ones\n{stderr}", .packages.join(", ")
    )]
    Gone {
        /// Name and version of each.
        packages: Vec<String>,
        /// What apt said.
        stderr: String,
    },
    /// A fetched file is not what was pinned.
    #[error("{path}: its SHA-256 is {found}, not the pinned {expected}")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// From the lock file.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// A program's output is not text.
    #[error("{0}")]
    Text(#[from] string::FromUtf8Error),
}

impl Manifest {
    /// Reads `STEM.toml` and `STEM.lock` from `testsuite/debian`.
    ///
    /// # Errors
    /// When either is absent or malformed.
    pub fn read(stem: &str) -> Result<Self, Error> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("debian");
        let wanted_path = directory.join(format!("{stem}.toml"));
        let text = read(&wanted_path)?;
        let wanted =
            toml::from_str(&text).map_err(|source| Error::Wanted { path: wanted_path, source })?;
        let lock_path = directory.join(format!("{stem}.lock"));
        let lock = Lock::read(&lock_path)?;
        Ok(Self { wanted, lock, lock_path })
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    |source| Error::File { path: path.to_owned(), source }
}
