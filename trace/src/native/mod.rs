//! Native
mod bytes;
mod chunk;
mod decode;
mod encode;
mod hart;
mod hash;
mod header;
mod index;
mod learn;
mod reader;
mod shape;
mod slot;
mod writer;

use crate::Error;

pub use chunk::Chunk;
pub use index::Summary;
pub use reader::Reader;
pub use writer::{Options, Writer};

/// The name of the format in messages.
const NAME: &str = "Ferry's trace format";

/// The longest uncompressed chunk, in bytes.
const MAX_RAW: usize = 16 << 20;
/// Where the writer ends a chunk: so many bytes or slots.
const RAW_LIMIT: usize = 1 << 20;
const SLOT_LIMIT: usize = 1 << 19;
/// The longest chunk, in events.
const MAX_EVENTS: u32 = 1 << 24;
/// The largest number of harts.
const MAX_HARTS: usize = 1 << 16;
/// How many registers of all harts together have values.
const MAX_REGISTERS: usize = 1 << 19;
/// How many slots a chunk has.
const MAX_SLOTS: usize = 1 << 20;
/// The accesses and writes of one instruction.
const MAX_PARTS: usize = 1 << 14;

/// How many expected events one byte stands for.
const LONGEST_RUN: u8 = 128;
/// What a value that is predicted from another base begins with.
const REBASED: u8 = 255;

/// The bytes of the section of controls.
mod control {
    /// Not a run.
    pub(super) const EVENT: u8 = 0x80;
    /// It is not where it was expected.
    pub(super) const JUMP: u8 = 0x01;
    /// A byte with [`HART`] and [`ORDER`] follows.
    pub(super) const EXTRA: u8 = 0x02;
    /// Bytes for the slots beyond the first ones follow.
    pub(super) const MORE: u8 = 0x04;
    /// The first slots have bits from here.
    const FIRST_SLOT: usize = 3;
    const SLOTS: usize = 4;

    /// The event is of another hart.
    pub(super) const HART: u8 = 0x01;
    /// Its order is not the next one.
    pub(super) const ORDER: u8 = 0x02;

    /// The site is defined here.
    pub(super) const NEW: u8 = 0;
    /// The site is the last one that followed but the one that followed last.
    pub(super) const ALTERNATIVE: u8 = 1;
    /// The number of the first site that was defined.
    pub(super) const FIRST_SITE: u64 = 2;

    /// Which bit says that a slot was missed: of the control byte (0) or of those that follow.
    #[inline]
    pub(super) const fn bit_of(slot: usize) -> (usize, u8) {
        match slot.checked_sub(SLOTS) {
            None => (0, 1 << (FIRST_SLOT + slot)),
            Some(further) => (1 + further / 8, 1 << (further % 8)),
        }
    }

    /// How many bytes follow, if any do.
    #[inline]
    pub(super) const fn further_bytes(slots: usize) -> usize {
        slots.saturating_sub(SLOTS).div_ceil(8)
    }
}

fn unsayable(what: &str) -> Error {
    Error::Unsayable { format: NAME, what: what.to_owned() }
}
