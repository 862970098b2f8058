//! Zkne, Zknd, Zksed: rounds of the block ciphers AES (FIPS 197) and SM4 (GB/T 32907-2016).
//!
//! The S-boxes are computed from their definitions: an inverse in GF(2^8) between affine maps.

use crate::sys;

const AES_SBOX: [u8; 256] = aes_sbox();
const AES_INV_SBOX: [u8; 256] = invert(AES_SBOX);
const SM4_SBOX: [u8; 256] = sm4_sbox();

/// The product in GF(2^8) modulo x^8 + `poly`.
const fn gf_mul(a: u8, b: u8, poly: u8) -> u8 {
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
const fn gf_inverse(a: u8, poly: u8) -> u8 {
    let (mut result, mut count) = (1, 0);
    while count < 254 {
        result = gf_mul(result, a, poly);
        count += 1;
    }
    result
}

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

/// The state of AES as the instructions hold it: columns 0 and 1 in rs1, 2 and 3 in rs2.
fn state(rs1: u64, rs2: u64) -> u128 {
    u128::from(rs2) << 64 | u128::from(rs1)
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

fn encrypt_last(state: u128) -> u128 {
    sys::aes_encrypt_last(state).unwrap_or_else(|| shift_and_substitute(state, 1, &AES_SBOX))
}

fn encrypt(state: u128) -> u128 {
    sys::aes_encrypt(state)
        .unwrap_or_else(|| mix_columns(shift_and_substitute(state, 1, &AES_SBOX), [2, 3, 1, 1]))
}

fn decrypt_last(state: u128) -> u128 {
    sys::aes_decrypt_last(state).unwrap_or_else(|| shift_and_substitute(state, 3, &AES_INV_SBOX))
}

fn inv_mix_columns(state: u128) -> u128 {
    sys::aes_inv_mix_columns(state).unwrap_or_else(|| mix_columns(state, [14, 11, 13, 9]))
}

/// AES64ES: the last round of encryption, without its key.
pub(super) fn aes64es(rs1: u64, rs2: u64) -> u64 {
    encrypt_last(state(rs1, rs2)) as u64
}

/// AES64ESM: a middle round of encryption.
pub(super) fn aes64esm(rs1: u64, rs2: u64) -> u64 {
    encrypt(state(rs1, rs2)) as u64
}

/// AES64DS: the last round of decryption.
pub(super) fn aes64ds(rs1: u64, rs2: u64) -> u64 {
    decrypt_last(state(rs1, rs2)) as u64
}

/// AES64DSM: a middle round of decryption.
pub(super) fn aes64dsm(rs1: u64, rs2: u64) -> u64 {
    let state = state(rs1, rs2);
    sys::aes_decrypt(state).unwrap_or_else(|| inv_mix_columns(decrypt_last(state))) as u64
}

/// AES64IM: InvMixColumns of two columns of the key.
pub(super) fn aes64im(rs1: u64) -> u64 {
    inv_mix_columns(u128::from(rs1)) as u64
}

/// AES64KS1I: the nonlinear half of a step of the key schedule; round 10 neither rotates nor adds
/// a constant.
pub(super) fn aes64ks1i(rs1: u64, rnum: u64) -> u64 {
    let word = (rs1 >> 32) as u32;
    let word = if rnum == 10 { word } else { word.rotate_right(8) };
    let substituted = word.to_le_bytes().map(|byte| AES_SBOX[usize::from(byte)]);
    let constant = if rnum == 10 { 0 } else { round_constant(rnum) };
    let word = u64::from(u32::from_le_bytes(substituted) ^ u32::from(constant));
    word << 32 | word
}

/// x^n in AES's field.
fn round_constant(n: u64) -> u8 {
    (0..n).fold(1, |power, _| gf_mul(power, 2, 0x1b))
}

/// SM4ED: a quarter of a round of encryption or decryption.
pub(super) fn sm4ed(rs1: u64, rs2: u64, bs: u64) -> u64 {
    let x = sm4_byte(rs2, bs);
    let y = x ^ x << 8 ^ x << 2 ^ x << 18 ^ (x & 0x3f) << 26 ^ (x & 0xc0) << 10;
    sm4_combine(rs1, y, bs)
}

/// SM4KS: a quarter of a step of the key schedule.
pub(super) fn sm4ks(rs1: u64, rs2: u64, bs: u64) -> u64 {
    let x = sm4_byte(rs2, bs);
    let y = x ^ (x & 7) << 29 ^ (x & 0xfe) << 7 ^ (x & 1) << 23 ^ (x & 0xf8) << 13;
    sm4_combine(rs1, y, bs)
}

fn sm4_byte(rs2: u64, bs: u64) -> u32 {
    u32::from(SM4_SBOX[usize::from((rs2 >> (8 * (bs & 3))) as u8)])
}

fn sm4_combine(rs1: u64, y: u32, bs: u64) -> u64 {
    let rotated = y.rotate_left(8 * (bs as u32 & 3));
    i64::from((rotated ^ rs1 as u32) as i32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sboxes_start_as_the_standards_print_them() {
        assert_eq!(AES_SBOX[..4], [0x63, 0x7c, 0x77, 0x7b]);
        assert_eq!(AES_INV_SBOX[..4], [0x52, 0x09, 0x6a, 0xd5]);
        assert_eq!(SM4_SBOX[..4], [0xd6, 0x90, 0xe9, 0xfe]);
        assert_eq!(SM4_SBOX[0xfc..], [0xd7, 0xcb, 0x39, 0x48]);
    }

    #[test]
    fn the_host_and_the_portable_code_agree() {
        for seed in 0..200_u128 {
            let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let last = shift_and_substitute(state, 1, &AES_SBOX);
            assert_eq!(encrypt_last(state), last);
            assert_eq!(encrypt(state), mix_columns(last, [2, 3, 1, 1]));
            assert_eq!(decrypt_last(last), state);
            assert_eq!(inv_mix_columns(mix_columns(state, [2, 3, 1, 1])), state);
            assert_eq!(mix_columns(mix_columns(state, [2, 3, 1, 1]), [14, 11, 13, 9]), state);
        }
    }

    #[test]
    fn a_key_schedule_follows_fips_197() {
        // FIPS 197, A.1: w3 = 09cf4f3c; SubWord(RotWord(w3)) ^ Rcon[1] = 8b84eb01.
        let w3 = u64::from(u32::from_le_bytes([0x09, 0xcf, 0x4f, 0x3c]));
        let result = aes64ks1i(w3 << 32, 0) as u32;
        assert_eq!(result.to_le_bytes(), [0x8b, 0x84, 0xeb, 0x01]);
    }
}
