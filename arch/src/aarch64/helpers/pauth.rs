//! FEAT_PAuth: signing and authenticating pointers.
//!
//! The function that computes authentication codes is ours (the architecture leaves it open: the API and GPI fields
//! of ID_AA64ISAR1_EL1): the product of pointer and modifier, each combined with half of the key, with its own halves
//! combined. It needs to be unpredictable to a program that does not know its keys, no more; every function
//! of a program may compute two.
//!
//! Virtual addresses have 48 bits. Bit 55 of a pointer says which half of the address space it is to. Linux has the top
//! byte of a program's half ignored (TCR_EL1.TBI0), for instructions, too (TBID0 is 0), so that a code there has the 7
//! bits 54:48; that of the other half is not (TBI1 is 0), and codes have the top byte beside. Without FEAT_PAuth2 a
//! code takes the place of those bits, and a pointer that fails gets an error code; with it, a code is combined with
//! them by exclusive or, and what is left over of a wrong one makes a pointer that is not canonical. By FEAT_FPAC
//! that is an exception at once, which is left to translations.

/// Where a code is in any pointer.
const CODE: u64 = 0x7f << 48;
/// Where it is in one whose top byte means something.
const CODE_IN_TAG: u64 = 0xff << 56;
/// Bit 55 says which half of the address space a pointer is to, and so what its canonical form is.
const HALF: u32 = 55;
/// The bit of a code that AddPAC inverts for a pointer that is not canonical, without FEAT_PAuth2: the last but one.
const SPOILT: u64 = 1 << 54;
const SPOILT_IN_TAG: u64 = 1 << 62;

/// The code of a pointer or any other value.
fn code(value: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    let product = u128::from(value ^ key_lo) * u128::from(modifier ^ key_hi);
    (product >> 64) as u64 ^ product as u64
}

/// Where the code of a pointer is.
fn field(pointer: u64) -> u64 {
    if pointer >> HALF & 1 != 0 { CODE | CODE_IN_TAG } else { CODE }
}

/// Strip: a pointer without its code, sign-extended from bit 55; a tag remains.
fn stripped(pointer: u64) -> u64 {
    if pointer >> HALF & 1 != 0 { pointer | field(pointer) } else { pointer & !field(pointer) }
}

/// AddPAC, with FEAT_PAuth2: PACIA and all that sign, after their keys. A pointer that is not canonical is given a code
/// that fails: the code of its canonical form, combined with what it has there.
pub(super) fn sign(pointer: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    pointer ^ code(stripped(pointer), modifier, key_lo, key_hi) & field(pointer)
}

/// Auth, with FEAT_PAuth2: AUTIA and all that authenticate.
pub(super) fn authenticate(pointer: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    // The code undoes itself, and what is left over says that it was not the one.
    sign(pointer, modifier, key_lo, key_hi)
}

/// What [`authenticate_or_fail`] gives for a pointer that is not authentic. No authentic one is not canonical.
pub const NOT_AUTHENTIC: u64 = 1 << 48;

/// Auth, with FEAT_FPAC: [`NOT_AUTHENTIC`] where it is an exception.
pub(super) fn authenticate_or_fail(pointer: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    let result = authenticate(pointer, modifier, key_lo, key_hi);
    if result == stripped(result) { result } else { NOT_AUTHENTIC }
}

/// AddPAC, without FEAT_PAuth2.
pub(super) fn sign_first(pointer: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    let (field, canonical) = (field(pointer), stripped(pointer));
    let mut code = code(canonical, modifier, key_lo, key_hi);
    let extension = pointer & (field | 1 << HALF);
    if extension != 0 && extension != field | 1 << HALF {
        code ^= if field & CODE_IN_TAG != 0 { SPOILT_IN_TAG } else { SPOILT };
    }
    pointer & !field | code & field
}

/// Auth, without FEAT_PAuth2, by a key A.
pub(super) fn authenticate_a(pointer: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    authenticate_first(pointer, modifier, [key_lo, key_hi], 0b01)
}

/// Auth, without FEAT_PAuth2, by a key B.
pub(super) fn authenticate_b(pointer: u64, modifier: u64, key_lo: u64, key_hi: u64) -> u64 {
    authenticate_first(pointer, modifier, [key_lo, key_hi], 0b10)
}

fn authenticate_first(pointer: u64, modifier: u64, [lo, hi]: [u64; 2], error: u64) -> u64 {
    let (field, canonical) = (field(pointer), stripped(pointer));
    if (pointer ^ code(canonical, modifier, lo, hi)) & field == 0 {
        return canonical;
    }
    // Two bits, just below the top one of the field.
    let place = if field & CODE_IN_TAG != 0 { 61 } else { 53 };
    canonical & !(0b11 << place) | error << place
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

    fn canonical(pointer: u64) -> bool {
        stripped(pointer) == pointer
    }

    /// Bits of a pointer's code.
    fn bits(pointer: u64) -> impl Iterator<Item = u32> {
        (48..64).filter(move |bit| field(pointer) >> bit & 1 != 0)
    }

    #[test]
    fn what_was_signed_authenticates_and_nothing_else_does() {
        let mut passed = 0;
        for (at, pointer) in POINTERS.into_iter().cycle().take(400).enumerate() {
            let modifier = at as u64 * 8;
            let signed = sign(pointer, modifier, KEY.0, KEY.1);
            assert_eq!(authenticate(signed, modifier, KEY.0, KEY.1), pointer);
            assert_eq!(authenticate_or_fail(signed, modifier, KEY.0, KEY.1), pointer);
            assert_eq!(strip(signed), pointer);
            for bit in bits(pointer) {
                let wrong = signed ^ 1 << bit;
                assert!(!canonical(authenticate(wrong, modifier, KEY.0, KEY.1)));
                assert_eq!(authenticate_or_fail(wrong, modifier, KEY.0, KEY.1), NOT_AUTHENTIC);
            }
            passed += u32::from(canonical(authenticate(signed, modifier + 8, KEY.0, KEY.1)));
        }
        // One in 128 does by chance.
        assert!(passed < 20, "{passed}");
    }

    #[test]
    fn bit_55_says_where_a_code_is() {
        assert_eq!(strip(0x5a55_8000_0000_1234), 0x5a00_8000_0000_1234);
        assert_eq!(strip(0x5a80_8000_0000_1234), 0xffff_8000_0000_1234);
        assert_eq!(strip(0x00ff_0000_0000_0000), 0xffff_0000_0000_0000);
        assert_eq!(strip(0xff7f_0000_0000_0000), 0xff00_0000_0000_0000);
        let tops = |pointer: u64, sign: fn(u64, u64, u64, u64) -> u64| -> Vec<u64> {
            let tops = (0..64).map(|modifier| sign(pointer, modifier, KEY.0, KEY.1) >> 55);
            tops.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        };
        for sign in [sign, sign_first] {
            assert_eq!(tops(0x5a00_0000_0000_1000, sign), [0x5a << 1], "a tag stays");
            let upper = tops(0xffff_8000_0000_1000, sign);
            assert!(upper.len() > 30 && upper.iter().all(|top| top & 1 == 1), "{upper:x?}");
        }
    }

    #[test]
    fn the_first_version_replaces_and_marks_errors() {
        type Authenticate = fn(u64, u64, u64, u64) -> u64;
        let both: [(Authenticate, u64); 2] = [(authenticate_a, 1), (authenticate_b, 2)];
        for pointer in POINTERS {
            let signed = sign_first(pointer, 8, KEY.0, KEY.1);
            let combined = sign(pointer, 8, KEY.0, KEY.1);
            assert_eq!(signed, combined ^ pointer & field(pointer), "for {pointer:#x}");
            for (authenticate, error) in both {
                assert_eq!(authenticate(signed, 8, KEY.0, KEY.1), pointer);
                for bit in bits(pointer) {
                    let failed = authenticate(signed ^ 1 << bit, 8, KEY.0, KEY.1);
                    let place = if pointer >> HALF & 1 != 0 { 61 } else { 53 };
                    assert_eq!(failed, pointer & !(3 << place) | error << place);
                }
            }
        }
    }

    /// What is not canonical is not made so by signing and authenticating it.
    #[test]
    fn pointers_that_are_not_canonical_fail() {
        for pointer in [0x0001_0000_0000_1000, 0x0055_7fff_ffff_0000, 0xff7f_8000_0000_0000] {
            let signed = sign(pointer, 8, KEY.0, KEY.1);
            assert!(!canonical(authenticate(signed, 8, KEY.0, KEY.1)));
            assert_eq!(
                signed ^ sign(stripped(pointer), 8, KEY.0, KEY.1),
                pointer ^ stripped(pointer)
            );
            let signed = sign_first(pointer, 8, KEY.0, KEY.1);
            let right = sign_first(stripped(pointer), 8, KEY.0, KEY.1);
            assert_eq!(signed ^ right, SPOILT);
            assert!(!canonical(authenticate_a(signed, 8, KEY.0, KEY.1)));
        }
        let upper = sign_first(0x5aff_8000_0000_0000, 8, KEY.0, KEY.1);
        let right = sign_first(0xffff_8000_0000_0000, 8, KEY.0, KEY.1);
        assert_eq!(upper ^ right, SPOILT_IN_TAG);
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
