//! Types and the small enumerations that operations carry.

/// The type at which an operation works.
///
/// A value is a container of 64 bits. An operation reads as many low bits of its operands as its
/// type has, and the bits of its result above the type are unspecified: so truncation and
/// reinterpretation need no operation, and widening is explicit ([`crate::Opcode::Sext`],
/// [`crate::Opcode::Zext`]).
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
}

impl Type {
    /// All types, narrow to wide, integers first.
    pub const ALL: [Self; 6] = [Self::I8, Self::I16, Self::I32, Self::I64, Self::F32, Self::F64];

    /// Width in bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::I8 => 8,
            Self::I16 => 16,
            Self::I32 | Self::F32 => 32,
            Self::I64 | Self::F64 => 64,
        }
    }

    /// Width in bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.bits() / 8
    }

    /// Whether it is F32 or F64.
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
