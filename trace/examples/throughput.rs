//! How fast traces are read: `throughput <format> <file> [<architecture>]` reads one from memory; `throughput` makes one
//! of each format that is also written.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::time::Instant;

use ferry_trace::formats::Format;
use ferry_trace::{
    Access, AccessKind, Architecture, Error, Event, Insn, Privilege, RegWrite, Register,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [format, file, rest @ ..] = &arguments[..] {
        let format = Format::by_name(format).ok_or("no such format")?;
        let architecture = rest.first().and_then(|name| Architecture::by_name(name));
        measure(format, architecture, &std::fs::read(file)?)?;
        return Ok(());
    }
    let riscv = (Architecture::Riscv64, [0x93, 0x82, 0x12, 0x00]);
    let arm = (Architecture::Aarch64, [0x20, 0x00, 0x00, 0xf9]);
    for (format, (architecture, insn)) in [
        (Format::Spike, riscv),
        (Format::Rvvi, riscv),
        (Format::Execlog, riscv),
        (Format::Tarmac, arm),
    ] {
        measure(format, Some(architecture), &made(format, architecture, insn)?)?;
    }
    Ok(())
}

/// A trace of a million instructions: one in two writes a register, one in four accesses memory.
fn made(format: Format, architecture: Architecture, insn: [u8; 4]) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let Some(mut sink) = format.write(&mut text, architecture)? else { return Ok(Vec::new()) };
    let mut event =
        Event { insn: Insn::new(&insn), privilege: Some(Privilege(1)), ..Event::default() };
    for place in 0..1_000_000_u64 {
        event.writes.clear();
        event.accesses.clear();
        event.pc = 0x8000_0000 + 4 * (place & 0xffff);
        let value = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if place & 1 == 0 {
            let register = Register::int(1 + u16::from(value.to_le_bytes()[0] % 30));
            event.writes.push(RegWrite { register, value: value.into() });
        }
        if place & 3 == 0 {
            let kind = if place & 4 == 0 { AccessKind::Load } else { AccessKind::Store };
            let addr = 0x8010_0000 + (value & 0xfff8);
            event.accesses.push(Access {
                kind,
                addr,
                phys: None,
                size: Some(8),
                value: Some(value.into()),
            });
        }
        sink.write(&event)?;
    }
    sink.finish()?;
    drop(sink);
    Ok(text)
}

fn measure(format: Format, architecture: Option<Architecture>, text: &[u8]) -> Result<(), Error> {
    let mut event = Event::default();
    let mut count = 0_u64;
    let mut seconds = f64::INFINITY;
    // The best of several: the machine may be busy otherwise.
    for _ in 0..5 {
        count = 0;
        let start = Instant::now();
        let mut source = format.read(text, architecture)?;
        while source.next(&mut event)? {
            count += 1;
        }
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    let (events, bytes) = (count as f64 / seconds / 1e6, text.len() as f64 / seconds / 1e6);
    println!("{:8} {count:9} events {events:7.2} M/s {bytes:7.0} MB/s", format.name());
    Ok(())
}
