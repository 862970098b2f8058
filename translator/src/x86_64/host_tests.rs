//! Integer instructions against the host's own: random encodings and operands, each evaluated and executed on the same
//! registers, flags and memory.

#![expect(unsafe_code, reason = "executes instructions")]

use std::arch::asm;
use std::collections::BTreeMap;

use arch::x86_64::flags;
use base::addr::PAGE_SIZE;
use base::rng::Rng;
use base::{CpuFrame, GuestVirt};
use decoders::x86_64::{
    self as decoder, CpuidFeature, Decoded, FlowControl, Instruction, Mnemonic, OpKind, Register,
    RflagsBits,
};
use ir::eval::{Denied, Exit, Memory};
use ir::{Block, BlockKey, Builder};

use super::{Frontend, GUEST};
use crate::{Frontend as _, Limits};

/// Registers in their encoding's order, and flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
struct State {
    gpr: [u64; 16],
    eflags: u64,
}

const RSP: usize = 4;

/// A page to execute from.
struct Code(*mut u8);

impl Code {
    fn new() -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping.
        let page = unsafe {
            libc::mmap(std::ptr::null_mut(), PAGE_SIZE as usize, protection, flags, -1, 0)
        };
        assert_ne!(page, libc::MAP_FAILED);
        Self(page.cast())
    }

    /// Executes an instruction that neither jumps nor uses the stack.
    fn execute(&self, insn: &[u8], state: &mut State) {
        // SAFETY: the page has room for an instruction and RET.
        unsafe {
            std::ptr::copy_nonoverlapping(insn.as_ptr(), self.0, insn.len());
            *self.0.add(insn.len()) = 0xc3;
        }
        // SAFETY: all registers are saved or said to be lost; the instruction accesses the test's memory only.
        unsafe {
            asm!(
                "push rbx", "push rbp", "push rdi", "push rsi",
                "push [rdi+128]", "popfq",
                "mov rax,[rdi]", "mov rcx,[rdi+8]", "mov rdx,[rdi+16]", "mov rbx,[rdi+24]",
                "mov rbp,[rdi+40]", "mov rsi,[rdi+48]",
                "mov r8,[rdi+64]", "mov r9,[rdi+72]", "mov r10,[rdi+80]", "mov r11,[rdi+88]",
                "mov r12,[rdi+96]", "mov r13,[rdi+104]", "mov r14,[rdi+112]", "mov r15,[rdi+120]",
                "mov rdi,[rdi+56]",
                "call [rsp]",
                "xchg rdi,[rsp+8]",
                "mov [rdi],rax", "mov [rdi+8],rcx", "mov [rdi+16],rdx", "mov [rdi+24],rbx",
                "mov [rdi+40],rbp", "mov [rdi+48],rsi",
                "mov [rdi+64],r8", "mov [rdi+72],r9", "mov [rdi+80],r10", "mov [rdi+88],r11",
                "mov [rdi+96],r12", "mov [rdi+104],r13", "mov [rdi+112],r14", "mov [rdi+120],r15",
                "pushfq", "pop [rdi+128]",
                "mov rax,[rsp+8]", "mov [rdi+56],rax",
                "cld",
                "add rsp,16", "pop rbp", "pop rbx",
                inout("rdi") &raw mut *state => _, inout("rsi") self.0 => _,
                out("rax") _, out("rcx") _, out("rdx") _, out("r8") _, out("r9") _, out("r10") _,
                out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            );
        }
    }
}

const MEMORY: usize = 512;

/// The memory that instructions access: the host's own, at its address.
#[repr(align(64))]
struct Data([u8; MEMORY]);

impl Data {
    fn range(&self, addr: GuestVirt, bytes: u32) -> Result<std::ops::Range<usize>, Denied> {
        let offset = addr.0.wrapping_sub(self.0.as_ptr() as u64);
        match usize::try_from(offset) {
            Ok(start) if start <= MEMORY - bytes as usize => Ok(start..start + bytes as usize),
            _ => Err(Denied(addr)),
        }
    }
}

impl Memory for Data {
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied> {
        let mut value = [0; 16];
        value[..bytes as usize].copy_from_slice(&self.0[self.range(addr, bytes)?]);
        Ok(u128::from_le_bytes(value))
    }

    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied> {
        let range = self.range(addr, bytes)?;
        self.0[range].copy_from_slice(&value.to_le_bytes()[..bytes as usize]);
        Ok(())
    }
}

/// Numbers that repeat.
struct Random(Rng);

impl Random {
    fn next(&mut self) -> u64 {
        self.0.bits()
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 32) % limit
    }

    /// A number that is likely to be a corner case.
    fn number(&mut self) -> u64 {
        let corners = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000];
        match self.below(6) {
            0 => corners[self.below(corners.len() as u64) as usize],
            1 => corners[self.below(corners.len() as u64) as usize].wrapping_neg(),
            2 => 1 << self.below(64),
            3 => (1 << 63) ^ self.below(4),
            4 => self.below(70),
            _ => self.next(),
        }
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// Bytes that may be an instruction, whose operand in memory, if any, is at RDI.
    fn instruction(&mut self) -> Vec<u8> {
        let mut code = Vec::new();
        let modrm = match self.below(4) {
            0 => 0x47 | (self.next() as u8 & 7) << 3,
            _ => 0xc0 | self.next() as u8,
        };
        if self.below(5) == 0 {
            let map = self.one_of(&[2, 2, 3]);
            code.extend([0xc4, 0xe0 | map, (self.next() as u8 & 0xf8) | self.next() as u8 & 3]);
            code.push(self.one_of(&[0xf0, 0xf2, 0xf3, 0xf5, 0xf6, 0xf7]));
            code.push(modrm);
        } else {
            let prefixes: &[&[u8]] =
                &[&[], &[], &[], &[0x66], &[0xf2], &[0xf3], &[0xf0], &[0x66, 0xf0], &[0x66, 0xf3]];
            code.extend(self.one_of(prefixes));
            let rex: &[&[u8]] = &[&[], &[], &[0x48], &[0x48], &[0x4d], &[0x44], &[0x40]];
            code.extend(self.one_of(rex));
            match self.below(5) {
                0 | 1 => code.push(self.next() as u8),
                2 | 3 => code.extend([0x0f, self.next() as u8]),
                _ => code.extend([0x0f, 0x38, 0xf0 | self.next() as u8 & 7]),
            }
            code.push(modrm);
        }
        code.push(0x10);
        code.extend(self.next().to_le_bytes());
        code
    }
}

/// Whether it can be executed here: it goes on, and leaves stack and segments alone.
fn is_suitable(i: &Instruction) -> bool {
    use CpuidFeature as C;
    let features = [
        C::INTEL8086,
        C::INTEL186,
        C::INTEL286,
        C::INTEL386,
        C::INTEL486,
        C::X64,
        C::CMOV,
        C::BMI1,
        C::BMI2,
        C::ADX,
        C::LZCNT,
        C::POPCNT,
        C::MOVBE,
        C::CX8,
        C::CMPXCHG16B,
        C::SSE4_2,
        C::MULTIBYTENOP,
    ];
    let is_segment = |n: u32| i.op_register(n).is_segment_register();
    let is_stack = |n: u32| i.op_register(n).full_register() == Register::RSP;
    let is_wild = matches!(i.mnemonic(), Mnemonic::Xlatb);
    i.flow_control() == FlowControl::Next
        && !i.is_privileged()
        && !i.is_stack_instruction()
        && i.cpuid_features().iter().all(|feature| features.contains(feature))
        && !(0..i.op_count()).any(|n| is_segment(n) || is_stack(n))
        && (i.memory_base() == Register::None || i.memory_base() == Register::RDI)
        && (i.memory_base() != Register::None || i.memory_displacement64() == 0)
        && !matches!(i.memory_segment(), Register::FS | Register::GS)
        && !is_wild
}

/// Whether it does on any host what it does here: what the manual leaves undefined, Ferry does as Intel's cores.
fn is_the_same_everywhere(i: &Instruction, count: u64) -> bool {
    // AMD's processors have no form of PREFETCH for registers; Intel's have a NOP there.
    let is_reserved = matches!(
        i.code(),
        decoder::Code::Reservednop_rm16_r16_0F0D
            | decoder::Code::Reservednop_rm32_r32_0F0D
            | decoder::Code::Reservednop_rm64_r64_0F0D
    );
    let shifts = matches!(i.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd);
    let too_far = shifts && i.op1_register().size() == 2 && count & 31 > 16;
    !is_reserved && !too_far
}

/// The flags that it leaves undefined.
fn undefined_flags(i: &Instruction) -> u64 {
    const FLAGS: [(u32, u64); 6] = [
        (RflagsBits::CF, flags::CF),
        (RflagsBits::PF, flags::PF),
        (RflagsBits::AF, flags::AF),
        (RflagsBits::ZF, flags::ZF),
        (RflagsBits::SF, flags::SF),
        (RflagsBits::OF, flags::OF),
    ];
    // After a rotation by a multiple of the width and 1, they do not agree on OF.
    let rotates = matches!(i.mnemonic(), Mnemonic::Rcl | Mnemonic::Rcr);
    let undefined = i.rflags_undefined() | if rotates { RflagsBits::OF } else { 0 };
    FLAGS.iter().filter(|(bit, _)| undefined & bit != 0).map(|(_, flag)| flag).sum()
}

/// Whether a register says which bit of memory it tests.
fn is_bit_string(i: &Instruction) -> bool {
    matches!(i.mnemonic(), Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc)
        && i.memory_base() != Register::None
        && i.op1_register() != Register::None
}

struct Bench {
    code: Code,
    frontend: Frontend,
    data: Box<Data>,
    random: Random,
    is_intel: bool,
    /// Mnemonics that were compared, and how often.
    seen: BTreeMap<String, u32>,
    wrong: BTreeMap<String, String>,
}

impl Bench {
    fn block(&self, insn: &[u8]) -> Block {
        let builder = Builder::new();
        let key = BlockKey::new(GuestVirt(0x1_0000), 0);
        let _ = self.frontend.translate(&builder, key, insn, Limits::STEP);
        builder.finish(GuestVirt(0x1_0000 + insn.len() as u64))
    }

    fn state(&mut self) -> State {
        let mut state = State::default();
        for register in &mut state.gpr {
            *register = self.random.number();
        }
        state.gpr[7] = self.data.0.as_ptr() as u64 + 112 + self.random.one_of(&[0, 3, 16]);
        state.eflags = self.random.next() & flags::STATUS | 0x202;
        state
    }

    fn evaluate(&mut self, block: &Block, state: &State) -> (Exit, State) {
        let mut frame = CpuFrame::new();
        arch::x86_64::reset(&mut frame);
        frame.slots[..16].copy_from_slice(&state.gpr);
        flags::set_eflags(&mut frame, state.eflags);
        // SAFETY: it is the guest's own frame.
        let exit = unsafe {
            ir::eval::run(block, &GUEST, &mut frame, &mut *self.data, 0x5a5a_a5a5_1234_8765)
        };
        let mut gpr = [0; 16];
        gpr.copy_from_slice(&frame.slots[..16]);
        (exit, State { gpr, eflags: flags::eflags(&frame) })
    }

    fn compare(&mut self, i: &Instruction, insn: &[u8]) {
        let block = self.block(insn);
        let mut before = self.state();
        if i.is_string_instruction() {
            before.gpr[1] = self.random.below(9);
            before.gpr[6] = self.data.0.as_ptr() as u64 + 120 + self.random.below(20);
            before.eflags |= flags::DF * self.random.below(2);
        }
        if is_bit_string(i) {
            let bit = self.random.below(600) as i64 - 300;
            before.gpr[i.op1_register().full_register().number()] = bit as u64;
            before.gpr[7] = self.data.0.as_ptr() as u64 + 128;
        }
        for byte in &mut self.data.0 {
            *byte = self.random.next() as u8;
        }
        let memory = self.data.0;
        let count =
            if i.op2_kind() == OpKind::Immediate8 { i.immediate8().into() } else { before.gpr[1] };
        let (exit, mut ours) = self.evaluate(&block, &before);
        if !matches!(exit, Exit::Goto(_)) || !(self.is_intel || is_the_same_everywhere(i, count)) {
            return;
        }
        let our_memory = std::mem::replace(&mut self.data.0, memory);
        let mut theirs = before;
        self.code.execute(insn, &mut theirs);
        theirs.gpr[RSP] = ours.gpr[RSP];
        if !self.is_intel {
            ours.eflags &= !undefined_flags(i);
            theirs.eflags &= !undefined_flags(i);
        }
        let name = format!("{:?}", i.code());
        *self.seen.entry(name.clone()).or_default() += 1;
        if ours != theirs || our_memory != self.data.0 {
            let differing = format!(
                "{} flags {:#x}: before {before:x?}\n  ours   {ours:x?}\n  theirs {theirs:x?}\n  memory {}",
                decoder::text(i),
                ours.eflags ^ theirs.eflags,
                our_memory == self.data.0,
            );
            self.wrong.entry(name).or_insert(differing);
        }
    }
}

/// How many random encodings are tried; a third of them can be compared.
const TRIES: u32 = 400_000;

#[test]
fn integer_instructions_do_what_the_host_does() {
    base::sys::fault::install();
    let mut bench = Bench {
        code: Code::new(),
        frontend: Frontend::new("max".parse().unwrap()),
        data: Box::new(Data([0; MEMORY])),
        random: Random(Rng::new(0x1234_5678_9abc_def1)),
        is_intel: base::host::is_intel(),
        seen: BTreeMap::new(),
        wrong: BTreeMap::new(),
    };
    for _ in 0..TRIES {
        let bytes = bench.random.instruction();
        let options = bench.frontend.options;
        let Decoded::Instruction(i) = decoder::decode(GuestVirt(0x1_0000), &bytes, options) else {
            continue;
        };
        if is_suitable(&i) && super::table::semantics(i.code()).is_some() {
            bench.compare(&i, &bytes[..i.len()]);
        }
    }
    let wrong: Vec<_> = bench.wrong.iter().map(|(name, text)| format!("{name}: {text}")).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), bench.seen.len(), wrong.join("\n"));
    assert!(bench.seen.len() > 500, "{}", bench.seen.len());
}
