//! Traps and returns.

use base::GuestVirt;

use super::Hart;
use crate::riscv64::privileged::trap::{enter, mret, sret};
use crate::riscv64::privileged::{Cause, Exception, Illegal, Interrupt, Privilege, slot, status};

use Privilege::{Machine, Supervisor, User};

const PAGE_FAULT: Cause = Cause::Exception(Exception::LoadPage);
const TIMER: Cause = Cause::Interrupt(Interrupt::SupervisorTimer);

/// Level, cause, medeleg, mideleg, and where it is handled.
const DELEGATION: &[(Privilege, Cause, u64, u64, Privilege)] = &[
    (User, PAGE_FAULT, 0, 0, Machine),
    (User, PAGE_FAULT, 1 << 13, 0, Supervisor),
    (Supervisor, PAGE_FAULT, 1 << 13, 0, Supervisor),
    (Machine, PAGE_FAULT, 1 << 13, 0, Machine),
    (User, PAGE_FAULT, 1 << 12, 1 << 13, Machine),
    (User, TIMER, 0, 1 << 5, Supervisor),
    (User, TIMER, 1 << 5, 0, Machine),
    (Machine, Cause::Exception(Exception::MachineCall), 0xb3ff, 0, Machine),
];

#[test]
fn traps_go_where_they_are_delegated() {
    for (index, &(from, cause, medeleg, mideleg, to)) in DELEGATION.iter().enumerate() {
        let mut hart = Hart::at(from);
        hart.set(slot::MEDELEG, medeleg);
        hart.set(slot::MIDELEG, mideleg);
        hart.set(slot::MTVEC, 0x8000);
        hart.set(slot::STVEC, 0x9000);
        hart.frame.pc = 0x1234;
        assert_eq!(enter(&mut hart.frame, cause, 0x77), to, "case {index}");
        let (registers, vector) = match to {
            Machine => ([slot::MEPC, slot::MCAUSE, slot::MTVAL], 0x8000),
            _ => ([slot::SEPC, slot::SCAUSE, slot::STVAL], 0x9000),
        };
        let values = registers.map(|register| hart.frame.get(register));
        assert_eq!(values, [0x1234, cause.code(), 0x77], "case {index}");
        assert_eq!((hart.level(), hart.frame.pc), (to, vector));
    }
}

#[test]
fn a_trap_stacks_level_and_enable() {
    for from in [User, Supervisor, Machine] {
        for enabled in [0, status::MIE] {
            let mut hart = Hart::at(from);
            hart.or(slot::MSTATUS, enabled | status::SIE);
            enter(&mut hart.frame, PAGE_FAULT, 0);
            let mstatus = hart.mstatus();
            assert_eq!(status::mpp(mstatus), from);
            assert_eq!(mstatus & status::MPIE != 0, enabled != 0);
            assert_eq!(mstatus & (status::MIE | status::SIE), status::SIE);
            assert_eq!(mret(&mut hart.frame), Ok(GuestVirt(0)));
            assert_eq!(hart.level(), from);
            let after = hart.mstatus() & (status::MIE | status::MPIE | status::MPP);
            assert_eq!(after, enabled | status::MPIE);
        }
    }
}

#[test]
fn a_supervisor_s_trap_stacks_its_own_bits() {
    for from in [User, Supervisor] {
        let mut hart = Hart::at(from);
        hart.set(slot::MIDELEG, 1 << 5);
        hart.or(slot::MSTATUS, status::SIE | status::MIE);
        enter(&mut hart.frame, TIMER, 0);
        let expected = if from == User { 0 } else { status::SPP };
        let mask = status::SIE | status::SPIE | status::SPP | status::MIE | status::MPP;
        assert_eq!(hart.mstatus() & mask, status::SPIE | status::MIE | expected);
        assert!(sret(&mut hart.frame).is_ok());
        assert_eq!(hart.level(), from);
        assert_eq!(hart.mstatus() & mask, status::SIE | status::SPIE | status::MIE);
    }
}

#[test]
fn vectored_mode_spreads_interrupts_only() {
    let mut hart = Hart::at(Machine);
    hart.set(slot::MTVEC, 0x8001);
    enter(&mut hart.frame, Cause::Interrupt(Interrupt::MachineExternal), 0);
    assert_eq!(hart.frame.pc, 0x8000 + 4 * 11);
    assert_eq!(hart.frame.get(slot::MCAUSE), 1 << 63 | 11);
    enter(&mut hart.frame, PAGE_FAULT, 0);
    assert_eq!(hart.frame.pc, 0x8000);
    hart.set(slot::MTVEC, !3 | 1);
    enter(&mut hart.frame, Cause::Interrupt(Interrupt::MachineTimer), 0);
    assert_eq!(hart.frame.pc, 24, "wraps");
}

#[test]
fn returns_are_illegal_below_their_level() {
    for (level, tsr, mret_ok, sret_ok) in [
        (User, 0, false, false),
        (Supervisor, 0, false, true),
        (Supervisor, status::TSR, false, false),
        (Machine, status::TSR, true, true),
    ] {
        let mut hart = Hart::at(level);
        hart.or(slot::MSTATUS, tsr);
        assert_eq!(mret(&mut hart.frame).is_ok(), mret_ok);
        let mut hart = Hart::at(level);
        hart.or(slot::MSTATUS, tsr);
        assert_eq!(sret(&mut hart.frame) != Err(Illegal), sret_ok);
    }
}

#[test]
fn mprv_ends_with_machine_level() {
    for (mpp, kept) in [(0, 0), (1, 0), (3, status::MPRV)] {
        let mut hart = Hart::at(Machine);
        hart.or(slot::MSTATUS, status::MPRV | mpp << status::MPP_SHIFT);
        assert!(mret(&mut hart.frame).is_ok());
        assert_eq!(hart.mstatus() & status::MPRV, kept);
    }
    let mut hart = Hart::at(Machine);
    hart.or(slot::MSTATUS, status::MPRV | status::SPP);
    assert!(sret(&mut hart.frame).is_ok());
    assert_eq!((hart.mstatus() & status::MPRV, hart.level()), (0, Supervisor));
}

#[test]
fn reservations_do_not_cross_traps() {
    let mut hart = Hart::at(Machine);
    hart.set(slot::RESERVATION_ADDR, 0x1000);
    enter(&mut hart.frame, PAGE_FAULT, 0);
    assert_eq!(hart.frame.get(slot::RESERVATION_ADDR), slot::NO_RESERVATION);
    hart.set(slot::RESERVATION_ADDR, 0x1000);
    assert!(mret(&mut hart.frame).is_ok());
    assert_eq!(hart.frame.get(slot::RESERVATION_ADDR), slot::NO_RESERVATION);
}
