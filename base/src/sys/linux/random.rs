//! The host's source of randomness.

#![expect(unsafe_code, reason = "the system call")]

/// 64 random bits of getrandom(2); `None` if the host has none to give.
#[must_use]
pub fn bits() -> Option<u64> {
    let mut bytes = [0_u8; 8];
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    (got == 8).then(|| u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_numbers_differ() {
        assert_ne!(super::bits().unwrap(), super::bits().unwrap());
    }
}
