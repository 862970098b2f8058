//! A machine's time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::device::Time;

/// Where a machine's time comes from.
#[derive(Debug)]
enum Source {
    /// The host's, from a moment on, without the nanoseconds during which the machine stood still.
    Host { start: Instant, still: AtomicU64, stopped_at: AtomicU64 },
    /// What was said last: a CPU that counts its instructions.
    Counted(AtomicU64),
}

/// The clock that all of a machine goes by.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    epoch: u64,
}

/// In `stopped_at`: time passes.
const RUNNING: u64 = u64::MAX;

/// Unix time, in nanoseconds, at which a machine with counted time begins: 2024-01-01.
const COUNTED_EPOCH: u64 = 1_704_067_200_000_000_000;

impl Clock {
    /// Time passes as the host's does, from now on.
    #[must_use]
    pub fn host() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let epoch = epoch.map_or(0, |since| since.as_nanos() as u64);
        let (still, stopped_at) = (AtomicU64::new(0), AtomicU64::new(RUNNING));
        Self { source: Source::Host { start: Instant::now(), still, stopped_at }, epoch }
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
            Source::Host { start, still, stopped_at } => match stopped_at.load(Ordering::Acquire) {
                RUNNING => {
                    let passed = start.elapsed().as_nanos() as u64;
                    Time(passed.saturating_sub(still.load(Ordering::Acquire)))
                }
                stopped_at => Time(stopped_at),
            },
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

    /// Lets time stand still, while the machine does. Counted time does so by itself.
    pub fn stop(&self) {
        let now = self.now().0;
        if let Source::Host { stopped_at, .. } = &self.source {
            let _ = stopped_at.compare_exchange(RUNNING, now, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Lets time pass again, from where it stood still.
    pub fn start(&self) {
        if let Source::Host { start, still, stopped_at } = &self.source {
            let at = stopped_at.load(Ordering::Acquire);
            if at != RUNNING {
                still.store(start.elapsed().as_nanos() as u64 - at, Ordering::Release);
                stopped_at.store(RUNNING, Ordering::Release);
            }
        }
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
    fn time_stands_still_while_it_is_stopped() {
        let clock = Clock::host();
        clock.stop();
        let at = clock.now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(clock.now(), at);
        clock.stop();
        clock.start();
        let after = clock.now();
        assert!(after >= at && after.0 - at.0 < 15_000_000, "{at:?} {after:?}");
        clock.start();
        assert!(clock.now() >= after);
    }

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
