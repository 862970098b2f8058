//! Programs for the bare machine: how they are built from `testsuite/bare`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::toolchain::{Compiler, Error};
use crate::{bare_directory, cache};

/// Without floating point, whose unit is off at the start.
const FLAGS: [&str; 18] = [
    "-march=rv64imac_zicsr_zifencei",
    "-mabi=lp64",
    "-mcmodel=medany",
    "-O2",
    "-g",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-stack-protector",
    "-fno-pic",
    "-no-pie",
    "-fno-tree-loop-distribute-patterns",
    "-fno-omit-frame-pointer",
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-Wl,--build-id=none",
    "-Wl,--no-warn-rwx-segments",
    "-T",
];

/// Builds a program with what all share.
///
/// # Errors
/// When the compiler is absent or rejects it.
pub fn build(source: &Path) -> Result<PathBuf, Error> {
    let support = bare_directory().join("support");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&support)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let contents = files.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    // The compiler's own cache knows of the program and its headers only.
    let version = cache::fingerprint(contents.iter().map(Vec::as_slice));
    let mut flags = FLAGS.map(str::to_owned).to_vec();
    flags.push(support.join("bare.ld").display().to_string());
    flags.push(format!("-DSUPPORT_VERSION=0x{version}"));
    flags.push(format!("-I{}", bare_directory().display()));
    let sources = files.iter().filter(|file| file.extension() != Some(OsStr::new("ld")));
    flags.extend(sources.map(|file| file.display().to_string()));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Compiler::Riscv64.build(source, &flags)
}
