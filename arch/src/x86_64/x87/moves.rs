//! Instructions that move numbers of 80 bits or change their sign: no processor looks at what they are, and none raises an
//! exception.

use super::host::{Done, Few, Register};
use super::integers::Number;

/// The status word after them: C1 is zero.
const NOTHING: u16 = 0;
/// Where the upper half of a register has the sign.
const SIGN: u64 = 1 << 15;

/// A register, read as FSTP writes it: by a load of each part. A load of both at once would wait until the cache has them.
#[inline(always)]
pub(super) fn get(register: &Register) -> Number {
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
pub(super) fn set(register: &Register, [significand, sign_exponent]: Number) {
    register[0].set(significand);
    register[1].set(sign_exponent);
}

#[inline(always)]
fn moved(to: &Register, number: Number) -> Done {
    set(to, number);
    Done::of(NOTHING)
}

/// FLD ST(i)
#[inline(always)]
pub(super) fn copy_other(few: Few<'_>) -> Done {
    moved(few.st0, get(few.other))
}

/// FST ST(i)
#[inline(always)]
pub(super) fn copy_top(few: Few<'_>) -> Done {
    moved(few.other, get(few.st0))
}

/// FXCH
#[inline(always)]
pub(super) fn exchange(few: Few<'_>) -> Done {
    let (top, other) = (get(few.st0), get(few.other));
    set(few.other, top);
    moved(few.st0, other)
}

/// FCHS
#[inline(always)]
pub(super) fn negate(few: Few<'_>) -> Done {
    let [significand, sign_exponent] = get(few.st0);
    moved(few.st0, [significand, sign_exponent ^ SIGN])
}

/// FABS
#[inline(always)]
pub(super) fn absolute(few: Few<'_>) -> Done {
    let [significand, sign_exponent] = get(few.st0);
    moved(few.st0, [significand, sign_exponent & !SIGN])
}

/// FLDZ
#[inline(always)]
pub(super) fn load_zero(few: Few<'_>) -> Done {
    moved(few.st0, [0, 0])
}

/// FLD1
#[inline(always)]
pub(super) fn load_one(few: Few<'_>) -> Done {
    moved(few.st0, [1 << 63, 0x3fff])
}

/// FLD m80
#[inline(always)]
pub(super) fn load(few: Few<'_>) -> Done {
    moved(few.st0, [few.low, few.high.into()])
}

/// FSTP m80
#[inline(always)]
pub(super) fn store(few: Few<'_>) -> Done {
    let [significand, sign_exponent] = get(few.st0).map(u128::from);
    Done { status: NOTHING, memory: sign_exponent << 64 | significand }
}

/// FCMOVcc
#[inline(always)]
pub(super) fn conditional(few: Few<'_>) -> Done {
    if few.low & 1 != 0 { moved(few.st0, get(few.other)) } else { Done::of(NOTHING) }
}
