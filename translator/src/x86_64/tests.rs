//! Blocks: where they end; instructions: how many operations they are.

use base::GuestVirt;
use ir::{Block, BlockKey, Builder, Opcode, Terminator, Trap};

use super::Frontend;
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
    let once = operations(&translate(&[0x48, 0x01, 0xd8, 0xc3]));
    assert_eq!(twice.len(), once.len() + 1);
    // An access between them may show them.
    let seen = translate(&[0x48, 0x01, 0xd8, 0x48, 0x8b, 0x0f, 0x48, 0x01, 0xd8, 0xc3]);
    assert!(operations(&seen).len() > twice.len() + 3);
}
