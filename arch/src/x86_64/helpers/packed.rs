//! Packed integers, as the SDM (vol. 2) has them, of 128 bits. The destination of the form with two operands is `a`.

use crate::lane::Lane;

/// PMOVMSKB: the signs of bytes.
pub(super) fn pmovmskb(a: u128) -> u128 {
    signs::<i8>(a)
}

/// MOVMSKPS: the signs of words.
pub(super) fn movmskps(a: u128) -> u128 {
    signs::<i32>(a)
}

/// MOVMSKPD: the signs of doublewords.
pub(super) fn movmskpd(a: u128) -> u128 {
    signs::<i64>(a)
}

fn signs<T: Lane>(a: u128) -> u128 {
    let lanes = T::split(a);
    let bit = |(n, lane): (usize, &T)| u128::from(lane.wide() < 0) << n;
    lanes.as_ref().iter().enumerate().map(bit).sum()
}

macro_rules! saturating {
    ($($(#[$doc:meta])* $name:ident $lane:ident |$x:ident, $y:ident| $exact:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(a: u128, b: u128) -> u128 {
            $lane::zip(a, b, |$x, $y| $exact)
        })*
    };
}

saturating! {
    /// PADDSB.
    paddsb i8 |x, y| x.saturating_add(y);
    /// PADDSW.
    paddsw i16 |x, y| x.saturating_add(y);
    /// PADDUSB.
    paddusb u8 |x, y| x.saturating_add(y);
    /// PADDUSW.
    paddusw u16 |x, y| x.saturating_add(y);
    /// PSUBSB.
    psubsb i8 |x, y| x.saturating_sub(y);
    /// PSUBSW.
    psubsw i16 |x, y| x.saturating_sub(y);
    /// PSUBUSB.
    psubusb u8 |x, y| x.saturating_sub(y);
    /// PSUBUSW.
    psubusw u16 |x, y| x.saturating_sub(y);
    /// PMULHW: the upper halves of products.
    pmulhw i16 |x, y| ((i32::from(x) * i32::from(y)) >> 16) as i16;
    /// PMULHUW.
    pmulhuw u16 |x, y| ((u32::from(x) * u32::from(y)) >> 16) as u16;
    /// PMULHRSW: bits 30:15 of products, rounded.
    pmulhrsw i16 |x, y| ((((i32::from(x) * i32::from(y)) >> 14) + 1) >> 1) as i16;
    /// PSIGNB: with the sign of `y`, or 0.
    psignb i8 |x, y| x.wrapping_mul(y.signum());
    /// PSIGNW.
    psignw i16 |x, y| x.wrapping_mul(y.signum());
    /// PSIGND.
    psignd i32 |x, y| x.wrapping_mul(y.signum());
    /// VPSLLVD: shifted by each lane of `y`.
    vpsllvd u32 |x, y| x.checked_shl(y).unwrap_or(0);
    /// VPSRLVD.
    vpsrlvd u32 |x, y| x.checked_shr(y).unwrap_or(0);
    /// VPSRAVD.
    vpsravd u32 |x, y| (x as i32 >> y.min(31)) as u32;
    /// VPSLLVQ.
    vpsllvq u64 |x, y| x.checked_shl(y.min(64) as u32).unwrap_or(0);
    /// VPSRLVQ.
    vpsrlvq u64 |x, y| x.checked_shr(y.min(64) as u32).unwrap_or(0);
}

macro_rules! shifts {
    ($($(#[$doc:meta])* $name:ident $lane:ident |$x:ident, $by:ident| $shifted:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(a: u128, b: u128) -> u128 {
            let $by = (b as u64).min(64) as u32;
            $lane::map(a, |$x| $shifted)
        })*
    };
}

shifts! {
    /// PSLLW: by the low doubleword of `b`.
    psllw u16 |x, by| x.checked_shl(by).unwrap_or(0);
    /// PSLLD.
    pslld u32 |x, by| x.checked_shl(by).unwrap_or(0);
    /// PSLLQ.
    psllq u64 |x, by| x.checked_shl(by).unwrap_or(0);
    /// PSRLW.
    psrlw u16 |x, by| x.checked_shr(by).unwrap_or(0);
    /// PSRLD.
    psrld u32 |x, by| x.checked_shr(by).unwrap_or(0);
    /// PSRLQ.
    psrlq u64 |x, by| x.checked_shr(by).unwrap_or(0);
    /// PSRAW.
    psraw i16 |x, by| x >> by.min(15);
    /// PSRAD.
    psrad i32 |x, by| x >> by.min(31);
}

/// Lanes of `a`, then of `b`, at half their width, saturating.
fn pack<From: Lane, To: Lane>(a: u128, b: u128) -> u128 {
    let (a, b) = (From::split(a), From::split(b));
    let count = a.as_ref().len();
    To::join(|n| {
        let from = if n < count { a.as_ref()[n] } else { b.as_ref()[n - count] };
        To::saturate(from.wide())
    })
}

/// PACKSSWB.
pub(super) fn packsswb(a: u128, b: u128) -> u128 {
    pack::<i16, i8>(a, b)
}

/// PACKSSDW.
pub(super) fn packssdw(a: u128, b: u128) -> u128 {
    pack::<i32, i16>(a, b)
}

/// PACKUSWB.
pub(super) fn packuswb(a: u128, b: u128) -> u128 {
    pack::<i16, u8>(a, b)
}

/// PACKUSDW.
pub(super) fn packusdw(a: u128, b: u128) -> u128 {
    pack::<i32, u16>(a, b)
}

/// PMADDWD: sums of neighbouring products.
pub(super) fn pmaddwd(a: u128, b: u128) -> u128 {
    let (a, b) = (i16::split(a), i16::split(b));
    let product = |n: usize| i32::from(a[n]) * i32::from(b[n]);
    i32::join(|n| product(2 * n).wrapping_add(product(2 * n + 1)))
}

/// PMADDUBSW: saturated sums of neighbouring products of unsigned and signed bytes.
pub(super) fn pmaddubsw(a: u128, b: u128) -> u128 {
    let (a, b) = (u8::split(a), i8::split(b));
    let product = |n: usize| i16::from(a[n]) * i16::from(b[n]);
    i16::join(|n| product(2 * n).saturating_add(product(2 * n + 1)))
}

/// PMULUDQ: products of even words.
pub(super) fn pmuludq(a: u128, b: u128) -> u128 {
    u64::zip(a, b, |x, y| u64::from(x as u32) * u64::from(y as u32))
}

/// PMULDQ.
pub(super) fn pmuldq(a: u128, b: u128) -> u128 {
    i64::zip(a, b, |x, y| i64::from(x as i32) * i64::from(y as i32))
}

/// PSADBW: sums of eight absolute differences.
pub(super) fn psadbw(a: u128, b: u128) -> u128 {
    let (a, b) = (u8::split(a), u8::split(b));
    u64::join(|half| (8 * half..8 * half + 8).map(|n| u64::from(a[n].abs_diff(b[n]))).sum())
}

/// MPSADBW: sums of four absolute differences, of bytes of `a` from bit 2 of `imm` on and four bytes of `b` that its bits 1:0
/// choose.
pub(super) fn mpsadbw(imm: u64, a: u128, b: u128) -> u128 {
    let (a, b) = (u8::split(a), u8::split(b));
    let (first, chosen) = ((imm as usize >> 2 & 1) * 4, (imm as usize & 3) * 4);
    u16::join(|n| (0..4).map(|k| u16::from(a[first + n + k].abs_diff(b[chosen + k]))).sum())
}

/// PSHUFB: bytes of `a` that `b` names; 0 where its bit 7 is set.
pub(super) fn pshufb(a: u128, b: u128) -> u128 {
    let bytes = u8::split(a);
    u8::map(b, |n| if n & 0x80 != 0 { 0 } else { bytes[usize::from(n & 15)] })
}

/// Neighbours of `a`, then of `b`, as pairs.
fn horizontal<T: Lane>(a: u128, b: u128, f: impl Fn(T, T) -> T) -> u128 {
    let (a, b) = (T::split(a), T::split(b));
    let half = a.as_ref().len() / 2;
    T::join(|n| {
        let (from, n) = if n < half { (a.as_ref(), n) } else { (b.as_ref(), n - half) };
        f(from[2 * n], from[2 * n + 1])
    })
}

macro_rules! horizontal {
    ($($(#[$doc:meta])* $name:ident $lane:ident $method:ident;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(a: u128, b: u128) -> u128 {
            horizontal::<$lane>(a, b, $lane::$method)
        })*
    };
}

horizontal! {
    /// PHADDW.
    phaddw i16 wrapping_add;
    /// PHADDD.
    phaddd i32 wrapping_add;
    /// PHADDSW.
    phaddsw i16 saturating_add;
    /// PHSUBW.
    phsubw i16 wrapping_sub;
    /// PHSUBD.
    phsubd i32 wrapping_sub;
    /// PHSUBSW.
    phsubsw i16 saturating_sub;
}

/// PHMINPOSUW: the least half of `b`, and above it the first place where it stands.
pub(super) fn phminposuw(_: u128, b: u128) -> u128 {
    let halves = u16::split(b);
    let least = (0..8).min_by_key(|&n| halves[n]).unwrap_or_default();
    u128::from(halves[least]) | (least as u128) << 16
}

/// VPERMILPS: words of `a` that bits 1:0 of `b`'s name.
pub(super) fn vpermilps(a: u128, b: u128) -> u128 {
    let words = u32::split(a);
    u32::map(b, |n| words[n as usize & 3])
}

/// VPERMILPD: doublewords of `a` that bits 1 of `b`'s name.
pub(super) fn vpermilpd(a: u128, b: u128) -> u128 {
    let doublewords = u64::split(a);
    u64::map(b, |n| doublewords[n as usize >> 1 & 1])
}
