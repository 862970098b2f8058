//! 128 bits in a register of the host.

#![expect(unsafe_code, reason = "numbers and vector registers of one size are transmuted")]

/// 128 bits as the host's calling convention passes them in a register.
#[cfg(target_arch = "x86_64")]
pub type HostVector = std::arch::x86_64::__m128i;
/// 128 bits as the host's calling convention passes them in a register.
#[cfg(target_arch = "aarch64")]
pub type HostVector = std::arch::aarch64::uint8x16_t;

/// The vector of a number's 128 bits, lane 0 lowest.
#[inline]
#[must_use]
pub fn vector_of(bits: u128) -> HostVector {
    // SAFETY: both are 128 bits without invalid values.
    unsafe { std::mem::transmute::<u128, HostVector>(bits) }
}

/// A vector's 128 bits as a number, lane 0 lowest.
#[inline]
#[must_use]
pub fn bits_of(vector: HostVector) -> u128 {
    // SAFETY: both are 128 bits without invalid values.
    unsafe { std::mem::transmute::<HostVector, u128>(vector) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_back() {
        let bits = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        assert_eq!(bits_of(vector_of(bits)), bits);
    }
}
