//! From an encoding to sign, exponent and left-aligned significand.

use crate::float::format::magnitude;
use crate::float::{DenormalsIn, Env, Flags, Format, RawBits, is_negative};

/// What kind of datum an encoding is, as far as arithmetic must tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zero,
    /// Normal or subnormal, not zero.
    Finite,
    Infinity,
    Nan,
}

/// A decoded operand. For a finite one the value is `sig * 2^(exp - 63)`, bit 63 of `sig` set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacked {
    pub(super) kind: Kind,
    pub(super) negative: bool,
    pub(super) exp: i32,
    pub(super) sig: u64,
}

impl Unpacked {
    #[inline]
    pub(super) fn is_nan(&self) -> bool {
        self.kind == Kind::Nan
    }

    #[inline]
    pub(super) fn is_zero(&self) -> bool {
        self.kind == Kind::Zero
    }

    #[inline]
    pub(super) fn is_infinite(&self) -> bool {
        self.kind == Kind::Infinity
    }

    /// The value of a finite operand as an unrounded result.
    #[inline]
    pub(super) fn exact(&self) -> Exact {
        Exact { negative: self.negative, exp: self.exp, sig: u128::from(self.sig) << 64 }
    }

    #[inline]
    pub(super) fn with_sign(self, negative: bool) -> Self {
        Self { negative, ..self }
    }
}

/// An unrounded finite result other than zero: `sig * 2^(exp - 127)`, bit 127 of `sig` set. Bit 0
/// is sticky: it is also set where bits of lower weight were dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact {
    pub(super) negative: bool,
    pub(super) exp: i32,
    pub(super) sig: u128,
}

impl Exact {
    /// Brings the leading one of `sig`, which is not zero, to bit 127.
    #[inline]
    pub(super) fn normalised(negative: bool, exp: i32, sig: u128) -> Self {
        let shift = sig.leading_zeros();
        Self { negative, exp: exp - shift as i32, sig: sig << shift }
    }
}

/// Shifts right; what falls out is kept as a sticky bit 0.
#[inline]
pub(super) fn shift_right_sticky(sig: u128, by: u32) -> u128 {
    if by >= 128 {
        return u128::from(sig != 0);
    }
    let kept = sig >> by;
    kept | u128::from(kept << by != sig)
}

/// Decodes `a`, flushing a subnormal to zero where the rules say so.
#[inline]
pub(super) fn unpack<F: Format>(a: F::Bits, env: &mut Env) -> Unpacked {
    let negative = is_negative::<F>(a);
    let raw = magnitude::<F>(a);
    if raw.wrapping_sub(F::MIN_NORMAL) < F::INFINITY - F::MIN_NORMAL {
        let exp = (raw >> F::FRAC_BITS) as i32 - F::EMAX;
        return Unpacked {
            kind: Kind::Finite,
            negative,
            exp,
            sig: raw << (63 - F::FRAC_BITS) | 1 << 63,
        };
    }
    let kind = match raw {
        0 => Kind::Zero,
        _ if raw < F::MIN_NORMAL => return unpack_subnormal::<F>(negative, raw, env),
        _ if raw == F::INFINITY => Kind::Infinity,
        _ => Kind::Nan,
    };
    Unpacked { kind, negative, exp: 0, sig: 0 }
}

fn unpack_subnormal<F: Format>(negative: bool, raw: u64, env: &mut Env) -> Unpacked {
    match env.rules.denormals_in {
        DenormalsIn::Keep | DenormalsIn::Report => {
            let shift = raw.leading_zeros();
            let exp = F::EMIN + (63 - F::FRAC_BITS) as i32 - shift as i32;
            Unpacked { kind: Kind::Finite, negative, exp, sig: raw << shift }
        }
        DenormalsIn::Flush => Unpacked { kind: Kind::Zero, negative, exp: 0, sig: 0 },
        DenormalsIn::FlushAndReport => {
            env.raise(Flags::ID);
            Unpacked { kind: Kind::Zero, negative, exp: 0, sig: 0 }
        }
    }
}

/// `a` as the operation sees it: unchanged, or zero if it is a subnormal that the rules flush.
#[inline]
pub(super) fn flush_input<F: Format>(a: F::Bits, env: &mut Env) -> F::Bits {
    if matches!(env.rules.denormals_in, DenormalsIn::Keep | DenormalsIn::Report) {
        return a;
    }
    let x = unpack::<F>(a, env);
    if x.is_zero() { F::Bits::from_u64(a.to_u64() & F::SIGN) } else { a }
}

/// Raises [`Flags::ID`] for subnormal operands under [`DenormalsIn::Report`]; called once it is
/// known that no condition of higher priority (NaN, invalid, division by zero) holds.
#[inline]
pub(super) fn report_denormals<F: Format>(operands: &[Unpacked], env: &mut Env) {
    if env.rules.denormals_in == DenormalsIn::Report
        && operands.iter().any(|x| x.kind == Kind::Finite && x.exp < F::EMIN)
    {
        env.raise(Flags::ID);
    }
}
