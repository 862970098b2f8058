//! Control transfer (SDM vol. 1, 5.1.7), as user mode has it. An operand-size prefix does not matter to near branches, as
//! Intel's processors have it.
//!
//! Far transfers stay in the 64-bit code segment; others raise #GP, as if there were no other.

use arch::x86_64::{flags, helpers, slot};
use base::cpu::Approach;
use base::{CpuFrame, GuestVirt};
use decoders::x86_64::{Code, Instruction, Mnemonic, Register};
use ir::{Hint, Terminator, Trap, Type, Val};

use super::data::RCX;
use super::operand::RSP;
use super::table::Semantics;
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    match code {
        Code::Jmp_m1616 | Code::Jmp_m1632 | Code::Jmp_m1664 => return Some(|i| i.jump_far()),
        Code::Call_m1616 | Code::Call_m1632 | Code::Call_m1664 => return Some(|i| i.call_far()),
        Code::Jmp_rm64 => return Some(|i| i.jump_to(i.op(0), Hint::Plain)),
        Code::Call_rm64 => return Some(|i| i.call_indirect()),
        Code::Jmp_rel8_64 | Code::Jmp_rel32_64 => return Some(|i| i.jump(Hint::Plain)),
        Code::Call_rel32_64 => return Some(|i| i.call_near()),
        Code::Retnq | Code::Retnq_imm16 => return Some(|i| i.ret()),
        _ => {}
    }
    Some(match code.mnemonic() {
        M::Jo
        | M::Jno
        | M::Jb
        | M::Jae
        | M::Je
        | M::Jne
        | M::Jbe
        | M::Ja
        | M::Js
        | M::Jns
        | M::Jp
        | M::Jnp
        | M::Jl
        | M::Jge
        | M::Jle
        | M::Jg => |i| i.branch(i.condition(i.i.condition_code())),
        M::Jecxz => |i| i.branch(i.is_zero(i.gpr(RCX).low32())),
        M::Jrcxz => |i| i.branch(i.is_zero(i.gpr(RCX))),
        M::Loop => |i| i.loop_while(|count| count),
        M::Loope => |i| i.loop_while(|count| count.ne(i.konst(0)) & i.zero()),
        M::Loopne => |i| i.loop_while(|count| count.ne(i.konst(0)) & (i.zero() ^ i.konst(1))),
        M::Retf => |i| i.return_far(),
        M::Iret | M::Iretd | M::Iretq => |i| i.iret(),
        M::Syscall => |i| i.syscall(),
        M::Int3 => |i| i.trap(Trap::Breakpoint, i.pc),
        M::Int | M::Int1 | M::Sysenter => |_| Flow::System,
        M::Ud0 | M::Ud1 | M::Ud2 => |_| Flow::Undefined,
        _ => return None,
    })
}

/// How many bytes RET pops beside the return address.
fn popped_more(i: &Instruction) -> i64 {
    if i.op_count() == 0 { 0 } else { i.immediate16().into() }
}

/// Whether debug exceptions wait until after the instruction that follows: MOV SS, which comes in pairs with one that sets
/// RSP.
pub(super) fn holds_exceptions_back(i: &Instruction) -> bool {
    matches!(i.code(), Code::Mov_Sreg_rm16 | Code::Mov_Sreg_r32m16 | Code::Mov_Sreg_r64m16)
        && i.op0_register() == Register::SS
}

/// Undoes what a near jump, call or return did to registers beside going to another pc. What a call pushed is in memory by
/// then, as Intel's processors have it.
pub(super) fn take_back(frame: &mut CpuFrame, i: &Instruction) {
    let moved = match i.code() {
        Code::Retnq | Code::Retnq_imm16 => 8 + popped_more(i),
        Code::Call_rm64 => -8,
        _ => 0,
    };
    frame.set(slot::gpr(RSP), frame.get(slot::gpr(RSP)).wrapping_sub(moved as u64));
}

impl<'b> Insn<'b> {
    /// Where a direct branch goes.
    fn target(&self) -> GuestVirt {
        GuestVirt(self.i.near_branch_target())
    }

    fn jump(&self, hint: Hint) -> Flow {
        self.b.terminate(Terminator::Jump { target: self.target(), hint });
        Flow::EndBlock
    }

    /// Goes on at an address. If it is not canonical, that is an exception of this instruction, which leaves registers as they
    /// were: so what [`take_back`] does not undo must look first.
    fn jump_to(&self, target: Val<'b>, hint: Hint) -> Flow {
        let target = target.operand();
        self.b.terminate(Terminator::Indirect { target, hint, approach: Approach::PLAIN });
        Flow::EndBlock
    }

    /// Jcc: taken where the value is not 0.
    fn branch(&self, condition: Val<'b>) -> Flow {
        self.b.terminate(Terminator::Branch {
            cond: condition.operand(),
            taken: self.target(),
            fallthrough: self.next,
        });
        Flow::EndBlock
    }

    /// LOOPcc: RCX, or ECX with an address-size prefix, is counted down; no flags.
    fn loop_while(&self, condition: impl FnOnce(Val<'b>) -> Val<'b>) -> Flow {
        let counted = self.gpr(RCX) - self.konst(1);
        let count = if self.counts_ecx() { counted.low32().zext() } else { counted };
        self.b.set_slot(slot::gpr(RCX), count);
        self.branch(condition(count))
    }

    fn counts_ecx(&self) -> bool {
        let name = self.i.code();
        matches!(name, Code::Loop_rel8_64_ECX | Code::Loope_rel8_64_ECX | Code::Loopne_rel8_64_ECX)
    }

    fn push_next(&self) {
        let _ = self.push_value(Type::I64, self.konst(self.next.0));
    }

    /// CALL
    fn call_near(&self) -> Flow {
        self.push_next();
        self.jump(Hint::Call(self.next))
    }

    fn call_indirect(&self) -> Flow {
        let target = self.op(0);
        self.push_next();
        self.jump_to(target, Hint::Call(self.next))
    }

    /// RET: the operand says how many bytes more are popped.
    fn ret(&self) -> Flow {
        let target = self.load(self.stack(0), Type::I64);
        self.move_stack(8 + self.popped_more());
        self.jump_to(target, Hint::Return)
    }

    fn popped_more(&self) -> i64 {
        popped_more(self.i)
    }

    /// #GP if an address to go to is not canonical: if bits 63 to 48 are not as bit 47.
    fn demand_canonical(&self, target: Val<'b>) {
        let beyond = target + self.konst(1 << 47);
        self.raise_if(self.konst((1 << 48) - 1).lt_u(beyond));
    }

    /// A selector of the code segment that a far transfer goes to.
    fn demand_code_segment(&self, selector: Val<'b>) {
        self.raise_if(selector.low16().zext() ^ self.konst(slot::USER_CS));
    }

    /// The far pointer that is the operand: its offset, after its selector was looked at.
    fn far_pointer(&self) -> Val<'b> {
        let ty = match self.i.code() {
            Code::Jmp_m1616 | Code::Call_m1616 => Type::I16,
            Code::Jmp_m1632 | Code::Call_m1632 => Type::I32,
            _ => Type::I64,
        };
        let at = self.address();
        let target = self.load(at, ty);
        self.demand_code_segment(self.load(at.plus(ty.bytes() as i32), Type::I16));
        self.demand_canonical(target);
        target
    }

    fn jump_far(&self) -> Flow {
        self.jump_to(self.far_pointer(), Hint::Plain)
    }

    fn call_far(&self) -> Flow {
        let target = self.far_pointer();
        let ty = match self.i.code() {
            Code::Call_m1616 => Type::I16,
            Code::Call_m1632 => Type::I32,
            _ => Type::I64,
        };
        let bytes = ty.bytes() as i32;
        self.store(self.stack(-bytes), ty, self.b.slot(slot::CS));
        self.store(self.stack(-2 * bytes), ty, self.konst(self.next.0));
        self.move_stack(-2 * i64::from(bytes));
        self.jump_to(target, Hint::Plain)
    }

    /// RETF
    fn return_far(&self) -> Flow {
        let ty = match self.i.code() {
            Code::Retfw | Code::Retfw_imm16 => Type::I16,
            Code::Retfd | Code::Retfd_imm16 => Type::I32,
            _ => Type::I64,
        };
        let bytes = ty.bytes() as i32;
        let target = self.load(self.stack(0), ty);
        self.demand_code_segment(self.load(self.stack(bytes), Type::I16));
        self.demand_canonical(target);
        self.move_stack(2 * i64::from(bytes) + self.popped_more());
        self.jump_to(target, Hint::Plain)
    }

    /// IRET, to the same privilege: RIP, CS, flags, RSP, SS. It serialises.
    fn iret(&self) -> Flow {
        let ty = match self.i.code() {
            Code::Iretw => Type::I16,
            Code::Iretd => Type::I32,
            _ => Type::I64,
        };
        let bytes = ty.bytes() as i32;
        let part = |n: i32| self.load(self.stack(n * bytes), ty);
        let [target, code, eflags, stack, selector] = [part(0), part(1), part(2), part(3), part(4)];
        self.demand_code_segment(code);
        self.raise_if(selector.low16().zext() ^ self.konst(slot::USER_SS));
        self.demand_canonical(target);
        let mask = (flags::POPF | flags::RF) & if ty == Type::I16 { 0xffff } else { u64::MAX };
        self.b.call_void(helpers::SET_EFLAGS, &[eflags, self.konst(mask)]);
        self.b.set_slot(slot::gpr(RSP), stack);
        self.jump_to(target, Hint::Far)
    }

    /// SYSCALL: RCX is the next instruction's address, R11 the flags.
    fn syscall(&self) -> Flow {
        let eflags = self.call(helpers::EFLAGS, &[]) & self.konst(!flags::RF);
        self.b.set_slot(slot::gpr(RCX), self.konst(self.next.0));
        self.b.set_slot(slot::gpr(11), eflags);
        self.trap(Trap::Syscall, self.next)
    }
}
