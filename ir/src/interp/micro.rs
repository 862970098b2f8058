//! Micro-operations: what [`super::exec`] matches on.

/// Index of a register: a frame's slots, then its temporaries.
pub(super) type Reg = u16;

/// One micro-operation, or the first word of a longer one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct MicroOp {
    pub(super) kind: Micro,
    pub(super) dst: Reg,
    pub(super) a: Reg,
    pub(super) b: Reg,
    pub(super) imm: u64,
}

/// 16 bytes of code: a [`MicroOp`], or the data of the one before.
pub(super) type Raw = [u64; 2];

impl MicroOp {
    pub(super) const fn new(kind: Micro, dst: Reg, a: Reg, b: Reg, imm: u64) -> Self {
        Self { kind, dst, a, b, imm }
    }

    /// In the layout of `repr(C)` on a little-endian host.
    pub(super) const fn to_raw(self) -> Raw {
        let low = self.kind as u64 | (self.dst as u64) << 16;
        [low | (self.a as u64) << 32 | (self.b as u64) << 48, self.imm]
    }
}

const _: () = assert!(size_of::<MicroOp>() == 16 && cfg!(target_endian = "little"));

/// What a micro-operation does. `R` takes registers `a` and `b`, `I` register `a` and `imm`; `W`
/// works on the low 32 bits and sign-extends its result, as the others' narrow forms do
/// ([`Micro::Pure`], atomics): so a sign extension that follows costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub(super) enum Micro {
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
    /// Rounding to nearest even, RISC-V rules; `imm` is the flags' register.
    FAddD,
    FSubD,
    FMulD,
    FDivD,
    FAddS,
    FSubS,
    FMulS,
    FDivS,
    /// As these; the third operand's register stands in bits 16 to 31 of `imm`.
    FMulAddD,
    FMulAddS,
    FEqD,
    FLtD,
    FLeD,
    /// Any floating-point operation: two words, the second being a function's address and
    /// `c | flags << 16 | round << 32 | rules << 40`.
    Float,
    NanBox,
    NanUnbox,
    /// Two words: `imm` is `c | d << 16`, the second word the function's address.
    Call,
    /// As [`Micro::Call`], and the helper may have faulted.
    CallMemory,
    /// Direct jump: to `imm`; a word of links.
    Jump,
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
    /// Goes on at `a`.
    Indirect,
    /// Goes on at `(a + imm) & !1`.
    IndirectEven,
    /// Goes on at `imm` by a look-up elsewhere.
    Lookup,
    /// Leaves with the trap in `a`; the guest's pc is `imm`.
    Trap,
}
