//! Hashes of so many instructions each: of a file, of a program that is run for it, or of a trace. Where they differ, the instructions
//! themselves are compared: of a trace that is there, or of the program that is run again.

use std::ops::Range;
use std::process::Stdio;

use ::diff::Verdict;
use ::diff::report::{Context, NoSymbols, event_line};
use linux_user::ReplicaTier;
use trace::hashes::{Folder, Hashes, Window};
use trace::recording::{Memory, Registers, carries};
use trace::{Carries, Event, RegWrite, Source};

use crate::diff::input::Input;
use crate::diff::record::{self, Temporary};
use crate::diff::side::{Side, name, tier_name};
use crate::diff::spec::Spec;
use crate::diff::{By, DIFFERENT, DiffArgs, From, NOT_COMPARED, Output, compare_sides};
use crate::trace::file::{self, Known};

/// Where hashes differ first.
#[derive(Clone, Debug)]
struct Parted {
    hart: u32,
    /// The instructions of the hart, counted from 0.
    range: Range<u64>,
    /// What either side has there.
    windows: [Option<Window>; 2],
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Compares by hashes, if one side has nothing else or the user says so.
pub(super) fn compare(args: &DiffArgs) -> Result<Option<u8>, String> {
    let mut known = [stored(&args.reference)?, stored(&args.subject)?];
    if args.by != By::Hash && known.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut runs = Runs::default();
    let stored = known.iter().flatten().next();
    let like = match stored {
        Some(stored) => (stored.every, stored.header.carries),
        None => (args.every, common(args)?),
    };
    for (side, known) in known.iter_mut().enumerate() {
        if known.is_none() {
            *known = Some(made(args, side, like, &mut runs)?);
        }
    }
    let [Some(a), Some(b)] = known else { return Ok(None) };
    comparable(&a, &b)?;
    let sides = [a, b];
    match first_difference(args, &sides) {
        None => {
            let instructions = sides[0].events().min(sides[1].events());
            super::same(args, sides[0].header.architecture, instructions).map(Some)
        }
        Some(parted) => inside(args, &sides, &parted, &mut runs).map(Some),
    }
}

/// What the program reads, once it is run.
#[derive(Default)]
struct Runs(Option<Input>);

impl Runs {
    fn input(&mut self) -> Result<Stdio, String> {
        match &mut self.0 {
            Some(input) => input.again(),
            none => none.insert(Input::new()?).again(),
        }
    }
}

/// The hashes of a file that has nothing else.
fn stored(spec: &Spec) -> Result<Option<Hashes>, String> {
    match spec {
        Spec::File(path) => file::read_hashes(path),
        _ => Ok(None),
    }
}

/// What a program is recorded with for its hashes.
const RECORDER: Carries = carries(Memory::LeftOut, Registers::Changed);

/// What hashes of both sides can cover.
fn common(args: &DiffArgs) -> Result<Carries, String> {
    let mut common = carries(Memory::Recorded, Registers::All);
    for (spec, kind) in [0, 1].map(|side| args.side(side)) {
        let own = match spec {
            Spec::File(path) if path.is_file() => {
                let known = Known { kind, architecture: args.arch };
                file::open(path, known)?.1.header().carries
            }
            _ => RECORDER,
        };
        common = Folder::common(&common, &own);
    }
    Ok(common)
}

/// The hashes of a side that is no file of them, of so many instructions each, and of what these carry.
fn made(
    args: &DiffArgs,
    side: usize,
    (every, wanted): (u32, Carries),
    runs: &mut Runs,
) -> Result<Hashes, String> {
    let (spec, kind) = args.side(side);
    let covers_all = wanted.without_memory() == Folder::covered(&RECORDER);
    if let Spec::Tier(tier) = *spec
        && covers_all
    {
        let count = every.to_string();
        let mut what = vec!["--hashes", &count];
        if wanted.loads {
            what.push("--mem");
        }
        let recorded = record::run(args, tier, &what, runs.input()?)?;
        let hashes = file::read_hashes(recorded.path())?;
        return hashes.ok_or_else(|| "the program could not be traced".to_owned());
    }
    if !matches!(spec, Spec::File(_) | Spec::Command(_)) && !args.program.is_empty() {
        runs.input()?;
    }
    let mut opened = Side::open(args, spec, kind)?;
    let mut folder = Folder::new(every, &wanted);
    if let Some(state) = opened.execution.state() {
        folder.know(0, &state.registers()).map_err(text)?;
    }
    folder
        .check(&opened.execution.header().carries)
        .map_err(|lacking| format!("{}: hashes are to cover more: {lacking}", opened.name))?;
    Hashes::of(&mut *opened.execution, folder, every)
        .map_err(|error| format!("{}: {error}", opened.name))
}

/// Whether hashes can be compared with each other.
fn comparable(a: &Hashes, b: &Hashes) -> Result<(), String> {
    let [x, y] = [a, b].map(|side| side.header.architecture.name());
    if x != y {
        return Err(format!("the reference is of {x}, the subject of {y}"));
    }
    if a.every != b.every {
        return Err(format!(
            "the reference has hashes of {} instructions each, the subject of {}: record both with the same number",
            a.every, b.every
        ));
    }
    if a.header.carries != b.header.carries {
        let lacks = |own: &Hashes, other: &Hashes| {
            Folder::new(1, &own.header.carries).check(&other.header.carries).err()
        };
        let what = match (lacks(a, b), lacks(b, a)) {
            (Some(what), _) => {
                format!("the subject's do not cover all that the reference's do: {what}")
            }
            (None, Some(what)) => {
                format!("the reference's do not cover all that the subject's do: {what}")
            }
            (None, None) => "they cover other things".to_owned(),
        };
        return Err(format!("the hashes cannot be compared: {what}"));
    }
    Ok(())
}

/// The first window in which the sides differ, in the reference's order.
fn first_difference(args: &DiffArgs, sides: &[Hashes; 2]) -> Option<Parted> {
    let harts = sides.iter().flat_map(|side| &side.windows).map(|window| window.hart).max()?;
    let of_hart = |hart: u32| {
        let [a, b] = [&sides[0], &sides[1]].map(|side| side.of_hart(hart).collect::<Vec<_>>());
        let at = (0..a.len().max(b.len())).find(|&at| {
            let ends = at >= a.len() && args.prefix;
            a.get(at) != b.get(at) && !ends
        })?;
        let windows = [a.get(at), b.get(at)].map(|window| window.copied().copied());
        let start = at as u64 * u64::from(sides[0].every);
        let events = windows.iter().flatten().map(|window| u64::from(window.events)).max();
        Some(Parted { hart, range: start..start + events.unwrap_or(0), windows })
    };
    let place = |parted: &Parted| {
        let own = sides.iter().zip(&parted.windows);
        let places = own.filter_map(|(side, window)| {
            let window = (*window)?;
            side.windows.iter().position(|other| *other == window)
        });
        places.min()
    };
    (0..=harts).filter_map(of_hart).min_by_key(place)
}

/// Goes on inside the window that differs, if its instructions can be had.
fn inside(
    args: &DiffArgs,
    sides: &[Hashes; 2],
    parted: &Parted,
    runs: &mut Runs,
) -> Result<u8, String> {
    let Range { start, end } = parted.range;
    let every = sides[0].every;
    let told = format!(
        "the hashes of each {every} instructions agree up to instruction {start} of hart {}, and differ in instructions {start} to {}",
        parted.hart,
        end - 1
    );
    let several = sides.iter().flat_map(|side| &side.windows).any(|window| window.hart > 0);
    if several {
        return only_window(
            args,
            &told,
            "there are several harts, which no two runs have in the same order",
        );
    }
    // One at least: where a recording begins, its first event shows all registers, and not what it changed.
    let begin = start.saturating_sub((args.history as u64).max(1));
    let mut opened = Vec::new();
    for (side, hashes) in sides.iter().enumerate() {
        match events(args, (side, hashes), parted, begin, runs)? {
            Some(side) => opened.push(side),
            None => {
                let advice = "name the program after -- to compare these one by one";
                return only_window(args, &told, advice);
            }
        }
    }
    let (Some(subject), Some(reference)) = (opened.pop(), opened.pop()) else {
        return Ok(NOT_COMPARED);
    };
    let registers =
        if reference.registers.is_empty() { subject.registers } else { reference.registers };
    if args.output == Output::Text {
        crate::print(&format!("{told}\n"));
    }
    let architecture = sides[0].header.architecture;
    let from = From::Agreed { instructions: begin, registers, end: Some(end) };
    let (verdict, _) = compare_sides(args, reference.side, subject.side, &from)?;
    if let Verdict::Different(..) = verdict {
        return Ok(DIFFERENT);
    }
    let mut again = Vec::new();
    for (side, hashes) in sides.iter().enumerate() {
        again.extend(events(args, (side, hashes), parted, begin, runs)?);
    }
    let at = outside_difference(&mut again, begin).map_err(text)?;
    let at = at.map_or_else(String::new, |(n, event)| {
        let (names, symbol) = (["", ""], &NoSymbols);
        let context = Context { architecture, names, symbol, explanation: None };
        format!(":\n{}", event_line(n, &event, &context))
    });
    Err(format!(
        "{told}; one by one they differ only in what comes from outside (the time, counters, random numbers, system calls): hashes are for \
         programs that do the same each time{at}"
    ))
}

/// Says in which window the sides part, and why no more than that.
fn only_window(args: &DiffArgs, told: &str, why: &str) -> Result<u8, String> {
    let line = format!("different: {told}\n  {why}\n");
    match args.output {
        Output::Text => crate::print(&line),
        Output::Json | Output::Junit => crate::complain(&line.trim_end()),
    }
    Ok(DIFFERENT)
}

/// A side from an instruction on.
struct Begun {
    side: Side,
    /// Its registers there, if its events do not begin with them.
    registers: Vec<RegWrite>,
}

/// The instructions of a side, from `begin` on to the end of the window or further. `None` if there is nothing to have them from.
fn events(
    args: &DiffArgs,
    (side, hashes): (usize, &Hashes),
    parted: &Parted,
    begin: u64,
    runs: &mut Runs,
) -> Result<Option<Begun>, String> {
    let (spec, kind) = args.side(side);
    let tier = match spec {
        Spec::Tier(tier) => Some(*tier),
        Spec::File(_) if !hashes.recorder.is_empty() => {
            if args.program.is_empty() {
                return Ok(None);
            }
            match Spec::parse(&hashes.recorder)? {
                Spec::Tier(tier) => Some(tier),
                _ => return Err(format!("{}: recorded by {}", name(args, spec), hashes.recorder)),
            }
        }
        _ => None,
    };
    if let Some(tier) = tier {
        let recorded = again(args, tier, begin..parted.range.end, runs)?;
        verify(args, (spec, tier), hashes, (parted, parted.windows[side], begin), &recorded)?;
        let side = Side::recorded(args, tier, recorded, Known::default())?;
        return Ok(Some(Begun { side, registers: Vec::new() }));
    }
    if !matches!(spec, Spec::File(_) | Spec::Command(_)) && !args.program.is_empty() {
        runs.input()?;
    }
    let mut side = Side::open(args, spec, kind)?;
    let state = side.execution.state();
    let mut registers = state.map(|state| state.registers()).unwrap_or_default();
    let mut event = Event::default();
    for _ in 0..begin {
        event.clear();
        if !side.execution.next(&mut event).map_err(text)? {
            break;
        }
        for write in &event.writes {
            match registers.iter_mut().find(|known| known.register == write.register) {
                Some(known) => known.value = write.value,
                None => registers.push(*write),
            }
        }
    }
    Ok(Some(Begun { side, registers }))
}

/// Runs the program again, and records these instructions of it.
fn again(
    args: &DiffArgs,
    tier: ReplicaTier,
    range: Range<u64>,
    runs: &mut Runs,
) -> Result<Temporary, String> {
    let (from, count) = (range.start.to_string(), (range.end - range.start).to_string());
    record::run(args, tier, &["--mem", "--from", &from, "--count", &count], runs.input()?)
}

/// Whether what was recorded now is what the hashes are of.
fn verify(
    args: &DiffArgs,
    (spec, tier): (&Spec, ReplicaTier),
    hashes: &Hashes,
    (parted, expected, begin): (&Parted, Option<Window>, u64),
    recorded: &Temporary,
) -> Result<(), String> {
    let (_, mut source) = file::open(recorded.path(), Known::default())?;
    let found = window(&mut *source, hashes, &parted.range, begin).map_err(text)?;
    if found == expected {
        return Ok(());
    }
    let Range { start, end } = parted.range;
    let last = end - 1;
    Err(format!(
        "{}: the program, run again ({}), is not what was recorded: instructions {start} to {last} have another hash. A comparison by hashes \
         takes a program that does the same each time, so without the time, random numbers, other threads and anything else that changes, and \
         the same arguments, input and environment",
        name(args, spec),
        tier_name(tier)
    ))
}

/// The window of these instructions, of events that begin with the instruction `begin`.
fn window(
    source: &mut dyn Source,
    hashes: &Hashes,
    range: &Range<u64>,
    begin: u64,
) -> Result<Option<Window>, trace::Error> {
    let mut folder = Folder::new(hashes.every, &hashes.header.carries);
    let mut event = Event::default();
    for n in begin..range.end {
        event.clear();
        if !source.next(&mut event)? {
            break;
        }
        // Threads are numbered as they come.
        event.hart = 0;
        if n < range.start {
            folder.pass(&event)?;
        } else if let Some(window) = folder.add(&event)? {
            return Ok(Some(window));
        }
    }
    Ok(folder.finish().pop())
}

/// The first instruction at which two sides differ, by anything that it writes.
fn outside_difference(
    sides: &mut [Begun],
    begin: u64,
) -> Result<Option<(u64, Event)>, trace::Error> {
    let [a, b] = sides else { return Ok(None) };
    let (mut x, mut y) = (Event::default(), Event::default());
    let mut n = begin;
    loop {
        x.clear();
        y.clear();
        if !a.side.execution.next(&mut x)? || !b.side.execution.next(&mut y)? {
            return Ok(None);
        }
        if n > begin && x.writes != y.writes {
            return Ok(Some((n, x)));
        }
        n += 1;
    }
}
