//! String instructions (SDM vol. 1, 5.1.8). With a repeat prefix a helper does a part, and the instruction is executed again
//! until all is done; so interrupts come through, and a fault leaves the registers saying what is left.

use arch::x86_64::helpers::{self, string::Repeat};
use arch::x86_64::{key, slot};
use base::HelperId;
use decoders::x86_64::{Code, OpKind, Register};
use ir::{Opcode, Terminator, Type, Val};

use super::data::RAX;
use super::operand::{Address, Place};
use super::table::Semantics;
use super::{Flow, Insn};

const RSI: u8 = 6;
const RDI: u8 = 7;

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Code as C;
    Some(match code {
        C::Movsb_m8_m8 => |i| i.movs(Type::I8),
        C::Movsw_m16_m16 => |i| i.movs(Type::I16),
        C::Movsd_m32_m32 => |i| i.movs(Type::I32),
        C::Movsq_m64_m64 => |i| i.movs(Type::I64),
        C::Stosb_m8_AL => |i| i.stos(Type::I8),
        C::Stosw_m16_AX => |i| i.stos(Type::I16),
        C::Stosd_m32_EAX => |i| i.stos(Type::I32),
        C::Stosq_m64_RAX => |i| i.stos(Type::I64),
        C::Lodsb_AL_m8 => |i| i.lods(Type::I8),
        C::Lodsw_AX_m16 => |i| i.lods(Type::I16),
        C::Lodsd_EAX_m32 => |i| i.lods(Type::I32),
        C::Lodsq_RAX_m64 => |i| i.lods(Type::I64),
        C::Cmpsb_m8_m8 => |i| i.cmps(Type::I8),
        C::Cmpsw_m16_m16 => |i| i.cmps(Type::I16),
        C::Cmpsd_m32_m32 => |i| i.cmps(Type::I32),
        C::Cmpsq_m64_m64 => |i| i.cmps(Type::I64),
        C::Scasb_AL_m8 => |i| i.scas(Type::I8),
        C::Scasw_AX_m16 => |i| i.scas(Type::I16),
        C::Scasd_EAX_m32 => |i| i.scas(Type::I32),
        C::Scasq_RAX_m64 => |i| i.scas(Type::I64),
        C::Insb_m8_DX | C::Insw_m16_DX | C::Insd_m32_DX => |_| Flow::System,
        C::Outsb_DX_m8 | C::Outsw_DX_m16 | C::Outsd_DX_m32 => |_| Flow::System,
        _ => return None,
    })
}

impl<'b> Insn<'b> {
    /// Whether its registers have 32 bits, by an address-size prefix.
    fn has_short_strings(&self) -> bool {
        self.i.op_kinds().any(|kind| matches!(kind, OpKind::MemorySegESI | OpKind::MemoryESEDI))
    }

    fn address_register(&self, n: u8) -> Val<'b> {
        let register = self.gpr(n);
        if self.has_short_strings() { register.low32().zext() } else { register }
    }

    /// The element at RSI, in the segment that is named.
    fn source(&self) -> Address<'b> {
        let offset = self.address_register(RSI);
        let base = self.segment_base().map_or(offset, |segment| segment + offset);
        Address { base, offset: 0 }
    }

    /// The element at RDI.
    fn destination(&self) -> Address<'b> {
        Address { base: self.address_register(RDI), offset: 0 }
    }

    /// Registers go on by an element, in the direction of DF.
    fn step(&self, ty: Type, registers: &[u8]) {
        let bytes = u64::from(ty.bytes());
        let back = self.b.slot(slot::DF).shl(self.konst(u64::from(bytes.trailing_zeros()) + 1));
        let distance = self.konst(bytes) - back;
        for &n in registers {
            let moved = self.gpr(n) + distance;
            let value = if self.has_short_strings() { moved.low32().zext() } else { moved };
            self.b.set_slot(slot::gpr(n), value);
        }
    }

    fn has_repeat(&self) -> bool {
        self.i.has_rep_prefix() || self.i.has_repne_prefix()
    }

    /// With a prefix: a helper does a part, and says whether there is more.
    fn repeat(&self, helper: HelperId, ty: Type) -> Flow {
        let mut repeat = Repeat::of(ty.bytes());
        if self.key & key::TRACED != 0 {
            repeat = repeat.once();
        }
        if self.has_short_strings() {
            repeat = repeat.short();
        }
        if self.i.has_repne_prefix() {
            repeat = repeat.while_different();
        }
        repeat = match self.i.memory_segment() {
            Register::FS => repeat.in_segment(slot::FS_BASE),
            Register::GS => repeat.in_segment(slot::GS_BASE),
            _ => repeat,
        };
        let more = self.call(helper, &[self.konst(repeat.raw())]);
        self.b.terminate(Terminator::Branch {
            cond: more.operand(),
            taken: self.pc,
            fallthrough: self.next,
        });
        Flow::EndBlock
    }

    /// MOVS
    fn movs(&self, ty: Type) -> Flow {
        if self.has_repeat() {
            return self.repeat(helpers::REP_MOVS, ty);
        }
        let value = self.load(self.source(), ty);
        self.store(self.destination(), ty, value);
        self.step(ty, &[RSI, RDI]);
        Flow::Next
    }

    /// STOS
    fn stos(&self, ty: Type) -> Flow {
        if self.has_repeat() {
            return self.repeat(helpers::REP_STOS, ty);
        }
        self.store(self.destination(), ty, self.gpr(RAX));
        self.step(ty, &[RDI]);
        Flow::Next
    }

    /// LODS
    fn lods(&self, ty: Type) -> Flow {
        if self.has_repeat() {
            return self.repeat(helpers::REP_LODS, ty);
        }
        let value = self.load(self.source(), ty);
        self.write(Place::Gpr(RAX, ty), value);
        self.step(ty, &[RSI]);
        Flow::Next
    }

    /// CMPS: the source minus the destination.
    fn cmps(&self, ty: Type) -> Flow {
        if self.has_repeat() {
            return self.repeat(helpers::REP_CMPS, ty);
        }
        // If both fault, it is the destination's fault that counts.
        let b = self.load(self.destination(), ty).at(ty);
        let a = self.load(self.source(), ty).at(ty);
        let _ = self.status(Opcode::StatusSub, a, b);
        self.step(ty, &[RSI, RDI]);
        Flow::Next
    }

    /// SCAS: the accumulator minus the destination.
    fn scas(&self, ty: Type) -> Flow {
        if self.has_repeat() {
            return self.repeat(helpers::REP_SCAS, ty);
        }
        let (a, b) = (self.gpr(RAX).at(ty), self.load(self.destination(), ty).at(ty));
        let _ = self.status(Opcode::StatusSub, a, b);
        self.step(ty, &[RDI]);
        Flow::Next
    }
}
