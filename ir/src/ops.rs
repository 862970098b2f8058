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
    /// `(ty, ty, bool) -> i64`, packed flags
    Flags,
    /// packed flags `-> bool`; the condition stands in `aux`
    Condition,
    /// floating point `(ty, ty) -> i64`, packed flags
    FpFlags,
    /// `(ty, ty) -> ty`, and five slots from that in `imm` on
    Status,
    /// `ty -> wide`
    ZextWide,
    /// `lane -> ty`
    Splat,
    /// `ty -> i64`, or the lane for floats; its number in `imm`
    GetLane,
    /// `(ty, lane) -> ty`; its number in `imm`
    SetLane,
    /// `(ty, ty) -> ty`, and two constants that together number 16 bytes of the operands
    Shuffle,
    /// `ty -> ty`, by the number in `imm`
    ShiftLanes,
    /// `(ty, ty, ty) -> ty`
    Ternary,
    /// `ty -> ` the vector with lanes of twice the width
    Lengthen,
    /// `ty -> ` the vector with lanes of half the width
    Narrow,
    /// up to four `i64 -> i64`, the helper's id in `imm`
    Call,
    /// `(wide, wide, wide, i64) -> wide`, the helper's id in `imm`
    CallWide,
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
    /// Effects are those of the helper it names, of a mark, or to write slots ([`crate::status`]).
    pub const SPECIAL: u8 = 32;
    /// Rounds by the mode in `aux`.
    pub const ROUNDS: u8 = 64;
    /// Saturates, and notes that beside the floating-point flags ([`super::SATURATED`]).
    pub const SATURATES: u8 = 128;
}

use flag::{COMMUTES, FAULTS, FP_FLAGS, PURE, READS, ROUNDS, SATURATES, SPECIAL, WRITES};

const LOADS: u8 = FAULTS | READS;
const STORES: u8 = FAULTS | WRITES;
const ATOMIC: u8 = FAULTS | READS | WRITES;
const ROUNDED: u8 = FP_FLAGS | ROUNDS;
const SATURATING: u8 = FP_FLAGS | SATURATES;

/// The bit of the floating-point flags slot that saturating operations set (Arm: FPSR.QC). It is
/// none of `base::float::Flags`.
pub const SATURATED: u64 = 128;

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
    /// The greater of the numbers by the guest's rules; a NaN if either operand is one.
    FMaximum "fmaximum" FpBinary FP_FLAGS;
    /// The smaller of the numbers by the guest's rules; a NaN if either operand is one.
    FMinimum "fminimum" FpBinary FP_FLAGS;
    /// An integer in the same format; never "inexact".
    FRound "fround" FpUnary ROUNDED;
    /// An integer in the same format; "inexact" if it is another number.
    FRoundX "fround_x" FpUnary ROUNDED;
    /// N, Z, C and V of `a + b + carry`, as Arm has them: packed in bits 31 to 28.
    FlagsAdd "flags_add" Flags PURE;
    /// N, Z, C and V of `a + !b + carry`: C is "no borrow", and the carry 1 for a plain difference.
    FlagsSub "flags_sub" Flags PURE;
    /// Whether packed flags fulfil the condition in `aux`.
    Cond "cond" Condition PURE;
    /// Packed flags of a comparison: less N, equal Z and C, greater C, unordered C and V. Signalling.
    FCmpFlags "fcmp_flags" FpFlags FP_FLAGS;
    /// As `fcmp_flags`; quiet.
    FCmpFlagsQ "fcmp_flags_q" FpFlags FP_FLAGS;
    /// Wrapping sum, and x86's status flags of it ([`crate::status`]).
    StatusAdd "status_add" Status SPECIAL;
    /// Wrapping difference, likewise.
    StatusSub "status_sub" Status SPECIAL;
    /// Bitwise and, likewise.
    StatusAnd "status_and" Status SPECIAL;
    /// Bitwise or, likewise.
    StatusOr "status_or" Status SPECIAL;
    /// Bitwise exclusive or, likewise.
    StatusXor "status_xor" Status SPECIAL;
    /// Wrapping sum, likewise; CF stays as it is.
    StatusInc "status_inc" Status SPECIAL;
    /// Wrapping difference, likewise; CF stays as it is.
    StatusDec "status_dec" Status SPECIAL;
    /// Zero-extends from the type to 128 bits.
    ZextWide "zext_wide" ZextWide PURE;
    /// Every lane is the operand.
    Splat "splat" Splat PURE;
    /// A lane, zero-extended.
    LaneU "lane_u" GetLane PURE;
    /// A lane, sign-extended.
    LaneS "lane_s" GetLane PURE;
    /// The vector with another value in one lane.
    SetLane "set_lane" SetLane PURE;
    /// Byte `n` of the result is the byte that byte `n` of the two constants names: 0 to 15 of the
    /// first operand, 16 to 31 of the second.
    Shuffle "shuffle" Shuffle PURE;
    /// Byte `n` of the result is the byte of the first operand that byte `n` of the second names; 0
    /// if there is none.
    Swizzle "swizzle" Binary PURE;
    /// `a & b | !a & c`, bit by bit.
    BitSelect "bit_select" Ternary PURE;
    /// Shifts lanes left.
    ShlLanes "shl_lanes" ShiftLanes PURE;
    /// Shifts lanes right, logically.
    ShrLanesU "shr_lanes_u" ShiftLanes PURE;
    /// Shifts lanes right, arithmetically.
    ShrLanesS "shr_lanes_s" ShiftLanes PURE;
    /// Lanes of ones where equal, else of zeros.
    LanesEq "lanes_eq" Binary COMMUTES;
    /// Lanes of ones where greater, signed.
    LanesGtS "lanes_gt_s" Binary PURE;
    /// Lanes of ones where greater or equal, signed.
    LanesGeS "lanes_ge_s" Binary PURE;
    /// Lanes of ones where greater, unsigned.
    LanesGtU "lanes_gt_u" Binary PURE;
    /// Lanes of ones where greater or equal, unsigned.
    LanesGeU "lanes_ge_u" Binary PURE;
    /// Magnitudes of lanes; that of the least number is itself.
    AbsLanes "abs_lanes" Unary PURE;
    /// `(a + b + 1) >> 1` without overflow, unsigned.
    AvgLanesU "avg_lanes_u" Binary COMMUTES;
    /// The lower half's lanes, sign-extended.
    LengthenLowS "lengthen_low_s" Lengthen PURE;
    /// The lower half's lanes, zero-extended.
    LengthenLowU "lengthen_low_u" Lengthen PURE;
    /// The upper half's lanes, sign-extended.
    LengthenHighS "lengthen_high_s" Lengthen PURE;
    /// The upper half's lanes, zero-extended.
    LengthenHighU "lengthen_high_u" Lengthen PURE;
    /// Sum, saturating, signed; saturation is noted in the flags ([`SATURATED`]).
    SatAddS "sat_add_s" Binary SATURATING;
    /// Sum, saturating, unsigned.
    SatAddU "sat_add_u" Binary SATURATING;
    /// Difference, saturating, signed.
    SatSubS "sat_sub_s" Binary SATURATING;
    /// Difference, saturating, unsigned.
    SatSubU "sat_sub_u" Binary SATURATING;
    /// Signed lanes to signed ones of half the width, saturating, in the lower half; the upper is 0.
    SatNarrowS "sat_narrow_s" Narrow SATURATING;
    /// Signed lanes to unsigned ones, likewise.
    SatNarrowSU "sat_narrow_su" Narrow SATURATING;
    /// Unsigned lanes to unsigned ones, likewise.
    SatNarrowU "sat_narrow_u" Narrow SATURATING;
    /// Lanes of ones where equal; quiet.
    FLanesEq "flanes_eq" FpBinary FP_FLAGS;
    /// Lanes of ones where greater; signalling.
    FLanesGt "flanes_gt" FpBinary FP_FLAGS;
    /// Lanes of ones where greater or equal; signalling.
    FLanesGe "flanes_ge" FpBinary FP_FLAGS;
    /// Calls a helper.
    Call "call" Call SPECIAL;
    /// Calls a helper of wide operands.
    CallWide "call_wide" CallWide SPECIAL;
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
        Self::Flags,
        Self::Condition,
        Self::FpFlags,
        Self::Status,
        Self::ZextWide,
        Self::Splat,
        Self::GetLane,
        Self::SetLane,
        Self::Shuffle,
        Self::ShiftLanes,
        Self::Ternary,
        Self::Lengthen,
        Self::Narrow,
        Self::Call,
        Self::CallWide,
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
            Self::Flags => "ty, ty, bool → i64",
            Self::Condition => "i64 → bool",
            Self::FpFlags => "ty, ty → i64",
            Self::Status => "ty, ty, slot → ty",
            Self::ZextWide => "ty → wide",
            Self::Splat => "lane → ty",
            Self::GetLane => "ty → i64, or the lane for floats",
            Self::SetLane => "ty, lane → ty",
            Self::Shuffle => "ty, ty, two constants → ty",
            Self::ShiftLanes => "ty → ty",
            Self::Ternary => "ty, ty, ty → ty",
            Self::Lengthen => "ty → ty of lanes twice as wide",
            Self::Narrow => "ty → ty of lanes half as wide",
            Self::Call => "up to four i64 → i64",
            Self::CallWide => "wide, wide, wide, i64 → wide",
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
            | Self::FpToFp
            | Self::Condition
            | Self::ZextWide
            | Self::Splat
            | Self::GetLane
            | Self::ShiftLanes
            | Self::Lengthen
            | Self::Narrow => 1,
            Self::Binary
            | Self::Compare
            | Self::Store
            | Self::AtomicRmw
            | Self::FpBinary
            | Self::FpCompare
            | Self::FpFlags
            | Self::Status
            | Self::SetLane => 2,
            Self::Select | Self::AtomicCas | Self::FpTernary | Self::Flags | Self::Ternary => 3,
            Self::Call | Self::CallWide | Self::Shuffle => 4,
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
        !matches!(self, Self::Store | Self::AlignCheck | Self::Fence | Self::Mark)
            && !self.is_call()
    }

    /// Whether it calls a helper, whose id stands in `imm`.
    #[must_use]
    pub const fn is_call(self) -> bool {
        matches!(self, Self::Call | Self::CallWide)
    }

    /// Whether `imm` numbers a lane, or a distance within one.
    #[must_use]
    pub const fn has_lane_number(self) -> bool {
        matches!(self, Self::GetLane | Self::SetLane | Self::ShiftLanes)
    }
}

const INTEGERS: &[Type] = &[Type::I8, Type::I16, Type::I32, Type::I64];
const FLOATS: &[Type] = &[Type::F32, Type::F64];
const VECTORS: &[Type] =
    &[Type::I8x16, Type::I16x8, Type::I32x4, Type::I64x2, Type::F32x4, Type::F64x2];
const INTEGER_VECTORS: &[Type] = &[Type::I8x16, Type::I16x8, Type::I32x4, Type::I64x2];
const INTEGERS_AND_VECTORS: &[Type] = &[
    Type::I8,
    Type::I16,
    Type::I32,
    Type::I64,
    Type::I8x16,
    Type::I16x8,
    Type::I32x4,
    Type::I64x2,
];
const FLOATS_AND_VECTORS: &[Type] = &[Type::F32, Type::F64, Type::F32x4, Type::F64x2];
const FLOAT_VECTORS: &[Type] = &[Type::F32x4, Type::F64x2];
const INTEGERS_AND_WHOLE: &[Type] = &[Type::I8, Type::I16, Type::I32, Type::I64, Type::I64x2];
const SCALARS_AND_WHOLE: &[Type] =
    &[Type::I8, Type::I16, Type::I32, Type::I64, Type::F32, Type::F64, Type::I64x2];

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
            (Self::Mov | Self::LoadU | Self::Store, _) => SCALARS_AND_WHOLE,
            (Self::Select, _) | (_, Shape::ZextWide) => &Type::SCALARS,
            (Self::NanBox | Self::NanUnbox, _) => &[Type::F32],
            (Self::Add | Self::Sub | Self::Mul | Self::Neg, _)
            | (Self::MinU | Self::MinS | Self::MaxU | Self::MaxS, _) => INTEGERS_AND_VECTORS,
            // Bit by bit, the lanes do not matter.
            (Self::And | Self::Or | Self::Xor | Self::AndNot | Self::Not, _) => INTEGERS_AND_WHOLE,
            (Self::Popcnt, _) => &[Type::I8, Type::I16, Type::I32, Type::I64, Type::I8x16],
            (Self::LanesEq | Self::LanesGtS | Self::LanesGeS | Self::LanesGtU, _)
            | (Self::LanesGeU | Self::AbsLanes, _)
            | (Self::SatAddS | Self::SatAddU | Self::SatSubS | Self::SatSubU, _)
            | (_, Shape::ShiftLanes) => INTEGER_VECTORS,
            (Self::AvgLanesU, _) => &[Type::I8x16, Type::I16x8],
            (Self::Swizzle, _) | (_, Shape::Shuffle) => &[Type::I8x16],
            (_, Shape::Ternary) => &[Type::WIDE],
            (_, Shape::Splat | Shape::GetLane | Shape::SetLane) => VECTORS,
            (_, Shape::Lengthen) => &[Type::I8x16, Type::I16x8, Type::I32x4],
            (_, Shape::Narrow) => &[Type::I16x8, Type::I32x4, Type::I64x2],
            (Self::FLanesEq | Self::FLanesGt | Self::FLanesGe, _) => FLOAT_VECTORS,
            (_, Shape::Flags) => &[Type::I32, Type::I64],
            (_, Shape::Condition) => &[Type::I64],
            (_, Shape::CallWide) => &[Type::WIDE],
            (_, Shape::Unary | Shape::Binary | Shape::Compare | Shape::Extend)
            | (_, Shape::Load | Shape::AtomicRmw | Shape::AtomicCas | Shape::Status) => INTEGERS,
            (_, Shape::AlignCheck) => INTEGERS_AND_WHOLE,
            (_, Shape::Call | Shape::Fence | Shape::Mark) => &[Type::I64],
            (Self::FCopySign, _) | (_, Shape::FpCompare | Shape::FpFlags) => FLOATS,
            _ => FLOATS_AND_VECTORS,
        }
    }

    /// The second types that a conversion of this type takes; empty for everything else.
    #[must_use]
    pub const fn other_types(self, ty: Type) -> &'static [Type] {
        match (self.info().shape, ty) {
            (Shape::FpToInt | Shape::IntToFp, Type::F32x4) => &[Type::I32x4],
            (Shape::FpToInt | Shape::IntToFp, Type::F64x2) => &[Type::I64x2],
            (Shape::FpToInt | Shape::IntToFp, _) => &[Type::I32, Type::I64],
            (Shape::FpToFp, Type::F32x4) => &[Type::F64x2],
            (Shape::FpToFp, Type::F64x2) => &[Type::F32x4],
            (Shape::FpToFp, _) => FLOATS,
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
