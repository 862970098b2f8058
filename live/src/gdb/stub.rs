//! Programs that are started to be debugged, and end with us.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::failed;

/// How long a stub may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that listens for gdb on a socket of its own.
#[derive(Debug)]
pub struct Stub {
    child: Child,
    socket: PathBuf,
    /// Its memory, if its program's addresses are the host's.
    memory: Option<File>,
}

impl Stub {
    /// Starts a command, in which `socket` makes the words that say where to listen.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        command: &OsStr,
        socket: impl FnOnce(&str) -> Vec<OsString>,
        rest: &[OsString],
    ) -> Result<Self, trace::Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferry-gdb-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let child = Command::new(command)
            .args(socket(&path.to_string_lossy()))
            .args(rest)
            // What the program prints must not stand in a report for machines.
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("cannot run {}: {error}", command.display())))?;
        Ok(Self { child, socket: path, memory: None })
    }

    /// Says that it is a Ferry, in which the program's addresses are the host's.
    ///
    /// # Errors
    /// Its memory cannot be opened.
    pub fn with_memory(mut self) -> Result<Self, trace::Error> {
        self.memory = Some(File::open(format!("/proc/{}/mem", self.pid()))?);
        Ok(self)
    }

    /// Reads its program's memory without asking it. `false` if that is not possible, or the memory is not there.
    pub(crate) fn read(&self, addr: u64, into: &mut [u8]) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.read_exact_at(into, addr).is_ok())
    }

    /// Whether its program's addresses are the host's.
    pub(crate) fn has_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Its process's number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Connects, as soon as it listens.
    pub(crate) fn connect(&mut self) -> Result<Connection, trace::Error> {
        let start = Instant::now();
        let address = self.socket.to_string_lossy().into_owned();
        loop {
            match Connection::open(&address) {
                Ok(connection) => return Ok(connection),
                Err(error) if start.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(failed(format!("what should listen for gdb has ended ({status})")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}
