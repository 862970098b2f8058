//! How instructions reach their operands (SDM vol. 1, 3.4.1 and 3.7): the rules that hold for all of them. A write
//! of 32 bits clears the upper half of its register; one of 8 or 16 leaves all others.

use arch::x86_64::slot;
use decoders::x86_64::{OpKind, Register};
use ir::{MemOrder, Opcode, Type, Val};

use super::{Flow, Insn};

/// Where RSP stands.
pub(super) const RSP: u8 = 4;

/// An address as an operation takes it: a base and a constant.
#[derive(Clone, Copy)]
pub(super) struct Address<'b> {
    pub(super) base: Val<'b>,
    pub(super) offset: i32,
}

impl Address<'_> {
    /// The address of what follows so many bytes after it. Offsets in instructions leave room for those of parts of
    /// an operand, or are not used as such.
    pub(super) fn plus(self, bytes: i32) -> Self {
        Self { offset: self.offset.wrapping_add(bytes), ..self }
    }
}

/// Where an operand is.
#[derive(Clone, Copy)]
pub(super) enum Place<'b> {
    /// The low bits of a general-purpose register.
    Gpr(u8, Type),
    /// Bits 15:8 of one: AH, CH, DH, BH.
    High(u8),
    /// Memory.
    Memory(Address<'b>, Type),
    /// A constant of an instruction.
    Immediate(u64, Type),
}

impl Place<'_> {
    pub(super) fn ty(&self) -> Type {
        match *self {
            Self::Gpr(_, ty) | Self::Memory(_, ty) | Self::Immediate(_, ty) => ty,
            Self::High(_) => Type::I8,
        }
    }
}

/// The integer of so many bytes.
pub(super) fn integer(bytes: usize) -> Type {
    match bytes {
        1 => Type::I8,
        2 => Type::I16,
        4 => Type::I32,
        _ => Type::I64,
    }
}

/// A general-purpose register's number.
pub(super) fn number(register: Register) -> u8 {
    register.full_register().number() as u8 & 15
}

impl<'b> Insn<'b> {
    /// A general-purpose register.
    pub(super) fn gpr(&self, n: u8) -> Val<'b> {
        self.b.slot(slot::gpr(n))
    }

    /// Where operand `n` is.
    pub(super) fn place(&self, n: u32) -> Place<'b> {
        match self.i.op_kind(n) {
            OpKind::Register => self.place_of(self.i.op_register(n)),
            OpKind::Memory => Place::Memory(self.address(), integer(self.i.memory_size().size())),
            // Their type is that of the operand that they are combined with.
            _ => Place::Immediate(self.i.immediate(n), self.type_of_first()),
        }
    }

    fn type_of_first(&self) -> Type {
        match self.i.op_kind(0) {
            OpKind::Register => integer(self.i.op_register(0).size()),
            OpKind::Memory => integer(self.i.memory_size().size()),
            _ => Type::I64,
        }
    }

    pub(super) fn place_of(&self, register: Register) -> Place<'b> {
        match register {
            Register::AH | Register::CH | Register::DH | Register::BH => {
                Place::High(number(register))
            }
            _ => Place::Gpr(number(register), integer(register.size())),
        }
    }

    /// What is there, at its type.
    pub(super) fn read(&self, place: Place<'b>) -> Val<'b> {
        match place {
            Place::Gpr(n, ty) => self.gpr(n).at(ty),
            Place::High(n) => self.gpr(n).shr_u(self.konst(8)).low8(),
            Place::Memory(at, ty) => self.load(at, ty).at(ty),
            Place::Immediate(value, ty) => self.konst_of(ty, value),
        }
    }

    /// Writes what is there, by its type; to a constant nothing.
    pub(super) fn write(&self, place: Place<'b>, value: Val<'b>) {
        let merge = |n: u8, mask: u64, bits: Val<'b>| {
            self.b.set_slot(slot::gpr(n), self.gpr(n) & self.konst(!mask) | bits);
        };
        match place {
            Place::Gpr(n, Type::I8) => merge(n, 0xff, value.low8().zext()),
            Place::Gpr(n, Type::I16) => merge(n, 0xffff, value.low16().zext()),
            Place::Gpr(n, ty) => self.b.set_slot(slot::gpr(n), value.at(ty).zext()),
            Place::High(n) => merge(n, 0xff00, value.low8().zext().shl(self.konst(8))),
            Place::Memory(at, ty) => self.store(at, ty, value),
            Place::Immediate(..) => {}
        }
    }

    /// Reads operand `n`.
    pub(super) fn op(&self, n: u32) -> Val<'b> {
        self.read(self.place(n))
    }

    /// Writes operand `n`. Not for one that is read as well, if it may be memory.
    pub(super) fn set_op(&self, n: u32, value: Val<'b>) -> Flow {
        self.write(self.place(n), value);
        Flow::Next
    }

    /// The first operand becomes what a function makes of it.
    pub(super) fn update(&self, new: impl FnOnce(Val<'b>) -> Val<'b>) -> Flow {
        let place = self.place(0);
        let value = new(self.read(place));
        self.write(place, value);
        Flow::Next
    }

    /// An integer in memory, zero-extended.
    pub(super) fn load(&self, at: Address<'b>, ty: Type) -> Val<'b> {
        self.b.load_u(ty, at.base, at.offset, MemOrder::Acquire)
    }

    /// An integer to memory: the low bits of a value.
    pub(super) fn store(&self, at: Address<'b>, ty: Type, value: Val<'b>) {
        self.b.store(ty, at.base, at.offset, value.at(ty), MemOrder::Release);
    }

    /// What was in memory, at its type, and is now combined with a value, at once.
    pub(super) fn atomic(&self, op: Opcode, at: Address<'b>, ty: Type, value: Val<'b>) -> Val<'b> {
        self.b.atomic(op, ty, self.linear(at), value.at(ty))
    }

    /// Whether it accesses its first operand, in memory, at once.
    pub(super) fn is_locked(&self) -> bool {
        self.i.has_lock_prefix() && self.i.op0_kind() == OpKind::Memory
    }

    /// An address as one value.
    pub(super) fn linear(&self, at: Address<'b>) -> Val<'b> {
        match at.offset {
            0 => at.base,
            offset => at.base + self.konst(i64::from(offset) as u64),
        }
    }

    /// The address of the operand in memory (SDM vol. 1, 3.7.5): segment, base, index, scale and displacement. It wraps at
    /// 64 bits; with an address-size prefix, the offset in the segment wraps at 32.
    pub(super) fn address(&self) -> Address<'b> {
        let offset = self.effective_address();
        let Some(segment) = self.segment_base() else { return offset };
        let is_constant = self.base().is_none() && self.index().is_none();
        match small(self.i.memory_displacement64()).filter(|_| is_constant) {
            Some(offset) => Address { base: segment, offset },
            None => Address { base: segment + offset.base, offset: offset.offset },
        }
    }

    /// The base of the segment, if it may be other than 0.
    pub(super) fn segment_base(&self) -> Option<Val<'b>> {
        match self.i.memory_segment() {
            Register::FS => Some(self.b.slot(slot::FS_BASE)),
            Register::GS => Some(self.b.slot(slot::GS_BASE)),
            _ => None,
        }
    }

    /// Whether addresses have 32 bits, by the prefix.
    pub(super) fn has_short_addresses(&self) -> bool {
        self.i.memory_base().is_gpr32() || self.i.memory_index().is_gpr32()
    }

    fn base(&self) -> Option<Val<'b>> {
        self.part(self.i.memory_base())
    }

    fn index(&self) -> Option<Val<'b>> {
        let scale = self.i.memory_index_scale().trailing_zeros();
        let index = self.part(self.i.memory_index())?;
        Some(if scale == 0 { index } else { index.shl(self.konst(scale.into())) })
    }

    /// A register of an address. The decoder adds RIP to the displacement; indices that are vectors are for those who
    /// know of them.
    fn part(&self, register: Register) -> Option<Val<'b>> {
        register.is_gpr().then(|| self.gpr(number(register)))
    }

    /// The offset in the segment: what LEA gives.
    pub(super) fn effective_address(&self) -> Address<'b> {
        let displacement = self.i.memory_displacement64();
        let sum = match (self.base(), self.index()) {
            (Some(base), Some(index)) => base + index,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return Address { base: self.konst(displacement), offset: 0 },
        };
        if self.has_short_addresses() {
            let sum = sum + self.konst(displacement);
            return Address { base: sum.low32().zext(), offset: 0 };
        }
        match small(displacement) {
            Some(offset) => Address { base: sum, offset },
            None => Address { base: sum + self.konst(displacement), offset: 0 },
        }
    }
}

/// A displacement as an operation takes it, if it does, with room for the parts of an operand.
fn small(displacement: u64) -> Option<i32> {
    i32::try_from(displacement as i64).ok().filter(|&offset| offset < i32::MAX - 64)
}
