//! Blocks: where they end; instructions: how many operations they are.

use std::collections::BTreeMap;
use std::fmt::Write;

use base::GuestVirt;
use base::cpu::TEMP_COUNT;
use decoders::x86_64::{self as decoder, Code, Decoded};
use ir::opt::{Options, Passes};
use ir::{Block, BlockKey, Builder, Inst, Opcode, Precision, Terminator, Trap, Type};

use super::table::Semantics;
use super::{Frontend, GUEST, arithmetic, bit, control, data, shift, string, system};
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
        let mut names: Vec<String> = block.insts[1..].iter().map(named).collect();
        let end = match block.terminator {
            Terminator::Jump { .. } => "",
            Terminator::Branch { .. } => "branch",
            Terminator::Indirect { .. } => "indirect",
            Terminator::Trap { trap: Trap::Illegal, .. } => "illegal",
            Terminator::Trap { .. } => "trap",
            Terminator::Lookup { .. } => "lookup",
        };
        let count = names.len();
        names.extend((!end.is_empty()).then(|| format!("-> {end}")));
        let line = format!("{name:28} {count}  {}", names.join(" "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    insta::assert_snapshot!(text);
}

fn named(inst: &Inst) -> String {
    match inst.op {
        Opcode::Call => {
            let helper = GUEST.helper(inst.helper());
            format!("call:{}", helper.map_or("?", |helper| helper.name))
        }
        op => format!("{}.{}", op.info().name, inst.ty.name()),
    }
}
