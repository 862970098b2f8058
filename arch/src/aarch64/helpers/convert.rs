//! Conversions of floating-point numbers: between formats, and from and to integers and fixed-point numbers.

use base::float::soft::{self, Int};
use base::float::{BF16, F16, F32, F64, RawBits, Round};

use super::arg::Arg;
use super::env::{ArmFormat, FpEnv};
use super::float::{formats, join, lane, mode, size_of};
use crate::aarch64::fpcr;

fn to_half<F: ArmFormat>(fp: &mut FpEnv, a: F::Bits) -> u16 {
    let alternative = fp.is_set(fpcr::AHP);
    let env = fp.converting::<F, F16>();
    if alternative {
        soft::to_alternative_half::<F>(a, env)
    } else {
        soft::convert::<F, F16>(a, env)
    }
}

fn from_half<G: ArmFormat>(fp: &mut FpEnv, a: u16) -> G::Bits {
    let alternative = fp.is_set(fpcr::AHP);
    let env = fp.converting::<F16, G>();
    if alternative {
        soft::from_alternative_half::<G>(a, env)
    } else {
        soft::convert::<F16, G>(a, env)
    }
}

/// FCVTN: from lanes of twice the size given (1 or 2), into the low half of the result; FCVT to a format of half the
/// width is one lane.
pub(super) fn fcvtn(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
    if arg.size() == 1 {
        join::<F16>(halves(arg), |i| to_half::<F32>(fp, lane::<F32>(n, i)))
    } else {
        let env = fp.converting::<F64, F32>();
        join::<F32>(halves(arg), |i| soft::convert::<F64, F32>(lane::<F64>(n, i), env))
    }
}

/// As many lanes as a wide vector has.
fn halves(arg: Arg) -> Arg {
    let size = arg.size();
    Arg::lanes(size, arg.count(size + 1) as u32)
}

/// FCVTL: to lanes of twice the size given (1 or 2), of as many in the low half of `n`; FCVT to a format of twice the
/// width is one lane.
pub(super) fn fcvtl(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
    if arg.size() == 1 {
        join::<F32>(arg, |i| from_half::<F32>(fp, lane::<F16>(n, i)))
    } else {
        let env = fp.converting::<F32, F64>();
        join::<F64>(arg, |i| soft::convert::<F32, F64>(lane::<F32>(n, i), env))
    }
}

/// FCVT from double to half precision.
pub(super) fn fcvt_h_d(fp: &mut FpEnv, n: u64) -> u64 {
    to_half::<F64>(fp, n).into()
}

/// FCVT from half to double precision.
pub(super) fn fcvt_d_h(fp: &mut FpEnv, n: u64) -> u64 {
    from_half::<F64>(fp, n as u16)
}

/// FCVTXN: from double to single precision, rounded to odd; into the low half of the result.
pub(super) fn fcvtxn(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
    fp.rounding(Round::Odd, |fp| {
        let env = fp.converting::<F64, F32>();
        join::<F32>(Arg::lanes(2, arg.count(3) as u32), |i| {
            soft::convert::<F64, F32>(lane::<F64>(n, i), env)
        })
    })
}

/// BFCVTN: from single precision to bfloat16, into the low half of the result; BFCVT is one lane.
pub(super) fn bfcvtn(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
    let env = fp.within::<F32>();
    join::<BF16>(Arg::lanes(1, arg.count(2) as u32), |i| {
        soft::convert::<F32, BF16>(lane::<F32>(n, i), env)
    })
}

/// A lane of format F as an integer of the same width, with as many bits behind the point as the second number
/// says, by the rounding mode that the first one says ([`mode`]).
macro_rules! to_lanes {
    ($($(#[$doc:meta])* $name:ident $half:ident $single:ident $double:ident;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
            match arg.size() {
                0 | 1 => to_integers::<F16, $half>(fp, arg, n),
                2 => to_integers::<F32, $single>(fp, arg, n),
                _ => to_integers::<F64, $double>(fp, arg, n),
            }
        })*
    };
}

to_lanes! {
    /// FCVTNS, FCVTPS, FCVTMS, FCVTZS, FCVTAS: rounding modes 0 to 4 as first number (as FRINT*); the second is the
    /// number of bits behind the point. Lanes of the same width.
    fcvts i16 i32 i64;
    /// FCVTNU and so on.
    fcvtu u16 u32 u64;
}

fn to_integers<F: ArmFormat, I: Int>(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
    let (round, fraction) = (mode(arg.first(), fp), arg.second());
    let env = fp.within::<F>();
    join::<F>(arg, |i| {
        let integer: I = soft::to_fixed::<F, I>(lane::<F>(n, i), fraction, round, env);
        F::Bits::from_u64(integer.widen() as u64)
    })
}

macro_rules! from_lanes {
    ($($(#[$doc:meta])* $name:ident $half:ident $single:ident $double:ident;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
            match arg.size() {
                0 | 1 => from_integers::<F16, $half>(fp, arg, n),
                2 => from_integers::<F32, $single>(fp, arg, n),
                _ => from_integers::<F64, $double>(fp, arg, n),
            }
        })*
    };
}

from_lanes! {
    /// SCVTF: the second number is the number of bits behind the point.
    scvtf i16 i32 i64;
    /// UCVTF.
    ucvtf u16 u32 u64;
}

fn from_integers<F: ArmFormat, I: Int>(fp: &mut FpEnv, arg: Arg, n: u128) -> u128 {
    let env = fp.within::<F>();
    join::<F>(arg, |i| {
        let integer = I::wrap(lane::<F>(n, i).to_u64().into());
        soft::from_fixed::<F, I>(integer, arg.second(), env)
    })
}

/// An integer of a general-purpose register: what [`fcvt_to_x`] and [`cvtf_from_x`] count as lanes.
macro_rules! integers {
    ($kind:expr, $int:ident => $body:expr) => {
        match $kind & 3 {
            0 => {
                type $int = u32;
                $body
            }
            1 => {
                type $int = i32;
                $body
            }
            2 => {
                type $int = u64;
                $body
            }
            _ => {
                type $int = i64;
                $body
            }
        }
    };
}

/// FCVT*S, FCVT*U to a general-purpose register. Instead of the number of lanes, 0 is an unsigned word, 1 a
/// signed one (whose upper half is zero), 2 an unsigned doubleword, 3 a signed one; the numbers are those of
/// [`fcvts`].
pub(super) fn fcvt_to_x(fp: &mut FpEnv, arg: u64, n: u64) -> u64 {
    let arg = Arg::from(arg);
    let (round, fraction) = (mode(arg.first(), fp), arg.second());
    let bits = if arg.kind() < 2 { u64::from(u32::MAX) } else { u64::MAX };
    formats!(arg, F => {
        let env = fp.within::<F>();
        let n = lane::<F>(n.into(), 0);
        let integer = integers!(arg.kind(), I => {
            soft::to_fixed::<F, I>(n, fraction, round, env).widen() as u64
        });
        integer & bits
    })
}

/// SCVTF, UCVTF from a general-purpose register: the same, with the second number as in [`scvtf`].
pub(super) fn cvtf_from_x(fp: &mut FpEnv, arg: u64, n: u64) -> u64 {
    let arg = Arg::from(arg);
    formats!(arg, F => {
        let env = fp.within::<F>();
        integers!(arg.kind(), I => {
            soft::from_fixed::<F, I>(I::wrap(n.into()), arg.second(), env).to_u64()
        })
    })
}

/// FJCVTZS: the result in the low half, and in the high one the condition flags as in NZCV: Z alone if it is exact.
pub(super) fn fjcvtzs(fp: &mut FpEnv, n: u64) -> u64 {
    let (integer, exact) = soft::to_i32_modular(n, fp.within::<F64>());
    u64::from(integer as u32) | u64::from(exact) << (32 + 30)
}

const _: () = assert!(size_of::<F16>() == 1 && size_of::<F32>() == 2 && size_of::<F64>() == 3);
