//! From which pages code was fetched, and in which contexts: what jump caches may know. So forgetting a
//! page costs those address spaces their jumps that have fetched from it, and no others.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::tlb::Space;

/// Notes that are kept, at most.
const MOST: usize = 1 << 16;
/// The latest notes of a page are compared with a new one.
const COMPARED: usize = 8;

/// An address space as instruction fetches see it, and the context that it had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fetcher {
    pub(crate) space: Space,
    pub(crate) context: u64,
}

/// There is no room for another note: all who have fetched must get new contexts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// Page numbers are spread by one multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PageHasher(u64);

impl Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pages: HashMap<u64, Vec<Fetcher>, BuildHasherDefault<PageHasher>>,
    notes: usize,
}

impl Fetched {
    /// Notes that code was fetched from a page.
    pub(crate) fn note(&mut self, page: u64, fetcher: Fetcher) -> Result<(), Full> {
        let known = self.pages.entry(page).or_default();
        if known.iter().rev().take(COMPARED).any(|&other| other == fetcher) {
            return Ok(());
        }
        if self.notes == MOST {
            return Err(Full);
        }
        known.push(fetcher);
        self.notes += 1;
        Ok(())
    }

    /// Takes those out who have fetched from a page, as far as they are of this address space or of all.
    pub(crate) fn take(&mut self, page: u64, asid: Option<u32>) -> Vec<Fetcher> {
        let Some(known) = self.pages.get_mut(&page) else { return Vec::new() };
        let is_meant = |fetcher: &mut Fetcher| fetcher.space.is_met_by(asid);
        let taken: Vec<Fetcher> = known.extract_if(.., is_meant).collect();
        if known.is_empty() {
            self.pages.remove(&page);
        }
        self.notes -= taken.len();
        taken
    }

    /// Forgets all notes: their contexts are none any more.
    pub(crate) fn clear(&mut self) {
        self.pages.clear();
        self.notes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(asid: u32, context: u64) -> Fetcher {
        Fetcher { space: Space { asid, view: 8, code: 0 }, context }
    }

    #[test]
    fn a_page_s_fetchers_are_taken_once() {
        let mut fetched = Fetched::default();
        let (one, two, all) = (fetcher(1, 5), fetcher(2, 6), fetcher(u32::MAX, 7));
        for fetcher in [one, two, one, all, two] {
            assert_eq!(fetched.note(0x1000, fetcher), Ok(()));
        }
        assert_eq!(fetched.note(0x2000, two), Ok(()));
        assert_eq!(fetched.notes, 4);
        assert_eq!(fetched.take(0x1000, Some(2)), [two, all]);
        assert_eq!(fetched.take(0x1000, None), [one]);
        assert_eq!(fetched.take(0x1000, None), []);
        assert_eq!((fetched.take(0x2000, None).len(), fetched.notes), (1, 0));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut fetched = Fetched::default();
        for page in 0..MOST as u64 {
            assert_eq!(fetched.note(page << 12, fetcher(1, 1)), Ok(()));
        }
        assert_eq!(fetched.note(0, fetcher(1, 1)), Ok(()));
        assert_eq!(fetched.note(0, fetcher(1, 2)), Err(Full));
        fetched.clear();
        assert_eq!(fetched.note(0, fetcher(1, 2)), Ok(()));
    }
}
