//! Seeds, time, and what is said when something is wrong.

use std::cell::Cell;
use std::env;
use std::io::Write as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// For each test.
const TIME: Duration = Duration::from_secs(8);
/// A case that takes longer hangs; most take a few milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Where a case's choices come from: SplitMix64.
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(crate) fn word(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Less than `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.word() % end.max(1)
    }

    /// Once in so many times.
    pub(crate) fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn choose<T: Copy>(&self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A number that something may not be made for.
    pub(crate) fn odd_word(&self) -> u64 {
        match self.below(6) {
            0 => self.below(16),
            1 => 1 << self.below(64),
            2 => (1_u64 << self.below(64)).wrapping_sub(1 + self.below(2)),
            3 => u64::MAX - self.below(0x1000),
            4 => self.word() >> self.below(64),
            _ => self.word(),
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    Some(parsed.unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 ^ u64::from(std::process::id()) << 40
}

/// On the real standard error: the test harness keeps back what a passing test prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Makes cases until the time is over. A case has the seed's and its own number for its choices.
pub(crate) fn run(what: &'static str, case: fn(&Random)) {
    let seed = number("FERRY_FUZZ_SEED").unwrap_or_else(fresh_seed);
    let wanted = number("FERRY_FUZZ_CASES");
    say(&format!("{what}: FERRY_FUZZ_SEED={seed:#x}"));
    let (sender, begun) = channel();
    let start = Instant::now();
    let worker = thread::spawn(move || {
        for number in 0.. {
            if wanted.map_or(start.elapsed() >= TIME, |wanted| number >= wanted) {
                return number;
            }
            let _ = sender.send(number);
            case(&Random::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95)));
        }
        0
    });
    let mut current = 0;
    let again = |case: u64| {
        format!("{what}: FERRY_FUZZ_SEED={seed:#x} FERRY_FUZZ_CASES={} repeats it", case + 1)
    };
    loop {
        match begun.recv_timeout(LIMIT) {
            Ok(number) => current = number,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("case {current} hangs: {}", again(current)),
        }
    }
    match worker.join() {
        Ok(cases) => {
            say(&format!("{what}: {cases} cases in {:.1} s", start.elapsed().as_secs_f64()));
        }
        Err(_) => panic!("case {current} failed: {}", again(current)),
    }
}
