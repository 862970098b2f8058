//! The instructions.

use base::GuestVirt;

use super::{Hart, Told};
use crate::riscv64::privileged::execute::{CsrFunction, CsrSource};
use crate::riscv64::privileged::{
    Cause, Exception, FenceScope, Outcome, Privilege, SystemInsn, SystemOp, WriteEffect, execute,
    slot, status,
};

use Privilege::{Machine, Supervisor, User};

const WORD: u32 = 0x1234_5673;

fn run(hart: &mut Hart, op: SystemOp) -> Outcome {
    execute(&mut hart.frame, &hart.ctx, SystemInsn { op, word: WORD })
}

fn csr(number: u16, rd: u8, function: CsrFunction, source: CsrSource) -> SystemOp {
    SystemOp::Csr { number, rd, function, source }
}

const ILLEGAL: Outcome =
    Outcome::Trap { cause: Cause::Exception(Exception::IllegalInstruction), tval: WORD as u64 };

/// Level, mstatus, instruction, whether it is legal.
#[test]
fn legal_by_level() {
    let fence = SystemOp::SfenceVma { rs1: 0, rs2: 0 };
    let inval = SystemOp::SinvalVma { rs1: 0, rs2: 0 };
    let cases = [
        (User, 0, SystemOp::Wfi, false),
        (Supervisor, 0, SystemOp::Wfi, true),
        (Supervisor, status::TW, SystemOp::Wfi, false),
        (Machine, status::TW, SystemOp::Wfi, true),
        (User, 0, SystemOp::WrsNto, true),
        (User, status::TW, SystemOp::WrsNto, false),
        (Supervisor, status::TW, SystemOp::WrsNto, false),
        (Machine, status::TW, SystemOp::WrsNto, true),
        (User, 0, fence, false),
        (Supervisor, 0, fence, true),
        (Supervisor, status::TVM, fence, false),
        (Machine, status::TVM, fence, true),
        (Supervisor, status::TVM, inval, false),
        (Supervisor, 0, inval, true),
        (User, 0, SystemOp::SfenceWInval, false),
        (Supervisor, status::TVM, SystemOp::SfenceWInval, true),
        (User, 0, SystemOp::SfenceInvalIr, false),
        (Supervisor, status::TVM, SystemOp::SfenceInvalIr, true),
        (User, 0, SystemOp::Sret, false),
        (Supervisor, 0, SystemOp::Mret, false),
    ];
    for (index, (level, mstatus, op, legal)) in cases.into_iter().enumerate() {
        let mut hart = Hart::at(level);
        hart.or(slot::MSTATUS, mstatus);
        hart.frame.pc = 0x1000;
        let outcome = run(&mut hart, op);
        assert_eq!(outcome != ILLEGAL, legal, "case {index}");
        assert_eq!(hart.frame.pc, if legal { 0x1004 } else { 0x1000 }, "case {index}");
    }
}

#[test]
fn csr_instructions_swap_set_and_clear() {
    let mut hart = Hart::at(Machine);
    hart.set(slot::MSCRATCH, 0xf0);
    hart.set(slot::x(5), 0x0f);
    let next = Outcome::Next(WriteEffect::NONE);
    let x5 = CsrSource::Register(5);
    assert_eq!(run(&mut hart, csr(0x340, 5, CsrFunction::Write, x5)), next);
    assert_eq!((hart.frame.get(slot::x(5)), hart.frame.get(slot::MSCRATCH)), (0xf0, 0x0f));
    assert_eq!(run(&mut hart, csr(0x340, 0, CsrFunction::Set, x5)), next);
    assert_eq!(hart.frame.get(slot::MSCRATCH), 0xff);
    let three = CsrSource::Immediate(3);
    assert_eq!(run(&mut hart, csr(0x340, 6, CsrFunction::Clear, three)), next);
    assert_eq!((hart.frame.get(slot::x(6)), hart.frame.get(slot::MSCRATCH)), (0xff, 0xfc));
    assert_eq!(hart.frame.slots[0], 0);
    // x0 and 0 write nothing, so that read-only registers can be read with them; csrrw writes.
    for source in [CsrSource::Register(0), CsrSource::Immediate(0)] {
        assert_eq!(run(&mut hart, csr(0xf14, 7, CsrFunction::Set, source)), next);
        assert_eq!(run(&mut hart, csr(0xf14, 7, CsrFunction::Clear, source)), next);
        assert_eq!(run(&mut hart, csr(0xf14, 7, CsrFunction::Write, source)), ILLEGAL);
    }
    assert_eq!(hart.frame.get(slot::x(7)), 5);
    hart.set(slot::x(8), 0);
    let x8 = CsrSource::Register(8);
    assert_eq!(run(&mut hart, csr(0xf14, 7, CsrFunction::Set, x8)), ILLEGAL);
}

#[test]
fn fences_name_what_they_order() {
    let mut hart = Hart::at(Supervisor);
    hart.set(slot::x(10), 0x5000);
    hart.set(slot::x(11), 0x7_0003);
    let (address, asid) = (Some(GuestVirt(0x5000)), Some(3));
    for (rs1, rs2, scope) in [
        (0, 0, FenceScope::ALL),
        (10, 0, FenceScope { address, asid: None }),
        (0, 11, FenceScope { address: None, asid }),
        (10, 11, FenceScope { address, asid }),
    ] {
        let _ = run(&mut hart, SystemOp::SfenceVma { rs1, rs2 });
        assert_eq!(hart.told(), [Told::Fence(scope)]);
        let _ = run(&mut hart, SystemOp::SinvalVma { rs1, rs2 });
        assert_eq!(hart.told(), [Told::Fence(scope)]);
    }
}

#[test]
fn returns_jump() {
    let mut hart = Hart::at(Machine);
    hart.set(slot::MEPC, 0x8_0000);
    assert_eq!(run(&mut hart, SystemOp::Mret), Outcome::Jump(GuestVirt(0x8_0000)));
    assert_eq!((hart.frame.pc, hart.level()), (0x8_0000, User));
}
