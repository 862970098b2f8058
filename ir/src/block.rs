//! Translation blocks.

use base::cpu::{Admission, Approach};
use base::{GuestVirt, HelperId, RegSlot};

use crate::ops::{Opcode, Shape};
use crate::types::{Condition, FpMode, FpRound, MemOrder, Type};

/// Where [`Inst::mode`] stands in `aux`.
const FP_MODE_SHIFT: u32 = 3;

/// Identifies a translation: the guest pc and, in the upper 16 bits, the guest's translation flags
/// (what else the meaning of the code depends on). Two blocks of one key are the same translation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct BlockKey(pub u64);

impl BlockKey {
    /// Bits of the pc in a key.
    pub const PC_BITS: u32 = 48;

    /// The key of a pc and flags that are already in their place. Of the pc it has 48 bits: see
    /// [`BlockKey::can_name`].
    #[inline]
    #[must_use]
    pub const fn new(pc: GuestVirt, flags: u64) -> Self {
        Self(pc.0 & ((1 << Self::PC_BITS) - 1) | flags)
    }

    /// Whether a key can name the pc: whether it is sign-extended from 48 bits. No program has code
    /// elsewhere.
    #[inline]
    #[must_use]
    pub const fn can_name(pc: GuestVirt) -> bool {
        Self::new(pc, 0).pc().0 == pc.0
    }

    /// The guest pc, sign-extended from 48 bits.
    #[inline]
    #[must_use]
    pub const fn pc(self) -> GuestVirt {
        let shift = 64 - Self::PC_BITS;
        GuestVirt((((self.0 << shift) as i64) >> shift) as u64)
    }

    /// The translation flags, in their place.
    #[inline]
    #[must_use]
    pub const fn flags(self) -> u64 {
        self.0 & !((1 << Self::PC_BITS) - 1)
    }

    /// The key of another pc under the same flags.
    #[inline]
    #[must_use]
    pub const fn at(self, pc: GuestVirt) -> Self {
        Self::new(pc, self.flags())
    }
}

impl std::fmt::Debug for BlockKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.pc())?;
        if self.flags() != 0 {
            write!(f, "/{:#x}", self.flags() >> Self::PC_BITS)?;
        }
        Ok(())
    }
}

/// An operand or a destination, packed in 32 bits: a temporary, a guest register slot, a small
/// constant, or an index into the block's pool of large constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Operand(u32);

/// An [`Operand`], unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OperandKind {
    /// No operand, or no result.
    None,
    /// A temporary: defined once in the block, before its uses.
    Temp(u16),
    /// A guest register slot, as it is at this place.
    Slot(RegSlot),
    /// A constant.
    Const(u64),
}

const TAG_SHIFT: u32 = 30;
const PAYLOAD: u32 = (1 << TAG_SHIFT) - 1;
const TAG_TEMP: u32 = 0;
const TAG_SLOT: u32 = 1;
const TAG_SMALL: u32 = 2;
const TAG_POOL: u32 = 3;

impl Operand {
    /// No operand, or no result.
    pub const NONE: Self = Self(u32::MAX);

    /// A temporary.
    #[inline]
    #[must_use]
    pub const fn temp(index: u16) -> Self {
        Self(TAG_TEMP << TAG_SHIFT | index as u32)
    }

    /// A guest register slot.
    #[inline]
    #[must_use]
    pub const fn slot(slot: RegSlot) -> Self {
        Self(TAG_SLOT << TAG_SHIFT | slot.0 as u32)
    }

    /// A constant that fits 30 bits, sign-extended; `None` if it needs the pool.
    #[inline]
    #[must_use]
    pub const fn small(value: u64) -> Option<Self> {
        let shift = 64 - TAG_SHIFT;
        if ((value << shift) as i64 >> shift) as u64 == value {
            Some(Self(TAG_SMALL << TAG_SHIFT | value as u32 & PAYLOAD))
        } else {
            None
        }
    }

    /// Whether it is [`Operand::NONE`].
    #[inline]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }

    /// The temporary's index, if it is one.
    #[inline]
    #[must_use]
    pub const fn as_temp(self) -> Option<u16> {
        if self.0 >> TAG_SHIFT == TAG_TEMP { Some(self.0 as u16) } else { None }
    }

    /// The slot, if it is one.
    #[inline]
    #[must_use]
    pub const fn as_slot(self) -> Option<RegSlot> {
        if self.0 >> TAG_SHIFT == TAG_SLOT { Some(RegSlot(self.0 as u16)) } else { None }
    }

    /// Its index in the block's pool, if it is a constant that stands there.
    #[inline]
    #[must_use]
    pub const fn pool_index(self) -> Option<usize> {
        if self.0 >> TAG_SHIFT == TAG_POOL && !self.is_none() {
            Some((self.0 & PAYLOAD) as usize)
        } else {
            None
        }
    }

    /// Whether it is a constant.
    #[inline]
    #[must_use]
    pub const fn is_const(self) -> bool {
        self.0 >> TAG_SHIFT >= TAG_SMALL && !self.is_none()
    }
}

impl std::fmt::Debug for Operand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 >> TAG_SHIFT {
            _ if self.is_none() => write!(f, "_"),
            TAG_TEMP => write!(f, "t{}", self.0 as u16),
            TAG_SLOT => write!(f, "s{}", self.0 as u16),
            TAG_SMALL => write!(f, "{}", ((self.0 << 2) as i32) >> 2),
            _ => write!(f, "pool{}", self.0 & PAYLOAD),
        }
    }
}

/// One operation of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inst {
    /// What it does.
    pub op: Opcode,
    /// The type at which it works.
    pub ty: Type,
    /// Ordering, rounding or a second type, by the operation's shape; see the accessors.
    pub aux: u16,
    /// Address offset in bytes, helper id, or a mark's offset, by the operation's shape.
    pub imm: i32,
    /// Where the result goes: a temporary, a slot, or nowhere.
    pub dst: Operand,
    /// Operands; unused ones are [`Operand::NONE`].
    pub args: [Operand; 4],
}

impl Inst {
    /// Rounding mode of a floating-point operation.
    #[must_use]
    pub const fn round(&self) -> FpRound {
        FpRound::ALL[(self.aux & 7) as usize % FpRound::ALL.len()]
    }

    /// Ordering of a memory access.
    #[must_use]
    pub const fn order(&self) -> MemOrder {
        MemOrder::ALL[(self.aux & 3) as usize]
    }

    /// The second type of a conversion.
    #[must_use]
    pub const fn other_type(&self) -> Type {
        Type::ALL[(self.aux >> 8) as usize % Type::ALL.len()]
    }

    /// Departures of a floating-point operation from the guest's usual rules.
    #[must_use]
    pub const fn mode(&self) -> FpMode {
        FpMode((self.aux >> FP_MODE_SHIFT) as u8 & FpMode::ALL.0)
    }

    /// Packs rounding and second type into `aux`.
    #[must_use]
    pub const fn fp_aux(round: FpRound, other: Type) -> u16 {
        round as u16 | (other as u16) << 8
    }

    /// Packs a mode into `aux`, beside what [`Inst::fp_aux`] does.
    #[must_use]
    pub const fn mode_aux(mode: FpMode) -> u16 {
        (mode.0 as u16) << FP_MODE_SHIFT
    }

    /// The condition on packed flags.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        Condition::ALL[self.aux as usize % Condition::ALL.len()]
    }

    /// Whether an operand or the destination is this slot.
    #[must_use]
    pub fn names_slot(&self, slot: RegSlot) -> bool {
        let slot = Operand::slot(slot);
        self.dst == slot || self.args.contains(&slot)
    }

    /// The first of the slots that an operation with status flags writes ([`crate::status`]).
    #[must_use]
    pub const fn first_slot(&self) -> RegSlot {
        RegSlot(self.imm as u16)
    }

    /// The helper that a call names.
    #[must_use]
    pub const fn helper(&self) -> HelperId {
        HelperId(self.imm as u16)
    }

    /// The type of the result as a container: what an operand that names it may read at most.
    #[must_use]
    pub const fn result_type(&self) -> Type {
        let ty = self.ty;
        match self.op.info().shape {
            Shape::Compare | Shape::FpCompare | Shape::Extend | Shape::Call => Type::I64,
            Shape::Flags | Shape::Condition | Shape::FpFlags => Type::I64,
            Shape::Load | Shape::GetLane if !ty.is_vector() && !ty.is_float() => Type::I64,
            Shape::GetLane if ty.lane().is_float() => ty.lane(),
            Shape::GetLane => Type::I64,
            Shape::FpToInt if ty.is_vector() => self.other_type(),
            Shape::FpToInt => Type::I64,
            Shape::ZextWide => Type::WIDE,
            Shape::Lengthen => ty.widened(),
            Shape::Narrow => ty.narrowed(),
            _ => match self.op {
                Opcode::NanBox => Type::F64,
                Opcode::FLanesEq | Opcode::FLanesGt | Opcode::FLanesGe => Type::WIDE,
                _ => ty,
            },
        }
    }

    /// The type at which operand `index` is read.
    #[must_use]
    pub const fn operand_type(&self, index: usize) -> Type {
        match (self.op.info().shape, index) {
            (Shape::Load | Shape::Store | Shape::AtomicRmw | Shape::AtomicCas, 0)
            | (Shape::AlignCheck | Shape::Select, 0)
            | (Shape::Call | Shape::Condition, _)
            | (Shape::Flags, 2)
            | (Shape::Shuffle, 2 | 3)
            | (Shape::CallWide, 3) => Type::I64,
            (Shape::Splat, _) | (Shape::SetLane, 1) => self.ty.lane(),
            (Shape::IntToFp | Shape::FpToFp, _) => self.other_type(),
            _ => match self.op {
                Opcode::NanUnbox => Type::F64,
                _ => self.ty,
            },
        }
    }
}

/// What a control transfer is for, so that return addresses can be predicted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// Neither of the others.
    Plain,
    /// A call that will return to this pc.
    Call(GuestVirt),
    /// A return.
    Return,
    /// What translations depend on beside the pc may have changed: the translation there is looked up by what holds then.
    Far,
}

/// Why a block ends in a trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// Undefined instruction, or one that the CPU does not have.
    Illegal,
    /// Breakpoint instruction.
    Breakpoint,
    /// The system-call instruction; the guest's pc is already past it.
    Syscall,
    /// A misaligned access ([`Opcode::AlignCheck`]).
    Misaligned,
    /// An instruction that whoever runs the block must execute: one of a privileged level. As with
    /// [`Trap::Illegal`], it has not begun.
    System,
}

/// How a block ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Terminator {
    /// Goes on at a known pc.
    Jump {
        /// Where.
        target: GuestVirt,
        /// What for.
        hint: Hint,
    },
    /// Goes on at one of two known pcs.
    Branch {
        /// An I64: taken if not zero.
        cond: Operand,
        /// Where, if taken.
        taken: GuestVirt,
        /// Where, if not.
        fallthrough: GuestVirt,
    },
    /// Goes on at a computed pc.
    Indirect {
        /// An I64: where.
        target: Operand,
        /// What for.
        hint: Hint,
        /// How it comes there.
        approach: Approach,
    },
    /// Leaves with a trap; `pc` is what the guest's pc will be.
    Trap {
        /// Why.
        trap: Trap,
        /// The guest's pc then.
        pc: GuestVirt,
    },
    /// Something changed that translations depend on (the key's flags, or the instruction stream
    /// itself): goes on at this pc by a fresh look-up of the key.
    Lookup {
        /// Where.
        target: GuestVirt,
    },
}

impl Terminator {
    /// Where the function that it calls returns to.
    #[must_use]
    pub const fn return_point(&self) -> Option<GuestVirt> {
        match *self {
            Self::Jump { hint: Hint::Call(back), .. }
            | Self::Indirect { hint: Hint::Call(back), .. } => Some(back),
            _ => None,
        }
    }

    /// The operand that it reads, if it reads one.
    #[must_use]
    pub const fn operand(&self) -> Option<Operand> {
        match *self {
            Self::Branch { cond: operand, .. } | Self::Indirect { target: operand, .. } => {
                Some(operand)
            }
            Self::Jump { .. } | Self::Trap { .. } | Self::Lookup { .. } => None,
        }
    }

    /// The same with another operand, if it reads one.
    #[must_use]
    pub const fn with_operand(self, operand: Operand) -> Self {
        match self {
            Self::Branch { taken, fallthrough, .. } => {
                Self::Branch { cond: operand, taken, fallthrough }
            }
            Self::Indirect { hint, approach, .. } => {
                Self::Indirect { target: operand, hint, approach }
            }
            _ => self,
        }
    }
}

impl Trap {
    /// All traps.
    pub const ALL: [Self; 5] =
        [Self::Illegal, Self::Breakpoint, Self::Syscall, Self::Misaligned, Self::System];

    /// As it stands in the text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Illegal => "illegal",
            Self::Breakpoint => "breakpoint",
            Self::Syscall => "syscall",
            Self::Misaligned => "misaligned",
            Self::System => "system",
        }
    }
}

/// A translation block. Two are equal if they are the same but for the order of their pools.
#[derive(Clone, Debug)]
pub struct Block {
    /// Which translation this is.
    pub key: BlockKey,
    /// The operations, in order. The first is a [`Opcode::Mark`].
    pub insts: Vec<Inst>,
    /// Constants that do not fit an operand.
    pub pool: Vec<u64>,
    /// How many temporaries the operations define: `t0 .. t(n-1)`.
    pub temps: u16,
    /// Bytes of guest code that it was made from, from the key's pc on.
    pub guest_bytes: u32,
    /// Guest instructions in it.
    pub guest_insns: u32,
    /// How it ends.
    pub terminator: Terminator,
    /// How jumps may come to it.
    pub admits: Admission,
}

impl Block {
    /// An empty block, to be filled by a [`crate::Builder`].
    #[must_use]
    pub fn new(key: BlockKey) -> Self {
        Self {
            key,
            insts: Vec::new(),
            pool: Vec::new(),
            temps: 0,
            guest_bytes: 0,
            guest_insns: 0,
            terminator: Terminator::Lookup { target: key.pc() },
            admits: Admission::ALL,
        }
    }

    /// Unpacks an operand of this block.
    #[inline]
    #[must_use]
    pub fn operand(&self, operand: Operand) -> OperandKind {
        let payload = operand.0 & PAYLOAD;
        match operand.0 >> TAG_SHIFT {
            _ if operand.is_none() => OperandKind::None,
            TAG_TEMP => OperandKind::Temp(payload as u16),
            TAG_SLOT => OperandKind::Slot(RegSlot(payload as u16)),
            TAG_SMALL => OperandKind::Const(((operand.0 << 2) as i32 >> 2) as i64 as u64),
            _ => OperandKind::Const(self.pool.get(payload as usize).copied().unwrap_or(0)),
        }
    }

    /// An operand for a constant, put into the pool if it must.
    pub fn constant(&mut self, value: u64) -> Operand {
        if let Some(small) = Operand::small(value) {
            return small;
        }
        let index = self.pool.iter().position(|&c| c == value).unwrap_or_else(|| {
            self.pool.push(value);
            self.pool.len() - 1
        });
        // A block has far fewer constants than 2^30 - 1.
        Operand(TAG_POOL << TAG_SHIFT | index as u32)
    }

    /// Pcs that this block can go on at without a look-up.
    pub fn successors(&self) -> impl Iterator<Item = GuestVirt> + use<> {
        let (a, b) = match self.terminator {
            Terminator::Jump { target, .. } => (Some(target), None),
            Terminator::Branch { taken, fallthrough, .. } => (Some(taken), Some(fallthrough)),
            _ => (None, None),
        };
        a.into_iter().chain(b)
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        let same = |a, b| self.operand(a) == other.operand(b);
        let same_inst = |(a, b): (&Inst, &Inst)| {
            (a.op, a.ty, a.aux, a.imm) == (b.op, b.ty, b.aux, b.imm)
                && same(a.dst, b.dst)
                && a.args.iter().zip(b.args).all(|(&a, b)| same(a, b))
        };
        let same_terminator = match (self.terminator.operand(), other.terminator.operand()) {
            (Some(a), Some(b)) => {
                same(a, b)
                    && self.terminator.with_operand(Operand::NONE)
                        == other.terminator.with_operand(Operand::NONE)
            }
            _ => self.terminator == other.terminator,
        };
        (self.key, self.temps, self.guest_bytes, self.guest_insns, self.admits)
            == (other.key, other.temps, other.guest_bytes, other.guest_insns, other.admits)
            && self.insts.len() == other.insts.len()
            && self.insts.iter().zip(&other.insts).all(same_inst)
            && same_terminator
    }
}

impl Eq for Block {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_pack_and_unpack() {
        let mut block = Block::new(BlockKey::new(GuestVirt(0x1000), 0));
        for value in [0, 1, u64::MAX, 1 << 29, (1 << 29) - 1, !(1 << 29), !(1 << 30), 1 << 63] {
            let operand = block.constant(value);
            assert_eq!(block.operand(operand), OperandKind::Const(value));
        }
        assert_eq!(block.operand(Operand::temp(7)), OperandKind::Temp(7));
        assert_eq!(block.operand(Operand::slot(RegSlot(511))), OperandKind::Slot(RegSlot(511)));
        assert_eq!(block.operand(Operand::NONE), OperandKind::None);
    }

    #[test]
    fn keys_keep_pc_and_flags_apart() {
        let key = BlockKey::new(GuestVirt(0x3f_ffff_f000), 5 << BlockKey::PC_BITS);
        assert_eq!((key.pc(), key.flags() >> 48), (GuestVirt(0x3f_ffff_f000), 5));
        assert_eq!(BlockKey::new(GuestVirt(u64::MAX), 0).pc(), GuestVirt(u64::MAX));
        let named = [0, 0x3f_ffff_f000, 0x7fff_ffff_ffff, !0x7fff_ffff_ffff, u64::MAX];
        assert!(named.map(GuestVirt).into_iter().all(BlockKey::can_name));
        let beyond = [1 << 47, 1 << 48, 0x0054_0000_0001_0000, 1 << 63];
        assert!(!beyond.map(GuestVirt).into_iter().any(BlockKey::can_name));
    }
}
