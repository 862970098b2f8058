//! FEAT_PAuth: signing and authenticating pointers.
//!
//! The function that computes authentication codes is ours (the architecture leaves it open: the API and GPI fields
//! of ID_AA64ISAR1_EL1): five rounds of AES over pointer and modifier, keyed before and between. It needs to be
//! unpredictable to a program that does not know its keys, no more; every function of a program may
//! compute two.
//!
//! Virtual addresses have 48 bits, and the top byte of those is ignored, for instructions, too, as Linux
//! sets it up for programs: so a code has the 7 bits 54:48. FEAT_PAuth2: a code is combined with
//! the pointer by exclusive or. Authentication that fails leaves a pointer that is not canonical, which
//! faults when it is used; FEAT_FPAC, by which it would fault at once, is not there.

use crate::crypto::aes;

/// Where the code of a pointer is.
const CODE: u64 = 0x7f << 48;
/// Bit 55 says which half of the address space a pointer is to, and so what its canonical form is.
const HALF: u32 = 55;

/// The code of a pointer or any other value. The key's halves are exchanged from round to round.
fn code(value: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    let key = u128::from(key_hi) << 64 | u128::from(key_lo);
    let keys: [u128; 5] =
        std::array::from_fn(|i| key.rotate_right(64 * (i as u32 + 1)) ^ i as u128);
    let mixed = aes::encrypt_rounds((u128::from(modifier) << 64 | u128::from(value)) ^ key, &keys);
    (mixed >> 64) as u64 ^ mixed as u64
}

/// A pointer without its code, sign-extended from bit 55 to 48; its tag remains.
fn stripped(pointer: u64) -> u64 {
    if pointer >> HALF & 1 != 0 { pointer | CODE } else { pointer & !CODE }
}

/// PACIA and all that sign, after their keys. A pointer that is not canonical is given a code that fails, as
/// FEAT_PAuth2 says: the code of its canonical form, combined with what it has there.
pub(super) fn sign(pointer: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    pointer ^ code(stripped(pointer), modifier, key_lo, key_hi) & CODE
}

/// AUTIA and all that authenticate.
pub(super) fn authenticate(pointer: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    // The code undoes itself, and what is left over says that it was not the one.
    sign(pointer, modifier, key_lo, key_hi)
}

/// XPACI, XPACD.
pub(super) fn strip(pointer: u64) -> u64 {
    stripped(pointer)
}

/// PACGA: 32 bits, in the high half.
pub(super) fn generic(value: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    code(value, modifier, key_lo, key_hi) & 0xffff_ffff << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (u64, u64) = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
    const POINTERS: [u64; 4] =
        [0, 0x0000_7fff_ffff_fff8, 0x5a00_0012_3456_7890, 0xffff_8000_0000_1234];

    /// Whether bits 55 to 48 are equal.
    fn canonical(pointer: u64) -> bool {
        stripped(pointer) == pointer
    }

    #[test]
    fn what_was_signed_authenticates_and_nothing_else_does() {
        let mut passed = 0;
        for (at, pointer) in POINTERS.into_iter().cycle().take(400).enumerate() {
            let modifier = at as u64 * 8;
            let signed = sign(pointer, modifier, KEY.0, KEY.1);
            assert_eq!(authenticate(signed, modifier, KEY.0, KEY.1), pointer);
            assert_eq!(strip(signed), pointer);
            for bit in 48..55 {
                assert!(!canonical(authenticate(signed ^ 1 << bit, modifier, KEY.0, KEY.1)));
            }
            passed += u32::from(canonical(authenticate(signed, modifier + 8, KEY.0, KEY.1)));
        }
        // One in 128 does by chance.
        assert!(passed < 20, "{passed}");
    }

    #[test]
    fn every_part_of_a_key_matters() {
        let sum = |lo, hi| generic(POINTERS[1], 42, lo, hi);
        let right = sum(KEY.0, KEY.1);
        for bit in 0..64 {
            assert_ne!(sum(KEY.0 ^ 1 << bit, KEY.1), right);
            assert_ne!(sum(KEY.0, KEY.1 ^ 1 << bit), right);
        }
        assert_eq!(right & 0xffff_ffff, 0);
    }
}
