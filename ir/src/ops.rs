//! The table of operations. Everything that lists operations (names, documentation, the verifier's
//! rules, printer, parser) is generated from or checked against it.

use crate::types::Type;

/// How an operation uses its type, operands and result. `ty` is the instruction's type, `bool` an
/// I64 that is 0 or 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `ty -> ty`
    Unary,
    /// `(ty, ty) -> ty`
    Binary,
    /// `(ty, ty) -> bool`
    Compare,
    /// `(bool, ty, ty) -> ty`
    Select,
    /// `ty -> i64`
    Extend,
    /// `[i64 + imm] -> i64`, or `-> ty` for floats
    Load,
    /// `[i64 + imm], ty`
    Store,
    /// `[i64 + imm], ty -> ty`, the value from before
    AtomicRmw,
    /// `[i64 + imm], ty expected, ty new -> ty`, the value from before
    AtomicCas,
    /// `i64 + imm`, no result; may leave with [`crate::Trap::Misaligned`]
    AlignCheck,
    /// no operands, no result
    Fence,
    /// floating point `ty -> ty`
    FpUnary,
    /// floating point `(ty, ty) -> ty`
    FpBinary,
    /// floating point `(ty, ty, ty) -> ty`
    FpTernary,
    /// floating point `(ty, ty) -> bool`
    FpCompare,
    /// floating point `ty -> integer`; the integer type stands in `aux`
    FpToInt,
    /// integer of the type in `aux` `-> ty`
    IntToFp,
    /// floating point of the type in `aux` `-> ty`
    FpToFp,
    /// up to four `i64 -> i64`, the helper's id in `imm`
    Call,
    /// the start of a guest instruction: offset from the block's pc in `imm`, length in `aux`
    Mark,
}

macro_rules! ops {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal $shape:ident $flags:expr;)*) => {
        /// An operation.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Opcode { $($(#[doc = $doc])+ $name,)* }

        impl Opcode {
            /// Every operation, in the table's order.
            pub const ALL: &[Opcode] = &[$(Opcode::$name,)*];

            /// The operation's row.
            #[inline]
            #[must_use]
            pub const fn info(self) -> &'static OpInfo {
                &TABLE[self as usize]
            }
        }

        static TABLE: [OpInfo; Opcode::ALL.len()] = [$(OpInfo {
            name: $text,
            shape: Shape::$shape,
            doc: concat!($($doc, "\n",)+),
            flags: $flags,
        },)*];
    };
}

/// A row of the table.
#[derive(Debug)]
pub struct OpInfo {
    /// As it stands in the text form.
    pub name: &'static str,
    /// Operands and result.
    pub shape: Shape,
    /// What it computes.
    pub doc: &'static str,
    /// What else it does: a sum of [`flag`]s.
    pub flags: u8,
}

/// Properties of operations, for [`OpInfo::flags`].
pub mod flag {
    /// Nothing but a result: may be merged, moved and dropped.
    pub const PURE: u8 = 0;
    /// May fault at a guest address.
    pub const FAULTS: u8 = 1;
    /// Reads guest memory.
    pub const READS: u8 = 2;
    /// Writes guest memory, or orders accesses to it.
    pub const WRITES: u8 = 4;
    /// Accumulates into the guest's floating-point flags slot.
    pub const FP_FLAGS: u8 = 8;
    /// May be exchanged: `op(a, b) = op(b, a)`.
    pub const COMMUTES: u8 = 16;
    /// Effects are those of the helper it names, or of a mark.
    pub const SPECIAL: u8 = 32;
    /// Rounds by the mode in `aux`.
    pub const ROUNDS: u8 = 64;
}

use flag::{COMMUTES, FAULTS, FP_FLAGS, PURE, READS, ROUNDS, SPECIAL, WRITES};

const LOADS: u8 = FAULTS | READS;
const STORES: u8 = FAULTS | WRITES;
const ATOMIC: u8 = FAULTS | READS | WRITES;
const ROUNDED: u8 = FP_FLAGS | ROUNDS;

ops! {
    /// The operand itself.
    Mov "mov" Unary PURE;
    /// Wrapping sum.
    Add "add" Binary COMMUTES;
    /// Wrapping difference.
    Sub "sub" Binary PURE;
    /// Bitwise and.
    And "and" Binary COMMUTES;
    /// Bitwise or.
    Or "or" Binary COMMUTES;
    /// Bitwise exclusive or.
    Xor "xor" Binary COMMUTES;
    /// `a & !b`.
    AndNot "andnot" Binary PURE;
    /// Shift left; the amount is taken modulo the width.
    Shl "shl" Binary PURE;
    /// Logical shift right; the amount is taken modulo the width.
    ShrU "shr_u" Binary PURE;
    /// Arithmetic shift right; the amount is taken modulo the width.
    ShrS "shr_s" Binary PURE;
    /// Rotate left; the amount is taken modulo the width.
    Rotl "rotl" Binary PURE;
    /// Rotate right; the amount is taken modulo the width.
    Rotr "rotr" Binary PURE;
    /// Wrapping product.
    Mul "mul" Binary COMMUTES;
    /// High half of the unsigned product.
    MulHiU "mulhi_u" Binary COMMUTES;
    /// High half of the signed product.
    MulHiS "mulhi_s" Binary COMMUTES;
    /// High half of the product of signed `a` and unsigned `b`.
    MulHiSU "mulhi_su" Binary PURE;
    /// Unsigned quotient; all ones if the divisor is zero.
    DivU "div_u" Binary PURE;
    /// Signed quotient toward zero; -1 if the divisor is zero; wraps on overflow.
    DivS "div_s" Binary PURE;
    /// Unsigned remainder; the dividend if the divisor is zero.
    RemU "rem_u" Binary PURE;
    /// Signed remainder, of the dividend's sign; the dividend if the divisor is zero; 0 on overflow.
    RemS "rem_s" Binary PURE;
    /// The smaller, unsigned.
    MinU "min_u" Binary COMMUTES;
    /// The smaller, signed.
    MinS "min_s" Binary COMMUTES;
    /// The larger, unsigned.
    MaxU "max_u" Binary COMMUTES;
    /// The larger, signed.
    MaxS "max_s" Binary COMMUTES;
    /// Bitwise complement.
    Not "not" Unary PURE;
    /// Two's complement negation.
    Neg "neg" Unary PURE;
    /// Leading zeros; the width for zero.
    Clz "clz" Unary PURE;
    /// Trailing zeros; the width for zero.
    Ctz "ctz" Unary PURE;
    /// Set bits.
    Popcnt "popcnt" Unary PURE;
    /// Bytes in reverse order.
    Bswap "bswap" Unary PURE;
    /// Sign-extends from the type to 64 bits.
    Sext "sext" Extend PURE;
    /// Zero-extends from the type to 64 bits.
    Zext "zext" Extend PURE;
    /// Equal.
    Eq "eq" Compare COMMUTES;
    /// Not equal.
    Ne "ne" Compare COMMUTES;
    /// Less, unsigned.
    LtU "lt_u" Compare PURE;
    /// Less or equal, unsigned.
    LeU "le_u" Compare PURE;
    /// Less, signed.
    LtS "lt_s" Compare PURE;
    /// Less or equal, signed.
    LeS "le_s" Compare PURE;
    /// The second operand where the first is not zero, the third where it is.
    Select "select" Select PURE;
    /// Loads and zero-extends to 64 bits (integers), or loads a float.
    LoadU "load_u" Load LOADS;
    /// Loads and sign-extends to 64 bits.
    LoadS "load_s" Load LOADS;
    /// Stores.
    Store "store" Store STORES;
    /// Atomic exchange.
    AtomicSwap "atomic_swap" AtomicRmw ATOMIC;
    /// Atomic sum.
    AtomicAdd "atomic_add" AtomicRmw ATOMIC;
    /// Atomic bitwise and.
    AtomicAnd "atomic_and" AtomicRmw ATOMIC;
    /// Atomic bitwise or.
    AtomicOr "atomic_or" AtomicRmw ATOMIC;
    /// Atomic bitwise exclusive or.
    AtomicXor "atomic_xor" AtomicRmw ATOMIC;
    /// Atomic signed minimum.
    AtomicMinS "atomic_min_s" AtomicRmw ATOMIC;
    /// Atomic signed maximum.
    AtomicMaxS "atomic_max_s" AtomicRmw ATOMIC;
    /// Atomic unsigned minimum.
    AtomicMinU "atomic_min_u" AtomicRmw ATOMIC;
    /// Atomic unsigned maximum.
    AtomicMaxU "atomic_max_u" AtomicRmw ATOMIC;
    /// Atomic compare-and-swap.
    AtomicCas "atomic_cas" AtomicCas ATOMIC;
    /// Leaves with a misalignment trap unless the address is a multiple of the type's size.
    AlignCheck "align_check" AlignCheck FAULTS;
    /// Orders earlier accesses before later ones, as far as its order says: `acq` earlier loads before
    /// all, `rel` all before later stores, `sc` everything, stores before loads included.
    Fence "fence" Fence WRITES;
    /// IEEE addition.
    FAdd "fadd" FpBinary ROUNDED;
    /// IEEE subtraction.
    FSub "fsub" FpBinary ROUNDED;
    /// IEEE multiplication.
    FMul "fmul" FpBinary ROUNDED;
    /// IEEE division.
    FDiv "fdiv" FpBinary ROUNDED;
    /// IEEE square root.
    FSqrt "fsqrt" FpUnary ROUNDED;
    /// IEEE fused `a * b + c`.
    FMulAdd "fmul_add" FpTernary ROUNDED;
    /// Minimum by the guest's rules (RISC-V: minimumNumber).
    FMin "fmin" FpBinary FP_FLAGS;
    /// Maximum by the guest's rules (RISC-V: maximumNumber).
    FMax "fmax" FpBinary FP_FLAGS;
    /// Bits with the sign inverted: no flags, NaNs untouched.
    FNeg "fneg" FpUnary PURE;
    /// Bits with the sign cleared: no flags, NaNs untouched.
    FAbs "fabs" FpUnary PURE;
    /// Bits of the first operand with the sign of the second.
    FCopySign "fcopysign" FpBinary PURE;
    /// Equal; quiet (invalid only for signalling NaNs).
    FEq "feq" FpCompare FP_FLAGS;
    /// Less; signalling (invalid for any NaN).
    FLt "flt" FpCompare FP_FLAGS;
    /// Less or equal; signalling.
    FLe "fle" FpCompare FP_FLAGS;
    /// Less; quiet.
    FLtQ "flt_q" FpCompare FP_FLAGS;
    /// Less or equal; quiet.
    FLeQ "fle_q" FpCompare FP_FLAGS;
    /// To a signed integer, saturating by the guest's rules, sign-extended to 64 bits.
    FToS "fto_s" FpToInt ROUNDED;
    /// To an unsigned integer, saturating by the guest's rules, zero-extended to 64 bits.
    FToU "fto_u" FpToInt ROUNDED;
    /// From a signed integer.
    SToF "sto_f" IntToFp ROUNDED;
    /// From an unsigned integer.
    UToF "uto_f" IntToFp ROUNDED;
    /// Between formats.
    FCvt "fcvt" FpToFp ROUNDED;
    /// A binary32 in a 64-bit register, NaN-boxed: upper bits all ones (RISC-V, "NaN Boxing of
    /// Narrower Values"). Works at f32; the result has 64 bits.
    NanBox "nan_box" Unary PURE;
    /// The binary32 in a 64-bit register; the canonical NaN if it is not NaN-boxed. Reads 64 bits.
    NanUnbox "nan_unbox" Unary PURE;
    /// Calls a helper.
    Call "call" Call SPECIAL;
    /// A guest instruction starts here.
    Mark "insn" Mark SPECIAL;
}

impl OpInfo {
    /// Whether it has all of the given [`flag`]s.
    #[inline]
    #[must_use]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Whether it has any of the given [`flag`]s.
    #[inline]
    #[must_use]
    pub const fn has_any(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

impl Shape {
    /// All shapes, in the order in which the documentation lists them.
    pub const ALL: &[Self] = &[
        Self::Unary,
        Self::Binary,
        Self::Compare,
        Self::Select,
        Self::Extend,
        Self::Load,
        Self::Store,
        Self::AtomicRmw,
        Self::AtomicCas,
        Self::AlignCheck,
        Self::Fence,
        Self::FpUnary,
        Self::FpBinary,
        Self::FpTernary,
        Self::FpCompare,
        Self::FpToInt,
        Self::IntToFp,
        Self::FpToFp,
        Self::Call,
        Self::Mark,
    ];

    /// Operands and result as the documentation writes them: `ty` is the operation's type, `other`
    /// its second one, `bool` an i64 that is 0 or 1.
    #[must_use]
    pub const fn signature(self) -> &'static str {
        match self {
            Self::Unary | Self::FpUnary => "ty → ty",
            Self::Binary | Self::FpBinary => "ty, ty → ty",
            Self::Compare | Self::FpCompare => "ty, ty → bool",
            Self::Select => "i64, ty, ty → ty",
            Self::Extend => "ty → i64",
            Self::Load => "[i64 + imm] → i64, or ty for floats",
            Self::Store => "[i64 + imm], ty",
            Self::AtomicRmw => "[i64 + imm], ty → ty",
            Self::AtomicCas => "[i64 + imm], ty expected, ty new → ty",
            Self::AlignCheck => "[i64 + imm]",
            Self::Fence | Self::Mark => "",
            Self::FpTernary => "ty, ty, ty → ty",
            Self::FpToInt => "ty → i64, of the width of other",
            Self::IntToFp | Self::FpToFp => "other → ty",
            Self::Call => "up to four i64 → i64",
        }
    }

    /// How many operands it takes (a call takes as many as its helper, four at most).
    #[must_use]
    pub const fn operands(self) -> usize {
        match self {
            Self::Fence | Self::Mark => 0,
            Self::Unary
            | Self::Extend
            | Self::Load
            | Self::AlignCheck
            | Self::FpUnary
            | Self::FpToInt
            | Self::IntToFp
            | Self::FpToFp => 1,
            Self::Binary
            | Self::Compare
            | Self::Store
            | Self::AtomicRmw
            | Self::FpBinary
            | Self::FpCompare => 2,
            Self::Select | Self::AtomicCas | Self::FpTernary => 3,
            Self::Call => 4,
        }
    }

    /// Whether its first operand is the base of an address, to which `imm` is added.
    #[must_use]
    pub const fn has_address(self) -> bool {
        self.has_order() && !matches!(self, Self::Fence) || matches!(self, Self::AlignCheck)
    }

    /// Whether `aux` holds a [`crate::MemOrder`].
    #[must_use]
    pub const fn has_order(self) -> bool {
        matches!(self, Self::Load | Self::Store | Self::AtomicRmw | Self::AtomicCas | Self::Fence)
    }

    /// Whether it always has a result (a call may have one).
    #[must_use]
    pub const fn has_result(self) -> bool {
        !matches!(self, Self::Store | Self::AlignCheck | Self::Fence | Self::Mark | Self::Call)
    }
}

const INTEGERS: &[Type] = &[Type::I8, Type::I16, Type::I32, Type::I64];
const FLOATS: &[Type] = &[Type::F32, Type::F64];

impl Opcode {
    /// The operation of that name in the text form.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.info().name == name)
    }

    /// The types at which it works. Where there is only one, the text form leaves it out.
    #[must_use]
    pub const fn types(self) -> &'static [Type] {
        match (self, self.info().shape) {
            (Self::Mov | Self::Select | Self::LoadU | Self::Store, _) => &Type::ALL,
            (Self::NanBox | Self::NanUnbox, _) => &[Type::F32],
            (_, Shape::Unary | Shape::Binary | Shape::Compare | Shape::Extend)
            | (_, Shape::Load | Shape::AtomicRmw | Shape::AtomicCas | Shape::AlignCheck) => {
                INTEGERS
            }
            (_, Shape::Call | Shape::Fence | Shape::Mark) => &[Type::I64],
            _ => FLOATS,
        }
    }

    /// The second types that a conversion takes; empty for everything else.
    #[must_use]
    pub const fn other_types(self) -> &'static [Type] {
        match self.info().shape {
            Shape::FpToInt | Shape::IntToFp => &[Type::I32, Type::I64],
            Shape::FpToFp => FLOATS,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for &op in Opcode::ALL {
            assert_eq!(Opcode::by_name(op.info().name), Some(op));
            assert!(!op.types().is_empty());
        }
    }

    #[test]
    fn every_shape_is_listed() {
        for &op in Opcode::ALL {
            assert!(Shape::ALL.contains(&op.info().shape), "{op:?}");
        }
    }

    #[test]
    fn what_rounds_sets_flags() {
        for op in Opcode::ALL.iter().filter(|op| op.info().has(flag::ROUNDS)) {
            assert!(op.info().has(flag::FP_FLAGS), "{op:?}");
        }
    }
}
