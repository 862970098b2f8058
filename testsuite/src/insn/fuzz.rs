//! Random programs: an instruction sequence that always comes to an end, whatever its operands do,
//! and a state full of corner values to start from.
//!
//! A word is made of random bits around an instruction's fixed ones, and taken or not by what it
//! translates to. Branches only go forward; one counted loop may go round the whole. Three registers
//! are set apart for that: x1 takes return addresses, x5 holds a forward target, x31 counts.

use arch::riscv64::{CpuModel, slot};
use base::{GuestVirt, RegSlot};
use decoders::riscv64::{ExtensionSet, INSTRUCTIONS, InstructionInfo, Op, disassemble, identify};
use ir::ops::Shape;
use ir::{Block, BlockKey, Builder, OperandKind, Terminator, Trap};
use translator::{Frontend as _, Limits, Translation, riscv64};

use super::machine::{CODE, DATA, EDGE, PAGE, State};
use super::rng::Rng;

/// The most instructions in a program, its loop aside.
const MAX_INSNS: usize = 24;
/// Return addresses, the target of JALR, the loop's counter.
const RESERVED: [u8; 3] = [1, 5, 31];
/// Registers that hold addresses, if nothing has changed them.
const POINTERS: [u8; 8] = [2, 8, 9, 14, 15, 18, 19, 20];

/// A program and where it starts from.
#[derive(Clone, Debug)]
pub struct Program {
    insns: Vec<Insn>,
    looping: bool,
    /// The state at its start.
    pub before: State,
}

#[derive(Clone, Copy, Debug)]
enum Insn {
    /// As it is.
    Plain(u32),
    /// A branch to the instruction that is this many further on.
    Forward(Jump, usize),
}

#[derive(Clone, Copy, Debug)]
enum Jump {
    /// `jal ra`
    Jal,
    /// `c.j`
    Compressed,
    /// A branch with these bits but for its offset.
    Branch(u32),
    /// `c.beqz`, `c.bnez`: likewise.
    CompressedBranch(u32),
    /// `jalr zero,0(t0)`: where that leads is part of the state.
    Indirect,
}

/// Makes programs.
pub struct Generator {
    rng: Rng,
    choices: Vec<&'static InstructionInfo>,
    frontend: riscv64::Frontend,
    builder: Builder,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator").field("rng", &self.rng).finish_non_exhaustive()
    }
}

/// Jumps are made by [`Jump`]; system calls would be real; counters differ from run to run; the
/// others do not behave under qemu-user as under Linux.
fn is_choice(info: &InstructionInfo) -> bool {
    let name = info.name.trim_start_matches("c.");
    let is_jump = matches!(name, "j" | "jal" | "jr" | "jalr")
        || name.starts_with('b') && {
            matches!(name, "beq" | "bne" | "blt" | "bge" | "bltu" | "bgeu" | "beqz" | "bnez")
        };
    !is_jump && !matches!(name, "ecall" | "cbo.inval") && !info.chapter.starts_with("Privileged")
}

impl Generator {
    /// A generator whose programs depend on the seed only.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            choices: INSTRUCTIONS.iter().filter(|info| is_choice(info)).collect(),
            frontend: riscv64::Frontend::new(CpuModel::default()),
            builder: Builder::new(),
        }
    }

    /// The next program.
    pub fn program(&mut self) -> Program {
        let count = 1 + self.rng.below(MAX_INSNS);
        let insns: Vec<Insn> = (0..count).map(|index| self.insn(count - index)).collect();
        let looping = self.rng.one_in(3);
        let mut program = Program { insns, looping, before: self.state() };
        program.aim();
        program
    }

    /// An instruction with `left` instructions from it to the end.
    fn insn(&mut self, left: usize) -> Insn {
        if self.rng.one_in(8) {
            return Insn::Forward(self.jump(), 1 + self.rng.below(left));
        }
        loop {
            let info = self.choices[self.rng.below(self.choices.len())];
            if let Some(word) = self.word(info) {
                return Insn::Plain(word);
            }
        }
    }

    fn jump(&mut self) -> Jump {
        let bits = self.rng.bits() as u32;
        match self.rng.below(8) {
            0 => Jump::Jal,
            1 => Jump::Compressed,
            2 => Jump::Indirect,
            3 | 4 => Jump::CompressedBranch(0xc001 | (bits & 1) << 13 | bits & 0x380),
            _ => {
                let condition = [0, 1, 4, 5, 6, 7][self.rng.below(6)];
                Jump::Branch(0x63 | condition << 12 | bits & 0x01ff_8000)
            }
        }
    }

    /// A word of this instruction, unless it is one that does not suit.
    fn word(&mut self, info: &InstructionInfo) -> Option<u32> {
        let mut word = info.value | self.rng.bits() as u32 & !info.mask;
        if info.name.starts_with("csr") && !self.rng.one_in(16) {
            word = word & 0x000f_ffff | (1 + self.rng.below(3) as u32) << 20;
        }
        let word = if info.width == 16 { word & 0xffff } else { word };
        let decoded = identify(word, ExtensionSet::ALL) == Some(info.op);
        let block = self.translate(word);
        let wanted = decoded && !reads_counter(info.op, word) && self.suits(info.op, word, &block);
        wanted.then_some(word)
    }

    fn translate(&mut self, word: u32) -> Block {
        let key = BlockKey::new(CODE, 0);
        let code = word.to_le_bytes();
        match self.frontend.translate(&self.builder, key, &code, Limits::STEP) {
            Translation::Done { next } => self.builder.finish(next),
            Translation::Unfetchable(_) => unreachable!("four bytes are an instruction"),
        }
    }

    /// Whether its operands are such that something interesting may happen.
    fn suits(&mut self, op: Op, word: u32, block: &Block) -> bool {
        let touches = |reserved: u8| {
            let operand = |operand| block.operand(operand) == OperandKind::Slot(slot::x(reserved));
            block
                .insts
                .iter()
                .any(|inst| operand(inst.dst) || inst.args.iter().any(|&a| operand(a)))
        };
        let hidden = op == Op::AmocasQ && {
            let pair = |at: u32| (word >> at & 31) as u8;
            [pair(7), pair(20)].iter().any(|&low| [4, 30].contains(&low))
        };
        // qemu-user 10.0.2 spoils its constant 0 by AMOCAS with x0 as destination.
        let spoils = op.name().starts_with("amocas") && word >> 7 & 31 == 0;
        if hidden || spoils || RESERVED.into_iter().any(touches) {
            return false;
        }
        let rare = match block.terminator {
            Terminator::Trap { trap: Trap::Illegal | Trap::Breakpoint, .. } => true,
            _ => block.insts.iter().any(|inst| accesses_at_random(block, inst)),
        };
        !rare || self.rng.one_in(24)
    }

    fn state(&mut self) -> State {
        let mut state = State::default();
        for n in 1..32 {
            let value = if POINTERS.contains(&n) { self.address() } else { self.rng.integer() };
            state.slots[slot::x(n).index()] = value;
        }
        for n in 0..32 {
            state.slots[slot::f(n).index()] = self.rng.float();
        }
        state.slots[slot::x(31).index()] = 1 + self.rng.below(5) as u64;
        state.slots[slot::FFLAGS.index()] =
            self.rng.bits() & if self.rng.one_in(2) { 31 } else { 1 };
        state.slots[slot::FRM.index()] =
            if self.rng.one_in(40) { 5 } else { self.rng.below(5) as u64 };
        for byte in &mut state.memory {
            *byte = self.rng.bits() as u8;
        }
        state
    }

    /// An address near the data: mostly aligned and good, now and then at an edge or beyond.
    fn address(&mut self) -> u64 {
        let page = PAGE as u64;
        let offset = match self.rng.below(12) {
            0 => page,
            1 => page - 8,
            2 => 0,
            3 => 0_u64.wrapping_sub(64),
            4 => page - 1 - self.rng.bits() % 16,
            5 => self.rng.bits() % EDGE as u64,
            _ => self.rng.bits() % (EDGE as u64 / 16) * 16,
        };
        DATA.0.wrapping_add(offset)
    }
}

fn reads_counter(op: Op, word: u32) -> bool {
    op.name().starts_with("csr") && (0xc00..0xca0).contains(&(word >> 20))
}

/// Whether it accesses memory by a register that holds no address, or far from where it points.
fn accesses_at_random(block: &Block, inst: &ir::Inst) -> bool {
    let accesses = matches!(
        inst.op.info().shape,
        Shape::Load | Shape::Store | Shape::AtomicRmw | Shape::AtomicCas | Shape::AlignCheck
    );
    let by_pointer = match block.operand(inst.args[0]) {
        OperandKind::Slot(RegSlot(n)) => POINTERS.contains(&(n as u8)),
        // CBO.ZERO's block and AMOCAS.Q's check are computed.
        OperandKind::Temp(_) => true,
        _ => false,
    };
    accesses && (!by_pointer || inst.imm.unsigned_abs() > 128)
}

impl Program {
    /// Sets x5 to where the first `jalr` shall go; the others become plain hints.
    fn aim(&mut self) {
        let mut targets = Vec::new();
        for (index, insn) in self.insns.iter_mut().enumerate() {
            if let Insn::Forward(Jump::Indirect, distance) = *insn {
                if targets.is_empty() {
                    targets.push(index + distance);
                } else {
                    *insn = Insn::Plain(NOP);
                }
            }
        }
        if let Some(&target) = targets.first() {
            let offset = self.offset_of(target);
            self.before.slots[slot::x(5).index()] = CODE.wrapping_add(offset as u64).0;
        }
    }

    /// How many instructions it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// The program with one instruction made a no-operation of the same length; `None` if it is one.
    #[must_use]
    pub fn without(&self, index: usize) -> Option<Self> {
        let nop = if self.insns[index].bytes() == 2 { C_NOP } else { NOP };
        let mut smaller = self.clone();
        smaller.insns[index] = Insn::Plain(nop);
        (!matches!(self.insns[index], Insn::Plain(word) if word == nop)).then_some(smaller)
    }

    fn offset_of(&self, index: usize) -> usize {
        self.insns[..index].iter().map(|insn| insn.bytes()).sum()
    }

    /// Its bytes.
    #[must_use]
    pub fn code(&self) -> Vec<u8> {
        let mut code = Vec::new();
        for (index, &insn) in self.insns.iter().enumerate() {
            let word = match insn {
                Insn::Plain(word) => word,
                Insn::Forward(jump, distance) => {
                    jump.encode((self.offset_of(index + distance) - code.len()) as u32)
                }
            };
            code.extend(&word.to_le_bytes()[..insn.bytes()]);
        }
        if self.looping {
            let back = (code.len() as u32 + 4).wrapping_neg();
            // addi t6,t6,-1; bne t6,zero,<start>
            code.extend(0xffff_8f93_u32.to_le_bytes());
            code.extend(Jump::Branch(0x63 | 1 << 12 | 31 << 15).encode(back).to_le_bytes());
        }
        code
    }

    /// Its assembly text, one instruction a line.
    #[must_use]
    pub fn listing(&self) -> String {
        let code = self.code();
        let mut lines = Vec::new();
        let mut at = 0;
        while at < code.len() {
            let mut bytes = [0; 4];
            let rest = &code[at..code.len().min(at + 4)];
            bytes[..rest.len()].copy_from_slice(rest);
            let word = u32::from_le_bytes(bytes);
            let pc: GuestVirt = CODE.wrapping_add(at as u64);
            let length = decoders::riscv64::length(word as u16) as usize;
            let word = if length == 2 { word & 0xffff } else { word };
            lines.push(format!("{pc}: {word:0w$x}  {}", disassemble(word, pc), w = 2 * length));
            at += length;
        }
        lines.join("\n")
    }
}

const NOP: u32 = 0x0000_0013;
const C_NOP: u32 = 0x0001;

impl Insn {
    fn bytes(&self) -> usize {
        match self {
            Self::Plain(word) => decoders::riscv64::length(*word as u16) as usize,
            Self::Forward(Jump::Compressed | Jump::CompressedBranch(_), _) => 2,
            Self::Forward(..) => 4,
        }
    }
}

impl Jump {
    /// The word that jumps by `offset` bytes.
    fn encode(self, offset: u32) -> u32 {
        // Bits high:low of the offset, moved to `to`.
        let field =
            |high: u32, low: u32, to: u32| (offset >> low & ((1 << (high - low + 1)) - 1)) << to;
        match self {
            Self::Jal => {
                0xef | field(20, 20, 31) | field(10, 1, 21) | field(11, 11, 20) | field(19, 12, 12)
            }
            Self::Branch(word) => {
                word | field(12, 12, 31) | field(10, 5, 25) | field(4, 1, 8) | field(11, 11, 7)
            }
            Self::Compressed => {
                let high = field(11, 11, 12) | field(4, 4, 11) | field(9, 8, 9) | field(10, 10, 8);
                0xa001 | high | field(6, 6, 7) | field(7, 7, 6) | field(3, 1, 3) | field(5, 5, 2)
            }
            Self::CompressedBranch(word) => {
                let high = field(8, 8, 12) | field(4, 3, 10);
                word | high | field(7, 6, 5) | field(2, 1, 3) | field(5, 5, 2)
            }
            // jalr zero,0(t0)
            Self::Indirect => 0x0002_8067,
        }
    }
}
