//! A pseudo-terminal for a terminal program to open. Programs may come and go; what the guest writes
//! while there is none is kept as far as the buffer goes, and shown to the next one.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::Pump;
use super::pump::{End, Readiness, Shared};

/// How often to look whether somebody has opened it.
const INTERVAL: Duration = Duration::from_millis(100);

/// A pseudo-terminal.
pub struct Pty {
    /// Its backend.
    pub pump: Pump,
    /// What to open.
    pub path: PathBuf,
}

/// Creates a pseudo-terminal.
///
/// # Errors
/// The host has none to give.
pub fn pty() -> io::Result<Pty> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let controller = openpt(flags)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let name = ptsname(&controller, Vec::new())?;
    // Opened and closed once, it reports from now on that nobody has it open.
    let user =
        open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut settings = tcgetattr(&user)?;
    settings.make_raw();
    tcsetattr(&user, OptionalActions::Now, &settings)?;
    drop(user);
    let pump = Pump::new(false)?;
    pump.spawn("chars-pty", move |shared| run(shared, &controller))?;
    Ok(Pty { pump, path: PathBuf::from(OsStr::from_bytes(name.as_bytes())) })
}

fn run(shared: &Shared, controller: &OwnedFd) {
    let fd = controller.as_fd();
    loop {
        if is_open(fd) && shared.serve(fd, || ()) == End::Stopped {
            return;
        }
        if shared.poll(None, Some(INTERVAL)) == Readiness::Stopped {
            return;
        }
    }
}

/// Whether somebody has the other side open.
fn is_open(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready == 0)
}
