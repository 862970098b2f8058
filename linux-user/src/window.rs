//! The range of addresses that the guest may use. Ferry itself lies above it.

use std::cell::Cell;

use base::GuestVirt;
use syscalls::Errno;

/// The lowest guest address: below it the host forbids mappings (`vm.mmap_min_addr`).
pub(crate) const START: GuestVirt = GuestVirt(0x1_0000);

/// One past the highest guest address. A position-independent host image, or the heap of one that needs no
/// interpreter, lies at 0x5555_5555_4000 or above, and all else that is the host's further up. So more than 340 GiB of
/// unmapped space separate them from a guest buffer that runs past the end, and a host system call that was given its
/// start stops there: none transfers more than 2 GiB. AddressSanitizer wants 4 TiB from 0x5000_0000_0000 on.
pub(crate) const END: GuestVirt = GuestVirt(0x5500_0000_0000);

/// Ferry's own image and heap are no lower: the host kernel's `ELF_ET_DYN_BASE`.
const HOST_START: u64 = 0x5555_5555_4000;
const _: () = assert!(HOST_START - END.0 > 340 << 30);

thread_local! {
    /// Top bits of an address that system calls of this thread's task take no notice of.
    static IGNORED_BITS: Cell<u32> = const { Cell::new(0) };
}

/// From now on, addresses that the guest gives on this thread may have a tag in this many top bits.
pub(crate) fn allow_tags(bits: u32) {
    IGNORED_BITS.set(bits);
}

/// An address that the guest gave, without its tag if it may have one.
pub(crate) fn untagged(addr: GuestVirt) -> GuestVirt {
    without_tag(addr, IGNORED_BITS.get())
}

/// An address without a tag in its `bits` top bits. The bit below them says whether it is a program's at all.
pub(crate) fn without_tag(addr: GuestVirt, bits: u32) -> GuestVirt {
    let plain = addr.0 & u64::MAX >> bits;
    let is_program = addr.0 << bits >> 63 == 0;
    if is_program { GuestVirt(plain) } else { addr }
}

/// Checks that an address may be given to the host kernel. Addresses below [`START`] may: nothing
/// is ever mapped there, and the kernel itself says `EFAULT` or takes null for "none".
///
/// # Errors
/// `EFAULT` beyond the window.
pub(crate) fn check(addr: GuestVirt) -> Result<(), Errno> {
    if addr < END { Ok(()) } else { Err(Errno::EFAULT) }
}

/// An address that the host kernel is going to follow, for arguments of which a system call's row does not know that they
/// are pointers: without its tag if it may have one, and checked.
///
/// # Errors
/// `EFAULT` beyond the window.
pub(crate) fn followed(addr: GuestVirt) -> Result<GuestVirt, Errno> {
    let addr = untagged(addr);
    check(addr)?;
    Ok(addr)
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
    fn tags_are_taken_off_where_they_are_allowed() {
        let tagged = GuestVirt(0xab00_1234_5678_9abc);
        assert_eq!(untagged(tagged), tagged);
        allow_tags(8);
        assert_eq!(untagged(tagged), GuestVirt(0x1234_5678_9abc));
        let kernel = GuestVirt(0x0080_0000_0000_0000);
        assert_eq!(untagged(kernel), kernel);
        allow_tags(0);
        assert_eq!(untagged(tagged), tagged);
    }

    #[test]
    fn nothing_reaches_past_the_end() {
        assert_eq!(check_range(GuestVirt(0x1_0000), 4096), Ok(()));
        assert_eq!(check_range(END, 0), Ok(()));
        assert_eq!(check_range(GuestVirt(END.0 - 1), 2), Err(Errno::EFAULT));
        assert_eq!(check_range(GuestVirt(u64::MAX), 2), Err(Errno::EFAULT));
        assert_eq!(check(END), Err(Errno::EFAULT));
    }
}
