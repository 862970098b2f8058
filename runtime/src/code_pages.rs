//! What the engine asks of whoever owns the guest's memory map.

use base::GuestVirt;

use crate::exit::FetchFault;

/// The owner of the guest's mappings, as seen by translation. It alone changes host protections, so
/// that the guest's own protections and the write protection of translated pages never disagree.
///
/// The engine calls it from any CPU's thread and from compile workers, never from a signal handler.
pub trait CodePages: Send + Sync {
    /// Reads instruction bytes, checking that each page may be executed. Reads at least one byte
    /// and at most `buffer.len()`; stops early at a page that cannot be fetched from.
    ///
    /// # Errors
    /// The first byte cannot be fetched.
    fn fetch(&self, addr: GuestVirt, buffer: &mut [u8]) -> Result<usize, FetchFault>;

    /// Whether the page is guarded: whether indirect jumps to it must come to places that admit them
    /// ([`translator::Frontend::translate_guarded`]). Whoever changes that tells the engine as of any change of a
    /// mapping.
    fn is_guarded(&self, _page: GuestVirt) -> bool {
        false
    }

    /// Makes every guest write to this page fault until [`CodePages::release`]: translations of its
    /// bytes are about to be kept. Idempotent.
    fn protect(&self, page: GuestVirt);

    /// Undoes [`CodePages::protect`]: the engine has dropped its translations. Returns whether the
    /// page had been protected and the guest may write to it, in which case a faulting write
    /// should be tried again.
    fn release(&self, page: GuestVirt) -> bool;

    /// Whether other mappings of the same memory may be written to without a fault on this page
    /// (a shared mapping of a file or memfd): translations must then be compared with memory when
    /// the guest synchronises its instruction stream.
    fn is_shared(&self, page: GuestVirt) -> bool;
}
