//! Watchpoints: addresses of the guest whose accesses a debugger wants to see.
//!
//! A page with a watchpoint never gets into the TLB, so its accesses come to the slow path, where they
//! are held against the list. One that is watched fails once, before anything has happened; whoever
//! runs the CPU then makes it without watching.

use std::sync::Arc;

use base::GuestVirt;

use crate::softmmu::AccessKind;

/// Which accesses are watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchKind {
    /// Stores.
    Write,
    /// Loads.
    Read,
    /// Both.
    Access,
}

impl WatchKind {
    /// Whether accesses of this kind are watched.
    #[must_use]
    pub const fn sees(self, access: AccessKind) -> bool {
        matches!(
            (self, access),
            (Self::Write | Self::Access, AccessKind::Store)
                | (Self::Read | Self::Access, AccessKind::Load)
        )
    }
}

/// A watchpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Its first byte.
    pub start: GuestVirt,
    /// How many bytes; at least one.
    pub len: u64,
    /// Which accesses.
    pub kind: WatchKind,
}

impl Watch {
    /// Whether it and these bytes have one in common.
    #[must_use]
    pub const fn overlaps(&self, addr: GuestVirt, bytes: u64) -> bool {
        // Either begins within the other, whatever the end of the address space cuts in two.
        addr.0.wrapping_sub(self.start.0) < self.len || self.start.0.wrapping_sub(addr.0) < bytes
    }
}

/// An access that was watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatchHit {
    /// The first of its bytes that is watched.
    pub addr: GuestVirt,
    /// By which kind of watchpoint.
    pub kind: WatchKind,
}

/// The watchpoints as one CPU sees them.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    list: Arc<[Watch]>,
    is_off: bool,
    hit: Option<WatchHit>,
}

impl Watches {
    /// These.
    #[must_use]
    pub fn new(list: Arc<[Watch]>) -> Self {
        Self { list, is_off: false, hit: None }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Stops watching, for the instruction whose access was seen, or starts again.
    pub fn pause(&mut self, pause: WatchPause) {
        self.is_off = pause == WatchPause::Off;
    }

    /// Whether a watched byte lies on the page of this address.
    #[must_use]
    pub fn covers_page(&self, addr: GuestVirt) -> bool {
        let page = addr.page();
        self.list.iter().any(|watch| watch.overlaps(page, base::addr::PAGE_SIZE))
    }

    /// Holds an access against the list: whether it was seen, which [`Watches::take_hit`] then tells.
    pub fn sees(&mut self, addr: GuestVirt, bytes: u64, access: AccessKind) -> bool {
        if self.list.is_empty() || self.is_off {
            return false;
        }
        let sees = |watch: &&Watch| watch.kind.sees(access) && watch.overlaps(addr, bytes);
        let Some(watch) = self.list.iter().find(sees) else { return false };
        let starts_before = addr.0.wrapping_sub(watch.start.0) >= watch.len;
        let addr = if starts_before { watch.start } else { addr };
        self.hit = Some(WatchHit { addr, kind: watch.kind });
        true
    }

    /// What was seen last, once.
    pub fn take_hit(&mut self) -> Option<WatchHit> {
        self.hit.take()
    }
}

/// Whether a CPU watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchPause {
    /// It does.
    On,
    /// It does not, for a moment.
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watches(start: u64, len: u64, kind: WatchKind) -> Watches {
        Watches::new([Watch { start: GuestVirt(start), len, kind }].into())
    }

    #[test]
    fn accesses_are_seen_by_kind_and_overlap() {
        let mut watches = watches(0x1004, 4, WatchKind::Write);
        assert!(!watches.sees(GuestVirt(0x1000), 4, AccessKind::Store));
        assert!(!watches.sees(GuestVirt(0x1008), 8, AccessKind::Store));
        assert!(!watches.sees(GuestVirt(0x1004), 4, AccessKind::Load));
        assert_eq!(watches.take_hit(), None);
        assert!(watches.sees(GuestVirt(0x1000), 8, AccessKind::Store));
        let hit = WatchHit { addr: GuestVirt(0x1004), kind: WatchKind::Write };
        assert_eq!(watches.take_hit(), Some(hit));
        assert!(watches.sees(GuestVirt(0x1007), 1, AccessKind::Store));
        assert_eq!(watches.take_hit().map(|hit| hit.addr), Some(GuestVirt(0x1007)));
        watches.pause(WatchPause::Off);
        assert!(!watches.sees(GuestVirt(0x1004), 4, AccessKind::Store));
        watches.pause(WatchPause::On);
        assert!(watches.sees(GuestVirt(0x1004), 4, AccessKind::Store));
    }

    #[test]
    fn pages_at_both_ends_are_covered() {
        let watches = watches(0x1ffe, 4, WatchKind::Access);
        assert!(watches.covers_page(GuestVirt(0x1000)) && watches.covers_page(GuestVirt(0x2fff)));
        assert!(!watches.covers_page(GuestVirt(0x3000)) && !watches.covers_page(GuestVirt(0xfff)));
        let mut last = self::watches(u64::MAX - 1, 8, WatchKind::Read);
        assert!(last.sees(GuestVirt(u64::MAX), 1, AccessKind::Load));
        assert!(!last.covers_page(GuestVirt(0x5000)));
    }
}
