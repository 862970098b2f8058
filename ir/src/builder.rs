//! Builds blocks. A translator writes an instruction's meaning with [`Val`]s:
//!
//! ```
//! use base::{GuestVirt, RegSlot};
//! use ferry_ir::{BlockKey, Builder, Type};
//!
//! let b = Builder::new();
//! b.begin(BlockKey::new(GuestVirt(0x1000), 0));
//! b.begin_insn(GuestVirt(0x1000), 4);
//! let sum = b.slot(RegSlot(1)) + b.slot(RegSlot(2));
//! b.set_slot(RegSlot(3), sum);
//! b.end_insn();
//! let block = b.finish(GuestVirt(0x1004));
//! assert_eq!(block.insts.len(), 2); // the mark, and one `add`
//! ```
//!
//! Reading a slot emits nothing: the operand names it. Writing one takes effect at the end of the
//! guest instruction, so that every read within an instruction sees the register as it was before
//! it, and an access that faults leaves all registers untouched: both are what the manuals say.

use std::cell::RefCell;
use std::ops;

use base::cpu::Admission;
use base::{GuestVirt, HelperId, RegSlot};

use crate::block::{Block, BlockKey, Inst, Operand, Terminator};
use crate::ops::{Opcode, flag};
use crate::types::{Condition, FpMode, FpRound, MemOrder, Type};

/// Makes one block at a time; reused for many.
#[derive(Debug)]
pub struct Builder {
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    block: Block,
    /// Index of the current instruction's mark.
    mark: usize,
    /// Slot writes of the current instruction, not yet in effect.
    pending: Vec<Pending>,
    ended: bool,
    /// Of all floating-point operations.
    mode: FpMode,
    /// Temporaries that the block's operations will take once they are expanded.
    spare: u16,
}

/// A slot write that takes effect at the instruction's end.
#[derive(Clone, Copy, Debug)]
struct Pending {
    slot: RegSlot,
    value: Operand,
    /// I64, or [`Type::WIDE`] for a wide slot.
    ty: Type,
}

/// A value: an operand and the type at which arithmetic on it works.
#[derive(Clone, Copy)]
pub struct Val<'b> {
    builder: &'b Builder,
    operand: Operand,
    ty: Type,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Temporaries after which a translator must end the block.
    pub const SOFT_TEMP_LIMIT: u16 = 384;

    /// A builder without a block.
    #[must_use]
    pub fn new() -> Self {
        let block = Block::new(BlockKey(0));
        let (pending, mode) = (Vec::new(), FpMode::NONE);
        let state = State { block, mark: 0, pending, ended: false, mode, spare: 0 };
        Self { state: RefCell::new(state) }
    }

    /// Starts a block, forgetting the one before.
    pub fn begin(&self, key: BlockKey) {
        let state = &mut *self.state.borrow_mut();
        state.block.insts.clear();
        state.block.pool.clear();
        state.block.key = key;
        state.block.temps = 0;
        state.block.guest_bytes = 0;
        state.block.guest_insns = 0;
        state.block.terminator = Terminator::Lookup { target: key.pc() };
        state.block.admits = Admission::ALL;
        state.pending.clear();
        state.ended = false;
        state.mode = FpMode::NONE;
        state.spare = 0;
    }

    /// Sets how jumps may come to the block: by default in any way.
    pub fn admit(&self, admission: Admission) {
        self.state.borrow_mut().block.admits = admission;
    }

    /// Sets how the block's floating-point operations depart from the guest's usual rules, from here
    /// on.
    pub fn set_fp_mode(&self, mode: FpMode) {
        self.state.borrow_mut().mode = mode;
    }

    /// Marks the start of a guest instruction of `len` bytes.
    pub fn begin_insn(&self, pc: GuestVirt, len: u16) {
        let state = &mut *self.state.borrow_mut();
        let offset = pc.0.wrapping_sub(state.block.key.pc().0);
        state.mark = state.block.insts.len();
        state.block.guest_insns += 1;
        state.block.guest_bytes = state.block.guest_bytes.max(offset as u32 + u32::from(len));
        state.block.insts.push(Inst {
            op: Opcode::Mark,
            ty: Type::I64,
            aux: len,
            imm: offset as i32,
            dst: Operand::NONE,
            args: [Operand::NONE; 4],
        });
    }

    /// Ends a guest instruction: its slot writes take effect.
    pub fn end_insn(&self) {
        self.state.borrow_mut().flush();
    }

    /// Drops what the current instruction has emitted since its mark, slot writes included: it
    /// turned out to be undefined.
    pub fn abandon_insn(&self) {
        let state = &mut *self.state.borrow_mut();
        state.block.insts.truncate(state.mark + 1);
        state.pending.clear();
    }

    /// Whether the block must end for want of room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let state = self.state.borrow();
        state.block.temps + state.spare >= Self::SOFT_TEMP_LIMIT
    }

    /// How many guest instructions the block has so far.
    #[must_use]
    pub fn guest_insns(&self) -> u32 {
        self.state.borrow().block.guest_insns
    }

    /// Sets how the block ends.
    pub fn terminate(&self, terminator: Terminator) {
        let state = &mut *self.state.borrow_mut();
        state.block.terminator = terminator;
        state.ended = true;
    }

    /// Whether [`Builder::terminate`] was called.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.state.borrow().ended
    }

    /// The finished block. Where nothing ended it, it goes on at `next`.
    #[must_use]
    pub fn finish(&self, next: GuestVirt) -> Block {
        self.with_finished(next, Block::clone)
    }

    /// As [`Builder::finish`], without a copy: for tier 0, which keeps no IR.
    pub fn with_finished<R>(&self, next: GuestVirt, use_it: impl FnOnce(&Block) -> R) -> R {
        let state = &mut *self.state.borrow_mut();
        state.flush();
        if !state.ended {
            state.block.terminator =
                Terminator::Jump { target: next, hint: crate::block::Hint::Plain };
            state.ended = true;
        }
        use_it(&state.block)
    }

    /// The 64 bits of a guest register slot, as they were before this instruction.
    #[must_use]
    pub fn slot(&self, slot: RegSlot) -> Val<'_> {
        self.val(Operand::slot(slot), Type::I64)
    }

    /// The low bits of a slot, wide or not, at a type.
    #[must_use]
    pub fn slot_at(&self, slot: RegSlot, ty: Type) -> Val<'_> {
        self.val(Operand::slot(slot), ty)
    }

    /// The 128 bits of a wide slot, as they were before this instruction.
    #[must_use]
    pub fn wide(&self, slot: RegSlot) -> Val<'_> {
        self.val(Operand::slot(slot), Type::WIDE)
    }

    /// Writes a slot at the end of this instruction. The value must be 64 bits wide.
    pub fn set_slot(&self, slot: RegSlot, value: Val<'_>) {
        debug_assert_eq!(value.ty.bits(), 64, "a slot takes 64 bits: extend the value first");
        self.state.borrow_mut().set(Pending { slot, value: value.operand, ty: Type::I64 });
    }

    /// Writes a wide slot at the end of this instruction. The value must be a vector.
    pub fn set_wide(&self, slot: RegSlot, value: Val<'_>) {
        debug_assert!(value.ty.is_vector(), "a wide slot takes 128 bits");
        self.state.borrow_mut().set(Pending { slot, value: value.operand, ty: Type::WIDE });
    }

    /// A 64-bit constant.
    #[must_use]
    pub fn konst(&self, value: u64) -> Val<'_> {
        self.konst_of(Type::I64, value)
    }

    /// A constant of a type.
    #[must_use]
    pub fn konst_of(&self, ty: Type, value: u64) -> Val<'_> {
        let operand = self.state.borrow_mut().block.constant(value);
        self.val(operand, ty)
    }

    /// Loads an integer and zero-extends it.
    #[must_use]
    pub fn load_u(&self, ty: Type, base: Val<'_>, offset: i32, order: MemOrder) -> Val<'_> {
        self.memory(Opcode::LoadU, ty, order, offset, &[base], Type::I64)
    }

    /// Loads an integer and sign-extends it.
    #[must_use]
    pub fn load_s(&self, ty: Type, base: Val<'_>, offset: i32, order: MemOrder) -> Val<'_> {
        self.memory(Opcode::LoadS, ty, order, offset, &[base], Type::I64)
    }

    /// Loads 128 bits.
    #[must_use]
    pub fn load_wide(&self, base: Val<'_>, offset: i32, order: MemOrder) -> Val<'_> {
        self.memory(Opcode::LoadU, Type::WIDE, order, offset, &[base], Type::WIDE)
    }

    /// Loads a float.
    #[must_use]
    pub fn load_f(&self, ty: Type, base: Val<'_>, offset: i32) -> Val<'_> {
        self.memory(Opcode::LoadU, ty, MemOrder::Plain, offset, &[base], ty)
    }

    /// Stores the low bits of a value.
    pub fn store(&self, ty: Type, base: Val<'_>, offset: i32, value: Val<'_>, order: MemOrder) {
        self.effect(Opcode::Store, ty, order as u16, offset, &[base, value]);
    }

    /// An atomic read-modify-write; the result has the type's width, unextended.
    #[must_use]
    pub fn atomic(&self, op: Opcode, ty: Type, base: Val<'_>, value: Val<'_>) -> Val<'_> {
        self.memory(op, ty, MemOrder::SeqCst, 0, &[base, value], ty)
    }

    /// An atomic compare-and-swap; the result has the type's width, unextended.
    #[must_use]
    pub fn atomic_cas<'b>(
        &'b self,
        ty: Type,
        base: Val<'b>,
        expected: Val<'b>,
        new: Val<'b>,
    ) -> Val<'b> {
        self.memory(Opcode::AtomicCas, ty, MemOrder::SeqCst, 0, &[base, expected, new], ty)
    }

    /// Leaves with a misalignment trap unless `base` is a multiple of the type's size.
    pub fn align_check(&self, ty: Type, base: Val<'_>) {
        self.effect(Opcode::AlignCheck, ty, 0, 0, &[base]);
    }

    /// Orders accesses: earlier loads before all later accesses (`Acquire`), all earlier accesses
    /// before later stores (`Release`), or everything (`SeqCst`). A fence that the host needs no
    /// instruction for still keeps accesses from being merged or moved across it.
    pub fn fence(&self, order: MemOrder) {
        self.effect(Opcode::Fence, Type::I64, order as u16, 0, &[]);
    }

    /// Calls a helper for its 64-bit result.
    pub fn call(&self, helper: HelperId, args: &[Val<'_>]) -> Val<'_> {
        self.emit(Opcode::Call, Type::I64, 0, i32::from(helper.0), args, Type::I64)
    }

    /// Calls a helper for its effects.
    pub fn call_void(&self, helper: HelperId, args: &[Val<'_>]) {
        self.effect(Opcode::Call, Type::I64, 0, i32::from(helper.0), args);
    }

    /// Calls a helper of vectors. Its operands are a number and vectors; those that it has no use for
    /// are given as zeros ([`Builder::zeros`]).
    pub fn call_wide<'b>(
        &'b self,
        helper: HelperId,
        number: Val<'b>,
        vectors: [Val<'b>; 3],
    ) -> Val<'b> {
        let [a, b, c] = vectors;
        let imm = i32::from(helper.0);
        self.emit(Opcode::CallWide, Type::WIDE, 0, imm, &[a, b, c, number], Type::WIDE)
    }

    /// A vector of zeros.
    #[must_use]
    pub fn zeros(&self) -> Val<'_> {
        self.splat(Type::WIDE, self.konst(0))
    }

    /// A vector of which every lane is the scalar.
    #[must_use]
    pub fn splat<'b>(&'b self, ty: Type, lane: Val<'b>) -> Val<'b> {
        debug_assert!(ty.is_vector() && lane.ty.bits() >= ty.lane().bits());
        self.emit(Opcode::Splat, ty, 0, 0, &[lane], ty)
    }

    /// N, Z, C and V of `a + b + carry`, the carry being 0 or 1: see [`Opcode::FlagsAdd`].
    #[must_use]
    pub fn flags_add<'b>(&'b self, a: Val<'b>, b: Val<'b>, carry: Val<'b>) -> Val<'b> {
        self.emit(Opcode::FlagsAdd, a.ty, 0, 0, &[a, b, carry], Type::I64)
    }

    /// N, Z, C and V of `a + !b + carry`: see [`Opcode::FlagsSub`].
    #[must_use]
    pub fn flags_sub<'b>(&'b self, a: Val<'b>, b: Val<'b>, carry: Val<'b>) -> Val<'b> {
        self.emit(Opcode::FlagsSub, a.ty, 0, 0, &[a, b, carry], Type::I64)
    }

    /// An operation with status flags, which it writes to five slots from `first` on ([`crate::status`]). It must come
    /// after whatever else may leave the instruction, and read those slots.
    pub fn status<'b>(&'b self, op: Opcode, (a, b): (Val<'b>, Val<'b>), first: RegSlot) -> Val<'b> {
        self.state.borrow_mut().spare += 2;
        self.emit(op, a.ty, 0, first.0.into(), &[a, b], a.ty)
    }

    fn val(&self, operand: Operand, ty: Type) -> Val<'_> {
        Val { builder: self, operand, ty }
    }

    fn memory(
        &self,
        op: Opcode,
        ty: Type,
        order: MemOrder,
        offset: i32,
        args: &[Val<'_>],
        result: Type,
    ) -> Val<'_> {
        self.emit(op, ty, order as u16, offset, args, result)
    }

    fn emit(
        &self,
        op: Opcode,
        ty: Type,
        aux: u16,
        imm: i32,
        args: &[Val<'_>],
        result: Type,
    ) -> Val<'_> {
        let state = &mut *self.state.borrow_mut();
        let dst = state.new_temp(result);
        state.push(op, ty, aux, imm, dst, args);
        self.val(dst, result)
    }

    fn effect(&self, op: Opcode, ty: Type, aux: u16, imm: i32, args: &[Val<'_>]) {
        self.state.borrow_mut().push(op, ty, aux, imm, Operand::NONE, args);
    }
}

impl State {
    fn push(
        &mut self,
        op: Opcode,
        ty: Type,
        mut aux: u16,
        imm: i32,
        dst: Operand,
        args: &[Val<'_>],
    ) {
        let mut operands = [Operand::NONE; 4];
        for (operand, arg) in operands.iter_mut().zip(args) {
            *operand = arg.operand;
        }
        if op.info().has(flag::FP_FLAGS) {
            aux |= Inst::mode_aux(self.mode);
        }
        self.block.insts.push(Inst { op, ty, aux, imm, dst, args: operands });
    }

    fn set(&mut self, new: Pending) {
        match self.pending.iter_mut().find(|old| old.slot == new.slot) {
            Some(old) => *old = new,
            None => self.pending.push(new),
        }
    }

    /// A new temporary; a wide one takes two numbers.
    fn new_temp(&mut self, ty: Type) -> Operand {
        let temp = Operand::temp(self.block.temps);
        self.block.temps += if ty.is_vector() { 2 } else { 1 };
        temp
    }

    /// Puts the pending slot writes into effect: by renaming the destination of the operation that
    /// made the value where that is sound, else by moves that behave as if simultaneous.
    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut pending = std::mem::take(&mut self.pending);
        for index in 0..pending.len() {
            self.save_if_overwritten(&mut pending, index);
        }
        self.save_terminator_operand(&pending);
        for write in &pending {
            if !self.rename(write, &pending) {
                self.push_move(Operand::slot(write.slot), write.value, write.ty);
            }
        }
        pending.clear();
        self.pending = pending;
    }

    /// A pending value that is itself a slot which an earlier write of this instruction changes is
    /// saved in a temporary first.
    fn save_if_overwritten(&mut self, pending: &mut [Pending], index: usize) {
        let Pending { value, ty, .. } = pending[index];
        let Some(source) = value.as_slot() else { return };
        if pending[..index].iter().any(|write| write.slot == source) {
            pending[index].value = self.save(value, ty);
        }
    }

    /// The terminator reads its operand after the slot writes, but means the value from before.
    fn save_terminator_operand(&mut self, pending: &[Pending]) {
        let (Terminator::Branch { cond: operand, .. }
        | Terminator::Indirect { target: operand, .. }) = self.block.terminator
        else {
            return;
        };
        let overwritten = |slot| pending.iter().any(|write| write.slot == slot);
        if !self.ended || !operand.as_slot().is_some_and(overwritten) {
            return;
        }
        let saved = self.save(operand, Type::I64);
        if let Terminator::Branch { cond: operand, .. }
        | Terminator::Indirect { target: operand, .. } = &mut self.block.terminator
        {
            *operand = saved;
        }
    }

    fn save(&mut self, value: Operand, ty: Type) -> Operand {
        let temp = self.new_temp(ty);
        self.push_move(temp, value, ty);
        temp
    }

    fn push_move(&mut self, dst: Operand, value: Operand, ty: Type) {
        let args = [value, Operand::NONE, Operand::NONE, Operand::NONE];
        self.block.insts.push(Inst { op: Opcode::Mov, ty, aux: 0, imm: 0, dst, args });
    }

    /// Makes the operation that defined `value` write `slot` at once, if it is of this instruction,
    /// nothing after it reads the temporary or the slot, and nothing after it may fault.
    fn rename(&mut self, write: &Pending, pending: &[Pending]) -> bool {
        let (value, dst) = (write.value, Operand::slot(write.slot));
        if value.as_temp().is_none() || self.terminator_reads(value) {
            return false;
        }
        let used_once = pending.iter().filter(|other| other.value == value).count() == 1;
        let later_value = pending.iter().any(|other| other.value == dst);
        if !used_once || later_value || self.terminator_reads(dst) {
            return false;
        }
        for inst in self.block.insts[self.mark + 1..].iter_mut().rev() {
            if inst.dst == value {
                // A narrow slot may take the low bits of a wide value: by a move.
                let fits = inst.result_type().bits() == write.ty.bits();
                inst.dst = if fits { dst } else { value };
                return fits;
            }
            let leaves = inst.op.info().has_any(flag::FAULTS | flag::SPECIAL);
            if leaves || inst.dst == dst || inst.args.contains(&value) || inst.args.contains(&dst) {
                return false;
            }
        }
        false
    }

    fn terminator_reads(&self, operand: Operand) -> bool {
        match self.block.terminator {
            Terminator::Branch { cond, .. } => self.ended && cond == operand,
            Terminator::Indirect { target, .. } => self.ended && target == operand,
            _ => false,
        }
    }
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(self, other: Self) -> Self {
            self.binary(Opcode::$op, other)
        })*
    };
}

macro_rules! compare_methods {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(self, other: Self) -> Self {
            self.typed(Opcode::$op, 0, &[self, other], Type::I64)
        })*
    };
}

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(self) -> Self {
            self.typed(Opcode::$op, 0, &[self], self.ty)
        })*
    };
}

macro_rules! fp_methods {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),*) = $op:ident;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(self, $($arg: Self,)* round: FpRound) -> Self {
            self.typed(Opcode::$op, round as u16, &[self, $($arg),*], self.ty)
        })*
    };
}

#[expect(
    clippy::should_implement_trait,
    reason = "shifts stay named methods: an operator would not say which shift right is meant"
)]
impl<'b> Val<'b> {
    binary_methods! {
        /// `self & !other`.
        and_not = AndNot;
        /// Shift left, the amount modulo the width.
        shl = Shl;
        /// Logical shift right, the amount modulo the width.
        shr_u = ShrU;
        /// Arithmetic shift right, the amount modulo the width.
        shr_s = ShrS;
        /// Rotate left, the amount modulo the width.
        rotl = Rotl;
        /// Rotate right, the amount modulo the width.
        rotr = Rotr;
        /// High half of the unsigned product.
        mulhi_u = MulHiU;
        /// High half of the signed product.
        mulhi_s = MulHiS;
        /// High half of the product of signed `self` and unsigned `other`.
        mulhi_su = MulHiSU;
        /// Unsigned quotient; all ones for a zero divisor.
        div_u = DivU;
        /// Signed quotient; -1 for a zero divisor; wraps on overflow.
        div_s = DivS;
        /// Unsigned remainder; the dividend for a zero divisor.
        rem_u = RemU;
        /// Signed remainder; the dividend for a zero divisor; 0 on overflow.
        rem_s = RemS;
        /// The smaller, unsigned.
        min_u = MinU;
        /// The smaller, signed.
        min_s = MinS;
        /// The larger, unsigned.
        max_u = MaxU;
        /// The larger, signed.
        max_s = MaxS;
    }

    compare_methods! {
        /// 1 if equal, else 0.
        eq = Eq;
        /// 1 if not equal, else 0.
        ne = Ne;
        /// 1 if less, unsigned.
        lt_u = LtU;
        /// 1 if less or equal, unsigned.
        le_u = LeU;
        /// 1 if less, signed.
        lt_s = LtS;
        /// 1 if less or equal, signed.
        le_s = LeS;
        /// Floating point: equal, quiet.
        feq = FEq;
        /// Floating point: less, signalling.
        flt = FLt;
        /// Floating point: less or equal, signalling.
        fle = FLe;
        /// Floating point: less, quiet.
        flt_q = FLtQ;
        /// Floating point: less or equal, quiet.
        fle_q = FLeQ;
    }

    unary_methods! {
        /// Two's complement negation.
        negate = Neg;
        /// Leading zeros.
        clz = Clz;
        /// Trailing zeros.
        ctz = Ctz;
        /// Set bits.
        popcnt = Popcnt;
        /// Bytes in reverse order.
        bswap = Bswap;
        /// The value with its sign inverted.
        fneg = FNeg;
        /// The value with its sign cleared.
        fabs = FAbs;
    }

    fp_methods! {
        /// Sum.
        fadd(other) = FAdd;
        /// Difference.
        fsub(other) = FSub;
        /// Product.
        fmul(other) = FMul;
        /// Quotient.
        fdiv(other) = FDiv;
        /// Square root.
        fsqrt() = FSqrt;
        /// `self * factor + addend`, rounded once.
        fmul_add(factor, addend) = FMulAdd;
    }

    /// N, Z, C and V of a comparison; signalling.
    #[must_use]
    pub fn fcmp_flags(self, other: Self) -> Self {
        self.typed(Opcode::FCmpFlags, 0, &[self, other], Type::I64)
    }

    /// N, Z, C and V of a comparison; quiet.
    #[must_use]
    pub fn fcmp_flags_q(self, other: Self) -> Self {
        self.typed(Opcode::FCmpFlagsQ, 0, &[self, other], Type::I64)
    }

    /// 1 if these packed flags fulfil a condition, else 0.
    #[must_use]
    pub fn cond(self, condition: Condition) -> Self {
        self.builder.emit(Opcode::Cond, Type::I64, condition as u16, 0, &[self], Type::I64)
    }

    /// Rounded to an integer in the same format, never "inexact".
    #[must_use]
    pub fn fround(self, round: FpRound) -> Self {
        self.typed(Opcode::FRound, round as u16, &[self], self.ty)
    }

    /// Rounded to an integer in the same format, "inexact" if it was none.
    #[must_use]
    pub fn fround_x(self, round: FpRound) -> Self {
        self.typed(Opcode::FRoundX, round as u16, &[self], self.ty)
    }

    /// Zero-extended from its type to 128 bits, to be used as a vector of `ty`.
    #[must_use]
    pub fn zext_wide(self, ty: Type) -> Self {
        debug_assert!(ty.is_vector() && !self.ty.is_vector());
        self.builder.emit(Opcode::ZextWide, self.ty, 0, 0, &[self], ty)
    }

    /// A lane: an integer zero-extended to 64 bits, or a float.
    #[must_use]
    pub fn lane_u(self, lane: u32) -> Self {
        let result = if self.ty.lane().is_float() { self.ty.lane() } else { Type::I64 };
        self.builder.emit(Opcode::LaneU, self.ty, 0, lane as i32, &[self], result)
    }

    /// A lane, an integer sign-extended to 64 bits.
    #[must_use]
    pub fn lane_s(self, lane: u32) -> Self {
        debug_assert!(!self.ty.lane().is_float());
        self.builder.emit(Opcode::LaneS, self.ty, 0, lane as i32, &[self], Type::I64)
    }

    /// The vector with the scalar in one lane.
    #[must_use]
    pub fn set_lane(self, lane: u32, value: Self) -> Self {
        self.builder.emit(Opcode::SetLane, self.ty, 0, lane as i32, &[self, value], self.ty)
    }

    /// The bytes of this vector (numbers 0 to 15) and another (16 to 31) that `bytes` names.
    #[must_use]
    pub fn shuffle(self, other: Self, bytes: [u8; 16]) -> Self {
        let bytes = u128::from_le_bytes(bytes);
        let b = self.builder;
        let (low, high) = (b.konst(bytes as u64), b.konst((bytes >> 64) as u64));
        b.emit(Opcode::Shuffle, Type::I8x16, 0, 0, &[self, other, low, high], self.ty)
    }

    /// Lanes shifted left by a number.
    #[must_use]
    pub fn shl_lanes(self, by: u32) -> Self {
        self.builder.emit(Opcode::ShlLanes, self.ty, 0, by as i32, &[self], self.ty)
    }

    /// Lanes shifted right, logically, by a number.
    #[must_use]
    pub fn shr_lanes_u(self, by: u32) -> Self {
        self.builder.emit(Opcode::ShrLanesU, self.ty, 0, by as i32, &[self], self.ty)
    }

    /// Lanes shifted right, arithmetically, by a number.
    #[must_use]
    pub fn shr_lanes_s(self, by: u32) -> Self {
        self.builder.emit(Opcode::ShrLanesS, self.ty, 0, by as i32, &[self], self.ty)
    }

    /// Where the bits of this mask are ones, those of `ones`, else those of `zeros`.
    #[must_use]
    pub fn bit_select(self, ones: Self, zeros: Self) -> Self {
        self.builder.emit(Opcode::BitSelect, Type::WIDE, 0, 0, &[self, ones, zeros], ones.ty)
    }

    /// One of the operations on vectors of two operands whose result has the operands' type
    /// ([`Opcode::LanesEq`], [`Opcode::SatAddS`], [`Opcode::Swizzle`], …).
    #[must_use]
    pub fn lanes(self, op: Opcode, other: Self) -> Self {
        debug_assert!(self.ty.is_vector() && other.ty.is_vector());
        self.typed(op, 0, &[self, other], self.ty)
    }

    /// Magnitudes of lanes.
    #[must_use]
    pub fn abs_lanes(self) -> Self {
        self.typed(Opcode::AbsLanes, 0, &[self], self.ty)
    }

    /// One of the operations from a vector to one of wider lanes ([`Opcode::LengthenLowS`], …).
    #[must_use]
    pub fn lengthen(self, op: Opcode) -> Self {
        self.typed(op, 0, &[self], self.ty.widened())
    }

    /// One of the operations from a vector to one of narrower lanes ([`Opcode::SatNarrowS`], …).
    #[must_use]
    pub fn sat_narrow(self, op: Opcode) -> Self {
        self.typed(op, 0, &[self], self.ty.narrowed())
    }

    /// The same bits as a vector of another type: emits nothing.
    #[must_use]
    pub fn as_vector(self, ty: Type) -> Self {
        debug_assert!(ty.is_vector() && self.ty.is_vector());
        Self { ty, ..self }
    }

    /// Minimum by the guest's rules, a NaN if either is one.
    #[must_use]
    pub fn fminimum(self, other: Self) -> Self {
        self.binary(Opcode::FMinimum, other)
    }

    /// Maximum by the guest's rules, a NaN if either is one.
    #[must_use]
    pub fn fmaximum(self, other: Self) -> Self {
        self.binary(Opcode::FMaximum, other)
    }

    /// Minimum by the guest's rules.
    #[must_use]
    pub fn fmin(self, other: Self) -> Self {
        self.binary(Opcode::FMin, other)
    }

    /// Maximum by the guest's rules.
    #[must_use]
    pub fn fmax(self, other: Self) -> Self {
        self.binary(Opcode::FMax, other)
    }

    /// Its magnitude with the sign of `other`.
    #[must_use]
    pub fn fcopysign(self, other: Self) -> Self {
        self.binary(Opcode::FCopySign, other)
    }

    /// The type at which arithmetic on it works.
    #[must_use]
    pub fn ty(self) -> Type {
        self.ty
    }

    /// The operand, for a [`Terminator`].
    #[must_use]
    pub fn operand(self) -> Operand {
        self.operand
    }

    /// The same bits at another type of at most its width: emits nothing.
    #[must_use]
    pub fn at(self, ty: Type) -> Self {
        debug_assert!(ty.bits() <= self.ty.bits(), "narrowing only; widen by sext or zext");
        debug_assert!(!ty.is_vector(), "as_vector");
        Self { ty, ..self }
    }

    /// Its low 8 bits.
    #[must_use]
    pub fn low8(self) -> Self {
        self.at(Type::I8)
    }

    /// Its low 16 bits.
    #[must_use]
    pub fn low16(self) -> Self {
        self.at(Type::I16)
    }

    /// Its low 32 bits.
    #[must_use]
    pub fn low32(self) -> Self {
        self.at(Type::I32)
    }

    /// Sign-extended to 64 bits.
    #[must_use]
    pub fn sext(self) -> Self {
        self.extend(Opcode::Sext)
    }

    /// Zero-extended to 64 bits.
    #[must_use]
    pub fn zext(self) -> Self {
        self.extend(Opcode::Zext)
    }

    fn extend(self, op: Opcode) -> Self {
        match self.ty {
            Type::I64 => self,
            _ => self.typed(op, 0, &[self], Type::I64),
        }
    }

    /// `if_true` where this is not zero, else `if_false`.
    #[must_use]
    pub fn select(self, if_true: Self, if_false: Self) -> Self {
        let args = [self, if_true, if_false];
        self.builder.emit(Opcode::Select, if_true.ty, 0, 0, &args, if_true.ty)
    }

    /// To a signed integer of type `to`, sign-extended to 64 bits; or lane by lane.
    #[must_use]
    pub fn fto_s(self, to: Type, round: FpRound) -> Self {
        let result = if to.is_vector() { to } else { Type::I64 };
        self.typed(Opcode::FToS, Inst::fp_aux(round, to), &[self], result)
    }

    /// To an unsigned integer of type `to`, zero-extended to 64 bits; or lane by lane.
    #[must_use]
    pub fn fto_u(self, to: Type, round: FpRound) -> Self {
        let result = if to.is_vector() { to } else { Type::I64 };
        self.typed(Opcode::FToU, Inst::fp_aux(round, to), &[self], result)
    }

    /// From a signed integer of this value's type.
    #[must_use]
    pub fn sto_f(self, to: Type, round: FpRound) -> Self {
        self.convert(Opcode::SToF, to, round)
    }

    /// From an unsigned integer of this value's type.
    #[must_use]
    pub fn uto_f(self, to: Type, round: FpRound) -> Self {
        self.convert(Opcode::UToF, to, round)
    }

    /// To another floating-point format.
    #[must_use]
    pub fn fcvt(self, to: Type, round: FpRound) -> Self {
        self.convert(Opcode::FCvt, to, round)
    }

    fn convert(self, op: Opcode, to: Type, round: FpRound) -> Self {
        self.builder.emit(op, to, Inst::fp_aux(round, self.ty), 0, &[self], to)
    }

    /// A binary32, NaN-boxed in 64 bits.
    #[must_use]
    pub fn nan_box(self) -> Self {
        self.builder.emit(Opcode::NanBox, Type::F32, 0, 0, &[self], Type::F64)
    }

    /// The binary32 in a register of 64 bits; canonical NaN if it is not NaN-boxed.
    #[must_use]
    pub fn nan_unbox(self) -> Self {
        self.builder.emit(Opcode::NanUnbox, Type::F32, 0, 0, &[self], Type::F32)
    }

    fn binary(self, op: Opcode, other: Self) -> Self {
        debug_assert_eq!(self.ty.bits(), other.ty.bits(), "operands of one width");
        self.typed(op, 0, &[self, other], self.ty)
    }

    /// Emits an operation at this value's type; where that does not matter for a vector, at
    /// [`Type::WIDE`].
    fn typed(self, op: Opcode, aux: u16, args: &[Self], result: Type) -> Self {
        let bitwise =
            matches!(op, Opcode::And | Opcode::Or | Opcode::Xor | Opcode::AndNot | Opcode::Not);
        let whole = match op {
            Opcode::Swizzle => Type::I8x16,
            _ if bitwise && self.ty.is_vector() => Type::WIDE,
            _ => self.ty,
        };
        self.builder.emit(op, whole, aux, 0, args, result)
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident;)*) => {
        $(impl<'b> ops::$trait for Val<'b> {
            type Output = Val<'b>;
            fn $method(self, other: Val<'b>) -> Val<'b> {
                self.binary(Opcode::$op, other)
            }
        })*
    };
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    BitAnd bitand And;
    BitOr bitor Or;
    BitXor bitxor Xor;
}

impl<'b> ops::Not for Val<'b> {
    type Output = Val<'b>;
    fn not(self) -> Val<'b> {
        self.typed(Opcode::Not, 0, &[self], self.ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Hint;

    const A: RegSlot = RegSlot(1);
    const B: RegSlot = RegSlot(2);

    fn insn(emit: impl FnOnce(&Builder)) -> Block {
        let b = Builder::new();
        b.begin(BlockKey::new(GuestVirt(0x1000), 0));
        b.begin_insn(GuestVirt(0x1000), 4);
        emit(&b);
        b.end_insn();
        b.finish(GuestVirt(0x1004))
    }

    fn ops_of(block: &Block) -> Vec<(Opcode, Operand)> {
        block.insts.iter().map(|i| (i.op, i.dst)).collect()
    }

    #[test]
    fn a_simple_instruction_is_one_operation() {
        let block = insn(|b| b.set_slot(A, b.slot(A) + b.slot(B)));
        let expected = [(Opcode::Mark, Operand::NONE), (Opcode::Add, Operand::slot(A))];
        assert_eq!(ops_of(&block), expected);
    }

    #[test]
    fn swapped_registers_keep_their_old_values() {
        let block = insn(|b| {
            b.set_slot(A, b.slot(B));
            b.set_slot(B, b.slot(A));
        });
        let moves: Vec<_> = block.insts[1..].iter().map(|i| (i.dst, i.args[0])).collect();
        let (a, b, t) = (Operand::slot(A), Operand::slot(B), Operand::temp(0));
        assert_eq!(moves, [(t, a), (a, b), (b, t)]);
    }

    #[test]
    fn a_register_is_not_written_before_an_access_that_may_fault() {
        let block = insn(|b| {
            let sum = b.slot(A) + b.slot(B);
            b.set_slot(A, sum);
            b.store(Type::I64, b.slot(B), 0, sum, MemOrder::Plain);
        });
        let order: Vec<_> = block.insts.iter().map(|i| i.op).collect();
        assert_eq!(order, [Opcode::Mark, Opcode::Add, Opcode::Store, Opcode::Mov]);
    }

    #[test]
    fn an_indirect_jump_means_the_register_from_before() {
        let block = insn(|b| {
            b.set_slot(A, b.konst(0x1004));
            let target = b.slot(A).operand();
            let approach = base::cpu::Approach::PLAIN;
            b.terminate(Terminator::Indirect { target, hint: Hint::Plain, approach });
        });
        let Terminator::Indirect { target, .. } = block.terminator else { panic!() };
        assert_eq!(target, Operand::temp(0));
        assert_eq!(block.insts[1].args[0], Operand::slot(A));
    }
}
