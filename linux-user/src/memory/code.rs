//! The translator's view of memory: fetching code, and write protection of what was translated.

use std::ops::Range;
use std::sync::atomic::Ordering;

use base::GuestVirt;
use base::addr::PAGE_SIZE;
use base::sys::access;
use runtime::{CodePages, FetchFault, FetchFaultCause};
use syscalls::Sysno;

use super::vma::{Sharing, Vma};
use super::{AddressSpace, Maps};
use crate::host::{self, args};
use crate::window;

impl AddressSpace {
    /// From now on, code may change without an access to it: all of it is as if it were shared.
    pub(crate) fn expect_writes_as_file(&self) {
        if !self.is_written_as_file.swap(true, Ordering::AcqRel) {
            self.code_changed(window::START.0..window::END.0);
        }
    }

    /// Drops the protection of the pages in a range, and their translations.
    pub(super) fn unprotect(&self, range: Range<u64>) {
        let pages: Vec<u64> = {
            let mut maps = self.maps.lock();
            let pages: Vec<u64> = maps.protected.range(range).copied().collect();
            pages.iter().for_each(|&page| self.unprotect_page(&mut maps, page));
            pages
        };
        for page in pages {
            self.code_changed(page..page + PAGE_SIZE);
        }
    }

    /// Forgets protected pages in a range whose host protection is about to be set anew.
    pub(super) fn forget_protected(&self, maps: &mut Maps, range: Range<u64>) {
        let pages: Vec<u64> = maps.protected.range(range).copied().collect();
        pages.iter().for_each(|page| _ = maps.protected.remove(page));
        self.protected_count.fetch_sub(pages.len(), Ordering::AcqRel);
    }

    fn unprotect_page(&self, maps: &mut Maps, page: u64) {
        if maps.protected.remove(&page) {
            self.protected_count.fetch_sub(1, Ordering::AcqRel);
            if let Some((_, vma)) = maps.tree.find(page) {
                set_host_protection(page, vma.prot.host());
            }
        }
    }
}

impl CodePages for AddressSpace {
    fn fetch(&self, addr: GuestVirt, buffer: &mut [u8]) -> Result<usize, FetchFault> {
        let allowed = self.executable_from(addr, buffer.len() as u64)?;
        let len = (allowed as usize).min(buffer.len());
        match access::copy_from_guest(&mut buffer[..len], addr) {
            Ok(()) => Ok(len),
            Err(left) if left < len => Ok(len - left),
            Err(_) => Err(FetchFault { addr, cause: FetchFaultCause::BeyondFile }),
        }
    }

    fn is_guarded(&self, page: GuestVirt) -> bool {
        self.maps.lock().tree.find(page.0).is_some_and(|(_, vma)| vma.prot.is_guarded())
    }

    fn protect(&self, page: GuestVirt) {
        let mut maps = self.maps.lock();
        let Some((_, vma)) = maps.tree.find(page.0) else { return };
        if vma.prot.may_write() && maps.protected.insert(page.0) {
            self.protected_count.fetch_add(1, Ordering::AcqRel);
            set_host_protection(page.0, vma.prot.host() & !libc::PROT_WRITE);
        }
    }

    /// A page that the guest may write to is worth another try even if it is not protected now:
    /// another CPU may have been quicker.
    fn release(&self, page: GuestVirt) -> bool {
        let mut maps = self.maps.lock();
        self.unprotect_page(&mut maps, page.0);
        maps.tree.find(page.0).is_some_and(|(_, vma)| vma.prot.may_write())
    }

    fn is_shared(&self, page: GuestVirt) -> bool {
        let maps = self.maps.lock();
        self.is_written_as_file.load(Ordering::Acquire)
            || maps.tree.find(page.0).is_some_and(|(_, vma)| vma.sharing == Sharing::Shared)
    }
}

impl AddressSpace {
    /// How many bytes from `addr` on, `len` at most, may be executed; at least one.
    fn executable_from(&self, addr: GuestVirt, len: u64) -> Result<u64, FetchFault> {
        let maps = self.maps.lock();
        let executable = |at: u64| -> Result<Vma, FetchFaultCause> {
            let (_, vma) = maps.tree.find(at).ok_or(FetchFaultCause::Unmapped)?;
            if vma.prot.may_execute() { Ok(vma) } else { Err(FetchFaultCause::NotExecutable) }
        };
        let mut end = executable(addr.0).map_err(|cause| FetchFault { addr, cause })?.end;
        while end - addr.0 < len {
            match executable(end) {
                Ok(vma) => end = vma.end,
                Err(_) => break,
            }
        }
        Ok(end - addr.0)
    }
}

fn set_host_protection(page: u64, prot: i32) {
    let changed = host::call(Sysno::mprotect, args![page, PAGE_SIZE, prot]);
    if let Err(error) = changed {
        // Only the host's limit on mappings can forbid it; the guest then runs stale code at worst.
        tracing::error!(page, %error, "cannot change a page's protection");
    }
}
