//! The range of addresses that the guest may use. Ferry itself lies above it.

use base::GuestVirt;
use syscalls::Errno;

/// The lowest guest address: below it the host forbids mappings (`vm.mmap_min_addr`).
pub(crate) const START: GuestVirt = GuestVirt(0x1_0000);

/// One past the highest guest address. A position-independent host image is loaded near
/// 0x5555_5555_0000 and host libraries, stacks and heaps lie near 0x7fff_ffff_0000, so that more
/// than 20 TiB of unmapped space separate them from a guest buffer that runs past the end: a host
/// system call that was given its start stops there.
pub(crate) const END: GuestVirt = GuestVirt(1 << 46);

/// Checks that an address may be given to the host kernel. Addresses below [`START`] may: nothing
/// is ever mapped there, and the kernel itself says `EFAULT` or takes null for "none".
///
/// # Errors
/// `EFAULT` beyond the window.
pub(crate) fn check(addr: GuestVirt) -> Result<(), Errno> {
    if addr < END { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Checks that a whole range may be given to the host kernel.
///
/// # Errors
/// `EFAULT` if any of it lies beyond the window.
pub(crate) fn check_range(addr: GuestVirt, len: u64) -> Result<(), Errno> {
    match addr.checked_add(len) {
        Some(end) if end <= END => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_past_the_end() {
        assert_eq!(check_range(GuestVirt(0x1_0000), 4096), Ok(()));
        assert_eq!(check_range(END, 0), Ok(()));
        assert_eq!(check_range(GuestVirt(END.0 - 1), 2), Err(Errno::EFAULT));
        assert_eq!(check_range(GuestVirt(u64::MAX), 2), Err(Errno::EFAULT));
        assert_eq!(check(END), Err(Errno::EFAULT));
    }
}
