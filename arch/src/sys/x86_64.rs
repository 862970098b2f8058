//! x86-64: PCLMULQDQ and AES-NI, RCPPS and RSQRTPS, and the time-stamp counter.

#![expect(unsafe_code, reason = "calls of functions compiled for optional CPU features")]

use std::arch::x86_64::{
    __m128i, _mm_aesdec_si128, _mm_aesdeclast_si128, _mm_aesenc_si128, _mm_aesenclast_si128,
    _mm_aesimc_si128, _mm_castps_si128, _mm_castsi128_ps, _mm_clmulepi64_si128, _mm_cvtsi64_si128,
    _mm_cvtsi128_si64, _mm_rcp_ps, _mm_rsqrt_ps, _mm_set_epi64x, _mm_setzero_si128,
    _mm_unpackhi_epi64,
};

/// Every x86-64 CPU has SSE2; the attribute is what the intrinsics ask of their callers.
#[target_feature(enable = "sse2")]
fn pack(value: u128) -> __m128i {
    _mm_set_epi64x((value >> 64) as i64, value as i64)
}

#[target_feature(enable = "sse2")]
fn unpack(vector: __m128i) -> u128 {
    let low = _mm_cvtsi128_si64(vector) as u64;
    let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(vector, vector)) as u64;
    u128::from(high) << 64 | u128::from(low)
}

/// RCPPS. The manuals bound its error and leave the rest to the processor.
pub(crate) fn reciprocal_estimate(words: u128) -> u128 {
    #[target_feature(enable = "sse2")]
    fn estimate(words: u128) -> u128 {
        unpack(_mm_castps_si128(_mm_rcp_ps(_mm_castsi128_ps(pack(words)))))
    }
    // SAFETY: every x86-64 CPU has SSE2.
    unsafe { estimate(words) }
}

/// RSQRTPS, likewise.
pub(crate) fn reciprocal_root_estimate(words: u128) -> u128 {
    #[target_feature(enable = "sse2")]
    fn estimate(words: u128) -> u128 {
        unpack(_mm_castps_si128(_mm_rsqrt_ps(_mm_castsi128_ps(pack(words)))))
    }
    // SAFETY: every x86-64 CPU has SSE2.
    unsafe { estimate(words) }
}

/// The product of two polynomials over GF(2), 127 bits.
pub(crate) fn carryless_product(a: u64, b: u64) -> Option<u128> {
    #[target_feature(enable = "pclmulqdq")]
    fn product(a: u64, b: u64) -> u128 {
        let (a, b) = (_mm_cvtsi64_si128(a as i64), _mm_cvtsi64_si128(b as i64));
        unpack(_mm_clmulepi64_si128::<0>(a, b))
    }
    // SAFETY: the feature is there.
    std::arch::is_x86_feature_detected!("pclmulqdq").then(|| unsafe { product(a, b) })
}

macro_rules! aes {
    ($($(#[$doc:meta])* $name:ident = $state:ident => $expr:expr;)*) => {
        $($(#[$doc])*
        pub(crate) fn $name(state: u128) -> Option<u128> {
            #[target_feature(enable = "aes")]
            fn round(state: u128) -> u128 {
                let $state = pack(state);
                unpack($expr)
            }
            // SAFETY: the feature is there.
            std::arch::is_x86_feature_detected!("aes").then(|| unsafe { round(state) })
        })*
    };
}

aes! {
    /// ShiftRows and SubBytes (FIPS 197).
    aes_encrypt_last = state => _mm_aesenclast_si128(state, _mm_setzero_si128());
    /// ShiftRows, SubBytes and MixColumns.
    aes_encrypt = state => _mm_aesenc_si128(state, _mm_setzero_si128());
    /// InvShiftRows and InvSubBytes.
    aes_decrypt_last = state => _mm_aesdeclast_si128(state, _mm_setzero_si128());
    /// InvShiftRows, InvSubBytes and InvMixColumns.
    aes_decrypt = state => _mm_aesdec_si128(state, _mm_setzero_si128());
    /// MixColumns: the other steps of a round undone first.
    aes_mix_columns = state => {
        let undone = _mm_aesdeclast_si128(state, _mm_setzero_si128());
        _mm_aesenc_si128(undone, _mm_setzero_si128())
    };
    /// InvMixColumns.
    aes_inv_mix_columns = state => _mm_aesimc_si128(state);
}

/// A counter of time, of a constant frequency.
pub(crate) fn tsc() -> Option<u64> {
    // SAFETY: every x86-64 CPU has it.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}
