//! Talks to a program through its standard input and output, as somebody at a terminal would:
//! waits for a text, answers, goes on. Every wait has a limit, and the program's whole process group
//! is killed when the conversation is dropped.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::process::{End, Group};

/// Output beyond this is a runaway program.
const OUTPUT_LIMIT: usize = 64 << 20;
/// Of what was said last, an error shows this many bytes.
const SHOWN: usize = 3000;

/// Why a conversation did not go as expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text did not come.
    #[error("no {pattern:?} within {seconds} s; the last output was:\n{output}")]
    TimedOut {
        /// What was waited for.
        pattern: String,
        /// How long.
        seconds: u64,
        /// The end of the output.
        output: String,
    },
    /// The program closed its output instead.
    #[error("it ended while {pattern:?} was expected; the last output was:\n{output}")]
    Closed {
        /// What was waited for.
        pattern: String,
        /// The end of the output, standard error included.
        output: String,
    },
    /// It is still running.
    #[error("it did not end within {seconds} s; the last output was:\n{output}")]
    StillRunning {
        /// How long.
        seconds: u64,
        /// The end of the output.
        output: String,
    },
    /// It writes without end.
    #[error("it wrote more than {OUTPUT_LIMIT} bytes")]
    TooMuch,
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a command in the guest's shell did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit status.
    pub status: i32,
    /// What it printed, with plain newlines.
    pub output: String,
    /// From the moment that it began to the moment that it ended, as seen from here.
    pub time: Duration,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit status or signal.
    pub end: End,
    /// User and system time.
    pub cpu: Duration,
    /// All that it wrote to standard output.
    pub output: String,
    /// All that it wrote to standard error.
    pub errors: String,
}

enum Piece {
    Output(Vec<u8>),
    Errors(Vec<u8>),
}

/// A running program and what it said so far.
#[derive(Debug)]
pub struct Console {
    child: Child,
    group: Group,
    input: Option<File>,
    pieces: Receiver<Piece>,
    output: Vec<u8>,
    errors: Vec<u8>,
    /// Up to here the output has been waited for.
    seen: usize,
    commands: u32,
    reaped: bool,
}

impl Console {
    /// Starts `command` in a process group of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut console = Self::spawn(command.stdin(Stdio::piped()))?;
        console.input = console.child.stdin.take().map(|input| File::from(OwnedFd::from(input)));
        Ok(console)
    }

    /// Starts `command` with a terminal as its standard input, though not as the one that it is controlled
    /// by. It has 80 columns and 24 rows.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_on_terminal(command: &mut Command) -> io::Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let name = ptsname(&controller, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = open(name.as_c_str(), flags, Mode::empty())?;
        set_size(&controller, 80, 24)?;
        let mut console = Self::spawn(command.stdin(terminal))?;
        console.input = Some(File::from(controller));
        Ok(console)
    }

    fn spawn(command: &mut Command) -> io::Result<Self> {
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let group = Group::of(&child)?;
        let (sender, pieces) = mpsc::channel();
        if let Some(stream) = child.stdout.take() {
            forward(stream, sender.clone(), Piece::Output);
        }
        if let Some(stream) = child.stderr.take() {
            forward(stream, sender, Piece::Errors);
        }
        Ok(Self {
            child,
            group,
            input: None,
            pieces,
            output: vec![],
            errors: vec![],
            seen: 0,
            commands: 0,
            reaped: false,
        })
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives the terminal that it was started on another size, and tells the program.
    ///
    /// # Errors
    /// It has none, or the system refuses.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let terminal = self.input.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        set_size(terminal, columns, rows)?;
        self.group.signal(libc::SIGWINCH);
        Ok(())
    }

    /// Kills the program, and returns what it said up to then.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(mut self) -> Result<Ended, Error> {
        self.group.kill();
        self.reaped = true;
        let (end, cpu) = self.group.reap()?;
        // All that was written is still there.
        while let Ok(piece) = self.pieces.recv() {
            match piece {
                Piece::Output(bytes) => self.output.extend(bytes),
                Piece::Errors(bytes) => self.errors.extend(bytes),
            }
        }
        Ok(self.ended(end, cpu))
    }

    fn ended(&self, end: End, cpu: Duration) -> Ended {
        Ended {
            end,
            cpu,
            output: String::from_utf8_lossy(&self.output).into_owned(),
            errors: String::from_utf8_lossy(&self.errors).into_owned(),
        }
    }

    /// Waits until the program has printed `pattern`, after what was waited for before; returns all
    /// up to it.
    ///
    /// # Errors
    /// When it does not come in time, or cannot come any more.
    pub fn wait_for(&mut self, pattern: &str, limit: Duration) -> Result<String, Error> {
        let deadline = Instant::now() + limit;
        let mut from = self.seen;
        loop {
            if let Some(at) = find(&self.output[from..], pattern.as_bytes()) {
                let end = from + at + pattern.len();
                let text = String::from_utf8_lossy(&self.output[self.seen..end]).into_owned();
                self.seen = end;
                return Ok(text);
            }
            // What has arrived so far may hold the beginning of it.
            from = self.output.len().saturating_sub(pattern.len()).max(self.seen);
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(left)? {
                None => {}
                Some(RecvTimeoutError::Timeout) => {
                    return Err(Error::TimedOut {
                        pattern: pattern.to_owned(),
                        seconds: limit.as_secs(),
                        output: self.recent(),
                    });
                }
                Some(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Closed {
                        pattern: pattern.to_owned(),
                        output: self.recent(),
                    });
                }
            }
        }
    }

    /// Types `text`; nothing is added to it.
    ///
    /// # Errors
    /// When the program does not listen any more.
    pub fn send(&mut self, text: &str) -> Result<(), Error> {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        let input = self.input.as_mut().ok_or_else(closed)?;
        input.write_all(text.as_bytes())?;
        input.flush()?;
        Ok(())
    }

    /// Has the shell at the other end run `command`, one or more lines, and waits for its end.
    ///
    /// # Errors
    /// As [`Console::wait_for`].
    pub fn command(&mut self, command: &str, limit: Duration) -> Result<Answer, Error> {
        self.commands += 1;
        let number = self.commands;
        // The terminal shows what is typed before any of it runs; there, the quotes keep the marks
        // apart from the output.
        self.send(&format!("{{ echo '@'begin{number}; {command}\n}}; echo '@'end{number} $?\n"))?;
        self.wait_for(&format!("@begin{number}\r\n"), limit)?;
        let start = Instant::now();
        let end = format!("@end{number} ");
        let output = self.wait_for(&end, limit)?;
        let time = start.elapsed();
        let status = self.wait_for("\r\n", limit)?;
        let output = output.strip_suffix(&end).unwrap_or(&output);
        Ok(Answer { status: status.trim().parse().unwrap_or(-1), output: plain(output), time })
    }

    /// Closes the program's input and waits for its end.
    ///
    /// # Errors
    /// When it goes on for longer than `limit`; it is killed then.
    pub fn end(mut self, limit: Duration) -> Result<Ended, Error> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(left)? {
                None => {}
                Some(RecvTimeoutError::Disconnected) => break,
                Some(RecvTimeoutError::Timeout) => {
                    return Err(Error::StillRunning {
                        seconds: limit.as_secs(),
                        output: self.recent(),
                    });
                }
            }
        }
        self.input = None;
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        if !self.group.wait(left)? {
            return Err(Error::StillRunning { seconds: limit.as_secs(), output: self.recent() });
        }
        self.reaped = true;
        let (end, cpu) = self.group.reap()?;
        self.group.kill();
        Ok(self.ended(end, cpu))
    }

    /// The end of what was said, for messages.
    #[must_use]
    pub fn recent(&self) -> String {
        let from = self.output.len().saturating_sub(SHOWN);
        let mut text = plain(&String::from_utf8_lossy(&self.output[from..]));
        let errors = String::from_utf8_lossy(&self.errors);
        if !errors.is_empty() {
            let _ = write!(text, "\n--- errors\n{errors}");
        }
        text
    }

    /// Takes what has arrived; says why, when nothing did.
    fn receive(&mut self, limit: Duration) -> Result<Option<RecvTimeoutError>, Error> {
        match self.pieces.recv_timeout(limit) {
            Ok(Piece::Output(bytes)) => self.output.extend(bytes),
            Ok(Piece::Errors(bytes)) => self.errors.extend(bytes),
            Err(reason) => return Ok(Some(reason)),
        }
        if self.output.len() + self.errors.len() > OUTPUT_LIMIT {
            return Err(Error::TooMuch);
        }
        Ok(None)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if !self.reaped {
            self.group.kill();
            // Nobody is told of what happens to a conversation that was given up.
            let _ = self.group.reap();
        }
    }
}

fn set_size(terminal: impl std::os::fd::AsFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}

fn forward(
    mut stream: impl Read + Send + 'static,
    sender: mpsc::Sender<Piece>,
    wrap: fn(Vec<u8>) -> Piece,
) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if sender.send(wrap(buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len().max(1)).position(|window| window == pattern)
}

/// Without carriage returns and terminal control sequences (ECMA-48: `ESC [ … letter`).
fn plain(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {}
            '\x1b' => {
                if characters.next() == Some('[') {
                    let _ = characters.find(|c| ('@'..='~').contains(c));
                }
            }
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Console {
        Console::start(Command::new("/bin/sh").args(["-c", script])).expect("a shell starts")
    }

    #[test]
    fn asks_and_answers() {
        let mut console = shell("printf 'name: '; read name; echo \"hello $name\"; exit 4");
        console.wait_for("name: ", LIMIT).expect("it asks");
        console.send("world\n").expect("it listens");
        assert_eq!(console.wait_for("hello ", LIMIT).expect("it answers"), "hello ");
        let ended = console.end(LIMIT).expect("it ends");
        assert_eq!(ended.end, End::Exit(4));
        assert_eq!(ended.output, "name: hello world\n");
    }

    #[test]
    fn a_text_that_does_not_come() {
        let mut console = shell("echo something else; sleep 50");
        let start = Instant::now();
        let error = console.wait_for("login: ", Duration::from_millis(300)).expect_err("never");
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(error.to_string().contains("something else"));
        drop(console);
        assert!(start.elapsed() < LIMIT);
    }

    #[test]
    fn a_program_that_ends_early() {
        let mut console = shell("echo oops >&2");
        let error = console.wait_for("login: ", LIMIT).expect_err("never");
        assert!(matches!(error, Error::Closed { .. }), "{error}");
        assert!(error.to_string().contains("oops"));
    }

    #[test]
    fn a_program_that_goes_on() {
        let console = shell("sleep 50");
        let error = console.end(Duration::from_millis(200)).expect_err("it sleeps");
        assert!(matches!(error, Error::StillRunning { .. }), "{error}");
    }

    #[test]
    fn commands_of_a_shell_behind_a_terminal() {
        // Without a terminal, carriage returns come from sed.
        let mut console = shell("sh -i 2>&1 | sed -u 's/$/\\r/'");
        let answer = console.command("echo one; echo two; (exit 3)", LIMIT).expect("it runs");
        assert_eq!((answer.status, answer.output.as_str()), (3, "one\ntwo\n"));
        let answer = console.command("true", LIMIT).expect("it runs");
        assert_eq!((answer.status, answer.output.as_str()), (0, ""));
    }

    #[test]
    fn control_sequences_go() {
        assert_eq!(plain("\x1b[0;32mOK\x1b[0m\r\n\x1b[6n~ # "), "OK\n~ # ");
    }
}
