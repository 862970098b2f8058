//! Time per floating-point operation by path: `cargo run --release -p ferry-base --example float_speed`.
//!
//! Columns: host result taken with NX raised before; NX clear and the result exact; NX clear and
//! inexact; the integer layer on the exact and on the inexact operands. Operations are independent;
//! the environment is in memory, as it is in an interpreter.

#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::hint::black_box;
use std::time::Instant;

use ferry_base::float::{Env, F64, Flags, Rules, fast, soft};

/// Operand pairs cycled through; a power of two.
const PAIRS: usize = 1024;
const REPEATS: usize = 2000;

type Pairs = Vec<(u64, u64)>;

/// Pairs whose sums, products, quotients and square roots are exact: small integers, the first a
/// multiple of the second and a square.
fn exact_pairs() -> Pairs {
    let pair = |i: usize| {
        let b = (i % 37 + 1) as f64;
        ((b * b * b * b).to_bits(), b.to_bits())
    };
    (0..PAIRS).map(pair).collect()
}

/// Pairs for which hardly any operation is exact.
fn inexact_pairs() -> Pairs {
    let pair = |i: usize| {
        let x = (i as f64 + 0.1).sqrt() / 3.0;
        (x.to_bits(), (1.0 / (x + 7.7)).to_bits())
    };
    (0..PAIRS).map(pair).collect()
}

/// Nanoseconds an operation, the best of seven runs; flags are set to `flags` before each.
fn measure(pairs: &Pairs, flags: Flags, op: impl Fn(u64, u64, &mut Env) -> u64) -> f64 {
    let run = || {
        let start = Instant::now();
        let mut env = Env::new(Rules::RISCV);
        let mut sink = 0;
        for _ in 0..REPEATS {
            for &(a, b) in black_box(pairs) {
                env.flags = flags;
                sink ^= op(a, b, black_box(&mut env));
            }
        }
        black_box((sink, env));
        start.elapsed().as_nanos() as f64 / (REPEATS * PAIRS) as f64
    };
    (0..7).map(|_| run()).fold(f64::INFINITY, f64::min)
}

fn row(
    name: &str,
    quick: impl Fn(u64, u64, &mut Env) -> u64,
    exact: impl Fn(u64, u64, &mut Env) -> u64,
) {
    let (even, odd) = (exact_pairs(), inexact_pairs());
    println!(
        "{name:<12}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
        measure(&odd, Flags::NX, &quick),
        measure(&even, Flags::NONE, &quick),
        measure(&odd, Flags::NONE, &quick),
        measure(&even, Flags::NX, &exact),
        measure(&odd, Flags::NX, &exact),
    );
}

fn main() {
    println!("ns an operation, f64, RISC-V rules, to nearest even");
    println!(
        "{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "NX set", "exact", "inexact", "soft ex.", "soft in."
    );
    row("(loop)", |a, _, _| a, |a, _, _| a);
    row("add", fast::add::<F64>, soft::add::<F64>);
    row("sub", fast::sub::<F64>, soft::sub::<F64>);
    row("mul", fast::mul::<F64>, soft::mul::<F64>);
    row("div", fast::div::<F64>, soft::div::<F64>);
    row("sqrt", |a, _, e| fast::sqrt::<F64>(a, e), |a, _, e| soft::sqrt::<F64>(a, e));
    row("fma", |a, b, e| fast::fma::<F64>(a, b, a, e), |a, b, e| soft::fma::<F64>(a, b, a, e));
    row(
        "narrow",
        |a, _, e| fast::narrow(a, e).into(),
        |a, _, e| soft::convert::<F64, ferry_base::float::F32>(a, e).into(),
    );
    let to_i64 = ferry_base::float::Round::TowardZero;
    row(
        "to i64",
        |a, _, e| fast::to_int::<F64, i64>(a, to_i64, e) as u64,
        |a, _, e| soft::to_int::<F64, i64>(a, to_i64, e) as u64,
    );
    row(
        "from i64",
        |a, _, e| fast::from_int::<F64, i64>(a as i64, e),
        |a, _, e| soft::from_int::<F64, i64>(a as i64, e),
    );
    row("lt", |a, b, e| fast::lt::<F64>(a, b, e).into(), |a, b, e| soft::lt::<F64>(a, b, e).into());
    row("min", fast::minimum_number::<F64>, soft::minimum_number::<F64>);
}
