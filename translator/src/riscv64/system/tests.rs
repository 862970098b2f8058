//! What system mode translates, and what it leaves to the machine.

use arch::riscv64::helpers;
use arch::riscv64::privileged::execute::{CsrFunction, CsrSource};
use arch::riscv64::privileged::{SystemInsn, SystemOp, key, status};
use arch::riscv64::slot;
use base::{GuestVirt, RegSlot};
use ir::{Block, BlockKey, Builder, Opcode, Terminator, Trap};

use super::Frontend;
use crate::{Frontend as _, Limits, Translation};

const START: GuestVirt = GuestVirt(0x8000_0000);

const USER: u64 = 0;
const SUPERVISOR: u64 = 1 << key::PRIV_SHIFT;
const MACHINE: u64 = 3 << key::PRIV_SHIFT;

fn frontend() -> Frontend {
    Frontend::new_system("max".parse().unwrap())
}

fn translate_by(frontend: Frontend, flags: u64, words: &[u32]) -> Block {
    let builder = Builder::new();
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let key = BlockKey::new(START, flags);
    match frontend.translate(&builder, key, &code, Limits::default()) {
        Translation::Done { next } => builder.finish(next),
        Translation::Unfetchable(addr) => panic!("{addr}"),
    }
}

fn translate(flags: u64, words: &[u32]) -> Block {
    translate_by(frontend(), flags, words)
}

fn trap(block: &Block) -> Option<Trap> {
    match block.terminator {
        Terminator::Trap { trap, pc } => {
            let before = block.guest_bytes - 4;
            assert_eq!(pc, START.wrapping_add(before.into()), "at the instruction itself");
            Some(trap)
        }
        _ => None,
    }
}

/// CSR instructions by function (1 to 3, 5 to 7), with rd = 10.
fn csr(number: u32, function: u32, rs1: u32) -> u32 {
    number << 20 | rs1 << 15 | function << 12 | 10 << 7 | 0x73
}

/// The field that [`csr`] sets to 10.
const RD: u32 = 31 << 7;

const CSRRW: u32 = 1;
const CSRRS: u32 = 2;
const CSRRC: u32 = 3;
const CSRRSI: u32 = 6;
const CSRRCI: u32 = 7;

const NOP: u32 = 0x13;
const WFI: u32 = 0x1050_0073;
const SRET: u32 = 0x1020_0073;
const MRET: u32 = 0x3020_0073;
const SFENCE: u32 = 0x12b5_0073;
const SINVAL: u32 = 0x16b5_0073;
const FADD_D: u32 = 0x02c5_8553; // fadd.d fa0,fa1,fa2
const FSD: u32 = 0x00c5_3027; // fsd fa2,0(a0)
const FLD: u32 = 0x0005_3507; // fld fa0,0(a0)
const FEQ_D: u32 = 0xa2c5_a553; // feq.d a0,fa1,fa2
const FMV_X_D: u32 = 0xe205_8553; // fmv.x.d a0,fa1

#[test]
fn privileged_instructions_are_the_machine_s() {
    for word in [WFI, SRET, MRET, SFENCE, SINVAL, 0x1800_0073, 0x1810_0073] {
        for flags in [USER, SUPERVISOR, MACHINE] {
            let block = translate(flags, &[NOP, word, NOP]);
            assert_eq!(trap(&block), Some(Trap::System), "{word:#x}");
            assert!(block.insts.iter().all(|inst| inst.op == Opcode::Mark));
        }
        let user = Frontend::new("max".parse().unwrap());
        assert_eq!(trap(&translate_by(user, 0, &[word])), Some(Trap::Illegal));
    }
    // What the CPU has not is illegal at any level.
    let plain = Frontend::new_system("rv64,-svinval".parse().unwrap());
    assert_eq!(trap(&translate_by(plain, MACHINE, &[SINVAL])), Some(Trap::Illegal));
}

/// Flags, instruction, whether it is left to the machine.
#[test]
fn registers_of_trap_handlers_are_slots() {
    let cases = [
        (SUPERVISOR, csr(0x140, CSRRW, 2), false),
        (SUPERVISOR, csr(0x141, CSRRW, 2), false),
        (SUPERVISOR, csr(0x142, CSRRS, 0), false),
        (SUPERVISOR, csr(0x143, CSRRC, 5), false),
        (SUPERVISOR, csr(0x105, CSRRS, 0), false),
        (SUPERVISOR, csr(0x105, CSRRW, 5), true),
        (MACHINE, csr(0x340, CSRRW, 2), false),
        (MACHINE, csr(0x140, CSRRW, 2), false),
        (MACHINE, csr(0x300, CSRRS, 0), false),
        (MACHINE, csr(0x300, CSRRS, 5), true),
        (MACHINE, csr(0xf14, CSRRS, 0), false),
        (MACHINE, csr(0xf14, CSRRW, 0), true),
        (SUPERVISOR, csr(0x340, CSRRW, 2), true),
        (SUPERVISOR, csr(0x300, CSRRS, 0), true),
        (USER, csr(0x140, CSRRW, 2), true),
        (USER, csr(0x100, CSRRS, 0), true),
        (SUPERVISOR, csr(0x100, CSRRS, 0), false),
        (SUPERVISOR, csr(0x100, CSRRCI, 2), false),
        (SUPERVISOR, csr(0x100, CSRRCI, 3), true),
        (SUPERVISOR, csr(0x100, CSRRC, 2), true),
        (SUPERVISOR, csr(0x100, CSRRW, 2), true),
        (SUPERVISOR, csr(0x180, CSRRS, 0), true),
        (SUPERVISOR, csr(0xc01, CSRRS, 0), false),
        (USER, csr(0xc01, CSRRS, 0), false),
        (USER, csr(0xc01, CSRRW, 0), true),
        (SUPERVISOR, csr(0x100, CSRRS, 2), false),
        (SUPERVISOR, csr(0x100, CSRRC, 2) & !RD, false),
        (SUPERVISOR, csr(0x100, CSRRW, 2) & !RD, true),
        (SUPERVISOR, csr(0x104, CSRRS, 0), true),
        (SUPERVISOR, csr(0xfff, CSRRS, 0), true),
    ];
    for (index, (flags, word, is_left)) in cases.into_iter().enumerate() {
        let block = translate(flags, &[word, NOP]);
        let expected = is_left.then_some(Trap::System);
        assert_eq!(trap(&block), expected, "case {index}: {word:#x}");
        assert_eq!(block.guest_insns, if is_left { 1 } else { 2 });
    }
}

#[test]
fn enabling_interrupts_is_a_helper_s() {
    let block = translate(SUPERVISOR, &[csr(0x100, CSRRSI, 2), NOP]);
    let calls = |inst: &ir::Inst| inst.op == Opcode::Call && inst.helper() == helpers::SSTATUS;
    assert!(block.insts.iter().any(calls) && writes(&block, slot::x(10)));
    let block = translate(SUPERVISOR, &[csr(0x100, CSRRCI, 2), NOP]);
    assert!(!block.insts.iter().any(calls) && writes(&block, slot::MSTATUS));
}

fn writes(block: &Block, slot: RegSlot) -> bool {
    block.insts.iter().any(|inst| inst.dst == ir::Operand::slot(slot))
}

#[test]
fn the_floating_point_unit_may_be_off() {
    let off = SUPERVISOR | key::FS_OFF | key::FS_NOT_DIRTY;
    let fcsr = csr(3, CSRRS, 0);
    for word in [FADD_D, FSD, FLD, FEQ_D, FMV_X_D, fcsr, csr(1, CSRRW, 5), csr(2, CSRRW, 5)] {
        assert_eq!(trap(&translate(off, &[NOP, word])), Some(Trap::Illegal), "{word:#x}");
        assert_eq!(trap(&translate(SUPERVISOR, &[NOP, word])), None, "{word:#x}");
    }
    assert_eq!(trap(&translate(off, &[NOP, NOP])), None);
}

#[test]
fn what_changes_the_unit_makes_it_dirty_once() {
    let clean = USER | key::FS_NOT_DIRTY;
    let marks = |flags, words: &[u32]| {
        let block = translate(flags, words);
        let mstatus = ir::Operand::slot(slot::MSTATUS);
        block.insts.iter().filter(|inst| inst.dst == mstatus).count()
    };
    for word in [FADD_D, FLD, FEQ_D, csr(1, CSRRW, 5), csr(3, CSRRW, 5)] {
        assert_eq!(marks(clean, &[word]), 1, "{word:#x}");
        assert_eq!(marks(USER, &[word]), 0, "{word:#x}");
    }
    assert_eq!(marks(clean, &[FADD_D, FADD_D, FLD]), 1);
    for word in [FSD, FMV_X_D, csr(3, CSRRS, 0)] {
        assert_eq!(marks(clean, &[word]), 0, "{word:#x}");
    }
    // Illegal, for its rounding mode is: nothing happens.
    assert_eq!(marks(clean, &[FADD_D | 5 << 12]), 0);
    let user = Frontend::new("max".parse().unwrap());
    assert!(!writes(&translate_by(user, 0, &[FADD_D, FLD]), slot::MSTATUS));
    assert_eq!(status::FS_DIRTY | status::SD, 1 << 63 | 3 << 13);
}

#[test]
fn cache_block_instructions_need_their_flag() {
    let cbo = |n: u32| n << 20 | 10 << 15 | 2 << 12 | 0x0f;
    let flags = [key::CBO_INVAL, key::CBO_CLEAN, key::CBO_CLEAN, 0, key::CBO_ZERO];
    for (n, flag) in flags.into_iter().enumerate().filter(|(_, flag)| *flag != 0) {
        let illegal = |flags| trap(&translate(flags, &[cbo(n as u32)])) == Some(Trap::Illegal);
        assert!(illegal(SUPERVISOR) && !illegal(SUPERVISOR | flag), "cbo {n}");
    }
}

#[test]
fn instructions_are_decoded_for_the_machine() {
    let op = |word| {
        frontend().system_insn(word).map(|SystemInsn { op, word: bits }| {
            assert_eq!(bits, word);
            op
        })
    };
    let access = |number, function, source| SystemOp::Csr { number, rd: 10, function, source };
    let register = CsrSource::Register(31);
    let immediate = CsrSource::Immediate(31);
    let csrrw = access(0xc01, CsrFunction::Write, register);
    assert_eq!(op(csr(0xc01, CSRRW, 31)), Some(csrrw));
    assert_eq!(op(csr(0, CSRRC, 31)), Some(access(0, CsrFunction::Clear, register)));
    assert_eq!(op(csr(0xfff, CSRRSI, 31)), Some(access(0xfff, CsrFunction::Set, immediate)));
    assert_eq!(op(MRET), Some(SystemOp::Mret));
    assert_eq!(op(SRET), Some(SystemOp::Sret));
    assert_eq!(op(WFI), Some(SystemOp::Wfi));
    assert_eq!(op(SFENCE), Some(SystemOp::SfenceVma { rs1: 10, rs2: 11 }));
    assert_eq!(op(SINVAL), Some(SystemOp::SinvalVma { rs1: 10, rs2: 11 }));
    assert_eq!(op(0x1800_0073), Some(SystemOp::SfenceWInval));
    assert_eq!(op(0x1810_0073), Some(SystemOp::SfenceInvalIr));
    assert_eq!(op(NOP), None);
    assert_eq!(op(0x73), None);
}

#[test]
fn both_modes_name_their_registers() {
    let name = |frontend: Frontend| (frontend.guest().slot_name)(slot::MSTATUS);
    assert_eq!(name(frontend()), Some("mstatus"));
    assert_eq!(name(Frontend::new("max".parse().unwrap())), None);
}
