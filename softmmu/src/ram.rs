//! A machine's RAM: host memory that any number of CPUs and devices read and write at once, as
//! they do real memory. The host gives pages when they are first touched, large ones if it has them.

#![expect(unsafe_code, reason = "advises the host about a mapping, and swaps words in it")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::addr::PAGE_SIZE;
use base::{GuestPhys, HostPtr};
use vm_memory::bitmap::Bitmap;
use vm_memory::mmap::{GuestRegionMmap, MmapRegionBuilder, MmapRegionError};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError, GuestMemoryRegion, MemoryRegionAddress};

use crate::tracker::PageTracker;

/// All RAM of a machine, as devices reach it.
pub type GuestMemory = vm_memory::GuestMemoryMmap<PageTracker>;

/// What is wrong with a piece of RAM.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// Not a positive number of pages, or not where it could lie.
    #[error("{bytes:#x} bytes of RAM at {base} are not a positive number of pages of 4 KiB")]
    Size {
        /// Where.
        base: GuestPhys,
        /// How many.
        bytes: u64,
    },
    /// The host has no room.
    #[error("the host gives no {bytes:#x} bytes for RAM")]
    Host {
        /// How many were asked for.
        bytes: u64,
        /// What it says.
        #[source]
        source: MmapRegionError,
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

/// Zeroed memory at an address, and what is known of its pages.
#[derive(Clone, Debug)]
pub struct Ram {
    region: Arc<GuestRegionMmap<PageTracker>>,
}

impl Ram {
    /// Zeros, a multiple of [`PAGE_SIZE`], at a multiple of it.
    ///
    /// # Errors
    /// Another size, or no room.
    pub fn new(base: GuestPhys, bytes: u64) -> Result<Self, RamError> {
        let fits = bytes != 0 && base.0.checked_add(bytes).is_some();
        let aligned = bytes.is_multiple_of(PAGE_SIZE) && base.0.is_multiple_of(PAGE_SIZE);
        let len = usize::try_from(bytes).ok().filter(|_| fits && aligned);
        let size = RamError::Size { base, bytes };
        let Some(len) = len else { return Err(size) };
        let host = |source| RamError::Host { bytes, source };
        // The host refuses what it cannot address, before flags are made for each page.
        let mapping = MmapRegionBuilder::new_with_bitmap(len, None::<()>)
            .with_mmap_prot(libc::PROT_NONE)
            .with_mmap_flags(FLAGS)
            .build();
        mapping.map_err(host)?;
        let tracker = PageTracker::new(base, bytes / PAGE_SIZE);
        let mapping = MmapRegionBuilder::new_with_bitmap(len, tracker)
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(FLAGS)
            .build()
            .map_err(host)?;
        advise_huge_pages(mapping.as_ptr(), len);
        let region = GuestRegionMmap::new(mapping, GuestAddress(base.0)).ok_or(size)?;
        Ok(Self { region: Arc::new(region) })
    }

    /// Where it lies for the guest.
    #[must_use]
    pub fn base(&self) -> GuestPhys {
        GuestPhys(self.region.start_addr().0)
    }

    /// How many bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.region.len()
    }

    /// Where it lies, for code that checks its accesses itself and marks what it writes to.
    #[must_use]
    pub fn host(&self) -> HostPtr {
        HostPtr(self.region.get_mmap().as_ptr() as usize)
    }

    /// What is known of its pages.
    #[must_use]
    pub fn tracker(&self) -> &PageTracker {
        let mapping: &vm_memory::MmapRegion<_> = &self.region;
        mapping.bitmap()
    }

    /// As a region of all RAM.
    #[must_use]
    pub fn region(&self) -> Arc<GuestRegionMmap<PageTracker>> {
        Arc::clone(&self.region)
    }

    /// Copies out.
    ///
    /// # Errors
    /// Some of it lies beyond the end; nothing is copied.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), RamError> {
        self.check(offset, to.len())?;
        let copied = self.region.read_slice(to, MemoryRegionAddress(offset));
        copied.map_err(|_: GuestMemoryError| beyond(offset, to.len()))
    }

    /// Copies in, and marks the pages.
    ///
    /// # Errors
    /// Some of it lies beyond the end; nothing is copied.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), RamError> {
        self.check(offset, from.len())?;
        let copied = self.region.write_slice(from, MemoryRegionAddress(offset));
        copied.map_err(|_: GuestMemoryError| beyond(offset, from.len()))
    }

    /// Replaces 8 aligned bytes if they are `old`, atomically, and marks the page. Whether they were.
    ///
    /// # Errors
    /// They lie beyond the end, or are not aligned.
    pub fn compare_exchange(&self, offset: u64, old: u64, new: u64) -> Result<bool, RamError> {
        let word = self.word(offset)?;
        let swapped = word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if swapped {
            self.tracker().mark_dirty(offset as usize, 8);
        }
        Ok(swapped)
    }

    /// Reads 8 aligned bytes in one piece: nothing that comes after is read before.
    ///
    /// # Errors
    /// They lie beyond the end, or are not aligned.
    pub fn load(&self, offset: u64) -> Result<u64, RamError> {
        Ok(self.word(offset)?.load(Ordering::Acquire))
    }

    fn word(&self, offset: u64) -> Result<&AtomicU64, RamError> {
        self.check(offset, 8)?;
        if !offset.is_multiple_of(8) {
            return Err(beyond(offset, 8));
        }
        // SAFETY: checked just now; RAM is only ever accessed atomically or by single host
        // instructions, and the mapping is aligned to pages and lives as long as this.
        Ok(unsafe { AtomicU64::from_ptr((self.host().0 + offset as usize) as *mut u64) })
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), RamError> {
        let end = offset.checked_add(len as u64).filter(|&end| end <= self.size());
        end.map(|_| ()).ok_or(beyond(offset, len))
    }
}

const FLAGS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

fn beyond(offset: u64, len: usize) -> RamError {
    RamError::Beyond { offset, len: len as u64 }
}

/// Asks for large pages, which spare the host's TLB. A host without them says no, which is well.
fn advise_huge_pages(at: *mut u8, len: usize) {
    // SAFETY: advice about a mapping of our own changes nothing that can be read.
    let refused = unsafe { libc::madvise(at.cast(), len, libc::MADV_HUGEPAGE) } != 0;
    if refused {
        tracing::debug!(error = %io::Error::last_os_error(), "no huge pages for RAM");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RAM: u64 = 0x8000_0000;

    #[test]
    fn sizes_are_pages_and_accesses_stay_inside() {
        let new = |base, bytes| Ram::new(GuestPhys(base), bytes);
        assert!(matches!(new(0, 0), Err(RamError::Size { .. })));
        assert!(matches!(new(0, PAGE_SIZE + 1), Err(RamError::Size { .. })));
        assert!(matches!(new(1, PAGE_SIZE), Err(RamError::Size { .. })));
        assert!(matches!(new(PAGE_SIZE, !(PAGE_SIZE - 1)), Err(RamError::Size { .. })));
        assert!(matches!(new(0, 1 << 60), Err(RamError::Host { .. })));
        let ram = new(RAM, PAGE_SIZE).unwrap();
        assert!(
            ram.write(PAGE_SIZE - 1, &[1, 2]).is_err() && ram.tracker().take_dirty().is_empty()
        );
        assert!(ram.read(u64::MAX, &mut [0]).is_err());
        assert!(ram.read(PAGE_SIZE, &mut []).is_ok());
        assert!(ram.load(PAGE_SIZE - 4).is_err() && ram.load(PAGE_SIZE).is_err());
        ram.write(PAGE_SIZE - 1, &[7]).unwrap();
        assert_eq!(ram.tracker().take_dirty(), [0]);
        assert_eq!(ram.load(PAGE_SIZE - 8).unwrap(), 7 << 56);
        assert!(ram.compare_exchange(PAGE_SIZE - 8, 7 << 56, 1).unwrap());
        assert_eq!((ram.load(PAGE_SIZE - 8).unwrap(), ram.tracker().take_dirty()), (1, vec![0]));
    }

    #[test]
    fn memory_that_is_not_touched_costs_nothing() {
        let ram = Ram::new(GuestPhys(RAM), 1 << 36).unwrap();
        ram.write((1 << 36) - 4, &[1, 2, 3, 4]).unwrap();
        let mut bytes = [9; 8];
        ram.read((1 << 36) - 8, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0, 0, 0, 1, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn it_is_a_row_of_bytes(writes in prop::collection::vec((0u64..90, prop::collection::vec(any::<u8>(), 0..40)), 0..12)) {
            let ram = Ram::new(GuestPhys(RAM), PAGE_SIZE).unwrap();
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
