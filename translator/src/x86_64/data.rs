//! Data transfer (SDM vol. 1, 5.1.1), and addresses.

use arch::x86_64::helpers;
use arch::x86_64::slot;
use base::RegSlot;
use base::defect::{Defect, is_seeded};
use decoders::x86_64::{Code, Mnemonic, OpKind, Register};
use ir::{Opcode, Type, Val};

use super::operand::{Address, Place, RSP, integer};
use super::table::Semantics;
use super::{Flow, Insn};

/// RAX and RDX, where instructions name them by nothing but their opcode.
pub(super) const RAX: u8 = 0;
pub(super) const RCX: u8 = 1;
pub(super) const RDX: u8 = 2;
pub(super) const RBX: u8 = 3;
const RBP: u8 = 5;

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    match code {
        Code::Mov_rm16_Sreg | Code::Mov_r32m16_Sreg | Code::Mov_r64m16_Sreg => {
            return Some(|i| i.mov_from_selector());
        }
        Code::Mov_Sreg_rm16 | Code::Mov_Sreg_r32m16 | Code::Mov_Sreg_r64m16 => {
            return Some(|i| i.load_selector(1));
        }
        Code::Mov_cr_r64 | Code::Mov_r64_cr | Code::Mov_dr_r64 | Code::Mov_r64_dr => {
            return Some(|_| Flow::System);
        }
        Code::Pushw_FS | Code::Pushq_FS | Code::Pushw_GS | Code::Pushq_GS => {
            return Some(|i| i.push_selector());
        }
        Code::Popw_FS | Code::Popq_FS | Code::Popw_GS | Code::Popq_GS => {
            return Some(|i| i.pop_selector());
        }
        _ => {}
    }
    Some(match code.mnemonic() {
        M::Mov | M::Movnti | M::Movdiri => |i| i.set_op(0, i.op(1)),
        M::Movsx | M::Movsxd => |i| i.set_op(0, i.op(1).sext()),
        M::Movzx => |i| i.set_op(0, i.zero_extended(1)),
        M::Movbe => |i| i.set_op(0, i.op(1).bswap()),
        M::Movdir64b => |i| i.movdir64b(),
        M::Lea => |i| i.lea(),
        M::Lfs => |i| i.load_far_pointer(slot::FS),
        M::Lgs => |i| i.load_far_pointer(slot::GS),
        M::Lss => |i| i.load_far_pointer(slot::SS),
        M::Xchg => |i| i.xchg(),
        M::Xadd => |i| i.xadd(),
        M::Cmpxchg => |i| i.cmpxchg(),
        M::Cmpxchg8b => |i| i.cmpxchg8b(),
        M::Cmpxchg16b => |i| i.cmpxchg16b(),
        M::Bswap => |i| i.bswap(),
        M::Cbw => |i| i.widen_accumulator(Type::I8, Type::I16),
        M::Cwde => |i| i.widen_accumulator(Type::I16, Type::I32),
        M::Cdqe => |i| i.widen_accumulator(Type::I32, Type::I64),
        M::Cwd => |i| i.spread_sign(Type::I16),
        M::Cdq => |i| i.spread_sign(Type::I32),
        M::Cqo => |i| i.spread_sign(Type::I64),
        M::Cmovo
        | M::Cmovno
        | M::Cmovb
        | M::Cmovae
        | M::Cmove
        | M::Cmovne
        | M::Cmovbe
        | M::Cmova
        | M::Cmovs
        | M::Cmovns
        | M::Cmovp
        | M::Cmovnp
        | M::Cmovl
        | M::Cmovge
        | M::Cmovle
        | M::Cmovg => |i| i.cmovcc(),
        M::Xlatb => |i| i.xlat(),
        M::Push => |i| i.push(),
        M::Pop => |i| i.pop(),
        M::Pushf | M::Pushfq => |i| i.pushf(),
        M::Popf | M::Popfq => |i| i.popf(),
        M::Enter => |i| i.enter(),
        M::Leave => |i| i.leave(),
        _ => return None,
    })
}

/// EFLAGS as PUSHF pushes it: without RF and VM.
const PUSHED_FLAGS: u64 = 0x00fc_ffff;

impl<'b> Insn<'b> {
    /// Operand `n`, zero-extended to 64 bits.
    pub(super) fn zero_extended(&self, n: u32) -> Val<'b> {
        match self.place(n) {
            Place::Memory(at, ty) => self.load(at, ty),
            place => self.read(place).zext(),
        }
    }

    fn selector_slot(&self, n: u32) -> RegSlot {
        match self.i.op_register(n) {
            Register::ES => slot::ES,
            Register::CS => slot::CS,
            Register::SS => slot::SS,
            Register::DS => slot::DS,
            Register::FS => slot::FS,
            _ => slot::GS,
        }
    }

    /// MOV from a segment register: memory gets 16 bits, a register all of its operand's size.
    fn mov_from_selector(&self) -> Flow {
        let selector = self.b.slot(self.selector_slot(1));
        match self.i.op0_kind() {
            OpKind::Memory => self.store(self.address(), Type::I16, selector),
            _ => self.write(self.place(0), selector),
        }
        Flow::Next
    }

    /// Operand `n`, the low 16 bits of which are a selector.
    pub(super) fn selector(&self, n: u32) -> Val<'b> {
        match self.i.op_kind(n) {
            OpKind::Memory => self.load(self.address(), Type::I16),
            _ => self.op(n).low16().zext(),
        }
    }

    /// MOV to a segment register: null selectors and those that the registers of a 64-bit program have anyway; what others
    /// describe, the kernel knows.
    fn load_selector(&self, from: u32) -> Flow {
        let value = self.selector(from);
        self.set_selector(self.selector_slot(0), value)
    }

    /// LFS, LGS, LSS: an offset and a selector from memory.
    fn load_far_pointer(&self, which: RegSlot) -> Flow {
        let destination = self.place(0);
        let (at, ty) = (self.address(), destination.ty());
        let offset = self.load(at, ty).at(ty);
        let selector = self.load(at.plus(ty.bytes() as i32), Type::I16);
        let flow = self.set_selector(which, selector);
        self.write(destination, offset);
        flow
    }

    fn set_selector(&self, which: RegSlot, value: Val<'b>) -> Flow {
        if which == slot::CS {
            return Flow::Undefined;
        }
        self.raise_if(self.call(helpers::BAD_SELECTOR, &[value, self.konst(which.0.into())]));
        self.b.set_slot(which, value);
        match which {
            slot::FS => self.b.set_slot(slot::FS_BASE, self.konst(0)),
            slot::GS => self.b.set_slot(slot::GS_BASE, self.konst(0)),
            _ => {}
        }
        Flow::Next
    }

    fn push_selector(&self) -> Flow {
        let selector = self.b.slot(self.selector_slot(0));
        self.push_value(self.stack_type(), selector)
    }

    fn pop_selector(&self) -> Flow {
        let ty = self.stack_type();
        let value = self.load(self.stack(0), ty);
        self.move_stack(ty.bytes().into());
        self.set_selector(self.selector_slot(0), value.low16().zext())
    }

    fn movdir64b(&self) -> Flow {
        let from = self.address();
        let parts = [0, 16, 32, 48].map(|offset| {
            let at = from.plus(offset);
            self.b.load_wide(at.base, at.offset, ir::MemOrder::Acquire)
        });
        let to = self.read(self.place_of(self.i.op0_register())).zext();
        self.raise_if(to & self.konst(63));
        for (part, offset) in parts.into_iter().zip([0, 16, 32, 48]) {
            self.b.store(Type::WIDE, to, offset, part, ir::MemOrder::Release);
        }
        Flow::Next
    }

    /// LEA: no segment has a part in it.
    fn lea(&self) -> Flow {
        let sum = self.linear(self.effective_address());
        self.write(self.place_of(self.i.op0_register()), sum);
        Flow::Next
    }

    /// XCHG: at once if with memory, with LOCK or without.
    fn xchg(&self) -> Flow {
        let (first, second) = (self.place(0), self.place(1));
        if let Place::Memory(at, ty) = first {
            let old = self.atomic(Opcode::AtomicSwap, at, ty, self.read(second));
            self.write(second, old);
            return Flow::Next;
        }
        if let (
            Place::Gpr(a, Type::I8 | Type::I16) | Place::High(a),
            Place::Gpr(b, _) | Place::High(b),
        ) = (first, second)
            && a == b
        {
            return self.swap_within(a, first, second);
        }
        let (a, b) = (self.read(first), self.read(second));
        self.write(first, b);
        self.write(second, a);
        Flow::Next
    }

    /// Two parts of one register: of 8 bits, if they are not the same.
    fn swap_within(&self, n: u8, first: Place<'b>, second: Place<'b>) -> Flow {
        if matches!(first, Place::High(_)) != matches!(second, Place::High(_)) {
            let swapped = self.gpr(n).low16().rotl(self.konst_of(Type::I16, 8));
            self.write(Place::Gpr(n, Type::I16), swapped);
        }
        Flow::Next
    }

    /// XADD
    fn xadd(&self) -> Flow {
        let (place, source) = (self.place(0), self.place(1));
        let b = self.read(source);
        let (a, sum) = self.combine(place, (Opcode::AtomicAdd, b), |a| a + b);
        // The sum goes to the destination, if both are one register.
        match (place, source) {
            (Place::Gpr(n, ty), Place::Gpr(m, _)) if n == m => {
                self.write(Place::Gpr(n, ty), sum);
            }
            (Place::High(n), Place::High(m)) if n == m => {}
            (Place::Gpr(n, Type::I8), Place::High(m)) if n == m => self.write_both(n, sum, a),
            (Place::High(n), Place::Gpr(m, Type::I8)) if n == m => self.write_both(n, a, sum),
            _ if is_seeded(Defect::XaddKeepsSource) => {}
            _ => self.write(source, a),
        }
        let _ = self.status(Opcode::StatusAdd, a, b);
        Flow::Next
    }

    /// The two low bytes of a register.
    fn write_both(&self, n: u8, low: Val<'b>, high: Val<'b>) {
        let both = low.zext() | high.zext().shl(self.konst(8));
        self.write(Place::Gpr(n, Type::I16), both);
    }

    /// CMPXCHG: memory is compared and exchanged at once, with LOCK or without.
    fn cmpxchg(&self) -> Flow {
        let (place, new) = (self.place(0), self.op(1));
        let ty = place.ty();
        let accumulator = Place::Gpr(RAX, ty);
        let expected = self.read(accumulator);
        let old = match place {
            Place::Memory(at, _) => self.b.atomic_cas(ty, self.linear(at), expected, new),
            _ => self.read(place),
        };
        let equal = old.eq(expected);
        match place {
            // The accumulator is equal to itself.
            Place::Gpr(RAX, _) => self.write(place, new),
            // A destination in the accumulator's other byte may change together with it.
            Place::High(RAX) => {
                let low = equal.select(expected, old);
                self.write_both(RAX, low, equal.select(new, old));
            }
            _ => {
                match place {
                    Place::Memory(..) => {}
                    // Even the upper half is as before, if they differ.
                    Place::Gpr(n, Type::I32 | Type::I64) => {
                        self.b.set_slot(slot::gpr(n), equal.select(new.zext(), self.gpr(n)));
                    }
                    _ => self.write(place, equal.select(new, old)),
                }
                self.load_accumulator_unless(equal, ty, old);
            }
        }
        let _ = self.status(Opcode::StatusSub, expected, old);
        Flow::Next
    }

    /// The accumulator becomes a value unless a condition holds: then even its upper half is as before.
    fn load_accumulator_unless(&self, condition: Val<'b>, ty: Type, value: Val<'b>) {
        let old = self.gpr(RAX);
        let merged = match ty {
            Type::I8 | Type::I16 => {
                let mask = if ty == Type::I8 { 0xff } else { 0xffff };
                old & self.konst(!mask) | value.zext()
            }
            _ => value.zext(),
        };
        self.b.set_slot(slot::gpr(RAX), condition.select(old, merged));
    }

    /// CMPXCHG8B
    fn cmpxchg8b(&self) -> Flow {
        let pair =
            |low: u8, high: u8| self.gpr(low).low32().zext() | self.gpr(high).shl(self.konst(32));
        let expected = pair(RAX, RDX);
        let old =
            self.b.atomic_cas(Type::I64, self.linear(self.address()), expected, pair(RBX, RCX));
        let equal = old.eq(expected);
        let keep = |n: u8, new: Val<'b>| {
            self.b.set_slot(slot::gpr(n), equal.select(self.gpr(n), new));
        };
        keep(RAX, old.low32().zext());
        keep(RDX, old.shr_u(self.konst(32)));
        self.b.set_slot(slot::ZERO, equal ^ self.konst(1));
        Flow::Next
    }

    /// CMPXCHG16B: #GP if the address is not aligned.
    fn cmpxchg16b(&self) -> Flow {
        let addr = self.linear(self.address());
        self.b.align_check(Type::WIDE, addr);
        self.b.call_void(helpers::CMPXCHG16B, &[addr]);
        Flow::Next
    }

    /// BSWAP; of 16 bits it is undefined, and gives 0.
    fn bswap(&self) -> Flow {
        self.update(|value| match value.ty() {
            Type::I16 => self.konst_of(Type::I16, 0),
            _ => value.bswap(),
        })
    }

    /// CBW, CWDE, CDQE
    fn widen_accumulator(&self, from: Type, to: Type) -> Flow {
        self.write(Place::Gpr(RAX, to), self.gpr(RAX).at(from).sext());
        Flow::Next
    }

    /// CWD, CDQ, CQO
    fn spread_sign(&self, ty: Type) -> Flow {
        let value = self.gpr(RAX).at(ty);
        let sign = value.shr_s(self.konst_of(ty, u64::from(ty.bits()) - 1));
        self.write(Place::Gpr(RDX, ty), sign);
        Flow::Next
    }

    /// CMOVcc: the source is read and a 32-bit destination's upper half cleared in any case.
    fn cmovcc(&self) -> Flow {
        let (place, source) = (self.place(0), self.op(1));
        let old = self.read(place);
        let condition = self.condition(self.i.condition_code());
        let inverts = is_seeded(Defect::CmovInverted);
        let (chosen, other) = if inverts { (old, source) } else { (source, old) };
        self.write(place, condition.select(chosen, other));
        Flow::Next
    }

    /// XLAT: AL = what is at RBX + AL.
    fn xlat(&self) -> Flow {
        let index = self.gpr(RAX).low8().zext();
        let mut sum = self.gpr(RBX) + index;
        if self.i.memory_base().is_gpr32() {
            sum = sum.low32().zext();
        }
        let base = self.segment_base().map_or(sum, |segment| segment + sum);
        let value = self.load(Address { base, offset: 0 }, Type::I8);
        self.write(Place::Gpr(RAX, Type::I8), value);
        Flow::Next
    }

    /// What a push or pop moves: 64 bits, or 16 with an operand-size prefix.
    pub(super) fn stack_type(&self) -> Type {
        integer(self.i.stack_pointer_increment().unsigned_abs() as usize)
    }

    /// Memory relative to the top of the stack.
    pub(super) fn stack(&self, offset: i32) -> Address<'b> {
        Address { base: self.gpr(RSP), offset }
    }

    /// RSP += so many bytes.
    pub(super) fn move_stack(&self, bytes: i64) {
        self.b.set_slot(slot::gpr(RSP), self.gpr(RSP) + self.konst(bytes as u64));
    }

    pub(super) fn push_value(&self, ty: Type, value: Val<'b>) -> Flow {
        let bytes = ty.bytes() as i32;
        self.store(self.stack(-bytes), ty, value);
        self.move_stack(-i64::from(bytes));
        Flow::Next
    }

    /// PUSH
    fn push(&self) -> Flow {
        let ty = self.stack_type();
        match self.place(0) {
            Place::Immediate(value, _) => self.push_value(ty, self.konst(value)),
            place => self.push_value(ty, self.read(place)),
        }
    }

    /// POP: the address of an operand in memory is computed with the new RSP; an operand that is RSP gets what was
    /// popped.
    fn pop(&self) -> Flow {
        let ty = self.stack_type();
        let value = self.load(self.stack(0), ty);
        let bytes = ty.bytes() as i32;
        let uses_stack_pointer = self.i.memory_base() == Register::RSP;
        let place = match self.place(0) {
            Place::Memory(at, ty) if uses_stack_pointer => Place::Memory(at.plus(bytes), ty),
            place => place,
        };
        match place {
            // Of 16 bits, the others are those of the new RSP.
            Place::Gpr(RSP, Type::I16) => {
                let moved = self.gpr(RSP) + self.konst(2);
                let merged = moved & self.konst(!0xffff) | value;
                self.b.set_slot(slot::gpr(RSP), merged);
            }
            _ => {
                self.move_stack(bytes.into());
                self.write(place, value);
            }
        }
        Flow::Next
    }

    fn pushf(&self) -> Flow {
        let flags = self.call(helpers::EFLAGS, &[]) & self.konst(PUSHED_FLAGS);
        self.push_value(self.stack_type(), flags)
    }

    /// POPF: those flags that user mode may change; with an operand-size prefix, those in the low 16 bits.
    fn popf(&self) -> Flow {
        let ty = self.stack_type();
        let value = self.load(self.stack(0), ty);
        let mask = arch::x86_64::flags::POPF & if ty == Type::I16 { 0xffff } else { u64::MAX };
        self.b.call_void(helpers::SET_EFLAGS, &[value, self.konst(mask)]);
        self.move_stack(ty.bytes().into());
        // The trap flag may have changed.
        self.look_up_next()
    }

    /// ENTER: pushes RBP and the frame pointers of enclosing levels, and makes room.
    fn enter(&self) -> Flow {
        let (size, level) = (self.i.immediate16(), self.i.immediate8_2nd() & 31);
        let ty = match self.i.code() {
            Code::Enterw_imm16_imm8 => Type::I16,
            _ => Type::I64,
        };
        let bytes = ty.bytes() as i32;
        self.store(self.stack(-bytes), ty, self.gpr(RBP));
        let frame = self.gpr(RSP) - self.konst(bytes as u64);
        for n in 1..i32::from(level) {
            let outer = self.load(Address { base: self.gpr(RBP), offset: -bytes * n }, ty);
            self.store(self.stack(-bytes * (n + 1)), ty, outer);
        }
        let mut pushed = bytes;
        if level > 0 {
            pushed += bytes * i32::from(level);
            self.store(self.stack(-pushed), ty, frame);
        }
        // The processor looks whether the new top of the stack may be written to.
        let top = self.stack(-pushed - i32::from(size));
        let _ = self.atomic(Opcode::AtomicOr, top, Type::I8, self.konst(0));
        self.write(Place::Gpr(RBP, ty), frame);
        self.move_stack(-i64::from(pushed) - i64::from(size));
        Flow::Next
    }

    /// LEAVE: RSP = RBP; pops RBP.
    fn leave(&self) -> Flow {
        let ty = match self.i.code() {
            Code::Leavew => Type::I16,
            _ => Type::I64,
        };
        let frame = self.gpr(RBP);
        let value = self.load(Address { base: frame, offset: 0 }, ty);
        self.b.set_slot(slot::gpr(RSP), frame + self.konst(ty.bytes().into()));
        self.write(Place::Gpr(RBP, ty), value);
        Flow::Next
    }
}
