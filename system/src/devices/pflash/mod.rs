//! Parallel NOR flash with Intel's command set (Common Flash Memory Interface, JEDEC JESD68.01 and
//! JEP137; commands as in Intel's 28F series): two chips of 16 bits side by side, which take the
//! same commands at the same time.
//!
//! Its contents are read through the device. Firmware that runs in place stands in ROM instead, see
//! `Bus::add_rom`; this is for what firmware keeps: variables, an environment.

mod cfi;

use cfi::{Geometry, query};

use crate::device::{Access, Device, Effect, Refusal, Width, World};

/// Bytes that are erased together: a block of both chips.
pub const SECTOR: u64 = 256 << 10;
/// Bytes at most.
pub const MAX_SIZE: u64 = 64 << 20;
/// Bytes that both chips take at a time.
const BANK: u64 = 4;
/// Words of both chips in the write buffers.
const BUFFER_WORDS: u32 = 1024;

/// The manufacturer (Intel) and the chip (28F128) that identifier codes name.
const IDENTIFIER: [u8; 2] = [0x89, 0x18];

/// Commands.
mod command {
    pub(super) const READ_ARRAY: u8 = 0xff;
    pub(super) const READ_IDENTIFIER: u8 = 0x90;
    pub(super) const READ_QUERY: u8 = 0x98;
    pub(super) const READ_STATUS: u8 = 0x70;
    pub(super) const CLEAR_STATUS: u8 = 0x50;
    pub(super) const PROGRAM: u8 = 0x40;
    pub(super) const PROGRAM_ALTERNATE: u8 = 0x10;
    pub(super) const WRITE_TO_BUFFER: u8 = 0xe8;
    pub(super) const BLOCK_ERASE: u8 = 0x20;
    pub(super) const LOCK_SETUP: u8 = 0x60;
    pub(super) const LOCK: u8 = 0x01;
    /// Confirms erasing and programming; after [`LOCK_SETUP`], unlocks.
    pub(super) const CONFIRM: u8 = 0xd0;
}

/// Bits of the status register.
mod status {
    pub(super) const READY: u8 = 1 << 7;
    pub(super) const ERASE_ERROR: u8 = 1 << 5;
    pub(super) const PROGRAM_ERROR: u8 = 1 << 4;
    pub(super) const BLOCK_LOCKED: u8 = 1 << 1;
    /// Both at once: a sequence of commands that there is not.
    pub(super) const SEQUENCE_ERROR: u8 = ERASE_ERROR | PROGRAM_ERROR;
}

/// What reads see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Array,
    Status,
    Identifier,
    Query,
}

/// What the next write is, if it is no command.
#[derive(Clone, Debug)]
enum Expected {
    Command,
    /// The data of [`command::PROGRAM`].
    Data,
    EraseConfirm,
    /// How many words the buffer gets, less one.
    Count,
    Buffer(Buffer),
    LockKind,
}

/// Words in the write buffer.
#[derive(Clone, Debug)]
struct Buffer {
    sector: u64,
    /// Writes still to come.
    left: u32,
    writes: Vec<(Access, u64)>,
}

/// Why there is no such flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a flash has a power of two between 256 KiB and 64 MiB of bytes, not {0}")]
pub struct SizeError(pub usize);

/// What keeps the contents beyond the machine's end. It answers at once.
pub trait FlashBackend: Send {
    /// These bytes are at this offset now.
    fn store(&mut self, offset: u64, bytes: &[u8]);
}

/// Contents end with the machine.
impl FlashBackend for () {
    fn store(&mut self, _: u64, _: &[u8]) {}
}

/// The device.
pub struct Pflash {
    contents: Vec<u8>,
    backend: Box<dyn FlashBackend>,
    mode: Mode,
    expected: Expected,
    status: u8,
    /// By sector.
    locked: Vec<bool>,
}

impl Pflash {
    /// With these contents; erased flash is all ones.
    ///
    /// # Errors
    /// There is no flash of this size.
    pub fn new(contents: Vec<u8>, backend: Box<dyn FlashBackend>) -> Result<Self, SizeError> {
        let size = contents.len() as u64;
        if !size.is_power_of_two() || !(SECTOR..=MAX_SIZE).contains(&size) {
            return Err(SizeError(contents.len()));
        }
        let locked = vec![false; (size / SECTOR) as usize];
        let (mode, expected) = (Mode::Array, Expected::Command);
        Ok(Self { contents, backend, mode, expected, status: status::READY, locked })
    }

    fn geometry(&self) -> Geometry {
        // Two words of a chip's buffer and block make one of the flash's.
        Geometry {
            size_log2: (self.contents.len() / 2).ilog2(),
            block: (SECTOR / 2) as u32,
            buffer_log2: (BUFFER_WORDS * 2).ilog2(),
        }
    }

    /// What one chip answers for a word of the bank.
    fn chip(&self, index: u64) -> u8 {
        match self.mode {
            Mode::Array | Mode::Status => self.status,
            Mode::Query => query(self.geometry(), index as usize),
            Mode::Identifier => match index % (SECTOR / BANK) {
                2 => self.locked[(index * BANK / SECTOR) as usize].into(),
                within => {
                    usize::try_from(within).map_or(0, |code| *IDENTIFIER.get(code).unwrap_or(&0))
                }
            },
        }
    }

    fn byte(&self, offset: u64) -> u8 {
        match (self.mode, offset % 2) {
            (Mode::Array, _) => self.contents.get(offset as usize).copied().unwrap_or(0),
            // The chips' upper halves.
            (_, 1) => 0,
            _ => self.chip(offset / BANK),
        }
    }

    fn command(&mut self, value: u8) {
        (self.mode, self.expected) = match value {
            command::READ_ARRAY => (Mode::Array, Expected::Command),
            command::READ_IDENTIFIER => (Mode::Identifier, Expected::Command),
            command::READ_QUERY => (Mode::Query, Expected::Command),
            command::READ_STATUS => (Mode::Status, Expected::Command),
            command::CLEAR_STATUS => {
                self.status = status::READY;
                (self.mode, Expected::Command)
            }
            command::PROGRAM | command::PROGRAM_ALTERNATE => (Mode::Status, Expected::Data),
            command::WRITE_TO_BUFFER => (Mode::Status, Expected::Count),
            command::BLOCK_ERASE => (Mode::Status, Expected::EraseConfirm),
            command::LOCK_SETUP => (Mode::Status, Expected::LockKind),
            // Other vendors' commands, with which drivers look for their chips.
            _ => (Mode::Array, Expected::Command),
        };
    }

    /// Bits go from 1 to 0 only.
    fn program(&mut self, access: Access, value: u64) {
        let start = access.offset as usize;
        let end = start + access.width.bytes() as usize;
        let bytes = value.to_le_bytes();
        let Some(target) = self.contents.get_mut(start..end) else { return };
        target.iter_mut().zip(bytes).for_each(|(old, new)| *old &= new);
        self.backend.store(access.offset, &self.contents[start..end]);
    }

    fn erase(&mut self, sector: u64) {
        let start = (sector * SECTOR) as usize;
        let sector = &mut self.contents[start..start + SECTOR as usize];
        sector.fill(0xff);
        self.backend.store(start as u64, sector);
    }

    /// Whether the sector can be changed; if not, the status says so beside this error.
    fn is_unlocked(&mut self, sector: u64, error: u8) -> bool {
        let locked = self.locked[sector as usize];
        if locked {
            self.status |= status::BLOCK_LOCKED | error;
        }
        !locked
    }

    /// A count of words for the write buffer.
    fn start_buffer(&mut self, sector: u64, value: u64) -> Expected {
        let words = value as u32 & 0xffff;
        if words >= BUFFER_WORDS {
            self.status |= status::SEQUENCE_ERROR;
            return Expected::Command;
        }
        Expected::Buffer(Buffer { sector, left: words + 1, writes: Vec::new() })
    }

    /// A word for the write buffer, or the confirmation that programs it.
    fn fill_buffer(&mut self, mut buffer: Buffer, access: Access, value: u64) -> Expected {
        if access.offset / SECTOR != buffer.sector
            || buffer.left == 0 && value as u8 != command::CONFIRM
        {
            self.status |= status::SEQUENCE_ERROR;
            return Expected::Command;
        }
        if buffer.left > 0 {
            buffer.left -= 1;
            buffer.writes.push((access, value));
            return Expected::Buffer(buffer);
        }
        if self.is_unlocked(buffer.sector, status::PROGRAM_ERROR) {
            buffer.writes.into_iter().for_each(|(access, value)| self.program(access, value));
        }
        Expected::Command
    }
}

impl Device for Pflash {
    fn name(&self) -> &'static str {
        "cfi-flash"
    }

    fn windows(&self) -> Vec<u64> {
        vec![self.contents.len() as u64]
    }

    fn read(&mut self, access: Access, _: &World<'_>) -> Result<u64, Refusal> {
        let bytes = (access.offset..).take(access.width.bytes() as usize);
        let shifted =
            (0..).step_by(8).zip(bytes).map(|(shift, at)| u64::from(self.byte(at)) << shift);
        Ok(shifted.fold(0, |value, byte| value | byte))
    }

    fn write(&mut self, access: Access, value: u64, _: &World<'_>) -> Result<Effect, Refusal> {
        if access.width == Width::B8 || !access.offset.is_multiple_of(access.width.bytes()) {
            return Err(Refusal::Width);
        }
        let (sector, low) = (access.offset / SECTOR, value as u8);
        self.expected = match std::mem::replace(&mut self.expected, Expected::Command) {
            Expected::Command => {
                self.command(low);
                return Ok(Effect::None);
            }
            Expected::Data => {
                if self.is_unlocked(sector, status::PROGRAM_ERROR) {
                    self.program(access, value);
                }
                Expected::Command
            }
            Expected::EraseConfirm if low == command::CONFIRM => {
                if self.is_unlocked(sector, status::ERASE_ERROR) {
                    self.erase(sector);
                }
                Expected::Command
            }
            Expected::LockKind if low == command::CONFIRM || low == command::LOCK => {
                self.locked[sector as usize] = low == command::LOCK;
                Expected::Command
            }
            Expected::EraseConfirm | Expected::LockKind => {
                self.status |= status::SEQUENCE_ERROR;
                Expected::Command
            }
            Expected::Count => self.start_buffer(sector, value),
            Expected::Buffer(buffer) => self.fill_buffer(buffer, access, value),
        };
        Ok(Effect::None)
    }

    /// Contents stay.
    fn reset(&mut self) {
        (self.mode, self.expected) = (Mode::Array, Expected::Command);
        self.status = status::READY;
        self.locked.fill(false);
    }
}

#[cfg(test)]
mod tests;
