//! A Unix socket that somebody listens at. Ferry connects, and connects again when the listener was away;
//! what the guest writes meanwhile is kept as far as the buffer goes.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Pump;
use super::pump::{End, Readiness, Shared};

/// How long to wait before connecting again.
const INTERVAL: Duration = Duration::from_millis(200);

/// Connects to a socket, as soon as somebody listens.
///
/// # Errors
/// No thread can be started.
pub fn unix(path: &Path) -> io::Result<Pump> {
    let (pump, path) = (Pump::new(false)?, path.to_owned());
    pump.spawn("chars-unix", move |shared| run(shared, &path))?;
    Ok(pump)
}

fn run(shared: &Shared, path: &PathBuf) {
    loop {
        if let Ok(stream) = UnixStream::connect(path) {
            // It fails if the listener is gone already.
            let hang_up = || drop(stream.shutdown(Shutdown::Both));
            if shared.serve(stream.as_fd(), hang_up) == End::Stopped {
                return;
            }
        }
        if shared.poll(None, Some(INTERVAL)) == Readiness::Stopped {
            return;
        }
    }
}
