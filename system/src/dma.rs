//! Memory as devices reach it: RAM, and ROM to read from, but no registers. A device that is told to
//! copy to its own registers, or to another's, gets an error, as it cannot be called while it runs.

use base::GuestPhys;
use softmmu::{MemoryMap, PhysRange, Place};

/// A copy that meets something other than memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("DMA: no such memory at {0}")]
pub struct DmaError(pub GuestPhys);

/// Reads and writes of a device on its own.
pub trait DmaMemory {
    /// Copies out.
    ///
    /// # Errors
    /// Some of it is no memory; nothing is copied.
    fn read(&self, addr: GuestPhys, to: &mut [u8]) -> Result<(), DmaError>;

    /// Copies in, and marks the pages as written to.
    ///
    /// # Errors
    /// Some of it is no memory, or is ROM; nothing is copied.
    fn write(&self, addr: GuestPhys, from: &[u8]) -> Result<(), DmaError>;
}

impl DmaMemory for MemoryMap {
    fn read(&self, addr: GuestPhys, to: &mut [u8]) -> Result<(), DmaError> {
        let pieces = whole(self, addr, to.len(), |place| !matches!(place, Place::Mmio { .. }))?;
        let mut rest = to;
        for (range, place) in pieces {
            let (part, after) = rest.split_at_mut(len(range));
            rest = after;
            if let Place::Ram { ram, offset } | Place::Rom { ram, offset } = place {
                ram.read(offset, part).map_err(|_| DmaError(range.start()))?;
            }
        }
        Ok(())
    }

    fn write(&self, addr: GuestPhys, from: &[u8]) -> Result<(), DmaError> {
        let pieces = whole(self, addr, from.len(), |place| matches!(place, Place::Ram { .. }))?;
        let mut rest = from;
        for (range, place) in pieces {
            let (part, after) = rest.split_at(len(range));
            rest = after;
            if let Place::Ram { ram, offset } = place {
                ram.write(offset, part).map_err(|_| DmaError(range.start()))?;
            }
        }
        Ok(())
    }
}

/// Bytes of a piece of a host's buffer.
fn len(range: PhysRange) -> usize {
    range.bytes_after_first() as usize + 1
}

/// The pieces of a copy, if all of it is there and may be used.
fn whole(
    map: &MemoryMap,
    addr: GuestPhys,
    len: usize,
    usable: impl Fn(&Place<'_>) -> bool,
) -> Result<Vec<(PhysRange, Place<'_>)>, DmaError> {
    if len == 0 {
        return Ok(Vec::new());
    }
    let range = PhysRange::new(addr, len as u64).map_err(|_| DmaError(addr))?;
    let mut pieces = Vec::new();
    let mut missing = Some(addr);
    for (part, place) in map.pieces(range) {
        if !usable(&place) {
            return Err(DmaError(part.start()));
        }
        missing = part.last().checked_add(1).filter(|&next| next <= range.last());
        pieces.push((part, place));
    }
    match missing {
        Some(at) => Err(DmaError(at)),
        None => Ok(pieces),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use softmmu::{Backing, MmioId, Ram};

    use super::*;

    const PAGE: u64 = 4096;

    /// RAM, ROM, a gap, RAM, a device, each a page long.
    fn map() -> (MemoryMap, Arc<Ram>) {
        let ram = Arc::new(Ram::new(2 * PAGE).unwrap());
        let rom = Arc::new(Ram::new(PAGE).unwrap());
        rom.write(0, b"rom").unwrap();
        let mut map = MemoryMap::new();
        let page = |offset| Backing::Ram { ram: Arc::clone(&ram), offset };
        map.insert(GuestPhys(0), PAGE, page(0)).unwrap();
        map.insert(GuestPhys(PAGE), PAGE, Backing::Rom { ram: rom, offset: 0 }).unwrap();
        map.insert(GuestPhys(3 * PAGE), PAGE, page(PAGE)).unwrap();
        map.insert(GuestPhys(4 * PAGE), PAGE, Backing::Mmio(MmioId(0))).unwrap();
        (map, ram)
    }

    #[test]
    fn copies_cross_regions() {
        let (map, ram) = map();
        DmaMemory::write(&map, GuestPhys(PAGE - 2), b"ab").unwrap();
        let mut bytes = [0; 5];
        map.read(GuestPhys(PAGE - 2), &mut bytes).unwrap();
        assert_eq!(&bytes, b"abrom");
        assert_eq!(ram.dirty().take(), [0]);
        map.read(GuestPhys(u64::MAX), &mut []).unwrap();
    }

    #[test]
    fn a_copy_is_whole_or_not_at_all() {
        let (map, ram) = map();
        let write = |at, len| map.write(GuestPhys(at), &vec![1; len]);
        assert_eq!(write(PAGE - 2, 3), Err(DmaError(GuestPhys(PAGE))), "ROM");
        assert_eq!(write(4 * PAGE - 2, 3), Err(DmaError(GuestPhys(4 * PAGE))), "registers");
        assert_eq!(write(2 * PAGE, 1), Err(DmaError(GuestPhys(2 * PAGE))), "nothing");
        assert_eq!(write(u64::MAX, 2), Err(DmaError(GuestPhys(u64::MAX))), "wraps");
        assert_eq!(
            map.read(GuestPhys(2 * PAGE - 1), &mut [0; 2]),
            Err(DmaError(GuestPhys(2 * PAGE)))
        );
        assert!(ram.dirty().take().is_empty());
    }
}
