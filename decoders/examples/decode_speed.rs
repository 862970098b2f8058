//! Nanoseconds for an instruction: `cargo run --release --example decode_speed [FILE]`, where FILE
//! holds code (the bytes of a `.text` section). Without it, every instruction in turn with random
//! operands, which no branch predictor can follow.

use std::hint::black_box;
use std::time::Instant;

use ferry_decoders::for_each_riscv64_method;
use ferry_decoders::riscv64::*;

struct Sink;

impl Visit for Sink {
    type Output = ();

    fn extensions(&self) -> ExtensionSet {
        black_box(ExtensionSet::ALL)
    }
}

macro_rules! sink {
    ($($chapter:ident { $($method:ident($($arguments:ident)?))* })*) => {
        $(impl $chapter for Sink {
            $(fn $method(&self $(, args: $arguments)?) {
                $(black_box::<$arguments>(args);)?
            })*
        })*
    };
}

for_each_riscv64_method!(sink);

fn words(code: &[u8]) -> Vec<u32> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(bytes) = code.get(at..at + 4) {
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        words.push(word);
        at += length(word as u16) as usize;
    }
    words
}

fn synthetic() -> Vec<u32> {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 32
    };
    (0..300_000)
        .map(|_| {
            let info = &INSTRUCTIONS[random() as usize % INSTRUCTIONS.len()];
            random() as u32 & !info.mask | info.value
        })
        .collect()
}

#[expect(clippy::print_stdout, reason = "the measurement is this program's output")]
fn main() -> std::io::Result<()> {
    let words = match std::env::args().nth(1) {
        Some(file) => words(&std::fs::read(file)?),
        None => synthetic(),
    };
    let measure = |what: &str, each: &dyn Fn(&[u32]) -> usize| {
        let (best, hits) = (0..10)
            .map(|_| {
                let start = Instant::now();
                let hits = each(&words);
                (start.elapsed(), hits)
            })
            .min()
            .unwrap_or_default();
        let nanoseconds = best.as_secs_f64() * 1e9 / words.len() as f64;
        println!("{what:9} {nanoseconds:6.2} ns an instruction, {hits} of {} legal", words.len());
    };
    let set = black_box(ExtensionSet::ALL);
    measure("identify", &|words| words.iter().filter(|&&w| identify(w, set).is_some()).count());
    measure("decode", &|words| words.iter().filter(|&&w| decode(w, &Sink).is_some()).count());
    Ok(())
}
