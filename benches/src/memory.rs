//! The `tlb` family: what single accesses to memory cost, by a program for the bare machine that measures
//! itself (`machine/tlb.c`). Its rows' seconds are those of 10^9 accesses, so nanoseconds of one.

use std::collections::HashMap;
use std::time::Duration;

use rustix::thread::disable_transparent_huge_pages;
use testsuite::bare;
use testsuite::machine::{Emulator, Machine};
use testsuite::process::{self, End};

use crate::boot::Error;
use crate::items::{self, Group, Item, Program};
use crate::run::{Cell, Samples};

const LIMIT: Duration = Duration::from_secs(120);
/// Of the machine.
const MEGABYTES: u32 = 256;

/// Which pages the host gives the emulator's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostPages {
    /// Large ones, if it asks for them.
    AsAsked,
    /// Small ones, whatever it asks for.
    Small,
}

const fn line(name: &'static str, line: &'static str, pages: HostPages) -> Item {
    Item { name, group: Group::Memory, program: Program::Line(line, pages) }
}

/// The rows: lines of the program's output.
pub const ITEMS_OF_MEMORY: [Item; 13] = [
    line("hit-sv39", "hit-sv39", HostPages::AsAsked),
    line("hit-sv48", "hit-sv48", HostPages::AsAsked),
    line("hit-sv57", "hit-sv57", HostPages::AsAsked),
    line("conflict-sv39", "conflict-sv39", HostPages::AsAsked),
    line("conflict-sv48", "conflict-sv48", HostPages::AsAsked),
    line("conflict-sv57", "conflict-sv57", HostPages::AsAsked),
    line("walk-sv39", "walk-sv39", HostPages::AsAsked),
    line("walk-sv48", "walk-sv48", HostPages::AsAsked),
    line("walk-sv57", "walk-sv57", HostPages::AsAsked),
    line("ram", "ram", HostPages::AsAsked),
    line("ram-small", "ram", HostPages::Small),
    line("touch", "touch", HostPages::AsAsked),
    line("touch-small", "touch", HostPages::Small),
];

/// Runs the program `runs` times under each emulator in turn; one cell for each item and emulator, in their
/// orders.
///
/// # Errors
/// The program cannot be built. An emulator's failure is its cells' content.
pub fn measure(
    wanted: &[Item],
    emulators: &[Option<Emulator>],
    runs: usize,
) -> Result<Vec<Vec<Cell>>, Error> {
    let kernel = bare::build(&items::source("machine/tlb.c"))?;
    let machine = Machine {
        harts: 1,
        megabytes: MEGABYTES,
        bios: Some("none".into()),
        kernel: Some(kernel),
        ..Machine::default()
    };
    let start = |emulator: &Option<Emulator>| match emulator {
        Some(_) => Cell::Measured(Samples::default()),
        None => Cell::Absent,
    };
    let mut cells: Vec<Vec<Cell>> =
        wanted.iter().map(|_| emulators.iter().map(start).collect()).collect();
    for _ in 0..runs {
        for (column, emulator) in emulators.iter().enumerate() {
            let Some(emulator) = emulator else { continue };
            for pages in [HostPages::AsAsked, HostPages::Small] {
                let lines = run(emulator, &machine, pages);
                let rows = wanted.iter().zip(&mut cells);
                for (item, row) in rows {
                    if let Program::Line(name, at) = item.program
                        && at == pages
                    {
                        add(&mut row[column], name, &lines);
                    }
                }
            }
        }
    }
    Ok(cells)
}

/// What the program printed.
type Lines = Result<HashMap<String, f64>, String>;

fn run(emulator: &Emulator, machine: &Machine, pages: HostPages) -> Lines {
    // What is started inherits it.
    let only_small = pages == HostPages::Small;
    disable_transparent_huge_pages(only_small).map_err(|error| error.to_string())?;
    let outcome = process::run(&mut emulator.boot(machine), b"", LIMIT);
    disable_transparent_huge_pages(false).map_err(|error| error.to_string())?;
    let outcome = outcome.map_err(|error| error.to_string())?;
    let output = String::from_utf8_lossy(&outcome.stdout).into_owned();
    if outcome.end != End::Exit(0) {
        return Err(format!("{:?}: {output}", outcome.end));
    }
    let number = |line: &str| {
        let (name, picoseconds) = line.trim().split_once(' ')?;
        Some((name.to_owned(), picoseconds.parse::<f64>().ok()? / 1000.0))
    };
    Ok(output.lines().filter_map(number).collect())
}

fn add(cell: &mut Cell, name: &str, lines: &Lines) {
    let Cell::Measured(samples) = &mut *cell else { return };
    match lines.as_ref().map(|lines| lines.get(name)) {
        Ok(Some(&nanoseconds)) => {
            samples.wall.push(nanoseconds);
            samples.cpu.push(nanoseconds);
            samples.peak_memory.push(0);
        }
        Ok(None) => *cell = Cell::Failed(format!("it does not print {name}")),
        Err(reason) => *cell = Cell::Failed(reason.clone()),
    }
}
