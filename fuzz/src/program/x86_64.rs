//! Random instructions of x86-64: every encoding that iced's tables have, but for what Ferry's guest does not have, with any
//! operands, alone or several of them with jumps forward between them.

use std::collections::BTreeSet;

use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, Encoder, EncodingKind, Instruction, MemoryOperand,
    Mnemonic, OpCodeOperandKind as Kind, OpKind, Register,
};

use super::address;
use crate::guest::X86_64;
use crate::guest::x86_64::{FCW, FPR, FSW, FTW, MXCSR, RFLAGS, RSP, YMM, flags_of};
use crate::machine::{CODE, DATA, State};
use base::rng::Rng;

/// Registers that hold addresses, if nothing has changed them.
const POINTERS: [Register; 6] =
    [Register::RBX, Register::RSI, Register::RDI, Register::R13, Register::R14, Register::R8];
/// Their words.
const POINTER_WORDS: [usize; 6] = [3, 6, 7, 13, 14, 8];
/// A register that holds a small number, for indices.
const INDEX: (Register, usize) = (Register::R12, 12);
/// The vector register of small numbers, for gathers.
const VECTOR_INDEX: usize = 15;

/// What the guest has, as iced calls it.
const FEATURES: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::X64,
    CpuidFeature::FPU,
    CpuidFeature::FPU287,
    CpuidFeature::FPU387,
    CpuidFeature::CMOV,
    CpuidFeature::CX8,
    CpuidFeature::CMPXCHG16B,
    CpuidFeature::MMX,
    CpuidFeature::SSE,
    CpuidFeature::SSE2,
    CpuidFeature::SSE3,
    CpuidFeature::SSSE3,
    CpuidFeature::SSE4_1,
    CpuidFeature::SSE4_2,
    CpuidFeature::POPCNT,
    CpuidFeature::AVX,
    CpuidFeature::AVX2,
    CpuidFeature::FMA,
    CpuidFeature::F16C,
    CpuidFeature::BMI1,
    CpuidFeature::BMI2,
    CpuidFeature::LZCNT,
    CpuidFeature::MOVBE,
    CpuidFeature::ADX,
    CpuidFeature::AES,
    CpuidFeature::VAES,
    CpuidFeature::PCLMULQDQ,
    CpuidFeature::VPCLMULQDQ,
    CpuidFeature::SHA,
    CpuidFeature::GFNI,
    CpuidFeature::PREFETCHW,
    CpuidFeature::CLFSH,
    CpuidFeature::CLFLUSHOPT,
    CpuidFeature::CLWB,
    CpuidFeature::PAUSE,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::FXSR,
    CpuidFeature::XSAVE,
    CpuidFeature::FSGSBASE,
    CpuidFeature::CET_IBT,
];

/// What depends on the world, on the kernel's tables, or on what has been executed before; and jumps, which are made apart.
const EXCLUDED: &[Mnemonic] = &[
    Mnemonic::Syscall,
    Mnemonic::Sysenter,
    Mnemonic::Sysexit,
    Mnemonic::Sysexitq,
    Mnemonic::Sysretq,
    Mnemonic::Sysret,
    Mnemonic::Int,
    Mnemonic::Int1,
    Mnemonic::Int3,
    Mnemonic::Into,
    Mnemonic::Iret,
    Mnemonic::Iretd,
    Mnemonic::Iretq,
    Mnemonic::Cpuid,
    Mnemonic::Rdtsc,
    Mnemonic::Rdtscp,
    Mnemonic::Rdpmc,
    Mnemonic::Rdpid,
    Mnemonic::Rdrand,
    Mnemonic::Rdseed,
    Mnemonic::Xgetbv,
    Mnemonic::Sgdt,
    Mnemonic::Sidt,
    Mnemonic::Sldt,
    Mnemonic::Str,
    Mnemonic::Smsw,
    // Of one segment it is the processor's number.
    Mnemonic::Lsl,
    Mnemonic::Lfs,
    Mnemonic::Lgs,
    Mnemonic::Lss,
    Mnemonic::Popf,
    Mnemonic::Popfq,
    Mnemonic::Retf,
    Mnemonic::Wrfsbase,
    Mnemonic::Wrgsbase,
    // What they store of the last x87 instruction depends on the processor.
    Mnemonic::Fnstenv,
    Mnemonic::Fstenv,
    Mnemonic::Fnsave,
    Mnemonic::Fsave,
    Mnemonic::Fldenv,
    Mnemonic::Frstor,
    Mnemonic::Fxsave,
    Mnemonic::Fxsave64,
    Mnemonic::Fxrstor,
    Mnemonic::Fxrstor64,
    Mnemonic::Xsave,
    Mnemonic::Xsave64,
    Mnemonic::Xrstor,
    Mnemonic::Xrstor64,
];

/// Every encoding of the guest's.
#[must_use]
pub fn encodings() -> Vec<Code> {
    let wanted = |code: &Code| {
        let info = code.op_code();
        let known = matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
        info.is_instruction()
            && known
            && info.mode64()
            && !code.is_privileged()
            && code.cpuid_features().iter().all(|feature| FEATURES.contains(feature))
            && !EXCLUDED.contains(&code.mnemonic())
            && !is_jump(*code)
            && !info.is_reserved_nop()
            && !names_a_segment(*code)
    };
    Code::values().filter(wanted).collect()
}

fn is_jump(code: Code) -> bool {
    use iced_x86::FlowControl;
    !matches!(code.flow_control(), FlowControl::Next | FlowControl::Exception)
}

/// `MOV Sreg` and `POP Sreg`.
fn names_a_segment(code: Code) -> bool {
    let info = code.op_code();
    info.op_count() > 0
        && matches!(info.op_kind(0), Kind::seg_reg | Kind::fs | Kind::gs)
        && code.mnemonic() != Mnemonic::Push
}

/// Makes instructions, programs and states.
#[derive(Debug)]
pub struct Random {
    /// What all depends on.
    pub rng: Rng,
    encodings: Vec<Code>,
}

/// Some instructions and where they start from.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its bytes.
    pub code: Vec<u8>,
    /// The state at its start.
    pub before: State,
    /// The flags that it leaves undefined.
    pub undefined: u64,
}

impl Random {
    /// All that depends on this seed only.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), encodings: encodings() }
    }

    /// An instruction of any encoding.
    pub fn any(&mut self) -> Instruction {
        loop {
            let code = self.encodings[self.rng.below(self.encodings.len())];
            if let Some(insn) = self.instruction(code) {
                return insn;
            }
        }
    }

    /// An instruction of this encoding, with random operands.
    pub fn instruction(&mut self, code: Code) -> Option<Instruction> {
        let info = code.op_code();
        let mut insn = Instruction::default();
        insn.set_code(code);
        let memory = self.rng.one_in(2);
        for n in 0..info.op_count() {
            self.operand(&mut insn, n, info.op_kind(n), memory)?;
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

    fn operand(&mut self, insn: &mut Instruction, n: u32, kind: Kind, memory: bool) -> Option<()> {
        let info = insn.op_code();
        if let Some(register) = self.register(kind, memory) {
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
    fn register(&mut self, kind: Kind, memory: bool) -> Option<Register> {
        let any = |first: Register, rng: &mut Rng| vector(first, rng.below(16));
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
                Register::R9L,
                Register::SIL,
            ];
            BYTES[rng.below(BYTES.len())]
        };
        Some(match kind {
            _ if memory && is_memory_or_register(kind) => return None,
            Kind::r8_or_mem | Kind::r8_reg | Kind::r8_opcode => byte(rng),
            Kind::r16_or_mem | Kind::r16_reg | Kind::r16_rm | Kind::r16_opcode => {
                any(Register::AX, rng)
            }
            Kind::r32_or_mem | Kind::r32_reg | Kind::r32_rm | Kind::r32_opcode | Kind::r32_vvvv => {
                any(Register::EAX, rng)
            }
            Kind::r64_or_mem | Kind::r64_reg | Kind::r64_rm | Kind::r64_opcode | Kind::r64_vvvv => {
                any(Register::RAX, rng)
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
        let rng = &mut self.rng;
        let base = match rng.below(24) {
            0 => vector(Register::RAX, rng.below(16)),
            1 => Register::RSP,
            _ => POINTERS[rng.below(POINTERS.len())],
        };
        let (index, scale) = match (index, kind) {
            (Register::None, Kind::mem_mib) => (Register::None, 1),
            (Register::None, _) if rng.one_in(4) => (INDEX.0, 1 << rng.below(4)),
            (index, _) => (index, if index == Register::None { 1 } else { 1 << rng.below(3) }),
        };
        let displacement = match rng.below(4) {
            0 | 1 => 0,
            2 => rng.bits() as i64 % 32,
            _ => rng.bits() as i64 % 32 * 8,
        };
        if kind == Kind::mem_offs {
            insn.set_memory_base(Register::None);
            insn.set_memory_displ_size(8);
            insn.set_memory_displacement64(DATA.0 + (rng.bits() & 0x7f));
            return;
        }
        let segment = if rng.one_in(32) { Register::FS } else { Register::None };
        let memory = MemoryOperand::new(base, index, scale, displacement, 1, false, segment);
        insn.set_memory_base(memory.base);
        insn.set_memory_index(memory.index);
        insn.set_memory_index_scale(memory.scale);
        insn.set_memory_displ_size(if displacement == 0 { 0 } else { 1 });
        insn.set_memory_displacement64(displacement as u64);
        insn.set_segment_prefix(memory.segment_prefix);
    }

    /// Bytes of an instruction; sometimes with prefixes that say nothing, or little.
    pub fn bytes(&mut self, insn: &Instruction) -> Option<Vec<u8>> {
        let mut encoder = Encoder::new(64);
        encoder.encode(insn, CODE.0).ok()?;
        let mut bytes = encoder.take_buffer();
        if self.rng.one_in(16) && !insn.has_lock_prefix() {
            const PREFIXES: [u8; 8] = [0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x3e, 0x48, 0x40];
            bytes.insert(0, PREFIXES[self.rng.below(PREFIXES.len())]);
        }
        (bytes.len() <= 15 && is_safe(&bytes)).then_some(bytes)
    }

    /// One instruction of this encoding and a state that suits it.
    pub fn case(&mut self, code: Code) -> Option<Program> {
        let insn = self.instruction(code)?;
        let code = self.bytes(&insn)?;
        Some(self.program(code))
    }

    fn program(&mut self, code: Vec<u8>) -> Program {
        let undefined = undefined(&code);
        Program { before: self.state(&code), code, undefined }
    }

    /// Any bytes that are no system call, from a state.
    pub fn garbage(&mut self) -> Program {
        loop {
            let length = 1 + self.rng.below(15);
            let mut code: Vec<u8> = (0..length).map(|_| self.rng.bits() as u8).collect();
            match self.rng.below(6) {
                0 => code[0] = 0x0f,
                1 => code[0] = 0xc5,
                2 => code[0] = 0xc4,
                3 => code.splice(0..1, [0x66, 0x0f, 0x38]).for_each(drop),
                _ => {}
            }
            code.truncate(15);
            if is_safe(&code) && is_alone(&code) {
                return self.program(code);
            }
        }
    }

    /// Some instructions, with jumps forward between them.
    pub fn several(&mut self) -> Program {
        loop {
            let count = 2 + self.rng.below(14);
            let (mut code, mut open) = (Vec::new(), 0_u64);
            let mut jumps: Vec<usize> = Vec::new();
            for _ in 0..count {
                if self.rng.one_in(8) && open == 0 {
                    // jcc +8, to be aimed.
                    code.extend([0x70 | self.rng.bits() as u8 & 15, 0]);
                    jumps.push(code.len());
                    continue;
                }
                let insn = self.any();
                let Some(bytes) = self.bytes(&insn) else { continue };
                let Some(decoded) = decode(&bytes) else { continue };
                if flags_of(decoded.rflags_read()) & open != 0
                    || reads_all_flags(&decoded) && open != 0
                {
                    continue;
                }
                let given =
                    decoded.rflags_written() | decoded.rflags_cleared() | decoded.rflags_set();
                // Behind a jump nothing is known to be defined again.
                if jumps.is_empty() {
                    open &= !flags_of(given);
                }
                open |= flags_of(decoded.rflags_undefined());
                code.extend(bytes);
            }
            for at in jumps {
                let room = code.len() - at;
                // To the next instruction's start or the end: where else instructions begin is not kept.
                let target = starts(&code[at..]).nth(1 + self.rng.below(3)).unwrap_or(room);
                if target <= 127 {
                    code[at - 1] = target as u8;
                }
            }
            if !code.is_empty() && is_safe(&code) && code.len() < crate::oracle::CODE_MAX {
                let before = self.state(&code);
                return Program { code, before, undefined: open };
            }
        }
    }

    /// Corner values everywhere.
    pub fn state(&mut self, code: &[u8]) -> State {
        let rng = &mut self.rng;
        let mut state = State::new(&X86_64);
        for word in &mut state.words[..16] {
            *word = rng.integer();
        }
        for word in POINTER_WORDS {
            state.words[word] = address(rng);
        }
        let is_rep =
            decode(code).is_some_and(|insn| insn.has_rep_prefix() || insn.has_repne_prefix());
        if is_rep || rng.one_in(8) {
            state.words[1] = rng.bits() % 40;
        }
        state.words[INDEX.1] = rng.bits() % 16;
        state.words[RSP] = DATA.0 + 0x40 + rng.bits() % 16 * 8;
        state.words[RFLAGS] = rng.bits() & 0x8d5;
        if rng.one_in(6) {
            state.words[RFLAGS] |= 1 << 10;
        }
        floating_point(&mut state, rng);
        let kind = rng.below(12);
        for word in &mut state.words[YMM..YMM + 64] {
            *word = lanes(kind, rng);
        }
        for word in &mut state.words[YMM + 4 * VECTOR_INDEX..][..4] {
            *word = rng.bits() & 0x0000_001f_0000_001f;
        }
        for chunk in state.memory.chunks_exact_mut(8) {
            chunk.copy_from_slice(&lanes(kind, rng).to_le_bytes());
        }
        state
    }
}

/// Modes and x87 registers.
fn floating_point(state: &mut State, rng: &mut Rng) {
    let mxcsr = match rng.below(8) {
        0..=3 => 0x1f80,
        4 => 0x1f80 | rng.bits() & 0xe07f,
        5 => 0x1fa0 | rng.bits() & 0x601f,
        6 => 0x1f80 | rng.bits() & 0x6000,
        _ => rng.bits() & 0xffc0,
    };
    state.words[MXCSR] = mxcsr;
    let masks = if rng.one_in(12) { rng.bits() & 0x3f } else { 0x3f };
    let control = if rng.one_in(2) { 0x340 } else { 0x40 | rng.bits() & 0xf00 };
    // Precision 1 is reserved.
    let control = if control >> 8 & 3 == 1 { control | 0x300 } else { control };
    state.words[FCW] = control | masks;
    let sticky = if masks == 0x3f { rng.bits() & 0x7f } else { 0 };
    let top = [0, 0, rng.bits() & 7][rng.below(3)];
    state.words[FSW] = sticky | top << 11 | rng.bits() & 0x4700;
    state.words[FTW] = if rng.one_in(4) { rng.bits() & 0xff } else { 0xff };
    for n in 0..8 {
        let value = extended(rng);
        state.words[FPR + 2 * n] = value as u64;
        state.words[FPR + 2 * n + 1] = (value >> 64) as u64;
    }
}

/// x87's format: corners, numbers that doubles and integers have, anything, what is no number either.
#[must_use]
pub fn extended(rng: &mut Rng) -> u128 {
    let sign = rng.bits() & 1;
    let exponent = match rng.below(10) {
        0 => 0,
        1 => 0x7fff,
        2 => 1 + rng.bits() % 3,
        3 => 0x7ffe - rng.bits() % 3,
        4..=7 => 0x3fff - 4 + rng.bits() % 70,
        8 => 0x3fff - 70 + rng.bits() % 140,
        _ => rng.bits() & 0x7fff,
    };
    let fraction = match rng.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << rng.below(63),
        3 => rng.bits() << (11 + rng.below(50)),
        _ => rng.bits(),
    };
    let integer = u64::from(exponent != 0) ^ u64::from(rng.one_in(24));
    u128::from(sign << 15 | exponent) << 64 | u128::from(integer << 63 | fraction & !(1 << 63))
}

/// 64 bits of lanes of a format.
fn lanes(kind: usize, rng: &mut Rng) -> u64 {
    let repeated = |width: u32, lane: &mut dyn FnMut() -> u64| {
        (0..64 / width).fold(0, |all, i| all | (lane() & (u64::MAX >> (64 - width))) << (i * width))
    };
    match kind {
        0 => repeated(16, &mut || rng.float_of(5, 10)),
        1..=4 => repeated(32, &mut || rng.float_of(8, 23)),
        5..=7 => rng.float_of(11, 52),
        8 => repeated(8, &mut || rng.integer()),
        9 => repeated(16, &mut || rng.integer()),
        10 => repeated(32, &mut || rng.integer()),
        _ => rng.integer(),
    }
}

fn vector(first: Register, n: usize) -> Register {
    first + n as u32
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

/// The first instruction.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Instruction> {
    let insn = Decoder::with_ip(64, bytes, CODE.0, DecoderOptions::NONE).decode();
    (!insn.is_invalid()).then_some(insn)
}

/// Where instructions begin.
fn starts(code: &[u8]) -> impl Iterator<Item = usize> {
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    decoder.into_iter().map(|insn| insn.ip() as usize).collect::<Vec<_>>().into_iter()
}

fn reads_all_flags(insn: &Instruction) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Pushf | Mnemonic::Pushfq | Mnemonic::Lahf)
}

/// The flags that one instruction leaves undefined.
fn undefined(code: &[u8]) -> u64 {
    decode(code).map_or(0, |insn| flags_of(insn.rflags_undefined()))
}

/// Whether there is no instruction among these that is excluded, or that the guest does not have and the host might.
fn is_safe(code: &[u8]) -> bool {
    let allowed: BTreeSet<_> = FEATURES.iter().map(|&feature| feature as u32).collect();
    // Breakpoints come behind it, and belong to its last instruction if that is not whole.
    let padded = [code, &[0xcc; 15]].concat();
    let end = CODE.0 + code.len() as u64;
    let insns = Decoder::with_ip(64, &padded, CODE.0, DecoderOptions::NONE).into_iter();
    insns.take_while(|insn| insn.ip() < end).all(|insn| {
        let known =
            insn.cpuid_features().iter().all(|&feature| allowed.contains(&(feature as u32)));
        insn.is_invalid()
            || insn.mnemonic() == Mnemonic::Int3 && insn.next_ip() > end
            || known
                && !EXCLUDED.contains(&insn.mnemonic())
                && !insn.is_privileged()
                && !names_a_segment(insn.code())
    })
}

/// Whether it is one instruction, which goes nowhere else, or an invalid one; with what comes behind it, too.
fn is_alone(code: &[u8]) -> bool {
    decode(&[code, &[0xcc; 15]].concat()).is_none_or(|insn| match insn.mnemonic() {
        Mnemonic::Int3 => insn.len() > code.len(),
        _ => insn.len() >= code.len() && !is_jump(insn.code()),
    })
}
