//! Prepares the Debian root directory that the program suite and the benches run in, and prints
//! where it is.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::process::ExitCode;

use ferry_testsuite::debian::{self, Error, Manifest};

const USAGE: &str = "usage: debian-root [--refresh] [MANIFEST]
Prepares the root directory of MANIFEST (default trixie-riscv64; trixie-arm64, trixie-amd64, trixie-arm64-large, …: the files in
testsuite/debian) in the test cache and prints its path.
  --refresh   first pin the versions that the mirror has now";

fn main() -> ExitCode {
    let mut manifest = "trixie-riscv64".to_owned();
    let mut refresh = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--refresh" => refresh = true,
            "--help" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            option if option.starts_with('-') => {
                eprintln!("debian-root: unknown option {option}\n{USAGE}");
                return ExitCode::from(2);
            }
            name => manifest = name.to_owned(),
        }
    }
    match prepare(&manifest, refresh) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("debian-root: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(name: &str, refresh: bool) -> Result<(), Error> {
    let mut manifest = Manifest::read(name)?;
    if refresh {
        manifest.lock = debian::refresh(&manifest)?;
        eprintln!("debian-root: pinned {} packages", manifest.lock.packages.len());
    }
    let root = debian::prepare(&manifest, &|line| eprintln!("debian-root: {line}"))?;
    println!("{}", root.path.display());
    Ok(())
}
