//! `cargo insn-cases`: writes instruction cases from their lists. See `testsuite/README.md`.
#![expect(clippy::print_stderr, reason = "a command-line tool")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use ferry_testsuite::insn::generate;
use fuzz::guest::{self, Guest};

const USAGE: &str = "usage: insn-cases GUEST [CHAPTER...]
Writes testsuite/insn/GUEST/CHAPTER.ins from CHAPTER.gen, for all chapters that have one by default. Results are
those of the guest's qemu-user, 10.0 or later.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let guest =
        arguments.first().and_then(|name| guest::ALL.into_iter().find(|guest| guest.name == *name));
    let Some(guest) = guest else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match write(guest, &arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("insn-cases: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(guest: &'static Guest, chapters: &[String]) -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("insn").join(guest.name);
    let lists: Vec<PathBuf> = if chapters.is_empty() {
        let entries = fs::read_dir(&directory)?.collect::<Result<Vec<_>, _>>()?;
        let paths = entries.iter().map(fs::DirEntry::path);
        paths.filter(|path| path.extension().is_some_and(|e| e == "gen")).collect()
    } else {
        chapters.iter().map(|name| directory.join(name).with_extension("gen")).collect()
    };
    for list in lists {
        let name = list.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&list).map_err(|e| format!("{}: {e}", list.display()))?;
        let cases = generate::generate(guest, &name, &text)?;
        eprintln!("{name}: {} cases", cases.lines().filter(|line| line.contains("=>")).count());
        fs::write(list.with_extension("ins"), cases)?;
    }
    Ok(())
}
