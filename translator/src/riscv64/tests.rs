//! Blocks: where they end; instructions: how many operations they are.

use arch::riscv64::feature::{Feature, FeatureSet};
use base::GuestVirt;
use base::addr::PAGE_SIZE;
use decoders::riscv64::{Extension, ExtensionSet, INSTRUCTIONS, Op};
use ir::{Block, BlockKey, Builder, Hint, Opcode, Terminator, Trap};

use super::{Frontend, Mode};
use crate::price;
use crate::{Frontend as _, Limits, Translation};

/// Privileged extensions and Zkr included, so that their instructions reach us.
const ALL: Frontend = Frontend { extensions: ExtensionSet::ALL, mode: Mode::User };

const START: GuestVirt = GuestVirt(0x1_0000);

const NOP: u32 = 0x0000_0013;
const C_NOP: u16 = 0x0001;
const ECALL: u32 = 0x0000_0073;

fn translate_at(pc: GuestVirt, code: &[u8], limits: Limits) -> Result<Block, GuestVirt> {
    let (frontend, builder) = (ALL, Builder::new());
    match frontend.translate(&builder, BlockKey::new(pc, 0), code, limits) {
        Translation::Done { next } => Ok(builder.finish(next)),
        Translation::Unfetchable(addr) => Err(addr),
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn translate(words: &[u32]) -> Block {
    translate_at(START, &bytes(words), Limits::default()).unwrap()
}

#[test]
fn a_block_ends_with_a_control_transfer() {
    let block = translate(&[NOP, ECALL, NOP]);
    assert_eq!((block.guest_insns, block.guest_bytes), (2, 8));
    let pc = START.wrapping_add(8);
    assert_eq!(block.terminator, Terminator::Trap { trap: Trap::Syscall, pc });
}

#[test]
fn a_block_ends_at_its_limit() {
    let block = translate_at(START, &bytes(&[NOP; 8]), Limits { max_insns: 3 }).unwrap();
    assert_eq!(block.guest_insns, 3);
    let target = START.wrapping_add(12);
    assert_eq!(block.terminator, Terminator::Jump { target, hint: Hint::Plain });
}

#[test]
fn a_block_ends_before_an_incomplete_instruction_unless_it_is_the_first() {
    let code = bytes(&[NOP, NOP]);
    assert_eq!(translate_at(START, &code[..6], Limits::default()).unwrap().guest_bytes, 4);
    let missing = |len: u64| START.wrapping_add(len);
    assert_eq!(translate_at(START, &code[..3], Limits::default()).unwrap_err(), missing(3));
    assert_eq!(translate_at(START, &code[..2], Limits::default()).unwrap_err(), missing(2));
    assert_eq!(translate_at(START, &[], Limits::default()).unwrap_err(), missing(0));
    let compressed = translate_at(START, &C_NOP.to_le_bytes(), Limits::default()).unwrap();
    assert_eq!(compressed.guest_bytes, 2);
}

#[test]
fn only_the_last_instruction_reaches_into_the_next_page() {
    let last = START.wrapping_add(PAGE_SIZE - 6);
    let block = translate_at(last, &bytes(&[NOP; 4]), Limits::default()).unwrap();
    assert_eq!(block.guest_bytes, 8);
    let frontend = ALL;
    assert_eq!(frontend.max_code_bytes(last, Limits::default()), 9);
}

#[test]
fn an_undefined_instruction_leaves_nothing_behind() {
    // fadd.s with the reserved rounding mode 5.
    let block = translate(&[NOP, 0x00c5_d553]);
    let pc = START.wrapping_add(4);
    assert_eq!(block.terminator, Terminator::Trap { trap: Trap::Illegal, pc });
    assert!(block.insts.iter().all(|inst| inst.op == Opcode::Mark));
}

#[test]
fn the_dynamic_rounding_mode_comes_from_the_key() {
    let dynamic = bytes(&[0x02c5_f553]); // fadd.d fa0,fa1,fa2
    let frontend = ALL;
    let builder = Builder::new();
    for frm in 0..8_u64 {
        let key = BlockKey::new(START, frm << BlockKey::PC_BITS);
        let Translation::Done { next } =
            frontend.translate(&builder, key, &dynamic, Limits::default())
        else {
            panic!("complete");
        };
        let block = builder.finish(next);
        let illegal = matches!(block.terminator, Terminator::Trap { trap: Trap::Illegal, .. });
        assert_eq!(illegal, frm > 4);
        if !illegal {
            assert_eq!(block.insts[1].round() as u64, frm);
        }
    }
}

#[test]
fn returns_and_calls_are_told_apart() {
    let hint = |word| match translate(&[word]).terminator {
        Terminator::Indirect { hint, .. } | Terminator::Jump { hint, .. } => hint,
        other => panic!("{other:?}"),
    };
    let call = Hint::Call(START.wrapping_add(4));
    assert_eq!(hint(0x0000_8067), Hint::Return); // jalr x0, 0(x1)
    assert_eq!(hint(0x0002_8067), Hint::Return); // jalr x0, 0(x5)
    assert_eq!(hint(0x0005_0067), Hint::Plain); // jalr x0, 0(x10)
    assert_eq!(hint(0x0005_00e7), call); // jalr x1, 0(x10)
    assert_eq!(hint(0x0002_82e7), call); // jalr x5, 0(x5)
    assert_eq!(hint(0x0080_00ef), call); // jal x1, 8
    assert_eq!(hint(0x0080_006f), Hint::Plain); // jal x0, 8
}

/// An instruction with rd = 10, rs1 = 11, rs2 = 8 (or what else these bits mean), csr = fcsr.
fn sample(op: Op) -> u32 {
    let info = op.info();
    let free = match (info.width, op.name().starts_with("csr")) {
        (16, _) => 10 << 7 | 8 << 2,
        (_, true) => 3 << 20 | 11 << 15 | 10 << 7,
        (_, false) => 8 << 20 | 11 << 15 | 10 << 7,
    };
    info.value | free & !info.mask
}

/// The price of every instruction: what makes one dearer shows in this snapshot's difference.
#[test]
fn operations_of_every_instruction() {
    let mut text = String::new();
    for op in INSTRUCTIONS.iter().map(|info| info.op) {
        let block = translate_at(START, &bytes(&[sample(op)]), Limits::STEP).unwrap();
        text += &price::line(&format!("{:15}", op.name()), &block, &super::GUEST, "illegal");
    }
    insta::assert_snapshot!(text);
}

/// `arch` says what extensions need, the decoder's tables what they imply: the same.
#[test]
fn the_two_tables_of_extensions_agree() {
    for feature in Feature::ALL {
        let name = feature.row().name;
        let extension = Extension::from_name(name).expect(name);
        let needed = FeatureSet::EMPTY.with(*feature);
        let implied = ExtensionSet::EMPTY.with(extension);
        let needed: ExtensionSet =
            needed.iter().filter_map(|f| Extension::from_name(f.row().name)).collect();
        assert_eq!(needed, implied, "{name}");
    }
}

#[test]
fn an_extension_that_is_off_is_illegal() {
    let illegal = |cpu: &str| {
        let builder = Builder::new();
        let frontend = Frontend::new(cpu.parse().unwrap());
        let code = bytes(&[0x20c5_a533]); // sh1add a0,a1,a2
        let key = BlockKey::new(START, 0);
        let _ = frontend.translate(&builder, key, &code, Limits::STEP);
        let block = builder.finish(START);
        matches!(block.terminator, Terminator::Trap { trap: Trap::Illegal, .. })
    };
    assert!(illegal("rv64gc") && illegal("rv64,zba=off"));
    assert!(!illegal("rv64") && !illegal("rv64gc,+zba"));
}
