//! Threads of Ferry's own.

#![expect(unsafe_code, reason = "the C library's calls")]

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread in which no signal is handled but faults: those of the guest are for the guest's
/// threads.
///
/// # Errors
/// The host has no room for another thread.
pub fn spawn_quiet<F>(name: &str, work: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    // The mask is inherited by the new thread, which never changes it.
    let faults = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);
    let before = swap_mask(!faults);
    let thread = Builder::new().name(name.into()).spawn(work);
    swap_mask(before);
    thread
}

/// The number of the processor that this thread runs on, or did a moment ago.
#[must_use]
pub fn processor() -> u32 {
    // SAFETY: the call takes nothing; an error, where it is unknown, is negative.
    u32::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0)
}

/// Sets the calling thread's mask, and returns what it was. By the system call itself: the C library
/// keeps two signals out of the masks that it is given, but the guest's own may hold them.
fn swap_mask(new: u64) -> u64 {
    let mut before = 0_u64;
    // SAFETY: both sets are of the size that the kernel is told.
    unsafe {
        let (new, before) = (&raw const new, &raw mut before);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, before, size_of::<u64>());
    }
    before
}
