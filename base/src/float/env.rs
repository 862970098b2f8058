//! The floating-point environment: what is set by the guest program (rounding), what it can
//! read back (flags), and in which points its architecture differs from the others (rules).

use std::ops::{BitOr, BitOrAssign};

/// Rounding direction (IEEE 754-2019 §4.3), numbered as RISC-V numbers `frm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Round {
    /// roundTiesToEven; RNE.
    NearestEven = 0,
    /// roundTowardZero; RTZ.
    TowardZero = 1,
    /// roundTowardNegative; RDN.
    Down = 2,
    /// roundTowardPositive; RUP.
    Up = 3,
    /// roundTiesToAway; RMM.
    NearestAway = 4,
    /// An inexact result takes the neighbour with an odd significand (Arm FCVTXN); not in IEEE 754.
    Odd = 5,
}

impl Round {
    /// Decodes RISC-V `frm` or a static `rm` field; `None` for 5 to 7 (reserved and DYN).
    #[must_use]
    pub const fn from_frm(frm: u8) -> Option<Self> {
        match frm {
            0 => Some(Self::NearestEven),
            1 => Some(Self::TowardZero),
            2 => Some(Self::Down),
            3 => Some(Self::Up),
            4 => Some(Self::NearestAway),
            _ => None,
        }
    }
}

/// A set of exception flags (IEEE 754-2019 §7), in the bit order of RISC-V `fflags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Inexact (§7.6).
    pub const NX: Self = Self(1);
    /// Underflow (§7.5).
    pub const UF: Self = Self(2);
    /// Overflow (§7.4).
    pub const OF: Self = Self(4);
    /// Division by zero (§7.3).
    pub const DZ: Self = Self(8);
    /// Invalid operation (§7.2).
    pub const NV: Self = Self(16);
    /// Denormal operand: MXCSR.DE of x86, FPSR.IDC of Arm. RISC-V has no such flag.
    pub const ID: Self = Self(32);

    /// Whether every flag of `other` is in `self`.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of `self` that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;
    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// When a result counts as tiny (IEEE 754-2019 §7.5 leaves the choice).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tininess {
    /// As if rounded with unbounded exponent range: RISC-V, x86.
    AfterRounding,
    /// The exact result: Arm.
    BeforeRounding,
}

/// Which NaN an operation with NaN operands delivers (IEEE 754-2019 §6.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NanRule {
    /// Always the positive quiet NaN without payload: RISC-V, and Arm with FPCR.DN = 1.
    Default,
    /// The first signalling operand, else the first quiet one, made quiet. Order of a fused
    /// multiply-add: addend, multiplicand, multiplier. An invalid product with a quiet NaN as
    /// addend is the default NaN. Arm ARM, FPProcessNaNs and FPMulAdd.
    Arm,
    /// The first NaN operand, signalling or not, made quiet. Order of a fused multiply-add:
    /// multiplicand, multiplier, addend. The default NaN is *negative*. Intel SDM vol. 1, §4.8.3.5.
    X86,
}

/// What becomes of a subnormal operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DenormalsIn {
    /// Its value is used: RISC-V, Arm.
    Keep,
    /// Its value is used and [`Flags::ID`] raised, unless an operand is a NaN or the operation
    /// is invalid or a division by zero: x86.
    Report,
    /// It counts as zero: x86 with MXCSR.DAZ.
    Flush,
    /// It counts as zero and [`Flags::ID`] is raised: Arm with FPCR.FZ.
    FlushAndReport,
}

/// What becomes of a tiny result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DenormalsOut {
    /// It is delivered, with UF when it is also inexact.
    Keep,
    /// Zero with UF and NX: x86 with MXCSR.FTZ (and underflow masked).
    FlushInexact,
    /// Zero with UF alone: Arm with FPCR.FZ.
    Flush,
}

/// What a conversion to integer delivers when it is invalid (IEEE 754-2019 §5.8 leaves it open).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InvalidInt {
    /// The nearest bound; the upper one for a NaN: RISC-V.
    SaturateNanMax,
    /// The nearest bound; zero for a NaN: Arm.
    SaturateNanZero,
    /// The integer indefinite: the minimum if signed, all ones if not: x86.
    Indefinite,
}

/// The points in which guest architectures differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// See [`DenormalsIn`].
    pub denormals_in: DenormalsIn,
    /// See [`DenormalsOut`].
    pub denormals_out: DenormalsOut,
    /// See [`Tininess`].
    pub tininess: Tininess,
    /// See [`NanRule`].
    pub nan: NanRule,
    /// See [`InvalidInt`].
    pub invalid_int: InvalidInt,
}

impl Rules {
    /// RISC-V unprivileged ISA, chapters F, D, Zfh.
    pub const RISCV: Self = Self {
        denormals_in: DenormalsIn::Keep,
        denormals_out: DenormalsOut::Keep,
        tininess: Tininess::AfterRounding,
        nan: NanRule::Default,
        invalid_int: InvalidInt::SaturateNanMax,
    };
    /// A-profile with FPCR all zeros.
    pub const ARM: Self = Self {
        tininess: Tininess::BeforeRounding,
        nan: NanRule::Arm,
        invalid_int: InvalidInt::SaturateNanZero,
        ..Self::RISCV
    };
    /// SSE, AVX and AVX-512 with MXCSR.DAZ = FTZ = 0.
    pub const X86: Self = Self {
        denormals_in: DenormalsIn::Report,
        nan: NanRule::X86,
        invalid_int: InvalidInt::Indefinite,
        ..Self::RISCV
    };
}

/// Everything an operation needs to know besides its operands, and where its flags go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Env {
    /// Rounding of operations that do not name their own.
    pub round: Round,
    /// Flags raised so far; operations only ever add to them.
    pub flags: Flags,
    /// The guest's rules.
    pub rules: Rules,
    /// Which of [`Flags::UF`] and [`Flags::OF`] an operation that raises them is interrupted for (x86, unmasked). A tiny result
    /// is an underflow then though it be exact, and inexact is what loses precision with an unbounded exponent as well
    /// (IEEE 754-2019 §7.4 and §7.5; Intel SDM vol. 1, §4.9.1). What the result is, is open.
    pub trapping: Flags,
}

impl Env {
    /// Rounds to nearest even, no flag raised.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self { round: Round::NearestEven, flags: Flags::NONE, rules, trapping: Flags::NONE }
    }

    /// Adds `flags` to those raised so far.
    #[inline]
    pub fn raise(&mut self, flags: Flags) {
        self.flags |= flags;
    }

    /// Runs `op` with another rounding direction: for instructions that name their own.
    #[inline]
    pub fn rounding<R>(&mut self, round: Round, op: impl FnOnce(&mut Self) -> R) -> R {
        let outer = std::mem::replace(&mut self.round, round);
        let result = op(self);
        self.round = outer;
        result
    }
}
