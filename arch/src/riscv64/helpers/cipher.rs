//! Zkne, Zknd, Zksed: rounds of the block ciphers AES (FIPS 197) and SM4 (GB/T 32907-2016).

use crate::crypto::{aes, gf_mul, sm4};

/// The state of AES as the instructions hold it: columns 0 and 1 in rs1, 2 and 3 in rs2.
fn state(rs1: u64, rs2: u64) -> u128 {
    u128::from(rs2) << 64 | u128::from(rs1)
}

/// AES64ES: the last round of encryption, without its key.
pub(super) fn aes64es(rs1: u64, rs2: u64) -> u64 {
    aes::encrypt_last(state(rs1, rs2)) as u64
}

/// AES64ESM: a middle round of encryption.
pub(super) fn aes64esm(rs1: u64, rs2: u64) -> u64 {
    aes::encrypt(state(rs1, rs2)) as u64
}

/// AES64DS: the last round of decryption.
pub(super) fn aes64ds(rs1: u64, rs2: u64) -> u64 {
    aes::decrypt_last(state(rs1, rs2)) as u64
}

/// AES64DSM: a middle round of decryption.
pub(super) fn aes64dsm(rs1: u64, rs2: u64) -> u64 {
    aes::decrypt(state(rs1, rs2)) as u64
}

/// AES64IM: InvMixColumns of two columns of the key.
pub(super) fn aes64im(rs1: u64) -> u64 {
    aes::inv_mix_columns(u128::from(rs1)) as u64
}

/// AES64KS1I: the nonlinear half of a step of the key schedule; round 10 neither rotates nor adds
/// a constant.
pub(super) fn aes64ks1i(rs1: u64, rnum: u64) -> u64 {
    let word = (rs1 >> 32) as u32;
    let word = if rnum == 10 { word } else { word.rotate_right(8) };
    let substituted = word.to_le_bytes().map(|byte| aes::SBOX[usize::from(byte)]);
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
    u32::from(sm4::SBOX[usize::from((rs2 >> (8 * (bs & 3))) as u8)])
}

fn sm4_combine(rs1: u64, y: u32, bs: u64) -> u64 {
    let rotated = y.rotate_left(8 * (bs as u32 & 3));
    i64::from((rotated ^ rs1 as u32) as i32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_schedule_follows_fips_197() {
        // FIPS 197, A.1: w3 = 09cf4f3c; SubWord(RotWord(w3)) ^ Rcon[1] = 8b84eb01.
        let w3 = u64::from(u32::from_le_bytes([0x09, 0xcf, 0x4f, 0x3c]));
        let result = aes64ks1i(w3 << 32, 0) as u32;
        assert_eq!(result.to_le_bytes(), [0x8b, 0x84, 0xeb, 0x01]);
    }
}
