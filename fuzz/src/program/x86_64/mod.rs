//! Random programs for x86-64: every encoding that iced's tables have, but for what Ferry's guest does not have, with any
//! operands.

pub(crate) mod choice;
mod encodings;
mod open;
mod operands;
mod state;

use iced_x86::{Code, Instruction};

use super::{Encoded, Ending, Guest, Insn, Jump, Maker, Pattern, Program};
use crate::coverage;
use crate::guest::X86_64;
use base::rng::Rng;
use encodings::{is_alone, is_safe};
use operands::Operands;

pub use encodings::{code_of, decode, encodings, name_of};
pub(crate) use operands::Form;
pub use state::extended;

/// A register that holds a small number, for indices, and its word.
const INDEX: (iced_x86::Register, usize) = (iced_x86::Register::R12, 12);
/// The vector register of small numbers, for gathers.
const VECTOR_INDEX: usize = 15;
/// The register that holds a forward target.
const TARGET: u8 = 15;

/// x86-64.
pub static GUEST: Guest = Guest {
    encodings: encodings::patterns,
    is_choice: encodings::is_choice_of,
    maker: |_, _, choices| Box::new(Encodings::new(choices)),
    // Return addresses lie on the stack.
    reserved: [TARGET, TARGET, 11],
    state: state::state,
    jump,
    back,
    length: |code| decode(code).map_or(code.len(), |insn| insn.len()).min(15),
    no_operation,
    patchers: [9, 10],
    // mov [r9], r10d, and what ends the block: where code is not compared with memory, it is fetched again then.
    patch: &[Encoded::low(0x11_8945, 3), Encoded::low(0xeb, 2)],
    harmless: |rng| {
        // lea rax..rdx, [rax..rbx+disp8]
        let bits = rng.bits() as u32;
        let registers = ((bits & 3) % 3) << 3 | bits >> 2 & 3;
        Encoded::word(0x40_8d48 | registers << 16 | bits & 0xff00_0000)
    },
    excused: |_, _, _| false,
    is_open: open::is_open,
    settled: open::settled,
    coverage: coverage::x86_64::ENCODINGS,
};

/// Makes instructions of encodings.
#[derive(Debug)]
struct Encodings(Vec<Code>);

impl Encodings {
    fn new(choices: &[Pattern]) -> Self {
        Self(choices.iter().filter_map(code_of).collect())
    }
}

impl Maker for Encodings {
    fn begin(&mut self, _: &mut Rng) {}

    fn make(&mut self, index: usize, rng: &mut Rng) -> Option<Encoded> {
        let mut operands = Operands { rng };
        let insn = operands.any(self.0[index])?;
        let bytes = operands.bytes(&insn)?;
        // A prefix that was added may make it name a register that is set apart.
        let names_reserved = decode(&bytes).is_none_or(|insn| names_reserved(&insn));
        Encoded::of(&bytes).filter(|_| !names_reserved)
    }
}

/// Whether it has to do with a register that is set apart.
fn names_reserved(insn: &Instruction) -> bool {
    let mut info = iced_x86::InstructionInfoFactory::new();
    let reserved = GUEST.reserved.into_iter().chain(GUEST.patchers);
    let reserved: Vec<_> = reserved.map(|n| iced_x86::Register::RAX + u32::from(n)).collect();
    let used = info.info(insn).used_registers();
    used.iter().any(|used| reserved.contains(&used.register().full_register()))
}

/// Forward, of every kind but RET.
fn jump(rng: &mut Rng) -> Jump {
    let condition = rng.bits() as u32 & 15;
    match rng.below(12) {
        // jmp
        0 => short(0xeb),
        1 => near(0xe9, 5),
        // call
        2 => near(0xe8, 5),
        // jmp r15, call r15: where that leads is part of the state.
        3 => indirect(0xe7_ff41),
        4 => indirect(0xd7_ff41),
        // loopne, loope, loop, jrcxz
        5 => short(0xe0 | condition & 3),
        6 | 7 => near(0x800f | condition << 8, 6),
        _ => short(0x70 | condition),
    }
}

/// With a distance of one byte.
fn short(opcode: u32) -> Jump {
    let aim = |jump: Encoded, distance: u32| Encoded::low(jump.as_word() | (distance - 2) << 8, 2);
    Jump { encoded: Encoded::low(opcode, 2), aim, reach: 127, is_indirect: false }
}

/// With a distance of four bytes.
fn near(opcode: u32, length: usize) -> Jump {
    let mut bytes = [0; 6];
    bytes[..4].copy_from_slice(&opcode.to_le_bytes());
    let encoded = Encoded::of(&bytes[..length]).unwrap_or(Encoded::low(opcode, 2));
    Jump { encoded, aim: aim_near, reach: usize::MAX, is_indirect: false }
}

fn aim_near(jump: Encoded, distance: u32) -> Encoded {
    let (opcode, _) = jump.bytes().split_at(jump.len() - 4);
    let distance = distance.wrapping_sub(jump.len() as u32);
    let bytes = [opcode, &distance.to_le_bytes()].concat();
    Encoded::of(&bytes).unwrap_or(jump)
}

fn indirect(opcode: u32) -> Jump {
    let aim = |jump: Encoded, _: u32| jump;
    Jump { encoded: Encoded::low(opcode, 3), aim, reach: usize::MAX, is_indirect: true }
}

/// `dec r11; jnz <start>`
fn back(length: u32) -> [Encoded; 2] {
    [Encoded::low(0xcb_ff49, 3), aim_near(near(0x850f, 6).encoded, (length + 3).wrapping_neg())]
}

/// SDM vol. 2, NOP: the recommended sequences of up to four bytes, more often than once for more.
fn no_operation(length: usize) -> Encoded {
    let bytes: [&[u8]; 4] =
        [&[0x90], &[0x66, 0x90], &[0x0f, 0x1f, 0x00], &[0x0f, 0x1f, 0x40, 0x00]];
    let known = bytes.get(length.wrapping_sub(1)).and_then(|bytes| Encoded::of(bytes));
    known.unwrap_or(Encoded::low(0x90, 1))
}

/// One instruction of this encoding, and a state that suits it.
#[must_use]
pub fn case(code: Code, rng: &mut Rng) -> Option<Program> {
    let mut operands = Operands { rng };
    let insn = operands.any(code)?;
    let bytes = operands.bytes(&insn)?;
    Some(program(&bytes, rng))
}

/// An instruction of this encoding, with random operands.
#[must_use]
pub fn instruction(code: Code, rng: &mut Rng) -> Option<Instruction> {
    Operands { rng }.any(code)
}

/// An instruction of this encoding and form, without what says nothing.
pub(crate) fn example(code: Code, form: Form, rng: &mut Rng) -> Option<Vec<u8>> {
    let insn = Operands { rng }.instruction(code, form)?;
    let mut encoder = iced_x86::Encoder::new(64);
    encoder.encode(&insn, crate::machine::CODE.0).ok()?;
    Some(encoder.take_buffer())
}

/// Any bytes that are no system call, from a state.
pub fn garbage(rng: &mut Rng) -> Program {
    loop {
        let length = 1 + rng.below(15);
        let mut code: Vec<u8> = (0..length).map(|_| rng.bits() as u8).collect();
        match rng.below(6) {
            0 => code[0] = 0x0f,
            1 => code[0] = 0xc5,
            2 => code[0] = 0xc4,
            3 => code.splice(0..1, [0x66, 0x0f, 0x38]).for_each(drop),
            _ => {}
        }
        code.truncate(15);
        if is_safe(&code) && is_alone(&code) {
            return program(&code, rng);
        }
    }
}

/// Of these bytes, at most fifteen, whatever they are.
fn program(code: &[u8], rng: &mut Rng) -> Program {
    let insns = Encoded::of(code).map(Insn::Plain).into_iter().collect();
    Program { guest: &X86_64, insns, ending: Ending::Straight, before: state::state(rng, code) }
}
