//! Runs one program from a small process between the bench and it. Linux counts what a process has in memory before
//! `execve`, too, which would be the bench's own.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, ExitCode};
use std::time::Duration;

use testsuite::process::{self, End, Outcome};

/// The first argument of a bench that is to meter the command that follows.
const ARGUMENT: &str = "--meter";
/// What its last line on standard error begins with. Status, signal, elapsed and CPU time in microseconds, and peak
/// memory in bytes follow.
const REPORT: &str = "metered:";

/// The same command, metered.
///
/// # Errors
/// When the bench's own file cannot be found.
pub fn around(command: &Command) -> io::Result<Command> {
    let mut metered = Command::new(std::env::current_exe()?);
    metered.arg(ARGUMENT).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => metered.env(name, value),
            None => metered.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        metered.current_dir(directory);
    }
    Ok(metered)
}

/// If these are the arguments of a bench that is to meter, does so. Without the bench's name.
#[expect(clippy::print_stderr, reason = "it reports to the bench behind what the program writes")]
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) {
        return None;
    }
    let mut command = Command::new(arguments.next()?);
    Some(match process::run_here(command.args(arguments)) {
        Ok(usage) => {
            let (status, signal) = match usage.end {
                End::Exit(status) => (status, 0),
                End::Signal(signal) => (0, signal),
                End::TimedOut => (0, 0),
            };
            let [wall, cpu] = [usage.wall, usage.cpu].map(|time| time.as_micros());
            eprintln!("\n{REPORT} {status} {signal} {wall} {cpu} {}", usage.peak_memory);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", command.get_program().display());
            ExitCode::FAILURE
        }
    })
}

/// What the metered program did, from what the meter did: unchanged if that reported nothing.
#[must_use]
pub fn metered(mut outcome: Outcome) -> Outcome {
    let Some((report, begin)) = read(&outcome.stderr) else { return outcome };
    let [status, signal, wall, cpu, peak_memory] = report;
    let number = |value: u64| i32::try_from(value).unwrap_or(i32::MAX);
    outcome.end = match signal {
        _ if outcome.end == End::TimedOut => End::TimedOut,
        0 => End::Exit(number(status)),
        signal => End::Signal(number(signal)),
    };
    outcome.wall = Duration::from_micros(wall);
    outcome.cpu = Duration::from_micros(cpu);
    outcome.peak_memory = peak_memory;
    outcome.stderr.truncate(begin);
    outcome
}

/// A report, and where it begins.
fn read(stderr: &[u8]) -> Option<([u64; 5], usize)> {
    let text = stderr.strip_suffix(b"\n")?;
    let begin = text.iter().rposition(|&byte| byte == b'\n')?;
    let line = std::str::from_utf8(&text[begin + 1..]).ok()?;
    let numbers = line.strip_prefix(REPORT)?.split_ascii_whitespace();
    let numbers: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
    Some((numbers.try_into().ok()?, begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(stderr: &str) -> Outcome {
        Outcome {
            end: End::Exit(0),
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
            wall: Duration::from_secs(9),
            cpu: Duration::from_secs(9),
            peak_memory: 1,
        }
    }

    #[test]
    fn reports_stand_for_the_program() {
        let read = metered(outcome("oops\n\nmetered: 3 0 1500 700 4096\n"));
        assert_eq!((read.end, read.stderr.as_slice()), (End::Exit(3), &b"oops\n"[..]));
        assert_eq!(
            (read.wall, read.cpu),
            (Duration::from_micros(1500), Duration::from_micros(700))
        );
        assert_eq!(read.peak_memory, 4096);
        assert_eq!(metered(outcome("\nmetered: 0 11 1 1 1\n")).end, End::Signal(11));
    }

    #[test]
    fn what_is_no_report_changes_nothing() {
        for stderr in [
            "",
            "\n",
            "oops\n",
            "\nmetered: 1 2 3\n",
            "\nmetered: 1 2 3 4 x\n",
            "metered: 0 0 1 1 1",
        ] {
            let read = metered(outcome(stderr));
            assert_eq!((read.peak_memory, read.stderr.as_slice()), (1, stderr.as_bytes()));
        }
    }
}
