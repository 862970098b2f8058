//! Hosts whose instructions are not used yet.

/// See the x86-64 version.
pub(crate) fn carryless_product(_: u64, _: u64) -> Option<u128> {
    None
}

/// See the x86-64 version.
pub(crate) fn aes_encrypt_last(_: u128) -> Option<u128> {
    None
}

/// See the x86-64 version.
pub(crate) fn aes_encrypt(_: u128) -> Option<u128> {
    None
}

/// See the x86-64 version.
pub(crate) fn aes_decrypt_last(_: u128) -> Option<u128> {
    None
}

/// See the x86-64 version.
pub(crate) fn aes_decrypt(_: u128) -> Option<u128> {
    None
}

/// See the x86-64 version.
pub(crate) fn aes_inv_mix_columns(_: u128) -> Option<u128> {
    None
}

/// See the x86-64 version.
pub(crate) fn aes_mix_columns(_: u128) -> Option<u128> {
    None
}

fn each_word(words: u128, f: impl Fn(f32) -> f32) -> u128 {
    use crate::lane::Lane;
    // Subnormal numbers count as zeros, and twelve bits are more than what is promised.
    u32::map(words, |bits| {
        let bits = if bits & 0x7f80_0000 == 0 { bits & 1 << 31 } else { bits };
        let result = f(f32::from_bits(bits));
        if result.is_nan() { result.to_bits() } else { result.to_bits() & !0xfff }
    })
}

/// 1 / x of each word, about as RCPPS has it.
pub(crate) fn reciprocal_estimate(words: u128) -> u128 {
    each_word(words, |x| 1.0 / x)
}

/// 1 / √x of each word, about as RSQRTPS has it.
pub(crate) fn reciprocal_root_estimate(words: u128) -> u128 {
    each_word(words, |x| 1.0 / x.sqrt())
}

/// See the x86-64 version.
pub(crate) fn tsc() -> Option<u64> {
    None
}
