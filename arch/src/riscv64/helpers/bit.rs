//! Zbc, Zbkb, Zbkx: bit manipulation without an IR operation.

use crate::crypto::carryless_product;

/// CLMUL: the low half of the product.
pub(super) fn clmul(a: u64, b: u64) -> u64 {
    carryless_product(a, b) as u64
}

/// CLMULH: the high half.
pub(super) fn clmulh(a: u64, b: u64) -> u64 {
    (carryless_product(a, b) >> 64) as u64
}

/// CLMULR: bits 126 to 63.
pub(super) fn clmulr(a: u64, b: u64) -> u64 {
    (carryless_product(a, b) >> 63) as u64
}

/// BREV8: the bits of each byte reversed.
pub(super) fn brev8(a: u64) -> u64 {
    a.swap_bytes().reverse_bits()
}

/// XPERM4: each nibble of `b` selects one of `a`; 0 if there is none.
pub(super) fn xperm4(a: u64, b: u64) -> u64 {
    permute(a, b, 4)
}

/// XPERM8: each byte of `b` selects one of `a`; 0 if there is none.
pub(super) fn xperm8(a: u64, b: u64) -> u64 {
    permute(a, b, 8)
}

fn permute(a: u64, b: u64, width: u32) -> u64 {
    let mask = (1 << width) - 1;
    let element = |at: u32| {
        let selected = (b >> at & mask) * u64::from(width);
        let value = if selected < 64 { a >> selected & mask } else { 0 };
        value << at
    };
    (0..64).step_by(width as usize).map(element).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_select_by_index_and_give_zero_beyond() {
        assert_eq!(xperm4(0xfedc_ba98_7654_3210, 0x0123_4567_89ab_cdef), 0x0123_4567_89ab_cdef);
        assert_eq!(xperm8(0x8877_6655_4433_2211, 0x0807_0605_0403_0201), 0x0088_7766_5544_3322);
    }

    #[test]
    fn products_have_no_carries() {
        assert_eq!(clmul(3, 3), 5);
        assert_eq!(clmulh(1 << 63, 6), 3);
        assert_eq!(clmulr(1 << 63, 3), 3);
        assert_eq!(brev8(0x01_80_03), 0x80_01_c0);
    }
}
