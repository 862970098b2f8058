//! Deliberate mistakes, for the tests that must find them: what a wrong translator, optimiser or back end would do.
//! They exist with the feature `defects` only, which nothing that is released has: without it [`is_seeded`] is a
//! constant, and the mistakes are not compiled.

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Defect {
    /// ADDIW forgets to extend the sign.
    AddiwZeroExtends,
    /// SUB has its operands the wrong way round.
    SubSwapsOperands,
    /// ANDI has an immediate that is one too large.
    AndiOffByOne,
    /// LBU extends the sign.
    LbuExtendsSign,
    /// SLTU compares signed numbers.
    SltuComparesSigned,
    /// AUIPC adds to the pc after it.
    AuipcFromNextPc,
    /// SRAW shifts all 64 bits.
    SrawForgetsWidth,
    /// FENCE.I goes on in code that was fetched before it.
    FenceIKeepsCode,
    /// AMOMAX compares unsigned numbers.
    AmomaxIsUnsigned,
    /// FMADD.D rounds the product, too.
    FmaddRoundsTwice,
    /// FMIN.S gives a NaN where one operand is a number.
    FminKeepsNan,
    /// FADD.S always rounds to nearest.
    FaddIgnoresRounding,
    /// ADCS computes its flags without the carry.
    AdcsForgetsCarry,
    /// CSEL takes the opposite condition.
    CselInverted,
    /// CCMP takes C from the opposite bit where its condition does not hold.
    CcmpWrongFlag,
    /// UBFX from bit 0 takes one bit too few.
    UbfxTooNarrow,
    /// UMOV takes the neighbour of its lane.
    UmovWrongLane,
    /// LDP loads its registers in the wrong order.
    LdpSwapsRegisters,
    /// ADDP has its vectors the wrong way round.
    AddpSwapsVectors,
    /// SQADD wraps around instead of saturating.
    SqaddWraps,
    /// ISB goes on in code that was fetched before it.
    IsbKeepsCode,
    /// ADC forgets the carry that its own carry brings about.
    AdcLosesCarry,
    /// SUB with LOCK adds.
    LockedSubAdds,
    /// INC writes CF.
    IncWritesCarry,
    /// SAR brings zeros in.
    SarBringsZeros,
    /// XADD leaves its source alone.
    XaddKeepsSource,
    /// CMOVcc takes the opposite condition.
    CmovInverted,
    /// PALIGNR takes bytes from one too far on.
    PalignrOffByOne,
    /// PF counts as read by nobody.
    ParityUnread,
    /// A sum of sums is one too large.
    SumOffByOne,
    /// An extension of a sign goes where the value has zeros above.
    DropsExtension,
    /// Operations count as equal whatever constant they have.
    NumbersWithoutConstants,
    /// A register counts as holding what it held before it was written again.
    ForwardsStaleSlots,
    /// A register that is overwritten later is not written before an access that may fault.
    DropsWritesBeforeFaults,
    /// A shift that became part of a sum shifts by one too much.
    FusedShiftOffByOne,
    /// A 32-bit sum is used as if it were extended.
    WordSumUnextended,
    /// A choice takes the other value.
    SelectSwapped,
    /// An unsigned comparison with a constant is signed.
    ImmediateComparesSigned,
    /// A comparison of words looks at the bits above them.
    ComparesAllBits,
    /// No sync point lies after what must not be repeated.
    LosesSyncPoint,
    /// A load takes what was stored at the same offset from another address.
    ForwardsFromAnyBase,
    /// Subtracting equal numbers does not set C.
    CarryOfEqualsLost,
    /// A condition on a single flag is not inverted.
    ConditionInverted,
    /// A tiny product is taken from the host, without its flags.
    TinyResultsStand,
    /// The remainder of a division by zero is all ones.
    RemainderByZero,
    /// MULHSU takes the signed factor as unsigned.
    HighProductUncorrected,
    /// A signed halfword is loaded as an unsigned one.
    HalfwordUnsigned,
    /// An atomic minimum compares unsigned numbers.
    AtomicMinimumUnsigned,
    /// A computed jump goes where the first one went.
    ComputedTargetUnchecked,
    /// Of the operands of a sum only the first is looked at for being subnormal.
    SubnormalOperandUnseen,
    /// A difference's borrow is taken for its carry.
    BorrowIsCarry,
    /// The accumulator counts as a register that it was loaded from, though something was added since.
    StaleAccumulator,
    /// An arithmetic shift brings in zeros.
    QuickShiftLogical,
    /// A branch on signed numbers compares unsigned ones.
    QuickBranchUnsigned,
    /// A sum that overflows counts as negative by its sign.
    SumBelowZeroBySign,
    /// Status flags of a narrow sum are those of the whole registers'.
    NarrowCarryOfWhole,
    /// DEC writes CF.
    QuickDecWritesCarry,
}

/// Where a mistake is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Layer {
    /// RISC-V's translator.
    Riscv64,
    /// AArch64's translator.
    Aarch64,
    /// x86-64's translator.
    X86_64,
    /// The optimiser.
    Optimiser,
    /// What tier 0 makes of blocks.
    Interpreter,
    /// The back end, for any guest.
    Backend,
    /// The baseline compiler, for any guest.
    Baseline,
}

impl Defect {
    /// All of them, with the layer that each is in.
    pub const ALL: [(Self, Layer); 57] = [
        (Self::AddiwZeroExtends, Layer::Riscv64),
        (Self::SubSwapsOperands, Layer::Riscv64),
        (Self::AndiOffByOne, Layer::Riscv64),
        (Self::LbuExtendsSign, Layer::Riscv64),
        (Self::SltuComparesSigned, Layer::Riscv64),
        (Self::AuipcFromNextPc, Layer::Riscv64),
        (Self::SrawForgetsWidth, Layer::Riscv64),
        (Self::FenceIKeepsCode, Layer::Riscv64),
        (Self::AmomaxIsUnsigned, Layer::Riscv64),
        (Self::FmaddRoundsTwice, Layer::Riscv64),
        (Self::FminKeepsNan, Layer::Riscv64),
        (Self::FaddIgnoresRounding, Layer::Riscv64),
        (Self::AdcsForgetsCarry, Layer::Aarch64),
        (Self::CselInverted, Layer::Aarch64),
        (Self::CcmpWrongFlag, Layer::Aarch64),
        (Self::UbfxTooNarrow, Layer::Aarch64),
        (Self::UmovWrongLane, Layer::Aarch64),
        (Self::LdpSwapsRegisters, Layer::Aarch64),
        (Self::AddpSwapsVectors, Layer::Aarch64),
        (Self::SqaddWraps, Layer::Aarch64),
        (Self::IsbKeepsCode, Layer::Aarch64),
        (Self::AdcLosesCarry, Layer::X86_64),
        (Self::LockedSubAdds, Layer::X86_64),
        (Self::IncWritesCarry, Layer::X86_64),
        (Self::SarBringsZeros, Layer::X86_64),
        (Self::XaddKeepsSource, Layer::X86_64),
        (Self::CmovInverted, Layer::X86_64),
        (Self::PalignrOffByOne, Layer::X86_64),
        (Self::ParityUnread, Layer::X86_64),
        (Self::SumOffByOne, Layer::Optimiser),
        (Self::DropsExtension, Layer::Optimiser),
        (Self::NumbersWithoutConstants, Layer::Optimiser),
        (Self::ForwardsStaleSlots, Layer::Optimiser),
        (Self::DropsWritesBeforeFaults, Layer::Optimiser),
        (Self::FusedShiftOffByOne, Layer::Interpreter),
        (Self::WordSumUnextended, Layer::Interpreter),
        (Self::SelectSwapped, Layer::Interpreter),
        (Self::ImmediateComparesSigned, Layer::Interpreter),
        (Self::ComparesAllBits, Layer::Interpreter),
        (Self::NarrowCarryOfWhole, Layer::Interpreter),
        (Self::LosesSyncPoint, Layer::Backend),
        (Self::ForwardsFromAnyBase, Layer::Backend),
        (Self::CarryOfEqualsLost, Layer::Backend),
        (Self::ConditionInverted, Layer::Backend),
        (Self::TinyResultsStand, Layer::Backend),
        (Self::RemainderByZero, Layer::Backend),
        (Self::HighProductUncorrected, Layer::Backend),
        (Self::HalfwordUnsigned, Layer::Backend),
        (Self::AtomicMinimumUnsigned, Layer::Backend),
        (Self::ComputedTargetUnchecked, Layer::Backend),
        (Self::SubnormalOperandUnseen, Layer::Backend),
        (Self::SumBelowZeroBySign, Layer::Backend),
        (Self::BorrowIsCarry, Layer::Baseline),
        (Self::StaleAccumulator, Layer::Baseline),
        (Self::QuickShiftLogical, Layer::Baseline),
        (Self::QuickBranchUnsigned, Layer::Baseline),
        (Self::QuickDecWritesCarry, Layer::Baseline),
    ];
}

/// Whether the mistake is to be made.
#[cfg(not(feature = "defects"))]
#[inline(always)]
#[must_use]
pub const fn is_seeded(_: Defect) -> bool {
    false
}

#[cfg(feature = "defects")]
pub use seeded::{is_seeded, seed};

#[cfg(feature = "defects")]
mod seeded {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Defect;

    const NONE: u8 = u8::MAX;
    static SEEDED: AtomicU8 = AtomicU8::new(NONE);

    /// Whether the mistake is to be made.
    #[must_use]
    pub fn is_seeded(defect: Defect) -> bool {
        SEEDED.load(Ordering::Relaxed) == defect as u8
    }

    /// Has this mistake made from now on, by all threads, and no other; or none.
    pub fn seed(defect: Option<Defect>) {
        SEEDED.store(defect.map_or(NONE, |defect| defect as u8), Ordering::Relaxed);
    }
}
