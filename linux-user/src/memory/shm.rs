//! shmat(2), shmdt(2)

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use syscalls::{Errno, Sysno};

use super::map::{checked_range, release_on_host, reserve_on_host};
use super::vma::{Backing, Prot, Seal, Sharing, Vma};
use super::{AddressSpace, page_align};
use crate::host::{self, args};

impl AddressSpace {
    /// Attaches a System V segment of this size.
    ///
    /// # Errors
    /// As shmat(2).
    pub(crate) fn attach(
        &self,
        id: i32,
        size: u64,
        addr: GuestVirt,
        flags: i32,
    ) -> Result<GuestVirt, Errno> {
        let len = page_align(size).ok_or(Errno::EINVAL)?;
        let mut maps = self.maps.lock();
        let range = if addr.0 == 0 {
            let start = maps.find_room(len, PAGE_SIZE).ok_or(Errno::ENOMEM)?;
            start..start + len
        } else {
            let round = flags & libc::SHM_RND != 0;
            let start = if round { addr.page() } else { addr };
            checked_range(start, len).ok_or(Errno::EINVAL)?
        };
        if !maps.tree.is_free(range.clone()) {
            if flags & libc::SHM_REMAP == 0 {
                return Err(Errno::EINVAL);
            }
            if let Some(errno) = maps.is_frozen(range.clone()) {
                return Err(errno);
            }
            self.unmap_locked(&mut maps, range.clone())?;
        }
        reserve_on_host(&range).map_err(|_| Errno::EINVAL)?;
        // SHM_EXEC is the guest's matter: the host never executes.
        let host_flags = (flags & !libc::SHM_EXEC) | libc::SHM_REMAP;
        host::call(Sysno::shmat, args![id, range.start, host_flags])
            .inspect_err(|_| release_on_host(&range))?;
        let write = if flags & libc::SHM_RDONLY == 0 { Prot::WRITE } else { 0 };
        let execute = if flags & libc::SHM_EXEC == 0 { 0 } else { Prot::EXEC };
        let vma = Vma {
            end: range.end,
            prot: self.implied(Prot(Prot::READ | write | execute)),
            sharing: Sharing::Shared,
            backing: Backing::File { offset: 0 },
            seal: Seal::Open,
        };
        maps.tree.insert(range.start, vma);
        maps.attached.insert(range.start, range.end);
        drop(maps);
        self.code_changed(range.clone());
        Ok(GuestVirt(range.start))
    }

    /// Detaches what [`AddressSpace::attach`] returned.
    ///
    /// # Errors
    /// As shmdt(2).
    pub(crate) fn detach(&self, addr: GuestVirt) -> Result<(), Errno> {
        let range = {
            let mut maps = self.maps.lock();
            let end = maps.attached.remove(&addr.0).ok_or(Errno::EINVAL)?;
            host::call(Sysno::shmdt, args![addr])?;
            // Pieces that were unmapped or replaced since are not the segment's any more.
            for hole in host_holes(addr.0..end) {
                self.forget_protected(&mut maps, hole.clone());
                maps.tree.remove(hole);
            }
            addr.0..end
        };
        self.code_changed(range);
        Ok(())
    }
}

/// The parts of a range that the host has not mapped.
pub(super) fn host_holes(range: std::ops::Range<u64>) -> Vec<std::ops::Range<u64>> {
    let mut holes = Vec::new();
    let mut at = range.start;
    for mapped in super::proc::host_mappings_in_window() {
        if mapped.end > at && mapped.start < range.end {
            if mapped.start > at {
                holes.push(at..mapped.start);
            }
            at = mapped.end;
        }
    }
    if at < range.end {
        holes.push(at..range.end);
    }
    holes
}
