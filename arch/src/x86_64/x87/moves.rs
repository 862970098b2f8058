//! Instructions that move numbers of 80 bits or change their sign: no processor looks at what they are, and none raises an
//! exception.

use super::host::{Few, Register};

/// The status word after them: C1 is zero.
const NOTHING: u16 = 0;
/// Where the upper half of a register has the sign.
const SIGN: u64 = 1 << 15;

/// A register, read as FSTP writes it: by a load of each part. A load of both at once would wait until the cache has them.
#[inline(always)]
fn get(register: &Register) -> [u64; 2] {
    let (significand, sign_exponent): (u64, u64);
    #[expect(unsafe_code, reason = "compilers join loads")]
    // SAFETY: it reads what the reference is of.
    unsafe {
        std::arch::asm!(
            "mov {0}, [{2}]",
            "movzx {1:e}, word ptr [{2} + 8]",
            out(reg) significand,
            lateout(reg) sign_exponent,
            in(reg) register,
            options(readonly, nostack, preserves_flags),
        );
    }
    [significand, sign_exponent]
}

#[inline(always)]
fn set(register: &Register, [significand, sign_exponent]: [u64; 2]) -> u16 {
    register[0].set(significand);
    register[1].set(sign_exponent);
    NOTHING
}

/// FLD ST(i)
pub(super) fn copy_other(few: Few<'_>) -> u16 {
    set(few.st0, get(few.other))
}

/// FST ST(i)
pub(super) fn copy_top(few: Few<'_>) -> u16 {
    set(few.other, get(few.st0))
}

/// FXCH
pub(super) fn exchange(few: Few<'_>) -> u16 {
    let (top, other) = (get(few.st0), get(few.other));
    set(few.other, top);
    set(few.st0, other)
}

/// FCHS
pub(super) fn negate(few: Few<'_>) -> u16 {
    let [significand, sign_exponent] = get(few.st0);
    set(few.st0, [significand, sign_exponent ^ SIGN])
}

/// FABS
pub(super) fn absolute(few: Few<'_>) -> u16 {
    let [significand, sign_exponent] = get(few.st0);
    set(few.st0, [significand, sign_exponent & !SIGN])
}

/// FLDZ
pub(super) fn load_zero(few: Few<'_>) -> u16 {
    set(few.st0, [0, 0])
}

/// FLD1
pub(super) fn load_one(few: Few<'_>) -> u16 {
    set(few.st0, [1 << 63, 0x3fff])
}

/// FLD m80
pub(super) fn load(few: Few<'_>) -> u16 {
    let number = u128::from_le_bytes(few.memory.0);
    set(few.st0, [number as u64, (number >> 64) as u64 & 0xffff])
}

/// FSTP m80
pub(super) fn store(few: Few<'_>) -> u16 {
    let [significand, sign_exponent] = get(few.st0).map(u128::from);
    few.memory.0 = (sign_exponent << 64 | significand).to_le_bytes();
    NOTHING
}
