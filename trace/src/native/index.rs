//! The end of a file: where its chunks are.

use super::chunk::{Chunk, FIELDS, part};
use super::hash::xxh64;

/// What the index begins with.
pub(super) const MAGIC: [u8; 4] = *b"FTix";
/// What the file ends with.
const END: [u8; 8] = *b"FTR end\n";
/// Magic and the number of entries.
const PREFIX: usize = 12;
/// An entry: where the chunk is, and its fields.
const ENTRY: usize = 8 + FIELDS;
/// Check, the index's offset, and the end.
const SUFFIX: usize = 24;
/// The last bytes of a file, which say where the index is.
pub(super) const TRAILER: usize = 16;

/// The bytes of an index of so many entries, all that follows it in the file included.
pub(super) fn length(chunks: usize) -> usize {
    chunks.saturating_mul(ENTRY).saturating_add(PREFIX + SUFFIX)
}

/// The index of these chunks, which begins at `offset`, up to the end of the file.
pub(super) fn to_bytes(chunks: &[Chunk], offset: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(length(chunks.len()));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&u64::try_from(chunks.len()).unwrap_or(u64::MAX).to_le_bytes());
    for chunk in chunks {
        out.extend_from_slice(&chunk.offset.to_le_bytes());
        chunk.put_fields(&mut out);
    }
    let check = xxh64(&out);
    out.extend_from_slice(&check.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&END);
    out
}

/// Where the last bytes of a file say that its index is.
pub(super) fn from_trailer(trailer: &[u8; TRAILER]) -> Option<u64> {
    (part(trailer, 8) == END).then(|| u64::from_le_bytes(part(trailer, 0)))
}

/// Reads an index that begins at `offset` and goes to the end of the file.
pub(super) fn from_bytes(bytes: &[u8], offset: u64) -> Result<Vec<Chunk>, &'static str> {
    let count = usize::try_from(u64::from_le_bytes(part(bytes, 4))).unwrap_or(usize::MAX);
    if bytes.first_chunk() != Some(&MAGIC) || length(count) != bytes.len() {
        return Err("the index has another length than it says");
    }
    let (checked, suffix) = bytes.split_at(bytes.len() - SUFFIX);
    if xxh64(checked) != u64::from_le_bytes(part(suffix, 0)) {
        return Err("the index is damaged");
    }
    if from_trailer(&part(suffix, 8)) != Some(offset) {
        return Err("the end of the trace is damaged");
    }
    let (entries, _) = checked[PREFIX..].as_chunks::<ENTRY>();
    entries.iter().map(entry).collect()
}

fn entry(entry: &[u8; ENTRY]) -> Result<Chunk, &'static str> {
    Chunk::from_fields(&part(entry, 8), u64::from_le_bytes(part(entry, 0)))
}

/// Whether the chunks follow each other from `start` to `end`, as bytes and as events.
pub(super) fn is_consistent(chunks: &[Chunk], start: u64, end: u64) -> bool {
    let mut place = (start, 0);
    let follows = chunks.iter().all(|chunk| {
        let is_next = (chunk.offset, chunk.first) == place;
        place = (chunk.end(), chunk.next());
        is_next
    });
    follows && place.0 == end
}

/// What is known of a trace without reading its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// How many events it has.
    pub events: u64,
    /// How many chunks.
    pub chunks: u64,
    /// The bytes of the chunks in the file.
    pub packed: u64,
    /// Their bytes before compression.
    pub raw: u64,
    /// How many harts it has.
    pub harts: u32,
    /// The lowest and the highest pc, if there are events.
    pub pc: Option<(u64, u64)>,
    /// Its end is missing.
    pub is_cut_short: bool,
}

/// Sums up chunks.
pub(super) fn summary(chunks: &[Chunk], is_cut_short: bool) -> Summary {
    let total = |field: fn(&Chunk) -> u64| chunks.iter().map(field).fold(0, u64::saturating_add);
    let low = chunks.iter().map(|chunk| chunk.pc.0).min();
    let high = chunks.iter().map(|chunk| chunk.pc.1).max();
    Summary {
        events: chunks.last().map_or(0, Chunk::next),
        chunks: u64::try_from(chunks.len()).unwrap_or(u64::MAX),
        packed: total(|chunk| chunk.packed.into()),
        raw: total(|chunk| chunk.raw.into()),
        harts: chunks.last().map_or(0, |chunk| chunk.harts),
        pc: low.zip(high),
        is_cut_short,
    }
}
