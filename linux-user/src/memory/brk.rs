//! brk(2)

use base::GuestVirt;

use super::{AddressSpace, Bounds, MapRequest, page_align};
use crate::window;

/// The heap that brk moves the end of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Brk {
    start: u64,
    end: u64,
}

impl AddressSpace {
    /// Sets where the heap starts, empty: the loader's last act.
    pub(crate) fn set_brk_start(&self, start: GuestVirt) {
        self.maps.lock().brk = Brk { start: start.0, end: start.0 };
    }

    /// brk(2): the new end of the heap, or the old one if it cannot be moved there.
    pub(crate) fn set_brk(&self, wanted: GuestVirt, bounds: Bounds) -> GuestVirt {
        let Brk { start, end } = self.maps.lock().brk;
        if wanted.0 < start || wanted >= window::END {
            return GuestVirt(end);
        }
        let (Some(old), Some(new)) = (page_align(end), page_align(wanted.0)) else {
            return GuestVirt(end);
        };
        let moved = if new > old {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            let heap = MapRequest::anonymous(GuestVirt(old), new - old);
            let prot = self.implied(heap.prot);
            self.map(&MapRequest { flags, prot, name: Some("[heap]"), bounds, ..heap }).is_ok()
        } else {
            new == old || self.unmap(GuestVirt(new), old - new).is_ok()
        };
        if !moved {
            return GuestVirt(end);
        }
        self.maps.lock().brk.end = wanted.0;
        wanted
    }
}
