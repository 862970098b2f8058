//! Blocks: where they end; instructions: how many operations they are.

use std::collections::BTreeMap;

use base::cpu::TEMP_COUNT;
use base::{CpuFrame, GuestVirt};
use decoders::x86_64::{self as decoder, Code, Decoded};
use ir::eval::{Denied, Exit, Memory};
use ir::opt::{Options, Passes};
use ir::{Block, BlockKey, Builder, Opcode, Precision, Terminator, Trap, Type};

use super::table::Semantics;
use super::{Frontend, GUEST, arithmetic, bit, control, data, shift, string, system};
use crate::price;
use crate::{Frontend as _, Limits, Translation};

const START: GuestVirt = GuestVirt(0x1_0000);

fn translate_at(pc: GuestVirt, code: &[u8], limits: Limits) -> Result<Block, GuestVirt> {
    let builder = Builder::new();
    let frontend = Frontend::new("max".parse().unwrap());
    match frontend.translate(&builder, BlockKey::new(pc, 0), code, limits) {
        Translation::Done { next } => Ok(builder.finish(next)),
        Translation::Unfetchable(addr) => Err(addr),
    }
}

fn translate(code: &[u8]) -> Block {
    translate_at(START, code, Limits::default()).unwrap()
}

fn operations(block: &Block) -> Vec<Opcode> {
    block.insts.iter().map(|inst| inst.op).filter(|&op| op != Opcode::Mark).collect()
}

#[test]
fn a_block_ends_with_a_control_transfer() {
    // nop; syscall; nop
    let block = translate(&[0x90, 0x0f, 0x05, 0x90]);
    assert_eq!((block.guest_insns, block.guest_bytes), (2, 3));
    let pc = START.wrapping_add(3);
    assert_eq!(block.terminator, Terminator::Trap { trap: Trap::Syscall, pc });
}

#[test]
fn a_block_ends_before_an_incomplete_instruction_unless_it_is_the_first() {
    let code = [0x90, 0x48, 0x89];
    assert_eq!(translate_at(START, &code, Limits::default()).unwrap().guest_bytes, 1);
    let missing = translate_at(START.wrapping_add(1), &code[1..], Limits::default());
    assert_eq!(missing.unwrap_err(), START.wrapping_add(3));
}

#[test]
fn an_undefined_instruction_ends_it() {
    let block = translate(&[0x90, 0x06, 0x90]);
    let pc = START.wrapping_add(1);
    assert_eq!(block.terminator, Terminator::Trap { trap: Trap::Illegal, pc });
    let block = translate(&[0x0f, 0x0b]);
    assert_eq!(block.terminator, Terminator::Trap { trap: Trap::Illegal, pc: START });
    assert_eq!(operations(&block), []);
}

#[test]
fn flags_that_are_overwritten_are_not_computed() {
    // add rax,rbx; add rax,rbx; ret
    let twice = operations(&translate(&[0x48, 0x01, 0xd8, 0x48, 0x01, 0xd8, 0xc3]));
    assert_eq!(twice[..2], [Opcode::Add, Opcode::StatusAdd]);
    // An access between them may show them.
    let seen = translate(&[0x48, 0x01, 0xd8, 0x48, 0x8b, 0x0f, 0x48, 0x01, 0xd8, 0xc3]);
    assert_eq!(operations(&seen)[..3], [Opcode::StatusAdd, Opcode::LoadU, Opcode::StatusAdd]);
}

/// Memory of 256 bytes at 0x1000.
struct Stack([u8; 256]);

impl Stack {
    fn at(&self, addr: u64) -> u64 {
        let start = (addr - 0x1000) as usize;
        u64::from_le_bytes(self.0[start..start + 8].try_into().unwrap())
    }

    fn range(addr: GuestVirt, bytes: u32) -> Result<std::ops::Range<usize>, Denied> {
        let start = addr.0.wrapping_sub(0x1000) as usize;
        if start > 256 - bytes as usize {
            Err(Denied(addr))
        } else {
            Ok(start..start + bytes as usize)
        }
    }
}

impl Memory for Stack {
    fn load(&mut self, addr: GuestVirt, bytes: u32) -> Result<u128, Denied> {
        let mut value = [0; 16];
        value[..bytes as usize].copy_from_slice(&self.0[Self::range(addr, bytes)?]);
        Ok(u128::from_le_bytes(value))
    }

    fn store(&mut self, addr: GuestVirt, bytes: u32, value: u128) -> Result<(), Denied> {
        self.0[Self::range(addr, bytes)?].copy_from_slice(&value.to_le_bytes()[..bytes as usize]);
        Ok(())
    }
}

const RSP: usize = 4;
const RBP: usize = 5;

/// Evaluates an instruction with a stack whose quadwords hold their own addresses, RSP in its middle, RBP 32 above it.
#[expect(unsafe_code, reason = "the evaluator calls helpers")]
fn evaluate(code: &[u8]) -> (Exit, Box<CpuFrame>, Stack) {
    let mut stack = Stack([0; 256]);
    for (n, word) in stack.0.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&(0x1000 + 8 * n as u64).to_le_bytes());
    }
    let mut frame = CpuFrame::new();
    arch::x86_64::reset(&mut frame);
    (frame.slots[RSP], frame.slots[RBP]) = (0x1080, 0x10a0);
    let block = translate_at(START, code, Limits::STEP).unwrap();
    // SAFETY: it is the guest's own frame.
    let exit = unsafe { ir::eval::run(&block, &GUEST, &mut frame, &mut stack, 0x5555) };
    (exit, frame, stack)
}

#[test]
fn the_stack_pointer_is_pushed_and_popped_as_it_was() {
    let (_, frame, stack) = evaluate(&[0x54]); // push rsp
    assert_eq!((frame.slots[RSP], stack.at(0x1078)), (0x1078, 0x1080));
    let (_, frame, _) = evaluate(&[0x5c]); // pop rsp
    assert_eq!(frame.slots[RSP], 0x1080);
    let (_, frame, stack) = evaluate(&[0x8f, 0x44, 0x24, 0x08]); // pop [rsp+8]
    assert_eq!((frame.slots[RSP], stack.at(0x1090)), (0x1088, 0x1080));
    let (_, frame, stack) = evaluate(&[0xff, 0x74, 0x24, 0x08]); // push [rsp+8]
    assert_eq!((frame.slots[RSP], stack.at(0x1078)), (0x1078, 0x1088));
    let (_, frame, _) = evaluate(&[0x66, 0x5c]); // pop sp
    assert_eq!(frame.slots[RSP], 0x1080);
    let (_, frame, stack) = evaluate(&[0x6a, 0xff]); // push -1
    assert_eq!((frame.slots[RSP], stack.at(0x1078)), (0x1078, u64::MAX));
    let (_, frame, stack) = evaluate(&[0x66, 0x68, 0x34, 0x12]); // pushw 0x1234
    assert_eq!((frame.slots[RSP], stack.at(0x1078) >> 48), (0x107e, 0x1234));
}

#[test]
fn frames_are_entered_and_left() {
    let (_, frame, stack) = evaluate(&[0xc8, 0x10, 0, 0]); // enter 16,0
    assert_eq!((frame.slots[RSP], frame.slots[RBP], stack.at(0x1078)), (0x1068, 0x1078, 0x10a0));
    let (_, frame, stack) = evaluate(&[0xc8, 0x10, 0, 3]); // enter 16,3
    assert_eq!((frame.slots[RSP], frame.slots[RBP]), (0x1050, 0x1078));
    let pushed = [0x1078, 0x1070, 0x1068, 0x1060].map(|addr| stack.at(addr));
    assert_eq!(pushed, [0x10a0, 0x1098, 0x1090, 0x1078]);
    let (_, frame, _) = evaluate(&[0xc9]); // leave
    assert_eq!((frame.slots[RSP], frame.slots[RBP]), (0x10a8, 0x10a0));
}

#[test]
fn calls_and_returns_use_the_stack() {
    let (exit, frame, stack) = evaluate(&[0xe8, 0x10, 0, 0, 0]); // call
    assert_eq!(exit, Exit::Goto(START.wrapping_add(0x15)));
    assert_eq!((frame.slots[RSP], stack.at(0x1078)), (0x1078, START.0 + 5));
    let (exit, frame, _) = evaluate(&[0xc2, 0x10, 0]); // ret 16
    assert_eq!((exit, frame.slots[RSP]), (Exit::Goto(GuestVirt(0x1080)), 0x1098));
    let (exit, _, stack) = evaluate(&[0xff, 0x14, 0x24]); // call [rsp]
    assert_eq!((exit, stack.at(0x1078)), (Exit::Goto(GuestVirt(0x1080)), START.0 + 3));
    // The selector is none of 64-bit code.
    let (exit, frame, _) = evaluate(&[0x48, 0xcb]); // retfq
    assert!(matches!(exit, Exit::Misaligned { .. }) && frame.slots[RSP] == 0x1080);
}

#[test]
fn flags_go_by_the_stack() {
    let (_, frame, stack) = evaluate(&[0x9c]); // pushfq
    assert_eq!((frame.slots[RSP], stack.at(0x1078)), (0x1078, 0x202));
    let (_, frame, _) = evaluate(&[0x9d]); // popfq: of 0x1080, SF
    assert_eq!((frame.slots[RSP], arch::x86_64::flags::eflags(&frame)), (0x1088, 0x282));
}

#[test]
fn an_instruction_whose_divisor_is_zero_has_no_effect() {
    let (exit, frame, _) = evaluate(&[0xf7, 0xf0]); // div eax
    assert!(matches!(exit, Exit::Misaligned { pc: START, .. }));
    assert_eq!(frame.slots[0], 0);
}

#[test]
fn segments_have_bases() {
    let base = |code: &[u8]| match translate(code).insts.iter().find(|i| i.op == Opcode::LoadU) {
        Some(load) => (load.args[0], load.imm),
        None => panic!(),
    };
    let fs = ir::Operand::slot(arch::x86_64::slot::FS_BASE);
    // mov rax,fs:[0x28]; mov rax,fs:[0]
    assert_eq!(base(&[0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0]), (fs, 0x28));
    assert_eq!(base(&[0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0]), (fs, 0));
}

/// What decides whether a conditional jump is taken after compiled code's optimisations.
fn condition(code: &[u8]) -> (Opcode, Type) {
    let mut block = translate(code);
    let options = Options { passes: Passes::ALL, precision: Precision::Replay };
    ir::opt::optimise(&mut block, &GUEST, options);
    let Terminator::Branch { cond, .. } = block.terminator else { panic!("{block:?}") };
    let by = block.insts.iter().rev().find(|inst| inst.dst == cond).unwrap();
    (by.op, by.ty)
}

#[test]
fn conditions_after_comparisons_are_one_comparison() {
    let after = |comparison: &[u8], jump: u8| condition(&[comparison, &[jump, 0x10]].concat());
    let (cmp32, cmp64): (&[u8], &[u8]) = (&[0x39, 0xd8], &[0x48, 0x39, 0xd8]);
    for (jump, expected) in [
        (0x72, Opcode::LtU),
        (0x73, Opcode::LeU),
        (0x74, Opcode::Eq),
        (0x75, Opcode::Ne),
        (0x76, Opcode::LeU),
        (0x77, Opcode::LtU),
        (0x7c, Opcode::LtS),
        (0x7d, Opcode::LeS),
        (0x7e, Opcode::LeS),
        (0x7f, Opcode::LtS),
    ] {
        assert_eq!(after(cmp32, jump), (expected, Type::I32), "{jump:#x}");
        assert_eq!(after(cmp64, jump), (expected, Type::I64), "{jump:#x}");
        // cmp al,5
        assert_eq!(after(&[0x3c, 5], jump), (expected, Type::I8), "{jump:#x}");
    }
    // test eax,eax
    assert_eq!(after(&[0x85, 0xc0], 0x78), (Opcode::LtS, Type::I32));
    assert_eq!(after(&[0x85, 0xc0], 0x7e), (Opcode::LeS, Type::I32));
    // sub eax,ebx
    assert_eq!(after(&[0x29, 0xd8], 0x74), (Opcode::Eq, Type::I32));
}

#[test]
fn a_block_that_is_full_shows_all_flags() {
    // shld rax,rbx,cl
    let code = [0x48, 0x0f, 0xa5, 0xd8].repeat(64);
    let block = translate(&code);
    assert!(block.guest_insns < 64 && usize::from(block.temps) < TEMP_COUNT);
    let written = |slot| {
        let last = block.insts.iter().rposition(|inst| inst.op == Opcode::Mark).unwrap();
        block.insts[last..].iter().any(|inst| inst.dst == ir::Operand::slot(slot))
    };
    assert!(written(arch::x86_64::slot::AUX) && written(arch::x86_64::slot::ZERO));
}

/// An encoding of each instruction of these chapters, and what it means.
fn samples() -> BTreeMap<String, Vec<u8>> {
    let chapters: [fn(Code) -> Option<Semantics>; 7] = [
        data::table,
        arithmetic::table,
        shift::table,
        bit::table,
        control::table,
        string::table,
        system::table,
    ];
    let mut samples = BTreeMap::new();
    for code in candidates() {
        let Decoded::Instruction(i) = decoder::decode(START, &code, decoder::Options::default())
        else {
            continue;
        };
        if super::table::is_implemented(i.code())
            && chapters.iter().any(|chapter| chapter(i.code()).is_some())
        {
            samples.entry(format!("{:?}", i.code())).or_insert_with(|| code[..i.len()].to_vec());
        }
    }
    samples
}

/// Every opcode, with the prefixes that make others of it; operands are registers, if they can be.
fn candidates() -> impl Iterator<Item = Vec<u8>> {
    let operands = || [0xc1_u8, 0x47].into_iter().flat_map(|low| (0..8).map(move |n| low | n << 3));
    let rest = |mut code: Vec<u8>, opcode: u8, modrm: u8| {
        code.extend([opcode, modrm, 0x10, 3, 0, 0, 0, 0, 0, 0, 0]);
        code
    };
    let legacy = [&[][..], &[0x66], &[0xf2], &[0xf3], &[0x67]].into_iter().flat_map(|prefix| {
        [&[][..], &[0x48]].into_iter().flat_map(move |rex| {
            [&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]]
                .into_iter()
                .map(move |map| [prefix, rex, map].concat())
        })
    });
    let vex = (1..4_u8).flat_map(|map| {
        (0..4_u8).flat_map(move |pp| {
            [0x70, 0xf0].into_iter().map(move |w| vec![0xc4, 0xe0 | map, w | pp])
        })
    });
    legacy.chain(vex).flat_map(move |start| {
        operands().flat_map(move |modrm| {
            let start = start.clone();
            (0..=255).map(move |opcode| rest(start.clone(), opcode, modrm))
        })
    })
}

/// The price of every instruction: what makes one dearer shows in this snapshot's difference.
#[test]
fn operations_of_every_instruction() {
    let mut text = String::new();
    for (name, code) in samples() {
        let block = translate_at(START, &code, Limits::STEP).unwrap();
        text += &price::line(&format!("{name:28}"), &block, &GUEST, "illegal");
    }
    insta::assert_snapshot!(text);
}
