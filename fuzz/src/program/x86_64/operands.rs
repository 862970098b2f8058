//! Random operands.

use iced_x86::{
    Code, Encoder, EncodingKind, Instruction, MemoryOperand, Mnemonic, OpCodeOperandKind as Kind,
    OpKind, Register,
};

use super::encodings::is_safe;
use super::{INDEX, VECTOR_INDEX};
use crate::machine::{CODE, DATA};
use base::rng::Rng;

/// Registers that hold addresses, if nothing has changed them.
const POINTERS: [Register; 6] =
    [Register::RBX, Register::RSI, Register::RDI, Register::R13, Register::R14, Register::R8];
/// General registers that are not set apart for jumps, the loop, and changes of code: their numbers.
const FREE: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14];

/// Whether the operand that may be in memory is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// It is.
    Memory,
    /// It is a register.
    Register,
}

/// Makes instructions of encodings.
#[derive(Debug)]
pub(crate) struct Operands<'a> {
    /// What all depends on.
    pub(crate) rng: &'a mut Rng,
}

impl Operands<'_> {
    /// An instruction of this encoding.
    pub(crate) fn any(&mut self, code: Code) -> Option<Instruction> {
        let form = if self.rng.one_in(2) { Form::Memory } else { Form::Register };
        self.instruction(code, form)
    }

    /// An instruction of this encoding, with random operands.
    pub(crate) fn instruction(&mut self, code: Code, form: Form) -> Option<Instruction> {
        let info = code.op_code();
        let mut insn = Instruction::default();
        insn.set_code(code);
        for n in 0..info.op_count() {
            self.operand(&mut insn, n, info.op_kind(n), form)?;
        }
        let has_memory = (0..insn.op_count()).any(|n| insn.op_kind(n) == OpKind::Memory);
        if info.can_use_lock_prefix() && has_memory && self.rng.one_in(3) {
            insn.set_has_lock_prefix(true);
        }
        if is_string(&insn) {
            match self.rng.below(3) {
                0 if info.can_use_rep_prefix() => insn.set_has_rep_prefix(true),
                1 if info.can_use_repne_prefix() => insn.set_has_repne_prefix(true),
                _ => {}
            }
        }
        Some(insn)
    }

    fn operand(&mut self, insn: &mut Instruction, n: u32, kind: Kind, form: Form) -> Option<()> {
        let info = insn.op_code();
        if let Some(register) = self.register(kind, form) {
            insn.set_op_kind(n, OpKind::Register);
            insn.set_op_register(n, register);
            return Some(());
        }
        match kind {
            Kind::mem | Kind::mem_offs | Kind::mem_mib => {
                self.memory(insn, n, kind, Register::None)
            }
            Kind::mem_vsib32x | Kind::mem_vsib64x => {
                self.memory(insn, n, kind, vector(Register::XMM0, VECTOR_INDEX));
            }
            Kind::mem_vsib32y | Kind::mem_vsib64y => {
                self.memory(insn, n, kind, vector(Register::YMM0, VECTOR_INDEX));
            }
            _ if is_memory_or_register(kind) => self.memory(insn, n, kind, Register::None),
            Kind::imm4_m2z => {
                insn.set_op_kind(n, OpKind::Immediate8);
                insn.set_immediate8(self.rng.bits() as u8 & 3);
            }
            Kind::imm8 | Kind::imm8_const_1 => {
                let second = n > 0 && insn.op_kind(n - 1) == OpKind::Immediate8;
                let value = if kind == Kind::imm8_const_1 { 1 } else { self.small() as u8 };
                if second {
                    insn.set_op_kind(n, OpKind::Immediate8_2nd);
                    insn.set_immediate8_2nd(value & 31);
                } else {
                    insn.set_op_kind(n, OpKind::Immediate8);
                    // ENTER takes time and stack by it.
                    insn.set_immediate8(value);
                }
            }
            Kind::imm8sex16 => {
                insn.set_op_kind(n, OpKind::Immediate8to16);
                insn.set_immediate8to16(i16::from(self.rng.integer() as i8));
            }
            Kind::imm8sex32 => {
                insn.set_op_kind(n, OpKind::Immediate8to32);
                insn.set_immediate8to32(i32::from(self.rng.integer() as i8));
            }
            Kind::imm8sex64 => {
                insn.set_op_kind(n, OpKind::Immediate8to64);
                insn.set_immediate8to64(i64::from(self.rng.integer() as i8));
            }
            Kind::imm16 => {
                insn.set_op_kind(n, OpKind::Immediate16);
                let value = self.rng.integer() as u16;
                insn.set_immediate16(if info.mnemonic() == Mnemonic::Enter {
                    value & 0x3f
                } else {
                    value
                });
            }
            Kind::imm32 => {
                insn.set_op_kind(n, OpKind::Immediate32);
                insn.set_immediate32(self.rng.integer() as u32);
            }
            Kind::imm32sex64 => {
                insn.set_op_kind(n, OpKind::Immediate32to64);
                insn.set_immediate32to64(i64::from(self.rng.integer() as i32));
            }
            Kind::imm64 => {
                insn.set_op_kind(n, OpKind::Immediate64);
                insn.set_immediate64(self.rng.integer());
            }
            Kind::seg_rSI => insn.set_op_kind(n, OpKind::MemorySegRSI),
            Kind::es_rDI => insn.set_op_kind(n, OpKind::MemoryESRDI),
            Kind::seg_rDI => insn.set_op_kind(n, OpKind::MemorySegRDI),
            Kind::seg_rBX_al => {
                insn.set_op_kind(n, OpKind::Memory);
                insn.set_memory_base(Register::RBX);
                insn.set_memory_index(Register::AL);
                insn.set_memory_index_scale(1);
            }
            _ => return None,
        }
        Some(())
    }

    /// Shift counts, selectors: any byte, mostly a small one.
    fn small(&mut self) -> u64 {
        if self.rng.one_in(3) { self.rng.bits() & 0xff } else { self.rng.bits() % 66 }
    }

    /// The register that such an operand is.
    fn register(&mut self, kind: Kind, form: Form) -> Option<Register> {
        let any = |first: Register, rng: &mut Rng| vector(first, rng.below(16));
        let free = |first: Register, rng: &mut Rng| vector(first, FREE[rng.below(FREE.len())]);
        let rng = &mut self.rng;
        let byte = |rng: &mut Rng| {
            const BYTES: [Register; 10] = [
                Register::AL,
                Register::CL,
                Register::DL,
                Register::BL,
                Register::AH,
                Register::CH,
                Register::DH,
                Register::BH,
                Register::R12L,
                Register::SIL,
            ];
            BYTES[rng.below(BYTES.len())]
        };
        Some(match kind {
            _ if form == Form::Memory && is_memory_or_register(kind) => return None,
            Kind::r8_or_mem | Kind::r8_reg | Kind::r8_opcode => byte(rng),
            Kind::r16_or_mem | Kind::r16_reg | Kind::r16_rm | Kind::r16_opcode => {
                free(Register::AX, rng)
            }
            Kind::r32_or_mem | Kind::r32_reg | Kind::r32_rm | Kind::r32_opcode | Kind::r32_vvvv => {
                free(Register::EAX, rng)
            }
            Kind::r64_or_mem | Kind::r64_reg | Kind::r64_rm | Kind::r64_opcode | Kind::r64_vvvv => {
                free(Register::RAX, rng)
            }
            Kind::mm_or_mem | Kind::mm_reg | Kind::mm_rm => vector(Register::MM0, rng.below(8)),
            Kind::xmm_or_mem
            | Kind::xmm_reg
            | Kind::xmm_rm
            | Kind::xmm_vvvv
            | Kind::xmm_is4
            | Kind::xmm_is5 => any(Register::XMM0, rng),
            Kind::ymm_or_mem
            | Kind::ymm_reg
            | Kind::ymm_rm
            | Kind::ymm_vvvv
            | Kind::ymm_is4
            | Kind::ymm_is5 => any(Register::YMM0, rng),
            Kind::sti_opcode => vector(Register::ST0, rng.below(8)),
            Kind::st0 => Register::ST0,
            Kind::al => Register::AL,
            Kind::cl => Register::CL,
            Kind::ax => Register::AX,
            Kind::dx => Register::DX,
            Kind::eax => Register::EAX,
            Kind::rax => Register::RAX,
            Kind::fs => Register::FS,
            Kind::gs => Register::GS,
            Kind::seg_reg => vector(Register::ES, [0, 1, 2, 3, 4, 5][rng.below(6)]),
            _ => return None,
        })
    }

    /// By a pointer mostly, with a small distance.
    fn memory(&mut self, insn: &mut Instruction, n: u32, kind: Kind, index: Register) {
        insn.set_op_kind(n, OpKind::Memory);
        // What faults unless it is aligned is so mostly.
        let aligned = is_aligned(insn) && !self.rng.one_in(12);
        let rng = &mut self.rng;
        let base = match rng.below(24) {
            0 => vector(Register::RAX, FREE[rng.below(FREE.len())]),
            1 => Register::RSP,
            _ => POINTERS[rng.below(POINTERS.len())],
        };
        let (index, scale) = match (index, kind) {
            (Register::None, Kind::mem_mib) => (Register::None, 1),
            (Register::None, _) if rng.one_in(4) && !aligned => (INDEX.0, 1 << rng.below(4)),
            (index, _) => (index, if index == Register::None { 1 } else { 1 << rng.below(3) }),
        };
        let displacement = match rng.below(4) {
            0 | 1 => 0,
            2 if !aligned => rng.bits() as i64 % 32,
            _ if !aligned => rng.bits() as i64 % 32 * 8,
            _ => rng.bits() as i64 % 8 * 32,
        };
        if kind == Kind::mem_offs {
            insn.set_memory_base(Register::None);
            insn.set_memory_displ_size(8);
            insn.set_memory_displacement64(DATA.0 + (rng.bits() & 0x7f));
            return;
        }
        let segment = match rng.below(64) {
            0 => Register::FS,
            1 => Register::GS,
            _ => Register::None,
        };
        let memory = MemoryOperand::new(base, index, scale, displacement, 1, false, segment);
        insn.set_memory_base(memory.base);
        insn.set_memory_index(memory.index);
        insn.set_memory_index_scale(memory.scale);
        insn.set_memory_displ_size(if displacement == 0 { 0 } else { 1 });
        insn.set_memory_displacement64(displacement as u64);
        insn.set_segment_prefix(memory.segment_prefix);
    }

    /// Bytes of an instruction; sometimes with prefixes that say nothing, or little.
    pub(crate) fn bytes(&mut self, insn: &Instruction) -> Option<Vec<u8>> {
        let mut encoder = Encoder::new(64);
        encoder.encode(insn, CODE.0).ok()?;
        let mut bytes = encoder.take_buffer();
        if self.rng.one_in(16) && !insn.has_lock_prefix() {
            const PREFIXES: [u8; 8] = [0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x3e, 0x48, 0x40];
            bytes.insert(0, PREFIXES[self.rng.below(PREFIXES.len())]);
        }
        (bytes.len() <= 15 && is_safe(&bytes)).then_some(bytes)
    }
}

fn vector(first: Register, n: usize) -> Register {
    first + n as u32
}

/// Whether its operand in memory must be aligned.
fn is_aligned(insn: &Instruction) -> bool {
    insn.code().encoding() == EncodingKind::Legacy && insn.memory_size().size() >= 16
}

fn is_memory_or_register(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::r8_or_mem
            | Kind::r16_or_mem
            | Kind::r32_or_mem
            | Kind::r64_or_mem
            | Kind::mm_or_mem
            | Kind::xmm_or_mem
            | Kind::ymm_or_mem
    )
}

fn is_string(insn: &Instruction) -> bool {
    insn.is_string_instruction()
}
