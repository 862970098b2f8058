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

/// See the x86-64 version.
pub(crate) fn tsc() -> Option<u64> {
    None
}
