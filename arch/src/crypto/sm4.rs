//! SM4 (GB/T 32907-2016): its S-box, an inverse in GF(2^8) between affine maps.

use super::gf_inverse;

/// The S-box.
pub(crate) const SBOX: [u8; 256] = sm4_sbox();

/// `A·a + C` of SM4: the rows of A are the rotations of 0xa7, and C is 0xd3.
const fn sm4_affine(a: u8) -> u8 {
    let (mut result, mut row) = (0, 0);
    while row < 8 {
        let parity = (a & 0xa7_u8.rotate_left(row)).count_ones() & 1;
        result |= (parity as u8) << row;
        row += 1;
    }
    result ^ 0xd3
}

const fn sm4_sbox() -> [u8; 256] {
    let (mut table, mut i) = ([0; 256], 0);
    while i < 256 {
        table[i] = sm4_affine(gf_inverse(sm4_affine(i as u8), 0xf5));
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sbox_is_as_the_standard_prints_it() {
        assert_eq!(SBOX[..4], [0xd6, 0x90, 0xe9, 0xfe]);
        assert_eq!(SBOX[0xfc..], [0xd7, 0xcb, 0x39, 0x48]);
    }
}
