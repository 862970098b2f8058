//! Memory in large pages.

#![expect(unsafe_code, reason = "maps memory")]

use std::ptr::NonNull;

/// Bytes of a large page.
pub const LARGE_PAGE: usize = 2 << 20;

/// Zeroed memory of [`LARGE_PAGE`] bytes, aligned to as many, for good. The host is asked for one large page,
/// which spares its TLB; it may give small ones. `None` if it has no room.
#[must_use]
pub fn large_page() -> Option<NonNull<u8>> {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping where the host has room.
    let mapped =
        unsafe { libc::mmap(std::ptr::null_mut(), 2 * LARGE_PAGE, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return None;
    }
    let before = mapped.cast::<u8>().align_offset(LARGE_PAGE);
    let page = mapped.cast::<u8>().wrapping_add(before);
    // SAFETY: what is unmapped is the rest of the new mapping, which nobody knows of; advice changes nothing
    // that can be read.
    unsafe {
        if before > 0 {
            libc::munmap(mapped, before);
        }
        libc::munmap(page.wrapping_add(LARGE_PAGE).cast(), LARGE_PAGE - before);
        libc::madvise(page.cast(), LARGE_PAGE, libc::MADV_HUGEPAGE);
    }
    NonNull::new(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pages_are_aligned_zeros_of_their_own() {
        let pages = [large_page().unwrap(), large_page().unwrap()];
        for page in pages {
            assert_eq!(page.as_ptr().align_offset(LARGE_PAGE), 0);
            // SAFETY: the whole page is ours.
            unsafe {
                let last = page.as_ptr().add(LARGE_PAGE - 1);
                assert_eq!((page.read(), last.read()), (0, 0));
                page.write(1);
                last.write(2);
            }
        }
        assert_ne!(pages[0], pages[1]);
    }
}
