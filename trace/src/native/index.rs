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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunks() -> impl Strategy<Value = Vec<Chunk>> {
        let chunk = (1..1000_u32, 0..1000_u32, any::<u64>());
        prop::collection::vec(chunk, 0..5).prop_map(|all| {
            let mut place = (50, 0);
            let chunk = |(events, packed, hash): (u32, u32, u64)| {
                let (offset, first) = place;
                let (raw, harts, pc) = (packed, 1, (hash, hash));
                let chunk = Chunk { offset, packed, raw, events, harts, first, hash, pc };
                place = (chunk.end(), chunk.next());
                chunk
            };
            all.into_iter().map(chunk).collect()
        })
    }

    proptest! {
        #[test]
        fn indices_come_back_and_fit_their_place(chunks in chunks(), by in 1..100_u64) {
            let end = chunks.last().map_or(50, Chunk::end);
            let bytes = to_bytes(&chunks, end);
            prop_assert_eq!(bytes.len(), length(chunks.len()));
            prop_assert_eq!(from_trailer(bytes.last_chunk().unwrap()), Some(end));
            prop_assert_eq!(from_bytes(&bytes, end), Ok(chunks.clone()));
            prop_assert!(from_bytes(&bytes, end + by).is_err());
            prop_assert!(is_consistent(&chunks, 50, end));
            prop_assert!(!is_consistent(&chunks, 50 + by, end));
            prop_assert!(!is_consistent(&chunks, 50, end + by));
        }

        #[test]
        fn a_missing_chunk_is_noticed(
            chunks in chunks().prop_filter("some", |chunks| !chunks.is_empty()), at: prop::sample::Index,
        ) {
            let end = chunks.last().map_or(50, Chunk::end);
            let mut fewer = chunks.clone();
            fewer.remove(at.index(chunks.len()));
            prop_assert!(!is_consistent(&fewer, 50, end));
        }

        #[test]
        fn damaged_indices_are_an_error(
            chunks in chunks(), at: prop::sample::Index, with in 1..=255_u8, len: prop::sample::Index,
        ) {
            let mut bytes = to_bytes(&chunks, 50);
            prop_assert!(from_bytes(&bytes[..len.index(bytes.len())], 50).is_err());
            *at.get_mut(&mut bytes) ^= with;
            prop_assert!(from_bytes(&bytes, 50).is_err());
        }
    }
}
