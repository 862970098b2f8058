//! Which flags anybody can see: looked up backwards in a decoded block, so that flags which are written again before
//! that are not computed.
//!
//! Whatever may leave a block (an access, an exception, the block's end) sees them all. An instruction is taken to
//! do so unless it is known not to.

use base::defect::{Defect, is_seeded};
use std::ops::{BitAnd, BitOr};

use decoders::x86_64::{CpuidFeature, FlowControl, Instruction, Mnemonic, OpKind, RflagsBits};

/// A set of the slots that flags follow from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Live(u8);

impl Live {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ZERO: Self = Self(1);
    pub(super) const SIGN: Self = Self(2);
    pub(super) const CARRY: Self = Self(4);
    pub(super) const LESS: Self = Self(8);
    pub(super) const AUX: Self = Self(16);
    pub(super) const ALL: Self = Self(31);
    /// What follows from a result.
    pub(super) const RESULT: Self = Self(3);

    /// Whether any of the others is among them.
    pub(super) fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

impl BitOr for Live {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Live {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// For each instruction of a block, the flags that can be seen after it.
pub(super) fn flags_after(insns: &[Instruction]) -> Vec<Live> {
    let mut after = vec![Live::ALL; insns.len()];
    for index in (1..insns.len()).rev() {
        let i = &insns[index];
        let before = match can_leave(i) {
            true => Live::ALL,
            false => after[index].without(written(i)) | read(i),
        };
        after[index - 1] = before;
    }
    after
}

/// Whether the instruction after it in memory is always the next one to be executed, unless it has an exception.
pub(super) fn goes_on(i: &Instruction) -> bool {
    i.flow_control() == FlowControl::Next && !is_repeated_string(i)
}

fn is_repeated_string(i: &Instruction) -> bool {
    i.is_string_instruction() && (i.has_rep_prefix() || i.has_repne_prefix())
}

/// Whether somebody may see the registers as they are before it.
fn can_leave(i: &Instruction) -> bool {
    !goes_on(i)
        || i.is_privileged()
        || i.is_stack_instruction()
        || matches!(i.mnemonic(), Mnemonic::Div | Mnemonic::Idiv)
        || i.op_kinds().any(is_memory) && !matches!(i.mnemonic(), Mnemonic::Lea | Mnemonic::Nop)
        || !i.cpuid_features().iter().all(|&feature| is_plain(feature))
}

fn is_memory(kind: OpKind) -> bool {
    !matches!(
        kind,
        OpKind::Register
            | OpKind::Immediate8
            | OpKind::Immediate8_2nd
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// Whether instructions of it are a matter of general registers and flags alone, unless they access memory.
fn is_plain(feature: CpuidFeature) -> bool {
    use CpuidFeature as C;
    matches!(
        feature,
        C::INTEL8086
            | C::INTEL186
            | C::INTEL286
            | C::INTEL386
            | C::INTEL486
            | C::X64
            | C::CMOV
            | C::MULTIBYTENOP
            | C::CET_IBT
            | C::BMI1
            | C::BMI2
            | C::ADX
            | C::LZCNT
            | C::POPCNT
            | C::MOVBE
    )
}

const STATUS: u32 = RflagsBits::OF
    | RflagsBits::SF
    | RflagsBits::ZF
    | RflagsBits::AF
    | RflagsBits::CF
    | RflagsBits::PF;

/// The slots that it writes in any case.
fn written(i: &Instruction) -> Live {
    if is_conditional(i) {
        return Live::NONE;
    }
    let modified = i.rflags_modified() & STATUS;
    let all_but_carry = Live::ZERO | Live::SIGN | Live::LESS | Live::AUX;
    match modified {
        STATUS => Live::ALL,
        _ if modified == STATUS & !RflagsBits::CF => all_but_carry,
        _ => Live::NONE,
    }
}

/// Whether its flags depend on a count in a register, which may be 0.
fn is_conditional(i: &Instruction) -> bool {
    let by_cl = i.op_count() > 1
        && i.op_kind(i.op_count() - 1) == OpKind::Register
        && i.op_register(i.op_count() - 1) == decoders::x86_64::Register::CL;
    by_cl
        && matches!(
            i.mnemonic(),
            Mnemonic::Shl
                | Mnemonic::Sal
                | Mnemonic::Shr
                | Mnemonic::Sar
                | Mnemonic::Shld
                | Mnemonic::Shrd
        )
}

/// The slots that it reads, or keeps in part.
fn read(i: &Instruction) -> Live {
    let unread = if is_seeded(Defect::ParityUnread) { RflagsBits::PF } else { 0 };
    let read = i.rflags_read() & !unread;
    let follows = [
        (RflagsBits::CF, Live::CARRY),
        (RflagsBits::ZF, Live::ZERO),
        (RflagsBits::SF | RflagsBits::PF, Live::SIGN),
        (RflagsBits::OF, Live::LESS | Live::SIGN),
        (RflagsBits::AF, Live::AUX | Live::SIGN),
    ];
    let direct = follows.into_iter().filter(|(bits, _)| read & bits != 0);
    let partial = i.rflags_modified() & STATUS != 0 && written(i) == Live::NONE;
    let kept = if partial { Live::ALL } else { Live::NONE };
    direct.fold(kept, |all, (_, slots)| all | slots)
}
