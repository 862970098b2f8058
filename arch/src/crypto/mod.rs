//! What the cryptographic instructions of several guests have in common, by the host's instructions where it has
//! them.

pub(crate) mod aes;
pub(crate) mod sm4;

use crate::sys;

/// The product of two polynomials over GF(2), of 127 bits.
pub(crate) fn carryless_product(a: u64, b: u64) -> u128 {
    sys::carryless_product(a, b).unwrap_or_else(|| {
        let term = |bit: u32| (u128::from(b >> bit & 1).wrapping_neg()) & u128::from(a) << bit;
        (0..64).map(term).fold(0, |sum, term| sum ^ term)
    })
}

/// The product in GF(2^8) modulo x^8 + `poly`.
pub(crate) const fn gf_mul(a: u8, b: u8, poly: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0);
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { poly } else { 0 };
        b >>= 1;
    }
    product
}

/// The inverse in GF(2^8), a^254; 0 for 0.
pub(crate) const fn gf_inverse(a: u8, poly: u8) -> u8 {
    let (mut result, mut count) = (1, 0);
    while count < 254 {
        result = gf_mul(result, a, poly);
        count += 1;
    }
    result
}
