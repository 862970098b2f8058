//! AES (FIPS 197): rounds on a state of which byte 0 is the lowest.
//!
//! The S-boxes are computed from their definition: an inverse in GF(2^8), and an affine map.

use super::{gf_inverse, gf_mul};
use crate::sys;

/// SubBytes.
pub(crate) const SBOX: [u8; 256] = aes_sbox();
const INV_SBOX: [u8; 256] = invert(SBOX);

const fn aes_sbox() -> [u8; 256] {
    let (mut table, mut i) = ([0; 256], 0);
    while i < 256 {
        let b = gf_inverse(i as u8, 0x1b);
        let spread = b.rotate_left(1) ^ b.rotate_left(2) ^ b.rotate_left(3) ^ b.rotate_left(4);
        table[i] = b ^ spread ^ 0x63;
        i += 1;
    }
    table
}

const fn invert(table: [u8; 256]) -> [u8; 256] {
    let (mut inverse, mut i) = ([0; 256], 0);
    while i < 256 {
        inverse[table[i] as usize] = i as u8;
        i += 1;
    }
    inverse
}

/// Moves row r by `step` · r columns and substitutes each byte.
fn shift_and_substitute(state: u128, step: usize, table: &[u8; 256]) -> u128 {
    let old = state.to_le_bytes();
    let byte = |i: usize| table[usize::from(old[(i + 4 * step * (i % 4)) % 16])];
    u128::from_le_bytes(std::array::from_fn(byte))
}

/// Multiplies each column by the circulant matrix of these coefficients.
fn mix_columns(state: u128, coefficients: [u8; 4]) -> u128 {
    let old = state.to_le_bytes();
    let byte = |i: usize| {
        let term = |k: usize| gf_mul(old[i / 4 * 4 + k], coefficients[(k + 4 - i % 4) % 4], 0x1b);
        (0..4).fold(0, |sum, k| sum ^ term(k))
    };
    u128::from_le_bytes(std::array::from_fn(byte))
}

/// The last round of encryption, without its key.
pub(crate) fn encrypt_last(state: u128) -> u128 {
    sys::aes_encrypt_last(state).unwrap_or_else(|| shift_and_substitute(state, 1, &SBOX))
}

/// A middle round of encryption, without its key.
pub(crate) fn encrypt(state: u128) -> u128 {
    sys::aes_encrypt(state)
        .unwrap_or_else(|| mix_columns(shift_and_substitute(state, 1, &SBOX), [2, 3, 1, 1]))
}

/// The last round of decryption, without its key.
pub(crate) fn decrypt_last(state: u128) -> u128 {
    sys::aes_decrypt_last(state).unwrap_or_else(|| shift_and_substitute(state, 3, &INV_SBOX))
}

/// InvMixColumns of the whole state.
pub(crate) fn inv_mix_columns(state: u128) -> u128 {
    sys::aes_inv_mix_columns(state).unwrap_or_else(|| mix_columns(state, [14, 11, 13, 9]))
}

/// MixColumns of the whole state.
pub(crate) fn mix_all_columns(state: u128) -> u128 {
    sys::aes_mix_columns(state).unwrap_or_else(|| mix_columns(state, [2, 3, 1, 1]))
}

/// A middle round of decryption by the equivalent inverse cipher, without its key.
pub(crate) fn decrypt(state: u128) -> u128 {
    sys::aes_decrypt(state).unwrap_or_else(|| inv_mix_columns(decrypt_last(state)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sboxes_start_as_the_standard_prints_them() {
        assert_eq!(SBOX[..4], [0x63, 0x7c, 0x77, 0x7b]);
        assert_eq!(INV_SBOX[..4], [0x52, 0x09, 0x6a, 0xd5]);
    }

    #[test]
    fn the_host_and_the_portable_code_agree() {
        for seed in 0..200_u128 {
            let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let last = shift_and_substitute(state, 1, &SBOX);
            assert_eq!(encrypt_last(state), last);
            assert_eq!(encrypt(state), mix_columns(last, [2, 3, 1, 1]));
            assert_eq!(decrypt_last(last), state);
            assert_eq!(mix_all_columns(state), mix_columns(state, [2, 3, 1, 1]));
            assert_eq!(inv_mix_columns(mix_columns(state, [2, 3, 1, 1])), state);
            assert_eq!(mix_columns(mix_columns(state, [2, 3, 1, 1]), [14, 11, 13, 9]), state);
        }
    }
}
