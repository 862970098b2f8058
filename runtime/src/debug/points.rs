//! Break- and watchpoints of an engine.
//!
//! Guest memory is never patched. Where the offset within a page is that of a breakpoint, translations are
//! *cut*: a block ends before it, and the block that begins there is neither linked to, nor found by a
//! jump cache, nor compiled. So the execution loop comes by each time, and compares the pc. The offset
//! is all that must be known: a whole machine's translations are found by physical address, and where a
//! virtual page lies may change at any time.
//!
//! Debuggers take their breakpoints out at every stop and put them back in. An offset therefore stays
//! cut until [`Points::clear`], and only a new one makes the engine drop its translations.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use softmmu::Watch;

use super::Point;
use crate::engine::Engine;

/// What a debugger calls a breakpoint. To the engine they are alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum BreakKind {
    /// One of as many as there may be.
    Software,
    /// One of the few that a processor has.
    Hardware,
}

/// Words of the set of cut offsets.
const WORDS: usize = PAGE_SIZE as usize / 64;

/// The points of an engine. Change them only while no CPU runs.
#[derive(Debug)]
pub struct Points {
    set: Mutex<Arc<PointSet>>,
    /// Counts changes, for CPUs to notice.
    generation: AtomicU64,
    /// Whether any offset is cut.
    any_cut: AtomicBool,
    cuts: [AtomicU64; WORDS],
}

/// The points as a CPU holds them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PointSet {
    pub(crate) generation: u64,
    breaks: BTreeMap<GuestVirt, Vec<BreakKind>>,
    watches: Vec<Watch>,
}

impl PointSet {
    /// The breakpoint at an address.
    #[inline]
    pub(crate) fn breakpoint(&self, pc: GuestVirt) -> Option<BreakKind> {
        if self.breaks.is_empty() {
            return None;
        }
        self.breaks.get(&pc)?.first().copied()
    }

    pub(crate) fn watches(&self) -> Arc<[Watch]> {
        self.watches.as_slice().into()
    }

    fn insert(&mut self, point: Point) -> bool {
        match point {
            Point::Break(addr, kind) => {
                let kinds = self.breaks.entry(addr).or_default();
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            Point::Watch(watch) if watch.len == 0 => return false,
            Point::Watch(watch) => {
                if !self.watches.contains(&watch) {
                    self.watches.push(watch);
                }
            }
        }
        true
    }

    fn remove(&mut self, point: Point) -> bool {
        match point {
            Point::Break(addr, kind) => {
                let Some(kinds) = self.breaks.get_mut(&addr) else { return false };
                let before = kinds.len();
                kinds.retain(|&other| other != kind);
                let removed = kinds.len() != before;
                if kinds.is_empty() {
                    self.breaks.remove(&addr);
                }
                removed
            }
            Point::Watch(watch) => {
                let before = self.watches.len();
                self.watches.retain(|&other| other != watch);
                self.watches.len() != before
            }
        }
    }
}

impl Default for Points {
    fn default() -> Self {
        Self {
            set: Mutex::default(),
            generation: AtomicU64::new(0),
            any_cut: AtomicBool::new(false),
            cuts: [const { AtomicU64::new(0) }; WORDS],
        }
    }
}

impl Points {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Arc<PointSet>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The points if they are no more those of this generation.
    #[inline]
    pub(crate) fn since(&self, generation: u64) -> Option<Arc<PointSet>> {
        (self.generation.load(Ordering::Acquire) != generation).then(|| Arc::clone(&self.lock()))
    }

    /// Whether no block may run into this address unseen.
    #[inline]
    pub(crate) fn is_cut(&self, addr: GuestVirt) -> bool {
        self.any_cut.load(Ordering::Relaxed) && {
            let offset = addr.page_offset() as usize;
            self.cuts[offset / 64].load(Ordering::Relaxed) >> (offset % 64) & 1 != 0
        }
    }

    /// Of so many bytes from an address on, how many there are before the next cut, which the first
    /// byte is not.
    pub(crate) fn uncut(&self, addr: GuestVirt, len: usize) -> usize {
        if !self.any_cut.load(Ordering::Relaxed) {
            return len;
        }
        let is_cut = |&n: &usize| self.is_cut(addr.wrapping_add(n as u64));
        (1..len).find(is_cut).unwrap_or(len)
    }

    /// Cuts at an offset. Whether it was not yet.
    fn cut(&self, addr: GuestVirt) -> bool {
        let offset = addr.page_offset() as usize;
        let bit = 1 << (offset % 64);
        self.any_cut.store(true, Ordering::SeqCst);
        self.cuts[offset / 64].fetch_or(bit, Ordering::SeqCst) & bit == 0
    }

    fn change(&self, change: impl FnOnce(&mut PointSet) -> bool) -> bool {
        let mut set = self.lock();
        let mut new = PointSet::clone(&set);
        new.generation += 1;
        if !change(&mut new) {
            return false;
        }
        let generation = new.generation;
        *set = Arc::new(new);
        self.generation.store(generation, Ordering::Release);
        true
    }
}

impl Engine {
    /// Sets a point; one that is there already is no error. Whether it can be set. No CPU may run.
    pub fn insert_point(&self, point: Point) -> bool {
        if let Point::Break(addr, _) = point
            && self.points.cut(addr)
        {
            self.drop_all();
        }
        self.points.change(|set| set.insert(point))
    }

    /// Removes a point. Whether it was there. No CPU may run.
    pub fn remove_point(&self, point: Point) -> bool {
        self.points.change(|set| set.remove(point))
    }

    /// Removes all points, and all trace of them. No CPU may run.
    pub fn clear_points(&self) {
        self.points.change(|set| {
            (set.breaks, set.watches) = Default::default();
            true
        });
        if self.points.any_cut.swap(false, Ordering::SeqCst) {
            self.points.cuts.iter().for_each(|word| word.store(0, Ordering::SeqCst));
            self.drop_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_cut_at_an_offset_whatever_the_page() {
        let points = Points::default();
        assert_eq!(points.uncut(GuestVirt(0x1000), 64), 64);
        assert!(points.cut(GuestVirt(0x8000_0010)) && !points.cut(GuestVirt(0x7010)));
        assert_eq!(points.uncut(GuestVirt(0x1000), 64), 16);
        assert_eq!(points.uncut(GuestVirt(0x1010), 64), 64);
        assert_eq!(points.uncut(GuestVirt(0x1010), 4096 + 64), 4096);
        assert!(points.is_cut(GuestVirt(0x5010)) && !points.is_cut(GuestVirt(0x5012)));
    }

    #[test]
    fn points_are_kept_by_kind() {
        let mut set = PointSet::default();
        let at = GuestVirt(0x1234);
        assert!(set.insert(Point::Break(at, BreakKind::Software)));
        assert!(set.insert(Point::Break(at, BreakKind::Hardware)));
        assert!(set.insert(Point::Break(at, BreakKind::Hardware)));
        assert!(set.remove(Point::Break(at, BreakKind::Software)));
        assert_eq!(set.breakpoint(at), Some(BreakKind::Hardware));
        assert!(set.remove(Point::Break(at, BreakKind::Hardware)));
        assert!(!set.remove(Point::Break(at, BreakKind::Hardware)));
        assert_eq!(set.breakpoint(at), None);
        let watch = Watch { start: at, len: 0, kind: softmmu::WatchKind::Read };
        assert!(!set.insert(Point::Watch(watch)));
    }
}
