//! mmap(2), munmap(2), mprotect(2), mseal(2).

use std::ops::Range;

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use syscalls::{Errno, Sysno};

use super::vma::{Backing, Prot, Seal, Sharing, Vma};
use super::{AddressSpace, Bounds, Maps, page_align, proc};
use crate::host::{self, args};
use crate::window;

/// How /proc names the main thread's stack.
pub(crate) const STACK: &str = "[stack]";
/// From this size on, anonymous memory starts where the host can use huge pages.
const HUGE_PAGE: u64 = 2 << 20;

/// Where mappings with `MAP_32BIT` lie: in the second GiB (`arch/x86/kernel/sys_x86_64.c`).
const LOW: Range<u64> = 0x4000_0000..0x8000_0000;

/// What mmap(2) is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapRequest {
    /// Where, if `flags` fix it; else a wish.
    pub(crate) addr: GuestVirt,
    /// In bytes.
    pub(crate) len: u64,
    /// What the guest may do with it.
    pub(crate) prot: Prot,
    /// `MAP_…`
    pub(crate) flags: i32,
    /// The file, or -1.
    pub(crate) fd: i32,
    /// Where in the file.
    pub(crate) offset: u64,
    /// How /proc names it, if it is something of the loader's.
    pub(crate) name: Option<&'static str>,
    /// How much may be mapped in all.
    pub(crate) bounds: Bounds,
}

impl MapRequest {
    /// Private zeros, readable and writable.
    pub(crate) fn anonymous(addr: GuestVirt, len: u64) -> Self {
        Self {
            addr,
            len,
            prot: Prot(Prot::READ | Prot::WRITE),
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            fd: -1,
            offset: 0,
            name: None,
            bounds: Bounds::NONE,
        }
    }

    fn has(&self, flag: i32) -> bool {
        self.flags & flag != 0
    }

    fn vma(&self, end: u64) -> Vma {
        let backing = match self.name {
            Some(name) => Backing::Special(name),
            None if self.has(libc::MAP_ANONYMOUS) => Backing::Anonymous,
            None => Backing::File { offset: self.offset },
        };
        let kind = self.flags & libc::MAP_TYPE;
        let shared = kind == libc::MAP_SHARED || kind == libc::MAP_SHARED_VALIDATE;
        let sharing = if shared { Sharing::Shared } else { Sharing::Private };
        Vma { end, prot: self.prot, sharing, backing, seal: Seal::Open }
    }

    /// Maps it on the host where nothing of the guest's is.
    fn map_on_free_host(&self, start: u64, len: u64, lock: i32) -> Result<(), Errno> {
        if self.flags & libc::MAP_TYPE != libc::MAP_SHARED_VALIDATE {
            return self.map_on_host(start, len, libc::MAP_FIXED_NOREPLACE, lock);
        }
        // The kernel validates flags then, and knows this one no more.
        let range = start..start + len;
        reserve_on_host(&range)?;
        self.map_on_host(start, len, libc::MAP_FIXED, lock).inspect_err(|_| release_on_host(&range))
    }

    /// The host call that maps it at `start` with this kind of fixing.
    fn map_on_host(&self, start: u64, len: u64, fixing: i32, lock: i32) -> Result<(), Errno> {
        let fixings = libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE;
        // What it asks for has been seen to.
        let flags = (self.flags & !(fixings | libc::MAP_32BIT)) | fixing | lock;
        let offset = self.offset as i64;
        host::call(Sysno::mmap, args![start, len, self.prot.host(), flags, self.fd, offset])
            .map(|_| ())
    }
}

impl AddressSpace {
    /// mmap(2)
    ///
    /// # Errors
    /// As the manual says; `ENOMEM` for fixed addresses beyond the window.
    pub(crate) fn map(&self, request: &MapRequest) -> Result<GuestVirt, Errno> {
        let len = page_align(request.len).ok_or(Errno::ENOMEM)?;
        if len == 0 || !request.offset.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let start = {
            let mut maps = self.maps.lock();
            if request.has(libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) {
                self.map_fixed(&mut maps, request, len)?
            } else {
                map_anywhere(&mut maps, request, len)?
            }
        };
        self.code_changed(start..start + len);
        Ok(GuestVirt(start))
    }

    fn map_fixed(&self, maps: &mut Maps, request: &MapRequest, len: u64) -> Result<u64, Errno> {
        let start = request.addr.0;
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let range = fixed_range(start, len)?;
        let holes = maps.tree.holes(range.clone());
        let is_free = holes.first() == Some(&range);
        if request.has(libc::MAP_FIXED_NOREPLACE) && !is_free {
            return Err(Errno::EEXIST);
        }
        if let Some(errno) = maps.is_frozen(range.clone()) {
            return Err(errno);
        }
        maps.check_bounds(request.bounds, &request.vma(range.end), len, range.clone())?;
        maps.check_count(&range)?;
        if is_free {
            request
                .map_on_free_host(start, len, maps.lock_future)
                .map_err(|errno| foreign_is(errno, request))?;
        } else {
            replace_on_host(request, range.clone(), &holes, maps.lock_future)?;
        }
        self.forget_protected(maps, range.clone());
        maps.tree.insert(start, request.vma(range.end));
        Ok(start)
    }

    /// munmap(2)
    ///
    /// # Errors
    /// As the manual says.
    pub(crate) fn unmap(&self, addr: GuestVirt, len: u64) -> Result<(), Errno> {
        let range = checked_range(addr, len).ok_or(Errno::EINVAL)?;
        if range.is_empty() {
            return Err(Errno::EINVAL);
        }
        {
            let mut maps = self.maps.lock();
            if maps.is_frozen(range.clone()) == Some(Errno::EPERM) {
                return Err(Errno::EPERM);
            }
            if maps.tree.find(range.start).is_some() {
                maps.check_count(&range)?;
            }
            self.unmap_locked(&mut maps, range.clone())?;
        }
        self.code_changed(range);
        Ok(())
    }

    /// Takes the guest's mappings in a range away; the host's own stay.
    pub(super) fn unmap_locked(&self, maps: &mut Maps, range: Range<u64>) -> Result<(), Errno> {
        for (part, vma) in maps.tree.parts(range) {
            if vma.backing != Backing::Foreign {
                host::call(Sysno::munmap, args![part.start, part.end - part.start])?;
                self.forget_protected(maps, part.clone());
                maps.tree.remove(part);
            }
        }
        Ok(())
    }

    /// mprotect(2)
    ///
    /// # Errors
    /// As the manual says: `ENOMEM` at the first hole, after what comes before it was changed.
    pub(crate) fn protect_range(&self, addr: GuestVirt, len: u64, prot: Prot) -> Result<(), Errno> {
        self.change_protection(addr, len, prot)
    }

    /// As [`AddressSpace::protect_range`], from the start of the stack on (`PROT_GROWSDOWN`).
    ///
    /// # Errors
    /// As the manual says: `EINVAL` for anything but the stack.
    pub(crate) fn protect_stack(&self, addr: GuestVirt, len: u64, prot: Prot) -> Result<(), Errno> {
        let (start, vma) = self.maps.lock().tree.find(addr.0).ok_or(Errno::ENOMEM)?;
        if vma.backing != Backing::Special(STACK) {
            return Err(Errno::EINVAL);
        }
        self.change_protection(GuestVirt(start), len.saturating_add(addr.0 - start), prot)
    }

    fn change_protection(&self, addr: GuestVirt, len: u64, prot: Prot) -> Result<(), Errno> {
        if addr.page_offset() != 0 {
            return Err(Errno::EINVAL);
        }
        let range = checked_range(addr, len).ok_or(Errno::ENOMEM)?;
        let result = self.protect_parts(&range, prot);
        self.code_changed(range);
        result
    }

    fn protect_parts(&self, range: &Range<u64>, prot: Prot) -> Result<(), Errno> {
        let mut maps = self.maps.lock();
        maps.check_count(range)?;
        let mut at = range.start;
        for (part, vma) in maps.tree.parts(range.clone()) {
            if part.start != at || vma.backing == Backing::Foreign {
                break;
            }
            if vma.seal == Seal::Sealed {
                return Err(Errno::EPERM);
            }
            let len = part.end - part.start;
            host::call(Sysno::mprotect, args![part.start, len, prot.host()])?;
            self.forget_protected(&mut maps, part.clone());
            at = part.end;
            maps.tree.update(part, |vma| vma.prot = prot);
        }
        if at == range.end { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// mseal(2)
    ///
    /// # Errors
    /// As the manual says.
    pub(crate) fn seal(&self, addr: GuestVirt, len: u64) -> Result<(), Errno> {
        if addr.page_offset() != 0 {
            return Err(Errno::EINVAL);
        }
        let range = checked_range(addr, len).ok_or(Errno::EINVAL)?;
        let mut maps = self.maps.lock();
        if !maps.tree.holes(range.clone()).is_empty() {
            return Err(Errno::ENOMEM);
        }
        maps.tree.update(range, |vma| vma.seal = Seal::Sealed);
        Ok(())
    }
}

/// The whole pages of a range in the window.
pub(super) fn checked_range(addr: GuestVirt, len: u64) -> Option<Range<u64>> {
    let end = addr.checked_add(page_align(len)?)?;
    (addr.page_offset() == 0 && end <= window::END).then_some(addr.0..end.0)
}

fn fixed_range(start: u64, len: u64) -> Result<Range<u64>, Errno> {
    if start < window::START.0 {
        return Err(Errno::EPERM);
    }
    match start.checked_add(len) {
        Some(end) if end <= window::END.0 => Ok(start..end),
        _ => Err(Errno::ENOMEM),
    }
}

/// The host refuses to replace what the guest does not see there: that is Ferry's, and for the
/// guest the memory is simply not to be had.
fn foreign_is(errno: Errno, request: &MapRequest) -> Errno {
    match errno {
        Errno::EEXIST if !request.has(libc::MAP_FIXED_NOREPLACE) => Errno::ENOMEM,
        other => other,
    }
}

/// Replaces mappings of the guest's at once. Holes between them are first taken without replacing
/// anything, so that the final call can hit nothing but the guest's own memory.
fn replace_on_host(
    request: &MapRequest,
    range: Range<u64>,
    holes: &[Range<u64>],
    lock: i32,
) -> Result<(), Errno> {
    for (taken, hole) in holes.iter().enumerate() {
        if let Err(errno) = reserve_on_host(hole) {
            holes[..taken].iter().for_each(release_on_host);
            return Err(foreign_is(errno, request));
        }
    }
    request
        .map_on_host(range.start, range.end - range.start, libc::MAP_FIXED, lock)
        .inspect_err(|_| holes.iter().for_each(release_on_host))
}

/// Takes a range that nothing uses.
pub(super) fn reserve_on_host(range: &Range<u64>) -> Result<(), Errno> {
    let flags =
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    let len = range.end - range.start;
    host::call(Sysno::mmap, args![range.start, len, libc::PROT_NONE, flags, -1, 0_u64]).map(|_| ())
}

/// Gives back what [`reserve_on_host`] took.
pub(super) fn release_on_host(range: &Range<u64>) {
    let _ = host::call(Sysno::munmap, args![range.start, range.end - range.start]);
}

fn map_anywhere(maps: &mut Maps, request: &MapRequest, len: u64) -> Result<u64, Errno> {
    maps.check_bounds(request.bounds, &request.vma(0), len, 0..0)?;
    maps.check_count(&(0..0))?;
    // More than one round only if the host has something inside the window that is not known yet.
    for _ in 0..64 {
        let start = choose(maps, request, len).ok_or(Errno::ENOMEM)?;
        match request.map_on_free_host(start, len, maps.lock_future) {
            Ok(()) => {
                maps.tree.insert(start, request.vma(start + len));
                return Ok(start);
            }
            Err(Errno::EEXIST) => note_unknown_host_mappings(maps),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::ENOMEM)
}

fn note_unknown_host_mappings(maps: &mut Maps) {
    for range in proc::host_mappings_in_window() {
        for hole in maps.tree.holes(range) {
            maps.note_foreign(hole);
        }
    }
}

/// Where a mapping without a fixed address goes: where it wishes, else top-down.
fn choose(maps: &mut Maps, request: &MapRequest, len: u64) -> Option<u64> {
    let wish = request.addr.page().0;
    if wish >= window::START.0
        && let Ok(range) = fixed_range(wish, len)
        && maps.tree.is_free(range)
    {
        return Some(wish);
    }
    if request.has(libc::MAP_32BIT) {
        return maps.tree.find_free(len, PAGE_SIZE, LOW);
    }
    let huge =
        request.has(libc::MAP_HUGETLB) || (request.has(libc::MAP_ANONYMOUS) && len >= HUGE_PAGE);
    let aligned = huge.then(|| maps.find_room(len, HUGE_PAGE)).flatten();
    aligned.or_else(|| maps.find_room(len, PAGE_SIZE))
}
