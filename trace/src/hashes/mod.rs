//! Hashes of a trace: of each N instructions of a hart one number, so that executions of any length can be compared.
//!
//! # File
//!
//! All integers are little-endian. A file may be cut off after any window: what is there is right.
//!
//! | Part | Bytes | |
//! |---|---|---|
//! | Header | | as that of [`crate::native`], but it begins with `89 46 54 48 0d 0a 1a 0a`, and the number of events is N |
//! | Recorder | 1 | length of what follows, the hash excepted |
//! | | | how the execution was recorded, in UTF-8, such as the name of a tier |
//! | | 8 | XXH64 of that |
//! | Windows | 4, 4, 8 | hart, events, hash |
//! | End | 4, 4, 8 | `ff ff ff ff`, the number of windows modulo 2³², the hash of all windows |
//!
//! A window is written when it is full: N events of its hart. Those that are not full come at the end.
//!
//! # Hash
//!
//! Words are added as in the section "Consume remaining input" of XXH64, from its fifth prime on, and finished as there. Of a window these are
//! of each event:
//! * the pc;
//! * the instruction's first 8 bytes, if the header has instructions, and the others if there are any;
//! * of each access its address and twice its size, with 1 added for stores, then both halves of its value, if the header has all of accesses;
//! * the sum of its changes, its length in bytes, and 256 if it trapped, if the header has traps.
//!
//! A change is a register that is written with another value than it had (0 at first), of the kinds that the header has; its words are class and
//! number, and both halves of the value. The first event of a hart has none: recorders show all registers there, and others
//! do not. So formats and tiers that show the same events, by changes or by writes, have the same hashes.
//!
//! Of a file they are, of each window, its hart and events, and its hash.

mod fold;
mod reader;
mod writer;

use crate::native::hash::Words;
use crate::native::header::FileKind;

pub use fold::{Folder, Lacking};
pub use reader::Hashes;
pub use writer::Writer;

/// What a file begins with.
pub const MAGIC: [u8; 8] = *b"\x89FTH\r\n\x1a\n";

const KIND: FileKind = FileKind { magic: MAGIC, name: "file of a trace's hashes" };
/// Bytes of a window.
const RECORD: usize = 16;
/// What stands in the place of a hart at the end.
const END: u32 = u32::MAX;
/// The largest number of harts.
const MAX_HARTS: usize = 1 << 16;

/// So many events of a hart, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Whose.
    pub hart: u32,
    /// How many: fewer than the others have at the end of the hart's execution only.
    pub events: u32,
    /// Equal if all of them are.
    pub hash: u64,
}

impl Window {
    fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..4].copy_from_slice(&self.hart.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.events.to_le_bytes());
        bytes[8..].copy_from_slice(&self.hash.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; RECORD]) -> Self {
        let word = |at: usize| {
            bytes[at..].first_chunk().map_or(0, |word: &[u8; 4]| u32::from_le_bytes(*word))
        };
        let hash = u64::from(word(12)) << 32 | u64::from(word(8));
        Self { hart: word(0), events: word(4), hash }
    }

    fn add_to(self, all: &mut Words) {
        all.add(u64::from(self.hart) << 32 | u64::from(self.events));
        all.add(self.hash);
    }
}

#[cfg(test)]
mod tests;
