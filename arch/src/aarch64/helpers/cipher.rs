//! FEAT_AES, FEAT_SM4: rounds of the block ciphers AES (FIPS 197) and SM4 (GB/T 32907-2016).

use super::lane::Lane;
use crate::crypto::{aes, sm4};

/// AESE: AddRoundKey, ShiftRows, SubBytes.
pub(super) fn aese(d: u128, n: u128) -> u128 {
    aes::encrypt_last(d ^ n)
}

/// AESD: AddRoundKey, InvShiftRows, InvSubBytes.
pub(super) fn aesd(d: u128, n: u128) -> u128 {
    aes::decrypt_last(d ^ n)
}

/// AESMC: MixColumns.
pub(super) fn aesmc(n: u128) -> u128 {
    aes::mix_all_columns(n)
}

/// AESIMC: InvMixColumns.
pub(super) fn aesimc(n: u128) -> u128 {
    aes::inv_mix_columns(n)
}

fn sm4_substitute(word: u32) -> u32 {
    u32::from_le_bytes(word.to_le_bytes().map(|byte| sm4::SBOX[usize::from(byte)]))
}

/// Four steps of SM4's unbalanced network with the keys of `keys`.
fn sm4_steps(state: u128, keys: u128, diffuse: impl Fn(u32) -> u32) -> u128 {
    let step =
        |[a, b, c, d]: [u32; 4], key: u32| [b, c, d, a ^ diffuse(sm4_substitute(b ^ c ^ d ^ key))];
    let state = u32::split(keys).into_iter().fold(u32::split(state), step);
    u32::join(|i| state[i])
}

/// SM4E: four rounds on `d` with the round keys in `n`.
pub(super) fn sm4e(d: u128, n: u128) -> u128 {
    sm4_steps(d, n, |x| {
        x ^ x.rotate_left(2) ^ x.rotate_left(10) ^ x.rotate_left(18) ^ x.rotate_left(24)
    })
}

/// SM4EKEY: four round keys from the last four in `n` and the constants in `m`.
pub(super) fn sm4ekey(n: u128, m: u128) -> u128 {
    sm4_steps(n, m, |x| x ^ x.rotate_left(13) ^ x.rotate_left(23))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(hex: u128) -> u128 {
        hex.swap_bytes()
    }

    #[test]
    fn aes_128_encrypts_as_in_fips_197() {
        // Appendix B: the first two round keys, and the state at the start of round 2.
        let input = block(0x3243_f6a8_885a_308d_3131_98a2_e037_0734);
        let key0 = block(0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c);
        let key1 = block(0xa0fa_fe17_8854_2cb1_23a3_3939_2a6c_7605);
        let state = aesmc(aese(input, key0)) ^ key1;
        assert_eq!(state, block(0xa49c_7ff2_689f_352b_6b5b_ea43_026a_5049));
        assert_eq!(aesd(aesimc(state ^ key1), 0) ^ key0, input);
    }

    #[test]
    fn sm4_encrypts_as_in_its_standard() {
        // GB/T 32907-2016, A.1. Words are the most significant byte first.
        const TEXT: u128 = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        const FK: u128 = 0xa3b1_bac6_56aa_3350_677d_9197_b270_22dc;
        let words = |hex: u128| u32::join(|i| (hex >> (96 - 32 * i)) as u32);
        let constant = |i: u32| {
            let byte = |k: u32| u32::from(((4 * i + k) * 7) as u8) << (24 - 8 * k);
            byte(0) | byte(1) | byte(2) | byte(3)
        };
        let (mut keys, mut state) = (words(TEXT ^ FK), words(TEXT));
        for step in 0..8 {
            keys = sm4ekey(keys, u32::join(|i| constant(4 * step + i as u32)));
            state = sm4e(state, keys);
        }
        let state = u32::split(state);
        assert_eq!(state, [0x536e_4246, 0x86b3_e94f, 0xd206_965e, 0x681e_df34]);
    }
}
