//! Advanced SIMD: shifts by register, and saturating shifts.

use super::arg::Arg;
use super::env::Saturation;
use super::lane::{Lane, lanes};

/// Farther than this no lane can be shifted and anything be left, or anything change.
const FAR: u32 = 66;

/// `value / 2^by`, rounded down, or to nearest with ties up.
fn shift_right(value: i128, by: u32, rounding: Rounding) -> i128 {
    let by = by.min(FAR);
    match rounding {
        Rounding::Up if by > 0 => (value + (1 << (by - 1))) >> by,
        _ => value >> by,
    }
}

#[derive(Clone, Copy)]
enum Rounding {
    Down,
    /// To nearest, ties up.
    Up,
}

/// `value * 2^amount`. Of a left shift by the width or more, only zero and sign are right.
fn shifted(value: i128, amount: i8, rounding: Rounding) -> i128 {
    if amount < 0 {
        return shift_right(value, u32::from(amount.unsigned_abs()), rounding);
    }
    // A lane has 64 bits at most, and its lowest is shifted beyond all that a lane holds.
    value << (amount as u32).min(64).min(value.unsigned_abs().leading_zeros().saturating_sub(1))
}

macro_rules! by_register {
    ($($(#[$doc:meta])* $name:ident $sign:ident $rounding:ident;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(arg: Arg, n: u128, m: u128) -> u128 {
            lanes!($sign arg.size(), T => plain::<T>(n, m, Rounding::$rounding))
        })*
    };
}

by_register! {
    /// SSHL: to the left by the signed low byte of each lane of `m`, here and below.
    sshl signed Down;
    /// USHL.
    ushl unsigned Down;
    /// SRSHL: rounded when to the right.
    srshl signed Up;
    /// URSHL.
    urshl unsigned Up;
}

fn plain<T: Lane>(n: u128, m: u128, rounding: Rounding) -> u128 {
    T::zip(n, m, |n, m| {
        let amount = m.wide() as i8;
        if amount >= T::BITS as i8 {
            return T::wrap(0);
        }
        T::wrap(shifted(n.wide(), amount, rounding))
    })
}

macro_rules! saturating_by_register {
    ($($(#[$doc:meta])* $name:ident $sign:ident $rounding:ident;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(qc: &mut Saturation, arg: Arg, n: u128, m: u128) -> u128 {
            lanes!($sign arg.size(), T => saturating::<T>(qc, arg, n, m, Rounding::$rounding))
        })*
    };
}

saturating_by_register! {
    /// SQSHL (register).
    sqshl signed Down;
    /// UQSHL (register).
    uqshl unsigned Down;
    /// SQRSHL.
    sqrshl signed Up;
    /// UQRSHL.
    uqrshl unsigned Up;
}

fn saturating<T: Lane>(
    qc: &mut Saturation,
    arg: Arg,
    n: u128,
    m: u128,
    rounding: Rounding,
) -> u128 {
    let (n, m) = (T::split(n), T::split(m));
    let count = arg.count(T::SIZE);
    T::join(|i| {
        if i >= count {
            return T::wrap(0);
        }
        let exact = shifted(n.as_ref()[i].wide(), m.as_ref()[i].wide() as i8, rounding);
        let result = T::saturate(exact);
        qc.0 |= result.wide() != exact;
        result
    })
}

/// SQSHLU: signed to unsigned, to the left by the first number.
pub(super) fn sqshlu(qc: &mut Saturation, arg: Arg, n: u128) -> u128 {
    lanes!(unsigned arg.size(), T => {
        let n = <T as Lane>::Opposite::split(n);
        let count = arg.count(<T as Lane>::SIZE);
        T::join(|i| {
            if i >= count {
                return 0;
            }
            let exact = n[i].wide() << arg.first().min(63);
            let result = T::saturate(exact);
            qc.0 |= result.wide() != exact;
            result
        })
    })
}
