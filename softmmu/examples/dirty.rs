//! What it costs to know which pages of RAM were written to: marking, asking, and copies in with and without.
#![expect(clippy::print_stdout, reason = "a measurement")]

use std::hint::black_box;
use std::time::Instant;

use base::GuestPhys;
use base::addr::PAGE_SIZE;
use ferry_softmmu as softmmu;
use softmmu::Ram;

/// Bytes of RAM.
const SIZE: u64 = 1 << 30;
/// The shortest of so many runs counts.
const RUNS: usize = 7;

/// Nanoseconds of each of `count` repetitions.
fn measure(what: &str, count: u64, mut prepare: impl FnMut(), mut run: impl FnMut()) {
    let once = |_| {
        prepare();
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64
    };
    let shortest = (0..RUNS).map(once).fold(f64::INFINITY, f64::min);
    println!("{:>12.3} ns  {what}", shortest / count as f64);
}

fn main() {
    let ram = Ram::new(GuestPhys(0), SIZE).expect("the host has 1 GiB of addresses");
    let pages = SIZE / PAGE_SIZE;
    let tracker = ram.tracker();
    let clean = || drop(tracker.take_dirty());
    let mark =
        |step: u64| (0..pages).step_by(step as usize).for_each(|n| tracker.mark(n * PAGE_SIZE, 1));
    measure("to mark a clean page", pages, clean, || mark(1));
    measure("to mark a dirty page", pages, || mark(1), || mark(1));
    measure("to ask of a page, none of 262144 dirty", pages, clean, clean);
    measure("to ask of a page, one of 64 dirty", pages, || mark(64), clean);
    measure("to ask of a page, all dirty", pages, || mark(1), clean);
    let (bytes, mut line) = ([7; 64], [0_u8; 64]);
    let places = || (0..1 << 20).map(|n: u64| (n.wrapping_mul(0x9e37_79b9) % (SIZE / 16)) & !63);
    measure(
        "to copy 64 bytes in",
        1 << 20,
        || (),
        || {
            places().for_each(|at| ram.write(at, &bytes).expect("it lies inside"));
        },
    );
    measure(
        "to copy 64 bytes out, which marks nothing",
        1 << 20,
        || (),
        || {
            places().for_each(|at| ram.read(at, &mut line).expect("it lies inside"));
            black_box(line);
        },
    );
}
