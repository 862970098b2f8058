//! The commonest instructions that compute, with the usual control word: see [`super::integers`].

use super::host::{Done, Register};
use super::integers::{Number, Rounded};
use super::moves::set;

/// What an instruction does that computes: ST(0) or ST(i) becomes `$op` of ST(0) and ST(i), or of ST(0) and memory.
///
/// These are no functions that get others: compilers would call those, with numbers in memory.
macro_rules! computes {
    (st0 = $op:ident(st0, sti)) => {
        |few: Few<'_>| arithmetic::write(few.st0, $op(get(few.st0), get(few.other)))
    };
    (sti = $op:ident(st0, sti)) => {
        |few: Few<'_>| arithmetic::write(few.other, $op(get(few.st0), get(few.other)))
    };
    (st0 = $op:ident(st0, $number:ident)) => {
        |few: Few<'_>| arithmetic::write(few.st0, $op(get(few.st0), $number(few.low)?))
    };
    (push $number:ident) => {
        |few: Few<'_>| Some(arithmetic::push(few.st0, $number(few.low)?))
    };
    (store $convert:ident) => {
        |few: Few<'_>| {
            let (bits, status) = $convert(get(few.st0))?;
            Some(Done { status, memory: bits.into() })
        }
    };
    (compare(st0, sti)) => {
        |few: Few<'_>| compare(get(few.st0), get(few.other)).map(Done::of)
    };
    (compare(st0, $number:ident)) => {
        |few: Few<'_>| compare(get(few.st0), $number(few.low)?).map(Done::of)
    };
}

pub(super) use computes;

/// Writes a result, if there is one.
#[inline(always)]
pub(super) fn write(to: &Register, result: Option<Rounded>) -> Option<Done> {
    let Rounded { number, status } = result?;
    set(to, number);
    Some(Done::of(status))
}

/// FLD and FILD clear C1.
#[inline(always)]
pub(super) fn push(to: &Register, number: Number) -> Done {
    set(to, number);
    Done::of(0)
}
