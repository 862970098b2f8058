//! Tests of the floating point: the integer layer against the host's SSE unit, against an
//! independent software implementation and against itself in a wider format; the fast layer against
//! the integer one; and single cases worth a name.

mod apfloat;
mod arm;
mod by_odd;
mod cases;
mod fast;
mod host;
mod operands;

use operands::Operands;

/// Operations tried per operation and rounding mode; on the host, 3 in 16 of them flush subnormals.
const ROUNDS: u32 = 125_000;

/// Operands from a fresh seed, or from `FERRY_FLOAT_SEED` to repeat a failure.
fn operands(test: &str) -> Operands {
    let seed = match std::env::var("FERRY_FLOAT_SEED") {
        Ok(text) => text.parse().expect("FERRY_FLOAT_SEED is a decimal number"),
        Err(_) => fresh_seed(),
    };
    announce(test, seed);
    Operands::new(seed)
}

fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as u64)
}

#[expect(clippy::print_stdout, reason = "shown by the test harness when the test fails")]
fn announce(test: &str, seed: u64) {
    println!("{test}: FERRY_FLOAT_SEED={seed}");
}
