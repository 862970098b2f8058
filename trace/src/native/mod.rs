//! Ferry's own trace format: small, written and read as a stream, and readable from any event.
//!
//! All integers of fixed size are little-endian. *Numbers* and *differences* are of variable size: see `bytes.rs`.
//! Hashes are XXH64 with seed 0.
//!
//! # File
//!
//! | Part | Bytes | |
//! |---|---|---|
//! | Header | 8 | `89 46 54 52 0d 0a 1a 0a` |
//! | | 2 | version: 1 |
//! | | 4 | length of what follows, the hash excepted: 10 + that of the program |
//! | | 1 | architecture: 0 riscv64, 1 aarch64, 2 x86_64 |
//! | | 3 | [`Carries`](crate::Carries): `int`, `float`, `control`; 0 unknown, 1 changes, 2 every |
//! | | 1 | bits from 0: `insn`, `privilege`, `loads`, `load_values`, `stores`, `store_values`, `traps` |
//! | | 4 | events of a full chunk |
//! | | 1 | 1 if there is a program |
//! | | | the program in UTF-8 |
//! | | 8 | hash of all before |
//! | Chunks | 4 | `FTck` |
//! | | 4, 4, 4, 4 | length in the file, uncompressed length, events, harts up to its end |
//! | | 8, 8, 8, 8 | number of its first event, hash of the uncompressed chunk, lowest pc, highest pc |
//! | | 4 | lower half of the hash of these 48 bytes |
//! | | | the chunk, compressed by zstd |
//! | Index | 4 | `FTix` |
//! | | 8 | number of chunks |
//! | | 8 + 48 each | where it is, and what its header says |
//! | | 8 | hash of the index |
//! | | 8 | where the index is |
//! | | 8 | `FTR end\n` |
//!
//! A file without an index was cut short: its whole chunks can be read.
//!
//! Readers refuse what needs too much memory or time: see the constants in `mod.rs`. Writers end a chunk long before.
//!
//! # Chunk
//!
//! A chunk can be read without any other. Uncompressed, it is the lengths of the first two sections (4 bytes each), and three
//! sections: *controls*, *values* and *definitions*, which are separate because they compress better so.
//!
//! Definitions begin with what is known before the chunk: the number of harts, and for each its number, its last order (0, or 1
//! and a number), the number of registers that have been written since the trace's beginning, and for each of these its
//! class (a byte, see [`RegClass`](crate::RegClass)), its number, and its value as a difference from 0. Harts and registers
//! are sorted. So equal hashes of chunks mean equal events after equal values.
//!
//! All else of a chunk is known to each hart by itself. A *site* is an instruction at an address with what is the same each time
//! that it is executed. Every other value of an event has a *slot*, in this order: of each access the address, the physical
//! address if there is one, and the value if there is one; the value of each write; cause, value and signal of a trap. A slot
//! has a *base*, a *step*, and its value of last time. What is expected is the sum of base and step (in each of two lanes of 64
//! bits, like all sums and differences here). If it was something else, the step becomes the difference between value and
//! base as soon as that has been the same twice.
//!
//! | Base | Number | |
//! |---|---|---|
//! | Itself | 0 | the value of last time |
//! | Register | 1 + 4 r | of the hart, before the instruction |
//! | Address | 2 + 4 a | of an access of the same instruction |
//! | Loaded | 3 + 4 a | the value of an access of the same instruction |
//! | Signed | 4 + 4 a | the same, sign-extended from its size to 64 bits |
//!
//! Registers count from 0 in the order in which the chunk has named them. For the value of an access, only as many bits
//! of a base count as it has bytes, except if it is the value of last time. What is not there is 0.
//!
//! ## Controls
//!
//! A byte n below 0x80 stands for n + 1 expected events: each of the hart whose event followed that of the last event's hart
//! last time (at first the same hart), at the site that followed the hart's last one last time, with its order one more than the
//! last one, and all values as expected. Any other byte is one event:
//!
//! | Bit | | What follows, in this order |
//! |---|---|---|
//! | 1 | extra | a byte: its bit 0 means that the number of a hart follows, bit 1 a difference from the expected order |
//! | 0 | jump | another site: 0 new, 1 the one that followed the hart's last site before the expected one did, 2 + n the n-th |
//! | 2 | more | a bit for each slot from the fifth on, in whole bytes |
//! | 3 to 6 | | the first four slots were not as expected |
//!
//! At the chunk's beginning, the last event's hart is the first one, and the order that is expected of each hart without one is 0.
//!
//! ## Values
//!
//! For each slot that was not as expected: the difference from what was expected; or the byte 255, a base and the difference from
//! it, which becomes the step.
//!
//! ## Definitions
//!
//! A site is: the difference of its pc from the address after the last site's instruction (4 bytes if that is unknown; 0 at the
//! chunk's beginning); a byte with bits from 0 for order, instruction, instruction cut off, privilege, trap, its cause, its
//! value, its signal; the instruction's length (a byte) and bytes; the privilege (a byte); the number of accesses and that of writes; a byte
//! for each access (0x80 store, 0x40 has a physical address, 0x20 has a value, and the size, 0 if unknown); for each write 1 + the
//! register, or 0 and its class and number the first time. Then for each slot its base, and the difference from it. It is the
//! step, but for the base Itself, for which it is the difference from the hart's last address (of an address), the
//! register's old value (of a write), or 0, and the step is 0.

mod bytes;
mod chunk;
mod decode;
mod encode;
mod hart;
pub(crate) mod hash;
pub(crate) mod header;
mod index;
mod learn;
mod reader;
mod shape;
mod slot;
mod writer;

use crate::Error;

pub use chunk::Chunk;
pub use header::MAGIC;
pub use index::Summary;
pub use reader::Reader;
pub use writer::{Options, Writer};

/// The name of the format in messages.
const NAME: &str = "Ferry's trace format";

/// The longest uncompressed chunk, in bytes.
const MAX_RAW: usize = 16 << 20;
/// Where the writer ends a chunk: so many bytes, slots, or parts.
const RAW_LIMIT: usize = 1 << 20;
const SLOT_LIMIT: usize = 1 << 19;
const PART_LIMIT: usize = 1 << 22;
/// The longest chunk, in events.
const MAX_EVENTS: u32 = 1 << 22;
/// How many parts the events of a chunk have, so that reading one takes bounded time: each is one, with one for each access and
/// each write.
const MAX_CHUNK_PARTS: usize = 1 << 23;
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

    /// The event is of another hart than was expected.
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

/// How many parts it has.
fn parts(event: &crate::Event) -> usize {
    1 + event.accesses.len() + event.writes.len()
}

fn unsayable(what: &str) -> Error {
    Error::Unsayable { format: NAME, what: what.to_owned() }
}
