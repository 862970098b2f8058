//! Threads of Ferry's own.

#![expect(unsafe_code, reason = "signal masks")]

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread in which no signal is ever handled: those of the guest are for the guest's
/// threads.
///
/// # Errors
/// The host has no room for another thread.
pub fn spawn_quiet<F>(name: &str, work: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    // SAFETY: both sets are initialised before they are read. The mask is inherited by the new
    // thread, which never changes it.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let thread = Builder::new().name(name.into()).spawn(work);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        thread
    }
}
