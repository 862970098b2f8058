//! What misses of a TLB cost, by a clock that is read for some of them.

use std::fmt;
use std::time::Instant;

/// Misses of which one is timed, on average.
const PERIOD: u64 = 16;
/// Nanoseconds after which the host did something else meanwhile.
const LONGEST: u64 = 20_000;
/// Readings of the clock that show what reading it costs.
const READINGS: usize = 64;

/// What became of a miss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The translation was known from an earlier walk.
    Known,
    /// Page tables were walked.
    Walked,
    /// It was no plain access to RAM, or failed.
    Other,
}

/// Times of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
pub struct Cost {
    /// How many were timed.
    pub timed: u64,
    /// Nanoseconds of these together, without reading the clock.
    pub nanos: u64,
    /// How many were left out, since the host did something else meanwhile.
    pub interrupted: u64,
}

impl Cost {
    /// Nanoseconds on average, if any were timed.
    #[must_use]
    pub fn mean(self) -> Option<u64> {
        self.nanos.checked_div(self.timed)
    }

    fn add(&mut self, nanos: u64) {
        if nanos > LONGEST {
            self.interrupted += 1;
        } else {
            self.timed += 1;
            self.nanos += nanos;
        }
    }
}

/// Times by what became of the miss: from the failed probe to the address that the access uses.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize)]
pub struct MissCosts {
    /// Misses whose translation was known.
    pub known: Cost,
    /// Misses that walked page tables.
    pub walked: Cost,
}

impl fmt::Display for MissCosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (cost, what) in [
            (self.known, "ns for a miss whose walk is known"),
            (self.walked, "ns for a miss that walks page tables"),
        ] {
            if let Some(mean) = cost.mean() {
                writeln!(f, "{mean:>16}  {what}, on average of {}", cost.timed)?;
            }
        }
        Ok(())
    }
}

/// Chooses which misses are timed.
#[derive(Debug)]
pub(crate) struct Sampler {
    until_next: u64,
    state: u64,
    /// Nanoseconds that reading the clock adds.
    overhead: u64,
    pub(crate) costs: MissCosts,
}

impl Sampler {
    pub(crate) fn new() -> Self {
        let reading = || Instant::now().elapsed().as_nanos() as u64;
        let overhead = (0..READINGS).map(|_| reading()).min().unwrap_or_default();
        Self { until_next: 1, state: 0x9e37_79b9_7f4a_7c15, overhead, costs: MissCosts::default() }
    }

    /// The time, if this miss is to be timed.
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        self.until_next -= 1;
        if self.until_next > 0 {
            return None;
        }
        // Not in step with any loop of the guest's.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.until_next = 1 + self.state % (2 * PERIOD - 1);
        Some(Instant::now())
    }

    pub(crate) fn end(&mut self, start: Instant, outcome: Outcome) {
        let nanos = (start.elapsed().as_nanos() as u64).saturating_sub(self.overhead);
        match outcome {
            Outcome::Known => self.costs.known.add(nanos),
            Outcome::Walked => self.costs.walked.add(nanos),
            Outcome::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_timed() {
        let mut sampler = Sampler::new();
        let outcomes = [Outcome::Known, Outcome::Walked, Outcome::Other];
        for outcome in outcomes.into_iter().cycle().take(48_000) {
            if let Some(start) = sampler.begin() {
                sampler.end(start, outcome);
            }
        }
        let MissCosts { known, walked } = sampler.costs;
        assert!((500..2000).contains(&known.timed), "{known:?}");
        assert!((500..2000).contains(&walked.timed), "{walked:?}");
        assert_eq!(Cost::default().mean(), None);
        let mut cost = Cost::default();
        [3, 4, LONGEST + 1, 5].into_iter().for_each(|nanos| cost.add(nanos));
        assert_eq!((cost.mean(), cost.timed, cost.interrupted), (Some(4), 3, 1));
        assert_eq!(MissCosts::default().to_string(), "");
    }
}
