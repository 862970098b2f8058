//! `--by call`: a comparison at system calls. The program is run again and again, each time by a process of its own, as guest addresses
//! are the host's: at full speed to where the sides part, then instruction by instruction from the last call before that. Two tiers
//! of Ferry are recorded there, which is much faster than to step one behind gdb's protocol; but it only will do where nothing
//! comes from outside.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::diff::guest::{Outside, outside};
use ::diff::{Counts, Execution as _, Recorded, Verdict};
use clap::ValueEnum;
use live::{Calls, Parted, Replayed};
use trace::{Event, Sink as _, Source as _, native};

use super::input::Input;
use super::record::Temporary;
use super::side::{Side, name};
use super::spec::Spec;
use super::{DIFFERENT, DiffArgs, From, NOT_COMPARED, SAME};
use crate::trace::file::Known;

/// The sides agree up to the next call, and nothing came from outside.
const STEPS_AGREE: u8 = 3;

/// What one process does.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// From the last call on at full speed.
    Run,
    /// From the last call to the next one, instruction by instruction.
    Step,
    /// The same, the reference's tier alone, recorded.
    RecordReference,
    /// The same, the subject's.
    RecordSubject,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Step => "step",
            Self::RecordReference => "record-reference",
            Self::RecordSubject => "record-subject",
        }
    }
}

/// The whole comparison; returns the exit status.
pub(super) fn compare(args: &DiffArgs) -> Result<u8, String> {
    let name = format!("ferry-diff-{}.calls", std::process::id());
    let file = Temporary::new(std::env::temp_dir().join(name));
    fs::write(file.path(), "").map_err(|error| format!("{}: {error}", file.path().display()))?;
    let mut input = Input::new()?;
    loop {
        let (status, said) = run(file.path(), Part::Run, input.again()?)?;
        let before = agreed(file.path())?.len();
        if status != Some(DIFFERENT.into()) && status.is_some() {
            return Ok(status.and_then(|status| u8::try_from(status).ok()).unwrap_or(NOT_COMPARED));
        }
        let how = match status {
            Some(_) => said,
            None => "the subject dies of a signal".to_owned(),
        };
        let status = match compare_records(args, file.path(), &mut input)? {
            Some(status) => Some(status),
            None => {
                let (status, _) = run(file.path(), Part::Step, input.again()?)?;
                status.and_then(|status| u8::try_from(status).ok())
            }
        };
        match status {
            // What came from outside, and is taken over instruction by instruction, was the difference.
            Some(SAME) if agreed(file.path())?.len() > before => {}
            Some(SAME | STEPS_AGREE) => {
                crate::print(&format!(
                    "different: after {} system calls {how}\n  Instruction by instruction the sides agree up to the next call: \
                     it takes several, compiled together, to make the difference.\n",
                    agreed(file.path())?.len()
                ));
                return Ok(DIFFERENT);
            }
            other => return Ok(other.unwrap_or(NOT_COMPARED)),
        }
    }
}

/// Runs a part of the comparison in a process of its own; returns its exit status, and what it says of how the sides part.
fn run(file: &Path, part: Part, input: Stdio) -> Result<(Option<i32>, String), String> {
    let failed = |error: std::io::Error| format!("cannot run ferry: {error}");
    let own = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(own);
    let mut args: Vec<_> = std::env::args_os().skip(1).collect();
    let options: [OsString; 4] =
        ["--calls".into(), file.into(), "--calls-part".into(), part.name().into()];
    // Behind `diff`, before everything else.
    args.splice(1..1, options);
    command.args(args).stdin(input);
    if part != Part::Run {
        let status = command.status().map_err(failed)?;
        return Ok((status.code(), String::new()));
    }
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut said).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if status.code() != Some(DIFFERENT.into()) {
        crate::print(&said);
    }
    Ok((status.code(), said.trim().to_owned()))
}

/// Records both tiers from the last call on, and compares that: [`DIFFERENT`] or [`STEPS_AGREE`]; `None` if something comes from outside,
/// or a side cannot be recorded.
fn compare_records(args: &DiffArgs, file: &Path, input: &mut Input) -> Result<Option<u8>, String> {
    if !matches!((&args.reference, &args.subject), (Spec::Tier(_), Spec::Tier(_))) {
        return Ok(None);
    }
    let (reference, subject) = (Temporary::new(record(file, 0)), Temporary::new(record(file, 1)));
    for part in [Part::RecordReference, Part::RecordSubject] {
        if run(file, part, input.again()?)?.0 != Some(SAME.into()) {
            return Ok(None);
        }
    }
    let open = |path: &Path, spec: &Spec| {
        let (_, source) = crate::trace::file::open(path, Known::default())?;
        Ok::<_, String>(Side::new(name(args, spec), Recorded(source)))
    };
    let sides = (open(reference.path(), &args.reference)?, open(subject.path(), &args.subject)?);
    let (verdict, _) = super::compare_sides(args, sides.0, sides.1, &From::Call)?;
    let is_same = matches!(verdict, Verdict::Same(_));
    Ok(Some(if is_same { STEPS_AGREE } else { DIFFERENT }))
}

/// Where a side's record lies.
fn record(file: &Path, side: usize) -> PathBuf {
    file.with_extension(format!("{side}.trace"))
}

/// Records a side from the last call to the next. Gives [`STEPS_AGREE`] where something comes from outside before that.
fn record_part(args: &DiffArgs, calls: &[u64], (spec, path): (&Spec, &Path)) -> Result<u8, String> {
    let text = |error: trace::Error| error.to_string();
    let &Spec::Tier(tier) = spec else { return Ok(NOT_COMPARED) };
    let mut reference = Side::past(args, calls)?;
    let architecture = reference.execution.header().architecture;
    let mut replayed = Replayed::new(architecture, args.cpu.as_deref(), tier).map_err(text)?;
    replayed.begin(&mut *reference.execution).map_err(text)?;
    let mut known = reference.execution.state().map(|state| state.registers()).unwrap_or_default();
    drop(reference);
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut writer = native::Writer::new(file, replayed.header()).map_err(text)?;
    let mut event = Event::default();
    while replayed.next(&mut event).map_err(text)? {
        // The first event shows all registers.
        known.retain(|old| event.writes.iter().all(|new| new.register != old.register));
        event.writes.append(&mut known);
        writer.write(&event).map_err(text)?;
        match outside(architecture, &event) {
            None => {}
            Some(Outside::Kernel) => break,
            Some(_) => return Ok(STEPS_AGREE),
        }
    }
    writer.finish().map_err(text)?;
    Ok(SAME)
}

/// The calls on which the sides agree.
fn agreed(file: &Path) -> Result<Vec<u64>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let parse = |line: &str| u64::from_str_radix(line, 16).map_err(|error| error.to_string());
    text.lines().map(parse).collect()
}

/// One part of it; returns the exit status.
pub(super) fn part(args: &DiffArgs, file: &Path, part: Part) -> Result<u8, String> {
    #[cfg(feature = "defects")]
    base::defect::seed(args.defect);
    let calls = agreed(file)?;
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let mut out = File::options().append(true).open(file).map_err(|error| failed(&error))?;
    match part {
        Part::Run => run_part(args, &calls, &mut out),
        Part::Step => step_part(args, &calls, &mut out),
        Part::RecordReference => record_part(args, &calls, (&args.reference, &record(file, 0))),
        Part::RecordSubject => record_part(args, &calls, (&args.subject, &record(file, 1))),
    }
}

fn run_part(args: &DiffArgs, calls: &[u64], out: &mut File) -> Result<u8, String> {
    let text = |error: trace::Error| error.to_string();
    let reference = Side::remote(args)?;
    let architecture = reference.header().architecture;
    let subject = Side::unobserved(args, architecture)?;
    let mut both = Calls::new(reference, subject, calls).map_err(text)?;
    let mut count = calls.len() as u64;
    // A line at a time: what is written counts, though this process dies.
    let parted = both.run(|pc| {
        let _ = writeln!(out, "{pc:x}");
        count += 1;
    });
    match parted.map_err(text)? {
        Parted::Before(how) => {
            crate::print(&format!("{how}\n"));
            Ok(DIFFERENT)
        }
        Parted::No => {
            let counts =
                Counts { instructions: both.executed(), calls: count, ..Counts::default() };
            let names = [&args.reference, &args.subject].map(|side| name(args, side));
            let verdict = (&Verdict::Same(counts), None);
            super::print_verdict(args, architecture, [&names[0], &names[1]], verdict)?;
            Ok(SAME)
        }
    }
}

fn step_part(args: &DiffArgs, calls: &[u64], out: &mut File) -> Result<u8, String> {
    let mut reference = Side::past(args, calls)?;
    let subject = Side::subject(args, &mut reference)?;
    let architecture = reference.execution.header().architecture;
    let (verdict, at) = super::compare_sides(args, reference, subject, &From::Call)?;
    let Verdict::Same(counts) = verdict else { return Ok(DIFFERENT) };
    if counts.adopted.saturating_sub(counts.calls) + counts.unknown == 0 {
        return Ok(STEPS_AGREE);
    }
    if let Some(pc) = at {
        let _ = writeln!(out, "{:x}", pc.wrapping_sub(live::call_bytes(architecture)));
    }
    Ok(SAME)
}
