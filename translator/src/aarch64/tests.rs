//! Blocks: where they end; instructions: how many operations they are.

use arch::aarch64::feature::Feature;
use arch::aarch64::{fpcr, key};
use base::GuestVirt;
use base::addr::PAGE_SIZE;
use base::cpu::{Admission, TEMP_COUNT};
use decoders::aarch64::{Extension, ExtensionSet, INSTRUCTIONS, Op, identify};
use ir::{Block, BlockKey, Builder, Hint, Opcode, Terminator, Trap, Type};

use super::{Frontend, GUEST, Page};
use crate::price;
use crate::{Frontend as _, Limits, Translation};

const START: GuestVirt = GuestVirt(0x1_0000);

const NOP: u32 = 0xd503_201f;
const SVC: u32 = 0xd400_0001;
const LDR_X0_X1: u32 = 0xf940_0020;

/// A CPU that has everything.
fn all() -> Frontend {
    Frontend { cpu: "max".parse().unwrap(), extensions: ExtensionSet::ALL }
}

fn translate_at(key: BlockKey, code: &[u8], limits: Limits) -> Result<Block, GuestVirt> {
    let builder = Builder::new();
    match all().translate(&builder, key, code, limits) {
        Translation::Done { next } => Ok(builder.finish(next)),
        Translation::Unfetchable(addr) => Err(addr),
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn translate_with(flags: u64, words: &[u32]) -> Block {
    translate_at(BlockKey::new(START, flags), &bytes(words), Limits::default()).unwrap()
}

fn translate(words: &[u32]) -> Block {
    translate_with(0, words)
}

fn operations(block: &Block) -> Vec<Opcode> {
    block.insts.iter().map(|inst| inst.op).filter(|&op| op != Opcode::Mark).collect()
}

#[test]
fn a_block_ends_with_a_control_transfer() {
    let block = translate(&[NOP, SVC, NOP]);
    assert_eq!((block.guest_insns, block.guest_bytes), (2, 8));
    let pc = START.wrapping_add(8);
    assert_eq!(block.terminator, Terminator::Trap { trap: Trap::Syscall, pc });
}

#[test]
fn a_block_ends_at_its_limit_and_its_page_s_end() {
    let key = BlockKey::new(START, 0);
    let block = translate_at(key, &bytes(&[NOP; 8]), Limits { max_insns: 3 }).unwrap();
    assert_eq!(block.guest_insns, 3);
    let target = START.wrapping_add(12);
    assert_eq!(block.terminator, Terminator::Jump { target, hint: Hint::Plain });
    let last = BlockKey::new(START.wrapping_add(PAGE_SIZE - 8), 0);
    let block = translate_at(last, &bytes(&[NOP; 8]), Limits::default()).unwrap();
    assert_eq!(block.guest_bytes, 8);
}

#[test]
fn a_block_ends_before_an_incomplete_instruction_unless_it_is_the_first() {
    let code = bytes(&[NOP, NOP]);
    let key = BlockKey::new(START, 0);
    assert_eq!(translate_at(key, &code[..6], Limits::default()).unwrap().guest_bytes, 4);
    let missing = |len: u64| START.wrapping_add(len);
    assert_eq!(translate_at(key, &code[..3], Limits::default()).unwrap_err(), missing(3));
    assert_eq!(translate_at(key, &[], Limits::default()).unwrap_err(), missing(0));
}

#[test]
fn a_pc_that_is_not_aligned_faults() {
    let pc = START.wrapping_add(2);
    let block = translate_at(BlockKey::new(pc, 0), &bytes(&[NOP]), Limits::default()).unwrap();
    assert_eq!(block.terminator, Terminator::Trap { trap: Trap::Misaligned, pc });
}

#[test]
fn an_undefined_instruction_leaves_nothing_behind() {
    // mrs x0, sctlr_el1
    let block = translate(&[NOP, 0xd538_1000]);
    let pc = START.wrapping_add(4);
    assert_eq!(block.terminator, Terminator::Trap { trap: Trap::Illegal, pc });
    assert_eq!(operations(&block), []);
}

#[test]
fn branches_calls_and_returns_are_told_apart() {
    let hint = |word| match translate(&[word]).terminator {
        Terminator::Indirect { hint, .. } | Terminator::Jump { hint, .. } => hint,
        other => panic!("{other:?}"),
    };
    let call = Hint::Call(START.wrapping_add(4));
    assert_eq!(hint(0xd65f_03c0), Hint::Return); // ret
    assert_eq!(hint(0xd61f_0060), Hint::Plain); // br x3
    assert_eq!(hint(0xd63f_0060), call); // blr x3
    assert_eq!(hint(0x9400_0002), call); // bl .+8
    assert_eq!(hint(0x1400_0002), Hint::Plain); // b .+8
    assert_eq!(hint(0xd65f_0bff), Hint::Return); // retaa
    assert_eq!(hint(0x5400_004e), Hint::Plain); // b.al .+8
}

#[test]
fn addresses_lose_their_tags_only_where_translations_know_of_them() {
    assert_eq!(operations(&translate(&[LDR_X0_X1])), [Opcode::LoadU]);
    let tagged = translate_with(key::TAGGED, &[LDR_X0_X1]);
    assert_eq!(operations(&tagged), [Opcode::And, Opcode::LoadU]);
}

#[test]
fn floating_point_follows_the_key() {
    let flags = fpcr::key_flags(0, fpcr::FZ | 1 << fpcr::RMODE_SHIFT);
    assert_eq!(fpcr::from_key(flags), fpcr::FZ | 1 << fpcr::RMODE_SHIFT);
    assert!(super::fp_mode(fpcr::FZ).has(ir::FpMode::FLUSH));
    assert!(super::fp_mode(fpcr::DN).has(ir::FpMode::DEFAULT_NAN));
    assert_eq!(super::fp_mode(fpcr::FZ16 | fpcr::AHP), ir::FpMode::NONE);
}

#[test]
fn pairs_of_registers_are_accessed_at_once_unless_on_the_stack() {
    let wide = |word| {
        let block = translate(&[word]);
        block
            .insts
            .iter()
            .any(|inst| inst.op.info().has(ir::ops::flag::FAULTS) && inst.ty == Type::WIDE)
    };
    assert!(wide(0xa940_0440)); // ldp x0, x1, [x2]
    assert!(wide(0xa900_0440)); // stp x0, x1, [x2]
    assert!(!wide(0xa940_07e0)); // ldp x0, x1, [sp]
    assert!(!wide(0x2940_0440)); // ldp w0, w1, [x2]
}

/// Words that are the instruction, the first with Rd = 10, Rn = 11, Rm = 8 (or what else these bits mean).
fn samples(op: Op) -> impl Iterator<Item = u32> {
    let info = op.info();
    let vector = if info.chapter.contains("SIMD") { 1 << 30 | 2 << 22 } else { 0 };
    let usual = 8 << 16 | 11 << 5 | 10;
    let likely = [usual | vector, usual, usual | 3 << 10];
    let mut random = 1_u32;
    let rest = std::iter::repeat_with(move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random
    });
    let words = likely.into_iter().chain(rest).map(move |bits| info.value | bits & !info.mask);
    words.filter(move |&word| identify(word, ExtensionSet::ALL) == Some(op))
}

fn sample(op: Op) -> u32 {
    samples(op).next().unwrap()
}

/// What a builder holds before the frontend asks whether it is full, and one more instruction, must fit a frame.
#[test]
fn no_instruction_needs_more_temporaries_than_there_are() {
    let room = TEMP_COUNT as u16 - Builder::SOFT_TEMP_LIMIT;
    for info in INSTRUCTIONS {
        for word in samples(info.op).take(20) {
            let key = BlockKey::new(START, key::TAGGED);
            let block = translate_at(key, &bytes(&[word]), Limits::STEP).unwrap();
            assert!(block.temps <= room, "{} {word:08x}: {}", info.name, block.temps);
        }
    }
}

/// The price of every instruction: what makes one dearer shows in this snapshot's difference.
#[test]
fn operations_of_every_instruction() {
    let mut text = String::new();
    for op in INSTRUCTIONS.iter().map(|info| info.op) {
        let key = BlockKey::new(START, 0);
        let block = translate_at(key, &bytes(&[sample(op)]), Limits::STEP).unwrap();
        text += &price::line(&format!("{:15}", op.name()), &block, &GUEST, "undefined");
    }
    insta::assert_snapshot!(text);
}

/// `arch` says what features need, the decoder's tables what they imply: the same, as far as both know them.
#[test]
fn the_two_tables_of_features_agree() {
    for feature in Feature::ALL {
        let name = feature.row().name;
        let extension = Extension::from_name(name).expect(name);
        for needed in feature.row().needs {
            let needed = needed.row().name;
            let needed = Extension::from_name(needed).expect(needed);
            let implied = ExtensionSet::EMPTY.with(extension);
            assert!(implied.contains(needed), "{name} needs {needed}");
        }
    }
}

#[test]
fn a_feature_that_is_off_is_undefined() {
    let undefined = |cpu: &str, word: u32| {
        let builder = Builder::new();
        let frontend = Frontend::new(cpu.parse().unwrap());
        let key = BlockKey::new(START, 0);
        let _ = frontend.translate(&builder, key, &bytes(&[word]), Limits::STEP);
        let block = builder.finish(START);
        matches!(block.terminator, Terminator::Trap { trap: Trap::Illegal, .. })
    };
    let swp = 0xb820_8041;
    assert!(undefined("armv8.0-a", swp) && !undefined("armv8.1-a", swp));
    // pacia x0, x1; but paciasp is a hint.
    assert!(undefined("armv8.0-a", 0xdac1_0020) && !undefined("armv8.0-a", 0xd503_233f));
}

fn on_page(cpu: &str, page: Page, words: &[u32]) -> Block {
    let (builder, key) = (Builder::new(), BlockKey::new(START, 0));
    let frontend = Frontend::new(cpu.parse().unwrap());
    let code = bytes(words);
    match frontend.translate_on(page, &builder, key, (&code, Limits::default())) {
        Translation::Done { next } => builder.finish(next),
        other @ Translation::Unfetchable(_) => panic!("{other:?}"),
    }
}

/// Arm ARM, BTI, PACIASP and PACIBSP (SCTLR_EL1.BT0 is 1), BRK, HLT; what follows the first does not count.
#[test]
fn first_instructions_of_guarded_pages_admit_branches() {
    for (word, bits) in [
        (0xd503_201f, 0b0001),
        (0xd503_241f, 0b0001),
        (0xd503_245f, 0b0111),
        (0xd503_249f, 0b1011),
        (0xd503_24df, 0b1111),
        (0xd503_233f, 0b0111),
        (0xd503_237f, 0b0111),
        (0xd503_231f, 0b0001),
        (0xd420_0000, 0b1_0001),
        (0xd43f_ffe0, 0b1_0001),
        (0xd440_0000, 0b1111),
        (0xd400_0001, 0b0001),
        (0, 0b0001),
    ] {
        let words = [word, 0xd503_24df];
        assert_eq!(on_page("max", Page::Guarded, &words).admits.bits(), bits, "{word:#x}");
        let plain = on_page("max", Page::Plain, &words).admits;
        let is_breakpoint = bits == Admission::REPORTED.bits();
        assert_eq!(plain, if is_breakpoint { Admission::REPORTED } else { Admission::ALL });
    }
    let block = on_page("max,-pauth", Page::Guarded, &[0xd503_233f, 0xd65f_03c0]);
    assert_eq!(block.admits, Admission::PLAIN, "it is a NOP then");
}

/// Arm ARM, BTypeNext.
#[test]
fn branches_say_how_they_come() {
    let approach = |cpu, page, word| match on_page(cpu, page, &[word]).terminator {
        Terminator::Indirect { approach, .. } => approach.number(),
        other => panic!("{other:?}"),
    };
    for (word, plain, guarded) in [
        (0xd61f_0060, 1, 3),
        (0xd61f_0200, 1, 1),
        (0xd61f_0220, 1, 1),
        (0xd61f_087f, 1, 3),
        (0xd71f_0a02, 1, 1),
        (0xd63f_0060, 2, 2),
        (0xd63f_0c7f, 2, 2),
        (0xd73f_0861, 2, 2),
        (0xd65f_03c0, 0, 0),
        (0xd65f_0bff, 0, 0),
    ] {
        assert_eq!(approach("max", Page::Plain, word), plain, "{word:#x}");
        assert_eq!(approach("max", Page::Guarded, word), guarded, "{word:#x}");
        assert_eq!(approach("max,-bti", Page::Plain, word), 0, "{word:#x}");
    }
}

/// Prologues and epilogues cost nothing; what SP gets from elsewhere is checked.
#[test]
fn sp_is_checked_where_its_alignment_may_be_lost() {
    let checks = |flags, words: &[u32]| {
        let block = translate_with(flags, words);
        operations(&block).iter().filter(|&&op| op == Opcode::AlignCheck).count()
    };
    // stp x29, x30, [sp, #-16]!; sub sp, sp, #32; str x0, [sp, #8]; add sp, sp, #32;
    // ldp x29, x30, [sp], #16; and sp, x1, #-16
    let even = [0xa9bf_7bfd, 0xd100_83ff, 0xf900_07e0, 0x9100_83ff, 0xa8c1_7bfd, 0x927c_ec3f];
    assert_eq!((checks(0, &even), checks(key::STACK_CHECKED, &even)), (0, 3));
    // mov sp, x29; sub sp, sp, x1; str x0, [sp, #-8]!; and sp, x1, #-8; add sp, x1, #16
    let odd = [0x9100_03bf, 0xcb21_63ff, 0xf81f_8fe0, 0x927d_f03f, 0x9100_403f];
    for word in odd {
        let accesses = usize::from(word == 0xf81f_8fe0);
        assert_eq!((checks(0, &[word]), checks(key::STACK_CHECKED, &[word])), (1, accesses));
    }
}
