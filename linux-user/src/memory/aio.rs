//! The rings of finished operations of io_setup(2), which the kernel maps by itself.

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use syscalls::{Errno, Sysno};

use super::map::{release_on_host, reserve_on_host};
use super::shm::host_holes;
use super::vma::{Backing, Prot, Seal, Sharing, Vma};
use super::{AddressSpace, Bounds};
use crate::host::{self, args};

impl AddressSpace {
    /// Moves a ring that the host has mapped to where the guest may have it. The kernel calls the context by the new
    /// address from then on.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(crate) fn take_ring(
        &self,
        ring: u64,
        len: u64,
        bounds: Bounds,
    ) -> Result<GuestVirt, Errno> {
        let start = {
            let mut maps = self.maps.lock();
            let start = maps.find_room(len, PAGE_SIZE).ok_or(Errno::ENOMEM)?;
            let range = start..start + len;
            let vma = Vma {
                end: range.end,
                prot: Prot(Prot::READ | Prot::WRITE),
                sharing: Sharing::Shared,
                backing: Backing::File { offset: 0 },
                seal: Seal::Open,
            };
            maps.check_bounds(bounds, &vma, len, 0..0)?;
            maps.check_count(&(0..0))?;
            reserve_on_host(&range).map_err(|_| Errno::ENOMEM)?;
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            host::call(Sysno::mremap, args![ring, len, len, flags, start])
                .inspect_err(|_| release_on_host(&range))?;
            maps.tree.insert(start, vma);
            start
        };
        self.code_changed(start..start + len);
        Ok(GuestVirt(start))
    }

    /// Where the mapping ends in which this address lies.
    pub(crate) fn end_of_mapping(&self, addr: GuestVirt) -> Option<u64> {
        self.maps.lock().tree.find(addr.0).map(|(_, vma)| vma.end)
    }

    /// The kernel has unmapped a ring somewhere in this range.
    pub(crate) fn forget_ring(&self, range: std::ops::Range<u64>) {
        {
            let mut maps = self.maps.lock();
            for hole in host_holes(range.clone()) {
                self.forget_protected(&mut maps, hole.clone());
                maps.tree.remove(hole);
            }
        }
        self.code_changed(range);
    }
}
