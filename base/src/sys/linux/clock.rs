//! The host's clocks.

#![expect(unsafe_code, reason = "the system call")]

/// CLOCK_MONOTONIC in nanoseconds.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing, and the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What a clock says, in seconds and nanoseconds; `None` if there is no such clock.
#[must_use]
pub fn now(clock: i32) -> Option<(i64, i64)> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing; an unknown clock is an error.
    let answer = unsafe { libc::clock_gettime(clock, &raw mut now) };
    (answer == 0).then_some((now.tv_sec, now.tv_nsec))
}
