//! Limits on how much the guest maps: `RLIMIT_AS` and `RLIMIT_DATA`, whose host counterparts would
//! bind Ferry, and the number of mappings that the host gives a process, of which Ferry needs some.

use std::ops::Range;
use std::sync::OnceLock;

use syscalls::Errno;

use super::Maps;
use super::map::STACK;
use super::vma::{Backing, Sharing, Vma};

/// How much a process may map, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    /// `RLIMIT_AS`
    pub(crate) space: u64,
    /// `RLIMIT_DATA`: private and writable.
    pub(crate) data: u64,
}

impl Bounds {
    /// As much as there is.
    pub(crate) const NONE: Self = Self { space: u64::MAX, data: u64::MAX };
}

impl Maps {
    /// Whether `added` bytes like `vma` may be mapped when what is in `replaced` goes.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(super) fn check_bounds(
        &self,
        bounds: Bounds,
        vma: &Vma,
        added: u64,
        replaced: Range<u64>,
    ) -> Result<(), Errno> {
        let would_fit = |bound: u64, counts: fn(&Vma) -> bool| {
            if bound == u64::MAX || !counts(vma) {
                return true;
            }
            let size = |range: &Range<u64>| range.end - range.start;
            let all = self.tree.iter().filter(|(_, vma)| counts(vma));
            let gone = self.tree.parts(replaced.clone());
            let gone = gone.iter().filter(|(_, vma)| counts(vma));
            let total: u64 = all.map(|(range, _)| size(&range)).sum();
            let kept = total - gone.map(|(range, _)| size(range)).sum::<u64>();
            kept.saturating_add(added) <= bound
        };
        if would_fit(bounds.space, is_guests) && would_fit(bounds.data, is_data) {
            Ok(())
        } else {
            Err(Errno::ENOMEM)
        }
    }
}

impl Maps {
    /// Whether a mapping may be made, or taken apart at the ends of a range, and the host still has
    /// room for Ferry's own.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(super) fn check_count(&self, range: &Range<u64>) -> Result<(), Errno> {
        /// Nobody allows less, and so nobody needs to be asked.
        const SURELY: usize = 8192;
        /// Ferry's heap, threads, translations.
        const FERRYS: usize = 4096;
        // A page that was protected apart makes three of one.
        let count = self.tree.len() + 2 * self.protected.len();
        if count < SURELY || count < mappings_max().saturating_sub(FERRYS) {
            return Ok(());
        }
        let stays_whole = |addr| self.tree.find(addr).is_none_or(|(start, _)| start == addr);
        let is_there = self.tree.find(range.start).is_some();
        if is_there && stays_whole(range.start) && stays_whole(range.end) {
            Ok(())
        } else {
            Err(Errno::ENOMEM)
        }
    }
}

/// How many mappings the host lets a process have (Linux, `admin-guide/sysctl/vm.rst`).
fn mappings_max() -> usize {
    static MAX: OnceLock<usize> = OnceLock::new();
    *MAX.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        text.trim().parse().unwrap_or(65530)
    })
}

/// The stack does not count: it is mapped as a whole, where the kernel's would grow.
fn is_guests(vma: &Vma) -> bool {
    !matches!(vma.backing, Backing::Foreign | Backing::Special(STACK))
}

fn is_data(vma: &Vma) -> bool {
    is_guests(vma) && vma.sharing == Sharing::Private && vma.prot.may_write()
}
