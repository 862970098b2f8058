//! States full of corner values.

use super::{INDEX, VECTOR_INDEX};
use crate::guest::X86_64;
use crate::guest::x86_64::{
    FCW, FPR, FS_BASE, FSW, FTW, GS_BASE, MXCSR, RFLAGS, RSP, YMM, instructions,
};
use crate::machine::{DATA, State};
use crate::program::address;
use base::rng::Rng;

/// The words of registers that hold addresses.
const POINTERS: [usize; 6] = [3, 6, 7, 13, 14, 8];

/// One for this code.
pub(super) fn state(rng: &mut Rng, code: &[u8]) -> State {
    let mut state = State::new(&X86_64);
    for word in &mut state.words[..16] {
        *word = rng.integer();
    }
    for word in POINTERS {
        state.words[word] = address(rng);
    }
    let repeats = instructions(code).any(|insn| insn.has_rep_prefix() || insn.has_repne_prefix());
    if repeats || rng.one_in(8) {
        state.words[1] = rng.bits() % 40;
    }
    state.words[INDEX.1] = rng.bits() % 16;
    state.words[RSP] = DATA.0 + 0x40 + rng.bits() % 16 * 8;
    state.words[RFLAGS] = rng.bits() & 0x8d5;
    if rng.one_in(6) {
        state.words[RFLAGS] |= 1 << 10;
    }
    for base in [FS_BASE, GS_BASE] {
        state.words[base] = if rng.one_in(4) { rng.bits() % 8 * 16 } else { 0 };
    }
    floating_point(&mut state, rng);
    let kind = rng.below(12);
    for word in &mut state.words[YMM..YMM + 64] {
        *word = lanes(kind, rng);
    }
    for word in &mut state.words[YMM + 4 * VECTOR_INDEX..][..4] {
        *word = rng.bits() & 0x0000_001f_0000_001f;
    }
    for chunk in state.memory.chunks_exact_mut(8) {
        chunk.copy_from_slice(&lanes(kind, rng).to_le_bytes());
    }
    state
}

/// Modes and x87 registers.
fn floating_point(state: &mut State, rng: &mut Rng) {
    let mxcsr = match rng.below(8) {
        0..=3 => 0x1f80,
        4 => 0x1f80 | rng.bits() & 0xe07f,
        5 => 0x1fa0 | rng.bits() & 0x601f,
        6 => 0x1f80 | rng.bits() & 0x6000,
        _ => rng.bits() & 0xffc0,
    };
    state.words[MXCSR] = mxcsr;
    let masks = if rng.one_in(12) { rng.bits() & 0x3f } else { 0x3f };
    let control = if rng.one_in(2) { 0x340 } else { 0x40 | rng.bits() & 0xf00 };
    // Precision 1 is reserved.
    let control = if control >> 8 & 3 == 1 { control | 0x300 } else { control };
    state.words[FCW] = control | masks;
    let sticky = if masks == 0x3f { rng.bits() & 0x7f } else { 0 };
    let top = [0, 0, rng.bits() & 7][rng.below(3)];
    state.words[FSW] = sticky | top << 11 | rng.bits() & 0x4700;
    state.words[FTW] = if rng.one_in(4) { rng.bits() & 0xff } else { 0xff };
    for n in 0..8 {
        let value = extended(rng);
        state.words[FPR + 2 * n] = value as u64;
        state.words[FPR + 2 * n + 1] = (value >> 64) as u64;
    }
}

/// x87's format: corners, numbers that doubles and integers have, anything, what is no number either.
#[must_use]
pub fn extended(rng: &mut Rng) -> u128 {
    let sign = rng.bits() & 1;
    let exponent = match rng.below(10) {
        0 => 0,
        1 => 0x7fff,
        2 => 1 + rng.bits() % 3,
        3 => 0x7ffe - rng.bits() % 3,
        4..=7 => 0x3fff - 4 + rng.bits() % 70,
        8 => 0x3fff - 70 + rng.bits() % 140,
        _ => rng.bits() & 0x7fff,
    };
    let fraction = match rng.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << rng.below(63),
        3 => rng.bits() << (11 + rng.below(50)),
        _ => rng.bits(),
    };
    let integer = u64::from(exponent != 0) ^ u64::from(rng.one_in(24));
    u128::from(sign << 15 | exponent) << 64 | u128::from(integer << 63 | fraction & !(1 << 63))
}

/// 64 bits of lanes of a format.
fn lanes(kind: usize, rng: &mut Rng) -> u64 {
    let repeated = |width: u32, lane: &mut dyn FnMut() -> u64| {
        (0..64 / width).fold(0, |all, i| all | (lane() & (u64::MAX >> (64 - width))) << (i * width))
    };
    match kind {
        0 => repeated(16, &mut || rng.float_of(5, 10)),
        1..=4 => repeated(32, &mut || rng.float_of(8, 23)),
        5..=7 => rng.float_of(11, 52),
        8 => repeated(8, &mut || rng.integer()),
        9 => repeated(16, &mut || rng.integer()),
        10 => repeated(32, &mut || rng.integer()),
        _ => rng.integer(),
    }
}
