//! Compiles C and assembly test programs, for the host and for guests, into the test cache.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io, process};

use crate::cache;

/// A C compiler, by what its programs run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// The machine that the tests run on.
    Host,
    /// RISC-V 64 Linux.
    Riscv64,
    /// AArch64 Linux.
    Aarch64,
    /// x86-64 Linux.
    X86_64,
}

/// Why a program could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The compiler is not installed.
    #[error("{compiler} is not installed (Debian package {package})")]
    NoCompiler {
        /// Its command.
        compiler: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// The compiler rejected the program.
    #[error("{source_file}:\n{message}")]
    Rejected {
        /// The program.
        source_file: PathBuf,
        /// What the compiler said.
        message: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Compiler {
    /// Its command.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Host => "gcc",
            Self::Riscv64 => "riscv64-linux-gnu-gcc",
            Self::Aarch64 => "aarch64-linux-gnu-gcc",
            Self::X86_64 => "x86_64-linux-gnu-gcc",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Host => "gcc",
            Self::Riscv64 => "gcc-riscv64-linux-gnu",
            Self::Aarch64 => "gcc-aarch64-linux-gnu",
            Self::X86_64 => "gcc-x86-64-linux-gnu",
        }
    }

    /// Where the dynamic linker and libraries of its programs are, if not in the host's own `/`.
    #[must_use]
    pub fn sysroot(self) -> Option<&'static Path> {
        match self {
            Self::Host => None,
            Self::Riscv64 => Some(Path::new("/usr/riscv64-linux-gnu")),
            Self::Aarch64 => Some(Path::new("/usr/aarch64-linux-gnu")),
            Self::X86_64 if cfg!(target_arch = "x86_64") => Some(Path::new("/")),
            Self::X86_64 => Some(Path::new("/usr/x86_64-linux-gnu")),
        }
    }

    /// Its first line about itself.
    ///
    /// # Errors
    /// [`Error::NoCompiler`] when it cannot be started.
    pub fn version(self) -> Result<String, Error> {
        let absent = |_| Error::NoCompiler { compiler: self.program(), package: self.package() };
        let output = Command::new(self.program()).arg("--version").output().map_err(absent)?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
    }

    /// Compiles and links one source file; unchanged sources are compiled once.
    ///
    /// Headers beside the source and in the directory above count as part of it. Libraries in `flags` come after the source.
    ///
    /// # Errors
    /// When the compiler is absent or rejects the source, warnings included.
    pub fn build(self, source: &Path, flags: &[&str]) -> Result<PathBuf, Error> {
        let version = self.version()?;
        let mut parts = vec![version.into_bytes(), fs::read(source)?];
        parts.extend(flags.iter().map(|flag| flag.as_bytes().to_vec()));
        parts.extend(headers_of(source)?);
        let stem = source.file_stem().and_then(OsStr::to_str).unwrap_or("program");
        let fingerprint = cache::fingerprint(parts.iter().map(Vec::as_slice));
        let directory = cache::subdirectory("built")?;
        let program = directory.join(format!("{stem}-{:?}-{fingerprint}", self).to_lowercase());
        if !program.exists() {
            // Several test processes may build the same program at once.
            static UNIQUE: AtomicU32 = AtomicU32::new(0);
            let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
            let partial = program.with_extension(format!("{}-{unique}", process::id()));
            self.compile(source, flags, &partial)?;
            fs::rename(&partial, &program)?;
        }
        Ok(program)
    }

    fn compile(self, source: &Path, flags: &[&str], output: &Path) -> Result<(), Error> {
        let result = Command::new(self.program())
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(output)
            .arg(source)
            .args(flags)
            .output()?;
        if result.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&result.stderr).into_owned();
        Err(Error::Rejected { source_file: source.to_owned(), message })
    }
}

fn headers_of(source: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut headers: Vec<PathBuf> = vec![];
    for directory in source.ancestors().skip(1).take(2) {
        let files = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
        headers.extend(files.iter().map(fs::DirEntry::path));
    }
    headers.retain(|path| path.extension() == Some(OsStr::new("h")));
    headers.sort();
    headers.iter().map(fs::read).collect()
}
