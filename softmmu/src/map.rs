//! The map of guest-physical memory: flat, so that every address has one meaning or none. What a
//! machine moves (a device's window, a PCI BAR) is removed and inserted again.

use std::collections::BTreeMap;

use base::GuestPhys;
use base::addr::PAGE_SIZE;

use crate::ram::Ram;
use crate::range::{PhysRange, RangeError};

/// A device's window, numbered by whoever owns the map.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MmioId(pub u32);

/// What lies behind a region.
#[derive(Clone, Debug)]
pub enum Backing {
    /// Memory, from a byte of a piece of RAM on. The same bytes may lie behind several regions.
    Ram {
        /// The memory.
        ram: Ram,
        /// The region's first byte in it.
        offset: u64,
    },
    /// Memory that the guest cannot write to.
    Rom {
        /// The memory.
        ram: Ram,
        /// The region's first byte in it.
        offset: u64,
    },
    /// Registers.
    Mmio(MmioId),
}

/// Addresses and what they stand for.
#[derive(Clone, Debug)]
pub struct Region {
    /// Where.
    pub range: PhysRange,
    /// What.
    pub backing: Backing,
}

/// Why a region cannot be in the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MapError {
    /// No range.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// Another one has some of its addresses.
    #[error("{new} overlaps {old}")]
    Overlap {
        /// The region that is not inserted.
        new: PhysRange,
        /// The first that is in its way.
        old: PhysRange,
    },
    /// RAM and ROM come in whole pages, which a TLB can hold.
    #[error("memory at {0} does not begin and end with pages of 4 KiB")]
    Unaligned(PhysRange),
    /// The region is longer than what lies behind it.
    #[error("{0} is longer than the memory behind it")]
    Beyond(PhysRange),
}

/// What an access of some bytes meets.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// Memory.
    Ram {
        /// The memory.
        ram: &'a Ram,
        /// The first byte in it.
        offset: u64,
    },
    /// Memory that the guest cannot write to.
    Rom {
        /// The memory.
        ram: &'a Ram,
        /// The first byte in it.
        offset: u64,
    },
    /// Registers.
    Mmio {
        /// Whose.
        id: MmioId,
        /// The first byte in the window.
        offset: u64,
    },
}

/// Why an access meets nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResolveError {
    /// No range.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// Nothing is there.
    #[error("nothing at {0}")]
    Unmapped(GuestPhys),
    /// It begins in one region and ends outside.
    #[error("{0} lies across the end of a region")]
    Straddles(PhysRange),
}

/// The map.
#[derive(Clone, Debug, Default)]
pub struct MemoryMap {
    /// By their first addresses; no two overlap.
    regions: BTreeMap<GuestPhys, Region>,
    generation: u64,
}

impl MemoryMap {
    /// Nothing anywhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a region of `len` bytes.
    ///
    /// # Errors
    /// It cannot be there; the map is unchanged.
    pub fn insert(&mut self, start: GuestPhys, len: u64, backing: Backing) -> Result<(), MapError> {
        let range = PhysRange::new(start, len)?;
        check_backing(range, len, &backing)?;
        if let Some(old) = self.regions_in(range).next() {
            return Err(MapError::Overlap { new: range, old: old.range });
        }
        self.regions.insert(start, Region { range, backing });
        self.generation += 1;
        Ok(())
    }

    /// Takes the region away that begins at `start`.
    pub fn remove(&mut self, start: GuestPhys) -> Option<Region> {
        let removed = self.regions.remove(&start);
        self.generation += u64::from(removed.is_some());
        removed
    }

    /// Another number after every change: what was resolved under an older one is stale.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The region that holds an address.
    #[must_use]
    pub fn lookup(&self, addr: GuestPhys) -> Option<&Region> {
        let (_, region) = self.regions.range(..=addr).next_back()?;
        region.range.contains(addr).then_some(region)
    }

    /// All regions, by address.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.values()
    }

    /// The regions that have some of these addresses, by address.
    pub fn regions_in(&self, range: PhysRange) -> impl Iterator<Item = &Region> {
        let first = self.lookup(range.start()).map_or(range.start(), |region| region.range.start());
        self.regions.range(first..=range.last()).map(|(_, region)| region)
    }

    /// What an access of `len` bytes meets.
    ///
    /// # Errors
    /// Nothing, or more than one thing.
    pub fn resolve(&self, addr: GuestPhys, len: u64) -> Result<Place<'_>, ResolveError> {
        let range = PhysRange::new(addr, len)?;
        let region = self.lookup(addr).ok_or(ResolveError::Unmapped(addr))?;
        if !region.range.contains(range.last()) {
            return Err(ResolveError::Straddles(range));
        }
        Ok(region.place(addr))
    }

    /// What a copy of these addresses meets, piece by piece, as long as there is something: the
    /// pieces are whole if their lengths add up.
    pub fn pieces(&self, range: PhysRange) -> impl Iterator<Item = (PhysRange, Place<'_>)> {
        let mut wanted = Some(range.start());
        self.regions_in(range).map_while(move |region| {
            let part = region.range.intersection(range)?;
            (wanted == Some(part.start())).then(|| {
                wanted = part.last().checked_add(1);
                (part, region.place(part.start()))
            })
        })
    }
}

impl Region {
    /// What lies at an address of this region.
    fn place(&self, addr: GuestPhys) -> Place<'_> {
        let within = addr.0 - self.range.start().0;
        match &self.backing {
            Backing::Ram { ram, offset } => Place::Ram { ram, offset: offset + within },
            Backing::Rom { ram, offset } => Place::Rom { ram, offset: offset + within },
            Backing::Mmio(id) => Place::Mmio { id: *id, offset: within },
        }
    }
}

fn check_backing(range: PhysRange, len: u64, backing: &Backing) -> Result<(), MapError> {
    let (Backing::Ram { ram, offset } | Backing::Rom { ram, offset }) = backing else {
        return Ok(());
    };
    if [range.start().0, len, *offset].iter().any(|bytes| bytes % PAGE_SIZE != 0) {
        return Err(MapError::Unaligned(range));
    }
    let end = offset.checked_add(len).filter(|&end| end <= ram.size());
    end.map(|_| ()).ok_or(MapError::Beyond(range))
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
