//! Buffers of a request in guest memory (virtio 1.2, 2.7.4): pieces of RAM that count as one row of
//! bytes, however the driver has cut them.

use base::GuestPhys;
use softmmu::GuestMemory;
use vm_memory::{Bytes, GuestAddress};

use super::queue::QueueError;

/// One piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Where.
    pub at: GuestPhys,
    /// How many bytes; never 0 in a chain.
    pub len: u32,
}

/// Pieces that count as one row of bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Buffers {
    pieces: Vec<Buffer>,
    len: u64,
}

impl Buffers {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece at the end; an empty one is left out.
    pub fn push(&mut self, piece: Buffer) {
        if piece.len != 0 {
            self.len += u64::from(piece.len);
            self.pieces.push(piece);
        }
    }

    /// The pieces, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Buffer] {
        &self.pieces
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops bytes from the front.
    pub fn advance(&mut self, bytes: u64) {
        let mut left = bytes.min(self.len);
        self.len -= left;
        let mut whole = 0;
        for piece in &mut self.pieces {
            let part = left.min(u64::from(piece.len));
            left -= part;
            piece.at = piece.at.wrapping_add(part);
            piece.len -= part as u32;
            if piece.len != 0 {
                break;
            }
            whole += 1;
        }
        self.pieces.drain(..whole);
    }

    /// Keeps so many bytes at most, from the front.
    pub fn truncate(&mut self, bytes: u64) {
        let mut excess = self.len.saturating_sub(bytes);
        self.len -= excess;
        while let Some(last) = self.pieces.last_mut().filter(|_| excess != 0) {
            let part = excess.min(u64::from(last.len));
            excess -= part;
            last.len -= part as u32;
            if last.len == 0 {
                self.pieces.pop();
            }
        }
    }

    /// Takes away the last byte, and says where it is.
    pub fn take_last(&mut self) -> Option<GuestPhys> {
        let last = *self.pieces.last()?;
        self.truncate(self.len - 1);
        Some(last.at.wrapping_add(u64::from(last.len) - 1))
    }

    /// Copies out from `skip` on, as much as there is; says how much that was.
    ///
    /// # Errors
    /// A piece is not RAM.
    pub fn read(
        &self,
        memory: &GuestMemory,
        skip: u64,
        to: &mut [u8],
    ) -> Result<usize, QueueError> {
        self.each(skip, to.len(), |at, range| {
            memory
                .read_slice(&mut to[range], GuestAddress(at.0))
                .map_err(|_| QueueError::Buffer(at))
        })
    }

    /// Copies in from `skip` on, as much as there is room; says how much that was.
    ///
    /// # Errors
    /// A piece is not RAM.
    pub fn write(&self, memory: &GuestMemory, skip: u64, from: &[u8]) -> Result<usize, QueueError> {
        self.each(skip, from.len(), |at, range| {
            memory.write_slice(&from[range], GuestAddress(at.0)).map_err(|_| QueueError::Buffer(at))
        })
    }

    /// Calls `copy` with each piece of `len` bytes from `skip` on: where it is, and which of the
    /// `len` bytes it is.
    fn each(
        &self,
        mut skip: u64,
        len: usize,
        mut copy: impl FnMut(GuestPhys, std::ops::Range<usize>) -> Result<(), QueueError>,
    ) -> Result<usize, QueueError> {
        let mut done = 0;
        for piece in &self.pieces {
            let skipped = skip.min(u64::from(piece.len));
            skip -= skipped;
            let part = (piece.len as usize - skipped as usize).min(len - done);
            if part != 0 {
                copy(piece.at.wrapping_add(skipped), done..done + part)?;
                done += part;
            }
        }
        Ok(done)
    }
}

impl FromIterator<Buffer> for Buffers {
    fn from_iter<T: IntoIterator<Item = Buffer>>(pieces: T) -> Self {
        let mut buffers = Self::new();
        pieces.into_iter().for_each(|piece| buffers.push(piece));
        buffers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use softmmu::Ram;

    use super::*;

    const RAM: u64 = 0x8000_0000;

    fn memory() -> GuestMemory {
        let ram = Ram::new(GuestPhys(RAM), 0x1000).unwrap();
        GuestMemory::new().insert_region(ram.region()).unwrap()
    }

    proptest! {
        #[test]
        fn they_are_one_row_of_bytes(
            lens in prop::collection::vec(0u32..9, 0..8), front in 0u64..40, keep in 0u64..40, skip in 0u64..40,
        ) {
            let memory = memory();
            let (mut buffers, mut model, mut at) = (Buffers::new(), Vec::new(), RAM);
            for len in lens {
                buffers.push(Buffer { at: GuestPhys(at), len });
                model.extend(at..at + u64::from(len));
                at += u64::from(len) + 3;
            }
            for &byte in &model {
                memory.write_obj(byte as u8 ^ 0x5a, GuestAddress(byte)).unwrap();
            }
            model.drain(..model.len().min(front as usize));
            buffers.advance(front);
            model.truncate(keep as usize);
            buffers.truncate(keep);
            prop_assert_eq!(buffers.len(), model.len() as u64);
            prop_assert!(buffers.pieces().iter().all(|piece| piece.len != 0));
            let mut bytes = [0; 50];
            let got = buffers.read(&memory, skip, &mut bytes).unwrap();
            let expected: Vec<u8> = model.iter().skip(skip as usize).map(|&at| at as u8 ^ 0x5a).collect();
            prop_assert_eq!(&bytes[..got], &expected);
            prop_assert_eq!(buffers.write(&memory, skip, &[7; 60]).unwrap(), expected.len());
            prop_assert_eq!(buffers.take_last(), model.pop().map(GuestPhys));
        }
    }
}
