//! A machine's RAM: host memory that any number of CPUs and devices read and write at once, as
//! they do real memory. The host gives pages when they are first touched.

#![expect(unsafe_code, reason = "owns a mapping and reaches it through pointers")]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use base::HostPtr;
use base::addr::PAGE_SIZE;

use crate::dirty::DirtyPages;

/// What is wrong with a piece of RAM.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// Not a positive number of pages.
    #[error("{0:#x} bytes of RAM are not a positive number of pages of 4 KiB")]
    Size(u64),
    /// The host has no room.
    #[error("the host gives no {bytes:#x} bytes for RAM")]
    Host {
        /// How many were asked for.
        bytes: u64,
        /// What it says.
        #[source]
        source: io::Error,
    },
    /// An access beyond the end.
    #[error("{len:#x} bytes at {offset:#x} lie beyond the end of the RAM")]
    Beyond {
        /// From the start of the RAM.
        offset: u64,
        /// How many.
        len: u64,
    },
}

/// Zeroed memory, and which of its pages were written to.
///
/// Accesses tear at most where a guest's own would: bytes are copied in aligned words of 8 where
/// both ends allow it.
#[derive(Debug)]
pub struct Ram {
    base: NonNull<u8>,
    bytes: u64,
    dirty: DirtyPages,
}

// SAFETY: the mapping belongs to no thread, and is accessed atomically only.
unsafe impl Send for Ram {}
// SAFETY: as above.
unsafe impl Sync for Ram {}

impl Ram {
    /// Zeros, a multiple of [`PAGE_SIZE`].
    ///
    /// # Errors
    /// Another size, or no room.
    pub fn new(bytes: u64) -> Result<Self, RamError> {
        let len =
            usize::try_from(bytes).ok().filter(|_| bytes != 0 && bytes.is_multiple_of(PAGE_SIZE));
        let len = len.ok_or(RamError::Size(bytes))?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping where the host likes.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, -1, 0) };
        let host = |source| RamError::Host { bytes, source };
        if at == libc::MAP_FAILED {
            return Err(host(io::Error::last_os_error()));
        }
        let at = NonNull::new(at.cast());
        let base = at.ok_or_else(|| host(io::Error::other("mapped at address zero")))?;
        Ok(Self { base, bytes, dirty: DirtyPages::new(bytes / PAGE_SIZE) })
    }

    /// How many bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes
    }

    /// Where it lies, for code that checks its accesses itself and marks what it writes to.
    #[must_use]
    pub fn host(&self) -> HostPtr {
        HostPtr(self.base.as_ptr() as usize)
    }

    /// Which pages were written to.
    #[must_use]
    pub fn dirty(&self) -> &DirtyPages {
        &self.dirty
    }

    /// Copies out.
    ///
    /// # Errors
    /// Some of it lies beyond the end; nothing is copied.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), RamError> {
        self.check(offset, to.len())?;
        let mut at = offset;
        for piece in pieces(offset, to) {
            match <[u8; 8]>::try_from(&*piece) {
                Ok(_) => {
                    piece.copy_from_slice(&self.word(at).load(Ordering::Relaxed).to_ne_bytes())
                }
                Err(_) => (at..).zip(piece.iter_mut()).for_each(|(at, byte)| {
                    *byte = self.byte(at).load(Ordering::Relaxed);
                }),
            }
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Copies in, and marks the pages.
    ///
    /// # Errors
    /// Some of it lies beyond the end; nothing is copied.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), RamError> {
        self.check(offset, from.len())?;
        let (head, rest) = from.split_at(to_alignment(offset).min(from.len()));
        let (words, tail) = rest.as_chunks::<8>();
        let after_head = offset + head.len() as u64;
        self.write_bytes(offset, head);
        for (at, word) in (after_head..).step_by(8).zip(words) {
            self.word(at).store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        self.write_bytes(after_head + 8 * words.len() as u64, tail);
        self.dirty.mark(offset, from.len() as u64);
        Ok(())
    }

    fn write_bytes(&self, offset: u64, from: &[u8]) {
        for (at, byte) in (offset..).zip(from) {
            self.byte(at).store(*byte, Ordering::Relaxed);
        }
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), RamError> {
        let len = len as u64;
        let end = offset.checked_add(len).filter(|&end| end <= self.bytes);
        end.map(|_| ()).ok_or(RamError::Beyond { offset, len })
    }

    /// The byte at an offset below the size.
    fn byte(&self, offset: u64) -> &AtomicU8 {
        assert!(offset < self.bytes);
        // SAFETY: it lies in the mapping, which lives as long as `self` and is accessed atomically.
        unsafe { AtomicU8::from_ptr(self.base.as_ptr().add(offset as usize)) }
    }

    /// The 8 bytes at an aligned offset below the size, which is a multiple of 8.
    fn word(&self, offset: u64) -> &AtomicU64 {
        assert!(offset < self.bytes && offset.is_multiple_of(8));
        // SAFETY: as `byte`; the mapping is aligned to pages.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset as usize).cast()) }
    }
}

/// Bytes up to the next multiple of 8.
fn to_alignment(offset: u64) -> usize {
    (offset.wrapping_neg() % 8) as usize
}

/// Splits what is copied from `offset` into aligned words, and what lies before and after them.
fn pieces(offset: u64, bytes: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let head = to_alignment(offset).min(bytes.len());
    let (head, rest) = bytes.split_at_mut(head);
    // The last chunk may be shorter than a word.
    std::iter::once(head).chain(rest.chunks_mut(8))
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which nothing refers any more.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.bytes as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_pages_and_accesses_stay_inside() {
        assert!(matches!(Ram::new(0), Err(RamError::Size(0))));
        assert!(matches!(Ram::new(PAGE_SIZE + 1), Err(RamError::Size(_))));
        assert!(matches!(Ram::new(!(PAGE_SIZE - 1)), Err(RamError::Host { .. })));
        let ram = Ram::new(PAGE_SIZE).unwrap();
        assert!(ram.write(PAGE_SIZE - 1, &[1, 2]).is_err() && ram.dirty().take().is_empty());
        assert!(ram.read(u64::MAX, &mut [0]).is_err());
        assert!(ram.read(PAGE_SIZE, &mut []).is_ok());
        ram.write(PAGE_SIZE - 1, &[7]).unwrap();
        assert_eq!(ram.dirty().take(), [0]);
    }

    #[test]
    fn memory_that_is_not_touched_costs_nothing() {
        let ram = Ram::new(1 << 36).unwrap();
        ram.write((1 << 36) - 4, &[1, 2, 3, 4]).unwrap();
        let mut bytes = [9; 8];
        ram.read((1 << 36) - 8, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0, 0, 0, 1, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn it_is_a_row_of_bytes(writes in prop::collection::vec((0u64..90, prop::collection::vec(any::<u8>(), 0..40)), 0..12)) {
            let ram = Ram::new(PAGE_SIZE).unwrap();
            let mut model = vec![0_u8; 130];
            for (offset, bytes) in &writes {
                ram.write(*offset, bytes).unwrap();
                model[*offset as usize..][..bytes.len()].copy_from_slice(bytes);
                let mut part = vec![0; bytes.len()];
                ram.read(*offset, &mut part).unwrap();
                prop_assert_eq!(&part, bytes);
            }
            let mut all = vec![0; 130];
            ram.read(0, &mut all).unwrap();
            prop_assert_eq!(all, model);
        }
    }
}
