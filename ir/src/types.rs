//! Types and the small enumerations that operations carry.

use crate::ops::Opcode;

/// The type at which an operation works.
///
/// A value is a container of 64 bits, or of 128 if a vector operation made it or its slot is a wide
/// one ([`crate::SlotClass::Vector`]). An operation reads as many low bits of its operands as its
/// type has, and the bits of its result above the type are unspecified: so truncation and
/// reinterpretation need no operation, and widening is explicit ([`crate::Opcode::Sext`],
/// [`crate::Opcode::Zext`], [`crate::Opcode::ZextWide`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Type {
    /// 8-bit integer.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
    /// 16 integers of 8 bits, lane 0 lowest.
    I8x16,
    /// 8 integers of 16 bits.
    I16x8,
    /// 4 integers of 32 bits.
    I32x4,
    /// 2 integers of 64 bits.
    I64x2,
    /// 4 IEEE binary32.
    F32x4,
    /// 2 IEEE binary64.
    F64x2,
}

impl Type {
    /// All types: integers and floats, narrow to wide, then vectors.
    pub const ALL: [Self; 12] = [
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F32,
        Self::F64,
        Self::I8x16,
        Self::I16x8,
        Self::I32x4,
        Self::I64x2,
        Self::F32x4,
        Self::F64x2,
    ];
    /// The types that are no vectors.
    pub const SCALARS: [Self; 6] =
        [Self::I8, Self::I16, Self::I32, Self::I64, Self::F32, Self::F64];
    /// The type at which 128 bits are moved as a whole.
    pub const WIDE: Self = Self::I64x2;

    /// Width in bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::I8 => 8,
            Self::I16 => 16,
            Self::I32 | Self::F32 => 32,
            Self::I64 | Self::F64 => 64,
            _ => 128,
        }
    }

    /// Whether it is a vector.
    #[inline]
    #[must_use]
    pub const fn is_vector(self) -> bool {
        self.bits() == 128
    }

    /// The type at which a value of this one is moved.
    #[must_use]
    pub const fn moved(self) -> Self {
        if self.is_vector() { Self::WIDE } else { self }
    }

    /// The type of a vector's lanes; a scalar type itself.
    #[must_use]
    pub const fn lane(self) -> Self {
        match self {
            Self::I8x16 => Self::I8,
            Self::I16x8 => Self::I16,
            Self::I32x4 => Self::I32,
            Self::I64x2 => Self::I64,
            Self::F32x4 => Self::F32,
            Self::F64x2 => Self::F64,
            scalar => scalar,
        }
    }

    /// Lanes of a vector; 1 for a scalar.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.bits() / self.lane().bits()
    }

    /// The vector of integers with lanes of twice the width; itself if there is none.
    #[must_use]
    pub const fn widened(self) -> Self {
        match self {
            Self::I8x16 => Self::I16x8,
            Self::I16x8 => Self::I32x4,
            Self::I32x4 => Self::I64x2,
            other => other,
        }
    }

    /// The vector of integers with lanes of half the width; itself if there is none.
    #[must_use]
    pub const fn narrowed(self) -> Self {
        match self {
            Self::I16x8 => Self::I8x16,
            Self::I32x4 => Self::I16x8,
            Self::I64x2 => Self::I32x4,
            other => other,
        }
    }

    /// Width in bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.bits() / 8
    }

    /// Whether it is a scalar float.
    #[inline]
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// As it stands in the text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I8x16 => "i8x16",
            Self::I16x8 => "i16x8",
            Self::I32x4 => "i32x4",
            Self::I64x2 => "i64x2",
            Self::F32x4 => "f32x4",
            Self::F64x2 => "f64x2",
        }
    }
}

/// Ordering of a memory access, as the guest's manual demands it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum MemOrder {
    /// None beyond single-copy atomicity.
    Plain,
    /// Load-acquire: later accesses come after it.
    Acquire,
    /// Store-release: earlier accesses come before it.
    Release,
    /// Takes part in one total order of all such accesses.
    SeqCst,
}

impl MemOrder {
    /// All orderings, weak to strong.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Acquire, Self::Release, Self::SeqCst];

    /// As it stands in the text form; empty for `Plain`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Acquire => "acq",
            Self::Release => "rel",
            Self::SeqCst => "sc",
        }
    }
}

/// Rounding of a floating-point operation. Always static: a guest's dynamic mode is part of a
/// block's key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FpRound {
    /// To nearest, ties to even.
    NearestEven,
    /// Toward zero.
    TowardZero,
    /// Toward negative infinity.
    Down,
    /// Toward positive infinity.
    Up,
    /// To nearest, ties away from zero.
    NearestAway,
}

impl FpRound {
    /// All modes, in the order of RISC-V's `frm`.
    pub const ALL: [Self; 5] =
        [Self::NearestEven, Self::TowardZero, Self::Down, Self::Up, Self::NearestAway];

    /// As it stands in the text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NearestEven => "rne",
            Self::TowardZero => "rtz",
            Self::Down => "rdn",
            Self::Up => "rup",
            Self::NearestAway => "rmm",
        }
    }
}

/// How a floating-point operation departs from the guest's usual rules: a sum of bits, static like
/// the rounding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FpMode(pub u8);

impl FpMode {
    /// Not at all.
    pub const NONE: Self = Self(0);
    /// Subnormal operands and results count as zero, as the guest has it (Arm: FPCR.FZ); under the rules of
    /// x86 results only (MXCSR.FTZ).
    pub const FLUSH: Self = Self(1);
    /// Every NaN result is the default NaN (Arm: FPCR.DN).
    pub const DEFAULT_NAN: Self = Self(2);
    /// Subnormal operands count as zero and raise nothing (x86: MXCSR.DAZ). Other guests do not set it.
    pub const ZERO_INPUTS: Self = Self(4);
    /// Every bit.
    pub const ALL: Self = Self(7);

    /// Whether it has all bits of `other`.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Each bit and how it stands in the text form.
    pub const NAMED: [(Self, &'static str); 3] =
        [(Self::FLUSH, "fz"), (Self::DEFAULT_NAN, "dn"), (Self::ZERO_INPUTS, "daz")];
}

/// A condition on packed flags ([`crate::Opcode::FlagsAdd`]), in Arm's encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Condition {
    /// Z.
    Eq,
    /// Not Z.
    Ne,
    /// C: no borrow; unsigned, higher or same.
    Cs,
    /// Not C: unsigned, lower.
    Cc,
    /// N.
    Mi,
    /// Not N.
    Pl,
    /// V.
    Vs,
    /// Not V.
    Vc,
    /// C and not Z: unsigned, higher.
    Hi,
    /// Not C, or Z: unsigned, lower or same.
    Ls,
    /// N is V: signed, greater or equal.
    Ge,
    /// N is not V: signed, less.
    Lt,
    /// Not Z, and N is V: signed, greater.
    Gt,
    /// Z, or N is not V: signed, less or equal.
    Le,
}

impl Condition {
    /// All conditions, as they are encoded.
    pub const ALL: [Self; 14] = [
        Self::Eq,
        Self::Ne,
        Self::Cs,
        Self::Cc,
        Self::Mi,
        Self::Pl,
        Self::Vs,
        Self::Vc,
        Self::Hi,
        Self::Ls,
        Self::Ge,
        Self::Lt,
        Self::Gt,
        Self::Le,
    ];

    /// As it stands in the text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Cs => "cs",
            Self::Cc => "cc",
            Self::Mi => "mi",
            Self::Pl => "pl",
            Self::Vs => "vs",
            Self::Vc => "vc",
            Self::Hi => "hi",
            Self::Ls => "ls",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Gt => "gt",
            Self::Le => "le",
        }
    }

    /// The comparison of `a` and `b` that says whether it holds for the flags of `a - b`, and whether
    /// its operands are to be swapped; `None` if there is none.
    #[must_use]
    pub const fn of_difference(self) -> Option<(Opcode, bool)> {
        Some(match self {
            Self::Eq => (Opcode::Eq, false),
            Self::Ne => (Opcode::Ne, false),
            Self::Cs => (Opcode::LeU, true),
            Self::Cc => (Opcode::LtU, false),
            Self::Hi => (Opcode::LtU, true),
            Self::Ls => (Opcode::LeU, false),
            Self::Ge => (Opcode::LeS, true),
            Self::Lt => (Opcode::LtS, false),
            Self::Gt => (Opcode::LtS, true),
            Self::Le => (Opcode::LeS, false),
            Self::Mi | Self::Pl | Self::Vs | Self::Vc => return None,
        })
    }

    /// The comparison of `a` and 0 that says whether it holds for the flags of `a + 0`, whose C and V
    /// are clear, and whether its operands are to be swapped; or what it always is.
    ///
    /// # Errors
    /// It does not depend on `a`.
    pub const fn of_result(self) -> Result<(Opcode, bool), bool> {
        Ok(match self {
            Self::Eq => (Opcode::Eq, false),
            Self::Ne => (Opcode::Ne, false),
            Self::Mi | Self::Lt => (Opcode::LtS, false),
            Self::Pl | Self::Ge => (Opcode::LeS, true),
            Self::Gt => (Opcode::LtS, true),
            Self::Le => (Opcode::LeS, false),
            Self::Cs | Self::Vs | Self::Hi => return Err(false),
            Self::Cc | Self::Vc | Self::Ls => return Err(true),
        })
    }

    /// For which flags it holds: bit `n` of the mask for N, Z, C and V being bits 3 to 0 of `n`.
    #[must_use]
    pub const fn mask(self) -> u16 {
        let (n, z, c, v) = (0xff00, 0xf0f0, 0xcccc, 0xaaaa_u16);
        let positive = match self as u8 >> 1 {
            0 => z,
            1 => c,
            2 => n,
            3 => v,
            4 => c & !z,
            5 => !(n ^ v),
            _ => !z & !(n ^ v),
        };
        if self as u8 & 1 == 0 { positive } else { !positive }
    }

    /// Whether it holds for packed flags.
    #[inline]
    #[must_use]
    pub const fn holds(self, flags: u64) -> bool {
        self.mask() >> (flags >> 28 & 15) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::evaluate;

    #[test]
    fn conditions_are_comparisons() {
        const VALUES: [u64; 7] = [0, 1, 2, 1 << 63, (1 << 63) - 1, u64::MAX, 0x8000_0000];
        let run = |op, args| evaluate(op, Type::I64, args).expect("a scalar operation");
        let compared = |(op, swapped), a, b| run(op, if swapped { [b, a, 0] } else { [a, b, 0] });
        for condition in Condition::ALL {
            for a in VALUES {
                for b in VALUES {
                    let holds = condition.holds(run(Opcode::FlagsSub, [a, b, 1])).into();
                    if let Some(comparison) = condition.of_difference() {
                        assert_eq!(
                            compared(comparison, a, b),
                            holds,
                            "{condition:?} {a:#x} {b:#x}"
                        );
                    }
                }
                let holds = condition.holds(run(Opcode::FlagsAdd, [a, 0, 0]));
                match condition.of_result() {
                    Ok(comparison) => assert_eq!(compared(comparison, a, 0), holds.into()),
                    Err(always) => assert_eq!(always, holds, "{condition:?}"),
                }
            }
        }
    }
}
