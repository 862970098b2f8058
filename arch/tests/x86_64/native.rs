//! Instructions executed by the host itself, from bytes, and what random values they are given.

#![expect(unsafe_code, reason = "machine code that the tests write")]

use base::rng::Rng;

/// Numbers that repeat.
pub(crate) struct Random(Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.bits()
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A page of the host that can be written and executed.
pub(crate) struct Code(*mut u8);

impl Code {
    const BYTES: usize = 4096;

    pub(crate) fn new() -> Self {
        // SAFETY: a mapping of its own.
        let page = unsafe {
            let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            libc::mmap(
                std::ptr::null_mut(),
                Self::BYTES,
                all,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(page, libc::MAP_FAILED);
        Self(page.cast())
    }

    pub(crate) fn address(&self) -> u64 {
        self.0 as u64
    }

    /// Writes bytes, which end in a return, and calls them with these arguments in rdi, rsi, rdx, rcx.
    ///
    /// # Safety
    /// The code keeps to the calling convention, and to memory that it may use.
    pub(crate) unsafe fn call(&mut self, bytes: &[u8], arguments: [*mut u8; 4]) {
        assert!(bytes.len() < Self::BYTES);
        // SAFETY: the page is as long, and nothing else is in it; the rest is the caller's promise.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0, bytes.len());
            let [a, b, c, d] = arguments;
            let code = std::mem::transmute::<
                *mut u8,
                extern "C" fn(*mut u8, *mut u8, *mut u8, *mut u8),
            >(self.0);
            code(a, b, c, d);
        }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new`.
        unsafe { libc::munmap(self.0.cast(), Self::BYTES) };
    }
}
