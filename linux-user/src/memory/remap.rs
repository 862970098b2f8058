//! mremap(2)

use std::ops::Range;

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use syscalls::{Errno, Sysno};

use super::map::{checked_range, release_on_host, reserve_on_host};
use super::vma::{Backing, Vma};
use super::{AddressSpace, Bounds, Maps, page_align};
use crate::host::{self, args};
use crate::window;

/// What mremap(2) is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RemapRequest {
    pub(crate) old: GuestVirt,
    pub(crate) old_len: u64,
    pub(crate) new_len: u64,
    /// `MREMAP_…`
    pub(crate) flags: i32,
    /// Where to, with `MREMAP_FIXED`.
    pub(crate) to: GuestVirt,
    /// How much may be mapped in all.
    pub(crate) bounds: Bounds,
}

const ALL_FLAGS: i32 = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;

impl AddressSpace {
    /// mremap(2)
    ///
    /// # Errors
    /// As the manual says. A range over several mappings is `EFAULT`, as before Linux 6.17.
    pub(crate) fn remap(&self, request: &RemapRequest) -> Result<GuestVirt, Errno> {
        let (old, new_len) = check(request)?;
        let start = {
            let mut maps = self.maps.lock();
            let (_, vma) = maps.tree.find(old.start).ok_or(Errno::EFAULT)?;
            if old.end > vma.end || vma.backing == Backing::Foreign {
                return Err(Errno::EFAULT);
            }
            if maps.is_frozen(old.clone()).is_some() {
                return Err(Errno::EPERM);
            }
            let added = new_len.saturating_sub(old.end - old.start);
            if added != 0 {
                maps.check_bounds(request.bounds, &vma, added, 0..0)?;
            }
            maps.check_count(&old)?;
            // The host sees one mapping only if no page of it is protected apart.
            self.restore_protection(&mut maps, &old, &vma)?;
            self.resize(&mut maps, request, old.clone(), new_len)?
        };
        self.code_changed(old);
        self.code_changed(start..start + new_len);
        Ok(GuestVirt(start))
    }

    /// remap_file_pages(2): shows another part of the file, from this page of it on, as mmap(2) would.
    ///
    /// # Errors
    /// As the manual says.
    pub(crate) fn remap_file_pages(
        &self,
        addr: GuestVirt,
        len: u64,
        page: u64,
        flags: u64,
    ) -> Result<(), Errno> {
        let whole = len & !(PAGE_SIZE - 1);
        let range = checked_range(addr.page(), whole).ok_or(Errno::EINVAL)?;
        {
            let mut maps = self.maps.lock();
            let (_, first) = maps.tree.find(range.start).ok_or(Errno::EINVAL)?;
            if let Some(errno) = maps.is_frozen(range.clone()) {
                return Err(if errno == Errno::EPERM { errno } else { Errno::EINVAL });
            }
            // The host sees one mapping only if no page of it is protected apart.
            for (part, vma) in maps.tree.parts(range.clone()) {
                self.restore_protection(&mut maps, &part, &vma)?;
            }
            let (start, none) = (range.start, libc::PROT_NONE);
            host::call(Sysno::remap_file_pages, args![start, whole, none, page, flags])?;
            let backing = Backing::File { offset: page.wrapping_mul(PAGE_SIZE) };
            maps.tree.insert(range.start, Vma { end: range.end, backing, ..first });
        }
        self.code_changed(range);
        Ok(())
    }

    fn restore_protection(
        &self,
        maps: &mut Maps,
        range: &Range<u64>,
        vma: &Vma,
    ) -> Result<(), Errno> {
        if maps.protected.range(range.clone()).next().is_some() {
            let len = range.end - range.start;
            host::call(Sysno::mprotect, args![range.start, len, vma.prot.host()])?;
            self.forget_protected(maps, range.clone());
        }
        Ok(())
    }

    fn resize(
        &self,
        maps: &mut Maps,
        request: &RemapRequest,
        old: Range<u64>,
        new_len: u64,
    ) -> Result<u64, Errno> {
        if request.flags & libc::MREMAP_FIXED != 0 {
            let target = checked_range(request.to, new_len).ok_or(Errno::EINVAL)?;
            return self.move_to_fixed(maps, request, old, target);
        }
        let old_len = old.end - old.start;
        if request.flags & libc::MREMAP_DONTUNMAP == 0 && old_len != 0 {
            if new_len <= old_len {
                self.unmap_locked(maps, old.start + new_len..old.end)?;
                return Ok(old.start);
            }
            if grow_in_place(maps, &old, new_len) {
                return Ok(old.start);
            }
        }
        if request.flags & libc::MREMAP_MAYMOVE == 0 {
            return Err(Errno::ENOMEM);
        }
        let target = maps.find_room(new_len, PAGE_SIZE).ok_or(Errno::ENOMEM)?;
        self.move_to(maps, request.flags, old, target..target + new_len)
    }

    fn move_to_fixed(
        &self,
        maps: &mut Maps,
        request: &RemapRequest,
        old: Range<u64>,
        target: Range<u64>,
    ) -> Result<u64, Errno> {
        if target.start < window::START.0 {
            return Err(Errno::EPERM);
        }
        if target.start < old.end && old.start < target.end {
            return Err(Errno::EINVAL);
        }
        if let Some(errno) = maps.is_frozen(target.clone()) {
            return Err(errno);
        }
        self.unmap_locked(maps, target.clone())?;
        // A shrinking move leaves nothing of the tail behind.
        let new_len = target.end - target.start;
        let mut old = old;
        if old.end - old.start > new_len && request.flags & libc::MREMAP_DONTUNMAP == 0 {
            self.unmap_locked(maps, old.start + new_len..old.end)?;
            old.end = old.start + new_len;
        }
        self.move_to(maps, request.flags, old, target)
    }

    /// Moves to a range that is free in the guest's map.
    fn move_to(
        &self,
        maps: &mut Maps,
        flags: i32,
        old: Range<u64>,
        target: Range<u64>,
    ) -> Result<u64, Errno> {
        let (_, vma) = maps.tree.find(old.start).ok_or(Errno::EFAULT)?;
        let moved =
            maps.tree.parts(old.start..old.start + 1).first().map_or(vma, |(_, part)| *part);
        reserve_on_host(&target).map_err(|_| Errno::ENOMEM)?;
        let (old_len, new_len) = (old.end - old.start, target.end - target.start);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | (flags & libc::MREMAP_DONTUNMAP);
        host::call(Sysno::mremap, args![old.start, old_len, new_len, flags, target.start])
            .inspect_err(|_| release_on_host(&target))?;
        if flags & libc::MREMAP_DONTUNMAP == 0 {
            maps.tree.remove(old);
        }
        maps.tree.insert(target.start, Vma { end: target.end, ..moved });
        Ok(target.start)
    }
}

fn check(request: &RemapRequest) -> Result<(Range<u64>, u64), Errno> {
    let new_len = page_align(request.new_len).ok_or(Errno::EINVAL)?;
    let moves = request.flags & libc::MREMAP_MAYMOVE != 0;
    let needs_move = request.flags & (libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP) != 0;
    if new_len == 0 || request.flags & !ALL_FLAGS != 0 || (needs_move && !moves) {
        return Err(Errno::EINVAL);
    }
    if request.flags & libc::MREMAP_DONTUNMAP != 0 && request.old_len != request.new_len {
        return Err(Errno::EINVAL);
    }
    let old = checked_range(request.old, request.old_len).ok_or(Errno::EINVAL)?;
    Ok((old, new_len))
}

fn grow_in_place(maps: &mut Maps, old: &Range<u64>, new_len: u64) -> bool {
    let Some(end) = old.start.checked_add(new_len).filter(|&end| end <= window::END.0) else {
        return false;
    };
    let Some((start, vma)) = maps.tree.find(old.start) else { return false };
    if vma.end != old.end || !maps.tree.is_free(old.end..end) {
        return false;
    }
    let grown = host::call(Sysno::mremap, args![old.start, old.end - old.start, new_len, 0, 0_u64]);
    if grown.is_ok() {
        maps.tree.insert(start, Vma { end, ..vma });
    }
    grown.is_ok()
}
