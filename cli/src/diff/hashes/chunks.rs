//! Two traces of Ferry's own format: parts that have the same hash need not be read.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ::diff::{Recorded, Verdict};
use trace::{Source as _, native};

use crate::diff::side::{Side, name};
use crate::diff::spec::Spec;
use crate::diff::{DIFFERENT, DiffArgs, From, SAME, compare_sides};

type Reader = native::Reader<BufReader<File>>;

/// The trace, if it is one with an index.
fn open(side: &Spec) -> Option<Reader> {
    let Spec::File(path) = side else { return None };
    if path == Path::new("-") || !path.is_file() {
        return None;
    }
    let reader = Reader::indexed(BufReader::new(File::open(path).ok()?)).ok()?;
    (!reader.is_cut_short()).then_some(reader)
}

/// Compares from the first part on whose hashes differ. `None` if the sides are no such traces, or parts do not matter.
pub(super) fn compare(args: &DiffArgs) -> Result<Option<u8>, String> {
    if args.count.is_some() || args.reference_format.is_some() || args.subject_format.is_some() {
        return Ok(None);
    }
    let (Some(mut a), Some(mut b)) = (open(&args.reference), open(&args.subject)) else {
        return Ok(None);
    };
    if a.header().architecture != b.header().architecture
        || a.header().carries != b.header().carries
    {
        return Ok(None);
    }
    let same = a.chunks().iter().zip(b.chunks());
    let same = same.take_while(|(a, b)| a.hash == b.hash && a.events == b.events).count();
    let agreed = a.chunks()[..same].last().map_or(0, native::Chunk::next);
    let is_whole = same == a.chunks().len() && same == b.chunks().len();
    let architecture = a.header().architecture;
    if is_whole {
        return super::same(args, architecture, agreed).map(Some);
    }
    let harts = a.chunks().iter().chain(b.chunks()).map(|chunk| chunk.harts).max();
    if agreed == 0 || harts > Some(1) {
        return Ok(None);
    }
    // What the report shows before the difference is read again.
    let start = agreed.saturating_sub(args.history as u64);
    let failed = |error: trace::Error| error.to_string();
    a.seek(start).map_err(failed)?;
    b.seek(start).map_err(failed)?;
    let registers = a.state(0);
    let [reference, subject] = [(&args.reference, a), (&args.subject, b)]
        .map(|(spec, reader)| Side::new(name(args, spec), Recorded(reader)));
    let from = From::Agreed { instructions: start, registers, end: None };
    let (verdict, _) = compare_sides(args, reference, subject, &from)?;
    Ok(Some(if matches!(verdict, Verdict::Same(_)) { SAME } else { DIFFERENT }))
}
