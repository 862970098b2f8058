//! A machine's time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::device::Time;

/// Where a machine's time comes from.
#[derive(Debug)]
enum Source {
    /// The host's, from a moment on.
    Host(Instant),
    /// What was said last: a CPU that counts its instructions.
    Counted(AtomicU64),
}

/// The clock that all of a machine goes by.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    epoch: u64,
}

/// Unix time, in nanoseconds, at which a machine with counted time begins: 2024-01-01.
const COUNTED_EPOCH: u64 = 1_704_067_200_000_000_000;

impl Clock {
    /// Time passes as the host's does, from now on.
    #[must_use]
    pub fn host() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let epoch = epoch.map_or(0, |since| since.as_nanos() as u64);
        Self { source: Source::Host(Instant::now()), epoch }
    }

    /// Time passes as [`Clock::advance`] says, from a fixed date on: every run is like the other.
    #[must_use]
    pub fn counted() -> Self {
        Self { source: Source::Counted(AtomicU64::new(0)), epoch: COUNTED_EPOCH }
    }

    /// Now.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        match &self.source {
            Source::Host(start) => Time(start.elapsed().as_nanos() as u64),
            Source::Counted(nanos) => Time(nanos.load(Ordering::Acquire)),
        }
    }

    /// Unix time in nanoseconds at [`Time`] 0.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether time is counted.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        matches!(self.source, Source::Counted(_))
    }

    /// Lets counted time pass; the host's passes by itself.
    pub fn advance(&self, nanos: u64) {
        if let Source::Counted(now) = &self.source {
            now.fetch_add(nanos, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_time_passes_when_it_is_told() {
        let clock = Clock::counted();
        assert_eq!(clock.now(), Time(0));
        clock.advance(5);
        clock.advance(7);
        assert_eq!(clock.now(), Time(12));
        let host = Clock::host();
        let before = host.now();
        host.advance(1 << 60);
        assert!(host.now() >= before && host.now().0 < 1 << 60);
        assert!(host.epoch() > COUNTED_EPOCH);
    }
}
