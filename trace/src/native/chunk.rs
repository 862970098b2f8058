//! The headers of chunks.

use super::hash::xxh64;
use super::{MAX_EVENTS, MAX_RAW};

/// What stands in the header of a chunk, and where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Where it begins: bytes from the start of the file.
    pub offset: u64,
    /// Its bytes in the file, without its header.
    pub packed: u32,
    /// Its bytes before compression.
    pub raw: u32,
    /// How many events it has: at least one.
    pub events: u32,
    /// How many harts there were up to its end.
    pub harts: u32,
    /// The number of its first event, counted from 0.
    pub first: u64,
    /// XXH64 of its bytes before compression. They are a function of the registers' values before it and of its events: chunks
    /// of equal hashes say the same.
    pub hash: u64,
    /// The lowest and the highest pc in it.
    pub pc: (u64, u64),
}

/// What a chunk begins with.
pub(super) const MAGIC: [u8; 4] = *b"FTck";
/// The fields, without magic and check.
pub(super) const FIELDS: usize = 48;
/// The header: the fields, and the lower half of their XXH64.
pub(super) const HEADER: usize = FIELDS + 4;
/// Magic and header.
pub(super) const WHOLE_HEADER: u64 = 4 + HEADER as u64;

impl Chunk {
    /// Where the next one begins.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(WHOLE_HEADER).saturating_add(self.packed.into())
    }

    /// The number of the event after its last one.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first.saturating_add(self.events.into())
    }

    pub(super) fn put_fields(&self, out: &mut Vec<u8>) {
        for field in [self.packed, self.raw, self.events, self.harts] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.first, self.hash, self.pc.0, self.pc.1] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }

    /// Magic and header.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        let start = out.len();
        self.put_fields(out);
        let check = check(&out[start..]);
        out.extend_from_slice(&check);
    }

    /// Reads the fields of a chunk that begins at `offset`.
    pub(super) fn from_fields(fields: &[u8; FIELDS], offset: u64) -> Result<Self, &'static str> {
        let half = |at: usize| u32::from_le_bytes(part(fields, at));
        let word = |at: usize| u64::from_le_bytes(part(fields, at));
        let chunk = Self {
            offset,
            packed: half(0),
            raw: half(4),
            events: half(8),
            harts: half(12),
            first: word(16),
            hash: word(24),
            pc: (word(32), word(40)),
        };
        let is_small = |len: u32, max: usize| usize::try_from(len).is_ok_and(|len| len <= max);
        if !is_small(chunk.raw, MAX_RAW) || !is_small(chunk.packed, MAX_PACKED) {
            return Err("the chunk is too long");
        }
        if !(1..=MAX_EVENTS).contains(&chunk.events) {
            return Err("a chunk of no or too many events");
        }
        Ok(chunk)
    }

    /// Reads the header, without the magic, of a chunk that begins at `offset`.
    pub(super) fn from_header(header: &[u8; HEADER], offset: u64) -> Result<Self, &'static str> {
        let fields: [u8; FIELDS] = part(header, 0);
        if check(&fields) != part(header, FIELDS) {
            return Err("the header of the chunk is damaged");
        }
        Self::from_fields(&fields, offset)
    }
}

/// As long as zstd can make [`MAX_RAW`], generously.
const MAX_PACKED: usize = MAX_RAW + MAX_RAW / 128 + 1024;

fn check(fields: &[u8]) -> [u8; 4] {
    part(&xxh64(fields).to_le_bytes(), 0)
}

/// Some of the bytes; those that are not there are 0.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}
