//! The seeds of random tests: a fresh one each run, or the one that is to be repeated.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// `FERRY_FUZZ_SEED`, or a fresh seed.
///
/// # Panics
/// When the variable's value is no number.
#[must_use]
pub fn of_this_run() -> u64 {
    number("FERRY_FUZZ_SEED").unwrap_or_else(fresh_seed)
}

/// How many cases to make: `FERRY_FUZZ_CASES`.
///
/// # Panics
/// When the variable's value is no number.
#[must_use]
pub fn cases() -> Option<u64> {
    number("FERRY_FUZZ_CASES")
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
