//! The guest's memory map.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use base::GuestVirt;

use crate::locks::{Lock, Rank};
use crate::user::UserSlice;

/// The address space of this process. There is one, because guest addresses are host addresses.
static CURRENT: OnceLock<Arc<AddressSpace>> = OnceLock::new();

/// The guest's memory map.
pub(crate) struct AddressSpace {
    /// Pages that the guest may write to but that fault, because translations of them exist.
    protected: Lock<BTreeSet<GuestVirt>>,
    /// How many there are: usually none, and then nothing needs to look.
    protected_count: AtomicUsize,
}

impl AddressSpace {
    /// The address space of this process, made at the first call.
    pub(crate) fn current() -> &'static Arc<Self> {
        CURRENT.get_or_init(|| {
            Arc::new(Self {
                protected: Lock::new(Rank::Memory, BTreeSet::new()),
                protected_count: AtomicUsize::new(0),
            })
        })
    }
}

/// Makes a buffer writable for Ferry and for the host kernel, as far as it is for the guest: drops
/// the translator's protection of its pages. Call it before the kernel writes to a guest buffer.
pub(crate) fn prepare_write(buffer: UserSlice) {
    let space = AddressSpace::current();
    if space.protected_count.load(Ordering::Acquire) == 0 {
        return;
    }
    let end = GuestVirt(buffer.addr.0.saturating_add(buffer.len));
    let mut protected = space.protected.lock();
    let pages: Vec<_> = protected.range(buffer.addr.page()..end).copied().collect();
    pages.iter().for_each(|page| _ = protected.remove(page));
    space.protected_count.fetch_sub(pages.len(), Ordering::AcqRel);
}
