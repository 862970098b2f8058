//! How fast Ferry's own format is, and how small: `native_speed [events] [traces]`.
//!
//! Measured in time of this thread, so that other work on the machine disturbs little. Without traces, streams are made up; they have
//! what traces of programs have: loops over arrays, calls, data that cannot be predicted.

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::io::Cursor;
use std::time::Instant;

use ferry_trace::native::{Options, Reader, Writer};
use ferry_trace::{
    Access, AccessKind, Architecture, Carries, Event, Header, Insn, RegWrite, Register, Sink,
    Source, Writes,
};

/// Seconds that this process was running, or that passed.
fn seconds(since: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = stat.and_then(|stat| stat.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| since.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

/// RISC-V in a few lines: registers, and the event of the instruction that is being executed.
struct Machine {
    x: [u64; 32],
    random: u64,
    event: Event,
    order: u64,
    made: Vec<Event>,
}

impl Machine {
    fn new() -> Self {
        let (random, order, made) = (0x1234_5678_9abc_def1, 0, Vec::new());
        Self { x: [0; 32], random, event: Event::default(), order, made }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn at(&mut self, pc: u64) {
        self.event.clear();
        self.event.pc = pc;
        self.event.order = Some(self.order);
        self.event.insn = Insn::from_word(pc.wrapping_mul(0x9e37_79b9) >> 3 | 3, 4);
        self.order += 1;
    }

    fn done(&mut self) {
        self.made.push(self.event.clone());
    }

    fn set(&mut self, pc: u64, rd: u16, value: u64) {
        self.at(pc);
        self.x[usize::from(rd)] = value;
        let write = RegWrite { register: Register::int(rd), value: value.into() };
        self.event.writes.push(write);
        self.done();
    }

    fn load(&mut self, pc: u64, rd: u16, addr: u64, value: u64) {
        self.at(pc);
        self.access(AccessKind::Load, addr, value);
        self.x[usize::from(rd)] = value;
        let write = RegWrite { register: Register::int(rd), value: value.into() };
        self.event.writes.push(write);
        self.done();
    }

    fn store(&mut self, pc: u64, addr: u64, value: u64) {
        self.at(pc);
        self.access(AccessKind::Store, addr, value);
        self.done();
    }

    fn access(&mut self, kind: AccessKind, addr: u64, value: u64) {
        let value = Some(value.into());
        self.event.accesses.push(Access { kind, addr, phys: None, size: Some(8), value });
    }

    fn branch(&mut self, pc: u64) {
        self.at(pc);
        self.done();
    }

    /// `for … { sum += a[i]; b[i] = sum; }` over small numbers.
    fn sum(&mut self, pc: u64, turns: u64) {
        self.set(pc, 10, 0x8100_0000);
        self.set(pc + 4, 11, 0x8200_0000);
        for turn in 0..turns {
            self.load(pc + 8, 12, self.x[10], turn * 7 % 256);
            self.set(pc + 12, 13, self.x[13].wrapping_add(self.x[12]));
            self.store(pc + 16, self.x[11], self.x[13]);
            self.set(pc + 20, 10, self.x[10] + 8);
            self.set(pc + 24, 11, self.x[11] + 8);
            self.branch(pc + 28);
        }
    }

    /// A hash function: every other value is unpredictable.
    fn hash(&mut self, pc: u64, turns: u64) {
        self.set(pc, 10, 0x8300_0000);
        for _ in 0..turns {
            let (word, first, second) = (self.random() & 0xff, self.random(), self.random());
            self.load(pc + 4, 14, self.x[10], word);
            self.set(pc + 8, 15, first);
            self.set(pc + 12, 15, second);
            self.set(pc + 16, 10, self.x[10] + 1);
            self.branch(pc + 20);
        }
    }

    /// Calls of many functions, which save and restore registers, and branch on data.
    fn calls(&mut self, pc: u64, turns: u64) {
        for _ in 0..turns {
            let function = pc + 0x1000 + self.random() % 300 * 0x100;
            self.set(pc, 1, pc + 4);
            self.set(function, 2, self.x[2].wrapping_sub(32));
            self.store(function + 4, self.x[2] + 24, self.x[1]);
            self.store(function + 8, self.x[2] + 16, self.x[8]);
            self.set(function + 12, 8, self.x[2] + 32);
            for turn in 0..self.random() % 8 {
                let word = self.random() % 1000;
                let addr = 0x8400_0000 + self.random() % 4096 * 8;
                self.load(function + 16, 15, addr, word);
                self.branch(function + 20);
                if word.is_multiple_of(3) {
                    self.set(function + 24, 14, word << 1);
                }
                self.set(function + 28, 9, turn);
                self.branch(function + 32);
            }
            self.load(function + 36, 1, self.x[2] + 24, pc + 4);
            self.load(function + 40, 8, self.x[2] + 16, self.x[2] + 32);
            self.set(function + 44, 2, self.x[2] + 32);
            self.branch(function + 48);
        }
    }
}

/// Four harts that take turns after every instruction, as those of a processor's test bench do.
fn interleaved(of: &[Event]) -> Vec<Event> {
    let harts = of.chunks(of.len().div_ceil(4).max(1));
    let mut harts: Vec<_> = (0..).zip(harts.map(<[Event]>::iter)).collect();
    let mut made = Vec::new();
    while let [(_, first), ..] = &harts[..]
        && first.len() > 0
    {
        for (hart, events) in &mut harts {
            made.extend(events.next().map(|event| Event { hart: *hart, ..event.clone() }));
        }
    }
    made
}

fn streams(events: usize) -> [(&'static str, Vec<Event>); 5] {
    let mut machines = [(); 4].map(|()| Machine::new());
    while machines[0].made.len() < events {
        machines[0].sum(0x8000_0000, 1000);
    }
    while machines[1].made.len() < events {
        machines[1].hash(0x8000_0000, 1000);
    }
    while machines[2].made.len() < events {
        machines[2].calls(0x8000_0000, 1000);
    }
    while machines[3].made.len() < events {
        machines[3].sum(0x8000_0000, 200);
        machines[3].calls(0x8001_0000, 50);
        machines[3].hash(0x8004_0000, 20);
    }
    let [sum, hash, calls, mixed] = machines.map(|machine| machine.made);
    let harts = interleaved(&mixed);
    [("loop", sum), ("hash", hash), ("calls", calls), ("mixed", mixed), ("4 harts", harts)]
}

fn written(events: &[Event], header: &Header, options: Options) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut writer = Writer::with_options(Vec::new(), header, options)?;
    for event in events {
        writer.write(event)?;
    }
    writer.finish()?;
    Ok(writer.into_inner())
}

/// The best of several times: other work on the machine only makes it slower.
fn best(
    events: usize,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let zero = Instant::now();
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = seconds(zero);
        work()?;
        best = best.min(seconds(zero) - start);
    }
    Ok(events as f64 / 1e6 / best)
}

fn read(bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut reader = Reader::new(bytes)?;
    let mut event = Event::default();
    while reader.next(&mut event)? {}
    Ok(())
}

/// Speed is worth nothing if something else is read.
fn check(bytes: &[u8], events: &[Event]) -> Result<(), Box<dyn Error>> {
    let mut reader = Reader::new(bytes)?;
    let mut event = Event::default();
    for expected in events {
        if !reader.next(&mut event)? || event != *expected {
            return Err("another event was read than written".into());
        }
    }
    Ok(())
}

/// Reads two traces, and compares each event.
fn compare(one: &[u8], other: &[u8]) -> Result<(), Box<dyn Error>> {
    let (mut one, mut other) = (Reader::new(one)?, Reader::new(other)?);
    let mut events = [Event::default(), Event::default()];
    while one.next(&mut events[0])? && other.next(&mut events[1])? {
        if events[0] != events[1] {
            return Err("the traces differ".into());
        }
    }
    Ok(())
}

fn measure(name: &str, events: &[Event], options: Options) -> Result<(), Box<dyn Error>> {
    let carries = Carries { insn: true, int: Writes::Every, loads: true, ..Carries::default() };
    let header = Header { architecture: Architecture::Riscv64, carries, program: None };
    let mut bytes = Vec::new();
    let write = best(events.len(), || {
        bytes = written(events, &header, options)?;
        Ok(())
    })?;
    check(&bytes, events)?;
    let reading = best(events.len(), || read(&bytes))?;
    let comparing = best(events.len(), || compare(&bytes, &bytes))?;
    let stat = Reader::indexed(Cursor::new(&bytes))?.stat();
    let per_event = |bytes: u64| bytes as f64 / stat.events as f64;
    let (raw, packed) = (per_event(stat.raw), per_event(stat.packed));
    let Options { chunk_events, level } = options;
    println!(
        "{name:>10} {chunk_events:>6} {level:>5} {raw:>8.3} {packed:>8.3} {write:>9.1} {reading:>9.1} {comparing:>9.1}"
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = 2_000_000;
    let mut streams_of_files = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.parse() {
            Ok(number) => events = number,
            Err(_) => streams_of_files.push(argument),
        }
    }
    println!("                               bytes an event    millions of events a second");
    println!("            chunk level      raw   packed     write      read   compare");
    let each = [(1 << 16, 1), (1 << 18, 1), (1 << 18, 3)];
    let each = each.map(|(chunk_events, level)| Options { chunk_events, level });
    for file in &streams_of_files {
        let events = events_of(file, events)?;
        each.iter().try_for_each(|&options| measure(file, &events, options))?;
    }
    if streams_of_files.is_empty() {
        for (name, events) in streams(events) {
            each.iter().try_for_each(|&options| measure(name, &events, options))?;
        }
    }
    Ok(())
}

/// The first events of a trace.
fn events_of(file: &str, events: usize) -> Result<Vec<Event>, Box<dyn Error>> {
    let mut reader = Reader::new(std::fs::File::open(file)?)?;
    let mut all = Vec::new();
    let mut event = Event::default();
    while all.len() < events && reader.next(&mut event)? {
        all.push(event.clone());
    }
    Ok(all)
}
