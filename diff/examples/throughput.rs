//! How many events a second a comparison of two traces takes: `throughput REFERENCE SUBJECT`, in any formats.
#![expect(clippy::print_stdout, reason = "a measurement's result")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::Instant;

use ferry_diff::{Comparison, Options, Recorded, Verdict};
use trace::formats::detect;
use trace::{Architecture, Source, native};

fn open(path: &str) -> Result<Box<dyn Source>, trace::Error> {
    let mut input = BufReader::with_capacity(1 << 16, File::open(path)?);
    if input.fill_buf()?.starts_with(&native::MAGIC) {
        return Ok(Box::new(native::Reader::new(input)?));
    }
    let format = detect(input.fill_buf()?).ok_or_else(|| std::io::Error::other("no trace"))?;
    Ok(format.read(input, Some(Architecture::Riscv64))?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [reference, subject] = &paths[..] else { return Err("two traces are wanted".into()) };
    for _ in 0..3 {
        let (mut a, mut b) = (Recorded(open(reference)?), Recorded(open(subject)?));
        let start = Instant::now();
        let verdict = Comparison::new(&mut a, &mut b, Options::default())?.run()?;
        let (Verdict::Same(counts) | Verdict::Different(counts, _)) = verdict;
        let seconds = start.elapsed().as_secs_f64();
        let rate = counts.instructions as f64 / seconds / 1e6;
        println!("{} events in {seconds:.2} s: {rate:.2} million a second", counts.instructions);
    }
    Ok(())
}
