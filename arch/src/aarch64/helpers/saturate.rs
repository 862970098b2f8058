//! Advanced SIMD: saturating addition of mixed signs, and doubling multiplication. All set FPSR.QC when a lane
//! saturates.

use super::arg::Arg;
use super::env::Saturation;
use super::lane::{Lane, Narrow, lanes, narrow_lanes};

/// Each lane by a function on exact values.
fn exact<T: Lane>(qc: &mut Saturation, arg: Arg, mut value: impl FnMut(usize) -> i128) -> u128 {
    let count = arg.count(T::SIZE);
    let mut lane = |i| {
        let value = value(i);
        let result = T::saturate(value);
        qc.0 |= i < count && result.wide() != value;
        if i < count { result } else { T::wrap(0) }
    };
    T::join(&mut lane)
}

/// SUQADD: unsigned `n` added to signed `d`.
pub(super) fn suqadd(qc: &mut Saturation, arg: Arg, n: u128, d: u128) -> u128 {
    lanes!(signed arg.size(), T => mixed::<T>(qc, arg, n, d))
}

/// USQADD: signed `n` added to unsigned `d`.
pub(super) fn usqadd(qc: &mut Saturation, arg: Arg, n: u128, d: u128) -> u128 {
    lanes!(unsigned arg.size(), T => mixed::<T>(qc, arg, n, d))
}

fn mixed<T: Lane>(qc: &mut Saturation, arg: Arg, n: u128, d: u128) -> u128 {
    let (n, d) = (T::Opposite::split(n), T::split(d));
    exact::<T>(qc, arg, |i| n.as_ref()[i].wide() + d.as_ref()[i].wide())
}

/// Half of a lane of `a * b`, plus the lane `c` as the high half: what the doubling multiplications keep.
fn doubling<T: Lane>(
    qc: &mut Saturation,
    arg: Arg,
    [a, b]: [u128; 2],
    sum: impl Fn(i64, usize) -> i64,
) -> u128 {
    let (a, b) = (T::split(a), T::split(b));
    let shift = T::BITS - 1;
    exact::<T>(qc, arg, |i| {
        let product = a.as_ref()[i].long() * b.as_ref()[i].long();
        i128::from(sum(product, i) >> shift)
    })
}

/// SQDMULH: the high half of twice the product. Lanes of 2 and 4 bytes, here and below.
pub(super) fn sqdmulh(qc: &mut Saturation, arg: Arg, a: u128, b: u128) -> u128 {
    narrow_lanes!(arg.size(), T => doubling::<T>(qc, arg, [a, b], |product, _| product))
}

/// SQRDMULH: rounded.
pub(super) fn sqrdmulh(qc: &mut Saturation, arg: Arg, a: u128, b: u128) -> u128 {
    narrow_lanes!(arg.size(), T => {
        doubling::<T>(qc, arg, [a, b], |product, _| product + (1 << (T::BITS - 2)))
    })
}

/// SQRDMLAH: rounded, and added to `d` before.
pub(super) fn sqrdmlah(qc: &mut Saturation, arg: Arg, a: u128, b: u128, d: u128) -> u128 {
    narrow_lanes!(arg.size(), T => {
        let d = T::split(d);
        let start = |i: usize| (d[i].long() << (T::BITS - 1)) + (1 << (T::BITS - 2));
        doubling::<T>(qc, arg, [a, b], |product, i| start(i) + product)
    })
}

/// SQRDMLSH: rounded, and subtracted from `d` before.
pub(super) fn sqrdmlsh(qc: &mut Saturation, arg: Arg, a: u128, b: u128, d: u128) -> u128 {
    narrow_lanes!(arg.size(), T => {
        let d = T::split(d);
        let start = |i: usize| (d[i].long() << (T::BITS - 1)) + (1 << (T::BITS - 2));
        doubling::<T>(qc, arg, [a, b], |product, i| start(i) - product)
    })
}

/// Twice the product, saturated to the wide lane.
fn doubled<T: Narrow>(a: T, b: T, qc: &mut Saturation) -> T::Wide {
    let exact = 2 * a.wide() * b.wide();
    let result = T::Wide::saturate(exact);
    qc.0 |= result.wide() != exact;
    result
}

/// Doubling products of narrow lanes, each brought together with the wide lane `d`.
fn doubling_long<T: Narrow>(
    qc: &mut Saturation,
    arg: Arg,
    [n, m, d]: [u128; 3],
    sum: impl Fn(i128, i128) -> i128,
) -> u128 {
    let (n, m, d) = (T::split(n), T::split(m), T::Wide::split(d));
    let count = arg.count(T::SIZE + 1);
    T::Wide::join(|i| {
        if i >= count {
            return T::Wide::wrap(0);
        }
        let product = doubled(n.as_ref()[i], m.as_ref()[i], qc);
        let exact = sum(d.as_ref()[i].wide(), product.wide());
        let result = T::Wide::saturate(exact);
        qc.0 |= result.wide() != exact;
        result
    })
}

/// SQDMULL: lanes of 2 or 4 bytes, as many as there are results; those of the low half of the sources.
pub(super) fn sqdmull(qc: &mut Saturation, arg: Arg, n: u128, m: u128) -> u128 {
    narrow_lanes!(arg.size(), T => {
        doubling_long::<T>(qc, arg, [n, m, 0], |_, product| product)
    })
}

/// SQDMLAL: as [`sqdmull`], added to `d`.
pub(super) fn sqdmlal(qc: &mut Saturation, arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    narrow_lanes!(arg.size(), T => {
        doubling_long::<T>(qc, arg, [n, m, d], |d, product| d + product)
    })
}

/// SQDMLSL: as [`sqdmull`], subtracted from `d`.
pub(super) fn sqdmlsl(qc: &mut Saturation, arg: Arg, n: u128, m: u128, d: u128) -> u128 {
    narrow_lanes!(arg.size(), T => {
        doubling_long::<T>(qc, arg, [n, m, d], |d, product| d - product)
    })
}
