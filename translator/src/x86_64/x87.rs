//! x87 (SDM vol. 1, 5.2): what computes and what moves numbers is one helper that knows instructions by their opcode; what
//! controls the FPU is here.
//!
//! An instruction that waits first raises #MF if an exception is pending.

use arch::x86_64::x87::{BUSY, ES, EXCEPTIONS, Op, SF};
use arch::x86_64::{helpers, slot};
use decoders::x86_64::{Code, Mnemonic, OpKind, Register};
use ir::{Type, Val};

use super::data::RAX;
use super::operand::{Place, number};
use super::table::Semantics;
use super::{Flow, Insn};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Wait => |i| i.x87_wait(),
        M::Fnclex | M::Fclex => |i| i.fnclex(),
        M::Fninit | M::Finit => |i| i.fninit(),
        // What turned interrupts of the 8087 on and off, and the 80287's protected mode: without effect since.
        M::Fneni | M::Feni | M::Fndisi | M::Fdisi | M::Fnsetpm | M::Fsetpm => |_| Flow::Next,
        M::Fnstcw | M::Fstcw => |i| i.store_control(),
        M::Fldcw => |i| i.fldcw(),
        M::Fnstsw | M::Fstsw => |i| i.store_status(),
        M::Fnstenv | M::Fstenv => |i| i.fnstenv(),
        M::Fnsave | M::Fsave => |i| i.fnsave(),
        M::Fldenv => |i| i.fldenv(),
        M::Frstor => |i| i.frstor(),
        M::Fcmovb
        | M::Fcmove
        | M::Fcmovbe
        | M::Fcmovu
        | M::Fcmovnb
        | M::Fcmovne
        | M::Fcmovnbe
        | M::Fcmovnu => |i| i.fcmov(),
        _ => {
            let op = opcode(code).and_then(|opcode| Op::from_opcode(opcode.0))?;
            match op.stores() {
                Some(_) => |i| i.x87_store(),
                None => |i| i.x87(),
            }
        }
    })
}

/// An opcode of 11 bits, with zeros for what operands decide.
#[derive(Clone, Copy)]
struct Opcode(u16);

macro_rules! opcodes {
    ($($escape:literal { $($code:ident $modrm:literal)* })*) => {
        /// The lower three bits of the first byte, and the ModRM byte: for an operand in memory its bits 5:3, else as it is
        /// with ST(0).
        const fn opcode(code: Code) -> Option<Opcode> {
            match code {
                $($(Code::$code => Some(Opcode(($escape & 7) << 8 | memory($modrm))),)*)*
                _ => None,
            }
        }
    };
}

/// Numbers below 8 are those of an operand in memory.
const fn memory(modrm: u16) -> u16 {
    if modrm < 8 { modrm << 3 } else { modrm }
}

opcodes! {
    0xd8 {
        Fadd_m32fp 0 Fmul_m32fp 1 Fcom_m32fp 2 Fcomp_m32fp 3
        Fsub_m32fp 4 Fsubr_m32fp 5 Fdiv_m32fp 6 Fdivr_m32fp 7
        Fadd_st0_sti 0xc0 Fmul_st0_sti 0xc8 Fcom_st0_sti 0xd0 Fcomp_st0_sti 0xd8
        Fsub_st0_sti 0xe0 Fsubr_st0_sti 0xe8 Fdiv_st0_sti 0xf0 Fdivr_st0_sti 0xf8
    }
    0xd9 {
        Fld_m32fp 0 Fst_m32fp 2 Fstp_m32fp 3
        Fld_sti 0xc0 Fxch_st0_sti 0xc8 Fnop 0xd0 Fstpnce_sti 0xd8
        Fchs 0xe0 Fabs 0xe1 Ftst 0xe4 Fxam 0xe5
        Fld1 0xe8 Fldl2t 0xe9 Fldl2e 0xea Fldpi 0xeb Fldlg2 0xec Fldln2 0xed Fldz 0xee
        F2xm1 0xf0 Fyl2x 0xf1 Fptan 0xf2 Fpatan 0xf3 Fxtract 0xf4 Fprem1 0xf5 Fdecstp 0xf6 Fincstp 0xf7
        Fprem 0xf8 Fyl2xp1 0xf9 Fsqrt 0xfa Fsincos 0xfb Frndint 0xfc Fscale 0xfd Fsin 0xfe Fcos 0xff
    }
    0xda {
        Fiadd_m32int 0 Fimul_m32int 1 Ficom_m32int 2 Ficomp_m32int 3
        Fisub_m32int 4 Fisubr_m32int 5 Fidiv_m32int 6 Fidivr_m32int 7
        Fcmovb_st0_sti 0xc0 Fcmove_st0_sti 0xc8 Fcmovbe_st0_sti 0xd0 Fcmovu_st0_sti 0xd8
        Fucompp 0xe9
    }
    0xdb {
        Fild_m32int 0 Fisttp_m32int 1 Fist_m32int 2 Fistp_m32int 3 Fld_m80fp 5 Fstp_m80fp 7
        Fcmovnb_st0_sti 0xc0 Fcmovne_st0_sti 0xc8 Fcmovnbe_st0_sti 0xd0 Fcmovnu_st0_sti 0xd8
        Fucomi_st0_sti 0xe8 Fcomi_st0_sti 0xf0
    }
    0xdc {
        Fadd_m64fp 0 Fmul_m64fp 1 Fcom_m64fp 2 Fcomp_m64fp 3
        Fsub_m64fp 4 Fsubr_m64fp 5 Fdiv_m64fp 6 Fdivr_m64fp 7
        Fadd_sti_st0 0xc0 Fmul_sti_st0 0xc8 Fcom_st0_sti_DCD0 0xd0 Fcomp_st0_sti_DCD8 0xd8
        Fsubr_sti_st0 0xe0 Fsub_sti_st0 0xe8 Fdivr_sti_st0 0xf0 Fdiv_sti_st0 0xf8
    }
    0xdd {
        Fld_m64fp 0 Fisttp_m64int 1 Fst_m64fp 2 Fstp_m64fp 3
        Ffree_sti 0xc0 Fxch_st0_sti_DDC8 0xc8 Fst_sti 0xd0 Fstp_sti 0xd8 Fucom_st0_sti 0xe0 Fucomp_st0_sti 0xe8
    }
    0xde {
        Fiadd_m16int 0 Fimul_m16int 1 Ficom_m16int 2 Ficomp_m16int 3
        Fisub_m16int 4 Fisubr_m16int 5 Fidiv_m16int 6 Fidivr_m16int 7
        Faddp_sti_st0 0xc0 Fmulp_sti_st0 0xc8 Fcomp_st0_sti_DED0 0xd0 Fcompp 0xd9
        Fsubrp_sti_st0 0xe0 Fsubp_sti_st0 0xe8 Fdivrp_sti_st0 0xf0 Fdivp_sti_st0 0xf8
    }
    0xdf {
        Fild_m16int 0 Fisttp_m16int 1 Fist_m16int 2 Fistp_m16int 3
        Fbld_m80bcd 4 Fild_m64int 5 Fbstp_m80bcd 6 Fistp_m64int 7
        Ffreep_sti 0xc0 Fxch_st0_sti_DFC8 0xc8 Fstp_sti_DFD0 0xd0 Fstp_sti_DFD8 0xd8
        Fucomip_st0_sti 0xe8 Fcomip_st0_sti 0xf0
    }
}

impl<'b> Insn<'b> {
    /// Raises #MF if an exception is pending that is not masked.
    pub(super) fn x87_check(&self) {
        self.raise_if(self.b.slot(slot::FSW) & self.konst(ES.into()));
    }

    /// The opcode as the FPU remembers it.
    fn x87_opcode(&self) -> u64 {
        let Some(Opcode(opcode)) = opcode(self.i.code()) else { return 0 };
        let operands = match self.memory_operand() {
            Some(_) => self.modrm_of_memory(),
            None if opcode & 0xff >= 0xc0 => self.stack_register(),
            None => 0,
        };
        u64::from(opcode | operands)
    }

    fn memory_operand(&self) -> Option<u32> {
        (0..self.i.op_count()).find(|&n| self.i.op_kind(n) == OpKind::Memory)
    }

    /// The number of ST(i), if the instruction names one: the operand that is not ST(0), if any.
    fn stack_register(&self) -> u16 {
        let registers = (0..self.i.op_count()).map(|n| self.i.op_register(n));
        let numbers = registers.filter(|register| register.is_st()).map(|st| st.number() as u16);
        let names_it = opcode(self.i.code()).is_some_and(|opcode| opcode.0 & 7 == 0);
        if names_it { numbers.max().unwrap_or(0) } else { 0 }
    }

    /// Bits 7:6 and 2:0 of the ModRM byte, of the shortest encoding that has displacements of this size.
    fn modrm_of_memory(&self) -> u16 {
        const SIB: u16 = 4;
        const RIP: u16 = 5;
        let base = self.i.memory_base();
        if base == Register::RIP || base == Register::EIP {
            return RIP;
        }
        if base == Register::None {
            return SIB;
        }
        let mode = match self.i.memory_displ_size() {
            0 => 0,
            1 => 1,
            _ => 2,
        };
        let has_index = self.i.memory_index() != Register::None;
        let register = u16::from(number(base)) & 7;
        mode << 6 | if has_index { SIB } else { register }
    }

    fn pc_value(&self) -> Val<'b> {
        self.konst(self.pc.0)
    }

    /// What writes no memory.
    fn x87(&self) -> Flow {
        self.x87_check();
        let opcode = self.konst(self.x87_opcode());
        let zero = self.konst(0);
        let Some(n) = self.memory_operand() else {
            return self.x87_call(opcode, zero, zero);
        };
        let at = self.address();
        let address = self.linear(at);
        match self.i.memory_size().size() {
            10 => {
                let low = self.load(at, Type::I64);
                let high = self.load(at.plus(8), Type::I16);
                self.x87_call(opcode | high.shl(self.konst(16)), low, address)
            }
            _ => {
                let Place::Memory(at, ty) = self.place(n) else { return Flow::Undefined };
                let operand = self.load(at, ty);
                self.x87_call(opcode, operand, address)
            }
        }
    }

    fn x87_call(&self, what: Val<'b>, operand: Val<'b>, address: Val<'b>) -> Flow {
        self.b.call_void(helpers::X87, &[what, self.pc_value(), operand, address]);
        Flow::Next
    }

    /// What writes memory.
    fn x87_store(&self) -> Flow {
        self.x87_check();
        let address = self.linear(self.address());
        let what = self.konst(self.x87_opcode());
        self.b.call_void(helpers::X87_STORE, &[what, self.pc_value(), address]);
        Flow::Next
    }

    /// FCMOVcc: the helper is told whether it moves.
    fn fcmov(&self) -> Flow {
        use Mnemonic as M;
        self.x87_check();
        let mnemonic = self.i.mnemonic();
        let condition = match mnemonic {
            M::Fcmovb | M::Fcmovnb => self.carry(),
            M::Fcmove | M::Fcmovne => self.zero(),
            M::Fcmovbe | M::Fcmovnbe => self.carry() | self.zero(),
            _ => self.parity(),
        };
        let is_negated = matches!(mnemonic, M::Fcmovnb | M::Fcmovne | M::Fcmovnbe | M::Fcmovnu);
        let moves = if is_negated { condition ^ self.konst(1) } else { condition };
        self.x87_call(self.konst(self.x87_opcode()), moves, self.konst(0))
    }

    /// WAIT
    fn x87_wait(&self) -> Flow {
        self.x87_check();
        Flow::Next
    }

    /// FNCLEX
    fn fnclex(&self) -> Flow {
        let cleared = EXCEPTIONS | SF | ES | BUSY;
        self.b.set_slot(slot::FSW, self.b.slot(slot::FSW) & self.konst(u64::from(!cleared)));
        Flow::Next
    }

    /// FNINIT
    fn fninit(&self) -> Flow {
        self.b.call_void(helpers::FNINIT, &[]);
        Flow::Next
    }

    /// FNSTCW
    fn store_control(&self) -> Flow {
        self.store(self.address(), Type::I16, self.b.slot(slot::FCW));
        Flow::Next
    }

    /// FLDCW
    fn fldcw(&self) -> Flow {
        self.x87_check();
        let value = self.load(self.address(), Type::I16);
        self.b.call_void(helpers::FLDCW, &[value]);
        Flow::Next
    }

    /// FNSTSW: to memory or AX.
    fn store_status(&self) -> Flow {
        let status = self.b.slot(slot::FSW);
        match self.i.op0_kind() {
            OpKind::Memory => self.store(self.address(), Type::I16, status),
            _ => self.write(Place::Gpr(RAX, Type::I16), status),
        }
        Flow::Next
    }

    /// The address, and what the helper is told of the operand's size.
    fn x87_area(&self) -> [Val<'b>; 2] {
        let bits = match self.i.code() {
            Code::Fnstenv_m14byte
            | Code::Fstenv_m14byte
            | Code::Fldenv_m14byte
            | Code::Fnsave_m94byte
            | Code::Fsave_m94byte
            | Code::Frstor_m94byte => 16,
            _ => 32,
        };
        [self.linear(self.address()), self.konst(bits)]
    }

    /// FNSTENV
    fn fnstenv(&self) -> Flow {
        self.b.call_void(helpers::FNSTENV, &self.x87_area());
        Flow::Next
    }

    /// FNSAVE
    fn fnsave(&self) -> Flow {
        self.b.call_void(helpers::FNSAVE, &self.x87_area());
        Flow::Next
    }

    /// FLDENV
    fn fldenv(&self) -> Flow {
        self.x87_check();
        self.b.call_void(helpers::FLDENV, &self.x87_area());
        Flow::Next
    }

    /// FRSTOR
    fn frstor(&self) -> Flow {
        self.x87_check();
        self.b.call_void(helpers::FRSTOR, &self.x87_area());
        Flow::Next
    }
}
