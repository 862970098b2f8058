//! madvise(2), mlockall(2), munlockall(2)

use base::GuestVirt;
use syscalls::{Errno, Sysno};

use super::vma::{Backing, Prot};
use super::{AddressSpace, page_align};
use crate::host::{self, args};

const MCL_CURRENT: i32 = 1;
const MCL_FUTURE: i32 = 2;
const MCL_ONFAULT: i32 = 4;

impl AddressSpace {
    /// madvise(2) on a range inside the window.
    ///
    /// # Errors
    /// As the manual says.
    pub(crate) fn advise(&self, addr: GuestVirt, len: u64, advice: i32) -> Result<u64, Errno> {
        let discards = matches!(
            advice,
            libc::MADV_DONTNEED | libc::MADV_FREE | libc::MADV_REMOVE | libc::MADV_DONTNEED_LOCKED
        );
        let range = addr.0..addr.0.saturating_add(page_align(len).ok_or(Errno::EINVAL)?);
        if discards && self.maps.lock().is_frozen(range.clone()) == Some(Errno::EPERM) {
            return Err(Errno::EPERM);
        }
        let done = host::call(Sysno::madvise, args![addr, len, advice])?;
        if discards {
            self.code_changed(range);
        }
        Ok(done)
    }

    /// mlockall(2)
    ///
    /// # Errors
    /// As the manual says.
    pub(crate) fn lock_all(&self, flags: i32) -> Result<u64, Errno> {
        let known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
        if flags == 0 || flags & !known != 0 || flags == MCL_ONFAULT {
            return Err(Errno::EINVAL);
        }
        if flags & MCL_CURRENT != 0 {
            let on_fault = u32::from(flags & MCL_ONFAULT != 0);
            self.for_each_mapping(|start, len| {
                host::call(Sysno::mlock2, args![start, len, on_fault]).map(|_| ())
            })?;
        }
        let future = flags & MCL_FUTURE != 0 && flags & MCL_ONFAULT == 0;
        self.maps.lock().lock_future = if future { libc::MAP_LOCKED } else { 0 };
        Ok(0)
    }

    /// munlockall(2)
    ///
    /// # Errors
    /// As the manual says.
    pub(crate) fn unlock_all(&self) -> Result<u64, Errno> {
        self.maps.lock().lock_future = 0;
        self.for_each_mapping(|start, len| {
            host::call(Sysno::munlock, args![start, len]).map(|_| ())
        })?;
        Ok(0)
    }

    /// Every mapping of the guest's that can be touched.
    fn for_each_mapping(&self, call: impl Fn(u64, u64) -> Result<(), Errno>) -> Result<(), Errno> {
        let maps = self.maps.lock();
        maps.tree
            .iter()
            .filter(|(_, vma)| vma.backing != Backing::Foreign && vma.prot != Prot::default())
            .try_for_each(|(range, _)| call(range.start, range.end - range.start))
    }
}
