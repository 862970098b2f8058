//! Micro-operations: what [`super::exec`] matches on.

/// Index of a register: a frame's slots, then its temporaries.
pub type Reg = u16;

/// One micro-operation, or the first word of a longer one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MicroOp {
    /// What it does.
    pub kind: Micro,
    /// Where its result goes: [`super::SINK`] if it has none, or nobody wants it.
    pub dst: Reg,
    /// The first operand, as a rule.
    pub a: Reg,
    /// The second.
    pub b: Reg,
    /// An operand, or whatever else an operation needs.
    pub imm: u64,
}

/// 16 bytes of code: a [`MicroOp`], or the data of the one before.
pub type Raw = [u64; 2];

impl MicroOp {
    pub(super) const fn new(kind: Micro, dst: Reg, a: Reg, b: Reg, imm: u64) -> Self {
        Self { kind, dst, a, b, imm }
    }

    /// In the layout of `repr(C)` on a little-endian host.
    #[must_use]
    pub const fn to_raw(self) -> Raw {
        let low = self.kind as u64 | (self.dst as u64) << 16;
        [low | (self.a as u64) << 32 | (self.b as u64) << 48, self.imm]
    }

    /// The inverse of [`MicroOp::to_raw`]; `None` if the word is none.
    pub(super) fn from_raw([low, imm]: Raw) -> Option<Self> {
        let kind = *Micro::ALL.get(usize::from(low as u16))?;
        Some(Self::new(kind, (low >> 16) as Reg, (low >> 32) as Reg, (low >> 48) as Reg, imm))
    }
}

impl Micro {
    /// How many plain micro-operations more it costs, about: operations on vectors are functions that are called, and many
    /// of these go through the lanes one by one.
    pub(super) const fn excess(self) -> u32 {
        match self {
            Self::Wide | Self::Lane | Self::WideFloat | Self::CallWide | Self::CallWideMemory => 3,
            _ => 0,
        }
    }
}

impl Micro {
    /// Whether it ends a block.
    #[must_use]
    pub const fn is_terminator(self) -> bool {
        self as u16 >= Self::Jump as u16
    }

    /// Whether it is an operation of floating point that has a micro-operation of its own.
    #[must_use]
    pub const fn is_float(self) -> bool {
        let number = self as u16;
        Self::FAddD as u16 <= number && number <= Self::FLeSBoxed as u16
    }

    /// Words of data after it.
    pub(super) const fn data_words(self) -> usize {
        match self {
            Self::Float
            | Self::Call
            | Self::CallMemory
            | Self::Wide
            | Self::Lane
            | Self::WideFloat
            | Self::CallWide
            | Self::CallWideMemory
            | Self::Jump => 1,
            Self::JumpLink => 2,
            kind if Self::BrEqR as u16 <= kind as u16 && kind as u16 <= Self::BrCond as u16 => 2,
            _ => 0,
        }
    }
}

const _: () = assert!(size_of::<MicroOp>() == 16 && cfg!(target_endian = "little"));

macro_rules! micro_operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a micro-operation does. `R` takes registers `a` and `b`, `I` register `a` and
        /// `imm`; `W` works on the low 32 bits and sign-extends its result, as the others' narrow
        /// forms do ([`Micro::Pure`], atomics): so a sign extension that follows costs nothing.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "most names say it, by the rule above")]
        pub enum Micro { $($(#[$doc])* $name,)* }

        impl Micro {
            const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

micro_operations! {
    Mov,
    Const,
    AddR,
    AddI,
    SubR,
    AndR,
    AndI,
    OrR,
    OrI,
    XorR,
    XorI,
    AndNotR,
    ShlR,
    ShlI,
    ShrUR,
    ShrUI,
    ShrSR,
    ShrSI,
    RotrR,
    RotrI,
    MulR,
    MulHiUR,
    MulHiSR,
    MulHiSUR,
    DivUR,
    DivSR,
    RemUR,
    RemSR,
    MinUR,
    MinSR,
    MaxUR,
    MaxSR,
    EqR,
    EqI,
    NeR,
    NeI,
    LtUR,
    LtUI,
    LtSR,
    LtSI,
    EqWR,
    EqWI,
    NeWR,
    NeWI,
    LtUWR,
    LtUWI,
    LtSWR,
    LtSWI,
    AddWR,
    AddWI,
    SubWR,
    MulWR,
    ShlWR,
    ShlWI,
    ShrUWR,
    ShrUWI,
    ShrSWR,
    ShrSWI,
    RotrWR,
    RotrWI,
    DivUWR,
    DivSWR,
    RemUWR,
    RemSWR,
    SextB,
    SextH,
    SextW,
    ZextW,
    Clz,
    ClzW,
    Ctz,
    CtzW,
    Popcnt,
    PopcntW,
    Bswap,
    /// `a` chooses between `b` and the register in `imm`.
    Select,
    /// A function of `a` and `b` whose address is `imm`.
    Pure,
    LoadU8,
    LoadU16,
    LoadU32,
    LoadS8,
    LoadS16,
    LoadS32,
    Load64,
    /// Stores `b` at `a + imm`.
    Store8,
    Store16,
    Store32,
    Store64,
    /// Read-modify-write at `a` with `b`, by the pure function whose address is `imm`.
    Rmw8,
    Rmw16,
    Rmw32,
    Rmw64,
    /// Compare-and-swap at `a`: expects `b`, stores the register in `imm`.
    Cas8,
    Cas16,
    Cas32,
    Cas64,
    /// Leaves if `a + imm` has one of the bits of `b`.
    AlignCheck,
    /// A full fence.
    Fence,
    /// An acquire or release fence, on hosts that need one.
    LightFence,
    /// `(a << imm[7:0]) >> imm[15:8]`
    ShlShrU,
    /// `(a << imm) + b`
    ShlAdd,
    /// Two loads, the second being the word after it; so for those that follow.
    Load64Load64,
    LoadU8LoadU8,
    Store64Store64,
    AddRLoadU8,
    AddRLoadS32,
    AddRLoad64,
    AddRStore8,
    /// Loads a binary32, and NaN-boxes it.
    LoadBoxed,
    /// Rounding to nearest even; `imm` is the flags' register and the rules. Results of binary32
    /// are NaN-boxed; a binary32 in a temporary may be anything above its 32 bits.
    FAddD,
    FSubD,
    FMulD,
    FDivD,
    FAddS,
    FSubS,
    FMulS,
    FDivS,
    /// The same on NaN-boxed operands.
    FAddSBoxed,
    FSubSBoxed,
    FMulSBoxed,
    FDivSBoxed,
    /// As these; the third operand's register stands in bits 16 to 31 of `imm`.
    FMulAddD,
    FMulAddS,
    FMulAddSBoxed,
    FEqD,
    FLtD,
    FLeD,
    FEqSBoxed,
    FLtSBoxed,
    FLeSBoxed,
    /// Any floating-point operation: two words, the second being a function's address and
    /// `c | flags << 16 | round << 32 | rules << 40`.
    Float,
    NanBox,
    NanUnbox,
    /// Two words: `imm` is `c | d << 16`, the second word the function's address.
    Call,
    /// As [`Micro::Call`], and the helper may have faulted.
    CallMemory,
    /// Packed flags of `a + b + c` and `a + !b + c`, the register of `c` standing in `imm`.
    FlagsAdd,
    FlagsSub,
    FlagsAddW,
    FlagsSubW,
    /// Packed flags of `a - b`.
    FlagsCmpR,
    FlagsCmpI,
    FlagsCmpWR,
    FlagsCmpWI,
    /// Packed flags of a result: C and V are 0.
    FlagsNz,
    FlagsNzW,
    /// Whether packed flags in `a` are in the mask `imm` ([`crate::Condition::mask`]).
    Cond,
    /// Operations with status flags ([`crate::status`]), `imm` being a [`super::StatusOp`]; `I` takes its constant.
    StatusAddR,
    StatusAddI,
    StatusSubR,
    StatusSubI,
    StatusAndR,
    StatusAndI,
    StatusOrR,
    StatusOrI,
    StatusXorR,
    StatusXorI,
    /// The low bits that `imm` has, extended to 128; wide registers are two, named by the first.
    ZextWide,
    MovWide,
    LoadWide,
    StoreWide,
    /// An operation on vectors: two words, `imm` being a function's address, the second `c` and a number.
    Wide,
    /// The same with a scalar as result.
    Lane,
    /// One that adds to the floating-point flags: two words, `imm` being `c | flags << 16`, the second
    /// the operation ([`crate::FpOp::pack`]).
    WideFloat,
    /// Two words: `imm` is `c | d << 16`, the second word the function's address.
    CallWide,
    /// As [`Micro::CallWide`], and the helper may have faulted.
    CallWideMemory,
    /// Direct jump: to `imm`; a word of links.
    Jump,
    /// As [`Micro::Jump`], and writes `imm` to `dst`: the third word holds the target.
    JumpLink,
    /// Branches: the second word holds the links, the third the pcs, taken first.
    BrEqR,
    BrEqI,
    BrNeR,
    BrNeI,
    BrLtUR,
    BrLtUI,
    BrGeUR,
    BrGeUI,
    BrLtSR,
    BrLtSI,
    BrGeSR,
    BrGeSI,
    /// As [`Micro::Cond`].
    BrCond,
    /// Goes on at `a`; `b` is the number of the approach, and `imm` its salt. Of a return, `dst` is [`super::SINK`].
    Indirect,
    /// Goes on at `(a + imm) & !1`.
    IndirectEven,
    /// Goes on at `a & !1`, and writes `imm` to `dst`.
    IndirectLink,
    /// Goes on at `a`, by a look-up elsewhere: the translation flags may have changed.
    IndirectFar,
    /// Goes on at `imm` by a look-up elsewhere.
    Lookup,
    /// Leaves with the trap in `a`; the guest's pc is `imm`.
    Trap,
}
