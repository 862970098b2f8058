//! The host's own PCMPESTRM: its immediate is part of the instruction, so there is a function for each.

#![expect(unsafe_code, reason = "an instruction that not every host has")]

/// IntRes2 of a comparison of bits 5:0 of imm8, if the host has the instruction.
#[cfg(target_arch = "x86_64")]
pub(super) fn result(imm: u64, valid: [usize; 2], a: u128, b: u128) -> Option<u32> {
    if !std::arch::is_x86_feature_detected!("sse4.2") {
        return None;
    }
    let [in_a, in_b] = valid.map(|valid| valid as i32);
    // SAFETY: the host has the feature that the functions need.
    Some(unsafe { BY_IMMEDIATE[imm as usize & 63](a, in_a, b, in_b) })
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn result(_: u64, _: [usize; 2], _: u128, _: u128) -> Option<u32> {
    None
}

#[cfg(target_arch = "x86_64")]
type Compare = unsafe fn(u128, i32, u128, i32) -> u32;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn compare<const IMM: i32>(a: u128, in_a: i32, b: u128, in_b: i32) -> u32 {
    use std::arch::x86_64::{_mm_cmpestrm, _mm_cvtsi128_si32, _mm_set_epi64x};
    let [a, b] = [a, b].map(|bits| (bits as i64, (bits >> 64) as i64));
    let (a, b) = (_mm_set_epi64x(a.1, a.0), _mm_set_epi64x(b.1, b.0));
    _mm_cvtsi128_si32(_mm_cmpestrm::<IMM>(a, in_a, b, in_b)) as u32
}

#[cfg(target_arch = "x86_64")]
macro_rules! compares {
    ($($imm:literal)*) => { [$(compare::<$imm>,)*] };
}

#[cfg(target_arch = "x86_64")]
static BY_IMMEDIATE: [Compare; 64] = compares![
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62
        63
];
