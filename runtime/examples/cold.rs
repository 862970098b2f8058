//! What bringing code to its first execution costs: translates and lowers all of a file's bytes as
//! RISC-V code, block by block, and prints nanoseconds a guest instruction.
//!
//!     cargo run --release -p ferry-runtime --example cold -- FILE [OFFSET [LENGTH]]

#![expect(clippy::print_stdout, reason = "prints its measurement")]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use base::GuestVirt;
use ir::interp::Lowerer;
use ir::{BlockKey, Builder};
use translator::riscv64::Frontend;
use translator::{Frontend as _, Limits, Translation};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let bytes = std::fs::read(args.next().ok_or("no file")?)?;
    let mut number = |default: usize| -> Result<usize, Box<dyn Error>> {
        args.next().map_or(Ok(default), |arg| {
            let hex = arg.strip_prefix("0x").map(|digits| usize::from_str_radix(digits, 16));
            Ok(hex.unwrap_or_else(|| arg.parse())?)
        })
    };
    let (offset, length) = (number(0)?, number(usize::MAX)?);
    let code = bytes.get(offset..).ok_or("offset beyond the end")?;
    let code = &code[..length.min(code.len())];
    let (insns, blocks, translating, lowering, size) = measure(code);
    let each = |time: Duration| time.as_nanos() as f64 / insns as f64;
    println!("{blocks} blocks of {insns} instructions, {size} bytes of tier 0 code");
    println!(
        "translating {:.0} ns, lowering {:.0} ns an instruction",
        each(translating),
        each(lowering)
    );
    Ok(())
}

fn measure(code: &[u8]) -> (u64, u64, Duration, Duration, usize) {
    let frontend = Frontend::new("max".parse().unwrap_or_else(|_| unreachable!("a known model")));
    let (builder, mut lowerer) = (Builder::new(), Lowerer::new());
    let (mut translating, mut lowering) = (Duration::ZERO, Duration::ZERO);
    let (mut insns, mut blocks, mut size, mut at) = (0, 0, 0, 0);
    while at < code.len() {
        let key = BlockKey::new(GuestVirt(0x10_0000 + at as u64), 0);
        let window = &code[at..code.len().min(at + 256)];
        let start = Instant::now();
        let done = frontend.translate(&builder, key, window, Limits::default());
        let between = Instant::now();
        let Translation::Done { next } = done else { break };
        builder.with_finished(next, |block| {
            let lowered = lowerer.lower(frontend.guest(), block, 1000);
            insns += u64::from(block.guest_insns);
            size += lowered.as_ref().map_or(0, ir::interp::Code::bytes);
            let _ = black_box(lowered);
        });
        lowering += between.elapsed();
        translating += between - start;
        blocks += 1;
        at += (next.0 - key.pc().0).max(2) as usize;
    }
    (insns, blocks, translating, lowering, size)
}
